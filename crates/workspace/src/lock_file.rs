//! Locks that come as files: read, checked against a definition, taken over.

use std::path::{Path, PathBuf};

use provenv_definition::{Definition, Diagnostic, Digest, LockedArtifacts, Platform, definition_digest};
use provenv_lock::debian::DebianConfig;
use provenv_lock::{Artifact, Lock, Places, PostLink, PypiSource, Receipt, ToolVersion};
use serde::Serialize;

use crate::base_image::stands_on;
use crate::environments::Given;
use crate::error::IoContext;
use crate::locking::{Locked, platforms_of};
use crate::{Error, Result, Workspace};

/// A lock file that belongs to its definition.
#[derive(Clone, Debug, Serialize)]
pub struct CheckedLock {
    /// Digest of the definition.
    pub definition: Digest,
    /// Digest of the lock.
    pub lock: Digest,
    /// How many packages it holds.
    pub packages: usize,
    /// The file.
    pub file: PathBuf,
}

impl Workspace {
    /// Checks that the lock in `file` is one of `reference`: of its definition, and for a registered version the very lock
    /// of its receipt. Resolves nothing and asks nobody.
    pub async fn check_lock(
        &self,
        reference: &str,
        folder: &Path,
        file: &Path,
    ) -> Result<(CheckedLock, Vec<Diagnostic>)> {
        let given = self.given(reference, folder).await?;
        if !file.exists() {
            return Err(Error::NoLock { file: file.to_owned(), reference: reference.to_owned() });
        }
        let lock = self.read_for(&given.environment.definition, file)?;
        given.is_of(&lock, file)?;
        let packages = lock.platforms.values().map(provenv_lock::PlatformLock::len).sum();
        let checked =
            CheckedLock { definition: lock.definition, lock: lock.digest(), packages, file: file.to_owned() };
        Ok((checked, given.warnings))
    }

    /// The receipt of a registered version, or the current one of a file's definition.
    pub async fn receipt_of(&self, reference: &str, folder: &Path) -> Result<(Receipt, Vec<Diagnostic>)> {
        let given = self.given(reference, folder).await?;
        let receipt = if let Some(row) = &given.row {
            self.catalogue.receipt(&row.receipt).await?
        } else {
            let definition = definition_digest(&given.environment.definition);
            self.catalogue.current_receipt(&definition).await?.map(|(_, receipt)| receipt)
        };
        let receipt = receipt.ok_or_else(|| Error::NoReceipt(reference.to_owned()))?;
        Ok((receipt, given.warnings))
    }

    /// The lock in `file`, to be tried and then taken over; `None` where there is no file, or where it is the lock that the
    /// registered version has anyway.
    pub(crate) async fn lock_in(&self, given: &Given, file: Option<&Path>) -> Result<Option<Lock>> {
        let Some(file) = file else { return Ok(None) };
        if given.row.is_some() {
            given.is_of(&self.read_for(&given.environment.definition, file)?, file)?;
            return Ok(None);
        }
        self.usable_in(&given.environment.definition, file).await.map(Some)
    }

    /// Takes the lock in `file` over as the current one of `definition`.
    pub(crate) async fn adopt(&self, definition: &Definition, file: &Path) -> Result<Locked> {
        let lock = self.usable_in(definition, file).await?;
        self.take_over(definition, lock).await
    }

    /// The same of a lock whose text was sent.
    pub(crate) async fn adopt_text(&self, definition: &Definition, text: &str) -> Result<Locked> {
        let file = Path::new("lock");
        let lock = parse(text.as_bytes(), file)?;
        self.usable(definition, &lock, file).await?;
        self.take_over(definition, lock).await
    }

    /// The lock in `file`, if all that it names can be had here. What it names that the definition does not is fetched as
    /// a stranger's from here on.
    async fn usable_in(&self, definition: &Definition, file: &Path) -> Result<Lock> {
        let lock = self.read_for(definition, file)?;
        self.can_be_had(definition, &lock, file).await?;
        Ok(lock)
    }

    /// Whether `lock`, which came from elsewhere and is called `file`, may be built from here: the same checks as of one in a
    /// file.
    pub(crate) async fn usable(&self, definition: &Definition, lock: &Lock, file: &Path) -> Result<()> {
        self.check_for(definition, lock, file)?;
        self.can_be_had(definition, lock, file).await
    }

    async fn can_be_had(&self, definition: &Definition, lock: &Lock, file: &Path) -> Result<()> {
        for package in lock.platforms.values().flat_map(|platform| &platform.pypi) {
            if let PypiSource::Built { sha256, .. } = &package.source
                && !self.store.contains(sha256)
            {
                return Err(Error::BuiltElsewhere { file: file.to_owned(), wheel: package.wheel.clone() });
            }
        }
        // What scripts left for another platform is needed where images for that are made.
        if let Some(platform) = lock.platforms.get(&Platform::host())
            && let Some(PostLink::Run { layer: Some(layer) }) = &platform.post_link
            && !self.store.contains(&layer.sha256)
        {
            return Err(Error::ScriptsElsewhere { file: file.to_owned() });
        }
        self.distrust_lock(definition, lock).await
    }

    /// Fetches what `lock` names and `definition` does not as a stranger's from here on.
    pub(crate) async fn distrust_lock(&self, definition: &Definition, lock: &Lock) -> Result<()> {
        let fetcher = self.fetcher_for(definition).await?;
        for url in lock.strange_urls(&self.places(definition)) {
            fetcher.distrust(url);
        }
        Ok(())
    }

    /// Makes `lock` the current one of `definition`.
    pub(crate) async fn take_over(&self, definition: &Definition, lock: Lock) -> Result<Locked> {
        let digest = lock.definition;
        let _lease = self.store.lock_async("definition", &digest.hex()).await?;
        let current = self.current_lock(&digest).await?;
        if let Some(current) = &current
            && current.receipt.lock == lock.digest()
        {
            return Ok(current.clone());
        }
        let receipt = Receipt {
            format: 1,
            definition: digest,
            lock: lock.digest(),
            resolved_at: jiff::Timestamp::now(),
            indexes: Vec::new(),
            tools: vec![ToolVersion {
                name: "provenv".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            }],
            previous: current.as_ref().map(|current| current.receipt_digest),
            from_file: true,
            as_of: None,
            // What the target was said to have is true of it whoever chose.
            virtual_packages: current.map(|current| current.receipt.virtual_packages).unwrap_or_default(),
        };
        let receipt_digest = self.catalogue.record_resolution(definition, &lock, &receipt).await?;
        Ok(Locked { definition: digest, receipt_digest, receipt, lock, fresh: false })
    }

    /// The lock in `file`, if it is one of `definition`.
    pub(crate) fn read_for(&self, definition: &Definition, file: &Path) -> Result<Lock> {
        let bytes = fs_err::read(file).doing(|| "could not read the lock".to_owned())?;
        let lock = parse(&bytes, file)?;
        self.check_for(definition, &lock, file)?;
        Ok(lock)
    }

    pub(crate) fn check_for(&self, definition: &Definition, lock: &Lock, file: &Path) -> Result<()> {
        let expected = definition_digest(definition);
        if lock.definition != expected {
            return Err(Error::OtherDefinition { file: file.to_owned(), expected, actual: lock.definition });
        }
        let mut platforms = platforms_of(definition).into_iter();
        if let Some(missing) = platforms.find(|platform| !lock.platforms.contains_key(platform)) {
            return Err(Error::NoPlatform(missing));
        }
        let has = |artifact: &Artifact| self.store.contains(&artifact.sha256);
        let checked = lock
            .validate()
            .and_then(|()| lock.check_urls(&self.places(definition), has))
            .and_then(|()| lock.check_asked(definition, &self.conda_config()));
        checked.map_err(|source| Error::InvalidLock { file: file.to_owned(), source })?;
        for platform in lock.platforms.values() {
            stands_on(definition, platform)?;
        }
        Ok(())
    }

    /// Fetches what another tool's lock names, and the definition does not, as a stranger's from here on.
    pub(crate) async fn distrust(&self, definition: &Definition, artifacts: &LockedArtifacts) -> Result<()> {
        let fetcher = self.fetcher_for(definition).await?;
        for url in provenv_lock::strange_urls(artifacts, &self.places(definition)) {
            fetcher.distrust(url);
        }
        Ok(())
    }

    /// Fetches conda packages from hosts that only an index names as a stranger's from here on. Of pip's and Debian's the
    /// machine's own settings may name them, which are not known here.
    pub(crate) async fn distrust_indexes(&self, lock: &Lock) -> Result<()> {
        let Some(definition) = self.catalogue.definition(&lock.definition).await? else { return Ok(()) };
        let fetcher = self.fetcher_for(&definition).await?;
        for url in lock.strange_conda_urls(&self.places(&definition)) {
            fetcher.distrust(url);
        }
        Ok(())
    }

    /// Checks what was taken over from the lock of another tool as if it had come as a lock of ours.
    pub(crate) fn check_taken(&self, definition: &Definition, lock: &Lock) -> Result<()> {
        let has = |artifact: &Artifact| self.store.contains(&artifact.sha256);
        let checked = lock.validate().and_then(|()| lock.check_urls(&self.places(definition), has));
        checked.map_err(Error::InvalidTaken)
    }

    /// Checks what was chosen just now: indexes are no more to be believed than files.
    pub(crate) fn check_chosen(&self, definition: &Definition, lock: &Lock) -> Result<()> {
        let has = |artifact: &Artifact| self.store.contains(&artifact.sha256);
        // The machine's own settings of apt and pip name places that are not known here: of those, the tools that read them
        // take care.
        let checked = lock.validate().and_then(|()| lock.check_conda_urls(&self.places(definition), has));
        checked.map_err(Error::InvalidChosen)
    }

    /// The fetcher, which knows from here on what hosts `definition`, the settings and the machine name.
    pub(crate) async fn fetcher_for(&self, definition: &Definition) -> Result<&provenv_fetch::Fetcher> {
        let fetcher = self.fetcher().await?;
        let ubuntu = &self.config.ubuntu;
        let ubuntu = DebianConfig::ubuntu(ubuntu.mirror.clone(), ubuntu.keyring.clone(), Platform::host());
        // What makes no sense is told where it is needed.
        let archives = self.debian_config().into_iter().chain(ubuntu).flat_map(|config| config.places());
        let of_machine = provenv_lock::pypi::Host::default().places().into_iter().chain(archives);
        for url in self.places(definition).urls().iter().cloned().chain(of_machine) {
            fetcher.trust(&url);
        }
        Ok(fetcher)
    }

    /// The places that `definition` and the settings name.
    fn places(&self, definition: &Definition) -> Places {
        let mut places = Places::of(definition);
        let debian = &self.config.debian;
        let settings =
            [&self.config.pypi.index, &debian.mirror, &debian.security_mirror, &self.config.ubuntu.mirror];
        settings.into_iter().flatten().for_each(|url| places.add(url));
        let conda = provenv_lock::conda::places(&definition.conda, &self.conda_config());
        for url in conda {
            places.add(&url);
        }
        places
    }
}

/// The lock in `file`, if it is a file that holds one: to be looked at, and not to be built from.
pub(crate) fn read_if_lock(file: &Path) -> Result<Option<Lock>> {
    if !file.is_file() || file.extension().is_none_or(|ending| ending != "json") {
        return Ok(None);
    }
    let bytes = fs_err::read(file).doing(|| "could not read the lock".to_owned())?;
    let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    if !["format", "definition", "platforms"].iter().all(|key| value.get(key).is_some()) {
        return Ok(None);
    }
    let lock = parse(&bytes, file)?;
    lock.validate().map_err(|source| Error::InvalidLock { file: file.to_owned(), source })?;
    Ok(Some(lock))
}

fn parse(bytes: &[u8], file: &Path) -> Result<Lock> {
    let invalid = |source| Error::NotALock { file: file.to_owned(), source };
    // The format first: what else is in a newer one is not known here.
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(invalid)?;
    if let Some(found) = value["format"].as_u64().filter(|&found| found > u64::from(Lock::FORMAT)) {
        return Err(Error::NewerLock { file: file.to_owned(), found, known: Lock::FORMAT });
    }
    Lock::from_bytes(bytes).map_err(invalid)
}

impl Given {
    /// Refuses a lock that is not the one of the registered version.
    fn is_of(&self, lock: &Lock, file: &Path) -> Result<()> {
        match &self.row {
            Some(row) if row.lock != lock.digest() => Err(Error::OtherLock {
                file: file.to_owned(),
                environment: format!("{}:{}", row.name, row.version),
            }),
            _ => Ok(()),
        }
    }
}
