//! The YAML of conda-lock (version 1), and what pixi wrote like it at first (versions 2 and 3).
//!
//! Read by hand: `rattler_lock` reads it too, but keeps no places, wants every platform and package to be one it knows,
//! and brings more code than this file is long.

use crate::document::{Kind, Node};
use crate::lock_reader::{GivenConda, LockReader, file_at, is_commit, is_wheel, split_git};
use crate::locked::{LockedPypi, LockedSource};
use crate::read::{Format, Reading};
use crate::recognise::value_of;
use crate::secrets::shown;
use crate::{Platform, Source, Span};

const NEWEST: u64 = 3;

pub(crate) fn read(source: &Source, node: &Node) -> Reading {
    let mut lock = LockReader::new(source);
    let known = value_of(node, "version").is_none()
        || lock.format_version(node, "version", NEWEST, "the YAML of conda-lock").is_some();
    if known {
        read_lock(&mut lock, node);
    }
    lock.finish(Format::CondaLock)
}

fn read_lock(lock: &mut LockReader<'_>, node: &Node) {
    let Some(metadata) = value_of(node, "metadata") else { return };
    for channel in lock.items(metadata, "channels") {
        let text = match channel.text() {
            Some(text) => Some((text, channel.span)),
            None => lock.needed(channel, "url"),
        };
        if let Some((text, span)) = text {
            lock.channel(text, span);
        }
    }
    let mut others = Vec::new();
    for item in lock.items(metadata, "platforms") {
        let text = item.text().unwrap_or_default();
        match text.parse::<Platform>() {
            Ok(platform) => lock.platforms.push(platform),
            Err(_) => others.push(text.to_owned()),
        }
    }
    lock.settle_platforms(metadata.span, &others);
    let mut groups = Vec::new();
    let mut pypi = Vec::new();
    for package in lock.items(node, "package") {
        read_package(lock, package, &mut groups, &mut pypi);
    }
    groups.sort();
    groups.dedup();
    lock.left_out(node.span, "categories", &groups);
    lock.add_of_platforms(pypi);
}

fn read_package(
    lock: &mut LockReader<'_>,
    node: &Node,
    groups: &mut Vec<String>,
    pypi: &mut Vec<(LockedPypi, Span)>,
) {
    let Some((platform, span)) = lock.needed(node, "platform") else { return };
    let Ok(platform) = platform.parse::<Platform>() else { return };
    if !lock.platforms.contains(&platform) {
        return lock.invalid(span, format!("`{platform}` is not among the platforms of the lock"));
    }
    let category = lock.text(node, "category").map_or("main", |(text, _)| text);
    if category != "main" {
        return groups.push(category.to_owned());
    }
    let Some((manager, manager_span)) = lock.needed(node, "manager") else { return };
    let Some((url, span)) = lock.needed(node, "url") else { return };
    let text = |lock: &mut LockReader<'_>, key| lock.text(node, key).map(|(text, _)| text.to_owned());
    let hash = value_of(node, "hash");
    let sha256 =
        hash.and_then(|hash| lock.text(hash, "sha256")).and_then(|(text, span)| lock.sha256(text, span));
    let md5 = hash.and_then(|hash| lock.text(hash, "md5")).and_then(|(text, span)| lock.md5(text, span));
    match manager {
        "conda" => {
            let given = GivenConda {
                name: text(lock, "name"),
                version: text(lock, "version"),
                build: text(lock, "build"),
                size: lock.size(node, "size"),
                sha256,
                md5,
                depends: depends(node),
                constrains: Vec::new(),
            };
            lock.add_conda(url, span, platform, given);
        }
        "pip" => {
            let Some((name, name_span)) = lock.needed(node, "name") else { return };
            let Some(name) = lock.name(name, name_span) else { return };
            let mut package = LockedPypi { name, platforms: vec![platform], ..LockedPypi::default() };
            if let Some((version, span)) = lock.text(node, "version") {
                package.version = lock.version(version, span);
            }
            package.requires_python = text(lock, "requires_python");
            let direct = value_of(node, "source").is_some_and(|source| value_of(source, "url").is_some());
            if pip_location(lock, &mut package, (url, span), sha256, direct) {
                pypi.push((package, name_span));
            }
        }
        manager => lock.invalid(manager_span, format!("`{}` is no package manager", shown(manager))),
    }
}

/// Where a package of pip's is; `false` where that cannot be used.
fn pip_location(
    lock: &mut LockReader<'_>,
    package: &mut LockedPypi,
    (text, span): (&str, Span),
    sha256: Option<crate::Digest>,
    direct: bool,
) -> bool {
    if text.starts_with("git+") {
        let (url, commit, subdirectory) = split_git(text);
        let Some(commit) = commit.filter(|commit| is_commit(commit)) else {
            lock.invalid(span, "a repository without the whole digest of a commit");
            return false;
        };
        let Some(url) = lock.repository(&url, span) else { return false };
        package.source = Some(LockedSource::Git { url, commit, subdirectory });
        return true;
    }
    let Some(url) = lock.url(text, span) else { return false };
    let file = file_at(url, None, sha256);
    if direct {
        package.source = Some(LockedSource::Archive { file, subdirectory: None });
    } else if is_wheel(&file.name) {
        package.wheels.push(file);
    } else {
        package.sdist = Some(file);
    }
    if package.source.is_none() && package.version.is_none() {
        lock.invalid(span, format!("`{}` has no version", shown(&package.name)));
        return false;
    }
    true
}

/// A mapping from names to conditions, or a list of specs.
fn depends(node: &Node) -> Option<Vec<String>> {
    match &value_of(node, "dependencies")?.kind {
        Kind::Mapping(pairs) => Some(
            pairs
                .iter()
                .map(|(name, condition)| {
                    let condition = condition.text().unwrap_or_default();
                    format!("{} {condition}", name.text().unwrap_or_default()).trim_end().to_owned()
                })
                .collect(),
        ),
        Kind::Sequence(items) => Some(items.iter().filter_map(Node::text).map(str::to_owned).collect()),
        Kind::Scalar(_) => None,
    }
}
