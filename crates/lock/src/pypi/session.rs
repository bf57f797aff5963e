//! uv and its helpers in the sandbox: what is mounted, what they are told, what their failures mean.

use std::path::{Path, PathBuf};

use provenv_definition::Platform;
use provenv_fetch::Fetcher;
use tempfile::TempDir;

use super::request::Request;
use super::tags::{Tags, glibc_minor};
use super::{Error, Host, Result, explain};
use crate::PythonLock;
use crate::tool::{ToolCommand, ToolMount, ToolOutput, ToolRunner};

/// Where things are inside the sandbox. User's own paths are mounted where they are outside, so that messages make
/// sense.
const UV: &str = "/provenv/bin/uv";
const CACHE: &str = "/provenv/cache";
const CERTIFICATES: &str = "/provenv/certificates.pem";
const SSH_SOCKET: &str = "/provenv/ssh-agent";
const KNOWN_HOSTS: &str = "/provenv/known-hosts";
/// The folder that a run reads from and writes to.
pub(super) const WORK: &str = "/provenv/work";

/// 1980-01-01, before which zip archives, and so wheels, have no times.
const EPOCH: &str = "315532800";

/// `--python-platform`s of uv, by minor version of glibc.
const KNOWN_GLIBC: &[u32] = &[17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40];

/// One resolution's way into the sandbox.
pub(super) struct Session<'a> {
    pub fetcher: &'a Fetcher,
    pub request: &'a Request,
    pub python: &'a PythonLock,
    pub platform: Platform,
    /// What fits the environment's Python.
    pub tags: Tags,
    runner: &'a dyn ToolRunner,
    mounts: Vec<ToolMount>,
    env: Vec<(String, String)>,
    extra_packages: Vec<String>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        fetcher: &'a Fetcher,
        host: &Host,
        request: &'a Request,
        runner: &'a dyn ToolRunner,
        python: &'a PythonLock,
        platform: Platform,
        uv: PathBuf,
    ) -> Result<Self> {
        // Beside the store's own folders: uv keeps it sound against other processes and crashes by itself.
        let cache = fetcher.store().root().join("cache/uv");
        fs_err::create_dir_all(&cache)?;
        let mut mounts = vec![mount(uv, UV, true), mount(cache, CACHE, false)];
        mounts.extend(request.mounts());

        let fixed = [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", WORK),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC"),
            ("NO_COLOR", "1"),
            ("PYTHONHASHSEED", "0"),
            ("SOURCE_DATE_EPOCH", EPOCH),
            ("UV_CACHE_DIR", CACHE),
            ("UV_NO_CONFIG", "1"),
            ("UV_NO_PROGRESS", "1"),
            ("UV_PYTHON_DOWNLOADS", "never"),
            ("GIT_TERMINAL_PROMPT", "0"),
        ];
        let mut env: Vec<_> =
            fixed.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        env.extend(host.passed_on());
        if fetcher.options().offline {
            env.push(("UV_OFFLINE".to_owned(), "1".to_owned()));
        }
        env.extend(request.env());
        if let Some(certificates) = host.ca_bundle() {
            mounts.push(mount(certificates, CERTIFICATES, true));
            for name in ["SSL_CERT_FILE", "GIT_SSL_CAINFO", "PIP_CERT", "REQUESTS_CA_BUNDLE"] {
                env.push((name.to_owned(), CERTIFICATES.to_owned()));
            }
        }

        let mut extra_packages = Vec::new();
        if request.git() {
            extra_packages.extend(["ca-certificates".to_owned(), "git".to_owned()]);
        }
        if request.ssh() {
            extra_packages.push("openssh-client".to_owned());
            let mut command = "ssh -o BatchMode=yes".to_owned();
            if let Some(socket) =
                host.variable("SSH_AUTH_SOCK").map(PathBuf::from).filter(|path| path.exists())
            {
                mounts.push(mount(socket, SSH_SOCKET, false));
                env.push(("SSH_AUTH_SOCK".to_owned(), SSH_SOCKET.to_owned()));
            }
            let known_hosts = host.variable("HOME").map(|home| Path::new(home).join(".ssh/known_hosts"));
            if let Some(known_hosts) = known_hosts.filter(|path| path.is_file()) {
                mounts.push(mount(known_hosts, KNOWN_HOSTS, true));
                command.push_str(" -o UserKnownHostsFile=");
                command.push_str(KNOWN_HOSTS);
            }
            env.push(("GIT_SSH_COMMAND".to_owned(), command));
        }
        let tags = Tags::new(python.minor(), &python.glibc, platform);
        Ok(Self { fetcher, request, python, platform, tags, runner, mounts, env, extra_packages })
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

    /// Runs `uv SUBCOMMAND ARGUMENTS` with the index options of the definition, in `work`. What it wrote to stderr
    /// comes back: warnings, and the log of a build.
    pub(super) async fn uv(
        &self,
        subcommand: &[&str],
        arguments: &[String],
        work: &Path,
        mounts: &[ToolMount],
    ) -> Result<Result<String, Failure>> {
        let mut command: Vec<String> = vec![UV.to_owned()];
        command.extend(subcommand.iter().map(|&word| word.to_owned()));
        command.extend(["--color", "never", "--python", &self.python.executable].map(str::to_owned));
        command.push("--no-sources".to_owned());
        command.extend_from_slice(self.request.index_arguments());
        command.extend_from_slice(arguments);
        self.run(&command, work, mounts).await
    }

    /// Runs `command` in `work`. A failure for want of a compiler is tried once more with one: most builds need none,
    /// and it is a lot to unpack.
    pub(super) async fn run(
        &self,
        command: &[String],
        work: &Path,
        mounts: &[ToolMount],
    ) -> Result<Result<String, Failure>> {
        let mut result = self.once(command, work, mounts, &[]).await?;
        if let Err(failure) = &result
            && explain::wants_compiler(&failure.stderr)
        {
            self.fetcher.reporter().note("a build needs a compiler: trying again with build-essential");
            result = self.once(command, work, mounts, &["build-essential", "python3-dev"]).await?;
        }
        Ok(result)
    }

    async fn once(
        &self,
        command: &[String],
        work: &Path,
        mounts: &[ToolMount],
        packages: &[&str],
    ) -> Result<Result<String, Failure>> {
        let mut all = self.mounts.clone();
        all.push(mount(work.to_owned(), WORK, false));
        all.extend_from_slice(mounts);
        let mut extra_packages = self.extra_packages.clone();
        extra_packages.extend(packages.iter().map(|&name| name.to_owned()));
        let tool = ToolCommand {
            command: command.to_vec(),
            env: self.env.clone(),
            mounts: all,
            cwd: WORK.into(),
            network: !self.fetcher.options().offline,
            extra_packages,
        };
        let program = command.first().cloned().unwrap_or_default();
        let output: ToolOutput =
            self.runner.run(tool).await.map_err(|source| Error::Sandbox { program, source })?;
        let stderr = self.request.hide(&String::from_utf8_lossy(&output.stderr));
        tracing::debug!(code = output.code, %stderr, "ran in the sandbox");
        Ok(if output.code == 0 { Ok(stderr) } else { Err(Failure { code: output.code, stderr }) })
    }

    /// What a failed resolution means.
    pub(super) fn explain(&self, failure: &Failure) -> Error {
        explain::failure(failure.code, &failure.stderr, &self.python.version, self.tags.description())
    }
}

/// A program's failure, with secrets hidden.
pub(super) struct Failure {
    pub code: i32,
    pub stderr: String,
}

/// A mount at a fixed place.
pub(super) fn mount(host: PathBuf, guest: &str, read_only: bool) -> ToolMount {
    ToolMount { host, guest: guest.into(), read_only }
}
