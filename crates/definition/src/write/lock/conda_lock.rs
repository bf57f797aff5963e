//! The YAML of conda-lock, version 1.

use super::{Chosen, PypiFile, entry};
use crate::definition_digest;
use crate::write::native::{line, pair};
use crate::write::{NotCarried, WrittenFile, subdir};
use crate::{LockedConda, Platform};

pub(super) fn write(chosen: &Chosen<'_>, rest: &mut Vec<NotCarried>) -> WrittenFile {
    let definition = &chosen.environment.definition;
    let mut yaml = String::new();
    line(&mut yaml, 0, "version: 1");
    line(&mut yaml, 0, "metadata:");
    line(&mut yaml, 1, "content_hash:");
    for &platform in chosen.platforms {
        // conda-lock compares it with its own, to see whether it has to solve again.
        line(&mut yaml, 2, &entry(subdir(platform), &definition_digest(definition).hex()));
    }
    line(&mut yaml, 1, if definition.conda.channels.is_empty() { "channels: []" } else { "channels:" });
    for channel in &definition.conda.channels {
        line(&mut yaml, 1, &format!("- {}", entry("url", &channel.to_string())));
        line(&mut yaml, 2, "used_env_vars: []");
    }
    line(&mut yaml, 1, "platforms:");
    for &platform in chosen.platforms {
        line(&mut yaml, 1, &format!("- {}", subdir(platform)));
    }
    line(&mut yaml, 1, "sources: []");
    line(&mut yaml, 0, "package:");
    for &platform in chosen.platforms {
        for package in chosen.conda_on(platform) {
            conda(&mut yaml, package, platform);
        }
        for file in chosen.pypi_on(platform, rest) {
            pypi(&mut yaml, &file, platform);
        }
    }
    WrittenFile::new("conda-lock.yml", yaml)
}

fn conda(yaml: &mut String, package: &LockedConda, platform: Platform) {
    head(yaml, &package.name, &package.version, "conda", platform);
    let needs = package.depends.as_deref().unwrap_or_default();
    line(yaml, 1, if needs.is_empty() { "dependencies: {}" } else { "dependencies:" });
    let mut seen = Vec::new();
    for need in needs {
        let (name, bounds) = need.split_once(' ').unwrap_or((need, ""));
        if !seen.contains(&name) {
            seen.push(name);
            pair(yaml, 2, name, bounds.trim());
        }
    }
    line(yaml, 1, &entry("url", &package.url.to_string()));
    let hashes = [
        package.md5.as_ref().map(|md5| entry("md5", md5)),
        package.sha256.as_ref().map(|sha256| entry("sha256", &sha256.hex())),
    ];
    tail(yaml, &hashes);
}

fn pypi(yaml: &mut String, file: &PypiFile<'_>, platform: Platform) {
    let version = file.package.version.as_deref().unwrap_or_default();
    head(yaml, &file.package.name, version, "pip", platform);
    line(yaml, 1, "dependencies: {}");
    line(yaml, 1, &entry("url", &file.url));
    tail(yaml, &[file.sha256.as_ref().map(|sha256| entry("sha256", &sha256.hex()))]);
}

fn head(yaml: &mut String, name: &str, version: &str, manager: &str, platform: Platform) {
    line(yaml, 0, &format!("- {}", entry("name", name)));
    line(yaml, 1, &entry("version", version));
    line(yaml, 1, &entry("manager", manager));
    line(yaml, 1, &entry("platform", subdir(platform)));
}

fn tail(yaml: &mut String, hashes: &[Option<String>]) {
    line(yaml, 1, if hashes.iter().all(Option::is_none) { "hash: {}" } else { "hash:" });
    for hash in hashes.iter().flatten() {
        line(yaml, 2, hash);
    }
    line(yaml, 1, "category: main");
    line(yaml, 1, "optional: false");
}
