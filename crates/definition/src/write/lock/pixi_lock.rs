//! `pixi.lock`, version 6.

use super::{Chosen, PypiFile, channel_url, entry};
use crate::LockedConda;
use crate::write::native::{line, list, scalar};
use crate::write::{NotCarried, WrittenFile, subdir};

/// What pixi asks where nothing else is said.
const PYPI: &str = "https://pypi.org/simple";

pub(super) fn write(chosen: &Chosen<'_>, rest: &mut Vec<NotCarried>) -> WrittenFile {
    let definition = &chosen.environment.definition;
    let mut yaml = String::new();
    line(&mut yaml, 0, "version: 6");
    line(&mut yaml, 0, "environments:");
    line(&mut yaml, 1, "default:");
    line(&mut yaml, 2, if definition.conda.channels.is_empty() { "channels: []" } else { "channels:" });
    for channel in &definition.conda.channels {
        line(&mut yaml, 2, &format!("- {}", entry("url", &format!("{}/", channel_url(channel)))));
    }
    let mut conda: Vec<&LockedConda> = Vec::new();
    let mut pypi: Vec<PypiFile<'_>> = Vec::new();
    let mut by_platform = String::new();
    for &platform in chosen.platforms {
        line(&mut by_platform, 3, &format!("{}:", subdir(platform)));
        for package in chosen.conda_on(platform) {
            line(&mut by_platform, 3, &format!("- {}", entry("conda", &package.url.to_string())));
            conda.push(package);
        }
        for file in chosen.pypi_on(platform, rest) {
            line(&mut by_platform, 3, &format!("- {}", entry("pypi", &file.url)));
            pypi.push(file);
        }
    }
    if !pypi.is_empty() {
        let pip = &definition.pip;
        let own = pip.index_url.iter().chain(&pip.extra_index_urls).map(ToString::to_string);
        let mut indexes: Vec<String> = own.collect();
        if pip.index_url.is_none() {
            indexes.insert(0, PYPI.to_owned());
        }
        list(&mut yaml, 2, "indexes", indexes);
    }
    line(&mut yaml, 2, "packages:");
    yaml.push_str(&by_platform);
    line(&mut yaml, 0, "packages:");
    // One record of a file, whichever platforms it is on.
    conda.sort_by(|left, right| left.url.cmp(&right.url));
    conda.dedup_by(|next, first| next.url == first.url);
    pypi.sort_by(|left, right| left.url.cmp(&right.url));
    pypi.dedup_by(|next, first| next.url == first.url);
    for package in conda {
        conda_record(&mut yaml, package);
    }
    for file in &pypi {
        pypi_record(&mut yaml, file);
    }
    WrittenFile::new("pixi.lock", yaml)
}

fn conda_record(yaml: &mut String, package: &LockedConda) {
    line(yaml, 0, &format!("- {}", entry("conda", &package.url.to_string())));
    if let Some(sha256) = &package.sha256 {
        line(yaml, 1, &entry("sha256", &sha256.hex()));
    }
    if let Some(md5) = &package.md5 {
        line(yaml, 1, &entry("md5", md5));
    }
    list(yaml, 1, "depends", package.depends.clone().unwrap_or_default());
    list(yaml, 1, "constrains", package.constrains.clone());
    if let Some(size) = package.size {
        line(yaml, 1, &format!("size: {size}"));
    }
}

fn pypi_record(yaml: &mut String, file: &PypiFile<'_>) {
    line(yaml, 0, &format!("- {}", entry("pypi", &file.url)));
    line(yaml, 1, &entry("name", &file.package.name));
    if let Some(version) = &file.package.version {
        line(yaml, 1, &entry("version", version));
    }
    if let Some(sha256) = &file.sha256 {
        line(yaml, 1, &entry("sha256", &sha256.hex()));
    }
    if let Some(bounds) = &file.package.requires_python {
        line(yaml, 1, &format!("requires_python: {}", scalar(bounds)));
    }
}
