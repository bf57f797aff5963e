//! Where a version is used.

use provenv_definition::Digest;
use serde::{Deserialize, Serialize};

use super::LineageRun;
use crate::catalogue::RunName;
use crate::{Result, Workspace};

/// Where a version is used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Uses {
    /// The version, `name:version`.
    pub environment: String,
    /// The labels on it.
    pub labels: Vec<String>,
    /// Runs in it, the newest first.
    pub runs: Vec<UsedRun>,
    /// The images that its lock became.
    pub images: Vec<UsedImage>,
    /// Versions that were made from it.
    pub derived: Vec<String>,
    /// Other versions that have the same lock, and so the same images.
    pub same_lock: Vec<String>,
}

/// A run in it.
pub type UsedRun = LineageRun;

/// An image of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedImage {
    /// Its digest.
    pub digest: Digest,
    /// What it runs on.
    pub platform: String,
    /// How many signatures and the like are attached to it.
    pub proofs: usize,
}

impl Workspace {
    /// Where the version that `reference` names is used.
    pub async fn uses(&self, reference: &str) -> Result<Uses> {
        let row = self.registered(reference).await?;
        let own = format!("{}:{}", row.name, row.version);
        let runs = self.catalogue.runs_of_version(&row.name, &row.version).await?;
        let derived = self.catalogue.versions_from(&row.name, &row.version).await?;
        let same = self.catalogue.versions_of_lock(&row.lock).await?;
        let same = same.into_iter().map(|(name, version, _)| format!("{name}:{version}"));
        Ok(Uses {
            runs: runs.into_iter().map(run).collect(),
            images: self.used_images(&row.lock).await?,
            derived: derived.into_iter().map(|(name, version)| format!("{name}:{version}")).collect(),
            same_lock: same.filter(|other| *other != own).collect(),
            labels: self.details(row).await?.labels,
            environment: own,
        })
    }

    pub(super) async fn used_images(&self, lock: &Digest) -> Result<Vec<UsedImage>> {
        let mut images = Vec::new();
        for (digest, platform) in self.catalogue.images_ever_of_lock(lock).await? {
            let proofs = self.catalogue.proofs(&digest).await?.len();
            images.push(UsedImage { digest, platform, proofs });
        }
        Ok(images)
    }
}

pub(super) fn run(run: RunName) -> LineageRun {
    let (name, version) = run.environment;
    LineageRun { id: run.id, environment: format!("{name}:{version}"), started_at: run.started_at }
}
