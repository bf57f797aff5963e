//! `server.db`: who may do what, what is to be done, what was answered. What a workspace holds is in its own catalogue.

mod answers;
mod audit;
mod jobs;
mod people;

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

pub use answers::Answered;
pub use audit::{Action, AuditFilter, AuditRow, Deed};
pub use jobs::{Claimed, Job, JobError, JobStatus, NewJob};
pub use people::{NewToken, Role, Token};

/// The schemas, oldest first; the database's `user_version` says how many are in.
const MIGRATIONS: &[&str] = &[include_str!("schema.sql"), include_str!("audit.sql")];

/// What can go wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
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
    /// Written by a newer Provenv.
    #[error("the server's database was written by a newer provenv (schema {found}, this one knows {known})")]
    Newer {
        /// The database's schema.
        found: i64,
        /// Ours.
        known: usize,
    },
}

/// What queries are sent through.
type Connection = sqlx::SqliteConnection;

pub(crate) type Result<T, E = DatabaseError> = std::result::Result<T, E>;

/// A connection to the server's database.
#[derive(Clone, Debug)]
pub struct Database {
    pool: SqlitePool,
}

impl Database {
    /// Opens the database at `path`, made and migrated where needed.
    pub async fn open(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // An accepted job must outlive a power cut.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_mins(1));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        let database = Self { pool };
        database.migrate().await?;
        Ok(database)
    }

    async fn migrate(&self) -> Result<()> {
        let mut transaction = self.pool.begin_with("BEGIN EXCLUSIVE").await?;
        let (found,): (i64,) = sqlx::query_as("PRAGMA user_version").fetch_one(&mut *transaction).await?;
        let done = usize::try_from(found).unwrap_or(usize::MAX);
        if done > MIGRATIONS.len() {
            return Err(DatabaseError::Newer { found, known: MIGRATIONS.len() });
        }
        for migration in &MIGRATIONS[done..] {
            sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
        }
        let set_version = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {}", MIGRATIONS.len()));
        sqlx::raw_sql(set_version).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Begins a transaction that is to write.
    async fn begin(&self) -> Result<sqlx::Transaction<'static, sqlx::Sqlite>> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Whether it answers.
    pub async fn is_well(&self) -> bool {
        sqlx::query("SELECT 1").execute(&self.pool).await.is_ok()
    }

    /// Writes what is pending and closes it.
    pub async fn close(&self) {
        self.pool.close().await;
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
