//! From what was chosen, artifact by artifact, to the lock files of other tools.

mod conda_lock;
mod explicit;
mod pixi_lock;
mod pylock;

use super::native::scalar;
use super::{NotCarried, WriteError, WriteFormat, Written};
use crate::{
    CondaChannel, Digest, Environment, LockedArtifacts, LockedConda, LockedPypi, LockedSource, Platform,
};

/// What is written, with what belongs to it.
struct Chosen<'l> {
    environment: &'l Environment,
    artifacts: &'l LockedArtifacts,
    /// The platforms it is for.
    platforms: &'l [Platform],
}

/// The files of `artifacts`, which were chosen for `environment`, in a format of locks. They count on `platforms` only;
/// where none is given, on those of their conda packages, and of Python packages wherever their markers hold.
pub fn write_lock(
    environment: &Environment,
    artifacts: &LockedArtifacts,
    platforms: &[Platform],
    format: WriteFormat,
) -> Result<Written, WriteError> {
    if !format.is_lock() {
        return Err(WriteError::NoLockFormat(format));
    }
    let mut rest = Vec::new();
    let own: Vec<Platform> = artifacts.conda.keys().copied().collect();
    let has_conda = artifacts.conda.values().any(|packages| !packages.is_empty());
    let of_conda =
        Chosen { environment, artifacts, platforms: if platforms.is_empty() { &own } else { platforms } };
    if !has_conda && !matches!(format, WriteFormat::Pylock) {
        return Err(WriteError::NoCondaPackages(format));
    }
    let file = match format {
        WriteFormat::Pylock => {
            for (platform, packages) in artifacts.conda.iter().filter(|(_, packages)| !packages.is_empty()) {
                if platforms.is_empty() || platforms.contains(platform) {
                    let what = format!("the conda packages for {platform} ({})", packages.len());
                    let why = "the file names Python packages only".to_owned();
                    rest.push(NotCarried { what, why, counts: true });
                }
            }
            pylock::write(artifacts, platforms, &mut rest)
        }
        WriteFormat::CondaLock => conda_lock::write(&of_conda, &mut rest),
        WriteFormat::PixiLock => pixi_lock::write(&of_conda, &mut rest),
        _ => explicit::write(&of_conda, &mut rest),
    };
    Ok(Written { files: vec![file], not_carried: rest })
}

impl Chosen<'_> {
    fn conda_on(&self, platform: Platform) -> &[LockedConda] {
        self.artifacts.conda.get(&platform).map_or(&[], Vec::as_slice)
    }

    /// The Python packages that count on a platform, each with the one file that would be installed. A format without markers
    /// and without a choice of wheels can name no other.
    fn pypi_on<'s>(&'s self, platform: Platform, rest: &mut Vec<NotCarried>) -> Vec<PypiFile<'s>> {
        let mut files = Vec::new();
        for package in &self.artifacts.pypi {
            if !package.platforms.is_empty() && !package.platforms.contains(&platform) {
                continue;
            }
            let mut lost = |why: &str| {
                let what = format!("the package `{}` of PyPI", package.name);
                let note = NotCarried { what, why: why.to_owned(), counts: true };
                if !rest.contains(&note) {
                    rest.push(note);
                }
            };
            if package.marker.is_some() {
                lost("the format has no markers");
                continue;
            }
            match PypiFile::of(package) {
                Some(file) => files.push(file),
                None => {
                    lost(
                        "the format names one file of a package, and the lock leaves several to choose from",
                    );
                }
            }
        }
        files
    }
}

/// A Python package and where it is.
struct PypiFile<'l> {
    package: &'l LockedPypi,
    url: String,
    sha256: Option<Digest>,
}

impl<'l> PypiFile<'l> {
    fn of(package: &'l LockedPypi) -> Option<Self> {
        let file = match (&package.source, &package.wheels[..], &package.sdist) {
            (Some(LockedSource::Archive { file, subdirectory: None }), ..)
            | (None, [file], _)
            | (None, [], Some(file)) => file,
            (Some(LockedSource::Git { url, commit, subdirectory }), ..) => {
                let folder = subdirectory.as_ref().map(|folder| format!("#subdirectory={folder}"));
                let url = format!("git+{url}@{commit}{}", folder.unwrap_or_default());
                return Some(Self { package, url, sha256: None });
            }
            _ => return None,
        };
        Some(Self { package, url: file.url.as_ref()?.to_string(), sha256: file.sha256 })
    }
}

/// The URL of a channel; a name is completed as conda completes it. `defaults` is several channels: the one that has
/// Python's packages stands for it.
fn channel_url(channel: &CondaChannel) -> String {
    match channel {
        CondaChannel::Url(_) => channel.to_string(),
        CondaChannel::Name(name) if name == "defaults" => "https://repo.anaconda.com/pkgs/main".to_owned(),
        CondaChannel::Name(name) if name.starts_with("pkgs/") => format!("https://repo.anaconda.com/{name}"),
        CondaChannel::Name(name) => format!("{}{name}", crate::conda::default_alias()),
    }
}

/// `key: value` with a value that may hold anything.
fn entry(key: &str, value: &str) -> String {
    format!("{key}: {}", scalar(value))
}
