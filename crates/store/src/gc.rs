//! Garbage collection: what no root and no hold names is removed, while nobody has a pin.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use fs_err::File;
use provenv_definition::Digest;
use serde::{Deserialize, Serialize};

use crate::lock::{self, Mode};
use crate::record::names;
use crate::store::sync_folder;
use crate::{Result, Store};

/// All that must stay.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Roots {
    /// Blobs, those that records and locks name too.
    pub blobs: HashSet<Digest>,
    /// Records by kind and key.
    pub records: HashSet<(String, String)>,
    /// Trees by kind and key.
    pub trees: HashSet<(String, String)>,
}

impl Roots {
    /// Adds all of `other`.
    pub fn extend(&mut self, other: Self) {
        self.blobs.extend(other.blobs);
        self.records.extend(other.records);
        self.trees.extend(other.trees);
    }
}

/// A thing in the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// A record by kind and key.
    Record(String, String),
    /// A tree by kind and key.
    Tree(String, String),
    /// A blob.
    Blob(Digest),
    /// A blob that a scrub moved aside, by its name in `quarantine/`.
    Quarantined(String),
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(kind, key) => write!(f, "record {kind}/{key}"),
            Self::Tree(kind, key) => write!(f, "tree {kind}/{key}"),
            Self::Blob(digest) => write!(f, "blob {digest}"),
            Self::Quarantined(name) => write!(f, "corrupt blob {name}"),
        }
    }
}

/// What a collection did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GcReport {
    /// What was removed, with its bytes, in the order of removal.
    pub removed: Vec<(Item, u64)>,
    /// How many things stayed.
    pub kept: u64,
    /// How many bytes stayed.
    pub kept_bytes: u64,
}

impl GcReport {
    /// Bytes set free.
    pub fn removed_bytes(&self) -> u64 {
        self.removed.iter().map(|(_, bytes)| bytes).sum()
    }
}

/// The right to remove things: nobody has a pin while it lives. Find the roots after you have it, or a build that ended in
/// between loses what it made.
#[derive(Debug)]
pub struct Collector {
    store: Store,
    _exclusive: File,
}

impl Store {
    /// Waits until nobody holds a pin; new pins wait meanwhile. Never ends in a thread that holds one itself.
    pub fn collector(&self) -> Result<Collector> {
        Ok(Collector { store: self.clone(), _exclusive: lock::wait(&self.gc_lock(), Mode::Exclusive)? })
    }

    /// Like [`Store::collector`], but `None` where somebody holds a pin.
    pub fn try_collector(&self) -> Result<Option<Collector>> {
        let lock = lock::attempt(&self.gc_lock(), Mode::Exclusive)?;
        Ok(lock.map(|file| Collector { store: self.clone(), _exclusive: file }))
    }
}

impl Collector {
    /// Removes what neither `roots` nor a living process's [`Hold`](crate::Hold) names, or with `dry_run` only says what it
    /// would remove.
    ///
    /// Records go first, then trees, then blobs, so that whatever stops it, no record is left whose blob is gone.
    pub fn collect(&self, roots: &Roots, dry_run: bool) -> Result<GcReport> {
        let mut roots = roots.clone();
        roots.extend(self.store.held()?);
        let mut report = GcReport::default();
        self.records(&roots, dry_run, &mut report)?;
        self.trees(&roots, dry_run, &mut report)?;
        self.blobs(&roots, dry_run, &mut report)?;
        self.quarantine(dry_run, &mut report)?;
        if !dry_run {
            self.lock_files()?;
        }
        Ok(report)
    }

    fn records(&self, roots: &Roots, dry_run: bool, report: &mut GcReport) -> Result<()> {
        let folder = self.store.root().join("records");
        for kind in names(&folder)? {
            let kind = kind?;
            let folder = folder.join(&kind);
            let before = report.removed.len();
            for key in names(&folder)? {
                let item = (kind.clone(), key?);
                let path = folder.join(&item.1);
                let bytes = fs_err::symlink_metadata(&path)?.len();
                if report.keep(roots.records.contains(&item), Item::Record(item.0, item.1), bytes) || dry_run
                {
                    continue;
                }
                fs_err::remove_file(&path)?;
            }
            if report.removed.len() > before && !dry_run {
                sync_folder(&folder)?;
            }
        }
        Ok(())
    }

    fn trees(&self, roots: &Roots, dry_run: bool, report: &mut GcReport) -> Result<()> {
        // Those of other users are theirs to collect.
        let folder = self.store.trees();
        for kind in names(&folder)? {
            let kind = kind?;
            for key in names(&folder.join(&kind))? {
                let item = (kind.clone(), key?);
                let path = folder.join(&kind).join(&item.1);
                let bytes = folder_bytes(&path);
                if report.keep(roots.trees.contains(&item), Item::Tree(item.0, item.1), bytes) || dry_run {
                    continue;
                }
                self.store.discard_tree(&path)?;
            }
        }
        Ok(())
    }

    fn blobs(&self, roots: &Roots, dry_run: bool, report: &mut GcReport) -> Result<()> {
        for (digest, bytes) in self.store.blobs()? {
            if report.keep(roots.blobs.contains(&digest), Item::Blob(digest), bytes) || dry_run {
                continue;
            }
            fs_err::remove_file(self.store.path(&digest))?;
        }
        Ok(())
    }

    fn quarantine(&self, dry_run: bool, report: &mut GcReport) -> Result<()> {
        let folder = self.store.quarantine();
        for name in names(&folder)? {
            let name = name?;
            let path = folder.join(&name);
            let bytes = fs_err::symlink_metadata(&path)?.len();
            report.keep(false, Item::Quarantined(name), bytes);
            if !dry_run {
                fs_err::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Removes lock files that nobody holds. Whoever has opened one and waits for it notices and opens it anew.
    fn lock_files(&self) -> Result<()> {
        let folder = self.store.root().join("locks");
        for kind in names(&folder)? {
            let folder = folder.join(kind?);
            for key in names(&folder)? {
                if let Some(file) = lock::attempt(&folder.join(key?), Mode::Exclusive)? {
                    fs_err::remove_file(file.path())?;
                }
            }
        }
        Ok(())
    }
}

impl GcReport {
    /// Counts the item on its side, and says whether it stays.
    fn keep(&mut self, keep: bool, item: Item, bytes: u64) -> bool {
        if keep {
            self.kept += 1;
            self.kept_bytes += bytes;
        } else {
            self.removed.push((item, bytes));
        }
        keep
    }
}

/// The bytes of all files below `folder`, a file with several names counted once.
pub(crate) fn folder_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let mut seen = HashSet::new();
    let mut bytes = 0;
    for entry in walkdir::WalkDir::new(folder) {
        // A file that goes while we look, or a folder that we may not enter, counts nothing.
        let Ok(metadata) = entry.and_then(|entry| entry.metadata()) else { continue };
        if metadata.is_file() && (metadata.nlink() == 1 || seen.insert((metadata.dev(), metadata.ino()))) {
            bytes += metadata.len();
        }
    }
    bytes
}
