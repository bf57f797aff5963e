//! What a server offers.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

/// What a server offers: bytes in memory, and at most one folder under them.
#[derive(Clone, Debug, Default)]
pub struct FileTree {
    files: BTreeMap<String, File>,
    folder: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub(super) struct File {
    pub bytes: Bytes,
    pub content_type: String,
    /// Of which a validator is made.
    pub version: String,
}

impl File {
    fn new(bytes: Bytes, content_type: &str) -> Self {
        let version = hex::encode(Sha256::digest(&bytes))[..16].to_owned();
        Self { bytes, content_type: content_type.to_owned(), version }
    }
}

/// Larger files of a folder are told apart by their inode, length and time: to hash them at each request would make the server
/// slower than what it is to measure.
const HASHED: u64 = 1 << 20;

impl FileTree {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The files below `folder`, read anew at each request. `index.html` answers for its folder.
    pub fn folder(folder: impl Into<PathBuf>) -> Self {
        Self { files: BTreeMap::new(), folder: Some(folder.into()) }
    }

    /// Adds `bytes` at `path` (e.g. `/simple/numpy/`), its content type guessed from the name.
    #[must_use]
    pub fn with(mut self, path: &str, bytes: impl Into<Bytes>) -> Self {
        self.put(path, bytes);
        self
    }

    /// The same where the tree is there already; replaces what was there.
    pub(super) fn put(&mut self, path: &str, bytes: impl Into<Bytes>) {
        self.insert(path, guess_type(path), bytes);
    }

    /// Adds `bytes` at `path` with this content type.
    pub fn insert(&mut self, path: &str, content_type: &str, bytes: impl Into<Bytes>) {
        self.files.insert(absolute(path), File::new(bytes.into(), content_type));
    }

    /// What is at `path`.
    pub(super) fn get(&self, path: &str) -> Option<File> {
        if let Some(file) = self.files.get(path) {
            return Some(file.clone());
        }
        let mut file = self.folder.as_ref()?.join(path.trim_start_matches('/'));
        if path.split('/').any(|part| part == "..") {
            return None;
        }
        if file.is_dir() {
            file.push("index.html");
        }
        let content_type = guess_type(file.to_str()?);
        let about = fs_err::metadata(&file).ok()?;
        let bytes: Bytes = fs_err::read(&file).ok()?.into();
        if about.len() <= HASHED {
            return Some(File::new(bytes, content_type));
        }
        let version =
            format!("{:x}-{:x}-{:x}-{:x}", about.ino(), about.len(), about.mtime(), about.mtime_nsec());
        Some(File { bytes, content_type: content_type.to_owned(), version })
    }

    /// Takes `path` away.
    pub(super) fn remove(&mut self, path: &str) {
        self.files.remove(&absolute(path));
    }
}

/// A path as requests have it.
pub(super) fn absolute(path: &str) -> String {
    format!("/{}", path.trim_start_matches('/'))
}

fn guess_type(path: &str) -> &'static str {
    match Path::new(path).extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("json") => "application/json",
        Some("txt" | "metadata") => "text/plain; charset=utf-8",
        None if path.ends_with('/') => "text/html; charset=utf-8",
        _ => "application/octet-stream",
    }
}
