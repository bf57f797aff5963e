//! Images of which something is asked that takes no bytes of theirs: any that was ever made here will do.

use std::path::Path;

use provenv_definition::{Digest, Platform};
use provenv_image::about::{self, ABOUTS_TYPE, Known};
use provenv_image::proof::Part;
use provenv_image::sbom::{Bill, Subject};
use provenv_lock::{Lock, PlatformLock};

use crate::catalogue::Origin;
use crate::{Error, Result, Workspace};

/// An image that was made here, and all that is known of it.
pub(crate) struct Made {
    pub origin: Origin,
    lock: Lock,
    known: Known,
}

impl Made {
    /// What it was assembled from.
    pub fn lock(&self) -> Result<&PlatformLock> {
        self.lock.platforms.get(&self.origin.platform).ok_or(Error::NoPlatform(self.origin.platform))
    }
}

impl Workspace {
    /// The image of an environment or a file, or with a digest (its first digits will do), whether its bytes are there or not.
    pub(crate) async fn made(&self, reference: &str, folder: &Path) -> Result<Made> {
        let origin = self.origin(reference, folder).await?;
        self.made_of(origin).await
    }

    /// Every image that was ever made here, newest first, each once.
    pub(crate) async fn all_made(&self) -> Result<Vec<Made>> {
        let mut all: Vec<Made> = Vec::new();
        for origin in self.catalogue.origins().await?.into_iter().rev() {
            // Locks that differ only in URLs become the same image.
            if !all.iter().any(|made| made.origin.image == origin.image) {
                all.push(self.made_of(origin).await?);
            }
        }
        Ok(all)
    }

    /// Everything in an image.
    pub(crate) fn bill(&self, made: &Made) -> Result<Bill> {
        let bill = Bill::of(&Subject {
            manifest: made.origin.image,
            platform: made.origin.platform,
            lock_digest: made.origin.lock,
            lock: made.lock()?,
            known: &made.known,
        });
        if bill.unread() > 0 {
            self.reporter.note(&format!(
                "the bytes of {} packages were never in this store: what they were built from, what lies in them and their licences \
                 are not known, until `provenv build --force` makes the image again here",
                bill.unread()
            ));
        }
        Ok(bill)
    }

    pub(crate) async fn made_of(&self, origin: Origin) -> Result<Made> {
        let lock = self.catalogue.lock(&origin.lock).await?;
        let lock = lock.ok_or_else(|| Error::NoImage(origin.image.to_string()))?;
        let known = match lock.platforms.get(&origin.platform) {
            Some(lock) => self.known(lock, origin.platform).await?,
            None => Known::new(),
        };
        Ok(Made { origin, lock, known })
    }

    /// What the packages of a lock say of themselves.
    async fn known(&self, lock: &PlatformLock, platform: Platform) -> Result<Known> {
        // What is read must not be collected meanwhile.
        let _pin = self.store.pin()?;
        self.read_abouts(lock, platform).await
    }

    /// The same for who holds the store. What is read here for the first time is kept: the bytes may go.
    pub(crate) async fn read_abouts(&self, lock: &PlatformLock, platform: Platform) -> Result<Known> {
        let mut known = self.catalogue.abouts(&artifacts(lock)).await?;
        let (store, lock, there) = (self.store.clone(), lock.clone(), known.clone());
        let found = tokio::task::spawn_blocking(move || about::read(&store, &lock, platform, &there)).await?;
        let found = found.map_err(provenv_image::Error::from)?;
        self.catalogue.keep_abouts(&found).await?;
        known.extend(found);
        Ok(known)
    }

    /// What is known of the packages of a lock, for others who have not their bytes. Hold a pin on the store.
    pub(crate) async fn told_abouts(&self, lock: &PlatformLock, platform: Platform) -> Result<Option<Part>> {
        let known = self.read_abouts(lock, platform).await?;
        let bytes = about::tell(&known, &artifacts(lock));
        let part = |bytes| Part { media_type: ABOUTS_TYPE.to_owned(), bytes, annotations: [].into() };
        Ok(bytes.map(part))
    }

    /// Whether something of the packages of a lock is not known.
    pub(crate) async fn lacks_abouts(&self, lock: &PlatformLock) -> Result<bool> {
        let artifacts = artifacts(lock);
        let known = self.catalogue.abouts(&artifacts).await?;
        Ok(!artifacts.iter().all(|artifact| known.contains_key(artifact)))
    }

    /// Keeps what somebody told of the packages of a lock, where nothing is known of them here. The error says what is wrong with
    /// it.
    pub(crate) async fn take_abouts(&self, lock: &PlatformLock, told: &[u8]) -> Result<Result<(), String>> {
        match about::parse_told(told, &artifacts(lock)) {
            Ok(known) => Ok(Ok(self.catalogue.keep_told_abouts(&known).await?)),
            Err(wrong) => Ok(Err(wrong)),
        }
    }
}

/// The digests of the packages' files.
fn artifacts(lock: &PlatformLock) -> Vec<Digest> {
    let debian = lock.debian.iter().map(|package| package.artifact.sha256);
    let conda = lock.conda.iter().map(|package| package.artifact.sha256);
    let base = lock.base.manifest().copied();
    base.into_iter()
        .chain(debian)
        .chain(conda)
        .chain(lock.pypi.iter().map(|package| *package.digest()))
        .collect()
}
