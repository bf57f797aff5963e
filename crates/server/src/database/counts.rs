//! What is counted of the queue of builds, whoever builds them.

use sqlx::Row as _;

use super::{Database, JobStatus, Result, now, parse, stamp};

/// The builds that have not ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waiting {
    /// Those that wait for a worker.
    pub queued: i64,
    /// Those that a worker has.
    pub running: i64,
    /// Since when the one has been due that no worker has taken for the longest.
    pub oldest: Option<jiff::Timestamp>,
}

/// A build that ended.
#[derive(Clone, Debug)]
pub struct EndedJob {
    /// Its identifier.
    pub id: String,
    /// How.
    pub status: JobStatus,
    /// When it was asked for.
    pub created_at: jiff::Timestamp,
    /// When it was first begun.
    pub started_at: Option<jiff::Timestamp>,
    /// When it ended.
    pub ended_at: jiff::Timestamp,
}

impl Database {
    /// The builds that have not ended.
    pub async fn waiting_jobs(&self) -> Result<Waiting> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT status, count(*) FROM jobs WHERE status IN ('queued', 'running') GROUP BY status",
        )
        .fetch_all(&self.pool)
        .await?;
        let count = |wanted: JobStatus| {
            rows.iter().find(|(status, _)| status == wanted.as_str()).map_or(0, |(_, count)| *count)
        };
        let (oldest,): (Option<String>,) =
            sqlx::query_as("SELECT min(not_before) FROM jobs WHERE status = 'queued' AND not_before <= $1")
                .bind(now())
                .fetch_one(&self.pool)
                .await?;
        Ok(Waiting {
            queued: count(JobStatus::Queued),
            running: count(JobStatus::Running),
            oldest: oldest.map(|text| parse("time", text)).transpose()?,
        })
    }

    /// The builds that ended at this time or later.
    pub async fn ended_jobs(&self, since: jiff::Timestamp) -> Result<Vec<EndedJob>> {
        let rows = sqlx::query(
            "SELECT id, status, created_at, started_at, ended_at FROM jobs WHERE ended_at >= $1 ORDER BY ended_at",
        )
        .bind(stamp(since))
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let started: Option<String> = row.try_get("started_at")?;
                Ok(EndedJob {
                    id: row.try_get("id")?,
                    status: parse("status", row.try_get("status")?)?,
                    created_at: parse("time", row.try_get("created_at")?)?,
                    started_at: started.map(|text| parse("time", text)).transpose()?,
                    ended_at: parse("time", row.try_get("ended_at")?)?,
                })
            })
            .collect()
    }

    /// The connections that are open, those of them that nobody uses, and how many there may be.
    pub fn connections(&self) -> (u32, u32, u32) {
        let idle = u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX);
        (self.pool.size(), idle, self.pool.options().get_max_connections())
    }
}
