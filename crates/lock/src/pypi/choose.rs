//! From uv's choice of versions to one wheel for each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use futures::{StreamExt as _, TryStreamExt as _};
use provenv_definition::{Digest, SafeUrl, normalise_name};
use url::Url;

use super::build::{self, Origin};
use super::pylock::{File, Package, Pylock};
use super::session::Session;
use super::tags::WheelName;
use super::{Error, Result};
use crate::{Artifact, PypiPackage, PypiSource, Upgrade};

/// Builds are processes of their own, often with several threads.
const BUILDS_AT_ONCE: usize = 2;

/// A wheel for every package of `lock`, sorted by name.
pub(super) async fn packages(
    session: &Session<'_>,
    lock: &Pylock,
    previous: &[PypiPackage],
    upgrade: &Upgrade,
) -> Result<Vec<PypiPackage>> {
    let request = session.request;
    if request.has_hashes() {
        let unhashed: Vec<String> = lock
            .packages
            .iter()
            .filter(|package| request.hashes(package).is_empty())
            .map(|package| normalise_name(&package.name))
            .collect();
        if !unhashed.is_empty() {
            return Err(Error::Unhashed { packages: unhashed });
        }
    }
    let kept = |package: &Package| {
        let name = normalise_name(&package.name);
        let moves = match upgrade {
            Upgrade::All => true,
            Upgrade::None => false,
            Upgrade::Packages(names) => names.iter().any(|upgraded| normalise_name(upgraded) == name),
        };
        previous
            .iter()
            .find(|kept| !moves && kept.name == name && Some(&kept.version) == package.version.as_ref())
    };
    let mut packages: Vec<PypiPackage> = futures::stream::iter(&lock.packages)
        .map(|package| {
            one(session, package, request.hashes(package), request.requests(package), kept(package))
        })
        .buffer_unordered(BUILDS_AT_ONCE)
        .try_collect()
        .await?;
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(packages)
}

/// A wheel for every package of `lock`, which another tool made. Where the definition has a hash of a package it counts;
/// what has none there, such as a commit, the lock alone vouches for.
pub(super) async fn taken(session: &Session<'_>, lock: &Pylock) -> Result<Vec<PypiPackage>> {
    let request = session.request;
    futures::stream::iter(&lock.packages)
        .map(|package| one(session, package, request.hashes(package), request.requests(package), None))
        .buffered(BUILDS_AT_ONCE)
        .try_collect()
        .await
}

/// A wheel for every package of `lock`, which a build needs: the definition's hashes are not about these.
pub(super) async fn needed(session: &Session<'_>, lock: &Pylock) -> Result<Vec<PypiPackage>> {
    let mut packages = Vec::new();
    for package in &lock.packages {
        packages.push(one(session, package, BTreeSet::new(), false, None).await?);
    }
    Ok(packages)
}

/// Whether the definition lets the code of this source run.
pub(super) fn admit_source(session: &Session<'_>, package: &Package, origin: &Origin) -> Result<()> {
    if session.making.is_empty() && session.request.has_hashes() {
        let admitted = session.request.hashes(package);
        if admitted.is_empty() {
            return Err(Error::Unhashed { packages: vec![normalise_name(&package.name)] });
        }
        return admit(package, origin, &admitted);
    }
    Ok(())
}

fn admit(package: &Package, origin: &Origin, admitted: &BTreeSet<Digest>) -> Result<()> {
    match origin {
        Origin::Archive { artifact, .. } if !admitted.is_empty() && !admitted.contains(&artifact.sha256) => {
            Err(hash_error(package, admitted, vec![artifact.sha256]))
        }
        _ => Ok(()),
    }
}

/// One package. `kept` is what the lock before had of the same version: it stays if it is still offered.
async fn one(
    session: &Session<'_>,
    package: &Package,
    admitted: BTreeSet<Digest>,
    requested: bool,
    kept: Option<&PypiPackage>,
) -> Result<PypiPackage> {
    let files = package.archive.iter().filter(|file| is_wheel(file)).chain(&package.wheels);
    if let Some((wheel, file)) = best(session, package, files, &admitted, kept)? {
        let source = PypiSource::Wheel(artifact(session, &package.name, file).await?);
        let version = package.version.clone().unwrap_or(wheel.version);
        return Ok(PypiPackage {
            name: normalise_name(&package.name),
            version,
            wheel: wheel.file,
            source,
            requested,
        });
    }

    let origin = origin(session, package).await?;
    admit(package, &origin, &admitted)?;
    if let Some(kept) =
        kept.filter(|kept| origin.made(kept) && session.fetcher.store().contains(kept.digest()))
    {
        return Ok(PypiPackage { requested, ..kept.clone() });
    }
    build::wheel(session, package, &origin, requested).await
}

/// A wheel's file name and the version in it.
struct Found {
    file: String,
    version: String,
}

fn best<'a>(
    session: &Session<'_>,
    package: &Package,
    files: impl Iterator<Item = &'a File>,
    admitted: &BTreeSet<Digest>,
    kept: Option<&PypiPackage>,
) -> Result<Option<(Found, &'a File)>> {
    let mut fitting = Vec::new();
    for file in files {
        let name = file.file_name();
        let Some(wheel) = WheelName::parse(&name) else { continue };
        if wheel.name != normalise_name(&package.name) {
            continue;
        }
        let Some((rank, build)) = session.tags.fit(&wheel) else { continue };
        let (rank, build, version) = (rank, (build.0.0, build.0.1.to_owned()), wheel.version.to_owned());
        fitting.push((rank, std::cmp::Reverse(build), Found { file: name, version }, file));
    }
    if fitting.is_empty() {
        if package.archive.as_ref().is_some_and(is_wheel) {
            let explanation = package.archive.as_ref().map(File::file_name).unwrap_or_default().into();
            return Err(Error::NoFile { target: session.tags.description().to_owned(), explanation });
        }
        return Ok(None);
    }
    if !admitted.is_empty() {
        let offered: Vec<Digest> = fitting.iter().filter_map(|(_, _, _, file)| sha256(file)).collect();
        fitting.retain(|(_, _, _, file)| sha256(file).is_some_and(|digest| admitted.contains(&digest)));
        if fitting.is_empty() {
            // The hashes may be those of the sdist, which pip would build then.
            let sdist = package.sdist.as_ref().and_then(sha256);
            if sdist.is_some_and(|digest| admitted.contains(&digest)) {
                return Ok(None);
            }
            return Err(hash_error(package, admitted, offered));
        }
    }
    fitting.sort_by(|a, b| (a.0, &a.1, &a.2.file).cmp(&(b.0, &b.1, &b.2.file)));
    let kept = kept.map(PypiPackage::digest);
    let at = fitting
        .iter()
        .position(|(_, _, _, file)| kept.is_some() && sha256(file).as_ref() == kept)
        .unwrap_or(0);
    let (_, _, found, file) = fitting.swap_remove(at);
    Ok(Some((found, file)))
}

fn hash_error(package: &Package, admitted: &BTreeSet<Digest>, actual: Vec<Digest>) -> Error {
    Error::Hash {
        package: normalise_name(&package.name),
        version: package.version.clone().unwrap_or_default(),
        expected: admitted.iter().copied().collect(),
        actual,
    }
}

/// What has to be built, where no wheel fits.
pub(super) async fn origin(session: &Session<'_>, package: &Package) -> Result<Origin> {
    if let Some(vcs) = &package.vcs {
        let mut url: Url = vcs.url.parse().map_err(|source| Error::url(&vcs.url, source))?;
        // ssh's user is part of the address.
        if url.scheme() != "ssh" {
            let _ = url.set_username("");
        }
        let _ = url.set_password(None);
        return Ok(Origin::Repository(super::pylock::Vcs {
            kind: vcs.kind.clone(),
            url: url.into(),
            requested_revision: vcs.requested_revision.clone(),
            commit_id: vcs.commit_id.clone(),
            subdirectory: vcs.subdirectory.clone(),
        }));
    }
    if let Some(directory) = &package.directory {
        let path = PathBuf::from(&directory.path);
        let Some(snapshot) = session.request.snapshot(&path) else {
            return Err(Error::NoSource { package: package.name.clone() });
        };
        let (digest, subdirectory) = (snapshot.digest, directory.subdirectory.clone());
        return Ok(Origin::Folder { path, digest, subdirectory });
    }
    let file = package.archive.as_ref().or(package.sdist.as_ref());
    let Some(file) = file else {
        return Err(Error::NoFile {
            target: session.tags.description().to_owned(),
            explanation: format!("no wheel of `{}` fits, and there is no sdist", package.name).into(),
        });
    };
    Ok(Origin::Archive {
        artifact: artifact(session, &package.name, file).await?,
        file: file.file_name(),
        subdirectory: file.subdirectory.clone(),
    })
}

/// The file with its digest and size, fetched to learn them where the index does not say.
async fn artifact(session: &Session<'_>, package: &str, file: &File) -> Result<Artifact> {
    let location = file.location(package)?;
    let url: SafeUrl = session.request.environment().lock_url(&location)?;
    let Some(sha256) = sha256(file) else {
        // With its variables, for what is said of it, and with its query, without which some files are not to be had.
        let mut asked = url.as_url().clone();
        asked.set_query(location.query());
        let blob = session.fetcher.unverified(&asked).await?;
        return Ok(Artifact { url, size: blob.size, sha256: blob.digest });
    };
    let size = match (file.size, location.to_file_path()) {
        (Some(size), _) => size,
        (None, Ok(path)) => fs_err::metadata(path)?.len(),
        (None, Err(())) => 0,
    };
    Ok(Artifact { url, size, sha256 })
}

fn sha256(file: &File) -> Option<Digest> {
    file.hashes.get("sha256").and_then(|hex| Digest::from_hex(hex).ok())
}

fn is_wheel(file: &File) -> bool {
    Path::new(&file.file_name()).extension().is_some_and(|extension| extension == "whl")
}
