//! A lock as the neutral data that lock files of other tools are written from.

use provenv_definition::{
    Digest, LockedArtifacts, LockedConda, LockedFile, LockedPypi, LockedSource, NotCarried, Platform, SafeUrl,
};

use crate::pypi::Vcs;
use crate::{Artifact, CondaPackage, Lock, PypiPackage, PypiSource};

/// The artifacts of `lock` on `platform`, or on all of its platforms; which these are; and what is left out.
pub(super) fn of(
    lock: &Lock,
    platform: Option<Platform>,
) -> (LockedArtifacts, Vec<Platform>, Vec<NotCarried>) {
    let chosen = || lock.platforms.iter().filter(|(one, _)| platform.is_none_or(|only| only == **one));
    let platforms: Vec<Platform> = chosen().map(|(platform, _)| *platform).collect();
    let mut artifacts = LockedArtifacts::default();
    let mut lost = Vec::new();
    let mut debian = 0;
    for (platform, chosen) in chosen() {
        debian += chosen.debian.len();
        if let Some(python) = &chosen.python {
            let (major, minor) = python.minor();
            artifacts.requires_python = Some(format!("=={major}.{minor}.*"));
        }
        if !chosen.conda.is_empty() {
            artifacts.conda.insert(*platform, chosen.conda.iter().map(conda).collect());
        }
        for package in &chosen.pypi {
            match pypi(package) {
                Some(package) => add(&mut artifacts.pypi, package, *platform),
                None => lost.push(NotCarried {
                    what: format!("the package `{}`", package.name),
                    why: "it was built here from a folder".to_owned(),
                    counts: true,
                }),
            }
        }
    }
    for package in &mut artifacts.pypi {
        if package.platforms.len() == platforms.len() {
            package.platforms.clear();
        }
    }
    if debian > 0 {
        lost.push(NotCarried {
            what: format!("the Debian packages ({debian})"),
            why: "the format has no place for them".to_owned(),
            counts: true,
        });
    }
    (artifacts, platforms, lost)
}

/// Adds a package that was chosen for `platform`. Wheels of the same version for other platforms are of the same package.
fn add(packages: &mut Vec<LockedPypi>, package: LockedPypi, platform: Platform) {
    let same = |known: &&mut LockedPypi| {
        known.name == package.name
            && known.version == package.version
            && known.source == package.source
            && known.sdist == package.sdist
            && known.wheels.is_empty() == package.wheels.is_empty()
    };
    match packages.iter_mut().find(same) {
        Some(known) => {
            known.platforms.push(platform);
            known.wheels.extend(package.wheels);
            known.wheels.dedup();
        }
        None => packages.push(LockedPypi { platforms: vec![platform], ..package }),
    }
}

fn conda(package: &CondaPackage) -> LockedConda {
    // Every field is named, so that a new one cannot be forgotten here.
    let CondaPackage {
        name,
        version,
        build,
        build_number: _,
        subdir: _,
        artifact,
        md5,
        depends,
        constrains,
        requested: _,
    } = package;
    LockedConda {
        name: name.clone(),
        version: version.clone(),
        build: build.clone(),
        url: artifact.url.clone(),
        size: Some(artifact.size).filter(|&size| size > 0),
        sha256: Some(artifact.sha256),
        md5: md5.clone(),
        depends: Some(depends.clone()),
        constrains: constrains.clone(),
    }
}

/// `None` for what has no place of its own.
fn pypi(package: &PypiPackage) -> Option<LockedPypi> {
    let mut locked = LockedPypi {
        name: package.name.clone(),
        version: Some(package.version.clone()),
        ..LockedPypi::default()
    };
    match &package.source {
        PypiSource::Wheel(artifact) => locked.wheels.push(file(artifact, Some(&package.wheel))),
        PypiSource::Built { sdist: Some(sdist), .. } => locked.sdist = Some(file(sdist, None)),
        PypiSource::Built { repository, .. } => {
            let vcs = Vcs::parse(repository.as_deref()?)?;
            // The version is what building it told, and PEP 751 has none for it.
            locked.version = None;
            locked.source = Some(LockedSource::Git {
                url: vcs.url.parse::<SafeUrl>().ok()?,
                commit: vcs.commit_id,
                subdirectory: vcs.subdirectory,
            });
        }
    }
    Some(locked)
}

fn file(artifact: &Artifact, name: Option<&str>) -> LockedFile {
    let Artifact { url, size, sha256 } = artifact;
    let sha256: Digest = *sha256;
    LockedFile {
        name: name.or(url.file_name()).unwrap_or_default().to_owned(),
        url: Some(url.clone()),
        size: Some(*size).filter(|&size| size > 0),
        sha256: Some(sha256),
    }
}
