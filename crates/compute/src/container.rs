//! What to run, on what, with what around it.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A command and the unpacked image it runs in. Plain data: nothing is opened until it is started.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Container {
    /// Unpacked layers, bottom first. They are never written to.
    pub layers: Vec<PathBuf>,
    /// Host files and folders shown inside; later ones may lie in earlier ones.
    pub mounts: Vec<Mount>,
    /// Program and arguments. A program without `/` is looked for in the `PATH` of [`Container::env`].
    pub command: Vec<String>,
    /// The command to run instead where it is a plain process: there the mounts' paths inside are not, and only words that
    /// are paths are translated by themselves. For shell lines that name such paths.
    pub plain_command: Option<Vec<String>>,
    /// All variables the command gets; nothing of the caller's own is handed on. Values may be secret: they
    /// are shown to nobody but the command.
    pub env: Vec<(String, String)>,
    /// Working folder inside; it must exist there.
    pub cwd: PathBuf,
    /// Whether the host's network is there; without it there is only a loopback device.
    pub network: bool,
    /// How much of the machine it may use.
    pub limits: Limits,
    /// Its host name; `None` keeps the host's.
    pub hostname: Option<String>,
    /// Where it writes what lies outside the mounts.
    pub writable: Writable,
    /// How it is kept apart from the host.
    pub isolation: Isolation,
}

/// A host file or folder shown inside, with all that is mounted below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// On the host.
    pub host: PathBuf,
    /// Inside; made if it is not there.
    pub guest: PathBuf,
    /// Whether writing there is refused.
    pub read_only: bool,
}

/// How much of the machine a container may use, all its processes together. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Processors, in fractions: 1.5 is one and a half.
    pub cpus: Option<f64>,
    /// Memory in bytes, swap included.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

/// Where a container writes what lies outside its mounts. Either way it is gone when the container ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Writable {
    /// A folder in the store's `tmp`.
    #[default]
    Disk,
    /// Memory: nothing is left behind, however the container ends.
    Memory,
}

/// How a container is kept apart from the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Isolation {
    /// The strongest that works here, in the order below.
    #[default]
    Auto,
    /// Namespaces and an overlay of the layers.
    Overlay,
    /// Namespaces and a merged copy of the layers, read-only, for kernels that refuse the overlay.
    Merged,
    /// A plain process in a merged copy of the layers, found by rewritten paths. It sees all of the host.
    Process,
}

/// One of a command's three standard streams.
#[derive(Debug, Default)]
pub enum Stream {
    /// The caller's own.
    #[default]
    Inherit,
    /// `/dev/null`.
    Null,
    /// A pipe whose other end [`Running`](crate::Running) holds.
    Piped,
    /// An open file.
    File(OwnedFd),
}

/// A command's standard streams.
#[derive(Debug, Default)]
pub struct Streams {
    /// Standard input. Where it is inherited and the terminal is the caller's, the command is given the terminal until it
    /// ends: shells work, Ctrl-C goes to the command alone, and Ctrl-Z has no effect. Otherwise it gets a session
    /// of its own, and signals only through [`Running::signal`](crate::Running::signal).
    pub stdin: Stream,
    /// Standard output.
    pub stdout: Stream,
    /// Standard error.
    pub stderr: Stream,
}

impl Streams {
    /// All three the caller's own.
    pub fn inherit() -> Self {
        Self::default()
    }

    /// Input and output through pipes, errors to the caller's own: for a worker that is talked to.
    pub fn worker() -> Self {
        Self { stdin: Stream::Piped, stdout: Stream::Piped, stderr: Stream::Inherit }
    }

    /// No input, output and errors through pipes.
    pub fn captured() -> Self {
        Self { stdin: Stream::Null, stdout: Stream::Piped, stderr: Stream::Piped }
    }
}

/// With less, the kernel kills what sets up the container, and nobody hears why. Bytes.
const LEAST_MEMORY: u64 = 4 << 20;

impl Container {
    /// Refuses what no kernel could run.
    pub(crate) fn check(&self) -> Result<()> {
        let invalid = |what: String| Err(Error::Invalid { what });
        if self.layers.is_empty() {
            return invalid("it has no layers".to_owned());
        }
        if self.command.first().is_none_or(String::is_empty) {
            return invalid("it has no command".to_owned());
        }
        let commands = self.command.iter().chain(self.plain_command.iter().flatten());
        let texts = commands.chain(self.env.iter().flat_map(|(name, value)| [name, value]));
        if texts.into_iter().any(|text| text.contains('\0')) {
            return invalid("its command or variables hold a NUL character".to_owned());
        }
        if let Some((name, _)) = self.env.iter().find(|(name, _)| name.is_empty() || name.contains('=')) {
            return invalid(format!("`{name}` cannot be the name of a variable"));
        }
        let folders = self.layers.iter().chain(self.mounts.iter().flat_map(|m| [&m.host, &m.guest]));
        if let Some(path) = folders.chain([&self.cwd]).find(|path| !path.is_absolute()) {
            return invalid(format!("`{}` is not an absolute path", path.display()));
        }
        if let Some(cpus) = self.limits.cpus.filter(|cpus| !cpus.is_finite() || *cpus <= 0.0) {
            return invalid(format!("{cpus} is not a number of processors"));
        }
        if let Some(memory) = self.limits.memory.filter(|memory| *memory < LEAST_MEMORY) {
            return invalid(format!(
                "{memory} bytes of memory are too few for any command: a number without K, M or G means bytes"
            ));
        }
        Ok(())
    }
}
