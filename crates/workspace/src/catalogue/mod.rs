//! The catalogue: who, what, when. SQLite today; every query keeps to SQL that PostgreSQL takes too.

mod abouts;
mod archiving;
mod audits;
mod builds;
mod deleting;
mod describing;
mod documents;
mod environments;
mod filling;
mod finding;
pub mod history;
mod holdings;
mod images;
mod labels;
mod lineage;
mod proofs;
mod query;
mod registry;
mod remote;
mod runs;
mod uses;

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

pub use builds::{BuildRow, BuildStatus};
pub use deleting::{Deletion, References};
pub use describing::Description;
pub use environments::{EnvironmentRow, NewEnvironment, Same};
pub use finding::{Condition, Criteria, FoundRow, Include};
pub use history::ChangeRow;
pub use holdings::ArtifactRow;
pub use images::{ImageRow, MadeRow};
pub use lineage::RunName;
pub use proofs::Origin;
pub use registry::{Refused, RepositoryVersion};
pub use runs::{RunRow, RunStatus};

/// The schemas, oldest first; the database's `user_version` says how many are in.
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
];

/// What can go wrong with the catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The database refused.
    #[error("the catalogue could not be read or written")]
    Database(#[from] sqlx::Error),
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
    #[error("the catalogue was written by a newer provenv (schema {found}, this one knows {known})")]
    Newer {
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
    /// A version that was deleted, and is not given again.
    #[error("{name}:{version} was deleted, and a version that was deleted is never given again")]
    VersionDeleted {
        /// The environment.
        name: String,
        /// Its version.
        version: String,
    },
}

/// Where connections come from.
type Pool = SqlitePool;
/// What queries are sent through.
type Connection = sqlx::SqliteConnection;
/// What they come back as.
type Row = sqlx::sqlite::SqliteRow;
/// What writes and reads what it writes about.
type Writing = sqlx::Transaction<'static, sqlx::Sqlite>;

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
    pool: SqlitePool,
}

impl Catalogue {
    /// Opens the database at `path`, made and migrated where needed. Many processes may do so at once.
    pub async fn open(path: &Path) -> Result<Self> {
        // SQLite would make it writable to nobody but its owner, whatever the umask; its other files take after this one.
        fs_err::OpenOptions::new().create(true).append(true).open(path).map_err(sqlx::Error::Io)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A registered version must outlive a power cut, as the blobs it names do.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_mins(1));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        let catalogue = Self { pool };
        catalogue.migrate().await?;
        Ok(catalogue)
    }

    async fn migrate(&self) -> Result<()> {
        if self.schema_version().await? == MIGRATIONS.len() {
            return Ok(());
        }
        let mut transaction = self.pool.begin_with("BEGIN EXCLUSIVE").await?;
        // Another process may have migrated while this one waited.
        let (found,): (i64,) = sqlx::query_as("PRAGMA user_version").fetch_one(&mut *transaction).await?;
        let done = usize::try_from(found).unwrap_or(0);
        for migration in MIGRATIONS.iter().skip(done) {
            sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
        }
        filling::environments(&mut transaction).await?;
        if done < 10 {
            filling::locks(&mut transaction).await?;
            filling::audits(&mut transaction).await?;
        }
        let set_version = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {}", MIGRATIONS.len()));
        sqlx::raw_sql(set_version).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// A transaction that nobody else writes beside.
    async fn writing(&self) -> Result<Writing> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }

    async fn schema_version(&self) -> Result<usize> {
        let (found,): (i64,) = sqlx::query_as("PRAGMA user_version").fetch_one(&self.pool).await?;
        match usize::try_from(found) {
            Ok(version) if version <= MIGRATIONS.len() => Ok(version),
            _ => Err(CatalogueError::Newer { found, known: MIGRATIONS.len() }),
        }
    }

    /// Writes what is pending and closes the database.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
