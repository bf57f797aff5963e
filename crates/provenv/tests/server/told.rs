//! What a crash keeps from the audit log is told without anybody asking for it again: it is on record with the change.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use provenv_testing::pypi::{Index, Wheel};
use serde_json::{Value, json};

use super::team::{DEFAULT, Team, post, server};
use crate::registry::client::Client;
use crate::support::{Done, definition, eventually, have, serve, skip};

/// A server with a version whose definition has a lock, and the registration of another one like it.
fn begin(folder: &Path) -> Option<(Team, String, Value)> {
    let team = Team::with_base(folder)?;
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let body = json!({ "file": { "name": "e.yaml", "text": definition(&index, "tea", &["tea"]) } });
    post(&team.owner, &format!("{DEFAULT}/environments"), &body).is(201);
    let mut environment =
        team.owner.get(&format!("{DEFAULT}/environments/tea/versions/1")).is(200).json()["environment"]
            .clone();
    environment["version"] = Value::Null;
    Some((team, token, environment))
}

fn entries(owner: &Client, action: &str) -> Vec<Value> {
    let log = owner.get(&format!("{DEFAULT}/audit?action={action}&limit=500")).is(200).json();
    log["entries"].as_array().unwrap().iter().map(|entry| entry["entry"].clone()).collect()
}

fn is_whole(team: &Team, folder: &Path, token: &str) {
    let done = Done::from(team.command(folder, token).args(["audit-log", "verify"]).output().unwrap()).ok();
    assert!(done.stdout.contains("the log is whole"), "{}", done.stdout);
}

/// A server that is killed right before the nth time that one of its threads makes something durable.
struct Doomed(Child);

impl Doomed {
    /// `None` where it did not live to be asked something.
    fn start(root: &Path, n: usize, token: &str) -> Option<(Self, Client)> {
        const CALLS: &str = "fsync,fdatasync";
        let plain = server(root);
        let mut traced = Command::new("strace");
        traced.args(["-f", "-qqq", "-o", "/dev/null", "-e", &format!("trace={CALLS}")]);
        traced.args(["-e", &format!("inject={CALLS}:signal=SIGKILL:when={n}")]);
        traced.arg(plain.get_program());
        for (name, value) in plain.get_envs() {
            traced.env(name, value.unwrap_or_default());
        }
        let arguments = ["-o", "json", "serve", "--workers", "0", "--listen", "127.0.0.1:0", "--root"];
        let mut child =
            traced.args(arguments).arg(root).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        let mut said = String::new();
        let served = loop {
            let Some(Ok(line)) = lines.next() else {
                child.wait().unwrap();
                return None;
            };
            said += &line;
            if let Ok(served) = serde_json::from_str::<Value>(&said) {
                break served;
            }
        };
        let client = Client::new(served["address"].as_str().unwrap().parse().unwrap());
        Some((Self(child), client.with("Authorization", &format!("Bearer {token}"))))
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        // What is traced ends with its tracer only if it is killed by it: it is asked first.
        let children = format!("/proc/{0}/task/{0}/children", self.0.id());
        let traced = fs_err::read_to_string(children).unwrap_or_default();
        for child in traced.split_whitespace().filter_map(|child| child.parse().ok()) {
            let _ = kill(Pid::from_raw(child), Signal::SIGKILL);
        }
        let _ = self.0.wait();
    }
}

#[test]
fn what_is_registered_is_told_wherever_the_server_dies() {
    if !have("strace") {
        return;
    }
    let traced = Command::new("strace").args(["-f", "-e", "trace=none", "true"]).output().unwrap();
    if !traced.status.success() {
        return skip(&format!("no process can be traced here: {}", String::from_utf8_lossy(&traced.stderr)));
    }
    let folder = tempfile::tempdir().unwrap();
    let Some((mut team, token, environment)) = begin(folder.path()) else { return };
    team.kill();
    let root = team.root.clone();
    let path = format!("{DEFAULT}/environments");
    let (mut unheard, mut lived) = (0, false);
    for n in 1..=20 {
        let name = format!("pot-{n}");
        let answered = Doomed::start(&root, n, &token).is_some_and(|(doomed, owner)| {
            let body = json!({ "name": name, "environment": environment }).to_string();
            let headers = [("Content-Type", "application/json")];
            let answer = owner.try_send("POST", &path, &headers, body.as_bytes());
            let answered = answer.is_ok_and(|answer| answer.status == 201);
            // It lives on where all was done before the nth time, the entry included.
            lived = answered
                && owner.try_send("GET", "/audit/checkpoint", &[], b"").is_ok_and(|a| a.status == 200);
            drop(doomed);
            answered
        });
        let mut team = Team::start_again(&root, &["--workers", "0"], &token);
        let is_there = team.owner.get(&format!("{path}/{name}/versions/1")).status == 200;
        assert!(is_there || !answered, "{name} was answered, and is not there");
        unheard += usize::from(is_there && !answered);
        let subject = json!(format!("{name}:1"));
        let told = entries(&team.owner, "environment.register");
        let told: Vec<&Value> = told.iter().filter(|entry| entry["subject"] == subject).collect();
        assert_eq!(told.len(), usize::from(is_there), "killed at {n}: {told:?}");
        assert!(told.iter().all(|entry| entry["by"] == "owner" && entry["details"]["found_by"].is_null()));
        is_whole(&team, folder.path(), &token);
        team.kill();
        if lived {
            break;
        }
    }
    assert!(lived, "the server always died");
    assert!(unheard > 0, "no server died after the change and before its answer");
}

#[test]
fn how_far_an_import_came_is_told_though_its_server_died() {
    let folder = tempfile::tempdir().unwrap();
    let Some((mut team, token, environment)) = begin(folder.path()) else { return };
    let version = format!("{DEFAULT}/environments/tea/versions/1");
    let receipt = team.owner.get(&format!("{version}/receipt")).is(200).json();
    let mut lines = String::new();
    for number in 0..1500 {
        let mut environment = environment.clone();
        environment["name"] = json!("mass");
        environment["environment_variables"] = json!({ "NUMBER": number.to_string() });
        lines += &format!("{}\n", json!({ "environment": environment, "receipt": receipt }));
    }
    // More is said to come than does: the first thousand are in, and the import goes on.
    let length = (lines.len() + 1).to_string();
    let headers = [("Content-Type", "application/x-ndjson"), ("Content-Length", &*length)];
    let mut connection = team.owner.begin("POST", &format!("{DEFAULT}/import"), &headers);
    connection.write_all(lines.as_bytes()).unwrap();
    let last = format!("{DEFAULT}/environments/mass/versions/1000");
    eventually("a thousand are in", || team.owner.get(&last).status == 200);
    assert_eq!(entries(&team.owner, "environment.import"), Vec::<Value>::new(), "it goes on");
    team.kill();
    drop(connection);
    let team = Team::start_again(&team.root, &["--workers", "0"], &token);
    eventually("it is told", || !entries(&team.owner, "environment.import").is_empty());
    let (begun, ended) =
        (entries(&team.owner, "environment.import-begin"), entries(&team.owner, "environment.import"));
    let expected = json!({ "import": begun[0]["details"]["import"], "versions": "1000", "created": "1000" });
    assert_eq!((ended.len(), &ended[0]["by"], &ended[0]["details"]), (1, &json!("owner"), &expected));
    assert_eq!(entries(&team.owner, "environment.register").len(), 1, "no entry for each of them");
    is_whole(&team, folder.path(), &token);
}
