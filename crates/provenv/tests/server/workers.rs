//! Workers in processes of their own.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use provenv_testing::pypi::{Index, Wheel};
use serde_json::Value;

use super::builds::{ended, register};
use super::team::{DEFAULT, Team, server};
use crate::support::{Done, definition, eventually, serve};

/// A worker that has begun. It is killed when dropped.
pub struct Worker(Child);

impl Worker {
    pub fn start(root: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = server(root)
            .envs(variables.iter().copied())
            .args(["worker", "--root"])
            .arg(root)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("building for "), "{line}");
        Self(child)
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().cast_signed()), signal).unwrap();
    }

    pub fn wait(&mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A team whose server builds nothing itself, and a version of which nobody has built the image.
fn begin(folder: &Path) -> Option<(Team, provenv_testing::server::Server, String)> {
    let mut team = Team::with_base(folder)?;
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    team.signal(Signal::SIGTERM);
    assert_eq!(team.wait().0, Some(0));
    let team = Team::start_again(&team.root, &["--workers", "0"], &token);
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let version = register(&team.owner, &definition(&index, "tea", &["tea"]));
    Some((team, index, version))
}

/// The processes that build for a worker.
fn builds_of(worker: u32) -> Vec<i32> {
    let children = format!("/proc/{worker}/task");
    let tasks = fs_err::read_dir(children).into_iter().flatten().flatten();
    let texts = tasks.filter_map(|task| fs_err::read_to_string(task.path().join("children")).ok());
    texts
        .flat_map(|text| text.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect()
}

#[test]
fn a_worker_builds_what_its_server_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let Some((team, _index, version)) = begin(folder.path()) else { return };
    let job = team.owner.post(&format!("{version}/build"), b"").is(202).json();
    let mut worker = Worker::start(&team.root, &["--workers", "2"], &[]);
    let job = ended(&team.owner, &job);
    assert_eq!(job["status"], "succeeded", "{job}");
    assert!(job["worker"].as_str().unwrap().contains(&format!("/{}/", worker.id())), "{job}");
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.wait(), Some(0));
}

#[test]
fn a_worker_that_stops_gives_back_what_it_cannot_end() {
    let folder = tempfile::tempdir().unwrap();
    let Some((team, _index, version)) = begin(folder.path()) else { return };
    let job = team.owner.post(&format!("{version}/build"), b"").is(202).json();
    let path = format!("{DEFAULT}/jobs/{}", job["id"].as_str().unwrap());
    let mut worker = Worker::start(&team.root, &["--grace", "0"], &[]);
    eventually("it begins", || team.owner.get(&path).is(200).json()["status"] != "queued");
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.wait(), Some(0));
    let after = team.owner.get(&path).is(200).json();
    // It may have been done before the worker heard.
    if after["status"] != "succeeded" {
        assert_eq!((&after["status"], &after["attempts"]), (&"queued".into(), &0.into()), "{after}");
        assert!(after["worker"].is_null(), "{after}");
    }
    let _another = Worker::start(&team.root, &[], &[]);
    let job = ended(&team.owner, &job);
    assert_eq!(job["status"], "succeeded", "{job}");
}

#[test]
fn a_build_does_not_outlive_its_worker() {
    let folder = tempfile::tempdir().unwrap();
    let Some((team, _index, version)) = begin(folder.path()) else { return };
    let job = team.owner.post(&format!("{version}/build"), b"").is(202).json();
    let mut worker = Worker::start(&team.root, &[], &[]);
    let mut building = Vec::new();
    eventually("a process builds", || {
        building = builds_of(worker.id());
        !building.is_empty()
    });
    worker.signal(Signal::SIGKILL);
    assert_eq!(worker.wait(), None);
    for id in building {
        eventually("the build ends", || {
            let state = fs_err::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            state.is_empty() || state.contains(") Z ")
        });
    }
    // Its lease runs out, and another has it.
    let _another = Worker::start(&team.root, &[], &[]);
    let job: Value = ended(&team.owner, &job);
    assert_eq!(job["status"], "succeeded", "{job}");
}

#[test]
fn a_build_that_is_killed_each_time_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let Some((team, _index, version)) = begin(folder.path()) else { return };
    let job = team.owner.post(&format!("{version}/build"), b"").is(202).json();
    let path = format!("{DEFAULT}/jobs/{}", job["id"].as_str().unwrap());
    let worker = Worker::start(&team.root, &[], &[]);
    // What the kernel does where memory runs out.
    let mut last = Value::Null;
    eventually("it is given up, or was quicker", || {
        for id in builds_of(worker.id()) {
            let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
        }
        last = team.owner.get(&path).is(200).json();
        last["ended_at"].is_string()
    });
    assert_eq!((&last["status"], &last["attempts"]), (&"failed".into(), &2.into()), "{last}");
    let error = &last["error"];
    assert!(error["message"].as_str().unwrap().contains("killed each time"), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("memory"), "{error}");
    let log = team.owner.get(&format!("{path}/log")).is(200).text();
    assert!(log.contains("attempt 1 was killed") && log.contains("attempt 2 by"), "{log}");
}

#[test]
fn a_folder_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("nothing");
    let done = Done::from(server(&root).args(["worker", "--root"]).arg(&root).output().unwrap());
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(done.stderr.contains("nothing") && done.stderr.contains("--root"), "{}", done.stderr);
    assert!(!root.exists());
}

#[test]
fn what_is_more_urgent_is_built_first() {
    let folder = tempfile::tempdir().unwrap();
    let Some((team, _index, version)) = begin(folder.path()) else { return };
    let index = serve(&Index::new().add(Wheel::new("cup", "1")).add(Wheel::new("pot", "1")));
    let ask = |version: &str, priority: i64| {
        let body = serde_json::json!({ "priority": priority });
        super::team::post(&team.owner, &format!("{version}/build"), &body).is(202).json()
    };
    let other = |name: &str| register(&team.owner, &definition(&index, name, &[name]));
    let (usual, urgent) = (ask(&version, 0), ask(&other("cup"), 10));
    // One that is asked for again with more urgency has that.
    let late = other("pot");
    ask(&late, -5);
    let late = ask(&late, 20);
    assert_eq!(late["priority"], 20, "{late}");
    let _worker = Worker::start(&team.root, &["--workers", "1"], &[]);
    let began = [&late, &urgent, &usual].map(|job| {
        let job = ended(&team.owner, job);
        assert_eq!(job["status"], "succeeded", "{job}");
        job["started_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap()
    });
    assert!(began.is_sorted(), "{began:?}");
}
