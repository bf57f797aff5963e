//! Versions of another workspace, as they are there; and runs that another machine tells of.

use provenv_definition::Digest;

use super::runs::{RunRow, read};
use super::{Catalogue, EnvironmentRow, ImageRow, Result, Turn, corrupt};

/// A version of another workspace.
#[derive(Clone, Debug)]
pub struct MirroredVersion {
    /// As it is there: registered when, by whom, made from what.
    pub row: EnvironmentRow,
    /// Digest of all that is immutable in it.
    pub content: Digest,
}

impl Catalogue {
    /// Keeps a version as it is elsewhere, over what was known of it. Its place among others says nothing here.
    pub async fn mirror(&self, mirrored: &MirroredVersion) -> Result<()> {
        let version = &mirrored.row;
        let body = serde_json::to_string(&version.environment).map_err(corrupt("environment"))?;
        let archived = version.archived.then(|| version.created_at.to_string());
        let mut transaction = self.begin(&Turn::Environment(&version.name)).await?;
        sqlx::query(
            "INSERT INTO environments
             (name, version, ordinal, content, definition, receipt, lock, body, created_at, created_by, archived_at, kind,
              from_name, from_version)
             SELECT $1, $2, coalesce(max(ordinal), 0) + 1, $3, $4, $5, $6, $7, $8, $9, $10, 'mirrored', $11, $12
             FROM environments WHERE name = $1
             ON CONFLICT (name, version) DO UPDATE
             SET content = excluded.content, definition = excluded.definition, receipt = excluded.receipt,
                 lock = excluded.lock, body = excluded.body, created_at = excluded.created_at,
                 created_by = excluded.created_by, archived_at = excluded.archived_at,
                 from_name = excluded.from_name, from_version = excluded.from_version",
        )
        .bind(&version.name)
        .bind(&version.version)
        .bind(mirrored.content.to_string())
        .bind(version.definition.to_string())
        .bind(version.receipt.to_string())
        .bind(version.lock.to_string())
        .bind(body)
        .bind(version.created_at.to_string())
        .bind(&version.created_by)
        .bind(archived)
        .bind(version.from.as_ref().map(|(name, _)| name))
        .bind(version.from.as_ref().map(|(_, version)| version))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The images of a lock, in every form and for every platform.
    pub async fn images_by_lock(&self, lock: &Digest) -> Result<Vec<ImageRow>> {
        let rows = sqlx::query(
            "SELECT lock, platform, epoch, compression, layers, body, created_at FROM images WHERE lock = $1
             ORDER BY created_at DESC",
        )
        .bind(lock.to_string())
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(super::images::read).collect()
    }

    /// Records that a run that somebody tells of goes on. Says whether it does.
    pub async fn hear_of_run(&self, id: &str) -> Result<bool> {
        let done = sqlx::query(
            "UPDATE runs SET heard_at = $1 WHERE id = $2 AND reported_by IS NOT NULL AND status = 'running'",
        )
        .bind(jiff::Timestamp::now().to_string())
        .bind(id)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Who tells of a run, and when they last did; `None` where it runs here.
    pub async fn reporter(&self, id: &str) -> Result<Option<(String, jiff::Timestamp)>> {
        let row: Option<(Option<String>, Option<String>)> =
            sqlx::query_as("SELECT reported_by, heard_at FROM runs WHERE id = $1")
                .bind(id)
                .fetch_optional(&self.pool)
                .await?;
        let Some((Some(by), Some(heard))) = row else { return Ok(None) };
        Ok(Some((by, heard.parse().map_err(corrupt("time"))?)))
    }

    /// Runs, newest first, those after the run `after`.
    pub async fn runs_after(&self, limit: u32, after: Option<&str>) -> Result<Vec<RunRow>> {
        let Some(after) = after else { return self.runs(limit).await };
        let columns = super::runs::COLUMNS;
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {columns} FROM runs
             WHERE started_at < (SELECT started_at FROM runs WHERE id = $1)
                OR (started_at = (SELECT started_at FROM runs WHERE id = $1) AND id > $1)
             ORDER BY started_at DESC, id LIMIT $2"
        )))
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read).collect()
    }
}
