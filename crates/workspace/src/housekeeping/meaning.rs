//! What a blob of the store is, and who needs it: a digest alone tells nobody whether to be sorry for it.

use std::collections::{BTreeMap, HashMap};

use provenv_definition::Digest;
use provenv_lock::{Artifact, Lock, PlatformLock, PostLink, PypiSource};

use crate::catalogue::{EnvironmentRow, ImageRow};
use crate::{Result, Workspace};

/// What blobs are.
#[derive(Default)]
pub(super) struct Meanings {
    names: HashMap<Digest, String>,
    /// Where what was downloaded came from, with the lock that says so.
    pub artifacts: BTreeMap<Digest, (Digest, Artifact)>,
    /// Every lock.
    pub locks: Vec<(Digest, Lock)>,
}

impl Meanings {
    /// What a blob is, where that is known.
    pub fn name(&self, digest: &Digest) -> Option<&str> {
        self.names.get(digest).map(String::as_str)
    }

    /// A lock by its digest.
    pub fn lock(&self, digest: &Digest) -> Option<&Lock> {
        self.locks.iter().find(|(one, _)| one == digest).map(|(_, lock)| lock)
    }

    fn artifact(&mut self, lock: &Digest, artifact: &Artifact, fallback: &str) {
        let name = artifact.url.file_name().unwrap_or(fallback);
        self.names.entry(artifact.sha256).or_insert_with(|| name.to_owned());
        self.artifacts.entry(artifact.sha256).or_insert_with(|| (*lock, artifact.clone()));
    }

    fn add_lock(&mut self, digest: &Digest, lock: &PlatformLock) {
        for package in &lock.debian {
            self.artifact(digest, &package.artifact, &package.name);
        }
        for package in &lock.conda {
            self.artifact(digest, &package.artifact, &package.name);
        }
        for package in &lock.pypi {
            match &package.source {
                PypiSource::Wheel(artifact) => self.artifact(digest, artifact, &package.wheel),
                PypiSource::Built { sha256, sdist, .. } => {
                    self.names.entry(*sha256).or_insert_with(|| format!("{}, built here", package.wheel));
                    if let Some(sdist) = sdist {
                        self.artifact(digest, sdist, &package.name);
                    }
                }
            }
        }
        if let Some(base) = lock.base.image() {
            self.names.entry(base.manifest).or_insert_with(|| format!("manifest of {}", base.reference));
        }
        if let Some(made) = lock.base.dockerfile() {
            self.names
                .entry(made.manifest)
                .or_insert_with(|| "manifest of what a Dockerfile made".to_owned());
        }
        if let Some(PostLink::Run { layer: Some(layer) }) = &lock.post_link {
            let name = || "what scripts of conda packages left".to_owned();
            self.names.entry(layer.sha256).or_insert_with(name);
        }
    }

    fn image(&mut self, row: &ImageRow, name: &str) {
        for layer in &row.image.layers {
            self.names.entry(layer.digest).or_insert_with(|| format!("layer: {}", layer.what));
        }
        for (digest, what) in [(row.image.manifest, "manifest"), (row.image.config, "configuration")] {
            self.names.entry(digest).or_insert_with(|| format!("{what} of the image of {name}"));
        }
    }
}

/// What of a lock was made here by running foreign code: bytes that no URL has and that may not come out the same again.
pub(super) fn irreplaceable(lock: &PlatformLock) -> Vec<Digest> {
    let built = lock.pypi.iter().filter_map(|package| match &package.source {
        PypiSource::Built { sha256, .. } => Some(*sha256),
        PypiSource::Wheel(_) => None,
    });
    let left = match &lock.post_link {
        Some(PostLink::Run { layer: Some(layer) }) => Some(layer.sha256),
        _ => None,
    };
    built.chain(left).collect()
}

impl Workspace {
    /// What blobs are, by all that the catalogue knows.
    pub(super) async fn meanings(&self) -> Result<Meanings> {
        let mut meanings = Meanings::default();
        for digest in self.catalogue.locks().await? {
            let Some(lock) = self.catalogue.lock(&digest).await? else { continue };
            for platform_lock in lock.platforms.values() {
                meanings.add_lock(&digest, platform_lock);
            }
            meanings.locks.push((digest, lock));
        }
        let environments = self.catalogue.environments(None).await?;
        for row in self.catalogue.images().await? {
            let name = name_of(&row.lock, &environments);
            meanings.image(&row, &name.unwrap_or_else(|| row.image.manifest.to_string()));
        }
        Ok(meanings)
    }
}

/// The registered versions of a lock.
pub(super) fn names_of(lock: &Digest, environments: &[EnvironmentRow]) -> Vec<String> {
    let rows = environments.iter().filter(|row| row.lock == *lock);
    rows.map(|row| format!("{}:{}", row.name, row.version)).collect()
}

fn name_of(lock: &Digest, environments: &[EnvironmentRow]) -> Option<String> {
    Some(names_of(lock, environments).join(", ")).filter(|names| !names.is_empty())
}
