//! The server: the real binary, on a free port.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::client::Client;
use crate::support::{Workspace, command};

/// A server that runs. It is told to stop when dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    pub url: String,
    /// What it said of itself.
    pub served: serde_json::Value,
}

impl Server {
    /// Serves a workspace to anybody.
    pub fn open(root: &Path) -> Self {
        Self::start(command(root), &["--anonymous-push"])
    }

    /// Serves with these arguments.
    pub fn start(mut command: Command, arguments: &[&str]) -> Self {
        let mut child = command
            .args(["-o", "json", "registry", "serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = String::new();
        let served = loop {
            let Some(Ok(line)) = lines.next() else {
                let mut text = String::new();
                child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
                panic!("the server ended: {said}{text}");
            };
            said += &line;
            if let Ok(served) = serde_json::from_str::<serde_json::Value>(&said) {
                break served;
            }
        };
        let address = served["address"].as_str().unwrap().parse().unwrap();
        Self { child, address, url: served["url"].as_str().unwrap().to_owned(), served }
    }

    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// The name of something here, for podman and others.
    pub fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to stop; gives back its exit code and what it said.
    pub fn stop(mut self) -> (Option<i32>, String) {
        self.signal(Signal::SIGTERM);
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        (self.child.wait().unwrap().code(), text)
    }

    /// Kills it, as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A workspace with nothing in it, served to anybody.
pub fn served() -> (Workspace, Server) {
    let workspace = Workspace::empty();
    let server = Server::open(&workspace.root());
    (workspace, server)
}

/// The blobs of a workspace's store.
pub fn blobs(workspace: &Workspace) -> Vec<PathBuf> {
    let folder = workspace.root().join("store/blobs");
    let files = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(Result::unwrap);
    files.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}

/// What is in the making in a workspace's store.
pub fn in_the_making(workspace: &Workspace) -> Vec<PathBuf> {
    let files = |folder: &str| {
        let folder = workspace.root().join("store").join(folder);
        let files = walkdir::WalkDir::new(folder).into_iter().filter_map(Result::ok);
        files.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path)
    };
    let is_blob = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("blob-");
    files("tmp").filter(is_blob).chain(files("uploads")).collect()
}
