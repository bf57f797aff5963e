//! Versions that go for good. Their numbers are never given again.

use provenv_definition::Digest;

use super::history::{self, NewChange, change};
use super::sharing::must_be_own;
use super::{Catalogue, Connection, Result, Turn, corrupt};

/// What refers to a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// Runs in it.
    pub runs: Vec<String>,
    /// Labels on it.
    pub labels: Vec<String>,
    /// Versions that were made from it, as name and version.
    pub derived: Vec<(String, String)>,
    /// Its images that somebody signed, and that are of no other version.
    pub signed: Vec<Digest>,
}

impl References {
    /// Whether nothing does.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What became of a version that was to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone, or would be.
    Done,
    /// Something refers to it.
    Needed(References),
}

impl Catalogue {
    /// Deletes versions of a name, all of them or none: those that nothing refers to, but for one another. With `dry_run` it only
    /// says what would be. Versions that are not there are left out.
    pub async fn delete(
        &self,
        name: &str,
        versions: &[String],
        dry_run: bool,
        who: &str,
    ) -> Result<Vec<(String, Deletion)>> {
        let mut transaction = self.begin(&Turn::Everything).await?;
        must_be_own(&mut transaction, name).await?;
        let mut outcomes = Vec::new();
        for version in versions {
            let row: Option<(String, i64, String)> = sqlx::query_as(
                "SELECT lock, ordinal, definition FROM environments WHERE name = $1 AND version = $2",
            )
            .bind(name)
            .bind(version)
            .fetch_optional(&mut *transaction)
            .await?;
            let Some((lock, ordinal, definition)) = row else { continue };
            let mut needed = references(&mut transaction, name, version, &lock).await?;
            needed.derived.retain(|(other, derived)| other != name || !versions.contains(derived));
            if !needed.is_empty() {
                outcomes.push((version.clone(), Deletion::Needed(needed)));
                continue;
            }
            forget(&mut transaction, name, version, ordinal, &definition, who).await?;
            outcomes.push((version.clone(), Deletion::Done));
        }
        let all_done = outcomes.iter().all(|(_, outcome)| *outcome == Deletion::Done);
        if all_done && !dry_run {
            transaction.commit().await?;
        } else {
            transaction.rollback().await?;
        }
        Ok(outcomes)
    }

    /// Whether this version was there once and was deleted.
    pub async fn is_deleted(&self, name: &str, version: &str) -> Result<bool> {
        is_deleted(&mut *self.pool.acquire().await?, name, version).await
    }
}

pub(super) async fn is_deleted(connection: &mut Connection, name: &str, version: &str) -> Result<bool> {
    let row: Option<(String,)> =
        sqlx::query_as("SELECT version FROM deleted_versions WHERE name = $1 AND version = $2")
            .bind(name)
            .bind(version)
            .fetch_optional(connection)
            .await?;
    Ok(row.is_some())
}

/// Takes a version away that nothing refers to, and keeps that it was there.
pub(super) async fn forget(
    connection: &mut Connection,
    name: &str,
    version: &str,
    ordinal: i64,
    definition: &str,
    who: &str,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO deleted_versions (name, version, ordinal, deleted_at, deleted_by) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(name)
    .bind(version)
    .bind(ordinal)
    .bind(jiff::Timestamp::now().to_string())
    .bind(who)
    .execute(&mut *connection)
    .await?;
    for gone in [
        "DELETE FROM tags WHERE name = $1 AND version = $2",
        "DELETE FROM environments WHERE name = $1 AND version = $2",
    ] {
        sqlx::query(gone).bind(name).bind(version).execute(&mut *connection).await?;
    }
    let new = NewChange {
        name,
        version: Some(version),
        change: change::DELETED,
        before: Some(definition),
        who,
        ..NewChange::default()
    };
    history::record(connection, &new).await
}

pub(super) async fn references(
    connection: &mut Connection,
    name: &str,
    version: &str,
    lock: &str,
) -> Result<References> {
    let runs: Vec<(String,)> =
        sqlx::query_as("SELECT id FROM runs WHERE environment = $1 AND version = $2 ORDER BY id")
            .bind(name)
            .bind(version)
            .fetch_all(&mut *connection)
            .await?;
    let labels: Vec<(String,)> =
        sqlx::query_as("SELECT label FROM labels WHERE name = $1 AND version = $2 ORDER BY label")
            .bind(name)
            .bind(version)
            .fetch_all(&mut *connection)
            .await?;
    let derived: Vec<(String, String)> = sqlx::query_as(
        "SELECT name, version FROM environments WHERE from_name = $1 AND from_version = $2 ORDER BY name, ordinal",
    )
    .bind(name)
    .bind(version)
    .fetch_all(&mut *connection)
    .await?;
    let signed: Vec<(String,)> = sqlx::query_as(
        "SELECT DISTINCT subject FROM proofs WHERE key IS NOT NULL AND subject IN (
             SELECT manifest FROM images WHERE lock = $1
             UNION SELECT manifest FROM builds WHERE lock = $1 AND status = 'succeeded'
         ) AND NOT EXISTS (
             SELECT 1 FROM environments WHERE lock = $1 AND NOT (name = $2 AND version = $3)
         ) ORDER BY subject",
    )
    .bind(lock)
    .bind(name)
    .bind(version)
    .fetch_all(&mut *connection)
    .await?;
    let signed = signed.into_iter().map(|(digest,)| digest.parse().map_err(corrupt("digest")));
    Ok(References {
        runs: runs.into_iter().map(|(id,)| id).collect(),
        labels: labels.into_iter().map(|(label,)| label).collect(),
        derived,
        signed: signed.collect::<Result<_>>()?,
    })
}
