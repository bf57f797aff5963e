//! What a lock of another tool chose, taken over: nothing is solved again.

use provenv_definition::{
    Digest, LockedArtifacts, LockedFile, LockedPypi, LockedSource, MarkerEnvironment, Platform, SafeUrl,
};

use super::pylock::{Directory, File, Package, Pylock, Vcs};
use super::tags::{Tags, WheelName};
use super::{Error, Result};
use crate::PythonLock;

/// The packages of `locked` that count for `python` on `platform`.
pub(super) fn pylock(locked: &LockedArtifacts, python: &PythonLock, platform: Platform) -> Result<Pylock> {
    if let Some(bounds) = &locked.requires_python {
        require(bounds, python, None)?;
    }
    let environment = MarkerEnvironment::new(&python.version, platform);
    let counts = |package: &&LockedPypi| {
        (package.platforms.is_empty() || package.platforms.contains(&platform))
            && package.marker.as_ref().is_none_or(|marker| marker.holds(&environment))
    };
    let mut packages: Vec<&LockedPypi> = locked.pypi.iter().filter(counts).collect();
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(pair) = packages.windows(2).find(|pair| pair[0].name == pair[1].name) {
        let versions = pair.iter().map(|package| package.version.clone().unwrap_or_default()).collect();
        return Err(Error::LockedTwice { package: pair[0].name.clone(), versions });
    }
    for package in &packages {
        if let Some(bounds) = &package.requires_python {
            require(bounds, python, Some(&package.name))?;
        }
    }
    Ok(Pylock::of(packages.into_iter().map(package).collect::<Result<_>>()?))
}

/// Whether the bounds on Python let this one in.
fn require(bounds: &str, python: &PythonLock, package: Option<&str>) -> Result<()> {
    let fits = bounds
        .parse::<pep440_rs::VersionSpecifiers>()
        .ok()
        .zip(python.version.parse().ok())
        .is_none_or(|(bounds, version)| bounds.contains(&version));
    if fits {
        return Ok(());
    }
    Err(Error::LockedForOtherPython {
        package: package.map(str::to_owned),
        bounds: bounds.to_owned(),
        python: python.version.clone(),
    })
}

/// Whether every file of `lock` says where it is, so that no index has to be asked.
pub(super) fn is_located(lock: &Pylock) -> bool {
    let located = |file: &File| file.url.is_some() || file.path.is_some();
    lock.packages
        .iter()
        .all(|package| package.wheels.iter().chain(&package.sdist).chain(&package.archive).all(located))
}

/// Whether packages of PyPI are among them.
pub(super) fn is_from_pypi(locked: &LockedArtifacts) -> bool {
    locked.pypi.iter().any(|package| package.index.is_none() && package.source.is_none())
}

/// Whether a wheel fits for every package of `lock`, so that nothing has to be built and no tool is needed.
pub(super) fn is_ready(lock: &Pylock, tags: &Tags) -> bool {
    let fits =
        |file: &File| WheelName::parse(&file.file_name()).is_some_and(|wheel| tags.fit(&wheel).is_some());
    lock.packages.iter().all(|package| package.wheels.iter().chain(&package.archive).any(fits))
}

fn package(locked: &LockedPypi) -> Result<Package> {
    let mut package = Package {
        name: locked.name.clone(),
        version: locked.version.clone(),
        sdist: locked.sdist.as_ref().map(file),
        wheels: locked.wheels.iter().map(file).collect(),
        ..Package::default()
    };
    match &locked.source {
        None => {}
        Some(LockedSource::Git { url, commit, subdirectory }) => {
            package.vcs = Some(Vcs {
                kind: "git".to_owned(),
                url: url.to_string(),
                requested_revision: None,
                commit_id: commit.clone(),
                subdirectory: subdirectory.clone(),
            });
        }
        Some(LockedSource::Archive { file: archive, subdirectory }) => {
            package.archive = Some(File { subdirectory: subdirectory.clone(), ..file(archive) });
        }
        Some(LockedSource::Folder { url, editable: _, subdirectory }) => {
            let path =
                url.as_url().to_file_path().ok().and_then(|path| path.into_os_string().into_string().ok());
            let path = path.ok_or_else(|| Error::NoSource { package: locked.name.clone() })?;
            package.directory = Some(Directory { path, subdirectory: subdirectory.clone() });
        }
    }
    Ok(package)
}

fn file(locked: &LockedFile) -> File {
    File {
        name: Some(locked.name.clone()),
        url: locked.url.as_ref().map(SafeUrl::to_string),
        path: None,
        size: locked.size,
        hashes: locked.sha256.iter().map(|digest: &Digest| ("sha256".to_owned(), digest.hex())).collect(),
        subdirectory: None,
    }
}
