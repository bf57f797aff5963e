//! Wheels that nobody has made yet: built once in the sandbox, with the environment's own Python, from an sdist, a
//! repository or a folder, and from then on known by their content ([`Workshop`] says where and how).
//!
//! A build may give other bytes each time, so its result is recorded under all that it depends on and that we know:
//! the source's digest or commit, Python's minor version, platform and glibc. Whoever asks for the same gets the same
//! wheel as long as the store has it; a lock pins it in any case.

use std::path::{Path, PathBuf};

use provenv_definition::{Digest, normalise_name};
use serde::{Deserialize, Serialize};

use super::metadata::Metadata;
use super::pylock::{Package, Vcs};
use super::session::Session;
use super::tags::WheelName;
use super::uv::blocking;
use super::workshop::Workshop;
use super::{Error, Result};
use crate::{Artifact, PypiPackage, PypiSource};

/// The kinds of record that keep what was built, and what a package says it needs.
const KIND: &str = "built-wheel";
const METADATA: &str = "built-metadata";

/// What a wheel is built from.
pub(super) enum Origin {
    /// An sdist.
    Archive { artifact: Artifact, file: String, subdirectory: Option<String> },
    /// A repository at a commit; its URL holds no credentials.
    Repository(Vcs),
    /// A local folder, its copy mounted at `path`.
    Folder { path: PathBuf, digest: Digest, subdirectory: Option<String> },
}

/// What a build gave.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Built {
    wheel: String,
    sha256: Digest,
    size: u64,
}

impl Origin {
    /// Whether `package` of an earlier lock was built from this.
    pub(super) fn made(&self, package: &PypiPackage) -> bool {
        let PypiSource::Built { sdist, repository, .. } = &package.source else { return false };
        match self {
            Self::Archive { artifact, .. } => {
                sdist.as_ref().is_some_and(|sdist| sdist.sha256 == artifact.sha256)
            }
            Self::Repository(vcs) => repository.as_ref() == Some(&vcs.repository()),
            // The lock does not say from which state of the folder; the record does.
            Self::Folder { .. } => false,
        }
    }

    /// What it is, by content or commit.
    pub(super) fn identity(&self) -> String {
        let (what, subdirectory) = match self {
            Self::Archive { artifact, subdirectory, .. } => (artifact.sha256.to_string(), subdirectory),
            Self::Repository(vcs) => (format!("git+{}@{}", vcs.url, vcs.commit_id), &vcs.subdirectory),
            Self::Folder { digest, subdirectory, .. } => (format!("folder {digest}"), subdirectory),
        };
        format!("{what}#{}", subdirectory.as_deref().unwrap_or_default())
    }
}

/// The wheel of `package`, built unless it was before.
pub(super) async fn wheel(
    session: &Session<'_>,
    package: &Package,
    origin: &Origin,
    requested: bool,
) -> Result<PypiPackage> {
    let store = session.fetcher.store();
    let key = key(session, origin);
    let known = || -> Result<Option<Built>> {
        Ok(store.record::<Built>(KIND, &key)?.filter(|built| store.contains(&built.sha256)))
    };
    let built = if let Some(built) = known()? {
        built
    } else {
        session.fetcher.reporter().note(&format!("building a wheel of {}", package.name));
        // Before the lease: two that need each other must not wait for each other.
        let workshop = Workshop::open(session, package, origin).await?;
        let _lease = store.lock_async(KIND, &key).await?;
        if let Some(built) = known()? {
            built
        } else {
            let built = keep(session, package, &workshop.wheel().await?).await?;
            store.set_record(KIND, &key, &built)?;
            built
        }
    };
    let (sdist, repository) = match origin {
        Origin::Archive { artifact, .. } => (Some(artifact.clone()), None),
        Origin::Repository(vcs) => (None, Some(vcs.repository())),
        Origin::Folder { .. } => (None, None),
    };
    let version = WheelName::parse(&built.wheel).map(|wheel| wheel.version.to_owned()).unwrap_or_default();
    Ok(PypiPackage {
        name: normalise_name(&package.name),
        version: package.version.clone().unwrap_or(version),
        wheel: built.wheel,
        source: PypiSource::Built { sha256: built.sha256, size: built.size, sdist, repository },
        requested,
    })
}

/// What `package` says it needs, asked of its backend unless it was before.
pub(super) async fn metadata(session: &Session<'_>, package: &Package, origin: &Origin) -> Result<Metadata> {
    let store = session.fetcher.store();
    let key = key(session, origin);
    let text = if let Some(text) = store.record::<String>(METADATA, &key)? {
        text
    } else {
        session.fetcher.reporter().note(&format!("asking {} what it needs", label(package)));
        let text = Workshop::open(session, package, origin).await?.metadata().await?;
        store.set_record(METADATA, &key, &text)?;
        text
    };
    Metadata::parse(&label(package), &text)
}

fn key(session: &Session<'_>, origin: &Origin) -> String {
    let (major, minor) = session.python.minor();
    let key =
        format!("{}\n{major}.{minor}\n{}\n{}", origin.identity(), session.platform, session.python.glibc);
    Digest::of(key.as_bytes()).hex()
}

/// Takes the one wheel in `folder` into the store, if it is what was to be built.
async fn keep(session: &Session<'_>, package: &Package, folder: &Path) -> Result<Built> {
    // A link of the build's would lead to any file of this machine.
    let real = |path: &Path, is: fn(&std::fs::FileType) -> bool| {
        fs_err::symlink_metadata(path).is_ok_and(|metadata| is(&metadata.file_type()))
    };
    let mut paths = Vec::new();
    if real(folder, std::fs::FileType::is_dir) {
        for entry in fs_err::read_dir(folder)? {
            paths.push(entry?.path());
        }
    }
    paths.sort();
    paths.retain(|path| {
        path.extension().is_some_and(|e| e == "whl") && real(path, std::fs::FileType::is_file)
    });
    let Some(path) = paths.into_iter().next() else {
        return Err(Error::BuiltWheel {
            package: label(package),
            wheel: "nothing".to_owned(),
            expected: "a wheel".to_owned(),
        });
    };
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let refuse =
        |expected: String| Error::BuiltWheel { package: label(package), wheel: name.clone(), expected };
    let wheel = WheelName::parse(&name).ok_or_else(|| refuse("the name of a wheel".to_owned()))?;
    if wheel.name != normalise_name(&package.name) {
        return Err(refuse("a wheel of it".to_owned()));
    }
    if let Some(version) = &package.version
        && !same_version(version, wheel.version)
    {
        return Err(refuse(format!("version {version} of it")));
    }
    if session.tags.fit(&wheel).is_none() {
        return Err(refuse(format!("for {}", session.tags.description())));
    }
    let store = session.fetcher.store().clone();
    let blob = blocking(move || {
        let mut staged = store.stage()?;
        std::io::copy(&mut fs_err::File::open(&path)?, &mut staged)?;
        Ok(staged.commit()?)
    })
    .await?;
    Ok(Built { sha256: blob.digest, size: blob.size, wheel: name })
}

/// A package for messages.
pub(super) fn label(package: &Package) -> String {
    match &package.version {
        Some(version) => format!("{}=={version}", package.name),
        None => package.name.clone(),
    }
}

/// File names write `+` of local versions as it is or as `_`.
pub(super) fn same_version(one: &str, other: &str) -> bool {
    let parse = |text: &str| text.replace('_', "+").parse::<pep440_rs::Version>();
    match (parse(one), parse(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_versions() {
        assert!(same_version("1.0", "1"));
        assert!(same_version("1.0+a.b", "1.0_a.b"));
        assert!(!same_version("1.0", "1.1"));
    }
}
