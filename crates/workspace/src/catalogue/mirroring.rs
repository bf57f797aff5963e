//! Versions of another workspace, as they are there; and runs that another machine tells of.

use provenv_definition::{Digest, Environment};

use super::runs::{RunRow, read};
use super::{Catalogue, ImageRow, Result, Turn, corrupt};

/// A version of another workspace.
#[derive(Clone, Debug)]
pub struct MirroredVersion {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Digest of all that is immutable in it.
    pub content: Digest,
    /// Digest of its definition.
    pub definition: Digest,
    /// The receipt it points to.
    pub receipt: Digest,
    /// The lock of that receipt.
    pub lock: Digest,
    /// The environment itself.
    pub environment: Environment,
    /// When it was registered there.
    pub created_at: jiff::Timestamp,
    /// By whom.
    pub created_by: String,
    /// Whether it is archived.
    pub archived: bool,
    /// The version that it was made from.
    pub from: Option<(String, String)>,
}

impl Catalogue {
    /// Keeps a version as it is elsewhere, over what was known of it. Its place among others says nothing here.
    pub async fn mirror(&self, version: &MirroredVersion) -> Result<()> {
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
        .bind(version.content.to_string())
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

    /// Records a run that somebody tells of. Says whether it is new.
    pub async fn begin_reported_run(&self, run: &RunRow, who: &str) -> Result<bool> {
        let done = sqlx::query(
            "INSERT INTO runs (id, name, environment, version, receipt, manifest, body, status, started_at, reported_by,
                               heard_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (id) DO NOTHING",
        )
        .bind(&run.id)
        .bind(&run.name)
        .bind(&run.environment)
        .bind(&run.version)
        .bind(run.receipt.to_string())
        .bind(run.manifest.to_string())
        .bind(&run.body)
        .bind(run.status.as_str())
        .bind(run.started_at.to_string())
        .bind(who)
        .bind(jiff::Timestamp::now().to_string())
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Records that a run that somebody tells of goes on.
    pub async fn hear_of_run(&self, id: &str) -> Result<()> {
        sqlx::query("UPDATE runs SET heard_at = $1 WHERE id = $2 AND reported_by IS NOT NULL")
            .bind(jiff::Timestamp::now().to_string())
            .bind(id)
            .execute(&self.pool)
            .await?;
        Ok(())
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
