//! The folder that a Dockerfile is built in: the digest of all in it that Docker would send to a build.

use std::collections::HashSet;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::ignore::{Ignore, Matched};
use crate::canonical::{ContextEntry, ContextEntryKind, context_digest};
use crate::secrets::shown;
use crate::{Digest, Hasher};

/// Far above what anybody sends to a build on purpose; a home folder given by mistake is above.
const MAX_ENTRIES: usize = 100_000;
const MAX_BYTES: u64 = 4 << 30;
/// Looked at, those that are left out included.
const MAX_VISITED: usize = 1_000_000;
/// Of all their paths.
const MAX_NAMES: usize = 64 << 20;
/// Patterns tried on entries, together.
const MAX_TRIES: usize = 50_000_000;
const MAX_IGNORE_FILE: u64 = 1 << 20;

/// Why a folder cannot be a build context, and what to do.
#[derive(Debug)]
pub(super) struct ContextError {
    pub message: String,
    pub hint: Option<String>,
}

impl ContextError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The path is told relative to the context, and not by `fs_err` again.
    fn io(act: &str, relative: &str, error: &std::io::Error) -> Self {
        let text = error.to_string();
        let reason = text.rsplit_once("`: ").map_or(&*text, |(_, reason)| reason);
        Self::new(format!("cannot {act} `{}` of the build context: {reason}", shown(relative)))
    }
}

/// The digest of the context in `folder` whose Dockerfile is `dockerfile`, a relative path with `/`.
pub(super) fn digest_folder(folder: &Path, dockerfile: &str) -> Result<Digest, ContextError> {
    read_folder(folder, dockerfile).map(|(_, content)| content)
}

/// The same with what it is of.
pub(super) fn read_folder(
    folder: &Path,
    dockerfile: &str,
) -> Result<(Vec<ContextEntry>, Digest), ContextError> {
    let recipe = file_inside(folder, dockerfile)?;
    let recipe = digest_file(&recipe).map_err(|error| ContextError::io("read", dockerfile, &error))?;
    let ignore = ignore_file(folder, dockerfile)?;
    let mut walk = Walk { folder, ignore, entries: Vec::new(), bytes: 0, visited: 0, names: 0, tries: 0 };
    walk.run()?;
    let content = context_digest(recipe, walk.entries.clone());
    Ok((walk.entries, content))
}

/// Where the file `relative` of the context is, if it is a file in the folder.
pub(super) fn file_inside(folder: &Path, relative: &str) -> Result<PathBuf, ContextError> {
    let path = folder.join(relative);
    let outside = || {
        ContextError::new(format!("`{}` is not in the build context", shown(relative)))
            .hint("name the Dockerfile relative to the folder of the build context")
    };
    if relative.starts_with('/') {
        return Err(outside());
    }
    let real = fs_err::canonicalize(&path).map_err(|error| ContextError::io("read", relative, &error))?;
    let root = fs_err::canonicalize(folder).map_err(|error| ContextError::io("read", ".", &error))?;
    if !real.starts_with(&root) {
        return Err(outside());
    }
    if !real.is_file() {
        return Err(ContextError::new(format!("`{}` of the build context is not a file", shown(relative))));
    }
    Ok(real)
}

/// `Dockerfile.dockerignore` beside the Dockerfile, or `.dockerignore` in the folder.
fn ignore_file(folder: &Path, dockerfile: &str) -> Result<Ignore, ContextError> {
    for name in [format!("{dockerfile}.dockerignore"), ".dockerignore".to_owned()] {
        let path = folder.join(&name);
        if !path.is_file() {
            continue;
        }
        let path = file_inside(folder, &name)?;
        let io = |error: &std::io::Error| ContextError::io("read", &name, error);
        if fs_err::metadata(&path).map_err(|error| io(&error))?.len() > MAX_IGNORE_FILE {
            return Err(ContextError::new(format!("`{}` is larger than any real file", shown(&name))));
        }
        let bytes = fs_err::read(&path).map_err(|error| io(&error))?;
        let parsed = Ignore::parse(&String::from_utf8_lossy(&bytes));
        return parsed.map_err(|(line, reason)| {
            ContextError::new(format!("line {line} of `{}`: {reason}", shown(&name)))
        });
    }
    Ok(Ignore::default())
}

struct Walk<'a> {
    folder: &'a Path,
    ignore: Ignore,
    entries: Vec<ContextEntry>,
    bytes: u64,
    visited: usize,
    names: usize,
    tries: usize,
}

impl Walk<'_> {
    fn run(&mut self) -> Result<(), ContextError> {
        // Folders that are left out, and whose exceptions may bring them back.
        let mut dropped: HashSet<String> = HashSet::new();
        let mut open = vec![(String::new(), Matched::default())];
        while let Some((relative, matched)) = open.pop() {
            let path = self.folder.join(&relative);
            let at = if relative.is_empty() { "." } else { &relative };
            let listed = fs_err::read_dir(&path).map_err(|error| ContextError::io("list", at, &error))?;
            for entry in listed {
                let entry = entry.map_err(|error| ContextError::io("list", at, &error))?;
                let name = entry.file_name();
                let Some(name) = name.to_str() else {
                    let message =
                        format!("a file name that is not UTF-8 in `{}` of the build context", shown(at));
                    return Err(ContextError::new(message).hint("rename it"));
                };
                let child = if relative.is_empty() { name.to_owned() } else { format!("{relative}/{name}") };
                self.count(&child)?;
                let (left_out, matched) = self.ignore.leaves_out(&child, &matched);
                let kind = entry.file_type().map_err(|error| ContextError::io("read", &child, &error))?;
                if kind.is_dir() {
                    if left_out {
                        dropped.insert(child.clone());
                    } else {
                        self.add(child.clone(), ContextEntryKind::Folder)?;
                    }
                    if !left_out || self.ignore.has_exceptions() {
                        open.push((child, matched));
                    }
                } else if !left_out {
                    let kind = self.kind(&entry.path(), &child, kind)?;
                    self.add(child, kind)?;
                }
            }
        }
        self.bring_back(&dropped);
        Ok(())
    }

    /// Bounds what is looked at and remembered.
    fn count(&mut self, path: &str) -> Result<(), ContextError> {
        self.visited += 1;
        self.names += path.len();
        self.tries += self.ignore.len();
        if self.visited > MAX_VISITED || self.names > MAX_NAMES || self.tries > MAX_TRIES {
            return Err(too_large("more files than can be looked at"));
        }
        Ok(())
    }

    fn add(&mut self, path: String, kind: ContextEntryKind) -> Result<(), ContextError> {
        if self.entries.len() == MAX_ENTRIES {
            return Err(too_large(&format!("more than {MAX_ENTRIES} files and folders")));
        }
        self.entries.push(ContextEntry { path, kind });
        Ok(())
    }

    fn kind(
        &mut self,
        path: &Path,
        relative: &str,
        kind: std::fs::FileType,
    ) -> Result<ContextEntryKind, ContextError> {
        let io = |error: &std::io::Error| ContextError::io("read", relative, error);
        if kind.is_symlink() {
            let target = fs_err::read_link(path).map_err(|error| io(&error))?;
            let target = target.to_str().map(str::to_owned);
            return target.map(|target| ContextEntryKind::Link { target }).ok_or_else(|| {
                ContextError::new(format!("the link `{}` has a target that is not UTF-8", shown(relative)))
            });
        }
        if !kind.is_file() {
            let message =
                format!("`{}` of the build context is neither file, folder nor link", shown(relative));
            return Err(ContextError::new(message).hint("remove it, or leave it out by `.dockerignore`"));
        }
        let metadata = fs_err::symlink_metadata(path).map_err(|error| io(&error))?;
        self.bytes = self.bytes.saturating_add(metadata.len());
        if self.bytes > MAX_BYTES {
            return Err(too_large(&format!("more than {} GiB", MAX_BYTES >> 30)));
        }
        let content = digest_file(path).map_err(|error| io(&error))?;
        Ok(ContextEntryKind::File { content, executable: metadata.permissions().mode() & 0o111 != 0 })
    }

    /// Folders that are left out count if something in them does.
    fn bring_back(&mut self, dropped: &HashSet<String>) {
        let mut seen = HashSet::new();
        let mut back = Vec::new();
        for entry in &self.entries {
            for (at, _) in entry.path.rmatch_indices('/') {
                let folder = &entry.path[..at];
                if !seen.insert(folder) {
                    break;
                }
                if dropped.contains(folder) {
                    back.push(folder.to_owned());
                }
            }
        }
        let folders = back.into_iter().map(|path| ContextEntry { path, kind: ContextEntryKind::Folder });
        self.entries.extend(folders);
    }
}

fn too_large(what: &str) -> ContextError {
    ContextError::new(format!("the build context holds {what}"))
        .hint("name a smaller folder, or leave files out by `.dockerignore`")
}

/// The digest of a file's bytes, read piece by piece, and no further than it was long at first.
fn digest_file(path: &Path) -> std::io::Result<Digest> {
    let file = fs_err::File::open(path)?;
    let length = file.metadata()?.len();
    let mut hasher = Hasher::new();
    std::io::copy(&mut file.take(length), &mut hasher)?;
    Ok(hasher.finish())
}
