//! The catalogue: who, what, when. In SQLite or PostgreSQL, with the same queries: they keep to what both take.

mod abouts;
mod archiving;
mod audits;
mod binding;
mod builds;
mod deleting;
mod describing;
mod documents;
mod environments;
mod facets;
mod filling;
mod finding;
pub mod history;
mod holdings;
mod images;
mod importing;
mod known;
mod labels;
mod lineage;
mod mirroring;
mod moment;
mod postgres;
mod proofs;
mod query;
mod registering;
mod registry;
mod remote;
mod rows;
mod runs;
mod sharing;
mod showing;
mod sqlite;
mod tables;
mod taken;
mod telling;
mod texts;
mod together;
mod turn;
mod uses;

use std::path::{Path, PathBuf};

use provenv_definition::Digest;

pub use builds::{BuildRow, BuildStatus};
pub use deleting::{Deletion, References};
pub use describing::{Described, Description};
pub use documents::Resolved;
pub use environments::{EnvironmentRow, NewEnvironment, Resolution, Same, Telling};
pub use finding::{Condition, Criteria, FoundRow, Include};
pub use history::ChangeRow;
pub use holdings::ArtifactRow;
pub use images::ImageRow;
pub use importing::{ImportedVersion, Importing};
pub use known::Which;
pub use lineage::RunName;
pub use mirroring::MirroredVersion;
pub use moment::{Moment, Moments};
pub(crate) use postgres::code as postgres_code;
pub use proofs::Origin;
pub use query::{Field, Query};
pub use registering::Entered;
pub use registry::{Refused, RepositoryVersion};
pub use rows::write_rows;
pub use runs::{RunRow, RunStatus};
pub use sharing::Following;
pub use showing::{ShownRow, Wanted};
pub use tables::Tables;
pub use telling::{ImportSoFar, NewVersion, News, Untold};
pub use texts::has_nul;
pub use together::{AsyncWriter, Together};
use turn::Turn;

use crate::config::CatalogueSettings;

/// The file of a catalogue in SQLite.
const FILE: &str = "catalogue.db";

/// The schemas, oldest first; the database says how many are in.
const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("registry.sql"),
    include_str!("audits.sql"),
    include_str!("proofs.sql"),
    include_str!("remote.sql"),
    include_str!("uses.sql"),
    include_str!("dockerfiles.sql"),
    include_str!("forms.sql"),
    include_str!("lifecycle.sql"),
    include_str!("holdings.sql"),
    include_str!("reported.sql"),
    include_str!("taken.sql"),
    include_str!("speed.sql"),
    include_str!("shared.sql"),
    include_str!("untold.sql"),
];

/// What can go wrong with the catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The database refused.
    #[error("the catalogue could not be read or written")]
    Database(#[from] sqlx::Error),
    /// A database that cannot be connected to, or lets nothing be made in it.
    #[error("{what} at {place} could not be opened")]
    Connect {
        /// The catalogue, or what else is in a database.
        what: &'static str,
        /// Where it is, without credentials.
        place: String,
        /// The schema in it.
        schema: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A setting that says no place of a catalogue.
    #[error("the catalogue's {setting} is not one: {why}")]
    Setting {
        /// Which.
        setting: &'static str,
        /// Why, without credentials.
        why: String,
    },
    /// The file that says whose a folder is.
    #[error("the catalogue that `{}` belongs to could not be told", .root.display())]
    Binding {
        /// The folder.
        root: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A folder with a catalogue in it, where the settings name another.
    #[error("`{}` has a catalogue of its own, and the settings name one in PostgreSQL", .root.display())]
    TwoCatalogues {
        /// The folder.
        root: PathBuf,
    },
    /// A folder whose catalogue is elsewhere.
    #[error("the catalogue of `{}` is in PostgreSQL, and no setting says where", .root.display())]
    Elsewhere {
        /// The folder.
        root: PathBuf,
    },
    /// A folder of another catalogue.
    #[error("`{}` belongs to another catalogue than the one that the settings name", .root.display())]
    Foreign {
        /// The folder.
        root: PathBuf,
    },
    /// A row does not read.
    #[error("the catalogue holds a {what} that cannot be read")]
    Corrupt {
        /// What kind of row.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Written by a newer Provenv.
    #[error("{what} was written by a newer provenv (schema {found}, this one knows {known})")]
    Newer {
        /// The catalogue, or what else is in a database.
        what: &'static str,
        /// The database's schema.
        found: i64,
        /// Ours.
        known: usize,
    },
    /// A version that is there already, with another content.
    #[error(
        "{name}:{version} is registered already with another definition, other variables or another lock"
    )]
    VersionTaken {
        /// The environment.
        name: String,
        /// Its version.
        version: String,
    },
    /// A name that another workspace shares, and that is to be changed here.
    #[error("`{name}` is shared by {place}, and read-only here")]
    SharedHere {
        /// The environment.
        name: String,
        /// Where it is from: `WORKSPACE/NAME`.
        place: String,
    },
    /// A name that has something of its own here, and is to be another workspace's.
    #[error("`{name}` has versions of its own there, which are not those that are to be shared")]
    NameTaken {
        /// The environment.
        name: String,
    },
    /// A definition that has no receipt here, of which a version was to be made by the one that it has.
    #[error("the definition {definition} was not locked here")]
    NotLocked {
        /// Its digest.
        definition: Digest,
    },
    /// A version that was deleted, and is not given again.
    #[error("{name}:{version} was deleted, and a version that was deleted is never given again")]
    VersionDeleted {
        /// The environment.
        name: String,
        /// Its version.
        version: String,
    },
    /// A tag that is longer than a catalogue finds tags by.
    #[error("the tag `{tag}` of `{name}`, or its value, is longer than 512 bytes")]
    LongTag {
        /// The environment.
        name: String,
        /// How the tag begins.
        tag: String,
    },
    /// A text that not every database keeps.
    #[error("a text of `{name}` has the character U+0000 in it, which a catalogue does not keep")]
    Nul {
        /// The environment.
        name: String,
    },
}

/// Where connections come from.
type Pool = sqlx::AnyPool;
/// What queries are sent through.
type Connection = sqlx::AnyConnection;
/// What they come back as.
type Row = sqlx::any::AnyRow;
/// What writes and reads what it writes about.
type Writing = sqlx::Transaction<'static, sqlx::Any>;

pub(crate) type Result<T, E = CatalogueError> = std::result::Result<T, E>;

/// A row that does not read, as an error.
fn corrupt<E: std::error::Error + Send + Sync + 'static>(
    what: &'static str,
) -> impl FnOnce(E) -> CatalogueError {
    move |source| CatalogueError::Corrupt { what, source: Box::new(source) }
}

/// A connection to the workspace's database.
#[derive(Clone, Debug)]
pub struct Catalogue {
    pool: Pool,
    moments: Moments,
    database: Database,
    /// Versions that are to be registered.
    registering: Together<registering::Entry, Result<Entered>>,
    /// Whether a server's audit log is told what is registered here.
    tells: bool,
    /// What it has been told.
    told: telling::Told,
}

/// What the catalogue is in. Queries are the same for all.
#[derive(Clone, Debug)]
enum Database {
    /// A file of the workspace's folder.
    Sqlite,
    /// A schema of a PostgreSQL server.
    Postgres {
        /// The schema's name.
        schema: String,
    },
}

impl Catalogue {
    /// Opens the catalogue of the workspace in this folder, which is there, made and migrated where needed. Many processes may
    /// do so at once.
    pub async fn open(root: &Path, settings: &CatalogueSettings) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let file = root.join(FILE);
        let Some(url) = &settings.url else {
            binding::check_own(root, &file)?;
            let pool = sqlite::open(&file, &SCHEMA).await?;
            let moments = Moments::of_file(&file);
            return Ok(Self::over(pool, moments, Database::Sqlite));
        };
        if file.exists() {
            return Err(CatalogueError::TwoCatalogues { root: root.to_owned() });
        }
        let (pool, id) = postgres::open(url, settings.schema(), &SCHEMA).await?;
        binding::bind(root, &id)?;
        let database = Database::Postgres { schema: settings.schema().to_owned() };
        let moments = Moments::of_server(postgres::beside(&pool));
        Ok(Self::over(pool, moments, database))
    }

    fn over(pool: Pool, moments: Moments, database: Database) -> Self {
        Self {
            pool,
            moments,
            database,
            registering: Together::default(),
            tells: false,
            told: telling::Told::default(),
        }
    }

    /// The same, of which a server's audit log is told what is registered.
    pub fn telling(self) -> Self {
        Self { tells: true, ..self }
    }

    /// The connections that are open, those of them that nobody uses, and how many there may be.
    pub fn connections(&self) -> (u32, u32, u32) {
        let idle = u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX);
        (self.pool.size(), idle, self.pool.options().get_max_connections())
    }

    /// Which moment of the catalogue it is.
    pub async fn moment(&self) -> Option<Moment> {
        self.moments.now().await
    }

    /// Writes what is pending and closes the database.
    pub async fn close(&self) {
        self.moments.close().await;
        self.pool.close().await;
    }
}

/// Tables that belong together, and how they came to be what they are.
struct Schema {
    /// What they are to people.
    what: &'static str,
    /// The steps, oldest first.
    migrations: &'static [&'static str],
    /// Whether rows of older versions are filled as a catalogue's are.
    is_catalogue: bool,
}

/// The catalogue's.
const SCHEMA: Schema = Schema { what: "the catalogue", migrations: MIGRATIONS, is_catalogue: true };

impl Schema {
    /// How many migrations are in a database that says `found`, if this is not more than there are.
    fn known(&self, found: i64) -> Result<usize> {
        match usize::try_from(found) {
            Ok(version) if version <= self.migrations.len() => Ok(version),
            _ => Err(CatalogueError::Newer { what: self.what, found, known: self.migrations.len() }),
        }
    }

    /// Fills what rows of older versions do not say by themselves.
    async fn fill(&self, connection: &mut Connection, done: usize) -> Result<()> {
        if self.is_catalogue { filling::fill(connection, done).await } else { Ok(()) }
    }
}
