//! Foreign programs run in a sandbox on the environment's own base. This crate says what it needs; the
//! workspace, which knows images and compute, provides it.

use std::path::PathBuf;

use async_trait::async_trait;

/// A program to run on the unpacked base.
#[derive(Clone, Debug, Default)]
pub struct ToolCommand {
    /// Program and arguments, as paths inside the sandbox.
    pub command: Vec<String>,
    /// Variables. Values may be secret: they are never logged or shown.
    pub env: Vec<(String, String)>,
    /// Host files and folders to show inside.
    pub mounts: Vec<ToolMount>,
    /// Working folder inside.
    pub cwd: PathBuf,
    /// Whether it may use the network.
    pub network: bool,
    /// Debian packages the base must have besides, e.g. `git`; they do not enter the image.
    pub extra_packages: Vec<String>,
}

/// A host path shown inside the sandbox.
#[derive(Clone, Debug)]
pub struct ToolMount {
    /// On the host.
    pub host: PathBuf,
    /// Inside.
    pub guest: PathBuf,
    /// Whether writing there is refused.
    pub read_only: bool,
}

/// What a program left.
#[derive(Clone, Debug)]
pub struct ToolOutput {
    /// Exit code; 128 + the signal's number where it was killed.
    pub code: i32,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it complained of.
    pub stderr: Vec<u8>,
}

/// Runs programs on the base of the environment being locked.
#[async_trait]
pub trait ToolRunner: Send + Sync {
    /// Runs `command` to its end; an error means that it could not be started.
    async fn run(&self, command: ToolCommand)
    -> Result<ToolOutput, Box<dyn std::error::Error + Send + Sync>>;
}
