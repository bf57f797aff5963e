//! Python packages: what pip would be given becomes wheels with digests.
//!
//! The `uv` executable chooses the versions ([`compile`]), run in the sandbox with the environment's own Python; this
//! module says what it is run with ([`request`], [`session`]), reads what it chose ([`pylock`]), takes the wheel that fits
//! best ([`choose`], [`tags`]), and has wheels built where there are none ([`build`], [`workshop`]).

mod blame;
mod build;
mod choose;
mod clash;
mod compile;
mod environment;
mod error;
mod explain;
#[cfg(fuzzing)]
pub mod fuzzing;
mod host;
mod installed;
mod metadata;
mod overlay;
mod pylock;
mod request;
mod session;
mod source;
mod stub;
mod tags;
mod taken;
mod uv;
mod workshop;

use std::path::PathBuf;

use provenv_definition::{LockedArtifacts, PipRequirements, Platform};
use provenv_fetch::Fetcher;
use url::Url;

pub use clash::Clash;
pub use error::Error;
pub use explain::Explanation;
pub use host::Host;
pub use installed::{Distribution, Installed, installed};
pub(crate) use pylock::Vcs;
pub(crate) use tags::WheelName;

use crate::tool::ToolRunner;
use crate::{IndexState, PlatformLock, PypiPackage, PythonLock, ToolVersion, Upgrade};

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// How Python packages are resolved, apart from what a definition says.
#[derive(Clone, Debug, Default)]
pub struct PypiConfig {
    /// The default index; `None` leaves it to the host's configuration of uv and pip, and then to uv itself.
    pub index: Option<Url>,
    /// A wheel of the pinned uv on this machine, for where it cannot be fetched.
    pub uv_wheel: Option<PathBuf>,
    /// Whether builds of packages have the network, though never credentials of indexes.
    pub build_network: bool,
    /// The folder for what failed builds of packages said; nothing is kept without.
    pub logs: Option<PathBuf>,
    /// Variables and configuration files of this machine.
    pub host: Host,
}

/// What Python packages are chosen for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The interpreter that they are installed for.
    pub python: &'a PythonLock,
    /// Where it runs.
    pub platform: Platform,
    /// What conda has installed for it already: pip leaves it as it is.
    pub installed: &'a [Installed],
    /// Only files that were uploaded before this moment count.
    pub as_of: Option<jiff::Timestamp>,
}

/// What was chosen.
#[derive(Clone, Debug, Default)]
pub struct PypiResolution {
    /// All packages, sorted by name.
    pub packages: Vec<PypiPackage>,
    /// The indexes that were asked, uv's own default too where nobody names another.
    pub indexes: Vec<IndexState>,
    /// Who chose.
    pub tools: Vec<ToolVersion>,
}

/// Resolves what pip would be given.
pub struct Resolver {
    fetcher: Fetcher,
    config: PypiConfig,
}

impl Resolver {
    /// A resolver that keeps what it fetches and builds in the fetcher's store.
    pub fn new(fetcher: Fetcher, config: PypiConfig) -> Self {
        Self { fetcher, config }
    }

    /// Brings uv into the store and says where it is. [`Resolver::resolve`] does so too; this is for doing it beside
    /// other work.
    pub async fn tool(&self) -> Result<PathBuf> {
        uv::executable(&self.fetcher, &self.config, None).await
    }

    /// Chooses a wheel for every package that `pip` asks for and conda does not have, for `target`.
    ///
    /// `runner` runs programs on a base that has the target's Python and is of this machine's architecture, whatever the
    /// target's platform is. With `previous`, packages stay at the versions they have there as far as `pip` and `upgrade` allow.
    pub async fn resolve(
        &self,
        pip: &PipRequirements,
        target: &Target<'_>,
        runner: &dyn ToolRunner,
        previous: Option<&PlatformLock>,
        upgrade: &Upgrade,
    ) -> Result<PypiResolution> {
        if pip.requirements.is_empty() {
            return Ok(PypiResolution::default());
        }
        let request = self.request(pip).await?;
        let executable = uv::executable(&self.fetcher, &self.config, Some(runner)).await?;
        let session = self.session(&request, target, runner, executable)?;
        let previous = previous.map_or(&[][..], |lock| &lock.pypi);
        let mut lock = compile::compile(&session, request.question(previous, upgrade)).await?;
        let stubs = session.take_stubs(&mut lock);
        let packages = choose::packages(&session, &lock, previous, upgrade).await?;
        for note in overlay::notes(target, &pip.requirements, &stubs, &packages) {
            self.fetcher.reporter().note(&note);
        }
        Ok(PypiResolution { packages, indexes: request.indexes(), tools: vec![uv_version()] })
    }

    /// Takes over what `locked`, the lock of another tool that `pip` was read from, chose for `target`. An
    /// index is asked only where the lock does not say where files are, and then for nothing but these; uv is needed only
    /// for that, and where something has to be built.
    pub async fn take_over(
        &self,
        pip: &PipRequirements,
        locked: &LockedArtifacts,
        target: &Target<'_>,
        runner: &dyn ToolRunner,
    ) -> Result<PypiResolution> {
        let Target { python, platform, .. } = *target;
        let mut lock = taken::pylock(locked, python, platform)?;
        let request = self.request(pip).await?;
        // Who has another index than PyPI gets PyPI's files from there.
        let elsewhere = uv::index(&self.config)?.is_some() && taken::is_from_pypi(locked);
        let located = !elsewhere && taken::is_located(&lock);
        let ready =
            located && taken::is_ready(&lock, &tags::Tags::new(python.minor(), &python.glibc, platform));
        let executable = if ready {
            PathBuf::new()
        } else {
            uv::executable(&self.fetcher, &self.config, Some(runner)).await?
        };
        // What was chosen once is not held against what conda has.
        let alone = Target { installed: &[], ..*target };
        let session = self.session(&request, &alone, runner, executable)?;
        let mut indexes = Vec::new();
        if !located {
            let mut question = request.question(&[], &Upgrade::All);
            question.arguments.push("--no-deps".to_owned());
            lock = compile::compile(&session, question).await?;
            indexes = request.indexes();
        }
        let packages = choose::taken(&session, &lock).await?;
        for note in overlay::notes(target, &[], &[], &packages) {
            self.fetcher.reporter().note(&note);
        }
        Ok(PypiResolution { packages, indexes, tools: if ready { Vec::new() } else { vec![uv_version()] } })
    }

    async fn request(&self, pip: &PipRequirements) -> Result<request::Request> {
        let (pip, config, fetcher) = (pip.clone(), self.config.clone(), self.fetcher.clone());
        // It copies folders and may run a keyring.
        uv::blocking(move || request::Request::new(&pip, &config, &fetcher)).await
    }

    fn session<'a>(
        &'a self,
        request: &'a request::Request,
        target: &Target<'a>,
        runner: &'a dyn ToolRunner,
        executable: PathBuf,
    ) -> Result<session::Session<'a>> {
        session::Session::new(&self.fetcher, &self.config, request, runner, target, executable)
    }
}

fn uv_version() -> ToolVersion {
    ToolVersion { name: "uv".to_owned(), version: uv::VERSION.to_owned() }
}
