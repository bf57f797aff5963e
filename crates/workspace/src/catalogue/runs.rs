//! Runs: what was executed, in which receipt, and how it ended.

use provenv_definition::Digest;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;

use super::{Catalogue, Result, Row, corrupt};

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// Its command runs.
    Running,
    /// Its command ended with 0.
    Completed,
    /// Its command ended with another code, or could not be started.
    Failed,
    /// Somebody stopped it.
    Canceled,
    /// The process that watched it died before it ended.
    Lost,
}

impl RunStatus {
    /// The word in the catalogue.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Lost => "lost",
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "running" => Self::Running,
            "completed" => Self::Completed,
            "canceled" => Self::Canceled,
            "lost" => Self::Lost,
            _ => Self::Failed,
        }
    }
}

/// One run.
#[derive(Clone, Debug)]
pub struct RunRow {
    /// Its identifier, also the name of its folder.
    pub id: String,
    /// The job's name.
    pub name: String,
    /// The environment's name.
    pub environment: String,
    /// The environment's version.
    pub version: String,
    /// The exact receipt.
    pub receipt: Digest,
    /// The image it ran in.
    pub manifest: Digest,
    /// The job as JSON.
    pub body: String,
    /// How far it is.
    pub status: RunStatus,
    /// The command's exit code.
    pub exit_code: Option<i64>,
    /// Why it failed, where that is not the command's doing.
    pub error: Option<String>,
    /// When it was submitted.
    pub started_at: jiff::Timestamp,
    /// When it ended.
    pub ended_at: Option<jiff::Timestamp>,
}

pub(super) const COLUMNS: &str =
    "id, name, environment, version, receipt, manifest, body, status, exit_code, error, started_at, ended_at";

impl Catalogue {
    /// Records a new run.
    pub async fn begin_run(&self, run: &RunRow) -> Result<()> {
        self.enter_run(run, None, "").await?;
        Ok(())
    }

    /// Records a run that somebody tells of. Says whether it is new.
    pub async fn begin_reported_run(&self, run: &RunRow, who: &str) -> Result<bool> {
        self.enter_run(run, Some(who), "ON CONFLICT (id) DO NOTHING").await
    }

    async fn enter_run(&self, run: &RunRow, who: Option<&str>, conflict: &'static str) -> Result<bool> {
        let done = sqlx::query(sqlx::AssertSqlSafe(format!(
            "INSERT INTO runs (id, name, environment, version, receipt, manifest, body, status, started_at, reported_by,
                               heard_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) {conflict}"
        )))
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
        .bind(who.map(|_| jiff::Timestamp::now().to_string()))
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Records how a run ended, which it does once: says whether it did now.
    pub async fn end_run(
        &self,
        id: &str,
        status: RunStatus,
        exit_code: Option<i32>,
        error: Option<&str>,
    ) -> Result<bool> {
        let done = sqlx::query(
            "UPDATE runs SET status = $1, exit_code = $2, error = $3, ended_at = $4
             WHERE id = $5 AND status = 'running'",
        )
        .bind(status.as_str())
        .bind(exit_code)
        .bind(error)
        .bind(jiff::Timestamp::now().to_string())
        .bind(id)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// A run by its identifier.
    pub async fn run(&self, id: &str) -> Result<Option<RunRow>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM runs WHERE id = $1")))
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Every run, newest first, at most `limit`.
    pub async fn runs(&self, limit: u32) -> Result<Vec<RunRow>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM runs ORDER BY started_at DESC, id LIMIT $1"
        )))
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read).collect()
    }
}

pub(super) fn read(row: &Row) -> Result<RunRow> {
    let ended_at: Option<String> = row.try_get("ended_at")?;
    Ok(RunRow {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        environment: row.try_get("environment")?,
        version: row.try_get("version")?,
        receipt: row.try_get::<String, _>("receipt")?.parse().map_err(corrupt("digest"))?,
        manifest: row.try_get::<String, _>("manifest")?.parse().map_err(corrupt("digest"))?,
        body: row.try_get("body")?,
        status: RunStatus::parse(&row.try_get::<String, _>("status")?),
        exit_code: row.try_get("exit_code")?,
        error: row.try_get("error")?,
        started_at: row.try_get::<String, _>("started_at")?.parse().map_err(corrupt("time"))?,
        ended_at: ended_at.map(|text| text.parse()).transpose().map_err(corrupt("time"))?,
    })
}
