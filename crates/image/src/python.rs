//! How the environment's own Python is run while an image is made.

use std::io;
use std::path::PathBuf;
use std::process::Child;

/// Runs a Python on unpacked layers. The workspace provides it with a sandbox.
pub trait PythonHost: Send + Sync {
    /// Starts `command` (program and arguments, paths inside the layers) on `layers`, the bottom one first, with piped
    /// stdin and stdout, stderr thrown away, without network, with exactly the variables of `env`.
    ///
    /// The child ends when its stdin is closed.
    fn spawn(&self, layers: &[PathBuf], command: &[String], env: &[(&str, &str)]) -> io::Result<Child>;
}
