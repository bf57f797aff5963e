//! What a lock file chose, artifact by artifact, whatever tool wrote it: neutral data that a later step turns into a
//! lock without solving again. Every URL is absolute; nothing here has been fetched or checked.

use std::collections::BTreeMap;

use crate::{Digest, Marker, Platform, SafeUrl};

/// The artifacts of a lock file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockedArtifacts {
    /// Conda packages by platform, packages without architecture under each; a platform without packages is one that
    /// was locked and has none.
    pub conda: BTreeMap<Platform, Vec<LockedConda>>,
    /// Python packages.
    pub pypi: Vec<LockedPypi>,
    /// The bounds on Python that the lock was made under, e.g. `>=3.9`.
    pub requires_python: Option<String>,
}

/// One conda package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedConda {
    /// Its name.
    pub name: String,
    /// E.g. `1.26.4`.
    pub version: String,
    /// The build string, e.g. `py311h24aa872_0`; empty where the lock does not say it.
    pub build: String,
    /// Where its archive is.
    pub url: SafeUrl,
    /// Of the archive, in bytes.
    pub size: Option<u64>,
    /// Of the archive.
    pub sha256: Option<Digest>,
    /// Of the archive, as 32 hexadecimal digits: all that older locks have.
    pub md5: Option<String>,
    /// What it needs, as conda writes it; `None` where the lock does not say it.
    pub depends: Option<Vec<String>>,
    /// What it bounds, as conda writes it.
    pub constrains: Vec<String>,
}

/// One Python package. It has files, or it has a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockedPypi {
    /// Its name, normalised.
    pub name: String,
    /// Its version; `None` where only building it tells.
    pub version: Option<String>,
    /// Where it counts at all.
    pub marker: Option<Marker>,
    /// The platforms it is for; empty means all.
    pub platforms: Vec<Platform>,
    /// The bounds on Python that it says itself, e.g. `>=3.9`.
    pub requires_python: Option<String>,
    /// Wheels to choose from.
    pub wheels: Vec<LockedFile>,
    /// The source distribution.
    pub sdist: Option<LockedFile>,
    /// Where it is, if it comes from no index.
    pub source: Option<LockedSource>,
    /// The index it was found in, if it is not PyPI.
    pub index: Option<SafeUrl>,
}

/// A file of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedFile {
    /// Its name, e.g. `numpy-1.26.4-cp311-cp311-manylinux_2_17_x86_64.whl`.
    pub name: String,
    /// Where it is; `None` where the lock leaves it to the index.
    pub url: Option<SafeUrl>,
    /// In bytes.
    pub size: Option<u64>,
    /// Its hash; `None` where the lock has none, or none that can be checked.
    pub sha256: Option<Digest>,
}

/// Where a Python package is that comes from no index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockedSource {
    /// A git repository at a commit.
    Git {
        /// The repository, without `git+`.
        url: SafeUrl,
        /// All 40 (or 64) digits of it.
        commit: String,
        /// The project's folder in it.
        subdirectory: Option<String>,
    },
    /// A wheel or an archive of sources.
    Archive {
        /// The file.
        file: LockedFile,
        /// The project's folder in it.
        subdirectory: Option<String>,
    },
    /// A folder of this machine.
    Folder {
        /// Its absolute `file:` URL.
        url: SafeUrl,
        /// Installed in place.
        editable: bool,
        /// The project's folder in it.
        subdirectory: Option<String>,
    },
}
