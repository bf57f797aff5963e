//! The model: an environment and the definition it stands for.

use std::fmt;
use std::str::FromStr;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::secrets::shown;
use crate::{Digest, Platform, SafeUrl, VirtualPackage};

/// A named thing in a workspace: what people call it, what they say of it, and its definition.
///
/// Only [`Environment::definition`] counts for the definition digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Its name; `None` where the file gives none.
    pub name: Option<String>,
    /// The version the user asked for; `None` means the next number.
    pub version: Option<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Free key and value pairs, in the user's order.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub tags: IndexMap<String, String>,
    /// Set when a command runs; not part of the image, as in Azure ML.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub environment_variables: IndexMap<String, String>,
    /// Where a server inside the image answers, for scoring services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inference_config: Option<InferenceConfig>,
    /// The Python that runs scripts where the image brings its own (Azure ML's `interpreterPath`); used when a command is
    /// started, so no part of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interpreter_path: Option<String>,
    /// What the image holds.
    pub definition: Definition,
}

/// All that decides what is in the image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// What the image stands on.
    pub base: Base,
    /// Debian packages on top of the base, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub system_packages: Vec<SystemPackage>,
    /// The Python asked for; `None` leaves it to the base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python: Option<PythonRequest>,
    /// What conda would be given.
    #[serde(default, skip_serializing_if = "CondaRequirements::is_empty")]
    pub conda: CondaRequirements,
    /// What pip would be given.
    #[serde(default)]
    pub pip: PipRequirements,
    /// Packages of Spark.
    #[serde(default, skip_serializing_if = "SparkPackages::is_empty")]
    pub spark: SparkPackages,
    /// Packages of R.
    #[serde(default, skip_serializing_if = "RPackages::is_empty")]
    pub r: RPackages,
    /// The base already has what is needed: nothing of `conda`, `python` and `pip` is installed, though it may be kept for
    /// the record.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub user_managed: bool,
    /// What it is built for; empty means the default platform, `linux/amd64`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
}

impl Definition {
    /// Why this version cannot lock it, with what to do instead; `None` where it can.
    pub fn unlockable(&self) -> Option<(String, &'static str)> {
        crate::check::unlockable(self)
    }
}

/// What an image stands on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Base {
    /// A minimal system from packages of a Debian suite; `None` takes the suite that has the Python
    /// asked for, or the default suite.
    Debian {
        /// The suite's code name.
        suite: Option<Suite>,
    },
    /// An image in a registry, e.g. `python:3.12-slim`.
    Image {
        /// The reference as the user wrote it.
        reference: String,
    },
    /// What a Dockerfile makes that copies nothing from a build context.
    Dockerfile {
        /// Its text, line breaks as `\n`.
        text: String,
    },
    /// What a Dockerfile makes of a build context.
    Context(BuildContext),
}

/// Files that a Dockerfile copies from, and the Dockerfile among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildContext {
    /// Where the files are.
    pub location: ContextLocation,
    /// The Dockerfile's path in the context, with `/`.
    pub dockerfile: String,
}

/// Where the files of a build context are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContextLocation {
    /// A folder of this machine.
    Folder {
        /// Its absolute `file:` URL; does not count.
        path: SafeUrl,
        /// Digest of what is in it, but for what `.dockerignore` leaves out: all that counts.
        content: Digest,
    },
    /// A git repository or an archive: `https://host/team/repository.git#branch:folder`, `https://host/context.tar.gz`.
    Url(SafeUrl),
}

impl Default for Base {
    fn default() -> Self {
        Self::Debian { suite: None }
    }
}

/// A Debian release by its code name. Which of them can be had is the archive's to say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Suite(pub String);

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A Debian package asked for: `name` or `name=version`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SystemPackage {
    /// Debian's name of the package.
    pub name: String,
    /// The exact version, if asked for.
    pub version: Option<String>,
}

impl fmt::Display for SystemPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.version {
            Some(version) => write!(f, "={version}"),
            None => Ok(()),
        }
    }
}

impl From<SystemPackage> for String {
    fn from(package: SystemPackage) -> Self {
        package.to_string()
    }
}

impl TryFrom<String> for SystemPackage {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for SystemPackage {
    type Err = String;

    /// Debian Policy 5.6.1 says what a name may hold.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, version) = match text.split_once('=') {
            Some((name, version)) => (name.trim(), Some(version.trim())),
            None => (text.trim(), None),
        };
        let valid = name.len() >= 2
            && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c));
        if !valid {
            return Err(format!("`{}` is not the name of a Debian package", shown(name)));
        }
        match version {
            Some("") => Err(format!("`{}` has no version after `=`", shown(text))),
            version => Ok(Self { name: name.to_owned(), version: version.map(str::to_owned) }),
        }
    }
}

/// A Python asked for: `3.11`, or `3.11.2` for an exact one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PythonRequest {
    /// Always 3 today.
    pub major: u32,
    /// E.g. 11.
    pub minor: u32,
    /// E.g. 2, when the user insists.
    pub patch: Option<u32>,
}

impl fmt::Display for PythonRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        match self.patch {
            Some(patch) => write!(f, ".{patch}"),
            None => Ok(()),
        }
    }
}

impl From<PythonRequest> for String {
    fn from(python: PythonRequest) -> Self {
        python.to_string()
    }
}

impl TryFrom<String> for PythonRequest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for PythonRequest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || format!("`{}` is not a Python version such as 3.11 or 3.11.2", shown(text));
        let numbers: Vec<u32> =
            text.trim().split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| error())?;
        match numbers[..] {
            [major, minor] => Ok(Self { major, minor, patch: None }),
            [major, minor, patch] => Ok(Self { major, minor, patch: Some(patch) }),
            _ => Err(error()),
        }
    }
}

/// What a `requirements.txt` says, its options apart from its packages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PipRequirements {
    /// Packages asked for, in the user's order (which does not count).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<PipRequirement>,
    /// Bounds on packages that may come along.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<PipRequirement>,
    /// Replaces the default index (`--index-url`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_url: Option<SafeUrl>,
    /// Asked besides (`--extra-index-url`); order counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_index_urls: Vec<SafeUrl>,
    /// Pages or `file:` folders of archives (`--find-links`); order counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub find_links: Vec<SafeUrl>,
    /// Ask no index at all (`--no-index`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_index: bool,
    /// Take pre-releases (`--pre`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pre: bool,
    /// Every package, dependencies too, must be listed, pinned and hashed (`--require-hashes`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub require_hashes: bool,
    /// Packages never taken as wheels (`--no-binary`), `:all:` for all; sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub no_binary: Vec<String>,
    /// Packages only taken as wheels (`--only-binary`), `:all:` for all; sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only_binary: Vec<String>,
}

impl PipRequirements {
    /// Whether nothing at all is asked of pip.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One requirement line: PEP 508 text in normal form, with what pip adds to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipRequirement {
    /// PEP 508 in normal form: `scikit-learn>=1.4 ; python_version < '3.13'`, or `name @ url`, or a bare
    /// `git+https://…` or `file:///…` URL where the name is not known. Never holds credentials.
    pub requirement: String,
    /// `--hash` values; order does not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hashes: Vec<Digest>,
    /// Installed in place (`-e`): reproducible only as a snapshot of its source.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub editable: bool,
}

/// What a conda `environment.yml` says, its `pip:` section apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CondaRequirements {
    /// Where packages are looked for, first to last: only there. Order counts. `nodefaults` is left out, because no channel
    /// is ever added to these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<CondaChannel>,
    /// Packages asked for, in the user's order (which does not count).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<CondaRequirement>,
    /// What the target has beside what its base says, sorted, each name once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub virtual_packages: Vec<VirtualPackage>,
}

impl CondaRequirements {
    /// Whether nothing at all is asked of conda.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether any package is asked for on `platform`.
    pub fn has_packages_for(&self, platform: Platform) -> bool {
        self.packages.iter().any(|package| package.is_for(platform))
    }
}

impl CondaRequirement {
    /// Whether it is asked for on `platform`.
    pub fn is_for(&self, platform: Platform) -> bool {
        self.platforms.is_empty() || self.platforms.contains(&platform)
    }
}

/// A conda package asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CondaRequirement {
    /// The spec in normal form; see [`CondaSpec`](crate::CondaSpec).
    pub spec: String,
    /// The platforms it counts on; empty means all (`sel(linux64): …`, `# [aarch64]`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
}

/// A channel by its name, such as `conda-forge` or `conda-forge/label/dev`, or by its URL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CondaChannel {
    /// Its URL, or the `file:` URL of a folder, without a slash at its end.
    Url(SafeUrl),
    /// Its name, which the channel alias completes.
    Name(String),
}

impl fmt::Display for CondaChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Url(url) => f.write_str(url.to_string().trim_end_matches('/')),
        }
    }
}

/// What Spark is given by Maven coordinates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SparkPackages {
    /// Maven repositories; order counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<SafeUrl>,
    /// Packages; order does not count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<MavenPackage>,
    /// Fetched when Spark starts, and not put into the image (`precache_packages: false`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_precache: bool,
}

impl SparkPackages {
    /// Whether nothing at all is asked of Spark.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Maven coordinates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MavenPackage {
    /// E.g. `com.microsoft.azure`.
    pub group: String,
    /// E.g. `synapseml_2.12`.
    pub artifact: String,
    /// E.g. `0.9.5`.
    pub version: String,
}

impl fmt::Display for MavenPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.group, self.artifact, self.version)
    }
}

/// What R is given, as Azure ML's `r` section says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RPackages {
    /// The version of R.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The base already has R and its packages.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub user_managed: bool,
    /// Where `Rscript` is in the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rscript_path: Option<String>,
    /// The day of the snapshot that packages are taken from, `YYYY-MM-DD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_date: Option<String>,
    /// Packages of CRAN; order does not count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cran: Vec<CranPackage>,
    /// Repositories of GitHub, `owner/name@ref`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub github: Vec<String>,
    /// URLs of archives.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<SafeUrl>,
    /// Packages of Bioconductor.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bioconductor: Vec<String>,
}

impl RPackages {
    /// Whether nothing at all is asked of R.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A package of CRAN.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CranPackage {
    /// Its name.
    pub name: String,
    /// Its exact version, if asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The repository it is taken from, if not CRAN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<SafeUrl>,
}

/// Where a server inside the image answers; no part of the definition digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InferenceConfig {
    /// Is it alive.
    pub liveness_route: Route,
    /// May it be asked.
    pub readiness_route: Route,
    /// Where to ask.
    pub scoring_route: Route,
}

/// A port and a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// TCP port inside the container.
    pub port: u16,
    /// Path on it, beginning with `/`.
    pub path: String,
}
