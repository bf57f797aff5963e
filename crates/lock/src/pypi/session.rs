//! Programs in the sandbox: what each may see and reach, and what their failures mean.
//!
//! There are two ways in. What asks indexes and repositories gets their credentials and the network, and is only ever uv
//! or git: Python does not start there. What runs a package's code gets neither.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use provenv_definition::Platform;
use provenv_fetch::Fetcher;
use tempfile::TempDir;

use super::environment::write_private;
use super::pylock::Pylock;
use super::request::Request;
use super::stub::Stubs;
use super::tags::{Tags, glibc_minor};
use super::{Error, Installed, PypiConfig, Result, Target, explain};
use crate::PythonLock;
use crate::tool::{ToolCommand, ToolMount, ToolOutput, ToolRunner};

/// Where things are inside the sandbox. User's own paths are mounted where they are outside, so that messages make
/// sense.
pub(super) const UV: &str = "/provenv/bin/uv";
const CACHE: &str = "/provenv/cache";
/// git looks here for `git/config`.
const SETTINGS: &str = "/provenv/settings";
const CERTIFICATES: &str = "/provenv/certificates.pem";
const SSH_SOCKET: &str = "/provenv/ssh-agent";
const KNOWN_HOSTS: &str = "/provenv/known-hosts";
/// The folder that a run reads from and writes to.
pub(super) const WORK: &str = "/provenv/work";
/// The virtual environment that a build runs in.
pub(super) const BUILD_ENVIRONMENT: &str = "/provenv/work/environment";

/// Python's home where no code of a package may run. It does not exist, so Python ends before it reads a line; only in
/// isolated mode (`-I`), as uv asks it who it is, does it not heed the variable. What a refused build prints holds it.
pub(super) const NO_BUILDS: &str = "/provenv/no-builds";

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where conda's packages are.
const PREFIX: &str = "/opt/provenv";

/// 1980-01-01, before which zip archives, and so wheels, have no times.
const EPOCH: &str = "315532800";

/// `--python-platform`s of uv, by minor version of glibc.
const KNOWN_GLIBC: &[u32] = &[17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40];

/// One resolution's way into the sandbox.
#[derive(Clone)]
pub(super) struct Session<'a> {
    pub fetcher: &'a Fetcher,
    pub request: &'a Request,
    pub python: &'a PythonLock,
    pub platform: Platform,
    /// Only files that were uploaded before this moment count.
    as_of: Option<jiff::Timestamp>,
    /// What fits the environment's Python.
    pub tags: Tags,
    /// What conda installs, where that counts: builds have what they need to themselves.
    pub stubs: Option<Arc<Stubs<'a>>>,
    /// Where what failed builds said is kept.
    pub logs: Option<PathBuf>,
    /// What is being built, each for the one before it.
    pub making: Vec<String>,
    runner: &'a dyn ToolRunner,
    /// For what asks indexes and repositories.
    asking: Reach,
    /// For what runs a package's code.
    building: Reach,
    extra_packages: Vec<String>,
    /// git's settings, removed with the last who needs them.
    _settings: Option<Arc<TempDir>>,
}

/// What a program sees of this machine, and how far it gets.
#[derive(Clone)]
struct Reach {
    mounts: Vec<ToolMount>,
    env: Vec<(String, String)>,
    network: bool,
}

impl Reach {
    fn set(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// The machine's way out of the building.
    fn add_network(&mut self, config: &PypiConfig, variables: impl IntoIterator<Item = (String, String)>) {
        self.network = true;
        self.env.extend(variables);
        if let Some(certificates) = config.host.ca_bundle() {
            self.mounts.push(mount(certificates, CERTIFICATES, true));
            for name in ["SSL_CERT_FILE", "GIT_SSL_CAINFO", "PIP_CERT", "REQUESTS_CA_BUNDLE"] {
                self.set(name, CERTIFICATES);
            }
        }
    }

    /// A running agent, and the hosts that the user knows.
    fn add_ssh(&mut self, config: &PypiConfig) {
        let variable = |name| config.host.variable(name).map(PathBuf::from);
        let mut command = "ssh -o BatchMode=yes".to_owned();
        if let Some(socket) = variable("SSH_AUTH_SOCK").filter(|path| path.exists()) {
            self.mounts.push(mount(socket, SSH_SOCKET, false));
            self.set("SSH_AUTH_SOCK", SSH_SOCKET);
        }
        let known_hosts = variable("HOME").map(|home| home.join(".ssh/known_hosts"));
        if let Some(known_hosts) = known_hosts.filter(|path| path.is_file()) {
            self.mounts.push(mount(known_hosts, KNOWN_HOSTS, true));
            command.push_str(" -o UserKnownHostsFile=");
            command.push_str(KNOWN_HOSTS);
        }
        self.set("GIT_SSH_COMMAND", &command);
    }
}

impl<'a> Session<'a> {
    pub(super) fn new(
        fetcher: &'a Fetcher,
        config: &PypiConfig,
        request: &'a Request,
        runner: &'a dyn ToolRunner,
        target: &Target<'a>,
        uv: PathBuf,
    ) -> Result<Self> {
        let Target { python, platform, as_of, .. } = *target;
        let mut plain = Reach { mounts: vec![mount(uv, UV, true)], env: Vec::new(), network: false };
        for (name, value) in [
            ("HOME", WORK),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC"),
            ("NO_COLOR", "1"),
            ("PYTHONHASHSEED", "0"),
            ("SOURCE_DATE_EPOCH", EPOCH),
            ("UV_NO_CONFIG", "1"),
            ("UV_NO_PROGRESS", "1"),
            ("UV_PYTHON_DOWNLOADS", "never"),
            ("GIT_TERMINAL_PROMPT", "0"),
        ] {
            plain.set(name, value);
        }
        let online = !fetcher.options().offline;

        let mut asking = plain.clone();
        // Beside the store's own folders: uv keeps it sound against other processes and crashes by itself.
        let cache = fetcher.store().cache("uv");
        fs_err::create_dir_all(&cache)?;
        asking.mounts.push(mount(cache, CACHE, false));
        asking.mounts.extend_from_slice(request.mounts());
        let stubs = Stubs::write(target, fetcher.store().scratch()?)?;
        if let Some(stubs) = &stubs {
            asking.mounts.push(mount(stubs.folder().to_owned(), stubs.folder(), true));
        }
        for (name, value) in [
            ("PATH", PATH),
            ("PYTHONHOME", NO_BUILDS),
            ("UV_CACHE_DIR", CACHE),
            ("UV_CONFIG_FILE", &format!("{WORK}/uv.toml")),
        ] {
            asking.set(name, value);
        }
        asking.add_network(config, request.passed_on().iter().cloned());
        let mut settings = None;
        if let Some(text) = request.environment().git() {
            let folder = fetcher.store().scratch()?;
            fs_err::create_dir(folder.path().join("git"))?;
            write_private(&folder.path().join("git/config"), &text)?;
            asking.mounts.push(mount(folder.path().to_owned(), SETTINGS, true));
            asking.set("XDG_CONFIG_HOME", SETTINGS);
            settings = Some(Arc::new(folder));
        }
        asking.network = online;
        if !online {
            asking.set("UV_OFFLINE", "1");
        }

        let mut building = plain;
        let mut path = format!("{BUILD_ENVIRONMENT}/bin:{PATH}");
        if python.is_condas() {
            // As in an activated environment: builds find conda's programs and libraries.
            path = format!("{BUILD_ENVIRONMENT}/bin:{PREFIX}/bin:{PATH}");
            building.set("CONDA_PREFIX", PREFIX);
        }
        for (name, value) in [
            ("PATH", path.as_str()),
            ("VIRTUAL_ENV", BUILD_ENVIRONMENT),
            // Not the cache that others share: what a build writes there, they would use.
            ("UV_NO_CACHE", "1"),
            ("UV_LINK_MODE", "copy"),
            ("UV_OFFLINE", "1"),
        ] {
            building.set(name, value);
        }
        if config.build_network && online {
            building.add_network(config, config.host.passed_on());
        }

        let mut extra_packages = Vec::new();
        if request.git() {
            extra_packages.extend(["ca-certificates".to_owned(), "git".to_owned()]);
            for reach in [&mut asking, &mut building] {
                // A repository may belong to another user than the one inside.
                reach.set("GIT_CONFIG_COUNT", "1");
                reach.set("GIT_CONFIG_KEY_0", "safe.directory");
                reach.set("GIT_CONFIG_VALUE_0", "*");
            }
        }
        if request.ssh() {
            extra_packages.push("openssh-client".to_owned());
            asking.add_ssh(config);
        }
        let tags = Tags::new(python.minor(), &python.glibc, platform);
        let making = Vec::new();
        Ok(Self {
            fetcher,
            request,
            python,
            platform,
            as_of,
            tags,
            stubs: stubs.map(Arc::new),
            logs: config.logs.clone(),
            making,
            runner,
            asking,
            building,
            extra_packages,
            _settings: settings,
        })
    }

    /// For what the build of `package` needs, which runs on this machine whatever the image is for.
    pub(super) fn beneath(&self, package: String) -> Self {
        let mut session = self.clone();
        session.platform = Platform::host();
        session.tags = Tags::new(self.python.minor(), &self.python.glibc, session.platform);
        session.stubs = None;
        session.making.push(package);
        session
    }

    /// An empty folder for [`WORK`].
    pub(super) fn work(&self) -> Result<TempDir> {
        Ok(self.fetcher.store().scratch()?)
    }

    /// `--python-platform` of the environment.
    pub(super) fn python_platform(&self) -> String {
        let glibc = glibc_minor(&self.python.glibc);
        let known = KNOWN_GLIBC.iter().rev().find(|known| **known <= glibc).unwrap_or(&17);
        format!("{}-manylinux_2_{known}", self.platform.machine())
    }

    /// Runs `uv pip compile ARGUMENTS` with the index options of the definition, in `work`, which holds a `uv.toml`. What
    /// it wrote to stderr comes back. A package whose code would have to run makes it fail with [`NO_BUILDS`].
    pub(super) async fn resolve(&self, arguments: &[String], work: &Path) -> Result<Result<String, Failure>> {
        let fixed = [UV, "pip", "compile", "--color", "never", "--python", &self.python.executable];
        let mut command = fixed.map(str::to_owned).to_vec();
        // Without isolation no build requirements are looked for in vain.
        command.extend(["--no-sources", "--no-build-isolation"].map(str::to_owned));
        command.extend_from_slice(self.request.index_arguments());
        if let Some(as_of) = self.as_of {
            command.extend(["--exclude-newer".to_owned(), as_of.to_string()]);
        }
        command.extend_from_slice(arguments);
        Ok(self.once(&self.asking, &command, work, &[], &[]).await?.map(|output| output.stderr))
    }

    /// Runs `command`, which fetches, in `work`.
    pub(super) async fn fetch(&self, command: &[String], work: &Path) -> Result<Result<Output, Failure>> {
        self.once(&self.asking, command, work, &[], &[]).await
    }

    /// Runs `command`, which may run a package's code, in `work`, without network and credentials. A failure for want of
    /// a compiler is tried once more with one: most builds need none, and it is a lot to unpack.
    pub(super) async fn build(
        &self,
        command: &[String],
        work: &Path,
        mounts: &[ToolMount],
    ) -> Result<Result<Output, Failure>> {
        let mut result = self.once(&self.building, command, work, mounts, &[]).await?;
        if let Err(failure) = &result
            && explain::wants_compiler(&format!("{}\n{}", failure.stderr, failure.stdout))
        {
            self.fetcher.reporter().note("a build needs a compiler: trying again with build-essential");
            // A base has no perl, which scripts of -dev packages such as `pg_config` are written in.
            let mut more = vec!["build-essential", "perl-base"];
            // conda's Python and those of some images have their headers beside them, and Debian's are of another.
            if self.python.executable.starts_with("/usr/bin/") {
                more.push("python3-dev");
            }
            result = self.once(&self.building, command, work, mounts, &more).await?;
        }
        Ok(result)
    }

    async fn once(
        &self,
        reach: &Reach,
        command: &[String],
        work: &Path,
        mounts: &[ToolMount],
        packages: &[&str],
    ) -> Result<Result<Output, Failure>> {
        let mut all = reach.mounts.clone();
        all.push(mount(work.to_owned(), WORK, false));
        all.extend_from_slice(mounts);
        let mut extra_packages = self.extra_packages.clone();
        extra_packages.extend(packages.iter().map(|&name| name.to_owned()));
        let tool = ToolCommand {
            command: command.to_vec(),
            env: reach.env.clone(),
            mounts: all,
            cwd: WORK.into(),
            network: reach.network,
            extra_packages,
        };
        let program = command.first().cloned().unwrap_or_default();
        let output: ToolOutput =
            self.runner.run(tool).await.map_err(|source| Error::Sandbox { program, source })?;
        let conceal = |bytes: &[u8]| self.request.environment().conceal(&String::from_utf8_lossy(bytes));
        let stderr = conceal(&output.stderr);
        tracing::debug!(code = output.code, %stderr, "ran in the sandbox");
        Ok(if output.code == 0 {
            Ok(Output { stdout: String::from_utf8_lossy(&output.stdout).into_owned(), stderr })
        } else {
            Err(Failure { code: output.code, stdout: conceal(&output.stdout), stderr })
        })
    }

    /// What conda installs of what was chosen; it is taken out of `lock`.
    pub(super) fn take_stubs(&self, lock: &mut Pylock) -> Vec<&'a Installed> {
        self.stubs.as_ref().map(|stubs| stubs.take_from(lock)).unwrap_or_default()
    }

    /// What a failed resolution means.
    pub(super) fn explain(&self, failure: &Failure) -> Error {
        explain::failure(failure.code, &failure.stderr, &self.python.version, self.tags.description())
    }
}

/// What a program printed.
pub(super) struct Output {
    pub stdout: String,
    /// Secrets hidden.
    pub stderr: String,
}

/// A program's failure, with secrets hidden.
pub(super) struct Failure {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A mount at a fixed place.
pub(super) fn mount(host: PathBuf, guest: impl Into<PathBuf>, read_only: bool) -> ToolMount {
    ToolMount { host, guest: guest.into(), read_only }
}
