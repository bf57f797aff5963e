//! Where things come from and what they became: run, version, receipt, lock, image, artifact, in either direction.

mod uses;

use std::collections::{BTreeMap, BTreeSet};

use provenv_definition::Digest;
use serde::{Deserialize, Serialize};

use crate::catalogue::ArtifactRow;
use crate::{Error, Result, Workspace};
pub use uses::{UsedImage, UsedRun, Uses};

/// What something is among the steps from a run to artifacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A run.
    Run,
    /// A registered version.
    Environment,
    /// A receipt.
    Receipt,
    /// A lock.
    Lock,
    /// An image.
    Image,
    /// A file that locks hold.
    Artifact,
}

/// All that one thing comes from and became.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lineage {
    /// What was asked about.
    pub of: Step,
    /// Its identifier.
    pub id: String,
    /// Runs, the newest first.
    pub runs: Vec<LineageRun>,
    /// Registered versions.
    pub environments: Vec<LineageVersion>,
    /// Receipts, and the locks that they chose.
    pub receipts: Vec<LineageReceipt>,
    /// Locks, and the images that they became.
    pub locks: Vec<LineageLock>,
    /// What the locks hold: of an artifact it alone.
    pub artifacts: Vec<LineageArtifact>,
}

/// A run among others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineageRun {
    /// Its identifier.
    pub id: String,
    /// The version that it ran in, `name:version`.
    pub environment: String,
    /// When it began.
    pub started_at: jiff::Timestamp,
}

/// A version among others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineageVersion {
    /// `name:version`.
    pub environment: String,
    /// Its receipt.
    pub receipt: Digest,
    /// The version that it was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// A receipt among others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineageReceipt {
    /// Its digest.
    pub digest: Digest,
    /// When it was resolved.
    pub resolved_at: jiff::Timestamp,
    /// The lock that was chosen.
    pub lock: Digest,
    /// The receipt that it was an upgrade of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
}

/// A lock among others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineageLock {
    /// Its digest.
    pub digest: Digest,
    /// The definition that it answers.
    pub definition: Option<Digest>,
    /// The images that it became.
    pub images: Vec<UsedImage>,
}

/// An artifact among others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LineageArtifact {
    /// `base`, `conda`, `debian`, `pypi` or `python`.
    pub ecosystem: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its digest; the interpreter and the suite have none.
    pub digest: Option<String>,
}

/// What a lineage begins with.
#[derive(Default)]
struct Start {
    runs: Vec<LineageRun>,
    /// The version that is meant, where it is one: others of the same lock are not.
    version: Option<(String, String, Digest)>,
    receipts: BTreeSet<Digest>,
    locks: Vec<Digest>,
    /// The image that is meant, where it is one.
    image: Option<Digest>,
    artifacts: Option<Vec<ArtifactRow>>,
}

impl Workspace {
    /// The lineage of a run (its identifier, or `latest`), of a registered version (`NAME`, `NAME:VERSION`, `NAME@LABEL`), or
    /// of what has a digest: a receipt, a lock, an image, an artifact.
    pub async fn lineage(&self, subject: &str) -> Result<Lineage> {
        if let Ok(digest) = subject.parse::<Digest>() {
            return self.lineage_of_digest(&digest).await;
        }
        let run = if subject == "latest" {
            self.catalogue.runs(1).await?.pop()
        } else {
            self.catalogue.run(subject).await?
        };
        if let Some(run) = run {
            let receipt = self.catalogue.receipt(&run.receipt).await?;
            let start = Start {
                runs: vec![LineageRun {
                    id: run.id.clone(),
                    environment: format!("{}:{}", run.environment, run.version),
                    started_at: run.started_at,
                }],
                version: Some((run.environment, run.version, run.receipt)),
                receipts: [run.receipt].into(),
                locks: receipt.into_iter().map(|receipt| receipt.lock).collect(),
                image: Some(run.manifest),
                artifacts: None,
            };
            return self.lineage_from(Step::Run, run.id, start).await;
        }
        let row = match self.registered(subject).await {
            Err(Error::NoEnvironment(..)) => return Err(Error::NoLineage(subject.to_owned())),
            row => row?,
        };
        let runs = self.catalogue.runs_of_version(&row.name, &row.version).await?;
        let id = format!("{}:{}", row.name, row.version);
        let start = Start {
            runs: runs.into_iter().map(uses::run).collect(),
            version: Some((row.name, row.version, row.receipt)),
            receipts: [row.receipt].into(),
            locks: vec![row.lock],
            ..Start::default()
        };
        self.lineage_from(Step::Environment, id, start).await
    }

    async fn lineage_of_digest(&self, digest: &Digest) -> Result<Lineage> {
        let id = digest.to_string();
        if let Some(receipt) = self.catalogue.receipt(digest).await? {
            let start = Start { receipts: [*digest].into(), locks: vec![receipt.lock], ..Start::default() };
            return self.lineage_from(Step::Receipt, id, start).await;
        }
        if self.catalogue.lock(digest).await?.is_some() {
            let start = Start { locks: vec![*digest], ..Start::default() };
            return self.lineage_from(Step::Lock, id, start).await;
        }
        let locks = self.catalogue.locks_ever_of_image(digest).await?;
        if !locks.is_empty() {
            let runs = self.catalogue.runs_of_image(digest).await?;
            let runs = runs.into_iter().map(uses::run).collect();
            let start = Start { runs, locks, image: Some(*digest), ..Start::default() };
            return self.lineage_from(Step::Image, id, start).await;
        }
        let artifacts = self.catalogue.artifacts_with(digest).await?;
        if artifacts.is_empty() {
            return Err(Error::NoLineage(id));
        }
        let locks = self.catalogue.locks_of_artifact(digest).await?;
        let start = Start { locks, artifacts: Some(artifacts), ..Start::default() };
        self.lineage_from(Step::Artifact, id, start).await
    }

    async fn lineage_from(&self, of: Step, id: String, start: Start) -> Result<Lineage> {
        let Start { mut runs, version, mut receipts, locks, image, artifacts } = start;
        let mut environments = Vec::new();
        let mut lineage_locks = Vec::new();
        let mut held = BTreeSet::new();
        for digest in &locks {
            if version.is_none() {
                for (name, number, receipt) in self.catalogue.versions_of_lock(digest).await? {
                    if of == Step::Receipt && !receipts.contains(&receipt) {
                        continue;
                    }
                    if image.is_none() {
                        let more = self.catalogue.runs_of_version(&name, &number).await?;
                        runs.extend(more.into_iter().map(uses::run));
                    }
                    environments.push((name, number, receipt));
                }
            }
            let lock = self.catalogue.lock(digest).await?;
            let mut images = self.used_images(digest).await?;
            images.retain(|one| image.is_none_or(|image| image == one.digest));
            let definition = lock.as_ref().map(|lock| lock.definition);
            lineage_locks.push(LineageLock { digest: *digest, definition, images });
            if artifacts.is_none() {
                held.extend(lock.iter().flat_map(provenv_lock::Lock::held).map(|held| LineageArtifact {
                    ecosystem: held.ecosystem.to_owned(),
                    name: held.name,
                    version: held.version,
                    digest: held.digest.map(|digest| digest.to_string()),
                }));
            }
        }
        environments.extend(version);
        receipts.extend(environments.iter().map(|(.., receipt)| *receipt));
        let mut chosen = BTreeMap::new();
        for digest in receipts {
            if let Some(receipt) = self.catalogue.receipt(&digest).await? {
                let (resolved_at, lock, previous) = (receipt.resolved_at, receipt.lock, receipt.previous);
                chosen.insert(
                    (resolved_at, digest.hex()),
                    LineageReceipt { digest, resolved_at, lock, previous },
                );
            }
        }
        let mut versions = Vec::new();
        for (name, number, receipt) in environments {
            // A run outlives no version, but what it says is kept all the same.
            let row = self.catalogue.environment(&name, Some(&number)).await?;
            let from = row.and_then(|row| row.from).map(|(name, number)| format!("{name}:{number}"));
            versions.push(LineageVersion { environment: format!("{name}:{number}"), receipt, from });
        }
        held.extend(artifacts.into_iter().flatten().map(|row| LineageArtifact {
            ecosystem: row.ecosystem,
            name: row.name,
            version: row.version,
            digest: Some(row.digest),
        }));
        runs.sort_by(|a, b| (b.started_at, &b.id).cmp(&(a.started_at, &a.id)));
        Ok(Lineage {
            of,
            id,
            runs,
            environments: versions,
            receipts: chosen.into_values().collect(),
            locks: lineage_locks,
            artifacts: held.into_iter().collect(),
        })
    }
}
