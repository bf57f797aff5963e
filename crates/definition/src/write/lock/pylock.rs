//! `pylock.toml` (PEP 751).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::write::{NotCarried, WrittenFile};
use crate::{LockedArtifacts, LockedFile, LockedPypi, LockedSource, Platform, SafeUrl};

/// The file of `artifacts`, which count on `platforms` only, if there are any.
pub(super) fn write(
    artifacts: &LockedArtifacts,
    platforms: &[Platform],
    rest: &mut Vec<NotCarried>,
) -> WrittenFile {
    let mut packages: Vec<&LockedPypi> = artifacts.pypi.iter().collect();
    packages.sort_by(|left, right| left.name.cmp(&right.name));
    let pylock = Pylock {
        lock_version: "1.0",
        environments: platforms.iter().map(|platform| marker_of(*platform)).collect(),
        requires_python: artifacts.requires_python.as_deref(),
        created_by: "provenv",
        packages: packages.into_iter().filter_map(|package| Package::of(package, rest)).collect(),
    };
    let text = toml::to_string(&pylock).expect("texts and numbers are plain data");
    WrittenFile::new("pylock.toml", text)
}

/// The marker that is true on a platform alone.
fn marker_of(platform: Platform) -> String {
    format!("sys_platform == 'linux' and platform_machine == '{}'", platform.machine())
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Pylock<'l> {
    lock_version: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    environments: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requires_python: Option<&'l str>,
    created_by: &'static str,
    packages: Vec<Package<'l>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Package<'l> {
    name: &'l str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requires_python: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vcs: Option<Vcs<'l>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<Directory<'l>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    archive: Option<File<'l>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<&'l SafeUrl>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sdist: Option<File<'l>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    wheels: Vec<File<'l>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Vcs<'l> {
    r#type: &'static str,
    url: &'l SafeUrl,
    commit_id: &'l str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subdirectory: Option<&'l str>,
}

#[derive(Serialize)]
struct Directory<'l> {
    path: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    editable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    subdirectory: Option<&'l str>,
}

#[derive(Serialize)]
struct File<'l> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'l SafeUrl>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    hashes: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subdirectory: Option<&'l str>,
}

impl<'l> Package<'l> {
    fn of(package: &'l LockedPypi, rest: &mut Vec<NotCarried>) -> Option<Self> {
        let mut written = Self {
            name: &package.name,
            version: package.version.as_deref(),
            marker: marker(package),
            requires_python: package.requires_python.as_deref(),
            vcs: None,
            directory: None,
            archive: None,
            index: package.index.as_ref(),
            sdist: package.sdist.as_ref().and_then(File::of),
            wheels: package.wheels.iter().filter_map(File::of).collect(),
        };
        match &package.source {
            None => {}
            Some(LockedSource::Git { url, commit, subdirectory }) => {
                let subdirectory = subdirectory.as_deref();
                written.vcs = Some(Vcs { r#type: "git", url, commit_id: commit, subdirectory });
            }
            Some(LockedSource::Archive { file, subdirectory }) => {
                written.archive = File::of(file).map(|file| File {
                    name: None,
                    subdirectory: subdirectory.as_deref(),
                    ..file
                });
            }
            Some(LockedSource::Folder { url, editable, subdirectory }) => {
                let path = local(url)?;
                written.directory =
                    Some(Directory { path, editable: *editable, subdirectory: subdirectory.as_deref() });
            }
        }
        let has_file = written.sdist.is_some() || !written.wheels.is_empty();
        let has_source = written.vcs.is_some() || written.directory.is_some() || written.archive.is_some();
        if has_file || has_source {
            return Some(written);
        }
        rest.push(NotCarried {
            what: format!("the package `{}`", package.name),
            why: "`pylock.toml` wants the URL and the sha256 of a file, and nothing says them".to_owned(),
            counts: true,
        });
        None
    }
}

impl<'l> File<'l> {
    /// `None` where the file cannot be found by it, or not checked.
    fn of(file: &'l LockedFile) -> Option<Self> {
        let (url, sha256) = (file.url.as_ref()?, file.sha256?);
        let path = local(url);
        Some(Self {
            name: Some(&file.name),
            url: path.is_none().then_some(url),
            path,
            size: file.size.filter(|&size| size > 0),
            hashes: [("sha256", sha256.hex())].into(),
            subdirectory: None,
        })
    }
}

/// The path of a `file:` URL.
fn local(url: &SafeUrl) -> Option<String> {
    let path = url.as_url().to_file_path().ok()?;
    Some(path.to_string_lossy().into_owned())
}

/// When a package counts: its marker, and where.
fn marker(package: &LockedPypi) -> Option<String> {
    let own = package.marker.as_ref().map(ToString::to_string);
    let platforms: Vec<String> = package.platforms.iter().map(|platform| marker_of(*platform)).collect();
    let places = match &platforms[..] {
        [] => return own,
        [one] => one.clone(),
        several => several.iter().map(|one| format!("({one})")).collect::<Vec<_>>().join(" or "),
    };
    Some(match own {
        None => places,
        Some(own) => format!("({own}) and ({places})"),
    })
}
