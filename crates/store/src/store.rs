//! The store itself: opening it, and reading blobs.

use std::collections::HashSet;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use fs_err::File;
use nix::unistd::AccessFlags;
use provenv_definition::{Digest, Hasher};

use crate::scratch::{self, Scratch};
use crate::staged::{Blob, Staged};
use crate::{Error, Result, boot};

/// The newest format of the folder that this version reads and writes.
const FORMAT: u64 = 1;
/// How long what is in the making is left for a process that goes on with it.
const FORGOTTEN: Duration = Duration::from_hours(24);
/// Of so many blobs a process remembers that it has hashed them.
const REMEMBERED: usize = 1 << 16;
const FORMAT_PREFIX: &str = "provenv store ";

/// A folder of blobs, records and trees that many processes share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// The folder below `trees/` and `cache/` that this user's are in, where somebody else owns the store.
    own: Option<String>,
    /// Made when first needed, so that reading alone writes nothing.
    scratch: OnceLock<Scratch>,
    boot: OnceLock<Option<String>>,
    /// Blobs whose bytes this process has hashed: as it made them, or to check them.
    whole: Mutex<HashSet<Digest>>,
}

impl Store {
    /// Opens the store at `root`, making it if there is none, and removes what dead processes left in the making.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = std::path::absolute(root.into())?;
        match fs_err::read_to_string(root.join("format")) {
            Ok(text) => check_format(&root, &text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(&root)?,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(Error::NotAStore(root.join("format")));
            }
            Err(error) => return Err(error.into()),
        }
        // Half of what follows would fail anyway, each in its own words.
        let asked = AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK;
        if let Err(errno) = nix::unistd::access(&root, asked) {
            let kind = io::Error::from(errno).kind();
            let why = if kind == io::ErrorKind::ReadOnlyFilesystem {
                "is on a file system that is mounted read-only"
            } else {
                "may not be written by this user"
            };
            let error = format!("`{}` {why}", root.display());
            return Err(Error::Permission(io::Error::new(kind, error)));
        }
        scratch::sweep(&root)?;
        let user = nix::unistd::geteuid().as_raw();
        let own = (fs_err::metadata(&root)?.uid() != user).then(|| format!(".of-{user}"));
        let store = Self(Arc::new(Inner {
            root,
            own,
            scratch: OnceLock::new(),
            boot: OnceLock::new(),
            whole: Mutex::default(),
        }));
        store.sweep_uploads(FORGOTTEN)?;
        Ok(store)
    }

    /// The store's folder, absolute.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// Whether the blob is there.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// The blob's size in bytes; `None` where it is not there.
    pub fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        match fs_err::metadata(self.path(digest)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Where the blob is, or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.root().join("blobs/sha256").join(&hex[..2]).join(&hex[2..])
    }

    /// Opens the blob for reading. Its bytes are not checked: [`Store::scrub`] does that.
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        File::open(self.path(digest)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::Missing(*digest),
            _ => error.into(),
        })
    }

    /// The blob's bytes, all in memory and checked against the digest: for small ones.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open_blob(digest)?.read_to_end(&mut bytes)?;
        let actual = Digest::of(&bytes);
        if actual == *digest { Ok(bytes) } else { Err(Error::Corrupt { expected: *digest, actual }) }
    }

    /// Refuses a blob whose bytes are not those of its name, which a disk may do to it: for who makes something else of it that
    /// would carry the damage on under a digest of its own. What this process has made or checked is not read again.
    pub fn verify(&self, digest: &Digest) -> Result<()> {
        let known = || self.0.whole.lock().unwrap_or_else(PoisonError::into_inner);
        if known().contains(digest) {
            return Ok(());
        }
        let mut hasher = Hasher::new();
        io::copy(&mut self.open_blob(digest)?, &mut hasher)?;
        let actual = hasher.finish();
        if actual != *digest {
            return Err(Error::Corrupt { expected: *digest, actual });
        }
        self.note_whole(*digest);
        Ok(())
    }

    /// This process has just hashed the blob's bytes.
    pub(crate) fn note_whole(&self, digest: Digest) {
        let mut known = self.0.whole.lock().unwrap_or_else(PoisonError::into_inner);
        // Who takes in blobs for ever, as a registry does, remembers the last ones.
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(digest);
    }

    /// Keeps `bytes`.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if self.size(&digest)? != Some(bytes.len() as u64) {
            let mut staged = self.stage()?;
            staged.write_all(bytes)?;
            staged.commit_expecting(&digest, None)?;
        }
        Ok(digest)
    }

    /// A new blob in the making.
    pub fn stage(&self) -> Result<Staged> {
        Staged::new(self)
    }

    /// An empty folder on the store's file system, removed when dropped. Keep the store as long.
    pub fn scratch(&self) -> Result<tempfile::TempDir> {
        let folder = tempfile::TempDir::new_in(self.own_tmp()?)?;
        scratch::keep_to_oneself(folder.path())?;
        Ok(folder)
    }

    /// A folder for what tools cache, this user's own: `cache/<what>`. It may not be there.
    pub fn cache(&self, what: &str) -> PathBuf {
        self.own("cache").join(what)
    }

    /// The folder of unpacked folders, this user's own.
    pub(crate) fn trees(&self) -> PathBuf {
        self.own("trees")
    }

    fn own(&self, area: &str) -> PathBuf {
        let folder = self.root().join(area);
        self.0.own.as_ref().map_or(folder.clone(), |own| folder.join(own))
    }

    /// The folder below `tmp/` that is this handle's alone.
    pub(crate) fn own_tmp(&self) -> Result<&Path> {
        if let Some(scratch) = self.0.scratch.get() {
            return Ok(scratch.path());
        }
        let made = Scratch::create(self.root())?;
        // Where another thread was faster, ours is dropped and with it removed.
        Ok(self.0.scratch.get_or_init(|| made).path())
    }

    /// The id of this boot of the machine, where the kernel tells.
    pub(crate) fn boot(&self) -> Option<&str> {
        self.0.boot.get_or_init(boot::id).as_deref()
    }

    /// `<root>/<area>/<kind>/<key>`, if these can be names.
    pub(crate) fn named(&self, area: &str, kind: &str, key: &str) -> Result<PathBuf> {
        Ok(self.root().join(area).join(name(kind)?).join(name(key)?))
    }

    pub(crate) fn blob(&self, digest: Digest, size: u64) -> Result<Option<Blob>> {
        Ok((self.size(&digest)? == Some(size)).then_some(Blob { digest, size }))
    }
}

/// Names that are safe as file names: lower case because of file systems that fold case, no leading dot because
/// those are the store's own.
pub(crate) fn name(text: &str) -> Result<&str> {
    let valid = !text.is_empty()
        && text.len() <= 200
        && !text.starts_with('.')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte));
    if valid { Ok(text) } else { Err(Error::Name(text.to_owned())) }
}

fn check_format(root: &Path, text: &str) -> Result<()> {
    let found = text.trim_end().strip_prefix(FORMAT_PREFIX).and_then(|number| number.parse().ok());
    match found {
        Some(found) if found > FORMAT => {
            Err(Error::NewerFormat { path: root.to_owned(), found, known: FORMAT })
        }
        Some(_) => Ok(()),
        None => Err(Error::NotAStore(root.join("format"))),
    }
}

fn create(root: &Path) -> Result<()> {
    for folder in ["blobs/sha256", "records", "trees", "tmp", "locks"] {
        fs_err::create_dir_all(root.join(folder))?;
    }
    // Last, so that a folder with a format is complete; and not in `tmp/`, where whoever opens the store in the same
    // moment would sweep it away.
    let mut file = scratch::file_in(root, ".format-")?;
    writeln!(file, "{FORMAT_PREFIX}{FORMAT}")?;
    file.as_file().sync_all()?;
    file.persist(root.join("format")).map_err(|error| error.error)?;
    sync_folder(root)?;
    Ok(())
}

/// Makes the names in `folder` as durable as the disk allows.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Renames `from` to `to` and makes the name durable; makes `to`'s folder if it is missing.
pub(crate) fn rename_into(from: &Path, to: &Path) -> io::Result<()> {
    let folder = to.parent().unwrap_or(to);
    match fs_err::rename(from, to) {
        // A shard or kind without anything yet. `from` missing gives the same error, and again below.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs_err::create_dir_all(folder)?;
            sync_folder(folder.parent().unwrap_or(folder))?;
            fs_err::rename(from, to)?;
        }
        result => result?,
    }
    sync_folder(folder)
}
