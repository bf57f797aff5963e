//! Locks that come as files: read, checked against a definition, taken over.

use std::path::{Path, PathBuf};

use provenv_definition::{Definition, Diagnostic, Digest, definition_digest};
use provenv_lock::{Lock, PypiSource, Receipt, ToolVersion};
use serde::Serialize;

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
        let lock = read_for(&given.environment.definition, file)?;
        given.is_of(&lock, file)?;
        let packages =
            lock.platforms.values().map(|platform| platform.debian.len() + platform.pypi.len()).sum();
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

    /// The lock of what was given: the one in `file`, if there is one, else as [`Workspace::locked`] finds it.
    pub(crate) async fn locked_by(&self, given: &Given, file: Option<&Path>) -> Result<Locked> {
        let Some(file) = file else { return self.locked(given).await };
        if given.row.is_some() {
            given.is_of(&read_for(&given.environment.definition, file)?, file)?;
            return self.locked(given).await;
        }
        self.adopt(&given.environment.definition, file).await
    }

    /// Takes the lock in `file` over as the current one of `definition`.
    pub(crate) async fn adopt(&self, definition: &Definition, file: &Path) -> Result<Locked> {
        let lock = read_for(definition, file)?;
        for package in lock.platforms.values().flat_map(|platform| &platform.pypi) {
            if let PypiSource::Built { sha256, .. } = &package.source
                && !self.store.contains(sha256)
            {
                return Err(Error::BuiltElsewhere { file: file.to_owned(), wheel: package.wheel.clone() });
            }
        }
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
            previous: current.map(|current| current.receipt_digest),
            from_file: true,
        };
        let receipt_digest = self.catalogue.record_resolution(definition, &lock, &receipt).await?;
        Ok(Locked { definition: digest, receipt_digest, receipt, lock, fresh: false })
    }
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

/// The lock in `file`, if it is one of `definition`.
fn read_for(definition: &Definition, file: &Path) -> Result<Lock> {
    let bytes = fs_err::read(file).doing(|| "could not read the lock".to_owned())?;
    let invalid = |source| Error::NotALock { file: file.to_owned(), source };
    // The format first: what else is in a newer one is not known here.
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(invalid)?;
    if let Some(found) = value["format"].as_u64().filter(|&found| found > u64::from(Lock::FORMAT)) {
        return Err(Error::NewerLock { file: file.to_owned(), found, known: Lock::FORMAT });
    }
    let lock = Lock::from_bytes(&bytes).map_err(invalid)?;
    let expected = definition_digest(definition);
    if lock.definition != expected {
        return Err(Error::OtherDefinition { file: file.to_owned(), expected, actual: lock.definition });
    }
    match platforms_of(definition).into_iter().find(|platform| !lock.platforms.contains_key(platform)) {
        Some(missing) => Err(Error::NoPlatform(missing)),
        None => Ok(lock),
    }
}
