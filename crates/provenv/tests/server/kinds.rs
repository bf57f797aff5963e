//! Every kind of environment, registered on a server and built by a worker in a process of its own.

use nix::sys::signal::Signal;
use provenv_channel::{Channel, Package};
use provenv_testing::server::{FileTree, Server};
use serde_json::Value;

use super::builds::{ended, register};
use super::team::{DEFAULT, Team};
use super::workers::Worker;
use crate::support::registry::shell;
use crate::support::{fill, have};

/// A server that builds nothing, and a worker.
struct Place {
    team: Team,
    worker: Worker,
    _folder: tempfile::TempDir,
}

impl Place {
    /// With the plain base in the store, where that is wanted; `None` (said aloud) where it is not to be had.
    fn new(with_base: bool) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("team");
        if with_base {
            fill(&root.join("workspaces/default"))?;
        }
        let variables = [("PROVENV_BUILDER", "buildah")];
        let mut team = Team::start_with(&root, &["--workers", "0"], "", &variables);
        team.owner = team.with(team.served["owner_token"].as_str().unwrap());
        let worker = Worker::start(&root, &[], &variables);
        Some(Self { team, worker, _folder: folder })
    }

    /// Registers a definition, and waits for the worker to build its image. Gives the job.
    fn build(&self, definition: &str) -> Value {
        let version = register(&self.team.owner, definition);
        let job = self.team.owner.post(&format!("{version}/build"), b"").is(202).json();
        let job = ended(&self.team.owner, &job);
        let log = format!("{DEFAULT}/jobs/{}/log", job["id"].as_str().unwrap());
        let log = self.team.owner.get(&log).is(200).text();
        assert_eq!(job["status"], "succeeded", "{job}\n{log}");
        assert!(job["worker"].as_str().unwrap().contains(&format!("/{}/", self.worker.id())), "{job}");
        let image = self.team.owner.get(&format!("{version}/image")).is(200).json();
        assert_eq!(image["digest"], job["image"], "{image}");
        job
    }

    /// Both stop in good order.
    fn end(mut self) {
        self.worker.signal(Signal::SIGTERM);
        assert_eq!(self.worker.wait(), Some(0));
        self.team.signal(Signal::SIGTERM);
        let (code, said) = self.team.wait();
        assert_eq!(code, Some(0), "{said}");
    }
}

#[test]
fn conda_packages() {
    let Some(place) = Place::new(true) else { return };
    let cup = Package::new("cup", "1.0").noarch_generic().file("share/cup.txt", "tea\n");
    let saucer = Package::new("saucer", "2.0").noarch_generic().depends("cup").file("share/saucer.txt", "\n");
    let server = Server::start(Channel::new("kitchen").add(cup).add(saucer).serve(FileTree::new()));
    let channel = server.at("/kitchen");
    place.build(&format!("name: demo\nchannels: [{channel}]\ndependencies: [saucer]\n"));
    place.end();
}

#[test]
fn what_its_user_manages() {
    let Some(place) = Place::new(true) else { return };
    place.build("name: own\nuser_managed: true\nbase: debian/bookworm\ninterpreter_path: /usr/bin/python3\n");
    place.end();
}

/// A definition whose Dockerfile stands in it.
fn of_dockerfile(dockerfile: &str) -> String {
    let lines: Vec<String> = dockerfile.lines().map(|line| format!("  {line}\n")).collect();
    format!("name: made\nuser_managed: true\ndockerfile: |\n{}", lines.concat())
}

#[test]
fn a_dockerfile() {
    if !have("buildah") {
        return;
    }
    let Some(place) = Place::new(false) else { return };
    let server = Server::start(FileTree::new());
    let base = shell(&server);
    place.build(&of_dockerfile(&format!("FROM {base}\nRUN mkdir /srv && echo made > /srv/made\n")));
    place.end();
}

#[test]
fn a_build_context() {
    if !have("buildah") {
        return;
    }
    let Some(place) = Place::new(false) else { return };
    let server = Server::start(FileTree::new());
    let base = shell(&server);
    let mut tar = tar::Builder::new(Vec::new());
    let dockerfile = format!("FROM {base}\nCOPY . /context\n");
    for (path, text) in [("Dockerfile", &*dockerfile), ("state", "first")] {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        tar.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    server.put("/context.tar", tar.into_inner().unwrap());
    place.build(&format!("name: made\nuser_managed: true\nbuild:\n  path: {}\n", server.at("/context.tar")));
    // A folder is of the machine that the definition was written on.
    let body = serde_json::json!({ "file": { "name": "made.yaml",
        "text": "name: made\nuser_managed: true\nbuild:\n  path: .\n" } });
    let answer = super::team::post(&place.team.owner, &format!("{DEFAULT}/environments"), &body);
    assert!((400..500).contains(&answer.status), "{}", answer.text());
    place.end();
}
