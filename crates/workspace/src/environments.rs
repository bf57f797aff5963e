//! Environments: read, registered, found, compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use provenv_definition::{
    Diagnostic, Digest, Environment, Format, Hasher, LockedArtifacts, Origins, ReadEnvironment,
    definition_digest,
};
use serde::{Deserialize, Serialize};

use crate::catalogue::{CatalogueError, EnvironmentRow, NewEnvironment, Resolution, Same, Telling, Untold};
use crate::curated::{Curated, PREFIX, is_curated};
use crate::lock_file::read_if_lock;
use crate::locking::Locked;
use crate::reference::LATEST;
use crate::{Error, Reference, Result, Workspace, folders, user_name};

/// What registering came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Registered {
    /// The environment's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether the version is new.
    pub created: bool,
    /// Digest of its definition.
    pub definition: Digest,
    /// The receipt it points to.
    pub receipt: Digest,
    /// The lock of that receipt.
    pub lock: Digest,
    /// What the audit log of the server is to be told of this and what was registered with it, where it is to be told something.
    #[serde(skip)]
    pub untold: Option<Arc<Untold>>,
}

/// What is said of an environment that is registered, besides what it is.
#[derive(Clone, Debug, Default)]
pub struct RegisterOptions<'a> {
    /// The file of a lock that it is to have.
    pub lock: Option<&'a Path>,
    /// The text of such a file, as somebody sent it.
    pub sent_lock: Option<&'a str>,
    /// The version that it was made from, as name and version: what [`Workspace::extended`] says.
    pub from: Option<(String, String)>,
    /// Who registers it, if that is not the user of this machine.
    pub who: Option<&'a str>,
}

/// A registered version, or a file, as shown to people and programs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnvironmentDetails {
    /// Its name.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Digest of its definition.
    pub definition_digest: Digest,
    /// The receipt it points to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Digest>,
    /// The lock of that receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<Digest>,
    /// When it was registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<jiff::Timestamp>,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// The version that it was made from, `name:version`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The labels on it, `latest` included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Where it is shared from, `WORKSPACE/NAME`: it is read-only here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_from: Option<String>,
    /// Whether it is archived, itself or with its name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub archived: bool,
    /// All it says.
    pub environment: Environment,
}

/// An environment that a command was given, whether registered or not.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub environment: Environment,
    /// The registered version, if it is one.
    pub row: Option<EnvironmentRow>,
    /// What is to be said about its file.
    pub warnings: Vec<Diagnostic>,
    /// Where in its file what stands.
    pub origins: Origins,
    /// What its file chose, if it is the lock of another tool.
    pub artifacts: Option<LockedArtifacts>,
    /// Its file, if it is one of its own.
    pub file: Option<PathBuf>,
    /// The format of that, which says what can stand in it.
    pub format: Option<Format>,
    /// The version that is shipped, if it is one.
    pub curated: Option<&'static Curated>,
}

impl From<ReadEnvironment> for Given {
    fn from(read: ReadEnvironment) -> Self {
        Self {
            environment: read.environment,
            row: None,
            warnings: read.warnings,
            origins: read.origins,
            artifacts: read.locked,
            file: read.files.into_iter().next(),
            format: Some(read.format),
            curated: None,
        }
    }
}

impl Workspace {
    /// Finds what `reference` stands for; relative paths count from `folder`.
    pub(crate) async fn given(&self, reference: &str, folder: &Path) -> Result<Given> {
        match Reference::parse(reference, folder) {
            Reference::File(path) => {
                is_no_lock(&path)?;
                let read = provenv_definition::read(&path).map_err(|error| Error::Definition(error.0))?;
                Ok(read.into())
            }
            Reference::Curated { name, version } => {
                let curated = match Curated::find(&name, version.as_deref()) {
                    Ok(curated) => curated,
                    Err(error) => {
                        let Some(path) = Reference::folder(reference, folder) else { return Err(error) };
                        let read =
                            provenv_definition::read(&path).map_err(|error| Error::Definition(error.0))?;
                        return Ok(read.into());
                    }
                };
                // Once a job ran in it, it is on record with the lock that it had then.
                let row = self.catalogue.environment(curated.name, Some(curated.version)).await?;
                Ok(Given { row, ..curated.given()? })
            }
            Reference::Registered { name, version, label } => {
                let row = match (&version, &label) {
                    _ if let Some(remote) = &self.upstream => {
                        let label = label.as_deref().unwrap_or(LATEST);
                        let wanted = version.clone().unwrap_or_else(|| format!("@{label}"));
                        self.mirrored(remote, &name, &wanted).await
                    }
                    (Some(version), _) => self.version(&name, version).await,
                    (None, Some(label)) => match self.labelled(&name, label).await {
                        Ok(version) => self.version(&name, &version).await,
                        Err(error) => Err(error),
                    },
                    (None, None) => self.newest(&name).await,
                };
                let row = match row {
                    Ok(row) => row,
                    Err(error) => {
                        let Some(path) = Reference::folder(reference, folder) else {
                            return Err(match error {
                                Error::NoEnvironment(_, nearest) => {
                                    Error::NoEnvironment(reference.to_owned(), nearest)
                                }
                                error => error,
                            });
                        };
                        let read =
                            provenv_definition::read(&path).map_err(|error| Error::Definition(error.0))?;
                        return Ok(read.into());
                    }
                };
                let (environment, origins) = (row.environment.clone(), Origins::default());
                let (warnings, file) = (Vec::new(), None);
                let artifacts = None;
                Ok(Given {
                    environment,
                    row: Some(row),
                    warnings,
                    origins,
                    artifacts,
                    file,
                    format: None,
                    curated: None,
                })
            }
        }
    }

    /// A registered version, and nothing else that may have its name.
    pub(crate) async fn given_version(&self, name: &str, version: &str) -> Result<Given> {
        let row = self.catalogue.environment(name, Some(version)).await?;
        let row = row.ok_or_else(|| Error::NoEnvironment(format!("{name}:{version}"), None))?;
        Ok(Given {
            environment: row.environment.clone(),
            row: Some(row),
            warnings: Vec::new(),
            origins: Origins::default(),
            artifacts: None,
            file: None,
            format: None,
            curated: None,
        })
    }

    /// The lock of what was given: that of its receipt if registered, else the definition's current one.
    pub(crate) async fn locked(&self, given: &Given) -> Result<Locked> {
        let Some(row) = &given.row else {
            let definition = &given.environment.definition;
            if let Some(lock) = given.curated.map(Curated::lock).transpose()?.flatten()
                && self.current_lock(&lock.definition).await?.is_none()
            {
                return self.take_over(definition, lock).await;
            }
            let locked = self
                .lock(definition, given.artifacts.as_ref(), false)
                .await
                .map_err(|error| error.of(given))?;
            let name = given.curated.map_or("FILE", |curated| curated.name).to_owned();
            let file = given.file.as_ref().map_or(name, |file| folders::shown(file));
            let how = format!("provenv lock {file} --upgrade");
            self.note_changed_folders(definition, &locked.receipt.lock, &how)?;
            self.note_moved_channels(definition, &locked.receipt, &how);
            return Ok(locked);
        };
        let how = format!("provenv upgrade {}", row.name);
        self.note_changed_folders(&given.environment.definition, &row.lock, &how)?;
        let missing = || Error::NoEnvironment(format!("{}:{}", row.name, row.version), None);
        Ok(Locked {
            definition: row.definition,
            receipt_digest: row.receipt,
            receipt: self.catalogue.receipt(&row.receipt).await?.ok_or_else(missing)?,
            lock: self.catalogue.lock(&row.lock).await?.ok_or_else(missing)?,
            fresh: false,
        })
    }

    /// Registers `environment`: locks it, and gives it a version unless this name has this content already. With the lock
    /// of a file, the version gets that one, and only one that has it is the same.
    /// `artifacts` are those of the lock of another tool that it was read from, if any; `origins` says where its parts stand.
    pub async fn register(
        &self,
        environment: &Environment,
        origins: &Origins,
        artifacts: Option<&LockedArtifacts>,
        lock: Option<&Path>,
    ) -> Result<Registered> {
        let options = RegisterOptions { lock, ..RegisterOptions::default() };
        self.register_with(environment, origins, artifacts, &options).await
    }

    /// The same, with what else there is to say of it.
    pub async fn register_with(
        &self,
        environment: &Environment,
        origins: &Origins,
        artifacts: Option<&LockedArtifacts>,
        options: &RegisterOptions<'_>,
    ) -> Result<Registered> {
        let name = checked(environment, origins)?;
        self.enter(name, environment, artifacts, options).await
    }

    /// Puts a curated environment on record, with the lock that it has here.
    pub(crate) async fn enter_curated(&self, given: &Given) -> Result<Registered> {
        // Its lock may be one that is shipped.
        self.locked(given).await?;
        let name = given.environment.name.as_deref().ok_or(Error::NoName)?;
        self.enter(name, &given.environment, None, &RegisterOptions::default()).await
    }

    async fn enter(
        &self,
        name: &str,
        environment: &Environment,
        artifacts: Option<&LockedArtifacts>,
        options: &RegisterOptions<'_>,
    ) -> Result<Registered> {
        if let Some(remote) = &self.upstream {
            return self.enter_upstream(remote, environment, artifacts, options).await;
        }
        if options.sent_lock.is_none()
            && options.lock.is_none()
            && let Some(registered) = self.enter_known(name, environment, options).await?
        {
            return Ok(registered);
        }
        let (locked, same) = if let Some(text) = options.sent_lock {
            (self.adopt_text(&environment.definition, text).await?, Same::ContentAndLock)
        } else if let Some(file) = options.lock {
            (self.adopt(&environment.definition, file).await?, Same::ContentAndLock)
        } else {
            let locked = self.lock(&environment.definition, artifacts, false).await?;
            let (definition, how) = (&environment.definition, "provenv lock FILE --upgrade");
            self.note_changed_folders(definition, &locked.receipt.lock, how)?;
            (locked, Same::Content)
        };
        let (receipt, lock) = (locked.receipt_digest, locked.receipt.lock);
        let resolution = Resolution::Given { receipt, lock };
        Ok(self.enter_locked(name, environment, options, (locked.definition, resolution), same).await?)
    }

    /// Registers what has a lock here already. Nothing is resolved, and the lock is not even read.
    pub(crate) async fn enter_known(
        &self,
        name: &str,
        environment: &Environment,
        options: &RegisterOptions<'_>,
    ) -> Result<Option<Registered>> {
        let definition = definition_digest(&environment.definition);
        let Some((receipt_digest, receipt)) = self.catalogue.current_receipt(&definition).await? else {
            return Ok(None);
        };
        self.note_changed_folders(&environment.definition, &receipt.lock, "provenv lock FILE --upgrade")?;
        let resolution = Resolution::Given { receipt: receipt_digest, lock: receipt.lock };
        let resolved = (definition, resolution);
        Ok(Some(self.enter_locked(name, environment, options, resolved, Same::Content).await?))
    }

    /// The same of what names nothing of this machine, which is all that was to be seen in the receipt: it is read with what others
    /// ask for at once.
    pub(crate) async fn enter_known_sent(
        &self,
        name: &str,
        environment: &Environment,
        options: &RegisterOptions<'_>,
    ) -> Result<Option<Registered>> {
        let resolved = (definition_digest(&environment.definition), Resolution::Current);
        match self.enter_locked(name, environment, options, resolved, Same::Content).await {
            Ok(registered) => Ok(Some(registered)),
            Err(CatalogueError::NotLocked { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn enter_locked(
        &self,
        name: &str,
        environment: &Environment,
        options: &RegisterOptions<'_>,
        (definition, resolution): (Digest, Resolution),
        same: Same,
    ) -> Result<Registered, CatalogueError> {
        let entered = self
            .catalogue
            .register(&NewEnvironment {
                name,
                version: environment.version.as_deref(),
                content: content_digest(environment),
                definition,
                resolution,
                environment,
                created_by: &options.who.map_or_else(user_name, str::to_owned),
                from: options.from.as_ref().map(|(name, version)| (name.as_str(), version.as_str())),
                same,
                telling: if options.who.is_some() { Telling::Made } else { Telling::Nobody },
            })
            .await?;
        Ok(Registered {
            name: entered.name,
            version: entered.version,
            created: entered.created,
            definition: entered.definition,
            receipt: entered.receipt,
            lock: entered.lock,
            untold: entered.untold,
        })
    }

    /// Curated environments: the newest version of each, or all; `name` is theirs with or without the prefix.
    pub fn list_curated(&self, name: Option<&str>, all: bool) -> Result<Vec<EnvironmentDetails>> {
        let name =
            name.map(|name| if is_curated(name) { name.to_owned() } else { format!("{PREFIX}{name}") });
        if let Some(name) = &name {
            Curated::find(name, None)?;
        }
        let list = Curated::list(name.as_deref(), all).into_iter();
        list.map(|curated| Ok(unregistered(curated.read()?.environment))).collect()
    }

    /// An environment made from `reference`, with what `own` says in its place or added to it, to be registered; and name and
    /// version of what it was made from, if that is registered or shipped.
    pub async fn extended(
        &self,
        reference: &str,
        folder: &Path,
        own: Environment,
    ) -> Result<(Environment, Option<(String, String)>)> {
        let given = self.given(reference, folder).await?;
        let from = match (&given.row, given.curated) {
            (Some(row), _) => Some((row.name.clone(), row.version.clone())),
            (None, Some(curated)) => Some((curated.name.to_owned(), curated.version.to_owned())),
            (None, None) => None,
        };
        Ok((provenv_definition::extend(given.environment, own), from))
    }

    /// What `reference` is, registered or in a file, and what is to be said about its file.
    pub async fn show(
        &self,
        reference: &str,
        folder: &Path,
    ) -> Result<(EnvironmentDetails, Vec<Diagnostic>)> {
        let given = self.given(reference, folder).await?;
        let details = match given.row {
            Some(row) => match &self.upstream {
                // Labels move there.
                Some(remote) => remote.version(&row.name, &row.version).await?,
                None => self.details(row).await?,
            },
            None => unregistered(given.environment),
        };
        Ok((details, given.warnings))
    }
}

/// The name of an environment that can be registered.
pub(crate) fn checked<'a>(environment: &'a Environment, origins: &Origins) -> Result<&'a str> {
    let name = environment.name.as_deref().ok_or(Error::NoName)?;
    let mut problems = provenv_definition::check_at(environment, origins);
    problems.retain(Diagnostic::is_error);
    if problems.is_empty() { Ok(name) } else { Err(Error::Definition(problems)) }
}

/// A lock of ours has what was chosen, and not what was asked for.
fn is_no_lock(path: &Path) -> Result<()> {
    if !matches!(read_if_lock(path), Ok(Some(_))) {
        return Ok(());
    }
    let file = folders::shown(path);
    Err(Error::Arguments {
        message: format!("`{file}` is a lock, which does not say what was asked for"),
        hint: format!(
            "give the definition that it is the lock of: `provenv build FILE --lock {file}` builds from both"
        ),
    })
}

pub(crate) fn unregistered(environment: Environment) -> EnvironmentDetails {
    EnvironmentDetails {
        name: environment.name.clone(),
        version: environment.version.clone(),
        definition_digest: definition_digest(&environment.definition),
        receipt: None,
        lock: None,
        created_at: None,
        created_by: None,
        from: None,
        labels: Vec::new(),
        shared_from: None,
        archived: false,
        environment,
    }
}

/// Digest of all that is immutable in a version: its definition, variables and routes.
pub(crate) fn content_digest(environment: &Environment) -> Digest {
    let mut hasher = Hasher::new();
    let mut field = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    };
    field(b"provenv.environment.1");
    field(definition_digest(&environment.definition).as_bytes());
    let variables: BTreeMap<_, _> = environment.environment_variables.iter().collect();
    field(&(variables.len() as u64).to_be_bytes());
    for (name, value) in variables {
        field(name.as_bytes());
        field(value.as_bytes());
    }
    if let Some(config) = &environment.inference_config {
        field(b"inference_config");
        for route in [&config.liveness_route, &config.readiness_route, &config.scoring_route] {
            field(&route.port.to_be_bytes());
            field(route.path.as_bytes());
        }
    }
    hasher.finish()
}
