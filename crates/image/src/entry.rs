//! Files as they stand in an image, before they are tar bytes.

use serde::{Deserialize, Serialize};

/// Something at a path inside an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path from the image's root: no leading or trailing slash, no `.` or `..`, never empty.
    pub path: String,
    /// What is there.
    pub kind: EntryKind,
    /// Permission bits with set-user-id, set-group-id and sticky, e.g. `0o644`.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder.
    Directory,
    /// A file and its bytes.
    File(Vec<u8>),
    /// A symbolic link and its target, as it is to be read inside the image.
    Symlink(String),
    /// Another name of the file at this path from the image's root.
    Hardlink(String),
}

impl Entry {
    /// A folder, `0755`, owned by root.
    pub fn directory(path: impl Into<String>) -> Self {
        Self { path: path.into(), kind: EntryKind::Directory, mode: 0o755, uid: 0, gid: 0 }
    }

    /// A file, owned by root.
    pub fn file(path: impl Into<String>, mode: u32, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), kind: EntryKind::File(bytes.into()), mode, uid: 0, gid: 0 }
    }

    /// A symbolic link, owned by root.
    pub fn symlink(path: impl Into<String>, target: impl Into<String>) -> Self {
        Self { path: path.into(), kind: EntryKind::Symlink(target.into()), mode: 0o777, uid: 0, gid: 0 }
    }
}

/// A folder that an artifact says something about: the joiner writes each once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// Path from the image's root, as in [`Entry::path`].
    pub path: String,
    /// Permission bits, e.g. `0o1777`.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
}
