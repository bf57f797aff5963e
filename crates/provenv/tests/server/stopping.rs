//! A server that is told to stop while it is asked for things.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use nix::sys::signal::Signal;
use provenv_definition::Digest;
use provenv_testing::pypi::{Index, Wheel};
use serde_json::{Value, json};

use super::builds::{ended, register};
use super::team::{DEFAULT, Team};
use crate::registry::client::{Answer, read, with_digest};
use crate::support::{definition, eventually, serve};

/// How many register at once: more than are resolved at once, so that some wait for their turn.
const MANY: usize = 6;

#[test]
fn no_request_that_was_accepted_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut team) = Team::with_base(folder.path()) else { return };
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let text = definition(&index, "tea", &["tea"]);
    let requests: Vec<TcpStream> = (0..MANY)
        .map(|number| {
            let text = format!("{text}environment_variables: {{CUP: '{number}'}}\n");
            let body = json!({ "file": { "name": "environment.yaml", "text": text } }).to_string();
            let headers =
                [("Content-Type", "application/json"), ("Content-Length", &*body.len().to_string())];
            let mut connection = team.owner.begin("POST", &format!("{DEFAULT}/environments"), &headers);
            connection.write_all(body.as_bytes()).unwrap();
            connection
        })
        .collect();
    // Connections are taken in their order: this one comes after all of them.
    eventually("the first is done", || {
        let listed = team.owner.get(&format!("{DEFAULT}/environments?all=true")).is(200).json();
        !listed["environments"].as_array().unwrap().is_empty()
    });
    team.signal(Signal::SIGTERM);
    let answers: Vec<Answer> = requests.into_iter().map(|request| read(request, "POST").is(201)).collect();
    assert_eq!(team.wait().0, Some(0));
    let mut versions: Vec<u64> =
        answers.iter().map(|answer| answer.json()["version"].as_str().unwrap().parse().unwrap()).collect();
    versions.sort_unstable();
    assert_eq!(versions, (1..=MANY as u64).collect::<Vec<_>>());
    let after = Team::start_again(&team.root, &[], &token);
    for answer in answers {
        after.owner.get(answer.must("Location")).is(200);
    }
}

#[test]
fn whoever_follows_a_build_is_let_go_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut team) = Team::with_base(folder.path()) else { return };
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    // One that builds nothing takes over: the build waits for as long as somebody follows it.
    team.signal(Signal::SIGTERM);
    assert_eq!(team.wait().0, Some(0));
    let mut idle = Team::start_again(&team.root, &["--workers", "0"], &token);
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let version = register(&idle.owner, &definition(&index, "tea", &["tea"]));
    let job = idle.owner.post(&format!("{version}/build"), b"").is(202).json();
    let path = format!("{DEFAULT}/jobs/{}", job["id"].as_str().unwrap());
    let mut following = idle.owner.begin("GET", &format!("{path}/events"), &[]);
    let mut said = [0; 12];
    following.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"HTTP/1.1 200");
    idle.signal(Signal::SIGTERM);
    // The stream ends as streams do, and not in the middle; nobody waits for the end of the build.
    let mut rest = String::new();
    following.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("0\r\n\r\n") && !rest.contains("event: job"), "{rest}");
    assert_eq!(idle.wait().0, Some(0));

    let after = Team::start_again(&team.root, &[], &token);
    let mut whole = String::new();
    after.owner.begin("GET", &format!("{path}/events"), &[]).read_to_string(&mut whole).unwrap();
    let lines: Vec<&str> = whole.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let (end, heard) = lines.split_last().unwrap();
    assert_eq!(serde_json::from_str::<Value>(end).unwrap()["status"], "succeeded", "{whole}");
    let log = after.owner.get(&format!("{path}/log")).is(200).text();
    assert_eq!(heard.iter().map(|line| format!("{line}\n")).collect::<String>(), log);
}

#[test]
fn an_upload_that_is_under_way_is_taken_and_goes_on_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut team = Team::start(folder.path());
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    let bytes: Vec<u8> = (0..400_000u32).flat_map(u32::to_le_bytes).collect();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let begun = team.owner.post("/v2/default/tea/blobs/uploads/", b"").is(202);
    let location = begun.must("Location").to_owned();
    let length = first.len().to_string();
    let mut pushing = team.owner.begin("PATCH", &location, &[("Content-Length", &length)]);
    pushing.write_all(&first[..first.len() / 2]).unwrap();
    // Connections are taken in their order: this one comes after it.
    team.owner.get("/healthz").is(200);
    team.signal(Signal::SIGTERM);
    pushing.write_all(&first[first.len() / 2..]).unwrap();
    let taken = read(pushing, "PATCH").is(202);
    assert_eq!(taken.must("Range"), format!("0-{}", first.len() - 1));
    assert_eq!(team.wait().0, Some(0));

    let after = Team::start_again(&team.root, &[], &token);
    let status = after.owner.get(&location).is(204);
    assert_eq!(status.must("Range"), format!("0-{}", first.len() - 1));
    let digest = Digest::of(&bytes);
    after.owner.send("PUT", &with_digest(&location, &digest), &[], second).is(201);
    assert!(after.owner.get(&format!("/v2/default/tea/blobs/{digest}")).is(200).body == bytes);
}

#[test]
fn a_build_that_waits_is_built_by_the_next_server() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut team) = Team::with_base(folder.path()) else { return };
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let version = register(&team.owner, &definition(&index, "tea", &["tea"]));
    let job = team.owner.post(&format!("{version}/build"), b"").is(202).json();
    // It waits, or has begun: either way it is given back, or done.
    team.signal(Signal::SIGTERM);
    assert_eq!(team.wait().0, Some(0));
    let after = Team::start_again(&team.root, &[], &token);
    let job = ended(&after.owner, &job);
    assert_eq!(job["status"], "succeeded", "{job}");
}

#[test]
fn a_request_has_a_name_in_its_answer_and_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut team = Team::start_with(
        &folder.path().join("team"),
        &["--log-format", "json"],
        "",
        &[("PROVENV_LOG", "provenv_server=info")],
    );
    let named = team.nobody().with("X-Request-Id", "order-66").get("/healthz").is(200);
    assert_eq!(named.must("X-Request-Id"), "order-66");
    let own = team.nobody().get("/nothing").is(404).must("X-Request-Id").to_owned();
    let unfit = team.nobody().with("X-Request-Id", "two words").get("/healthz").is(200);
    assert!(!unfit.must("X-Request-Id").contains(' '));
    team.signal(Signal::SIGTERM);
    let (code, log) = team.wait();
    assert_eq!(code, Some(0), "{log}");
    // Each line is an object, with the request that it is about.
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for (id, path, status) in [("order-66", "/healthz", 200), (&own, "/nothing", 404)] {
        let found =
            lines.iter().find(|line| line["span"]["id"] == *id).unwrap_or_else(|| panic!("{id}:\n{log}"));
        assert_eq!(
            (&found["fields"]["path"], &found["fields"]["status"], &found["level"]),
            (&json!(path), &json!(status), &json!("INFO")),
            "{found}"
        );
        assert!(found["timestamp"].is_string(), "{found}");
    }
}
