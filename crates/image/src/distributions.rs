//! The Python distributions that conda packages bring: what they say of themselves, read from the segments.

use std::sync::Arc;

use futures::future::try_join_all;
use provenv_lock::pypi::Distribution;
use provenv_lock::{CondaPackage, PlatformLock, PythonLock};
use provenv_store::Store;
use tokio::sync::Semaphore;

use crate::assemble::conda;
use crate::segment::{self, ItemKind, PREFIX, Reader, Segment};
use crate::{Assembler, Error};

/// What is read of a distribution's metadata. What counts stands before its description, and that comes last.
const MOST: u64 = 1 << 20;

impl Assembler {
    /// The Python distributions of the conda packages in `lock`, in the order of these. The packages are fetched and made
    /// into segments, which an image needs as well.
    pub async fn distributions(&self, lock: &PlatformLock) -> Result<Vec<Distribution>, Error> {
        let Some(python) = &lock.python else { return Ok(Vec::new()) };
        let permits = Arc::new(Semaphore::new(self.cores()));
        let all = lock.conda.iter().map(|package| self.of_package(package, python, Arc::clone(&permits)));
        Ok(try_join_all(all).await?.concat())
    }

    async fn of_package(
        &self,
        package: &CondaPackage,
        python: &PythonLock,
        permits: Arc<Semaphore>,
    ) -> Result<Vec<Distribution>, Error> {
        let artifact = &package.artifact;
        let size = Some(artifact.size).filter(|size| *size > 0);
        let path = self.fetcher().artifact(&artifact.url, &artifact.sha256, size).await?;
        let _permit = permits.acquire().await.expect("the semaphore is never closed");
        let (name, laid_for) = (conda::file_name(package), conda::for_python(package, Some(python)));
        let (store, sha256, package) = (self.store().clone(), artifact.sha256, package.name.clone());
        let minor = python.minor();
        let read = tokio::task::spawn_blocking(move || {
            let made = segment::conda(&store, &path, &sha256, &name, laid_for)?;
            metadata(&store, &made.segment, minor).map(|all| (package, all))
        });
        let (package, all) = read.await??;
        Ok(all.into_iter().map(|metadata| Distribution { package: package.clone(), metadata }).collect())
    }
}

/// `METADATA` and `PKG-INFO` of the distributions in a segment.
fn metadata(store: &Store, segment: &Segment, python: (u32, u32)) -> Result<Vec<String>, segment::Error> {
    let found = segment.index.entries.iter().filter(|item| is_metadata(&item.path, python));
    let found: Vec<_> = found.filter(|item| item.kind == ItemKind::File).collect();
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader::open(store, segment)?;
    let read = |item| Ok(String::from_utf8_lossy(&reader.read_part(item, 0, MOST)?).into_owned());
    found.into_iter().map(read).collect()
}

/// Whether Python takes the file at `path` for a distribution's metadata (`importlib.metadata`): `METADATA` in a
/// `.dist-info` folder, `PKG-INFO` in an `.egg-info` one, or an `.egg-info` file.
fn is_metadata(path: &str, (major, minor): (u32, u32)) -> bool {
    let below = |folder: &str| path.strip_prefix(PREFIX)?.strip_prefix(folder).map(str::to_owned);
    // The second is that of a Python without a global lock.
    let folders = ["", "t"].map(|kind| format!("/lib/python{major}.{minor}{kind}/site-packages/"));
    let Some(below) = folders.iter().find_map(|folder| below(folder)) else { return false };
    match below.split_once('/') {
        Some((folder, file)) => {
            (folder.ends_with(".dist-info") && file == "METADATA")
                || (folder.ends_with(".egg-info") && file == "PKG-INFO")
        }
        None => below.ends_with(".egg-info"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_python_looks_at_counts() {
        let is = |path: &str| is_metadata(path, (3, 11));
        for path in [
            "opt/provenv/lib/python3.11/site-packages/a-1.dist-info/METADATA",
            "opt/provenv/lib/python3.11t/site-packages/a-1.dist-info/METADATA",
            "opt/provenv/lib/python3.11/site-packages/a-1-py3.11.egg-info/PKG-INFO",
            "opt/provenv/lib/python3.11/site-packages/a-1.egg-info",
        ] {
            assert!(is(path), "{path}");
        }
        for path in [
            "opt/provenv/lib/python3.1/site-packages/a-1.dist-info/METADATA",
            "opt/provenv/lib/python3.12/site-packages/a-1.dist-info/METADATA",
            "opt/provenv/lib/python3.11/site-packages/a-1.dist-info/licenses/METADATA",
            "opt/provenv/lib/python3.11/site-packages/vendor/b-1.dist-info/METADATA",
            "usr/lib/python3.11/site-packages/a-1.dist-info/METADATA",
            "opt/provenv/lib/python3.11/site-packages/a-1.egg-info/requires.txt",
        ] {
            assert!(!is(path), "{path}");
        }
    }
}
