//! Who may do what, what is to be done, what was answered. What a workspace holds is in its own catalogue.
//!
//! It is in `server.db` of the server's folder, or in a schema of PostgreSQL, which several servers share; the same queries do
//! for both. Whoever reads and then writes what it read about begins a [turn](Database::begin).

mod answers;
mod audit;
mod callers;
mod counts;
mod jobs;
mod once;
mod people;
mod secrets;
mod sessions;
mod shares;

use std::path::Path;

use provenv_workspace::{CatalogueError, Moment, ServerSettings, Tables, Together};
use tracing::Instrument as _;

use crate::trace;

pub use answers::Answered;
pub use audit::{Action, AuditFilter, AuditRow, CAME_FROM, Deed, Deeds, Once, unguessable};
pub use counts::{EndedJob, Waiting};
pub use jobs::{Claimed, Job, JobError, JobStatus, NewJob, Return};
pub(crate) use people::random;
pub use people::{Identity, NewToken, Role, Scope, Token};
pub use secrets::{SealedSecret, Secret};
pub use sessions::{Session, SignIn, secret};
pub use shares::{Share, Sharing};

/// The file, where it is not in PostgreSQL.
const FILE: &str = "server.db";

/// The schemas, oldest first; the database says how many are in. They keep to what both databases take: `TEXT`, `BIGINT`,
/// `BLOB`, times as text.
const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("audit.sql"),
    include_str!("sign_in.sql"),
    include_str!("secrets.sql"),
    include_str!("workers.sql"),
    include_str!("token_parents.sql"),
    include_str!("shares.sql"),
    include_str!("ended.sql"),
];

/// What queries are sent through.
type Connection = sqlx::AnyConnection;
/// What queries come back as.
type Row = sqlx::any::AnyRow;
/// A turn: what reads and then writes.
type Writing = sqlx::Transaction<'static, sqlx::Any>;

/// What can go wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It cannot be opened.
    #[error("the server's database could not be opened")]
    Open(#[source] CatalogueError),
    /// It refused.
    #[error("the server's database could not be read or written")]
    Database(#[from] sqlx::Error),
    /// A row does not read.
    #[error("the server's database holds a {what} that cannot be read: {value}")]
    Corrupt {
        /// What kind of value.
        what: &'static str,
        /// The value.
        value: String,
    },
}

impl DatabaseError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Open(CatalogueError::Newer { .. }) => Some("use the newer provenv for it".to_owned()),
            Self::Open(CatalogueError::Setting { .. }) => Some(
                "`server.database` or PROVENV_SERVER_DATABASE is like postgres://USER@HOST:PORT/DATABASE, what is special in \
                 it percent-encoded; docs/how-to/several-servers.md says more"
                    .to_owned(),
            ),
            Self::Open(CatalogueError::TwoCatalogues { .. }) => Some(
                "it was served without PostgreSQL before: name another folder with --root, or set PROVENV_SERVER_DATABASE to \
                 nothing to go on with its own"
                    .to_owned(),
            ),
            Self::Open(CatalogueError::Elsewhere { .. }) => Some(
                "set `server.database` or PROVENV_SERVER_DATABASE to it, or name another folder with --root".to_owned(),
            ),
            Self::Open(CatalogueError::Foreign { .. }) => Some(
                "name the database that it belongs to (`server.database`), or another folder with --root".to_owned(),
            ),
            _ => None,
        }
    }
}

pub(crate) type Result<T, E = DatabaseError> = std::result::Result<T, E>;

/// A connection to the server's database.
#[derive(Clone, Debug)]
pub struct Database {
    tables: Tables,
    pool: sqlx::AnyPool,
    /// What is to be written down.
    deeds: Together<Vec<Deeds>, audit::Outcome>,
    /// Who called.
    callers: callers::Callers,
}

impl Database {
    /// Opens the database of the server in this folder, made and migrated where needed.
    pub async fn open(root: &Path, settings: &ServerSettings) -> Result<Self> {
        let tables = Tables::open(root, FILE, MIGRATIONS, settings).await.map_err(DatabaseError::Open)?;
        Ok(Self {
            pool: tables.pool.clone(),
            tables,
            deeds: Together::default(),
            callers: callers::Callers::default(),
        })
    }

    /// Which moment of it it is.
    pub async fn moment(&self) -> Option<Moment> {
        self.tables.moments.now().await
    }

    /// Whether other servers and workers may have it too.
    pub fn is_shared(&self) -> bool {
        self.tables.is_postgres()
    }

    /// Begins a transaction that reads and then writes, when it is its turn: two with the same name wait for each other,
    /// whichever server they are of.
    async fn begin(&self, turn: &str) -> Result<Writing> {
        Ok(self.tables.begin(turn).instrument(trace::part("wait for the database")).await?)
    }

    /// Begins a turn of this name with nothing to write: whoever else begins one waits until it is dropped.
    pub async fn turn(&self, name: &str) -> Result<impl Send + use<>> {
        self.begin(name).await
    }

    /// Whether it answers.
    pub async fn is_well(&self) -> bool {
        sqlx::query("SELECT 1").execute(&self.pool).await.is_ok()
    }

    /// Writes what is pending and closes it.
    pub async fn close(&self) {
        self.tables.close().await;
    }
}

/// A time as the database keeps it: of one length, so that text sorts as times do.
fn stamp(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

fn now() -> String {
    stamp(jiff::Timestamp::now())
}

fn parse<T: std::str::FromStr>(what: &'static str, value: String) -> Result<T> {
    value.parse().map_err(|_| DatabaseError::Corrupt { what, value })
}

#[cfg(test)]
mod tests {
    use provenv_workspace::{ServerSettings, Tables};

    use super::{Action, AuditFilter, Database, Deed, FILE, MIGRATIONS};

    /// What a server of the first schema had.
    const FIRST: &str = "
        INSERT INTO workspaces VALUES ('default', '2026-07-01T09:30:00.000000Z', 'owner');
        INSERT INTO roles VALUES ('*', 'owner', 'owner');
        INSERT INTO tokens (id, user_name, digest, prefix, note, created_at)
            VALUES ('t', 'owner', 'd', 'pvt_x', '', '2026-07-01T09:30:00.000000Z');";

    #[tokio::test]
    async fn a_database_of_every_older_schema_opens() {
        let folder = tempfile::tempdir().unwrap();
        let settings = ServerSettings::default();
        for older in 1..=MIGRATIONS.len() {
            let root = folder.path().join(older.to_string());
            fs_err::create_dir(&root).unwrap();
            let tables = Tables::open(&root, FILE, &MIGRATIONS[..older], &settings).await.unwrap();
            sqlx::raw_sql(FIRST).execute(&tables.pool).await.unwrap();
            tables.close().await;

            let database = Database::open(&root, &settings).await.unwrap();
            assert_eq!(database.workspaces().await.unwrap(), ["default"], "schema {older}");
            assert_eq!(database.tokens(None).await.unwrap().len(), 1, "schema {older}");
            // What came since works.
            database.begin_audit_log().await.unwrap();
            database.record(&Deed::new("ann", Action::SignIn, "ann")).await.unwrap();
            let entries = database.audit_entries(&AuditFilter::default(), 10).await.unwrap();
            assert_eq!(entries.len(), 1, "schema {older}");
            assert!(database.secrets("default").await.unwrap().is_empty());
            database.close().await;
        }
    }
}
