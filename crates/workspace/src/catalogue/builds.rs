//! Attempts to assemble an image, and where their logs are.

use provenv_definition::{Digest, Platform};

use super::{Catalogue, Result};

impl Catalogue {
    /// A build begins.
    pub async fn begin_build(&self, id: &str, lock: &Digest, platform: Platform, log: &str) -> Result<()> {
        sqlx::query(
            "INSERT INTO builds (id, lock, platform, status, log, started_at) VALUES ($1, $2, $3, 'running', $4, $5)",
        )
        .bind(id)
        .bind(lock.to_string())
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
