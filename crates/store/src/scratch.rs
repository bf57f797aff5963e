//! A folder below `tmp/` for each living process, and the removal of dead ones' folders.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fs_err::File;
use tempfile::NamedTempFile;

use crate::lock::{self, Mode};
use crate::outside;

/// The lock file inside; its process lives as long as it is locked.
const ALIVE: &str = ".alive";

/// One process's own folder. Everything half-made is in such a folder.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    _alive: File,
}

/// Held shared while a folder is made and not yet locked, and exclusively while looking for dead ones.
fn sweep_lock(root: &Path) -> PathBuf {
    root.join("locks/.tmp")
}

impl Scratch {
    pub(crate) fn create(root: &Path) -> io::Result<Self> {
        let _making = lock::wait(&sweep_lock(root), Mode::Shared)?;
        let tmp = root.join("tmp");
        fs_err::create_dir_all(&tmp)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix("").rand_bytes(12).permissions(std::fs::Permissions::from_mode(0o777));
        let path = builder.tempdir_in(tmp)?.keep();
        let alive = File::create(path.join(ALIVE))?;
        alive.lock()?;
        Ok(Self { path, _alive: alive })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Something may still be in use by a `TempDir` that outlives the store: then the next `open` after this
        // process removes it.
        let in_use = fs_err::read_dir(&self.path)
            .is_ok_and(|mut names| names.any(|name| name.is_ok_and(|name| name.file_name() != ALIVE)));
        if !in_use {
            let _ = fs_err::remove_file(self.path.join(ALIVE));
            let _ = fs_err::remove_dir(&self.path);
        }
    }
}

/// Removes the folders of dead processes. Does nothing where another process is at it.
pub(crate) fn sweep(root: &Path) -> io::Result<()> {
    let tmp = root.join("tmp");
    if !has_entries(&tmp)? {
        return Ok(());
    }
    let Some(_sweeping) = lock::attempt(&sweep_lock(root), Mode::Exclusive)? else { return Ok(()) };
    for entry in fs_err::read_dir(&tmp)? {
        let path = entry?.path();
        // Nobody is making one now, as we hold the sweep lock: where there is no lock file, its process died before.
        // One that we may not look into is another user's to sweep.
        if is_alive(&path).is_ok_and(|alive| !alive) {
            tracing::debug!(path = %path.display(), "removing what a dead process left");
            outside::sweep(&path);
            // What cannot be removed today, such as another user's, does not keep anybody from working.
            if let Err(error) = remove_tree(&path) {
                tracing::warn!(%error, "failed to remove what a dead process left");
            }
        }
    }
    Ok(())
}

/// The folders of living processes.
pub(crate) fn living(root: &Path) -> io::Result<Vec<PathBuf>> {
    let tmp = root.join("tmp");
    let mut living = Vec::new();
    if has_entries(&tmp)? {
        for entry in fs_err::read_dir(&tmp)? {
            let path = entry?.path();
            if is_alive(&path)? {
                living.push(path);
            }
        }
    }
    Ok(living)
}

fn is_alive(folder: &Path) -> io::Result<bool> {
    match File::open(folder.join(ALIVE)) {
        Ok(file) => Ok(file.try_lock().is_err()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Gives a new folder the user's own group, which nothing made in it inherits. In a shared store it would have the store's, and
/// in a user namespace, where that group is nobody's, no container could use it.
pub(crate) fn keep_to_oneself(folder: &Path) -> io::Result<()> {
    fs_err::os::unix::fs::chown(folder, None, Some(nix::unistd::getegid().as_raw()))?;
    let mode = fs_err::metadata(folder)?.permissions().mode() & 0o777;
    fs_err::set_permissions(folder, std::fs::Permissions::from_mode(mode))
}

/// A new file in `folder` with the mode that the umask gives.
pub(crate) fn file_in(folder: &Path, prefix: &str) -> io::Result<NamedTempFile> {
    let mode = std::fs::Permissions::from_mode(0o666);
    tempfile::Builder::new().prefix(prefix).permissions(mode).tempfile_in(folder)
}

fn has_entries(folder: &Path) -> io::Result<bool> {
    match fs_err::read_dir(folder) {
        Ok(mut names) => Ok(names.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes a file or a folder with all in it, also where folders inside are not writable to their owner.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let remove = || match fs_err::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs_err::remove_dir_all(path),
        Ok(_) => fs_err::remove_file(path),
        Err(error) => Err(error),
    };
    match remove() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // From the top down: a folder must be readable before its own can be reached.
            let mut folders = vec![path.to_owned()];
            while let Some(folder) = folders.pop() {
                fs_err::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
                for entry in fs_err::read_dir(&folder)? {
                    let entry = entry?;
                    if entry.file_type()?.is_dir() {
                        folders.push(entry.path());
                    }
                }
            }
            remove()
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
