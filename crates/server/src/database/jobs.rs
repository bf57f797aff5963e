//! The queue of builds: one job for what is to be made, however many ask; a claim holds as long as its lease is renewed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use provenv_definition::{Digest, Platform};
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use utoipa::ToSchema;

use super::audit::{Action, Deed, append};
use super::people::random;
use super::{Database, Result, Row, now, parse, stamp};
use crate::trace;

/// How long a claim holds without a heartbeat.
const LEASE: Duration = Duration::from_secs(20);

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    /// It waits for a worker.
    Queued,
    /// A worker has it.
    Running,
    /// The image is there.
    Succeeded,
    /// It could not be built.
    Failed,
    /// Somebody did not want it any more.
    Canceled,
}

impl JobStatus {
    const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Canceled];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Whether nothing comes after it.
    pub fn is_end(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for JobStatus {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(())
    }
}

/// Why a job failed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct JobError {
    /// What went wrong.
    pub message: String,
    /// Why, the nearest cause first.
    pub causes: Vec<String>,
    /// What to do next.
    pub hint: Option<String>,
    /// Whether it may go well another time.
    pub transient: bool,
}

/// A build that was asked for.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Job {
    /// Its identifier.
    #[schema(example = "job-20260701-093000-5f3a1c")]
    pub id: String,
    /// The workspace.
    #[schema(example = "default")]
    pub workspace: String,
    /// The environment.
    #[schema(example = "digits")]
    pub environment: String,
    /// Its version.
    #[schema(example = "2")]
    pub version: String,
    /// The lock that it assembles.
    #[schema(value_type = String)]
    pub lock: Digest,
    /// What the image is for.
    #[schema(value_type = String, example = "linux/amd64")]
    pub platform: Platform,
    /// How far it is.
    pub status: JobStatus,
    /// Those with more come first.
    pub priority: i64,
    /// How often it was begun.
    pub attempts: i64,
    /// Who builds it.
    pub worker: Option<String>,
    /// Whether it was asked to stop.
    pub cancel_asked: bool,
    /// The image.
    #[schema(value_type = Option<String>)]
    pub image: Option<Digest>,
    /// Why it failed.
    pub error: Option<JobError>,
    /// Who asked for it first.
    pub created_by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: jiff::Timestamp,
    /// When it was first begun.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<jiff::Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<jiff::Timestamp>,
}

/// A job that is asked for.
#[derive(Clone, Debug)]
pub struct NewJob<'a> {
    /// The workspace.
    pub workspace: &'a str,
    /// The environment.
    pub environment: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The lock to assemble.
    pub lock: Digest,
    /// What the image is for.
    pub platform: Platform,
    /// Those with more come first.
    pub priority: i64,
    /// Who asks.
    pub created_by: &'a str,
    /// The image, where it is there already: the job has succeeded before it began.
    pub image: Option<Digest>,
}

impl NewJob<'_> {
    /// What it makes.
    fn key(&self) -> String {
        key(self.workspace, &self.lock, self.platform)
    }
}

/// What a job makes.
fn key(workspace: &str, lock: &Digest, platform: Platform) -> String {
    format!("{workspace}/{}/{platform}", lock.hex())
}

/// A job that a worker has, and the number that proves it.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The job.
    pub job: Job,
    /// See the schema.
    pub fence: i64,
    /// How often it failed for a reason that may pass.
    pub failures: i64,
    /// How often its process was killed.
    pub kills: i64,
    /// How often its worker was not heard of again.
    pub losses: i64,
    /// The trace of whoever asked.
    pub traceparent: Option<String>,
}

/// Why a job is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// Its worker stops: nothing was wrong with it.
    Stopped,
    /// It failed for a reason that may pass.
    Failed,
    /// Its process was killed.
    Killed,
}

const COLUMNS: &str =
    "id, workspace, environment, version, lock, platform, status, priority, attempts, fence, worker,
    cancel_asked, image, error, created_by, created_at, started_at, ended_at, failures, kills, losses, traceparent";

impl Database {
    /// Queues a job, or finds the one that makes the same already. Says whether it is new.
    pub async fn ask_job(&self, new: &NewJob<'_>) -> Result<(Job, bool)> {
        let key = new.key();
        // So that the log has the version before what is asked for it.
        self.settle().await?;
        let mut transaction = self.begin(&format!("job {key}")).await?;
        let wanted = format!("SELECT {COLUMNS} FROM jobs WHERE key = $1 AND status IN ('queued', 'running')");
        let row =
            sqlx::query(sqlx::AssertSqlSafe(wanted)).bind(&key).fetch_optional(&mut *transaction).await?;
        if let Some(row) = row {
            let job = read(&row)?;
            if job.priority < new.priority {
                sqlx::query("UPDATE jobs SET priority = $1 WHERE id = $2")
                    .bind(new.priority)
                    .bind(&job.id)
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await?;
            return Ok((Job { priority: job.priority.max(new.priority), ..job }, false));
        }
        let at = now();
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "INSERT INTO jobs (id, key, workspace, environment, version, lock, platform, status, priority, attempts, fence,
                               not_before, cancel_asked, image, created_by, created_at, ended_at, traceparent)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, $10, 0, $11, $12, $10, $13, $14) RETURNING {COLUMNS}"
        )))
        .bind(identifier().map_err(sqlx::Error::Io)?)
        .bind(key)
        .bind(new.workspace)
        .bind(new.environment)
        .bind(new.version)
        .bind(new.lock.to_string())
        .bind(new.platform.as_str())
        .bind(if new.image.is_some() { JobStatus::Succeeded } else { JobStatus::Queued }.as_str())
        .bind(new.priority)
        .bind(&at)
        .bind(new.image.map(|image| image.to_string()))
        .bind(new.created_by)
        .bind(new.image.map(|_| at.clone()))
        .bind(trace::parent())
        .fetch_one(&mut *transaction)
        .await?;
        let job = read(&row)?;
        append(&mut transaction, &deed(new.created_by, Action::BuildAsk, &job)).await?;
        transaction.commit().await?;
        Ok((job, true))
    }

    /// A job of a workspace.
    pub async fn job(&self, workspace: &str, id: &str) -> Result<Option<Job>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM jobs WHERE workspace = $1 AND id = $2"
        )))
        .bind(workspace)
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// The newest job that makes the image of a lock.
    pub async fn last_job(&self, workspace: &str, lock: &Digest, platform: Platform) -> Result<Option<Job>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM jobs WHERE key = $1 ORDER BY created_at DESC, id DESC LIMIT 1"
        )))
        .bind(key(workspace, lock, platform))
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// The jobs of a workspace, newest first, from after the one with the identifier `after` on.
    pub async fn jobs(
        &self,
        workspace: &str,
        status: Option<JobStatus>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Job>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM jobs
             WHERE workspace = $1 AND ($2 IS NULL OR status = $2)
               AND ($3 IS NULL OR (created_at, id) < (SELECT last.created_at, last.id FROM jobs last WHERE last.id = $3))
             ORDER BY created_at DESC, id DESC LIMIT $4"
        )))
        .bind(workspace)
        .bind(status.map(JobStatus::as_str))
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read).collect()
    }

    /// Takes the next job: one that waits, or one whose worker has not been heard of for too long.
    pub async fn claim(&self, worker: &str) -> Result<Option<Claimed>> {
        let at = now();
        // Nothing to do is the rule, and a reader disturbs nobody.
        let due = "(status = 'queued' AND not_before <= $1) OR (status = 'running' AND lease_until < $1)";
        let any: Option<(String,)> =
            sqlx::query_as(sqlx::AssertSqlSafe(format!("SELECT id FROM jobs WHERE {due} LIMIT 1")))
                .bind(&at)
                .fetch_optional(&self.pool)
                .await?;
        if any.is_none() {
            return Ok(None);
        }
        // SQLite has one writer; in PostgreSQL whoever comes second takes the next.
        let lock = if self.is_shared() { "FOR UPDATE SKIP LOCKED" } else { "" };
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "UPDATE jobs SET status = 'running', worker = $2, lease_until = $3, fence = fence + 1,
                             attempts = attempts + 1, started_at = coalesce(started_at, $1),
                             losses = losses + CASE status WHEN 'running' THEN 1 ELSE 0 END
             WHERE id = (SELECT id FROM jobs WHERE {due} ORDER BY priority DESC, created_at, id LIMIT 1 {lock})
             RETURNING {COLUMNS}"
        )))
        .bind(&at)
        .bind(worker)
        .bind(stamp(jiff::Timestamp::now() + LEASE))
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Claimed {
            job: read(&row)?,
            fence: row.try_get("fence")?,
            failures: row.try_get("failures")?,
            kills: row.try_get("kills")?,
            losses: row.try_get("losses")?,
            traceparent: row.try_get("traceparent")?,
        }))
    }

    /// Renews a claim; `None` where it is lost, else whether the job was asked to stop.
    pub async fn heartbeat(&self, claimed: &Claimed) -> Result<Option<bool>> {
        let row: Option<(i64,)> = sqlx::query_as(
            "UPDATE jobs SET lease_until = $1 WHERE id = $2 AND fence = $3 AND status = 'running' RETURNING cancel_asked",
        )
        .bind(stamp(jiff::Timestamp::now() + LEASE))
        .bind(&claimed.job.id)
        .bind(claimed.fence)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|(asked,)| asked != 0))
    }

    /// A job has ended. Says whether it was still this worker's to say.
    pub async fn end_job(
        &self,
        claimed: &Claimed,
        status: JobStatus,
        image: Option<Digest>,
        error: Option<&JobError>,
    ) -> Result<bool> {
        let mut transaction = self.begin(&format!("job {}", claimed.job.id)).await?;
        let done = sqlx::query(
            "UPDATE jobs SET status = $1, image = $2, error = $3, ended_at = $4, lease_until = NULL
             WHERE id = $5 AND fence = $6 AND status = 'running'",
        )
        .bind(status.as_str())
        .bind(image.map(|image| image.to_string()))
        .bind(error.and_then(|error| serde_json::to_string(error).ok()))
        .bind(now())
        .bind(&claimed.job.id)
        .bind(claimed.fence)
        .execute(&mut *transaction)
        .await?;
        let is_ours = done.rows_affected() > 0;
        if is_ours {
            let mut deed = ended(claimed, status);
            if let Some(image) = image {
                deed = deed.with("image", image);
            }
            append(&mut transaction, &deed).await?;
        }
        transaction.commit().await?;
        Ok(is_ours)
    }

    /// Gives a job back to be taken again, after a while where something was wrong. One that nobody wants any more ends: says
    /// whether it did.
    pub async fn give_back(&self, claimed: &Claimed, wait: Duration, why: Return) -> Result<()> {
        let mut transaction = self.begin(&format!("job {}", claimed.job.id)).await?;
        let row: Option<(i64,)> = sqlx::query_as(
            "UPDATE jobs SET status = CASE cancel_asked WHEN 0 THEN 'queued' ELSE 'canceled' END,
                             ended_at = CASE cancel_asked WHEN 0 THEN NULL ELSE $7 END,
                             worker = CASE cancel_asked WHEN 0 THEN NULL ELSE worker END,
                             lease_until = NULL, not_before = $1,
                             attempts = attempts - $2, failures = failures + $3, kills = kills + $4
             WHERE id = $5 AND fence = $6 AND status = 'running' RETURNING cancel_asked",
        )
        .bind(stamp(jiff::Timestamp::now() + wait))
        .bind(i64::from(why == Return::Stopped))
        .bind(i64::from(why == Return::Failed))
        .bind(i64::from(why == Return::Killed))
        .bind(&claimed.job.id)
        .bind(claimed.fence)
        .bind(now())
        .fetch_optional(&mut *transaction)
        .await?;
        if row.is_some_and(|(asked,)| asked != 0) {
            append(&mut transaction, &ended(claimed, JobStatus::Canceled)).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Asks a job to stop: one that waits ends at once, one that runs is stopped by its worker. `by` is who asks.
    pub async fn cancel_job(&self, workspace: &str, id: &str, by: &str) -> Result<Option<Job>> {
        let mut transaction = self.begin(&format!("job {id}")).await?;
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "UPDATE jobs SET cancel_asked = 1,
                 ended_at = CASE status WHEN 'queued' THEN $1 ELSE ended_at END,
                 status = CASE status WHEN 'queued' THEN 'canceled' ELSE status END
             WHERE workspace = $2 AND id = $3 AND status IN ('queued', 'running') AND cancel_asked = 0
             RETURNING {COLUMNS}"
        )))
        .bind(now())
        .bind(workspace)
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some(row) = row {
            append(&mut transaction, &deed(by, Action::BuildCancel, &read(&row)?)).await?;
        }
        transaction.commit().await?;
        self.job(workspace, id).await
    }
}

/// How the worker of a job ended it.
fn ended(claimed: &Claimed, status: JobStatus) -> Deed {
    let worker = claimed.job.worker.as_deref().unwrap_or_default();
    deed(worker, Action::BuildEnd, &claimed.job).with("status", status)
}

/// What somebody did about a job.
fn deed(by: &str, action: Action, job: &Job) -> Deed {
    Deed::new(by, action, format!("{}:{}", job.environment, job.version))
        .within(&job.workspace)
        .with("job", &job.id)
        .with("platform", job.platform)
}

/// Sorts by time.
fn identifier() -> std::io::Result<String> {
    let mut bytes = [0; 4];
    random(&mut bytes)?;
    Ok(format!("job-{}-{}", jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S"), hex::encode(bytes)))
}

fn read(row: &Row) -> Result<Job> {
    let time = |column: &str| -> Result<Option<jiff::Timestamp>> {
        row.try_get::<Option<String>, _>(column)?.map(|text| parse("time", text)).transpose()
    };
    let error: Option<String> = row.try_get("error")?;
    let image: Option<String> = row.try_get("image")?;
    Ok(Job {
        id: row.try_get("id")?,
        workspace: row.try_get("workspace")?,
        environment: row.try_get("environment")?,
        version: row.try_get("version")?,
        lock: parse("digest", row.try_get("lock")?)?,
        platform: parse("platform", row.try_get("platform")?)?,
        status: parse("status", row.try_get("status")?)?,
        priority: row.try_get("priority")?,
        attempts: row.try_get("attempts")?,
        worker: row.try_get("worker")?,
        cancel_asked: row.try_get::<i64, _>("cancel_asked")? != 0,
        image: image.map(|image| parse("digest", image)).transpose()?,
        error: error.and_then(|error| serde_json::from_str(&error).ok()),
        created_by: row.try_get("created_by")?,
        created_at: parse("time", row.try_get("created_at")?)?,
        started_at: time("started_at")?,
        ended_at: time("ended_at")?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use provenv_definition::{Digest, Platform};
    use provenv_workspace::ServerSettings;

    use super::{JobStatus, NewJob, Return};
    use crate::database::{AuditFilter, Database};

    #[tokio::test]
    async fn what_nobody_wants_any_more_is_not_given_back_to_the_queue() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), &ServerSettings::default()).await.unwrap();
        database.begin_audit_log().await.unwrap();
        let new = NewJob {
            workspace: "default",
            environment: "tea",
            version: "1",
            lock: Digest::of(b"lock"),
            platform: Platform::default(),
            priority: 0,
            created_by: "ann",
            image: None,
        };
        let (job, _) = database.ask_job(&new).await.unwrap();
        // Its worker stops: another will have it.
        let claimed = database.claim("one").await.unwrap().unwrap();
        database.give_back(&claimed, Duration::ZERO, Return::Stopped).await.unwrap();
        // Its worker fails, having not heard yet that somebody asked it to stop.
        let claimed = database.claim("two").await.unwrap().unwrap();
        let asked = database.cancel_job("default", &job.id, "ann").await.unwrap().unwrap();
        assert_eq!((asked.status, asked.cancel_asked), (JobStatus::Running, true));
        database.give_back(&claimed, Duration::ZERO, Return::Failed).await.unwrap();
        let after = database.job("default", &job.id).await.unwrap().unwrap();
        assert_eq!(after.status, JobStatus::Canceled);
        assert!(after.ended_at.is_some());
        assert!(database.claim("three").await.unwrap().is_none());
        let ends = AuditFilter { action: Some("build.end".to_owned()), ..AuditFilter::default() };
        assert_eq!(database.audit_entries(&ends, 10).await.unwrap().len(), 1);
        // Whoever asks again has a new one.
        assert!(database.ask_job(&new).await.unwrap().1);
        database.close().await;
    }
}
