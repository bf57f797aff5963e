//! Runs that another machine tells of.

use provenv_definition::Digest;
use provenv_testing::pypi::{Index, Wheel};
use serde_json::{Value, json};

use super::builds::register;
use super::team::{DEFAULT, Team, post, problem};
use crate::registry::client::{Answer, Client};
use crate::support::{definition, serve};

fn tell(client: &Client, id: &str, now: &Value) -> Answer {
    let path = format!("{DEFAULT}/runs/{id}");
    client.send("PATCH", &path, &[("Content-Type", "application/json")], now.to_string().as_bytes())
}

/// What was written down about runs, the oldest first.
fn written(team: &Team) -> Vec<Value> {
    let entries = team.owner.get(&format!("{DEFAULT}/audit?limit=500")).is(200).json();
    let entries = entries["entries"].as_array().unwrap().iter().rev().map(|one| one["entry"].clone());
    entries.filter(|entry| entry["action"].as_str().unwrap().starts_with("run.")).collect()
}

#[test]
fn a_run_begins_and_ends_once_however_often_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    register(&team.owner, &definition(&index, "tea", &["tea"]));
    let (ann, ben) = (team.user("ann", Some("contributor")), team.user("ben", Some("contributor")));
    let run = json!({
        "id": "run-1", "name": "brew", "environment": "tea:1", "image": Digest::of(b"image"), "job": {},
        "started_at": "2026-11-28T06:00:00Z",
    });
    let begin = |client: &Client| post(client, &format!("{DEFAULT}/runs"), &run);
    // Many at once, as from a client that heard no answer.
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| begin(&ann).is(201));
        }
    });
    problem(begin(&ben), 422, "change-invalid");

    let log = format!("{DEFAULT}/runs/run-1/log");
    ann.put(&format!("{log}?offset=0"), b"hot\n").is(204);
    tell(&ann, "run-1", &json!({ "status": "running" })).is(200);
    let done = json!({ "status": "completed", "exit_code": 0 });
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let telling: Vec<_> =
            (0..6).map(|_| scope.spawn(|| tell(&ann, "run-1", &done).is(200).json())).collect();
        telling.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");

    // It has ended, and nothing about it changes.
    for other in [
        json!({ "status": "failed", "exit_code": 1 }),
        json!({ "status": "completed", "exit_code": 0, "error": "no" }),
        json!({ "status": "running" }),
    ] {
        problem(tell(&ann, "run-1", &other), 409, "run-ended");
    }
    problem(ann.put(&format!("{log}?offset=0"), b""), 409, "run-ended");
    problem(tell(&ben, "run-1", &done), 422, "change-invalid");
    assert_eq!(ann.get(&log).is(200).text(), "hot\n");
    let shown = ann.get(&format!("{DEFAULT}/runs/run-1")).is(200).json();
    assert_eq!(shown, answers[0]);

    let written: Vec<(Value, Value, Value)> = written(&team)
        .into_iter()
        .map(|entry| (entry["action"].clone(), entry["by"].clone(), entry["details"].clone()))
        .collect();
    assert_eq!(
        written,
        [
            (json!("run.begin"), json!("ann"), json!({ "environment": "tea:1" })),
            (json!("run.end"), json!("ann"), json!({ "status": "completed" })),
        ]
    );
}
