//! The layers of an image merged into one folder by hard links, for where no overlay can be had.
//!
//! Kept in the store as a tree, so it is made once for an image. The files are the layers' own: whoever writes to
//! one in place writes to the store, which is why namespaces show it read-only.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use fs_err as fs;
use provenv_definition::Digest;
use provenv_store::Store;

use crate::{Result, process, syscalls};

/// Kind of the store's trees that hold merged layers.
pub(crate) const TREE: &str = "merged";

/// Raised when trees made before would not do, such as for the starters in them.
const FORMAT: &[u8] = b"1";
const OWN_FORMAT: &[u8] = b"1 own";

/// The folder for these layers, made if it is not there.
///
/// A process without namespaces could write to the files: it gets copies (`own`), everybody else links.
pub(crate) fn tree(store: &Store, layers: &[PathBuf], own: bool) -> Result<PathBuf> {
    let format = if own { OWN_FORMAT } else { FORMAT };
    let names = layers.iter().map(|layer| layer.as_os_str().as_encoded_bytes());
    let key = Digest::of(&std::iter::once(format).chain(names).collect::<Vec<_>>().join(&0)).hex();
    if let Some(tree) = store.tree(TREE, &key) {
        return Ok(tree);
    }
    let _lease = store.lock(TREE, &key)?;
    if let Some(tree) = store.tree(TREE, &key) {
        return Ok(tree);
    }
    let staged = store.stage_tree(TREE, &key)?;
    for layer in layers {
        lay(layer, staged.path(), own)?;
    }
    // Where the store will put it; starters hold absolute paths.
    process::add_starters(staged.path(), staged.target())?;
    Ok(staged.commit()?)
}

/// Lays one layer over what is there, as an overlay would: folders merge, all else replaces, whiteouts
/// (character devices 0:0) and opaque folders hide.
fn lay(layer: &Path, target: &Path, own: bool) -> io::Result<()> {
    for entry in fs::read_dir(layer)? {
        let entry = entry?;
        let (from, to) = (entry.path(), target.join(entry.file_name()));
        let kind = entry.file_type()?;
        let there = fs::symlink_metadata(&to).ok();
        let whiteout = kind.is_char_device() && entry.metadata()?.rdev() == 0;
        let opaque = || syscalls::extended_attribute(&from, c"user.overlay.opaque").is_some();
        match there {
            Some(there) if there.is_dir() && (!kind.is_dir() || opaque()) => fs::remove_dir_all(&to)?,
            Some(there) if !there.is_dir() => fs::remove_file(&to)?,
            _ => {}
        }
        if kind.is_dir() {
            if !to.is_dir() {
                fs::create_dir(&to)?;
            }
            lay(&from, &to, own)?;
            fs::set_permissions(&to, entry.metadata()?.permissions())?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(&from)?, &to)?;
        } else if !whiteout {
            if own {
                fs::copy(&from, &to)?;
                continue;
            }
            // Another user's file, another file system, or too many links already.
            fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop))?;
        }
    }
    Ok(())
}

/// Copies files, folders and links with their permissions.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    if metadata.is_symlink() {
        return symlink(fs::read_link(from)?, to);
    }
    if metadata.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        return fs::set_permissions(to, metadata.permissions());
    }
    if metadata.is_file() {
        fs::copy(from, to)?;
    }
    Ok(())
}
