//! Many versions in one transaction.

use provenv_definition::{Digest, Environment};
use provenv_lock::{Lock, Receipt};
use serde::Deserialize;

use super::environments::{NewEnvironment, Same, enter};
use super::holdings::index_lock;
use super::{Catalogue, CatalogueError, Connection, Result, Turn, corrupt};
use crate::importing::unknown_lock;

/// What a line says.
#[derive(Clone, Debug)]
pub enum Importing {
    /// A lock.
    Lock(Box<Lock>),
    /// A version.
    Version(Box<ImportedVersion>),
}

/// A version to be taken in.
#[derive(Clone, Debug)]
pub struct ImportedVersion {
    /// Its name.
    pub name: String,
    /// Its version; the next number, if it says none.
    pub version: Option<String>,
    /// Digest of all that is immutable in it.
    pub content: Digest,
    /// Its receipt.
    pub receipt: Receipt,
    /// The environment itself.
    pub environment: Environment,
    /// When it was registered.
    pub created_at: jiff::Timestamp,
    /// By whom.
    pub created_by: String,
}

impl Catalogue {
    /// Takes all of them in, or none. Gives how many versions are new; or which cannot be taken, and why.
    pub async fn import(&self, lines: &[Importing]) -> Result<Result<u64, (usize, String)>> {
        let mut created = 0;
        let mut transaction = self.begin(&Turn::Everything).await?;
        for (place, line) in lines.iter().enumerate() {
            match line {
                Importing::Lock(lock) => {
                    let body = String::from_utf8(lock.to_bytes()).map_err(corrupt("lock"))?;
                    let digest = Digest::of(body.as_bytes());
                    document(&mut transaction, &digest, "lock", &body).await?;
                    index_lock(&mut transaction, &digest, lock).await?;
                }
                Importing::Version(version) => match take(&mut transaction, version).await {
                    Ok(Ok(is_new)) => created += u64::from(is_new),
                    Ok(Err(why)) => return Ok(Err((place, why))),
                    Err(
                        error @ (CatalogueError::VersionTaken { .. }
                        | CatalogueError::VersionDeleted { .. }
                        | CatalogueError::SharedHere { .. }
                        | CatalogueError::Nul { .. }),
                    ) => {
                        return Ok(Err((place, error.to_string())));
                    }
                    Err(CatalogueError::Database(sqlx::Error::RowNotFound)) => {
                        return Ok(Err((place, unknown_lock(&version.receipt.lock))));
                    }
                    Err(error) => return Err(error),
                },
            }
        }
        transaction.commit().await?;
        Ok(Ok(created))
    }
}

/// What is read of a lock to know what it is of.
#[derive(Deserialize)]
struct OfLock {
    definition: Digest,
}

/// Whether it is new; or why it is not taken.
async fn take(connection: &mut Connection, version: &ImportedVersion) -> Result<Result<bool, String>> {
    let (definition, lock) = (&version.receipt.definition, &version.receipt.lock);
    let (body,): (String,) = sqlx::query_as("SELECT body FROM documents WHERE digest = $1 AND kind = 'lock'")
        .bind(lock.to_string())
        .fetch_one(&mut *connection)
        .await?;
    let of: OfLock = serde_json::from_str(&body).map_err(corrupt("lock"))?;
    if of.definition != *definition {
        return Ok(Err(format!("its lock {lock} is of another definition than {definition}")));
    }
    let body = serde_json::to_string(&version.environment.definition).map_err(corrupt("definition"))?;
    document(&mut *connection, definition, "definition", &body).await?;
    let text = serde_json::to_string_pretty(&version.receipt).map_err(corrupt("receipt"))?;
    let receipt = Digest::of(text.as_bytes());
    document(&mut *connection, &receipt, "receipt", &text).await?;
    sqlx::query(
        "INSERT INTO current_receipts (definition, receipt) VALUES ($1, $2) ON CONFLICT (definition) DO NOTHING",
    )
    .bind(definition.to_string())
    .bind(receipt.to_string())
    .execute(&mut *connection)
    .await?;
    let new = NewEnvironment {
        name: &version.name,
        version: version.version.as_deref(),
        content: version.content,
        definition: *definition,
        receipt,
        lock: *lock,
        environment: &version.environment,
        created_by: &version.created_by,
        from: None,
        same: Same::ContentAndLock,
    };
    Ok(Ok(enter(connection, &new, version.created_at).await?.1))
}

async fn document(connection: &mut Connection, digest: &Digest, kind: &str, body: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO documents (digest, kind, body) VALUES ($1, $2, $3) ON CONFLICT (digest) DO NOTHING",
    )
    .bind(digest.to_string())
    .bind(kind)
    .bind(body)
    .execute(connection)
    .await?;
    Ok(())
}
