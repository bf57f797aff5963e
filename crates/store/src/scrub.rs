//! Scrub: reads every blob again and moves aside those that no longer have their digest.

use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use provenv_definition::{Digest, Hasher};
use serde::Serialize;

use crate::record::{self, names};
use crate::store::rename_into;
use crate::{Error, Result, Store};

/// A blob that is not what its name says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Corrupt {
    /// Its name.
    pub digest: Digest,
    /// What is wrong, for people.
    pub reason: String,
    /// Where it is now.
    pub moved_to: PathBuf,
}

/// What a scrub found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ScrubReport {
    /// Blobs read.
    pub checked: u64,
    /// Bytes read.
    pub bytes: u64,
    /// The corrupt ones by digest. Their names are free again: they are fetched or made anew when next needed.
    pub corrupt: Vec<Corrupt>,
    /// Records that had changed, `<kind>/<key>`. They are gone: what they said is found out again.
    pub records: Vec<String>,
}

impl Store {
    /// Reads every blob again, on all cores, and moves corrupt ones to `quarantine/`. `progress` hears, from any
    /// thread, of the bytes read since it was last called.
    pub fn scrub(&self, progress: impl Fn(u64) + Sync) -> Result<ScrubReport> {
        let blobs = self.blobs()?;
        let next = AtomicUsize::new(0);
        let report = Mutex::new(ScrubReport::default());
        let work = || -> Result<()> {
            while let Some((digest, _)) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let (bytes, corrupt) = self.check(digest, &progress)?;
                let mut report = report.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                report.checked += 1;
                report.bytes += bytes;
                report.corrupt.extend(corrupt);
            }
            Ok(())
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers
                .into_iter()
                .try_for_each(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })?;
        let mut report = report.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        report.corrupt.sort_unstable_by_key(|corrupt| corrupt.digest);
        report.records = self.scrub_records()?;
        Ok(report)
    }

    fn scrub_records(&self) -> Result<Vec<String>> {
        let mut removed = Vec::new();
        let records = self.root().join("records");
        for kind in names(&records)? {
            let kind = kind?;
            for key in names(&records.join(&kind))? {
                let key = key?;
                let path = records.join(&kind).join(&key);
                let bytes = match fs_err::read(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    // As with blobs: a sector that has gone bad.
                    Err(_) => Vec::new(),
                    Ok(bytes) => bytes,
                };
                let read = |value| serde_json::from_slice::<serde::de::IgnoredAny>(value).is_ok();
                if !record::value(&bytes).is_some_and(read) {
                    fs_err::remove_file(&path)?;
                    removed.push(format!("{kind}/{key}"));
                }
            }
        }
        Ok(removed)
    }

    /// Blobs that a scrub moved aside and that nobody has brought back since, sorted.
    pub fn quarantined(&self) -> Result<Vec<Digest>> {
        let mut digests = Vec::new();
        for name in names(&self.quarantine())? {
            digests.extend(Digest::from_hex(&name?).ok().filter(|digest| !self.contains(digest)));
        }
        digests.sort_unstable();
        Ok(digests)
    }

    /// Removes what was moved aside of a blob that is there again.
    pub fn forget_quarantined(&self, digest: &Digest) -> Result<()> {
        match fs_err::remove_file(self.quarantine().join(digest.hex())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    pub(crate) fn quarantine(&self) -> PathBuf {
        self.root().join("quarantine")
    }

    fn check(&self, digest: &Digest, progress: &impl Fn(u64)) -> Result<(u64, Option<Corrupt>)> {
        let mut file = match self.open_blob(digest) {
            // Collected meanwhile.
            Err(Error::Missing(_)) => return Ok((0, None)),
            result => result?,
        };
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; 256 * 1024];
        let mut bytes = 0;
        let reason = loop {
            match file.read(&mut buffer) {
                Ok(0) => {
                    let actual = hasher.finish();
                    break (actual != *digest).then(|| format!("its bytes are those of {actual}"));
                }
                Ok(count) => {
                    hasher.update(&buffer[..count]);
                    bytes += count as u64;
                    progress(count as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A bad sector is the disk's way of saying the same.
                Err(error) => break Some(format!("it cannot be read: {error}")),
            }
        };
        let Some(reason) = reason else { return Ok((bytes, None)) };
        let moved_to = self.quarantine().join(digest.hex());
        let path = self.path(digest);
        match rename_into(&path, &moved_to) {
            // Collected, or moved aside by another scrub.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((bytes, None)),
            result => result?,
        }
        // Somebody may have put the right bytes in its place since they were read.
        let read = file.metadata()?;
        let moved = fs_err::metadata(&moved_to)?;
        if (read.dev(), read.ino()) != (moved.dev(), moved.ino()) {
            rename_into(&moved_to, &path)?;
            return Ok((bytes, None));
        }
        Ok((bytes, Some(Corrupt { digest: *digest, reason, moved_to })))
    }
}
