//! The lock and the receipt.

use std::collections::BTreeMap;

use provenv_definition::{Digest, Platform, SafeUrl, Suite, VirtualPackage};
use serde::{Deserialize, Serialize};

/// Every artifact that was chosen for a definition, per platform.
///
/// A lock holds no time, no host name beyond the artifacts' URLs, and no secret: the same definition and
/// the same indexes give the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Version of this format; old ones are read for ever.
    pub format: u32,
    /// The definition this answers.
    pub definition: Digest,
    /// What was chosen, per platform.
    pub platforms: BTreeMap<Platform, PlatformLock>,
}

impl Lock {
    /// The newest format. A lock is written in the oldest that can say it, so that its digest stays what it was.
    pub const FORMAT: u32 = 3;

    /// What was chosen for `definition`.
    pub fn new(definition: Digest, platforms: BTreeMap<Platform, PlatformLock>) -> Self {
        let format = |lock: &PlatformLock| match lock.base {
            BaseLock::Debian { .. } => 1,
            BaseLock::Image(_) => 2,
            BaseLock::Dockerfile(_) => 3,
        };
        Self { format: platforms.values().map(format).max().unwrap_or(1), definition, platforms }
    }

    /// The bytes that are hashed and kept: JSON, two-space indented, keys in the order of the structs, a final
    /// newline.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a lock is plain data");
        bytes.push(b'\n');
        bytes
    }

    /// Reads what [`Lock::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes)
    }

    /// sha256 of [`Lock::to_bytes`].
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// Whether `other` holds the same packages, byte by byte. From where, and what an index tells of them besides, does not
    /// count: channels mend what their indexes say of an archive that stays what it is.
    pub fn holds_the_same(&self, other: &Self) -> bool {
        let placeless = |lock: &Self| {
            let mut lock = lock.clone();
            for artifact in lock.platforms.values_mut().flat_map(PlatformLock::artifacts) {
                artifact.url = SafeUrl::new(url::Url::parse("file:///").expect("a URL"));
                artifact.size = 0;
            }
            for platform in lock.platforms.values_mut() {
                match &mut platform.base {
                    BaseLock::Debian { .. } => {}
                    BaseLock::Image(image) => (image.reference, image.index) = (String::new(), None),
                    // What it was made of does not count where it is the same.
                    BaseLock::Dockerfile(made) => (made.from, made.context) = (Vec::new(), None),
                }
            }
            for package in lock.platforms.values_mut().flat_map(|platform| &mut platform.conda) {
                (package.md5, package.depends, package.constrains) = (None, Vec::new(), Vec::new());
            }
            lock
        };
        placeless(self) == placeless(other)
    }
}

/// What was chosen for one platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformLock {
    /// What the image stands on.
    pub base: BaseLock,
    /// Debian packages, sorted by name: those of the base included, where it is made of such.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub debian: Vec<DebPackage>,
    /// The Python inside the image, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python: Option<PythonLock>,
    /// Conda packages, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conda: Vec<CondaPackage>,
    /// Python packages, sorted by normalised name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pypi: Vec<PypiPackage>,
    /// What becomes of the scripts that conda packages want to be run when they are installed. Without it, an image of
    /// packages that have some is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_link: Option<PostLink>,
}

/// What becomes of the scripts that conda packages want to be run when they are installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PostLink {
    /// They are not run.
    Skip,
    /// They were run once, in the sandbox.
    Run {
        /// What they left: the last layer of the image, kept by content; `None` where they left nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        layer: Option<PinnedLayer>,
    },
}

/// A layer that was made by running foreign code, and is pinned by its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedLayer {
    /// Digest of the gzip-compressed tar.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Digest of the tar.
    pub diff_id: Digest,
    /// The tar's size in bytes.
    pub tar_size: u64,
}

impl PlatformLock {
    /// Whether it holds a package of that name, of whichever ecosystem.
    pub fn holds(&self, name: &str) -> bool {
        self.debian.iter().any(|package| package.name == name)
            || self.conda.iter().any(|package| package.name == name)
            || self.pypi.iter().any(|package| package.name == name)
    }

    /// How many packages it holds.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.debian.len() + self.conda.len() + self.pypi.len()
    }

    fn artifacts(&mut self) -> impl Iterator<Item = &mut Artifact> {
        let debian = self.debian.iter_mut().map(|package| &mut package.artifact);
        let pypi = self.pypi.iter_mut().filter_map(|package| match &mut package.source {
            PypiSource::Wheel(artifact) => Some(artifact),
            PypiSource::Built { sdist, .. } => sdist.as_mut(),
        });
        let conda = self.conda.iter_mut().map(|package| &mut package.artifact);
        debian.chain(conda).chain(pypi)
    }
}

/// What the image stands on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BaseLock {
    /// Nothing but [`PlatformLock::debian`].
    Debian {
        /// The suite they come from.
        suite: Suite,
    },
    /// An image of a registry; [`PlatformLock::debian`] is what is added to it.
    Image(ImageLock),
    /// What a Dockerfile made; [`PlatformLock::debian`] is what is added to it.
    Dockerfile(DockerfileLock),
}

impl BaseLock {
    /// The image of a registry, if it is one.
    pub fn image(&self) -> Option<&ImageLock> {
        match self {
            Self::Image(image) => Some(image),
            Self::Debian { .. } | Self::Dockerfile(_) => None,
        }
    }

    /// What a Dockerfile made, if it is that.
    pub fn dockerfile(&self) -> Option<&DockerfileLock> {
        match self {
            Self::Dockerfile(made) => Some(made),
            Self::Debian { .. } | Self::Image(_) => None,
        }
    }

    /// The manifest of the image that it is, wherever that comes from; `None` where it is made of Debian packages.
    pub fn manifest(&self) -> Option<&Digest> {
        match self {
            Self::Debian { .. } => None,
            Self::Image(image) => Some(&image.manifest),
            Self::Dockerfile(made) => Some(&made.manifest),
        }
    }
}

/// What a Dockerfile made when it was run, for one platform. It is run once: the result is pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DockerfileLock {
    /// The manifest of the image that it made, in normal form, which names all the rest.
    pub manifest: Digest,
    /// Bytes of the manifest.
    pub size: u64,
    /// The images of registries that its stages begin from and copy from, in the order in which it names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<ImageLock>,
    /// Its build context, where that is neither a folder nor nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextLock>,
}

/// A build context from elsewhere. Where it is says the definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ContextLock {
    /// A git repository.
    Git {
        /// The commit, 40 hexadecimal digits, or 64.
        commit: String,
    },
    /// An archive.
    Archive {
        /// Digest of its bytes.
        sha256: Digest,
        /// How many they are.
        size: u64,
    },
}

/// An image of a registry, for one platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageLock {
    /// What was asked for, with its registry and tag or digest: `docker.io/library/python:3.12-slim`.
    pub reference: String,
    /// What the reference named when it was asked, if that is for several platforms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Digest>,
    /// The image's manifest, which names all the rest.
    pub manifest: Digest,
    /// Bytes of the manifest.
    pub size: u64,
}

impl ImageLock {
    /// The repository and what comes behind it: the tag, or nothing where the reference is one by digest.
    pub fn name_and_tag(&self) -> (&str, &str) {
        let name = self.reference.split('@').next().unwrap_or_default();
        match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (name, ""),
        }
    }

    /// The reference that names this and nothing else for ever: with the index where there is one, for all its platforms.
    pub fn pinned(&self) -> String {
        let name = self.reference.split('@').next().unwrap_or_default();
        format!("{name}@{}", self.index.unwrap_or(self.manifest))
    }
}

/// Bytes that can be had and checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// Where they were found.
    pub url: SafeUrl,
    /// How many; 0 where the index does not say (some PyPI indexes).
    pub size: u64,
    /// Their digest, always checked.
    pub sha256: Digest,
}

/// One `.deb`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DebPackage {
    /// Debian's name.
    pub name: String,
    /// Debian's version, epoch and revision included.
    pub version: String,
    /// `amd64`, `arm64` or `all`.
    pub architecture: String,
    /// The file.
    pub artifact: Artifact,
}

/// One conda package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CondaPackage {
    /// Conda's name of it.
    pub name: String,
    /// E.g. `1.26.4`.
    pub version: String,
    /// The build string, e.g. `py311h24aa872_0`.
    pub build: String,
    /// The build number.
    pub build_number: u64,
    /// `noarch`, or that of the platform, such as `linux-64`.
    pub subdir: String,
    /// The archive: `.conda` or `.tar.bz2`. Its URL ends with subdir and file name, and begins with the channel.
    pub artifact: Artifact,
    /// What older tools check the archive by, 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
    /// What it needs, as conda writes it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends: Vec<String>,
    /// What it bounds, as conda writes it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constrains: Vec<String>,
    /// Named by the definition itself, not brought along by another package.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub requested: bool,
}

/// The interpreter that packages are installed for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PythonLock {
    /// E.g. `3.11.2`.
    pub version: String,
    /// Path inside the image: `/usr/bin/python3.11` of the base, `/usr/local/bin/python3.12` of one from a registry, or
    /// `/opt/provenv/bin/python3.11` where it is conda's.
    pub executable: String,
    /// glibc of the base, e.g. `2.36`: decides which manylinux wheels fit.
    pub glibc: String,
    /// It is used as it is, without a virtual environment over it: the definition is user-managed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub as_is: bool,
}

impl PythonLock {
    /// Whether a virtual environment is laid over it, which is where packages go.
    pub fn has_virtualenv(&self) -> bool {
        !self.as_is && !self.is_condas()
    }

    /// Whether conda brings it, in the prefix, and not the base.
    pub fn is_condas(&self) -> bool {
        self.executable.starts_with("/opt/provenv/")
    }

    /// Major and minor, e.g. `(3, 11)`.
    pub fn minor(&self) -> (u32, u32) {
        let mut parts = self.version.split('.').map_while(|part| part.parse().ok());
        (parts.next().unwrap_or(3), parts.next().unwrap_or(0))
    }
}

/// One Python package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PypiPackage {
    /// Normalised name (PEP 503).
    pub name: String,
    /// PEP 440 version.
    pub version: String,
    /// The wheel that is installed: its file name carries name, version and tags.
    pub wheel: String,
    /// Where its bytes come from.
    pub source: PypiSource,
    /// Named by the definition itself, not brought along by another package.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub requested: bool,
}

impl PypiPackage {
    /// The digest of the wheel that is installed.
    pub fn digest(&self) -> &Digest {
        match &self.source {
            PypiSource::Wheel(artifact) => &artifact.sha256,
            PypiSource::Built { sha256, .. } => sha256,
        }
    }

    /// The size of that wheel in bytes, 0 where the index does not say.
    pub fn size(&self) -> u64 {
        match &self.source {
            PypiSource::Wheel(artifact) => artifact.size,
            PypiSource::Built { size, .. } => *size,
        }
    }
}

/// Where the bytes of a wheel come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PypiSource {
    /// A wheel in an index, at a URL or in a folder.
    Wheel(Artifact),
    /// A wheel that was built once, in the sandbox, from an sdist or a repository, and is kept by content.
    Built {
        /// The wheel's own digest: what is installed.
        sha256: Digest,
        /// Its size in bytes.
        size: u64,
        /// The sdist it was built from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sdist: Option<Artifact>,
        /// The repository it was built from: `git+https://…@<commit>`, credentials taken off, with
        /// `#revision=…&subdirectory=…` where the definition gives them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        repository: Option<String>,
    },
}

/// The record that a definition was resolved to a lock: when, from which indexes, by what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Version of this format.
    pub format: u32,
    /// What was asked for.
    pub definition: Digest,
    /// What was chosen.
    pub lock: Digest,
    /// When.
    pub resolved_at: jiff::Timestamp,
    /// The indexes as they were then.
    pub indexes: Vec<IndexState>,
    /// Who chose.
    pub tools: Vec<ToolVersion>,
    /// The receipt this one was upgraded from, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// Whether the lock came as a file: it was resolved elsewhere, which indexes said what is not known here, and
    /// [`Receipt::resolved_at`] is when it was taken over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub from_file: bool,
    /// Only what indexes had at that time was chosen from, where somebody wanted it so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<jiff::Timestamp>,
    /// What the target was said to have beside what the definition declares.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub virtual_packages: Vec<VirtualPackage>,
}

/// One index as it was when it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexState {
    /// Which.
    pub url: SafeUrl,
    /// sha256 of what it said, where it is one document (Debian's `InRelease`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// The date it gives itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
}

/// A tool and its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolVersion {
    /// E.g. `uv`.
    pub name: String,
    /// E.g. `0.9.18`.
    pub version: String,
}
