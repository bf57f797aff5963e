//! `pixi.lock`, versions 4 to 7: the environment `default`. Versions 1 to 3 look like conda-lock's YAML and are read
//! there.
//!
//! Read by hand: `rattler_lock` reads it too, but keeps no places, and refuses as a whole what is only a part that
//! nobody asks for, such as a package that another environment builds.

use std::collections::{HashMap, HashSet};

use crate::document::{Kind, Node};
use crate::lock_reader::{
    GivenConda, LockReader, file_at, index, is_commit, is_conda_package, is_wheel, split_git,
};
use crate::locked::{LockedPypi, LockedSource};
use crate::read::{Format, Reading};
use crate::recognise::value_of;
use crate::secrets::shown;
use crate::{Platform, SafeUrl, Source, Span, codes};

const NEWEST: u64 = 7;

pub(crate) fn read(source: &Source, node: &Node) -> Reading {
    let mut lock = LockReader::new(source);
    if lock.format_version(node, "version", NEWEST, "pixi.lock").is_some() {
        read_lock(&mut lock, node);
    }
    lock.finish(Format::PixiLock)
}

fn read_lock(lock: &mut LockReader<'_>, node: &Node) {
    let Some(environments) = value_of(node, "environments") else { return };
    let mut others = Vec::new();
    let mut chosen = None;
    for (name, environment) in lock.pairs(node, "environments") {
        match name.text() {
            Some("default") => chosen = Some(environment),
            name => others.push(name.unwrap_or_default().to_owned()),
        }
    }
    let Some(environment) = chosen else {
        return lock.invalid(environments.span, "there is no environment `default`");
    };
    lock.left_out(environments.span, "environments", &others);
    for channel in lock.items(environment, "channels") {
        if let Some((text, span)) = lock.needed(channel, "url") {
            lock.channel(text, span);
        }
    }
    let mut indexes: Vec<SafeUrl> = Vec::new();
    for item in lock.items(environment, "indexes") {
        if let Some(text) = item.text() {
            indexes.extend(lock.url(text, item.span).and_then(index));
        }
    }
    let chosen = platforms(lock, node, environment);
    let packages = Packages::new(lock, node);
    let mut pypi = Vec::new();
    let mut seen = HashSet::new();
    for (platform, items) in chosen {
        for item in items {
            if let Some(found) = packages.find(lock, item) {
                // One package, named twice.
                if !seen.insert((platform, std::ptr::from_ref(found.node))) {
                    continue;
                }
                match found.kind {
                    PackageKind::Conda => conda(lock, &found, platform),
                    PackageKind::Pypi => pypi.extend(python(lock, &found, platform, &indexes)),
                }
            }
        }
    }
    lock.add_of_platforms(pypi);
}

/// The packages of each platform that images can be made for.
fn platforms<'n>(
    lock: &mut LockReader<'_>,
    node: &'n Node,
    environment: &'n Node,
) -> Vec<(Platform, &'n [Node])> {
    // Since version 7 a platform may have a name of its own.
    let mut subdirs = HashMap::new();
    for item in lock.items(node, "platforms") {
        if let (Some(name), Some(subdir)) =
            (value_of(item, "name").and_then(Node::text), value_of(item, "subdir").and_then(Node::text))
        {
            subdirs.insert(name, subdir);
        }
    }
    let mut chosen: Vec<(Platform, &[Node])> = Vec::new();
    let mut others = Vec::new();
    for (key, items) in lock.pairs(environment, "packages") {
        let name = key.text().unwrap_or_default();
        let platform = subdirs.get(name).copied().unwrap_or(name).parse::<Platform>();
        match (platform, &items.kind) {
            (Ok(platform), Kind::Sequence(items)) if chosen.iter().all(|(known, _)| *known != platform) => {
                chosen.push((platform, items));
            }
            (Ok(platform), _) if items.is_null() => chosen.push((platform, &[])),
            (_, Kind::Sequence(_)) => others.push(name.to_owned()),
            _ => lock.invalid(items.span, format!("the packages of `{}` must be a list", shown(name))),
        }
    }
    lock.platforms = chosen.iter().map(|(platform, _)| *platform).collect();
    lock.settle_platforms(environment.span, &others);
    chosen.sort_by_key(|(platform, _)| *platform);
    chosen
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PackageKind {
    Conda,
    Pypi,
}

/// A record of the list `packages`.
struct Found<'n> {
    kind: PackageKind,
    location: &'n str,
    span: Span,
    node: &'n Node,
}

/// The list `packages` by what its records are named by.
struct Packages<'n>(HashMap<&'n str, Vec<&'n Node>>);

impl<'n> Packages<'n> {
    fn new(lock: &mut LockReader<'_>, node: &'n Node) -> Self {
        let mut by_location: HashMap<&str, Vec<&Node>> = HashMap::new();
        for item in lock.items(node, "packages") {
            let location = ["conda", "pypi", "conda_source", "url", "path"]
                .iter()
                .find_map(|key| value_of(item, key).and_then(Node::text));
            match location {
                Some(location) => by_location.entry(location).or_default().push(item),
                None => lock.invalid(item.span, "a package without `conda`, `pypi` or `url`"),
            }
        }
        Self(by_location)
    }

    /// The record that `selector`, an entry of an environment, stands for.
    fn find(&self, lock: &mut LockReader<'_>, selector: &'n Node) -> Option<Found<'n>> {
        if let Some((text, span)) = lock.text(selector, "conda_source") {
            built_from_source(lock, text, span);
            return None;
        }
        let given = lock.text(selector, "conda").map(|given| (PackageKind::Conda, given));
        let given = given.or_else(|| lock.text(selector, "pypi").map(|given| (PackageKind::Pypi, given)));
        let Some((kind, (location, span))) = given else {
            lock.invalid(selector.span, "a package without `conda` or `pypi`");
            return None;
        };
        if kind == PackageKind::Conda && !is_conda_package(location) {
            built_from_source(lock, location, span);
            return None;
        }
        match self.0.get(location).map(Vec::as_slice) {
            Some([node]) => Some(Found { kind, location, span, node }),
            Some(_) => {
                lock.invalid(span, format!("`{}` is in `packages` more than once", shown(location)));
                None
            }
            None => {
                lock.invalid(span, format!("`{}` is not in `packages`", shown(location)));
                None
            }
        }
    }
}

fn built_from_source(lock: &mut LockReader<'_>, text: &str, span: Span) {
    let message = format!("`{}` is a conda package that pixi builds from source", shown(text));
    lock.report(codes::NOT_SUPPORTED, span, message);
}

fn texts(lock: &mut LockReader<'_>, node: &Node, key: &str) -> Vec<String> {
    lock.items(node, key).iter().filter_map(Node::text).map(str::to_owned).collect()
}

fn conda(lock: &mut LockReader<'_>, found: &Found<'_>, platform: Platform) {
    let node = found.node;
    let given = GivenConda {
        name: lock.text(node, "name").map(|(text, _)| text.to_owned()),
        version: lock.text(node, "version").map(|(text, _)| text.to_owned()),
        build: lock.text(node, "build").map(|(text, _)| text.to_owned()),
        size: lock.size(node, "size"),
        sha256: lock.text(node, "sha256").and_then(|(text, span)| lock.sha256(text, span)),
        md5: lock.text(node, "md5").and_then(|(text, span)| lock.md5(text, span)),
        depends: Some(texts(lock, node, "depends")),
        constrains: texts(lock, node, "constrains"),
    };
    lock.add_conda(found.location, node.span, platform, given);
}

fn python(
    lock: &mut LockReader<'_>,
    found: &Found<'_>,
    platform: Platform,
    indexes: &[SafeUrl],
) -> Option<(LockedPypi, Span)> {
    let node = found.node;
    let (name, name_span) = lock.needed(node, "name")?;
    let name = lock.name(name, name_span)?;
    let mut package = LockedPypi { name, platforms: vec![platform], ..LockedPypi::default() };
    if let Some((version, span)) = lock.text(node, "version") {
        package.version = Some(lock.version(version, span)?);
    }
    package.requires_python = lock.text(node, "requires_python").map(|(text, _)| text.to_owned());
    let sha256 = lock.text(node, "sha256").and_then(|(text, span)| lock.sha256(text, span));
    let location = found.location;
    if location.starts_with("git+") {
        let (url, commit, subdirectory) = split_git(location);
        let Some(commit) = commit.filter(|commit| is_commit(commit)) else {
            lock.invalid(found.span, "a repository without the whole digest of a commit");
            return None;
        };
        let url = lock.repository(&url, found.span)?;
        package.source = Some(LockedSource::Git { url, commit, subdirectory });
        return Some((package, node.span));
    }
    let direct = location.strip_prefix("direct+");
    let target = direct.unwrap_or(location);
    let subdirectory = target.split_once("#subdirectory=").map(|(_, folder)| folder.to_owned());
    let url = lock.url(target, found.span)?;
    let is_local = url.as_url().scheme() == "file";
    let is_archive = [".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"]
        .iter()
        .any(|extension| url.as_url().path().ends_with(extension));
    if is_local && !is_archive {
        let editable = value_of(node, "editable").and_then(Node::as_bool).unwrap_or(false);
        package.source = Some(LockedSource::Folder { url, editable, subdirectory });
    } else if is_local || direct.is_some() {
        let file = file_at(url, None, sha256);
        package.source = Some(LockedSource::Archive { file, subdirectory });
    } else {
        package.index = index_of(lock, node, &url, indexes);
        let file = file_at(url, lock.size(node, "size"), sha256);
        if is_wheel(&file.name) {
            package.wheels.push(file);
        } else {
            package.sdist = Some(file);
        }
        if package.version.is_none() {
            lock.invalid(node.span, format!("`{}` has no version", shown(&package.name)));
            return None;
        }
    }
    Some((package, node.span))
}

/// The index that a file comes from: named since version 7, guessed from its host before.
fn index_of(lock: &mut LockReader<'_>, node: &Node, file: &SafeUrl, indexes: &[SafeUrl]) -> Option<SafeUrl> {
    if let Some((text, span)) = lock.text(node, "index") {
        return lock.url(text, span).and_then(index);
    }
    let host = file.as_url().host_str();
    if host == Some("files.pythonhosted.org") {
        return None;
    }
    let same = indexes.iter().find(|index| index.as_url().host_str() == host);
    same.or_else(|| indexes.first()).cloned()
}
