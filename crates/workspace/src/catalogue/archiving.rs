//! Names and versions that are put away, and back.

use super::history::{self, NewChange, change};
use super::sharing::must_be_own;
use super::{Catalogue, Result, Turn};

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameRow {
    /// Whether it is archived as a whole.
    pub archived: bool,
    /// Whether it has versions: one or none, where all were deleted.
    pub versions: i64,
    /// Its newest version that is not archived itself.
    pub newest: Option<String>,
}

impl Catalogue {
    /// A name; `None` where nothing was ever registered under it.
    pub async fn name(&self, name: &str) -> Result<Option<NameRow>> {
        let row: Option<(Option<String>, i64, Option<String>)> = sqlx::query_as(
            "SELECT archived_at, (SELECT count(*) FROM (
                 SELECT 1 FROM environments WHERE environments.name = environment_names.name LIMIT 1) one), (
                 SELECT version FROM environments x WHERE x.name = environment_names.name AND x.archived_at IS NULL
                 ORDER BY x.ordinal DESC LIMIT 1)
             FROM environment_names WHERE name = $1",
        )
        .bind(name)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|(archived_at, versions, newest)| NameRow {
            archived: archived_at.is_some(),
            versions,
            newest,
        }))
    }

    /// Names of what is not archived, for somebody who wrote one of them wrongly: those that sort near it, and the first of all.
    /// In a small catalogue these are all, and in a large one they are found as quickly.
    pub async fn names_near(&self, name: &str) -> Result<Vec<String>> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT k.name FROM (
                 SELECT name FROM (SELECT name FROM environment_names WHERE name > $1 ORDER BY name LIMIT 100) above
                 UNION SELECT name FROM (
                     SELECT name FROM environment_names WHERE name < $1 ORDER BY name DESC LIMIT 100) below
                 UNION SELECT name FROM (SELECT name FROM environment_names ORDER BY name LIMIT 500) beginning
             ) k WHERE EXISTS (SELECT 1 FROM environments e WHERE e.name = k.name AND e.archived_at IS NULL)
             ORDER BY k.name",
        )
        .bind(name)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(name,)| name).collect())
    }

    /// Archives or restores a name, or one of its versions. Says whether that was a change.
    pub async fn set_archived(
        &self,
        name: &str,
        version: Option<&str>,
        archived: bool,
        who: &str,
    ) -> Result<bool> {
        let at = archived.then(|| jiff::Timestamp::now().to_string());
        let mut transaction = self.begin(&Turn::Environment(name)).await?;
        must_be_own(&mut transaction, name).await?;
        let changed = match version {
            Some(version) => sqlx::query(
                "UPDATE environments SET archived_at = $1
                 WHERE name = $2 AND version = $3 AND (archived_at IS NULL) = ($1 IS NOT NULL)",
            )
            .bind(at)
            .bind(name)
            .bind(version),
            None => sqlx::query(
                "UPDATE environment_names SET archived_at = $1
                 WHERE name = $2 AND (archived_at IS NULL) = ($1 IS NOT NULL)",
            )
            .bind(at)
            .bind(name),
        };
        if changed.execute(&mut *transaction).await?.rows_affected() == 0 {
            return Ok(false);
        }
        let change = if archived { change::ARCHIVED } else { change::RESTORED };
        let new = NewChange { name, version, change, who, ..NewChange::default() };
        history::record(&mut transaction, &new).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
