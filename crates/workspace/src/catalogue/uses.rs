//! When images were last used.

use std::collections::HashMap;
use std::time::Duration;

use provenv_definition::Digest;

use super::{Catalogue, Result, corrupt};

/// A use is noted at most so often: policies count in days, and a look-up should stay one.
const GRAIN: Duration = Duration::from_hours(1);

impl Catalogue {
    /// The image of `lock` is used now.
    pub async fn note_use(&self, lock: &Digest) -> Result<()> {
        let now = jiff::Timestamp::now();
        let known: Option<(String,)> = sqlx::query_as("SELECT used_at FROM uses WHERE lock = $1")
            .bind(lock.to_string())
            .fetch_optional(&self.pool)
            .await?;
        let known = known.and_then(|(at,)| at.parse::<jiff::Timestamp>().ok());
        // One of the future is of a clock that was wrong.
        if known.is_some_and(|known| known <= now && now - GRAIN < known) {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO uses (lock, used_at) VALUES ($1, $2) ON CONFLICT (lock) DO UPDATE SET used_at = excluded.used_at",
        )
        .bind(lock.to_string())
        .bind(now.to_string())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The locks that became the image with this manifest.
    pub async fn locks_of_image(&self, manifest: &Digest) -> Result<Vec<Digest>> {
        let rows: Vec<(String,)> = sqlx::query_as("SELECT DISTINCT lock FROM images WHERE manifest = $1")
            .bind(manifest.to_string())
            .fetch_all(&self.pool)
            .await?;
        rows.into_iter().map(|(digest,)| digest.parse().map_err(corrupt("digest"))).collect()
    }

    /// When each lock was last used: its images, or runs in them.
    pub async fn uses(&self) -> Result<HashMap<Digest, jiff::Timestamp>> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT lock, used_at FROM uses UNION ALL SELECT lock, created_at FROM images
             UNION ALL SELECT lock, created_at FROM environments
             UNION ALL SELECT environments.lock, coalesce(runs.ended_at, runs.started_at) FROM runs
             JOIN environments ON environments.name = runs.environment AND environments.version = runs.version",
        )
        .fetch_all(&self.pool)
        .await?;
        let mut uses = HashMap::new();
        for (lock, at) in rows {
            let lock: Digest = lock.parse().map_err(corrupt("digest"))?;
            let at: jiff::Timestamp = at.parse().map_err(corrupt("time"))?;
            uses.entry(lock).and_modify(|last: &mut jiff::Timestamp| *last = at.max(*last)).or_insert(at);
        }
        Ok(uses)
    }
}
