//! Debian: a base made of packages, and what a definition asks for besides.
//!
//! An [`Archive`] is a mirror of Debian, found in the machine's apt configuration or given. Its statement on a suite
//! (`InRelease`) is checked against the archive's keys, the list of packages against that statement, and each package
//! against the list. The lists are kept in a form that is quick to ask, so a second resolution costs the question
//! whether the statements have changed and some milliseconds.
//!
//! # The base
//!
//! [`BASE`] is what a training script takes for granted, with Python, its whole standard library, and all that these
//! depend on: 64 packages of bookworm, 27 MB to fetch. Dependencies are taken as they are written; none is
//! left out or replaced. In particular:
//! - `dpkg` and `debconf` come along because `dash`, `python3-minimal`, `tzdata` and `ca-certificates` name them: 1.6 MB
//!   to fetch. `debconf` needs Perl and cannot run without it, which no one will notice as no maintainer script runs.
//! - `ca-certificates` brings `openssl` (1.4 MB) and no Perl.
//! - Packages marked `Essential` are not taken for being so: `perl-base`, `login`, `util-linux` and their like are there for
//!   the scripts of other packages. Who wants them names them.
//! - `Recommends` are not taken, as with apt's `--no-install-recommends`.
//! - `libstdc++6` is in the base, as every manylinux wheel may expect it (PEP 599).
//! - Before Python 3.10, `python3-distutils` is: uv and pip ask it for the paths of an installation.

mod apt;
mod config;
mod decompress;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod index;
mod on_base;
mod openpgp;
mod package;
mod python;
mod relation;
mod release;
mod signed;
mod solve;
mod suite;
mod universe;

use std::rc::Rc;

use provenv_definition::{Base, Definition, Platform, SafeUrl, Suite, SystemPackage};
use provenv_fetch::{Fetcher, Phase};

pub use self::config::DebianConfig;
use self::config::Mirrors;
pub use self::error::{Error, Result};
pub use self::on_base::{Additions, Installed};
pub use self::openpgp::SignatureError;
use self::package::Package;
pub use self::python::{DEFAULT_SUITE, locked_glibc};
use self::relation::Relation;
pub use self::release::ReleaseError;
use self::solve::solve;
use self::suite::{Extent, OpenSuite, Opener, under};
use self::universe::Universe;
use crate::{Artifact, DebPackage, IndexState, PythonLock};

/// What every base holds, with all that it depends on.
pub const BASE: [&str; 18] = [
    "base-files",
    "base-passwd",
    "bash",
    "ca-certificates",
    "coreutils",
    "dash",
    "findutils",
    "grep",
    "gzip",
    "hostname",
    "libc-bin",
    "libstdc++6",
    "media-types",
    "ncurses-base",
    "netbase",
    "sed",
    "tar",
    "tzdata",
];

/// A Debian archive.
#[derive(Clone)]
pub struct Archive {
    fetcher: Fetcher,
    config: DebianConfig,
}

/// What was chosen for a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebianResolution {
    /// The suite, by its code name.
    pub suite: Suite,
    /// The base, Python and what was asked for, with all that they need, sorted by name.
    pub packages: Vec<DebPackage>,
    /// The version of its C library, e.g. `2.36`.
    pub glibc: String,
    /// The interpreter, if any.
    pub python: Option<PythonLock>,
    /// What the archive said of the suite, its updates and its security updates.
    pub indexes: Vec<IndexState>,
}

impl Archive {
    /// The archive that `config` says. Nothing is read yet.
    pub fn new(fetcher: Fetcher, config: DebianConfig) -> Self {
        Self { fetcher, config }
    }

    /// Chooses the Debian packages of `definition`: the base, Python, `system_packages` and all that they need.
    pub async fn resolve(&self, definition: &Definition, platform: Platform) -> Result<DebianResolution> {
        let suite = match &definition.base {
            Base::Debian { suite } => suite.as_ref(),
            Base::Image { reference } => return Err(Error::ForeignBase(reference.clone())),
            Base::Dockerfile { .. } | Base::Context(_) => {
                return Err(Error::ForeignBase("a Dockerfile".to_owned()));
            }
        };
        let item = "Debian packages";
        self.fetcher.reporter().begin(Phase::Resolving, item);
        let resolution = async {
            let as_is = definition.user_managed;
            // Conda brings its own where it brings anything, and a user-managed base has the one that its user put there: of
            // those, no suite need have the Python that is asked for.
            let python = !as_is && !definition.conda.has_packages_for(platform);
            let wanted = definition.python.as_ref().filter(|_| python);
            let open = self.select(suite, wanted, platform).await?;
            let requested = definition.system_packages.clone();
            let mut resolution = blocking(move || choose(&open, &requested, python, platform)).await?;
            resolution.python.iter_mut().for_each(|python| python.as_is = as_is);
            Ok(resolution)
        };
        let resolution = resolution.await;
        self.fetcher.reporter().end(Phase::Resolving, item);
        resolution
    }

    /// What must be added to `installed`, packages of `suite`, to have `names` too, sorted by name. What is installed
    /// stays in its version.
    pub async fn closure(
        &self,
        suite: &Suite,
        platform: Platform,
        installed: &[DebPackage],
        names: &[String],
    ) -> Result<Vec<DebPackage>> {
        let open = self.opener()?.open(&suite.0, platform, Extent::Full).await?;
        let (installed, names) = (installed.to_vec(), names.to_vec());
        blocking(move || add(&open, &installed, &names, platform)).await
    }

    fn opener(&self) -> Result<Opener<'_>> {
        Ok(Opener { fetcher: &self.fetcher, config: &self.config, mirrors: Mirrors::find(&self.config)? })
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn choose(
    open: &OpenSuite,
    requested: &[SystemPackage],
    with_python: bool,
    platform: Platform,
) -> Result<DebianResolution> {
    let universe = Universe::new(&open.indexes, platform.architecture());
    let mut wanted = Vec::new();
    for package in requested {
        wanted.push(request(&universe, open, &package.name, package.version.as_deref())?);
    }
    for name in BASE.iter().copied().chain(with_python.then_some("python3")) {
        wanted.push(request(&universe, open, name, None)?);
    }
    let python = universe.named("python3").map_err(|error| Error::from_universe(error, &open.codename))?;
    if with_python && python.first().is_some_and(|python| needs_distutils(python)) {
        wanted.push(request(&universe, open, "python3-distutils", None)?);
    }
    let packages = solve(&universe, Vec::new(), wanted)
        .map_err(|error| Error::from_unsolvable(error, &open.codename))?;
    Ok(DebianResolution {
        suite: Suite(open.codename.clone()),
        python: python::lock(&packages),
        glibc: python::glibc(&packages).unwrap_or_default(),
        packages: locked(&packages, open),
        indexes: open.states.clone(),
    })
}

fn add(
    open: &OpenSuite,
    installed: &[DebPackage],
    names: &[String],
    platform: Platform,
) -> Result<Vec<DebPackage>> {
    let universe = Universe::new(&open.indexes, platform.architecture());
    let mut there = Vec::new();
    for package in installed {
        there.push(as_installed(&universe, open, package)?);
    }
    let mut wanted = Vec::new();
    for name in names {
        wanted.push(request(&universe, open, name, None)?);
    }
    let added =
        solve(&universe, there, wanted).map_err(|error| Error::from_unsolvable(error, &open.codename))?;
    Ok(locked(&added, open))
}

fn needs_distutils(python3: &Package) -> bool {
    let minor = python::minor(python3);
    let minor = minor.as_deref().and_then(|version| version.strip_prefix("3.")?.parse::<u32>().ok());
    minor.is_some_and(|minor| minor < 10)
}

/// The relation that a name in a definition stands for, or why it stands for none.
fn request(universe: &Universe<'_>, open: &OpenSuite, name: &str, version: Option<&str>) -> Result<Relation> {
    let suite = &open.codename;
    let failed = |error| Error::from_universe(error, suite);
    let versions = universe.named(name).map_err(failed)?;
    if versions.is_empty() {
        let providers = universe.providing(name).map_err(failed)?;
        return match &providers[..] {
            [] => Err(Error::NoPackage {
                name: name.to_owned(),
                suite: suite.clone(),
                nearest: provenv_definition::nearest(name, universe.names()).map(str::to_owned),
            }),
            [only] if version.is_none() => Ok(Relation::to(&only.name)),
            several => Err(Error::Virtual {
                name: name.to_owned(),
                suite: suite.clone(),
                providers: several.iter().map(|package| package.name.clone()).collect(),
            }),
        };
    }
    let Some(wanted) = version else { return Ok(Relation::to(name)) };
    let found = wanted.parse().ok().and_then(|wanted| {
        versions.iter().find(|package| package.version == wanted).map(|package| package.version.clone())
    });
    found.map(|version| Relation::exactly(name, version)).ok_or_else(|| Error::NoVersion {
        name: name.to_owned(),
        wanted: wanted.to_owned(),
        suite: suite.clone(),
        available: versions.iter().map(|package| package.version_text.clone()).collect(),
    })
}

/// A package of a lock. The archive may have a later version by now: what that says of names provided and of
/// conflicts stands for the locked one too.
fn as_installed(universe: &Universe<'_>, open: &OpenSuite, locked: &DebPackage) -> Result<Rc<Package>> {
    let versions =
        universe.named(&locked.name).map_err(|error| Error::from_universe(error, &open.codename))?;
    if let Some(same) = versions.iter().find(|package| package.version_text == locked.version) {
        return Ok(Rc::clone(same));
    }
    let version = locked.version.parse().map_err(|_| Error::Index {
        suite: open.codename.clone(),
        reason: format!("`{}` is no version of {}", locked.version, locked.name),
    })?;
    let known = versions.first().map(|package| (**package).clone());
    Ok(Rc::new(Package {
        name: locked.name.clone(),
        version,
        version_text: locked.version.clone(),
        architecture: locked.architecture.clone(),
        priority: 0,
        any: known.as_ref().is_some_and(|package| package.any),
        depends: Vec::new(),
        provides: known.as_ref().map(|package| package.provides.clone()).unwrap_or_default(),
        conflicts: known.map(|package| package.conflicts).unwrap_or_default(),
        filename: String::new(),
        size: locked.artifact.size,
        sha256: locked.artifact.sha256,
        index: 0,
    }))
}

fn locked(packages: &[Rc<Package>], open: &OpenSuite) -> Vec<DebPackage> {
    let mut locked: Vec<DebPackage> = packages
        .iter()
        .map(|package| DebPackage {
            name: package.name.clone(),
            version: package.version_text.clone(),
            architecture: package.architecture.clone(),
            artifact: Artifact {
                url: SafeUrl::new(under(&open.mirrors[package.index], &package.filename)),
                size: package.size,
                sha256: package.sha256,
            },
        })
        .collect();
    locked.sort_by(|a, b| a.name.cmp(&b.name));
    locked
}
