//! py-rattler, the peer that reads what this crate writes.
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/peer.py");

/// py-rattler with a cache of its own.
pub struct Peer {
    python: PathBuf,
    platform: &'static str,
    folder: tempfile::TempDir,
    proxy: Option<String>,
}

impl Peer {
    /// For `linux-64`; `None`, said aloud, where it cannot be installed.
    pub fn new() -> Option<Self> {
        Self::on("linux-64")
    }

    /// For another platform.
    pub fn on(platform: &'static str) -> Option<Self> {
        let python = provenv_channel::python_with(&["py-rattler==0.28.0"])?;
        let peer = Self { python, platform, folder: tempfile::tempdir().unwrap(), proxy: None };
        fs_err::write(peer.credentials(), "{}").unwrap();
        Some(peer)
    }

    /// A folder that goes away with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The records that it chooses for `specs`, which it then installs to `prefix`.
    #[track_caller]
    pub fn solve(&self, channel: &str, form: &str, prefix: Option<&Path>, specs: &[&str]) -> Vec<Value> {
        let output = self.ask(channel, form, prefix, specs);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The same, whatever comes of it.
    pub fn ask(&self, channel: &str, form: &str, prefix: Option<&Path>, specs: &[&str]) -> Output {
        let cache = self.folder.path().join(format!("cache-{form}"));
        let mut command = Command::new(&self.python);
        command.env("RATTLER_AUTH_FILE", self.credentials());
        command.args([SCRIPT, "solve", "--channel", channel, "--form", form, "--platform", self.platform]);
        command.arg("--cache").arg(cache);
        if let Some(proxy) = &self.proxy {
            command.env("HTTPS_PROXY", proxy).env_remove("NO_PROXY").env_remove("no_proxy");
        }
        if let Some(prefix) = prefix {
            command.arg("--install").arg(prefix);
        }
        command.args(specs).output().unwrap()
    }

    /// It has these credentials for servers on the loopback from now on, as its file of credentials says them.
    pub fn authenticate(&self, credentials: &Value) {
        let text = serde_json::json!({ "127.0.0.1": credentials }).to_string();
        fs_err::write(self.credentials(), text).unwrap();
    }

    /// It goes by this proxy from now on to whatever is `https`.
    pub fn go_by(&mut self, proxy: &str) {
        self.proxy = Some(proxy.to_owned());
    }

    fn credentials(&self) -> PathBuf {
        self.folder.path().join("auth.json")
    }

    /// Lets it write the index of the channel in `folder`.
    #[track_caller]
    pub fn index(&self, folder: &Path) {
        let output = Command::new(&self.python).args([SCRIPT, "index"]).arg(folder).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

/// The file names of records, in order.
pub fn names(records: &[Value]) -> Vec<&str> {
    let mut names: Vec<&str> =
        records.iter().map(|record| record["url"].as_str().unwrap().rsplit('/').next().unwrap()).collect();
    names.sort_unstable();
    names
}
