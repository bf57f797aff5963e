//! Transactions that read and then write: one after the other where they are about the same thing.

use provenv_definition::Digest;

use super::query::Query;
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
    /// The versions of several, in their order.
    Environments(&'a [&'a str]),
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
    /// What is locked, in the order in which it is: who waits for one thing holds none that comes after it.
    fn names(self) -> Vec<String> {
        vec![match self {
            Self::Everything => EVERYTHING.to_owned(),
            Self::Environment(name) => format!("environment {name}"),
            Self::Environments(names) => {
                return names.iter().map(|name| format!("environment {name}")).collect();
            }
            Self::Definition(digest) => format!("definition {digest}"),
            Self::Abouts => "abouts".to_owned(),
            Self::Audits => "audits".to_owned(),
            Self::Remote => "remote".to_owned(),
            Self::Registry => "registry".to_owned(),
        }]
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
                let names = turn.names();
                let mut locks: Vec<_> = names.iter().map(|name| (EXCLUSIVE, name.as_str())).collect();
                if !matches!(turn, Turn::Everything) {
                    locks.insert(0, (SHARED, EVERYTHING));
                }
                take(&mut transaction, schema, &locks).await?;
                Ok(transaction)
            }
        }
    }
}

const EXCLUSIVE: &str = "pg_advisory_xact_lock";
const SHARED: &str = "pg_advisory_xact_lock_shared";

/// Takes the lock of that name in a catalogue until the transaction ends.
pub(super) async fn lock(transaction: &mut Connection, schema: &str, name: &str) -> Result<(), sqlx::Error> {
    take(transaction, schema, &[(EXCLUSIVE, name)]).await
}

/// Takes locks, one after the other.
async fn take(
    transaction: &mut Connection,
    schema: &str,
    locks: &[(&'static str, &str)],
) -> Result<(), sqlx::Error> {
    let mut query = Query::default();
    for (place, (how, name)) in locks.iter().enumerate() {
        query.push(if place == 0 { "SELECT " } else { " UNION ALL SELECT " });
        // The function returns nothing, which is no value of a row.
        query
            .push(how)
            .push("(hashtextextended(")
            .text(format!("provenv {schema} {name}"))
            .push(", 0)) IS NULL");
    }
    query.execute(transaction).await
}
