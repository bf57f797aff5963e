//! The Python distributions that conda packages bring: what they say of themselves, read from the segments.

use std::sync::Arc;

use futures::future::try_join_all;
use provenv_fetch::Phase;
use provenv_lock::pypi::Distribution;
use provenv_lock::{CondaPackage, PythonLock};
use provenv_store::Store;

use super::Error;
use super::build::Build;
use super::conda::for_pythons;
use crate::segment::{self, ItemKind, PREFIX, Reader, Segment};

/// What is read of a distribution's metadata. What counts stands before its description, and that comes last.
pub(super) const MOST: u64 = 1 << 20;

impl Build<'_> {
    /// What the conda packages bring.
    pub(super) async fn distributions(&self) -> Result<Vec<Distribution>, Error> {
        let Some(python) = self.lock.python.as_ref().map(PythonLock::minor) else { return Ok(Vec::new()) };
        let all = self.lock.conda.iter().map(|package| self.of_package(package, python));
        Ok(try_join_all(all).await?.concat())
    }

    async fn of_package(
        &self,
        package: &CondaPackage,
        python: (u32, u32),
    ) -> Result<Vec<Distribution>, Error> {
        let sha256 = &package.artifact.sha256;
        let kept = segment::kept_conda(self.store, sha256, &for_pythons(package, self.lock.python.as_ref()))?;
        let segment = if let Some(kept) = kept {
            Arc::new(kept.segment)
        } else {
            self.reporter.expect(Phase::Assembling, 1, package.artifact.size);
            self.conda_package(package).await?.0.segment
        };
        let (store, name) = (self.store.clone(), package.name.clone());
        let read = self.blocking(move || metadata(&store, &segment, python)).await?;
        Ok(read.into_iter().map(|metadata| Distribution { package: name.clone(), metadata }).collect())
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
pub(crate) fn is_metadata(path: &str, (major, minor): (u32, u32)) -> bool {
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
