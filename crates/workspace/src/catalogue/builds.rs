//! Attempts to assemble an image, and where their logs are.

use provenv_definition::{Digest, Platform};
use provenv_image::form::Form;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;

use super::{Catalogue, Result, Row, corrupt};

/// How far a build is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BuildStatus {
    /// It waits for a worker: of a server alone.
    Queued,
    /// It assembles.
    Running,
    /// It arrived at an image.
    Succeeded,
    /// It did not.
    Failed,
    /// It was asked to stop.
    Canceled,
    /// The process died before it ended. Found out by whoever looks, and not in the catalogue.
    Lost,
}

impl std::fmt::Display for BuildStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Lost => "lost",
        })
    }
}

/// One attempt.
#[derive(Clone, Debug)]
pub struct BuildRow {
    /// Its identifier.
    pub id: String,
    /// The lock that it assembles; a run of a Dockerfile comes before there is one.
    pub lock: Option<Digest>,
    /// The definition that a Dockerfile is run for.
    pub definition: Option<Digest>,
    /// What the image is for.
    pub platform: Platform,
    /// How far it is.
    pub status: BuildStatus,
    /// The image it arrived at.
    pub manifest: Option<Digest>,
    /// Why it failed.
    pub error: Option<String>,
    /// Its log, as a path below the workspace.
    pub log: String,
    /// When it began.
    pub started_at: jiff::Timestamp,
    /// When it ended.
    pub ended_at: Option<jiff::Timestamp>,
}

const COLUMNS: &str = "id, lock, definition, platform, status, manifest, error, log, started_at, ended_at";

impl Catalogue {
    /// A build by its identifier.
    pub async fn build(&self, id: &str) -> Result<Option<BuildRow>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM builds WHERE id = $1")))
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Every build, newest first, at most `limit`.
    pub async fn builds(&self, limit: u32) -> Result<Vec<BuildRow>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM builds ORDER BY started_at DESC, id LIMIT $1"
        )))
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read).collect()
    }

    /// A build begins.
    pub async fn begin_build(
        &self,
        id: &str,
        lock: &Digest,
        platform: Platform,
        form: Form,
        log: &str,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO builds (id, lock, platform, status, log, started_at, epoch, compression, layers)
             VALUES ($1, $2, $3, 'running', $4, $5, $6, $7, $8)",
        )
        .bind(id)
        .bind(lock.to_string())
        .bind(platform.as_str())
        .bind(log)
        .bind(jiff::Timestamp::now().to_string())
        .bind(i64::from(form.epoch))
        .bind(form.packing.as_str())
        .bind(i64::from(form.layers.unwrap_or(0)))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A Dockerfile begins to run, for this definition.
    pub async fn begin_dockerfile(
        &self,
        id: &str,
        definition: &Digest,
        platform: Platform,
        log: &str,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO builds (id, lock, definition, platform, status, log, started_at)
             VALUES ($1, '', $2, $3, 'running', $4, $5)",
        )
        .bind(id)
        .bind(definition.to_string())
        .bind(platform.as_str())
        .bind(log)
        .bind(jiff::Timestamp::now().to_string())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A build has ended, well or not.
    pub async fn end_build(&self, id: &str, outcome: Result<&Digest, &str>) -> Result<()> {
        let (status, manifest, error) = match outcome {
            Ok(manifest) => ("succeeded", Some(manifest.to_string()), None),
            Err(error) => ("failed", None, Some(error)),
        };
        sqlx::query("UPDATE builds SET status = $1, manifest = $2, error = $3, ended_at = $4 WHERE id = $5")
            .bind(status)
            .bind(manifest)
            .bind(error)
            .bind(jiff::Timestamp::now().to_string())
            .bind(id)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// A build is asked to stop. To the schema it has failed, and what tells it apart is that it had no error.
    pub async fn cancel_build(&self, id: &str) -> Result<()> {
        sqlx::query("UPDATE builds SET status = 'failed', ended_at = $1 WHERE id = $2")
            .bind(jiff::Timestamp::now().to_string())
            .bind(id)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The log of the newest attempt at a lock that arrived at `manifest`, as a path below the workspace.
    pub async fn build_log(&self, lock: &Digest, manifest: &Digest) -> Result<Option<String>> {
        let row: Option<(String,)> = sqlx::query_as(
            "SELECT log FROM builds WHERE lock = $1 AND manifest = $2 ORDER BY started_at DESC LIMIT 1",
        )
        .bind(lock.to_string())
        .bind(manifest.to_string())
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|(log,)| log))
    }
}

fn read(row: &Row) -> Result<BuildRow> {
    let manifest: Option<String> = row.try_get("manifest")?;
    let ended_at: Option<String> = row.try_get("ended_at")?;
    let lock: String = row.try_get("lock")?;
    let definition: Option<String> = row.try_get("definition")?;
    Ok(BuildRow {
        id: row.try_get("id")?,
        lock: (!lock.is_empty()).then(|| lock.parse()).transpose().map_err(corrupt("digest"))?,
        definition: definition.map(|text| text.parse()).transpose().map_err(corrupt("digest"))?,
        platform: row.try_get::<String, _>("platform")?.parse().map_err(corrupt("platform"))?,
        status: match row.try_get::<String, _>("status")?.as_str() {
            "running" => BuildStatus::Running,
            "succeeded" => BuildStatus::Succeeded,
            _ if row.try_get::<Option<String>, _>("error")?.is_none() => BuildStatus::Canceled,
            _ => BuildStatus::Failed,
        },
        manifest: manifest.map(|text| text.parse()).transpose().map_err(corrupt("digest"))?,
        error: row.try_get("error")?,
        log: row.try_get("log")?,
        started_at: row.try_get::<String, _>("started_at")?.parse().map_err(corrupt("time"))?,
        ended_at: ended_at.map(|text| text.parse()).transpose().map_err(corrupt("time"))?,
    })
}
