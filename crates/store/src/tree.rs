//! Trees: unpacked folders. They are made of blobs and can be made again, so they are not flushed file by file.
//!
//! In a store that users share, each has its own: files in them have the modes and owners of an image, and a container of
//! one user cannot write over the files of another.

use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fs_err::File;

use crate::record::names;
use crate::scratch::{file_in, keep_to_oneself, remove_tree};
use crate::store::name;
use crate::store::{rename_into, sync_folder};
use crate::{Result, Store};

/// A folder in the making. It is removed when dropped without a commit.
pub struct StagedTree {
    store: Store,
    path: PathBuf,
    target: PathBuf,
}

impl Store {
    /// The finished folder. It must not be written to.
    pub fn tree(&self, kind: &str, key: &str) -> Option<PathBuf> {
        let path = self.tree_path(kind, key).ok()?;
        (path.is_dir() && self.is_whole(&path)).then_some(path)
    }

    /// The keys of all trees of a kind, sorted.
    pub fn tree_keys(&self, kind: &str) -> Result<Vec<String>> {
        let folder = self.trees().join(name(kind)?);
        let mut keys: Vec<String> = names(&folder)?.collect::<io::Result<_>>()?;
        keys.sort_unstable();
        Ok(keys)
    }

    /// An empty folder to fill, which becomes the tree `kind`/`key` by a commit.
    pub fn stage_tree(&self, kind: &str, key: &str) -> Result<StagedTree> {
        let target = self.tree_path(kind, key)?;
        let path = tempfile::Builder::new()
            .prefix("tree-")
            .permissions(std::fs::Permissions::from_mode(0o755))
            .tempdir_in(self.own_tmp()?)?
            .keep();
        keep_to_oneself(&path)?;
        Ok(StagedTree { store: self.clone(), path, target })
    }

    fn tree_path(&self, kind: &str, key: &str) -> Result<PathBuf> {
        Ok(self.trees().join(name(kind)?).join(name(key)?))
    }

    /// Whether all of the tree is there: it was flushed to disk, or the machine that wrote it is still up.
    fn is_whole(&self, path: &Path) -> bool {
        match fs_err::read_to_string(unflushed_mark(path)) {
            Ok(boot) => Some(boot.as_str()) == self.boot(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Takes a tree out of sight in one step, then removes it.
    pub(crate) fn discard_tree(&self, path: &Path) -> Result<()> {
        // Moving a folder to another one changes its `..`, for which it must be writable.
        make_writable(path)?;
        let out_of_sight = tempfile::Builder::new().prefix("old-").tempdir_in(self.own_tmp()?)?.keep();
        fs_err::rename(path, &out_of_sight)?;
        remove_file_if_there(&unflushed_mark(path))?;
        remove_tree(&out_of_sight)?;
        Ok(())
    }
}

impl StagedTree {
    /// The folder to fill. Its own mode is kept, but its owner may always read and write it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it will be.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Gives it its name. Where another process was faster, its tree is kept and this one removed.
    pub fn commit(self) -> Result<PathBuf> {
        let target = self.target.clone();
        if self.is_there() {
            return Ok(target);
        }
        if target.exists() {
            // One that a power cut may have spoilt.
            match self.store.discard_tree(&target) {
                Err(_) if !target.exists() || self.is_there() => {}
                result => result?,
            }
        }
        make_writable(&self.path)?;
        let marked = self.mark()?;
        match rename_into(&self.path, &target) {
            Err(_) if self.is_there() => return Ok(target),
            result => result?,
        }
        if marked {
            flush_behind(target.clone());
        }
        Ok(target)
    }

    fn is_there(&self) -> bool {
        self.target.is_dir() && self.store.is_whole(&self.target)
    }

    /// Notes durably that the tree, once in place, is not flushed. Where the kernel does not tell one boot from the
    /// next, flushes it now instead.
    fn mark(&self) -> Result<bool> {
        let Some(boot) = self.store.boot() else {
            flush_file_system(&self.path)?;
            return Ok(false);
        };
        let file = file_in(self.store.own_tmp()?, "mark-")?;
        fs_err::write(file.path(), boot)?;
        file.as_file().sync_all()?;
        let file = file.into_temp_path();
        rename_into(&file, &unflushed_mark(&self.target))?;
        let _ = file.keep();
        Ok(true)
    }
}

impl Drop for StagedTree {
    fn drop(&mut self) {
        // After a commit it is not there any more. What fails here, `open` removes later.
        let _ = remove_tree(&self.path);
    }
}

impl fmt::Debug for StagedTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StagedTree")
            .field("path", &self.path)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// While this file is there, the tree beside it holds only as long as the boot whose id is in it.
pub(crate) fn unflushed_mark(tree: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(tree.file_name().unwrap_or_default());
    name.push(".boot");
    tree.with_file_name(name)
}

/// Flushes the tree to disk and then takes its mark away, without anybody waiting. If the process ends first, the
/// mark stays, and the tree is made again after the next boot.
fn flush_behind(tree: PathBuf) {
    std::thread::spawn(move || {
        let flush = || -> io::Result<()> {
            flush_file_system(&tree)?;
            sync_folder(tree.parent().unwrap_or(&tree))?;
            remove_file_if_there(&unflushed_mark(&tree))
        };
        if let Err(error) = flush() {
            tracing::debug!(%error, "failed to flush a tree");
        }
    });
}

fn flush_file_system(path: &Path) -> io::Result<()> {
    Ok(nix::unistd::syncfs(File::open(path)?.file())?)
}

fn make_writable(folder: &Path) -> io::Result<()> {
    let mode = fs_err::metadata(folder)?.permissions().mode();
    if mode & 0o700 != 0o700 {
        fs_err::set_permissions(folder, std::fs::Permissions::from_mode(mode | 0o700))?;
    }
    Ok(())
}

fn remove_file_if_there(path: &Path) -> io::Result<()> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
