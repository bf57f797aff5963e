//! Transactions that read and then write: one after the other where they are about the same thing.

use provenv_definition::Digest;

use super::{Catalogue, Connection, Database, Result, Writing};

/// What a transaction reads before it writes. Two about the same thing wait for each other.
///
/// SQLite has one writer anyway. In PostgreSQL it is a lock by name, held until the transaction ends: no table is locked,
/// nobody has to try again, and each statement sees what was committed before the transaction had its turn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn<'a> {
    /// What is about many things: it waits for all others, and they for it.
    Everything,
    /// The versions of one name.
    Environment(&'a str),
    /// What a definition resolves to.
    Definition(&'a Digest),
    /// What packages say of themselves.
    Abouts,
    /// What audits found.
    Audits,
    /// What other registries have.
    Remote,
    /// What is pushed here, and what of it nothing names.
    Registry,
}

impl Turn<'_> {
    fn name(self) -> String {
        match self {
            Self::Everything => EVERYTHING.to_owned(),
            Self::Environment(name) => format!("environment {name}"),
            Self::Definition(digest) => format!("definition {digest}"),
            Self::Abouts => "abouts".to_owned(),
            Self::Audits => "audits".to_owned(),
            Self::Remote => "remote".to_owned(),
            Self::Registry => "registry".to_owned(),
        }
    }
}

const EVERYTHING: &str = "everything";

impl Catalogue {
    /// Begins a transaction that is to write, when it is its turn.
    pub(super) async fn begin(&self, turn: &Turn<'_>) -> Result<Writing> {
        match &self.database {
            Database::Sqlite => Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?),
            Database::Postgres { schema } => {
                // Whatever the server's default is: a snapshot from before the turn would hide what others have written.
                let mut transaction = self.pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
                if !matches!(turn, Turn::Everything) {
                    take("pg_advisory_xact_lock_shared", &mut transaction, schema, EVERYTHING).await?;
                }
                lock(&mut transaction, schema, &turn.name()).await?;
                Ok(transaction)
            }
        }
    }
}

/// Takes the lock of that name in a catalogue until the transaction ends.
pub(super) async fn lock(transaction: &mut Connection, schema: &str, name: &str) -> Result<(), sqlx::Error> {
    take("pg_advisory_xact_lock", transaction, schema, name).await
}

async fn take(how: &str, transaction: &mut Connection, schema: &str, name: &str) -> Result<(), sqlx::Error> {
    // The function returns nothing, which is no value of a row.
    sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {how}(hashtextextended($1, 0)) IS NULL")))
        .bind(format!("provenv {schema} {name}"))
        .execute(transaction)
        .await?;
    Ok(())
}
