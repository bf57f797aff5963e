//! `pylock.toml` (PEP 751).
//!
//! The definition of a lock is its pins. What its own extras and groups ask for is left out, but for `default-groups`:
//! that is what an installer does when it is told nothing.

use crate::document::Node;
use crate::lock_reader::{LockReader, file_at, index, is_commit, listed};
use crate::locked::{LockedFile, LockedPypi, LockedSource};
use crate::read::{Format, Reading};
use crate::recognise::value_of;
use crate::requirement::Assumed;
use crate::secrets::shown;
use crate::{Source, codes};

pub(crate) fn read(source: &Source, node: &Node) -> Reading {
    let mut lock = LockReader::new(source);
    if lock.format_version(node, "lock-version", 1, "pylock.toml").is_some() {
        read_lock(&mut lock, node);
    }
    lock.finish(Format::Pylock)
}

fn read_lock(lock: &mut LockReader<'_>, node: &Node) {
    if let Some((text, span)) = lock.text(node, "requires-python") {
        lock.requires_python(text, span);
    }
    let environments = texts(lock, node, "environments");
    if let Some(value) = value_of(node, "environments").filter(|_| !environments.is_empty()) {
        let message = format!("the lock is for environments with {} only", listed(&environments));
        lock.report(codes::LEFT_OUT, value.span, message);
    }
    let defaults = texts(lock, node, "default-groups");
    for (key, what) in [("extras", "extras"), ("dependency-groups", "groups")] {
        let mut names = texts(lock, node, key);
        names.retain(|name| !defaults.contains(name));
        if let Some(value) = value_of(node, key) {
            lock.left_out(value.span, what, &names);
        }
    }
    let Some(list) = value_of(node, "packages") else {
        return lock.invalid(node.span, "`packages` is missing here");
    };
    for package in lock.items(node, "packages") {
        read_package(lock, package, &defaults);
    }
    if lock.locked.pypi.is_empty() && lock.diagnostics.iter().all(|problem| !problem.is_error()) {
        lock.report(codes::LEFT_OUT, list.span, "the lock has no packages");
    }
}

/// The texts of a list.
pub(super) fn texts(lock: &mut LockReader<'_>, node: &Node, key: &str) -> Vec<String> {
    let mut texts = Vec::new();
    for item in lock.items(node, key) {
        match item.text() {
            Some(text) => texts.push(text.to_owned()),
            None => lock.invalid(item.span, format!("`{key}` must be a list of texts")),
        }
    }
    texts
}

fn read_package(lock: &mut LockReader<'_>, node: &Node, defaults: &[String]) {
    let Some((text, span)) = lock.needed(node, "name") else { return };
    let Some(name) = lock.name(text, span) else { return };
    let mut package = LockedPypi { name, ..LockedPypi::default() };
    if let Some((text, span)) = lock.text(node, "version") {
        package.version = lock.version(text, span);
    }
    if let Some((text, span)) = lock.text(node, "marker") {
        let Some(marker) = lock.marker(text, span) else { return };
        match marker.assume(&|comparison| chosen(comparison, defaults)) {
            Assumed::Always => {}
            Assumed::Never => return,
            Assumed::When(marker) => package.marker = Some(marker),
        }
    }
    package.requires_python = lock.text(node, "requires-python").map(|(text, _)| text.to_owned());
    if let Some((text, span)) = lock.text(node, "index") {
        package.index = lock.url(text, span).and_then(index);
    }
    for wheel in lock.items(node, "wheels") {
        package.wheels.extend(file(lock, wheel));
    }
    package.sdist = value_of(node, "sdist").and_then(|sdist| file(lock, sdist));
    package.source = source(lock, node);
    let kinds = ["vcs", "directory", "archive"].iter().filter(|key| value_of(node, key).is_some()).count()
        + usize::from(value_of(node, "wheels").is_some() || value_of(node, "sdist").is_some());
    if kinds != 1 {
        let message = match kinds {
            0 => format!("`{}` has no file and no source", shown(&package.name)),
            _ => format!("`{}` has more than one kind of source", shown(&package.name)),
        };
        return lock.invalid(node.span, message);
    }
    if package.source.is_none() && package.version.is_none() {
        // Without a version only the wheel's name tells it.
        package.version =
            package.wheels.first().and_then(|wheel| wheel.name.split('-').nth(1)).map(Into::into);
        if package.version.is_none() {
            return lock.invalid(node.span, format!("`{}` has no version", shown(&package.name)));
        }
    }
    lock.add(package, span);
}

/// Whether a comparison with extras or groups holds when nobody asks for any.
fn chosen(comparison: &str, defaults: &[String]) -> Option<bool> {
    let is_default = |text: &str| {
        let name = text.split(['\'', '"']).nth(1).unwrap_or_default();
        defaults.iter().any(|group| crate::normalise_name(group) == name)
    };
    if comparison.ends_with(" not in extras") {
        Some(true)
    } else if comparison.ends_with(" in extras") {
        Some(false)
    } else if comparison.ends_with(" not in dependency_groups") {
        Some(!is_default(comparison))
    } else if comparison.ends_with(" in dependency_groups") {
        Some(is_default(comparison))
    } else {
        None
    }
}

/// A wheel, sdist or archive: its URL or path, and its hashes.
fn file(lock: &mut LockReader<'_>, node: &Node) -> Option<LockedFile> {
    let Some((text, span)) = lock.text(node, "url").or_else(|| lock.text(node, "path")) else {
        lock.invalid(node.span, "a file needs `url` or `path`");
        return None;
    };
    let url = lock.url(text, span)?;
    let sha256 = value_of(node, "hashes")
        .and_then(|hashes| lock.text(hashes, "sha256"))
        .and_then(|(text, span)| lock.sha256(text, span));
    let size = lock.size(node, "size");
    let file = file_at(url, size, sha256);
    let name = lock.text(node, "name").map(|(name, _)| name.to_owned());
    Some(LockedFile { name: name.unwrap_or(file.name), ..file })
}

fn source(lock: &mut LockReader<'_>, node: &Node) -> Option<LockedSource> {
    let subdirectory =
        |lock: &mut LockReader<'_>, node| lock.text(node, "subdirectory").map(|(text, _)| text.to_owned());
    if let Some(archive) = value_of(node, "archive") {
        let file = file(lock, archive)?;
        return Some(LockedSource::Archive { file, subdirectory: subdirectory(lock, archive) });
    }
    if let Some(folder) = value_of(node, "directory") {
        let (text, span) = lock.needed(folder, "path")?;
        let url = lock.url(text, span)?;
        let editable = value_of(folder, "editable").and_then(Node::as_bool).unwrap_or(false);
        return Some(LockedSource::Folder { url, editable, subdirectory: subdirectory(lock, folder) });
    }
    let vcs = value_of(node, "vcs")?;
    let (kind, span) = lock.needed(vcs, "type")?;
    if kind != "git" {
        let message = format!("`{}` repositories are not supported, only git", shown(kind));
        lock.report(codes::NOT_SUPPORTED, span, message);
        return None;
    }
    let (commit, span) = lock.needed(vcs, "commit-id")?;
    if !is_commit(commit) {
        lock.invalid(span, format!("`{}` is not the whole digest of a commit", shown(commit)));
        return None;
    }
    let (text, span) = match lock.text(vcs, "url") {
        Some(found) => found,
        None => lock.needed(vcs, "path")?,
    };
    let url = lock.repository(text, span)?;
    Some(LockedSource::Git { url, commit: commit.to_owned(), subdirectory: subdirectory(lock, vcs) })
}
