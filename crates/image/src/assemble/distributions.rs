//! The Python distributions that conda packages bring: what they say of themselves, read from the segments.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::try_join_all;
use provenv_fetch::Phase;
use provenv_lock::pypi::Distribution;
use provenv_lock::{CondaPackage, PythonLock};
use provenv_store::Store;

use super::Error;
use super::build::Build;
use super::conda::{for_pythons, order_of};
use crate::segment::{self, CondaFacts, Item, ItemKind, PREFIX, Reader, Segment};
use crate::{conda_meta, path};

/// What is read of a distribution's metadata. What counts stands before its description, and that comes last.
pub(super) const MOST: u64 = 1 << 20;

/// So many links are followed to the file with it.
const MOST_LINKS: usize = 8;

impl Build<'_> {
    /// What the conda packages bring, in the order in which they are laid down: of one file of two packages the later counts.
    pub(super) async fn distributions(&self) -> Result<Vec<Distribution>, Error> {
        let Some(python) = self.lock.python.as_ref().map(PythonLock::minor) else { return Ok(Vec::new()) };
        let all = self.lock.conda.iter().map(|package| self.of_package(package, python));
        let (facts, mut read): (Vec<_>, Vec<_>) = try_join_all(all).await?.into_iter().unzip();
        let packages = conda_meta::with_needs(&self.lock.conda, facts.iter());
        let depends: Vec<_> = packages.iter().map(|package| package.depends.clone()).collect();
        let order = order_of(&packages, &depends, facts.iter());
        Ok(order.into_iter().flat_map(|n| std::mem::take(&mut read[n])).collect())
    }

    async fn of_package(
        &self,
        package: &CondaPackage,
        python: (u32, u32),
    ) -> Result<(CondaFacts, Vec<Distribution>), Error> {
        let sha256 = &package.artifact.sha256;
        let kept = segment::kept_conda(self.store, sha256, &for_pythons(package, self.lock.python.as_ref()))?;
        let (segment, facts) = if let Some(kept) = kept {
            (Arc::new(kept.segment), kept.facts)
        } else {
            self.reporter.expect(Phase::Assembling, 1, package.artifact.size);
            let (made, facts) = self.conda_package(package).await?;
            (made.segment, facts)
        };
        let (store, name) = (self.store.clone(), package.name.clone());
        let read = self.blocking(move || metadata(&store, &segment, python)).await?;
        let read = read.into_iter().map(|metadata| Distribution { package: name.clone(), metadata });
        Ok((facts, read.collect()))
    }
}

/// `METADATA` and `PKG-INFO` of the distributions in a segment.
fn metadata(store: &Store, segment: &Segment, python: (u32, u32)) -> Result<Vec<String>, segment::Error> {
    let items = by_path(segment);
    let found = segment.index.entries.iter().filter_map(|item| file_of(&items, &item.path, python));
    let found: Vec<_> = found.collect();
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader::open(store, segment)?;
    let read = |item| Ok(String::from_utf8_lossy(&reader.read_part(item, 0, MOST)?).into_owned());
    found.into_iter().map(read).collect()
}

/// What is in a segment, by path.
pub(super) fn by_path(segment: &Segment) -> BTreeMap<&str, &Item> {
    segment.index.entries.iter().map(|item| (item.path.as_str(), item)).collect()
}

/// The file with the metadata of a distribution, if it is at `path`: where a folder has both, Python takes its `METADATA`.
pub(super) fn file_of<'i>(
    items: &BTreeMap<&'i str, &'i Item>,
    path: &str,
    python: (u32, u32),
) -> Option<&'i Item> {
    if !is_metadata(path, python) {
        return None;
    }
    let hides = path.strip_suffix("/PKG-INFO").map(|folder| format!("{folder}/METADATA"));
    if hides.is_some_and(|other| items.contains_key(&*other)) {
        return None;
    }
    behind(items, path)
}

/// The file at `path`, or that which a link there leads to, in the same package.
pub(super) fn behind<'i>(items: &BTreeMap<&'i str, &'i Item>, path: &str) -> Option<&'i Item> {
    let mut item = *items.get(path)?;
    for _ in 0..MOST_LINKS {
        let next = match &item.kind {
            ItemKind::File => return Some(item),
            ItemKind::Hardlink(target) => target.clone(),
            ItemKind::Symlink(target) => leads_to(&item.path, target)?,
        };
        item = items.get(&*next)?;
    }
    None
}

/// Where a link at `path` leads; `None` where that is outside of the prefix.
fn leads_to(path: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = match target.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => path::parents(path).next_back()?.split('/').collect(),
    };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    let inside = path.strip_prefix(PREFIX).is_some_and(|below| below.starts_with('/'));
    inside.then_some(path)
}

/// Whether Python takes the file at `path` for a distribution's metadata (`importlib.metadata`): `METADATA` or `PKG-INFO` in a
/// folder whose name ends with `.dist-info` or `.egg-info` in whatever case, or a file with such a name.
pub(crate) fn is_metadata(path: &str, (major, minor): (u32, u32)) -> bool {
    let below = |folder: &str| path.strip_prefix(PREFIX)?.strip_prefix(folder).map(str::to_owned);
    // The second is that of a Python without a global lock.
    let folders = ["", "t"].map(|kind| format!("/lib/python{major}.{minor}{kind}/site-packages/"));
    let Some(below) = folders.iter().find_map(|folder| below(folder)) else { return false };
    let ends = |name: &str, ending: &str| name.to_ascii_lowercase().ends_with(ending);
    match below.split_once('/') {
        Some((folder, file)) => {
            (ends(folder, ".dist-info") || ends(folder, ".egg-info"))
                && (file == "METADATA" || file == "PKG-INFO")
        }
        None => ends(&below, ".egg-info"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_inside_of_the_prefix() {
        let site = "opt/provenv/lib/python3.11/site-packages";
        let of = |target: &str| leads_to(&format!("{site}/a.egg-info"), target);
        assert_eq!(of("../../../share/./a").unwrap(), "opt/provenv/share/a");
        assert_eq!(of("b.egg-info").unwrap(), format!("{site}/b.egg-info"));
        assert_eq!(of("/opt/provenv/share/a").unwrap(), "opt/provenv/share/a");
        for outside in ["/etc/passwd", "../../../../../etc/passwd", "../../../../../../../..", "/opt/provenv"]
        {
            assert_eq!(of(outside), None, "{outside}");
        }
    }

    #[test]
    fn only_what_python_looks_at_counts() {
        let is = |path: &str| is_metadata(path, (3, 11));
        for path in [
            "opt/provenv/lib/python3.11/site-packages/a-1.dist-info/METADATA",
            "opt/provenv/lib/python3.11t/site-packages/a-1.dist-info/METADATA",
            "opt/provenv/lib/python3.11/site-packages/a-1-py3.11.egg-info/PKG-INFO",
            "opt/provenv/lib/python3.11/site-packages/a-1.egg-info",
            "opt/provenv/lib/python3.11/site-packages/A-1.Dist-Info/METADATA",
            "opt/provenv/lib/python3.11/site-packages/a-1.dist-info/PKG-INFO",
            "opt/provenv/lib/python3.11/site-packages/a-1.egg-info/METADATA",
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
