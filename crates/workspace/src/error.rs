//! What can go wrong in a use case, and what to do about it.

use std::path::PathBuf;

use provenv_definition::{Diagnostic, Digest, Format, Place, Platform};

use crate::catalogue::{BuildStatus, CatalogueError, postgres_code};
use crate::config::ConfigError;
use crate::dockerfile::DockerfileError;
use crate::places::Part;

/// An error of a use case.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of a definition or a job has errors.
    #[error("{}", first_of(.0))]
    Definition(Vec<Diagnostic>),
    /// The settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The store.
    #[error(transparent)]
    Store(#[from] provenv_store::Error),
    /// Downloads.
    #[error(transparent)]
    Fetch(#[from] provenv_fetch::Error),
    /// The database that an audit asks.
    #[error("could not fetch the database of vulnerabilities")]
    Vulnerabilities(#[source] Box<provenv_fetch::Error>),
    /// What is wrong, and where in the user's file it comes from.
    #[error("{error}")]
    Located {
        /// The parts of the definition that it is about, if it is about any.
        parts: Vec<Part>,
        /// Where they stand in the user's file.
        places: Vec<Place>,
        /// What else is to be said of the file: it may be why.
        warnings: Vec<Diagnostic>,
        /// The format of the file, which hints have to fit.
        format: Option<Format>,
        /// What is wrong.
        #[source]
        error: Box<Error>,
    },
    /// What is so for one of several platforms.
    #[error("for {platform}: {error}")]
    OnPlatform {
        /// The platform.
        platform: Platform,
        /// The one that has the package that this one lacks.
        elsewhere: Option<Platform>,
        /// What is wrong.
        #[source]
        error: Box<Error>,
    },
    /// Choosing Debian packages.
    #[error(transparent)]
    Debian(#[from] provenv_lock::debian::Error),
    /// Choosing Python packages.
    #[error(transparent)]
    Pypi(Box<provenv_lock::pypi::Error>),
    /// Choosing conda packages.
    #[error(transparent)]
    Conda(#[from] provenv_lock::conda::Error),
    /// Making the image.
    #[error(transparent)]
    Image(#[from] provenv_image::Error),
    /// A script of a conda package that failed.
    #[error("the script {path} of {package} failed with exit code {code}{}", shown_output(output))]
    Script {
        /// Name and version of the package.
        package: String,
        /// The script's path under the prefix.
        path: String,
        /// Its exit code.
        code: i32,
        /// The end of what it printed.
        output: String,
    },
    /// Taking up what scripts of conda packages left.
    #[error(transparent)]
    PostLink(#[from] provenv_image::post_link::Error),
    /// A layer that was made by running scripts elsewhere.
    #[error("the lock `{}` needs what scripts of conda packages left where it was made", file.display())]
    ScriptsElsewhere {
        /// The file.
        file: PathBuf,
    },
    /// Unpacking the image.
    #[error(transparent)]
    Unpack(#[from] provenv_image::unpack::Error),
    /// Writing the image elsewhere.
    #[error(transparent)]
    Export(#[from] provenv_image::export::Error),
    /// Writing an environment in another format.
    #[error(transparent)]
    Write(#[from] provenv_definition::WriteError),
    /// Writing a lock in another format.
    #[error(transparent)]
    WriteLock(#[from] provenv_lock::ExportError),
    /// A destination that makes no sense.
    #[error(transparent)]
    Destination(#[from] provenv_image::export::DestinationError),
    /// A registry reference that makes no sense.
    #[error(transparent)]
    Reference(#[from] provenv_registry::ReferenceError),
    /// Somebody builds all the time while garbage was to be collected.
    #[error("the store is in use: builds in this workspace have not ended for 5 minutes")]
    StoreInUse,
    /// Handing the image to a registry.
    #[error(transparent)]
    Registry(#[from] provenv_registry::Error),
    /// The registry that a team shares images by.
    #[error("the image could not be put into the shared cache: {0}")]
    Cache(String),
    /// Serving the workspace as a registry.
    #[error(transparent)]
    Serve(#[from] provenv_registry::server::ServerError),
    /// The users of a registry.
    #[error(transparent)]
    Htpasswd(#[from] provenv_registry::server::HtpasswdError),
    /// Foreign code would run without a sandbox.
    #[error("resolving and building packages runs foreign code, and this machine allows no sandbox for it")]
    Unconfined(#[source] provenv_compute::Error),
    /// Keys, signatures, and images that are to be checked.
    #[error(transparent)]
    Proof(#[from] crate::ProofError),
    /// A bundle that cannot be written or taken.
    #[error(transparent)]
    Bundle(Box<crate::BundleError>),
    /// A policy that cannot be used.
    #[error(transparent)]
    Policy(#[from] crate::PolicyError),
    /// Running a command.
    #[error(transparent)]
    Compute(#[from] provenv_compute::Error),
    /// A file or folder of the workspace or the user.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A file that is no lock.
    #[error("`{}` is not a lock", file.display())]
    NotALock {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A lock that is not sound.
    #[error("the lock `{}` cannot be trusted", file.display())]
    InvalidLock {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        source: provenv_lock::InvalidLock,
    },
    /// The lock of another tool that says what no lock may say.
    #[error("what the lock says cannot be used")]
    InvalidTaken(#[source] provenv_lock::InvalidLock),
    /// An index that says what no lock may say.
    #[error("what the indexes say cannot be locked")]
    InvalidChosen(#[source] provenv_lock::InvalidLock),
    /// A lock of a later version.
    #[error("the lock `{}` has format {found}, and this version knows formats up to {known}", file.display())]
    NewerLock {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: u64,
        /// The newest format known here.
        known: u32,
    },
    /// A lock of another definition.
    #[error("the lock `{}` is of another definition: {actual}, and this one is {expected}", file.display())]
    OtherDefinition {
        /// The file.
        file: PathBuf,
        /// Digest of the definition.
        expected: Digest,
        /// Digest of the definition that was locked.
        actual: Digest,
    },
    /// A lock of the same definition, but not that of the version.
    #[error("`{}` is not the lock of {environment}", file.display())]
    OtherLock {
        /// The file.
        file: PathBuf,
        /// The registered version.
        environment: String,
    },
    /// A lock that needs what only another store has.
    #[error("the lock `{}` needs {wheel}, which was built elsewhere and is not in this store", file.display())]
    BuiltElsewhere {
        /// The file.
        file: PathBuf,
        /// The wheel.
        wheel: String,
    },
    /// A definition that nobody has locked here.
    #[error("`{0}` was never locked in this workspace")]
    NoReceipt(String),
    /// No such environment; and the name that may be meant.
    #[error("there is no environment `{0}` in this workspace")]
    NoEnvironment(String, Option<String>),
    /// No such curated environment.
    #[error("there is no curated environment `{name}`")]
    NoCurated {
        /// As it was asked for.
        name: String,
        /// The one that may be meant.
        nearest: Option<String>,
    },
    /// A version that an environment does not have.
    #[error("`{name}` has no version {version}: there {} {}", if known.len() == 1 { "is" } else { "are" }, known.join(", "))]
    NoVersion {
        /// The environment.
        name: String,
        /// The version that was asked for.
        version: String,
        /// Those it has.
        known: Vec<String>,
    },
    /// A label that an environment does not have.
    #[error("`{name}` has no label `{label}`: there {} {}", if known.len() == 1 { "is" } else { "are" }, known.join(", "))]
    NoLabel {
        /// The environment.
        name: String,
        /// The label that was asked for.
        label: String,
        /// Those it has.
        known: Vec<String>,
    },
    /// The newest of versions that are all archived.
    #[error("all versions of `{0}` are archived")]
    AllArchived(String),
    /// What was to be deleted and is referred to.
    #[error("nothing of `{name}` was deleted, as something refers to it:\n  {}", reasons.join("\n  "))]
    StillNeeded {
        /// The environment.
        name: String,
        /// Versions, and what refers to each.
        reasons: Vec<String>,
    },
    /// Arguments that make no sense together.
    #[error("{message}")]
    Arguments {
        /// What is wrong.
        message: String,
        /// What to write instead.
        hint: String,
    },
    /// A base from a registry that lacks what is asked for.
    #[error("{message}")]
    Base {
        /// What it lacks.
        message: String,
        /// What to do instead.
        hint: String,
    },
    /// Running a Dockerfile.
    #[error(transparent)]
    Dockerfile(Box<DockerfileError>),
    /// There is no lock to check.
    #[error("there is no lock `{}`", file.display())]
    NoLock {
        /// The file.
        file: PathBuf,
        /// What it would be the lock of.
        reference: String,
    },
    /// No such run.
    #[error("there is no run `{0}` in this workspace")]
    NoRun(String),
    /// A run that ended, and was told otherwise.
    #[error("the run `{0}` has ended, and was told to have ended otherwise or to go on")]
    RunEnded(String),
    /// Nothing that has a lineage.
    #[error("there is no run, environment, receipt, lock, image or artifact `{0}` in this workspace")]
    NoLineage(String),
    /// No such build.
    #[error("there is no build `{0}` in this workspace")]
    NoBuild(String),
    /// A build that was to be stopped.
    #[error("the build `{id}` is not stopped: it ended before ({status})")]
    BuildEnded {
        /// It.
        id: String,
        /// How it ended.
        status: BuildStatus,
    },
    /// No such image.
    #[error("there is no image `{0}` in this workspace")]
    NoImage(String),
    /// An image that nobody has audited.
    #[error("the image of `{0}` was never audited in this workspace")]
    NoAudit(String),
    /// A database of vulnerabilities.
    #[error(transparent)]
    Audit(Box<provenv_image::audit::Error>),
    /// An environment without a name was to be registered.
    #[error("the environment has no name")]
    NoName,
    /// A kind of definition that this version cannot build.
    #[error("{0}")]
    Unsupported(String),
    /// An image that this lock is not for.
    #[error("the lock has nothing for {0}")]
    NoPlatform(Platform),
    /// The promise is broken.
    #[error("assembling the same lock again arrived at another image: {first} before, {second} now")]
    NotReproducible {
        /// The image on record.
        first: Digest,
        /// The one made now.
        second: Digest,
    },
    /// A file in place of the workspace's folder.
    #[error("the workspace cannot be at {}: {} is a file", .root.display(), .file.display())]
    NotAFolder {
        /// Where the workspace should be.
        root: PathBuf,
        /// It, or what is above it.
        file: PathBuf,
    },
    /// No folder to keep the workspace in.
    #[error("no folder for the workspace: neither XDG_DATA_HOME nor HOME is set")]
    NoHome,
    /// A workspace on a server.
    #[error(transparent)]
    Remote(Box<crate::RemoteError>),
    /// A task was lost.
    #[error("a part of the work ended before it was done")]
    Task(#[from] tokio::task::JoinError),
}

/// What a program printed, for the end of a message.
fn shown_output(output: &str) -> String {
    if output.is_empty() { String::new() } else { format!(":\n{output}") }
}

fn first_of(diagnostics: &[Diagnostic]) -> String {
    diagnostics.first().map_or_else(|| "the definition cannot be used".to_owned(), ToString::to_string)
}

impl From<provenv_image::audit::Error> for Error {
    fn from(error: provenv_image::audit::Error) -> Self {
        Self::Audit(Box::new(error))
    }
}

impl From<crate::RemoteError> for Error {
    fn from(error: crate::RemoteError) -> Self {
        Self::Remote(Box::new(error))
    }
}

impl From<DockerfileError> for Error {
    fn from(error: DockerfileError) -> Self {
        Self::Dockerfile(Box::new(error))
    }
}

impl From<provenv_lock::pypi::Error> for Error {
    fn from(error: provenv_lock::pypi::Error) -> Self {
        Self::Pypi(Box::new(error))
    }
}

impl Error {
    /// The exit code, where it is another than that of any failure: that which a shell gives where a command could not be
    /// started (127, 126 or 125), and 2 for wrong arguments.
    pub fn exit_code(&self) -> Option<u8> {
        match self {
            Self::Compute(error) => u8::try_from(error.exit_code()).ok(),
            Self::Proof(error) if error.is_of_arguments() => Some(2),
            Self::Destination(_) | Self::Reference(_) | Self::NoName | Self::Arguments { .. } => Some(2),
            Self::Located { error, .. } | Self::OnPlatform { error, .. } => error.exit_code(),
            _ => None,
        }
    }

    /// Whether the same may go well another time: a server that did not answer, a connection that broke.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Fetch(error) => return error.is_transient(),
            Self::Located { error, .. } | Self::OnPlatform { error, .. } => return error.is_transient(),
            _ => {}
        }
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            let fetch = cause.downcast_ref::<provenv_fetch::Error>();
            let fetch =
                fetch.or_else(|| cause.downcast_ref::<Box<provenv_fetch::Error>>().map(|error| &**error));
            if fetch.is_some_and(provenv_fetch::Error::is_transient) {
                return true;
            }
            if cause.downcast_ref::<sqlx::Error>().is_some_and(is_away) {
                return true;
            }
            source = cause.source();
        }
        false
    }

    /// What to do next, where there is something.
    pub fn hint(&self) -> Option<String> {
        self.hint_for(None)
    }

    /// The same for a user whose file has this format.
    fn hint_for(&self, format: Option<Format>) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Fetch(error) => error.hint(),
            Self::Vulnerabilities(error) => {
                let own = "`--database FOLDER` takes OSV's exports that are on this machine (docs/how-to/sbom-and-audit.md)";
                Some(error.hint().map_or_else(|| own.to_owned(), |hint| format!("{hint}; {own}")))
            }
            Self::Located { error, format, .. } => error.hint_for(*format),
            Self::OnPlatform { platform, elsewhere: Some(elsewhere), .. } => Some(format!(
                "{elsewhere} has it: leave {platform} out of `platforms`, or ask for it on {elsewhere} alone"
            )),
            Self::OnPlatform { error, .. } => error.hint_for(format),
            Self::Debian(error) => error.hint(),
            Self::Pypi(error) => error.hint_for(format),
            Self::Conda(error) => error.hint_for(format),
            Self::Image(error) => error.hint(),
            Self::Script { .. } | Self::PostLink(_) => {
                Some("`--post-link skip` leaves the scripts of conda packages out".into())
            }
            Self::ScriptsElsewhere { .. } => {
                Some("`provenv lock --post-link run` runs them here".into())
            }
            Self::Dockerfile(error) => error.hint(),
            Self::Remote(error) => error.hint(),
            Self::Unpack(error) => error.hint(),
            Self::Export(error) => error.hint(),
            Self::Write(error) => error.hint().map(str::to_owned),
            Self::WriteLock(error) => error.hint().map(str::to_owned),
            Self::Destination(error) => error.hint(),
            Self::Reference(error) => error.hint().map(|hint| {
                hint + "; a folder is oci:DIR, a file oci-archive:FILE or docker-archive:FILE"
            }),
            Self::StoreInUse => Some("`provenv builds list` shows them; try again when they have ended".into()),
            Self::Registry(error) => error.hint(),
            Self::Cache(_) => Some("build it again: what is there already is not sent again".into()),
            Self::Serve(error) => error.hint(),
            Self::Htpasswd(_) => Some("`htpasswd -B FILE USER` adds a user, and makes the file with -c".into()),
            Self::Unconfined(_) => Some(format!(
                "allow unprivileged user namespaces (sysctl user.max_user_namespaces, \
                 kernel.apparmor_restrict_unprivileged_userns), or set {}=1 to let packages' code run as you",
                crate::sandbox::UNCONFINED
            )),
            Self::Compute(error) => error.hint(),
            Self::Proof(error) => error.hint(),
            Self::Bundle(error) => error.hint(),
            Self::Policy(_) => Some("docs/how-to/sign-and-verify.md says what a policy may hold".into()),
            Self::Catalogue(error) => catalogue_hint(error),
            Self::NoEnvironment(_, nearest) => Some(
                meant(nearest.as_deref())
                    + "`provenv env list` shows what is registered; a file is given as a path, e.g. ./environment.yaml",
            ),
            Self::NoCurated { nearest, .. } => {
                Some(meant(nearest.as_deref()) + "`provenv env list --curated` shows them")
            }
            Self::InvalidLock { .. } => {
                Some("`provenv lock` writes it anew; docs/reference/lock.md says what is checked".into())
            }
            Self::InvalidTaken(_) => Some(
                "docs/reference/lock.md says what is checked; the tool that wrote the lock may write it anew".into(),
            ),
            Self::InvalidChosen(_) => Some(
                "an index or channel describes a package wrongly: ask for another version of it, or tell who keeps the index"
                    .into(),
            ),
            Self::NotALock { .. } => Some("`provenv lock` writes one".into()),
            Self::NewerLock { .. } => Some("use the newer provenv for it".into()),
            Self::OtherDefinition { .. } => {
                Some("the definition has changed since it was locked: `provenv lock` writes its lock of today".into())
            }
            Self::OtherLock { .. } => {
                Some("a registered version's lock never changes: give the definition's file instead".into())
            }
            Self::BuiltElsewhere { .. } => {
                Some("lock the definition here with `provenv lock`, or ask for versions that have wheels".into())
            }
            Self::NoVersion { name, .. } => Some(format!("`provenv env list {name}` shows them")),
            Self::NoLabel { name, .. } => {
                Some(format!("`provenv env label {name} --list` shows where they are"))
            }
            Self::AllArchived(name) => Some(format!(
                "name the version (`provenv env list {name} --include-archived` shows them), or bring one back: `provenv env \
                 restore {name}`"
            )),
            Self::StillNeeded { name, .. } => Some(format!(
                "`provenv env archive {name}` hides it and leaves what refers to it alone; labels go with `provenv env label \
                 {name} LABEL --remove`"
            )),
            Self::Arguments { hint, .. } | Self::Base { hint, .. } => Some(hint.clone()),
            Self::NoLock { reference, .. } => Some(format!("`provenv lock {reference}` writes it")),
            Self::NoReceipt(_) => Some("`provenv lock` locks it".into()),
            Self::NoRun(_) => Some("`provenv runs list` shows the runs".into()),
            Self::RunEnded(id) => Some(format!("`provenv runs show {id}` says how it ended")),
            Self::NoLineage(_) => Some(
                "give a run's identifier, NAME:VERSION, or a digest in full: `sha256:` and 64 digits".into(),
            ),
            Self::NoBuild(_) => Some("`provenv builds list` shows the builds".into()),
            Self::BuildEnded { id, .. } => Some(format!("`provenv builds show {id}` says what came of it")),
            Self::NoImage(_) => Some("`provenv image list` shows the images".into()),
            Self::NoAudit(reference) => Some(format!("`provenv image audit {reference}` does")),
            Self::Audit(error) => error.hint().map(str::to_owned),
            Self::NoName => Some("give it one: `name:` in the file, or --name".into()),
            Self::NotReproducible { .. } => {
                Some("this is a defect of provenv: please report it with the lock; the image on record was kept".into())
            }
            Self::NotAFolder { .. } => {
                Some("name a folder with --workspace or PROVENV_WORKSPACE; it is made where it is missing".into())
            }
            Self::NoHome => Some("name a folder with --workspace".into()),
            Self::Io { source, .. } => io_hint(source),
            Self::Definition(_)
            | Self::Config(_)
            | Self::Unsupported(_)
            | Self::NoPlatform(_)
            | Self::Task(_) => None,
        }
    }
}

/// Asks whether another name was meant, for the beginning of a hint.
fn meant(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("did you mean `{name}`? ")).unwrap_or_default()
}

fn catalogue_hint(error: &CatalogueError) -> Option<String> {
    let hint = match error {
        CatalogueError::VersionTaken { .. } => {
            "versions never change: leave `version` out to get the next number"
        }
        CatalogueError::VersionDeleted { .. } => {
            "choose another version, or leave `version` out to get the next number"
        }
        CatalogueError::LongTag { .. } => "shorten it; a description may be long",
        CatalogueError::Nul { .. } => "take the character out of its description, tags or variables",
        CatalogueError::SharedHere { name, place } => {
            return Some(format!(
                "change it in {place}, or take a copy that is your own: `provenv env copy {name} --to WORKSPACE --name NAME`"
            ));
        }
        CatalogueError::NameTaken { .. } => "share it under another name: --name NAME",
        CatalogueError::Newer { .. } => "use the newer provenv for this workspace",
        CatalogueError::Setting { .. } => {
            "`catalogue.url` or PROVENV_CATALOGUE is like postgres://USER@HOST:PORT/DATABASE, what is special in it \
             percent-encoded; docs/how-to/postgresql.md says more"
        }
        CatalogueError::TwoCatalogues { .. } => {
            "name another folder with --workspace, or set PROVENV_CATALOGUE to nothing to use the folder's own"
        }
        CatalogueError::Elsewhere { .. } => {
            "set `catalogue.url` or PROVENV_CATALOGUE to it, or name another folder with --workspace"
        }
        CatalogueError::Foreign { .. } => {
            "name the catalogue that it belongs to (`catalogue.url`, `catalogue.schema`), or another folder with --workspace"
        }
        CatalogueError::Connect { schema, source, .. } => return connect_hint(source, schema),
        CatalogueError::Database(error) => return database_hint(error),
        CatalogueError::Binding { source, .. } => return io_hint(source),
        CatalogueError::NotLocked { .. } => "`provenv lock FILE` locks it",
        CatalogueError::Corrupt { .. } => return None,
    };
    Some(hint.to_owned())
}

/// Why a catalogue in PostgreSQL does not open.
fn connect_hint(error: &sqlx::Error, schema: &str) -> Option<String> {
    Some(match postgres_code(error) {
        Some("28P01" | "28000") => "check the user and the password: in `catalogue.url` or PROVENV_CATALOGUE, in PGPASSWORD \
             or in ~/.pgpass"
            .to_owned(),
        Some("3D000") => "make the database with `createdb`, or name another".to_owned(),
        Some("42501") => format!(
            "let the user make the schema (GRANT CREATE ON DATABASE), or make it for them as an administrator: \
             CREATE SCHEMA {schema} AUTHORIZATION the user"
        ),
        Some("53300") => "the server has no connection left: raise its `max_connections`, or try again".to_owned(),
        Some(_) => return database_hint(error),
        None if is_tls(error) => {
            "`sslmode` and `sslrootcert` in the URL say how the connection is encrypted and which authority is trusted".to_owned()
        }
        None if matches!(error, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut) => {
            "check that PostgreSQL runs there and may be reached, then try again; `catalogue.url` or PROVENV_CATALOGUE says \
             where"
                .to_owned()
        }
        None => return None,
    })
}

/// Whether the server's certificate, or what it says of itself, is not taken.
fn is_tls(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        // What rustls refuses.
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}

/// Whether the database was stopped or is not to be reached, or is used by others too much: it may answer another time.
pub fn is_away(error: &sqlx::Error) -> bool {
    if matches!(error, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Protocol(_)) {
        return true;
    }
    if let Some(code) = postgres_code(error) {
        // Shut down, starting, too many connections, a deadlock or a serialization that others won.
        return matches!(code, "57P01" | "57P02" | "57P03" | "53300" | "40P01" | "40001")
            || code.starts_with("08");
    }
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .and_then(|code| code.parse::<i32>().ok());
    code.is_some_and(|code| matches!(code & 0xff, 5 | 6))
}

/// Whether something could not be written because a disk or a quota is full: of this machine, or of the database's.
pub fn is_no_space(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return provenv_store::is_no_space(error);
        }
        let Some(error) = error.downcast_ref::<sqlx::Error>() else { return false };
        if let Some(code) = postgres_code(error) {
            return code == "53100";
        }
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        // SQLITE_FULL, and SQLITE_IOERR_SHMSIZE, which is the same of the file that connections share.
        code.and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| code & 0xff == 13 || code == 4874)
    })
}

/// What to do about an error of the database: by SQLSTATE, or by SQLite's primary result code.
fn database_hint(error: &sqlx::Error) -> Option<String> {
    const AWAY: &str = "the database was stopped or is not to be reached: repeat the command when it is back; what was recorded \
                        before is kept";
    if let Some(code) = postgres_code(error) {
        let hint = match code {
            "57P01" | "57P02" | "57P03" => AWAY,
            "42501" => "the user of the database needs all rights on the catalogue's schema",
            "53100" => "free some space where the database is",
            "25006" => "the database only reads now: name the server that is written to",
            _ => return None,
        };
        return Some(hint.to_owned());
    }
    if matches!(error, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Protocol(_)) {
        return Some(AWAY.to_owned());
    }
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    let hint = match code & 0xff {
        8 | 14 => "the workspace's folder and its `catalogue.db` must be writable for the user who runs this",
        11 | 26 => {
            "`catalogue.db` in the workspace's folder is damaged: put a copy of it back, or move it away to begin with an \
             empty catalogue; the store keeps what it has until `provenv store gc`"
        }
        13 => "free some space on the workspace's file system, e.g. with `provenv store gc`",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn io_hint(error: &std::io::Error) -> Option<String> {
    match error.kind() {
        std::io::ErrorKind::StorageFull => Some("free some space, e.g. with `provenv store gc`".into()),
        std::io::ErrorKind::PermissionDenied => Some("check who owns it, or use another folder".into()),
        std::io::ErrorKind::ReadOnlyFilesystem => Some("name a place where your user may write".into()),
        _ => None,
    }
}

/// An error with its causes on one line, as the catalogue and logs keep it.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let message = cause.to_string();
        // Many errors repeat their cause in their own message.
        if !text.contains(message.trim_end()) {
            text.push_str(": ");
            text.push_str(&message);
        }
        source = cause.source();
    }
    text
}

/// Why an error came about, the nearest cause first.
pub fn causes(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    let mut causes = Vec::new();
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let message = cause.to_string();
        // Many errors repeat their cause in their own message.
        if !said.contains(message.trim_end()) {
            causes.push(message.clone());
        }
        said = message;
        source = cause.source();
    }
    causes
}

/// Names what was being done when an I/O operation fails.
pub(crate) trait IoContext<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Io { what: what(), source })
    }
}
