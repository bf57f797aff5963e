//! What a process has in the making outside the store, such as an archive beside its destination. A note of it lies in the
//! process's own folder below `tmp/`, so that whoever removes what the dead have left takes that away too.

use std::fmt;
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use fs_err::File;
use tempfile::TempPath;

use crate::scratch::{file_in, remove_tree};
use crate::{Result, Store};

/// How the files of the notes are called.
const PREFIX: &str = "outside-";
/// How what is in the making is called: nothing else is ever removed by a note.
const STAGED: &str = ".provenv-";

/// While it lives, and after the sudden death of its process, somebody knows of the path.
pub struct Outside {
    _file: TempPath,
    _store: Store,
}

impl Store {
    /// Notes that `path` is in the making: a file or folder whose name begins with `.provenv-`, on which this process holds a
    /// lock. Drop it when that has its own name, or is removed.
    pub fn note_outside(&self, path: &Path) -> Result<Outside> {
        let path = std::path::absolute(path)?;
        let mut file = file_in(self.own_tmp()?, PREFIX)?;
        file.write_all(path.as_os_str().as_bytes())?;
        Ok(Outside { _file: file.into_temp_path(), _store: self.clone() })
    }
}

/// Removes what a dead process, whose folder this is, has left outside. What cannot be removed stays.
pub(crate) fn sweep(folder: &Path) {
    let Ok(entries) = fs_err::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_name().as_bytes().starts_with(PREFIX.as_bytes())
            && let Err(error) = remove(&entry.path())
        {
            tracing::debug!(%error, "failed to remove what a dead process left outside the store");
        }
    }
}

fn remove(note: &Path) -> io::Result<()> {
    // In a shared store others may write notes, but not say what of ours is to be removed.
    if fs_err::symlink_metadata(note)?.uid() != nix::unistd::geteuid().as_raw() {
        return Ok(());
    }
    let path = PathBuf::from(std::ffi::OsString::from_vec(fs_err::read(note)?));
    let is_staged = path.file_name().is_some_and(|name| name.as_bytes().starts_with(STAGED.as_bytes()));
    let kind = match fs_err::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result?.file_type(),
    };
    // Somebody else may have something of that name in the making by now: then it is locked.
    if is_staged && (kind.is_file() || kind.is_dir()) && File::open(&path)?.file().try_lock().is_ok() {
        remove_tree(&path)?;
    }
    Ok(())
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").finish_non_exhaustive()
    }
}
