//! `poetry.lock`: the group `main` without extras.
//!
//! Since version 2.1 each package says under which marker it is installed. Before that only `pyproject.toml` knew.

use std::collections::HashMap;

use crate::document::{Kind, Node};
use crate::lock_reader::{LockReader, file_at, index, is_commit, is_wheel};
use crate::locked::{LockedFile, LockedPypi, LockedSource};
use crate::read::{Format, Reading};
use crate::recognise::value_of;
use crate::requirement::Assumed;
use crate::secrets::shown;
use crate::{Diagnostic, Marker, Source, Span, codes, normalise_name};

pub(crate) fn read(source: &Source, node: &Node) -> Reading {
    let mut lock = LockReader::new(source);
    let empty = Node { kind: Kind::Mapping(Vec::new()), ..node.clone() };
    let metadata = value_of(node, "metadata").unwrap_or(&empty);
    // The first versions wrote none.
    let version = value_of(metadata, "lock-version").and_then(Node::text).unwrap_or("1.0").to_owned();
    let known = value_of(metadata, "lock-version").is_none()
        || lock.format_version(metadata, "lock-version", 2, "poetry.lock").is_some();
    if known {
        read_lock(&mut lock, node, metadata, &version);
    }
    lock.finish(Format::PoetryLock)
}

fn read_lock(lock: &mut LockReader<'_>, node: &Node, metadata: &Node, version: &str) {
    if let Some((text, span)) = lock.text(metadata, "python-versions") {
        if let Some(specifiers) = super::poetry::python_specifiers(text) {
            lock.requires_python(&specifiers, span);
        } else {
            let message = format!("Python `{}` is any of several", shown(text));
            lock.report(codes::PYTHON_RANGE, span, message);
        }
    }
    if let Some(extras) = value_of(node, "extras") {
        let names: Vec<String> = lock
            .pairs(node, "extras")
            .iter()
            .filter_map(|(name, _)| name.text().map(str::to_owned))
            .collect();
        lock.left_out(extras.span, "extras", &names);
    }
    let mut groups = Vec::new();
    let mut conditional = false;
    let old_files = old_files(metadata);
    let mut taken: HashMap<String, Span> = HashMap::new();
    let marked = version.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u64>>() >= vec![2, 1];
    for package in lock.items(node, "package") {
        let before = lock.locked.pypi.len();
        conditional |= read_package(lock, package, &old_files, &mut groups);
        let Some(added) = lock.locked.pypi.get(before) else { continue };
        let (name, always) = (added.name.clone(), added.marker.is_none());
        let span = value_of(package, "name").map_or(package.span, |node| node.span);
        if let Some(first) = taken.insert(name.clone(), span).filter(|_| !marked && always) {
            let message = format!(
                "`{}` stands here and in line {}, and this version of poetry.lock does not say when each is meant",
                shown(&name),
                first.line
            );
            let hint = "have poetry 2.1 or later write it again: `poetry lock`";
            let problem = Diagnostic::new(codes::INVALID_LOCK, message).with_hint(hint);
            lock.diagnostics.push(problem.at(lock.source.place(span)));
        }
    }
    groups.sort();
    groups.dedup();
    lock.left_out(node.span, "groups", &groups);
    // From 1.5 to 1.8 poetry kept neither `category` nor `groups`: what tests need cannot be told from the rest.
    let all = lock.items(node, "package");
    if !all.is_empty()
        && all.iter().all(|package| ["category", "groups"].iter().all(|key| value_of(package, key).is_none()))
    {
        let message = "this version of poetry.lock does not say which packages belong to groups";
        let hint = "have poetry 2 write it again: packages of groups such as `dev` are installed too";
        let problem = Diagnostic::new(codes::NOT_HONOURED, message).with_hint(hint);
        lock.diagnostics.push(problem.at(lock.source.place(metadata.span)));
    }
    if conditional && !marked {
        let message =
            "this version of poetry.lock does not say on which platforms its packages are installed";
        let hint = "have poetry 2 write it again: packages of other platforms are installed too";
        let problem = Diagnostic::new(codes::NOT_HONOURED, message).with_hint(hint);
        lock.diagnostics.push(problem.at(lock.source.place(metadata.span)));
    }
}

/// Gives back whether one of its dependencies depends on a marker.
fn read_package(
    lock: &mut LockReader<'_>,
    node: &Node,
    old_files: &HashMap<String, &Node>,
    groups: &mut Vec<String>,
) -> bool {
    let Some((text, span)) = lock.needed(node, "name") else { return false };
    let Some(name) = lock.name(text, span) else { return false };
    let Some((version, version_span)) = lock.needed(node, "version") else { return false };
    let Some(version) = lock.version(version, version_span) else { return false };
    let own: Vec<String> = match lock.text(node, "category") {
        Some((category, _)) => vec![category.to_owned()],
        None => super::pylock::texts(lock, node, "groups"),
    };
    if !own.is_empty() && !own.iter().any(|group| group == "main") {
        groups.extend(own);
        return false;
    }
    if value_of(node, "optional").and_then(Node::as_bool) == Some(true) {
        return false;
    }
    let mut package = LockedPypi { name: name.clone(), version: Some(version), ..LockedPypi::default() };
    match marker(lock, node) {
        Ok(Assumed::When(marker)) => package.marker = Some(marker),
        Ok(Assumed::Always) => {}
        Ok(Assumed::Never) | Err(()) => return false,
    }
    package.requires_python = lock.text(node, "python-versions").map(|(text, _)| text.to_owned());
    // Before version 2 all files stood together at the end.
    let files = value_of(node, "files").or_else(|| old_files.get(&name).copied());
    let files = match files.map(|files| &files.kind) {
        Some(Kind::Sequence(files)) => files.as_slice(),
        _ => &[],
    };
    for file in files {
        let Some((text, _)) = lock.needed(file, "file") else { continue };
        let sha256 = lock.text(file, "hash").and_then(|(text, span)| lock.sha256(text, span));
        let url = lock.text(file, "url").and_then(|(text, span)| lock.url(text, span));
        let file = LockedFile { name: text.to_owned(), url, size: lock.size(file, "size"), sha256 };
        if is_wheel(&file.name) {
            package.wheels.push(file);
        } else if package.sdist.is_none() || file.name.ends_with(".tar.gz") {
            package.sdist = Some(file);
        }
    }
    if let Some(source) = value_of(node, "source")
        && !read_source(lock, source, &mut package)
    {
        return false;
    }
    lock.add(package, span);
    lock.pairs(node, "dependencies").iter().any(|(_, value)| value_of(value, "markers").is_some())
}

/// The old list of all files, by the normalised name of their package.
fn old_files(metadata: &Node) -> HashMap<String, &Node> {
    let Some(Node { kind: Kind::Mapping(pairs), .. }) = value_of(metadata, "files") else {
        return HashMap::new();
    };
    pairs.iter().filter_map(|(key, files)| Some((normalise_name(key.text()?), files))).collect()
}

/// `markers` since 2.1: a text, or one for each group; `marker` long ago.
fn marker(lock: &mut LockReader<'_>, node: &Node) -> Result<Assumed, ()> {
    let value = value_of(node, "markers").or_else(|| value_of(node, "marker"));
    let Some(value) = value.and_then(|value| value_of(value, "main").or(Some(value))) else {
        return Ok(Assumed::Always);
    };
    // A marker for another group says nothing of this one.
    let Some(text) = value.text().filter(|text| !text.is_empty()) else { return Ok(Assumed::Always) };
    let marker: Marker = lock.marker(text, value.span).ok_or(())?;
    Ok(marker.assume(&|comparison| comparison.starts_with("extra == ").then_some(false)))
}

/// Where a package is that does not come from PyPI; `false` where that cannot be used.
fn read_source(lock: &mut LockReader<'_>, node: &Node, package: &mut LockedPypi) -> bool {
    let Some((kind, kind_span)) = lock.needed(node, "type") else { return false };
    let Some((text, span)) = lock.needed(node, "url") else { return false };
    let subdirectory = lock.text(node, "subdirectory").map(|(text, _)| text.to_owned());
    match kind {
        "legacy" => {
            package.index = lock.url(text, span).and_then(index);
            true
        }
        "git" => {
            let Some((commit, commit_span)) = lock.needed(node, "resolved_reference") else { return false };
            if !is_commit(commit) {
                lock.invalid(commit_span, "not the whole digest of a commit");
                return false;
            }
            let Some(url) = lock.repository(text, span) else { return false };
            package.source = Some(LockedSource::Git { url, commit: commit.to_owned(), subdirectory });
            true
        }
        "url" | "file" => {
            let Some(url) = lock.url(text, span) else { return false };
            let listed = package.wheels.drain(..).next().or(package.sdist.take());
            let file = match listed {
                Some(file) => LockedFile { url: Some(url), ..file },
                None => file_at(url, None, None),
            };
            package.source = Some(LockedSource::Archive { file, subdirectory });
            true
        }
        "directory" => {
            let Some(url) = lock.url(text, span) else { return false };
            let editable = value_of(node, "develop").and_then(Node::as_bool).unwrap_or(false);
            package.source = Some(LockedSource::Folder { url, editable, subdirectory });
            true
        }
        kind => {
            let message = format!("packages from a source of type `{}` are not supported", shown(kind));
            lock.report(codes::NOT_SUPPORTED, kind_span, message);
            false
        }
    }
}
