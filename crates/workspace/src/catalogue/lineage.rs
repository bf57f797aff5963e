//! What comes of what: from runs to artifacts, and back.

use provenv_definition::Digest;

use super::{Catalogue, Result, corrupt};

/// A run, as little of it as says which one it is.
#[derive(Clone, Debug)]
pub struct RunName {
    /// Its identifier.
    pub id: String,
    /// The environment's name and version.
    pub environment: (String, String),
    /// When it began.
    pub started_at: jiff::Timestamp,
}

impl Catalogue {
    /// The runs in a version, the newest first.
    pub async fn runs_of_version(&self, name: &str, version: &str) -> Result<Vec<RunName>> {
        let rows = sqlx::query_as(
            "SELECT id, environment, version, started_at FROM runs WHERE environment = $1 AND version = $2
             ORDER BY started_at DESC, id",
        )
        .bind(name)
        .bind(version)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(run).collect()
    }

    /// The runs in an image, the newest first.
    pub async fn runs_of_image(&self, manifest: &Digest) -> Result<Vec<RunName>> {
        let rows = sqlx::query_as(
            "SELECT id, environment, version, started_at FROM runs WHERE manifest = $1 ORDER BY started_at DESC, id",
        )
        .bind(manifest.to_string())
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(run).collect()
    }

    /// The versions that have a lock, with their receipts.
    pub async fn versions_of_lock(&self, lock: &Digest) -> Result<Vec<(String, String, Digest)>> {
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT name, version, receipt FROM environments WHERE lock = $1 ORDER BY name, ordinal DESC",
        )
        .bind(lock.to_string())
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|(name, version, receipt)| Ok((name, version, receipt.parse().map_err(corrupt("digest"))?)))
            .collect()
    }

    /// The versions that were made from one.
    pub async fn versions_from(&self, name: &str, version: &str) -> Result<Vec<(String, String)>> {
        let rows = sqlx::query_as(
            "SELECT name, version FROM environments WHERE from_name = $1 AND from_version = $2 ORDER BY name, ordinal",
        )
        .bind(name)
        .bind(version)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }

    /// Every image that a lock became at any time, with its platform.
    pub async fn images_ever_of_lock(&self, lock: &Digest) -> Result<Vec<(Digest, String)>> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT manifest, platform FROM images WHERE lock = $1
             UNION SELECT manifest, platform FROM remote_images WHERE lock = $1
             UNION SELECT manifest, platform FROM builds
             WHERE lock = $1 AND status = 'succeeded' AND manifest IS NOT NULL AND definition IS NULL
             ORDER BY 2, 1",
        )
        .bind(lock.to_string())
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|(digest, platform)| Ok((digest.parse().map_err(corrupt("digest"))?, platform)))
            .collect()
    }

    /// Every lock that became an image at any time.
    pub async fn locks_ever_of_image(&self, manifest: &Digest) -> Result<Vec<Digest>> {
        let rows = sqlx::query_as(
            "SELECT lock FROM images WHERE manifest = $1 UNION SELECT lock FROM remote_images WHERE manifest = $1
             UNION SELECT lock FROM builds
             WHERE manifest = $1 AND status = 'succeeded' AND definition IS NULL ORDER BY 1",
        )
        .bind(manifest.to_string())
        .fetch_all(&self.pool)
        .await?;
        digests(rows)
    }

    /// Every lock that holds an artifact.
    pub async fn locks_of_artifact(&self, artifact: &Digest) -> Result<Vec<Digest>> {
        let rows = sqlx::query_as(
            "SELECT DISTINCT indexed_locks.lock FROM artifacts JOIN holdings ON holdings.artifact = artifacts.id
             JOIN indexed_locks ON indexed_locks.id = holdings.lock WHERE artifacts.digest = $1
             ORDER BY indexed_locks.lock",
        )
        .bind(artifact.to_string())
        .fetch_all(&self.pool)
        .await?;
        digests(rows)
    }
}

fn run((id, name, version, started_at): (String, String, String, String)) -> Result<RunName> {
    Ok(RunName { id, environment: (name, version), started_at: started_at.parse().map_err(corrupt("time"))? })
}

fn digests(rows: Vec<(String,)>) -> Result<Vec<Digest>> {
    rows.into_iter().map(|(digest,)| digest.parse().map_err(corrupt("digest"))).collect()
}
