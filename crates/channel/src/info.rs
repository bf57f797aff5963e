//! What a package says of itself, in its folder `info`.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::content::{Content, Entry, Prefix};
use crate::package::{Noarch, Package, placeholder};

/// The fields of `index.json`.
pub(crate) fn index(package: &Package) -> Map<String, Value> {
    let (arch, platform) = match package.subdir.split_once('-') {
        Some((platform, arch)) => (json!(if arch == "64" { "x86_64" } else { arch }), json!(platform)),
        None => (Value::Null, Value::Null),
    };
    let mut index = Map::new();
    let mut put = |name: &str, value: Value| {
        index.insert(name.to_owned(), value);
    };
    put("arch", arch);
    put("build", json!(package.build));
    put("build_number", json!(package.build_number));
    if !package.constrains.is_empty() {
        put("constrains", json!(package.constrains));
    }
    put("depends", json!(package.depends));
    put("license", json!(package.license));
    put("name", json!(package.name));
    if let Some(noarch) = package.noarch {
        put("noarch", json!(noarch.name()));
    }
    put("platform", platform);
    put("subdir", json!(package.subdir));
    put("timestamp", json!(package.timestamp));
    if !package.track_features.is_empty() {
        put("track_features", json!(package.track_features.join(" ")));
    }
    put("version", json!(package.version));
    index.extend(package.fields.clone());
    index
}

/// The files of `info`, by their names in the archive.
pub(crate) fn files(package: &Package, index: &Map<String, Value>, entries: &[Entry]) -> Vec<Entry> {
    let mut info = vec![
        ("about.json", pretty(&json!({ "license": package.license, "summary": "made for tests" }))),
        ("files", list(entries)),
        ("hash_input.json", pretty(&json!({}))),
        ("index.json", pretty(index)),
    ];
    let prefixes = has_prefix(package, entries);
    if !prefixes.is_empty() {
        info.push(("has_prefix", prefixes));
    }
    if let Some(link) = link(package) {
        info.push(("link.json", pretty(&link)));
    }
    if !package.without_paths {
        info.push(("paths.json", pretty(&json!({ "paths": paths(package, entries), "paths_version": 1 }))));
    }
    info.sort_unstable_by_key(|(name, _)| *name);
    info.into_iter()
        .map(|(name, text)| Entry::file(&format!("info/{name}"), text.into_bytes(), None))
        .collect()
}

fn pretty(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).expect("JSON values can be written")
}

fn list(entries: &[Entry]) -> String {
    let mut text = String::new();
    for entry in entries {
        let _ = writeln!(text, "{}", entry.path);
    }
    text
}

fn has_prefix(package: &Package, entries: &[Entry]) -> String {
    let mut text = String::new();
    for entry in entries {
        if let Some(prefix) = prefix_in(entry, entries) {
            let _ = writeln!(text, "{} {} {}", placeholder(&package.name), prefix.mode(), entry.path);
        }
    }
    text
}

fn link(package: &Package) -> Option<Value> {
    let noarch = match package.noarch? {
        Noarch::Python if package.entry_points.is_empty() => json!({ "type": "python" }),
        Noarch::Python => json!({ "entry_points": package.entry_points, "type": "python" }),
        Noarch::Generic => json!({ "type": "generic" }),
    };
    Some(json!({ "noarch": noarch, "package_metadata_version": 1 }))
}

/// How the placeholder stands in a file, by whichever of its names.
fn prefix_in(entry: &Entry, entries: &[Entry]) -> Option<Prefix> {
    match &entry.content {
        Content::File { prefix, .. } => *prefix,
        Content::Hardlink(target) => prefix_in(entries.iter().find(|other| other.path == *target)?, entries),
        _ => None,
    }
}

fn paths(package: &Package, entries: &[Entry]) -> Vec<Value> {
    entries
        .iter()
        .map(|entry| {
            let kind = match entry.content {
                Content::File { .. } | Content::Hardlink(_) => "hardlink",
                Content::Symlink(_) => "softlink",
                Content::Directory => "directory",
            };
            let mut listed = json!({ "_path": entry.path, "path_type": kind });
            if !matches!(entry.content, Content::Directory) {
                // conda-build follows links; one that leads out of the package counts as empty.
                let bytes = behind(entry, entries, entries.len()).unwrap_or_default();
                listed["sha256"] = json!(hex::encode(Sha256::digest(bytes)));
                listed["size_in_bytes"] = json!(bytes.len());
            }
            if let Some(prefix) = prefix_in(entry, entries) {
                listed["file_mode"] = json!(prefix.mode());
                listed["prefix_placeholder"] = json!(placeholder(&package.name));
            }
            listed
        })
        .collect()
}

/// The bytes that reading a path gives, when no more than `left` links are followed.
fn behind<'a>(entry: &'a Entry, entries: &'a [Entry], left: usize) -> Option<&'a [u8]> {
    let target = match &entry.content {
        Content::File { bytes, .. } => return Some(bytes),
        Content::Directory => return None,
        Content::Hardlink(target) => target.clone(),
        Content::Symlink(target) => resolve(&entry.path, target),
    };
    let next = entries.iter().find(|other| other.path == target)?;
    behind(next, entries, left.checked_sub(1)?)
}

/// Where a relative link at `path` leads, in the package.
fn resolve(path: &str, target: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            ".." => {
                parts.pop();
            }
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}
