//! Python projects and their locks.

pub(crate) mod bounds;
mod groups;
pub(crate) mod poetry;
pub(crate) mod poetry_lock;
mod poetry_version;
pub(crate) mod pylock;
pub(crate) mod pyproject;
mod uv_graph;
pub(crate) mod uv_lock;
pub(crate) mod uv_sources;

use std::path::{Path, PathBuf};

use crate::Source;

/// The absolute folder that relative paths in `source` start from.
pub(crate) fn folder_of(source: &Source) -> PathBuf {
    let folder = source.folder();
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
}
