//! A server that is told to stop while it is asked for things.

use std::io::Write as _;
use std::net::TcpStream;

use nix::sys::signal::Signal;
use provenv_testing::pypi::{Index, Wheel};
use serde_json::json;

use super::client::{Answer, read};
use super::support::{definition, eventually, serve};
use super::team::{DEFAULT, Team};

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
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
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
