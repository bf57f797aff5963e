//! `uv.lock`: which of its packages the project needs, and when.
//!
//! The format is documented by uv's source only; it is stable within a `version`. Extras and groups are those that
//! `uv sync --no-default-groups` takes: none.

use std::collections::HashMap;

use super::pylock::texts;
use super::uv_graph::Graph;
use crate::document::{Kind, Node};
use crate::lock_reader::{LockReader, file_at, index, is_commit, split_git};
use crate::locked::{LockedFile, LockedPypi, LockedSource};
use crate::read::{Format, Reading};
use crate::recognise::value_of;
use crate::secrets::shown;
use crate::{Marker, Source, codes};

pub(crate) fn read(source: &Source, node: &Node) -> Reading {
    let mut lock = LockReader::new(source);
    if lock.format_version(node, "version", 1, "uv.lock").is_some() {
        read_lock(&mut lock, node);
    }
    lock.finish(Format::UvLock)
}

/// One `[[package]]`.
pub(super) struct Package<'n> {
    pub name: String,
    pub version: Option<String>,
    pub node: &'n Node,
}

fn read_lock(lock: &mut LockReader<'_>, node: &Node) {
    if let Some((text, span)) = lock.text(node, "requires-python") {
        lock.requires_python(text, span);
    }
    let mut packages = Vec::new();
    // Before its first stable version the list was called `distribution`.
    let key = if value_of(node, "package").is_none() { "distribution" } else { "package" };
    for item in lock.items(node, key) {
        let Some((text, span)) = lock.needed(item, "name") else { return };
        let Some(name) = lock.name(text, span) else { return };
        let version = lock.text(item, "version").map(|(text, _)| text.to_owned());
        packages.push(Package { name, version, node: item });
    }
    let roots = roots(lock, node, &packages);
    let mut graph = Graph::new(&packages);
    for root in &roots {
        graph.require(*root);
        let package = packages[*root].node;
        for (key, what) in [
            ("optional-dependencies", "extras"),
            ("dev-dependencies", "groups"),
            ("dependency-groups", "groups"),
        ] {
            let names: Vec<String> = lock
                .pairs(package, key)
                .iter()
                .filter_map(|(name, _)| name.text().map(str::to_owned))
                .collect();
            if let Some(value) = value_of(package, key) {
                lock.left_out(value.span, what, &names);
            }
        }
    }
    if roots.is_empty() {
        // The lock of a script has no project; its requirements stand in the manifest.
        let manifest = value_of(node, "manifest");
        for requirement in manifest.map(|manifest| lock.items(manifest, "requirements")).unwrap_or_default() {
            graph.dependency(lock, requirement);
        }
        if graph.is_empty() && !packages.is_empty() {
            return lock.invalid(node.span, "none of the packages is the project that the lock was made for");
        }
    }
    for (at, marker) in graph.solve(lock) {
        add(lock, &packages[at], marker, roots.contains(&at));
    }
}

/// The packages that `uv sync` starts from.
fn roots(lock: &mut LockReader<'_>, node: &Node, packages: &[Package<'_>]) -> Vec<usize> {
    let is_root = |package: &Package<'_>| {
        let source = value_of(package.node, "source");
        ["virtual", "editable", "directory"]
            .iter()
            .any(|kind| source.and_then(|source| value_of(source, kind)).and_then(Node::text) == Some("."))
    };
    let roots: Vec<usize> =
        packages.iter().enumerate().filter(|(_, package)| is_root(package)).map(|(at, _)| at).collect();
    if !roots.is_empty() {
        return roots;
    }
    // A workspace without a project of its own is all of its members.
    let members = value_of(node, "manifest").map(|manifest| texts(lock, manifest, "members"));
    let by_name: HashMap<&str, usize> =
        packages.iter().enumerate().map(|(at, package)| (&*package.name, at)).collect();
    let members = members.unwrap_or_default();
    members.iter().filter_map(|name| by_name.get(&*crate::normalise_name(name)).copied()).collect()
}

fn add(lock: &mut LockReader<'_>, package: &Package<'_>, marker: Option<Marker>, root: bool) {
    let node = package.node;
    let mut locked = LockedPypi { name: package.name.clone(), marker, ..LockedPypi::default() };
    if let Some((text, span)) = lock.text(node, "version") {
        locked.version = lock.version(text, span);
    }
    // Files of a registry that is a folder are named relative to that folder.
    let registry =
        value_of(node, "source").and_then(|source| value_of(source, "registry")).and_then(Node::text);
    let registry = registry.filter(|registry| !registry.contains("://")).unwrap_or_default();
    for wheel in lock.items(node, "wheels") {
        locked.wheels.extend(file(lock, wheel, registry));
    }
    locked.sdist = value_of(node, "sdist").and_then(|sdist| file(lock, sdist, registry));
    let Some(source) = value_of(node, "source") else {
        return lock.invalid(node.span, format!("`{}` has no `source`", shown(&package.name)));
    };
    let Kind::Mapping(pairs) = &source.kind else {
        return lock.invalid(source.span, "`source` must be a mapping");
    };
    let kind = pairs.iter().find_map(|(key, value)| Some((key.text()?, value.text()?, value.span)));
    match kind {
        Some(("registry", text, span)) => {
            locked.index = lock.url(text, span).and_then(index);
            if locked.version.is_none() {
                return lock.invalid(node.span, format!("`{}` has no version", shown(&package.name)));
            }
            if locked.wheels.is_empty() && locked.sdist.is_none() {
                return lock.invalid(node.span, format!("`{}` has no file", shown(&package.name)));
            }
        }
        Some(("git", text, span)) => {
            let (url, commit, subdirectory) = split_git(text);
            let Some(commit) = commit.filter(|commit| is_commit(commit)) else {
                return lock.invalid(span, "a repository without the whole digest of a commit");
            };
            let Some(url) = lock.repository(&url, span) else { return };
            locked.source = Some(LockedSource::Git { url, commit, subdirectory });
        }
        Some((kind @ ("url" | "path"), text, span)) => {
            // A wheel stands in `wheels`, an archive in `sdist` or, in older locks, nowhere else.
            let listed = locked.wheels.drain(..).next().or(locked.sdist.take());
            let Some(url) = lock.url(text, span) else { return };
            let file = match listed {
                Some(file) => LockedFile { url: Some(url), ..file },
                None if kind == "url" || url.file_name().is_some_and(|name| name.contains('.')) => {
                    file_at(url, None, None)
                }
                None => return lock.invalid(span, "a path to no archive"),
            };
            let subdirectory = lock.text(source, "subdirectory").map(|(text, _)| text.to_owned());
            locked.source = Some(LockedSource::Archive { file, subdirectory });
        }
        // The project itself is what the environment is for, no part of it; what is virtual is never installed.
        Some(("virtual", ..)) => return,
        Some(("editable" | "directory", ..)) if root && is_here(source) => return,
        Some((kind @ ("editable" | "directory"), text, span)) => {
            let Some(url) = lock.url(text, span) else { return };
            locked.source =
                Some(LockedSource::Folder { url, editable: kind == "editable", subdirectory: None });
        }
        _ => return lock.report(codes::NOT_SUPPORTED, source.span, "a kind of source that is not known"),
    }
    lock.add(locked, node.span);
}

fn is_here(source: &Node) -> bool {
    ["editable", "directory"].iter().any(|kind| value_of(source, kind).and_then(Node::text) == Some("."))
}

/// `{ url = …, hash = "sha256:…", size = … }`, or with `path` or `filename` in a local registry.
fn file(lock: &mut LockReader<'_>, node: &Node, registry: &str) -> Option<LockedFile> {
    let sha256 = lock.text(node, "hash").and_then(|(text, span)| lock.sha256(text, span));
    let size = lock.size(node, "size");
    if let Some((text, span)) = lock.text(node, "url") {
        return Some(file_at(lock.url(text, span)?, size, sha256));
    }
    if let Some((text, span)) = lock.text(node, "path") {
        let path = std::path::Path::new(registry).join(text);
        return Some(file_at(lock.url(&path.to_string_lossy(), span)?, size, sha256));
    }
    let (name, _) = lock.needed(node, "filename")?;
    Some(LockedFile { name: name.to_owned(), url: None, size, sha256 })
}
