//! Wheels that nobody has made yet: built once in the sandbox, with the environment's own Python, from an sdist, a
//! repository or a folder, and from then on known by their content.
//!
//! A build may give other bytes each time, so its result is recorded under all that it depends on and that we know:
//! the source's digest or commit, Python's minor version, platform and glibc. Whoever asks for the same gets the same
//! wheel as long as the store has it; a lock pins it in any case.

use std::path::{Path, PathBuf};

use provenv_definition::{Digest, normalise_name};
use serde::{Deserialize, Serialize};

use super::pylock::{Package, Vcs};
use super::request::show;
use super::session::{Session, WORK};
use super::tags::WheelName;
use super::uv::blocking;
use super::{Error, Result, explain};
use crate::{Artifact, PypiPackage, PypiSource};

/// The kind of record that keeps what was built.
const KIND: &str = "built-wheel";

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

    fn identity(&self) -> String {
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
    let (major, minor) = session.python.minor();
    let key =
        format!("{}\n{major}.{minor}\n{}\n{}", origin.identity(), session.platform, session.python.glibc);
    let key = Digest::of(key.as_bytes()).hex();
    let _lease = store.lock_async(KIND, &key).await?;
    let known = store.record::<Built>(KIND, &key)?.filter(|built| store.contains(&built.sha256));
    let built = if let Some(built) = known {
        built
    } else {
        session.fetcher.reporter().note(&format!("building a wheel of {}", package.name));
        let built = build(session, package, origin).await?;
        store.set_record(KIND, &key, &built)?;
        built
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

async fn build(session: &Session<'_>, package: &Package, origin: &Origin) -> Result<Built> {
    let work = session.work()?;
    let mut mounts = Vec::new();
    let (source, subdirectory) = match origin {
        Origin::Archive { artifact, file, subdirectory } => {
            let size = Some(artifact.size).filter(|size| *size > 0);
            let blob = session.fetcher.artifact(&artifact.url, &artifact.sha256, size).await?;
            let guest = format!("/provenv/source/{file}");
            mounts.push(show(&blob, &guest));
            if subdirectory.is_some() {
                (unpack(session, package, &guest, work.path(), &mounts).await?, subdirectory)
            } else {
                (guest, subdirectory)
            }
        }
        Origin::Repository(vcs) => (clone(session, vcs, work.path()).await?, &vcs.subdirectory),
        Origin::Folder { path, subdirectory, .. } => (path.display().to_string(), subdirectory),
    };
    let source = subdirectory.as_ref().map_or(source.clone(), |sub| format!("{source}/{sub}"));
    // Not the cache that other builds share: what a build writes there, they would use.
    let arguments =
        ["--no-cache", "--wheel", "--no-create-gitignore", "--out-dir", &format!("{WORK}/out"), &source]
            .map(str::to_owned);
    if let Err(failure) = session.uv(&["build"], &arguments, work.path(), &mounts).await? {
        return Err(explain::build_failure(&label(package), &failure.stderr));
    }
    keep(session, package, &work.path().join("out")).await
}

/// Takes the one wheel in `folder` into the store, if it is what was to be built.
async fn keep(session: &Session<'_>, package: &Package, folder: &Path) -> Result<Built> {
    let mut files = fs_err::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    files.sort_by_key(fs_err::DirEntry::file_name);
    let path =
        files.into_iter().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "whl"));
    let Some(path) = path else {
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
    let secrets = session.request.secrets();
    let leaks = path.clone();
    if blocking(move || holds_secret(&leaks, &secrets)).await? {
        return Err(Error::SecretInWheel { package: label(package) });
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

/// Whether a member of the wheel holds one of the values. A build sees the credentials of the indexes its own
/// requirements come from, and what it keeps of them would end in an image.
fn holds_secret(wheel: &Path, secrets: &[String]) -> Result<bool> {
    if secrets.is_empty() {
        return Ok(false);
    }
    let bad = |source| Error::BadWheel { path: wheel.to_owned(), source };
    let mut archive = zip::ZipArchive::new(fs_err::File::open(wheel)?).map_err(bad)?;
    for n in 0..archive.len() {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut archive.by_index(n).map_err(bad)?, &mut bytes)?;
        if secrets.iter().any(|secret| memchr::memmem::find(&bytes, secret.as_bytes()).is_some()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Unpacks an archive in the sandbox; the one folder in it, as a path there.
async fn unpack(
    session: &Session<'_>,
    package: &Package,
    archive: &str,
    work: &Path,
    mounts: &[crate::tool::ToolMount],
) -> Result<String> {
    let script = "import shutil, sys; shutil.unpack_archive(sys.argv[1], 'unpacked')";
    let command = [&session.python.executable, "-c", script, archive].map(str::to_owned);
    if let Err(failure) = session.run(&command, work, mounts).await? {
        return Err(explain::build_failure(&label(package), &failure.stderr));
    }
    let mut names = fs_err::read_dir(work.join("unpacked"))?.collect::<Result<Vec<_>, _>>()?;
    names.sort_by_key(fs_err::DirEntry::file_name);
    Ok(match &names[..] {
        [only] => format!("{WORK}/unpacked/{}", only.file_name().to_string_lossy()),
        _ => format!("{WORK}/unpacked"),
    })
}

/// A repository with all its history, which some builds take their version from, and its submodules; as a path in
/// the sandbox.
async fn clone(session: &Session<'_>, vcs: &Vcs, work: &Path) -> Result<String> {
    let script = "set -eu; git clone --quiet --no-checkout \"$1\" source; cd source; \
                  git checkout --quiet --detach \"$2\" 2>/dev/null || \
                  { git fetch --quiet origin \"$2\"; git checkout --quiet --detach \"$2\"; }; \
                  git submodule --quiet update --init --recursive";
    let command = ["/bin/sh", "-c", script, "sh", &vcs.url, &vcs.commit_id].map(str::to_owned);
    match session.run(&command, work, &[]).await? {
        Ok(_) => Ok(format!("{WORK}/source")),
        Err(failure) => Err(Error::Git { explanation: failure.stderr.trim_end().to_owned() }),
    }
}

fn label(package: &Package) -> String {
    match &package.version {
        Some(version) => format!("{}=={version}", package.name),
        None => package.name.clone(),
    }
}

/// File names write `+` of local versions as it is or as `_`.
fn same_version(one: &str, other: &str) -> bool {
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
