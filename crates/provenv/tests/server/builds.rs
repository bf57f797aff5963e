//! Builds as jobs: asked for, followed, stopped, taken up again.

use std::io::Read as _;

use nix::sys::signal::Signal;
use provenv_testing::pypi::{Index, Wheel};
use serde_json::{Value, json};

use super::team::{DEFAULT, Team, post, problem};
use crate::registry::client::Client;
use crate::support::{definition, eventually, serve};

/// Registers `tea`, whose packages are at `index`; the path of its version.
pub fn register(client: &Client, text: &str) -> String {
    let body = json!({ "file": { "name": "environment.yaml", "text": text } });
    let made = post(client, &format!("{DEFAULT}/environments"), &body).is(201);
    made.must("Location").to_owned()
}

/// Waits for the end of a job.
pub fn ended(client: &Client, job: &Value) -> Value {
    let path = format!("{DEFAULT}/jobs/{}", job["id"].as_str().unwrap());
    let mut last = Value::Null;
    eventually("the job ends", || {
        last = client.get(&path).is(200).json();
        last["ended_at"].is_string()
    });
    last
}

#[test]
fn a_build_is_one_job_however_many_ask() {
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let ann = team.user("ann", Some("contributor"));
    let version = register(&ann, &definition(&index, "tea", &["tea"]));
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let ask = || ann.post(&format!("{version}/build"), b"").is(202).json();
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let job = ended(&ann, &answers[0]);
    assert_eq!(
        (&job["status"], &job["created_by"], &job["attempts"]),
        (&json!("succeeded"), &json!("ann"), &json!(1)),
        "{job}"
    );
    // Whoever asked after its end was given the image at once, and nothing was built for it.
    let jobs = team.owner.get(&format!("{DEFAULT}/jobs")).is(200).json();
    for one in jobs["jobs"].as_array().unwrap() {
        assert_eq!(one["image"], job["image"], "{one}");
        assert!(one["id"] == job["id"] || one["attempts"] == 0, "{one}");
    }
    let image = ann.get(&format!("{version}/image")).is(200).json();
    assert_eq!(image["digest"], job["image"]);
    assert!(image["packages"].as_array().unwrap().iter().any(|package| package["name"] == "tea"));
    // The folder is a workspace as any, where its catalogue is in it.
    if std::env::var_os("PROVENV_TEST_CATALOGUE").is_none() {
        let builds = crate::support::command(&team.root.join("workspaces/default"))
            .args(["-o", "json", "builds", "list"])
            .output()
            .unwrap();
        let builds: Value = serde_json::from_slice(&builds.stdout).unwrap();
        assert_eq!(builds.as_array().unwrap().len(), 1, "{builds}");
    }

    // Its log, from any offset.
    let log = format!("{DEFAULT}/jobs/{}/log", job["id"].as_str().unwrap());
    let whole = ann.get(&log).is(200);
    let text = whole.text();
    assert!(text.contains("attempt 1") && text.contains("tea"), "{text}");
    assert_eq!(whole.must("X-Provenv-Next-Offset"), text.len().to_string());
    let rest = ann.get(&format!("{log}?offset=10")).is(200).text();
    assert_eq!(rest, text[10..]);
    let end = ann.get(&format!("{log}?offset={}", text.len())).is(200);
    assert_eq!(end.text(), "");
    // And as events, from the beginning or from where somebody was.
    let events = |headers: &[(&str, &str)]| {
        let path = format!("{DEFAULT}/jobs/{}/events", job["id"].as_str().unwrap());
        let mut said = String::new();
        ann.begin("GET", &path, headers).read_to_string(&mut said).unwrap();
        assert!(said.starts_with("HTTP/1.1 200") && said.contains("text/event-stream"), "{said}");
        said
    };
    let all = events(&[]);
    let lines: Vec<&str> = all.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let (end, heard) = lines.split_last().unwrap();
    assert_eq!(heard.iter().map(|line| format!("{line}\n")).collect::<String>(), text);
    assert_eq!(serde_json::from_str::<Value>(end).unwrap()["status"], "succeeded");
    let second = text.find('\n').unwrap() + 1;
    let later = events(&[("Last-Event-ID", &second.to_string())]);
    assert!(
        !later.contains("attempt 1") && later.contains(text[second..].lines().next().unwrap()),
        "{later}"
    );
}

#[test]
fn a_failure_is_kept_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let version = register(&team.owner, &definition(&index, "tea", &["tea"]));
    // What was locked was not fetched yet, and where it was there is nobody now.
    drop(index);
    let job = team.owner.post(&format!("{version}/build"), b"").is(202).json();
    // A server that does not answer may do so later: it is tried again, and until then it waits.
    let path = format!("{DEFAULT}/jobs/{}", job["id"].as_str().unwrap());
    eventually("the first attempt ends", || {
        team.owner.get(&format!("{path}/log")).is(200).text().contains("attempt 1 failed, the next begins in")
    });
    let waiting = team.owner.get(&path).is(200).json();
    assert!(waiting["ended_at"].is_null(), "{waiting}");
    let canceled = team.owner.post(&format!("{path}/cancel"), b"").is(200).json();
    assert_eq!(canceled["cancel_asked"], true);
    assert_eq!(ended(&team.owner, &job)["status"], "canceled");
    // To ask once more for what was stopped changes nothing.
    assert_eq!(team.owner.post(&format!("{path}/cancel"), b"").is(200).json()["status"], "canceled");
    problem(team.owner.post(&format!("{DEFAULT}/jobs/nothing/cancel"), b""), 404, "job-not-found");
}

#[test]
fn a_job_outlives_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut team) = Team::with_base(folder.path()) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let version = register(&team.owner, &definition(&index, "tea", &["tea"]));
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    // One that builds nothing takes it.
    team.signal(Signal::SIGTERM);
    assert_eq!(team.wait().0, Some(0));
    let mut idle = Team::start_again(&team.root, &["--workers", "0"], &token);
    assert_eq!(idle.served.get("owner_token"), None);
    let job = idle.owner.post(&format!("{version}/build"), b"").is(202).json();
    assert_eq!(job["status"], "queued");
    idle.kill();
    let after = Team::start_again(&team.root, &[], &token);
    let job = ended(&after.owner, &job);
    assert_eq!(job["status"], "succeeded", "{job}");
}

#[test]
fn a_build_whose_worker_is_killed_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut team) = Team::with_base(folder.path()) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let version = register(&team.owner, &definition(&index, "tea", &["tea"]));
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    let job = team.owner.post(&format!("{version}/build"), b"").is(202).json();
    let path = format!("{DEFAULT}/jobs/{}", job["id"].as_str().unwrap());
    eventually("it begins", || team.owner.get(&path).is(200).json()["status"] != "queued");
    team.kill();
    let after = Team::start_again(&team.root, &["--workers", "2"], &token);
    let job = ended(&after.owner, &job);
    assert_eq!(job["status"], "succeeded", "{job}");
    after.owner.get(&format!("{version}/image")).is(200);
}
