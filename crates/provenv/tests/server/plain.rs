//! What no database keeps, and numbers that no place has, are refused alike on both databases.

use std::path::Path;

use provenv_definition::Digest;
use provenv_testing::pypi::{Index, Wheel};
use serde_json::json;

use super::builds::register;
use super::team::{DEFAULT, Team, post, problem, put};
use crate::registry::client::{Answer, Client};
use crate::support::postgres::Postgres;
use crate::support::{definition, fill, serve};

/// A team with a version, its job and a run; in PostgreSQL where that is given.
fn team(folder: &Path, postgres: Option<&Postgres>) -> Option<(Team, String)> {
    let root = folder.join("team");
    fill(&root.join("workspaces/default"))?;
    let url = postgres.map(Postgres::url);
    let variables: Vec<(&str, &str)> = url
        .iter()
        .flat_map(|url| [("PROVENV_SERVER_DATABASE", &**url), ("PROVENV_CATALOGUE_SCHEMA", "plain")])
        .collect();
    let mut team = Team::start_with(&root, &["--workers", "0"], "", &variables);
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    team.owner = team.with(&token);
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let version = register(&team.owner, &definition(&index, "tea", &["tea"]));
    let job = team.owner.post(&format!("{version}/build"), b"").is(202).json();
    let run = json!({
        "id": "run-1", "name": "brew", "environment": "tea:1", "image": Digest::of(b"image"), "job": {},
        "started_at": "2026-11-28T06:00:00Z",
    });
    post(&team.owner, &format!("{DEFAULT}/runs"), &run).is(201);
    Some((team, job["id"].as_str().unwrap().to_owned()))
}

fn patch(client: &Client, path: &str, body: &serde_json::Value) -> Answer {
    client.send("PATCH", path, &[("Content-Type", "application/json")], body.to_string().as_bytes())
}

fn no_nul_is_taken(team: &Team) {
    let owner = &team.owner;
    for path in
        ["environments/%00", "environments/tea/versions/%00", "runs/%00", "jobs/%00", "jobs/a%0Ab/log"]
    {
        problem(owner.get(&format!("{DEFAULT}/{path}")), 400, "path-invalid");
    }
    for query in [
        "environments?creator=%00",
        "environments?tag=a%00",
        "audit?by=%00",
        "runs?after=%00",
        "lineage?of=%00",
    ] {
        problem(owner.get(&format!("{DEFAULT}/{query}")), 400, "parameter-invalid");
    }
    problem(owner.get("/api/v1/workspaces/%00/jobs"), 400, "path-invalid");
    problem(owner.delete("/api/v1/tokens/%00"), 400, "path-invalid");
    problem(owner.delete(&format!("{DEFAULT}/members/%00")), 400, "path-invalid");
    owner.get("/v2/default/%00/tags/list").is(400);
    owner.get("/v2/%00/tea/tags/list").is(400);
    team.nobody().get("/w/%00").is(400);
    let version = format!("{DEFAULT}/environments/tea/versions/1");
    problem(post(owner, "/api/v1/tokens", &json!({ "note": "a\0b" })), 400, "body-invalid");
    problem(patch(owner, &version, &json!({ "description": "a\0b" })), 400, "body-invalid");
    problem(patch(owner, &version, &json!({ "tags": { "a\0": "b" } })), 400, "body-invalid");
    problem(owner.post(&format!("{version}/build"), br#"{"platform":"\u0000"}"#), 400, "body-invalid");
    // YAML has an escape of its own for it.
    let hidden = |text: &str| {
        let file = json!({ "name": "environment.yaml", "text": text });
        post(owner, &format!("{DEFAULT}/environments"), &json!({ "file": file }))
    };
    let environment = owner.get(&version).is(200).json()["environment"].clone();
    let name = hidden("name: \"a\\0\"\nbase: debian/bookworm\n");
    assert!((400..500).contains(&name.status), "{}", name.text());
    let lock = owner.get(&format!("{version}/lock")).is(200).text();
    let lock = lock.replacen("\"tea\"", "\"t\\u0000a\"", 1);
    let sent = json!({ "environment": environment, "name": "pot", "lock": lock });
    let answer = post(owner, &format!("{DEFAULT}/environments"), &sent);
    assert!((400..500).contains(&answer.status), "{}", answer.text());
    let line = json!({ "environment": environment, "receipt": { "note": "\0" } }).to_string();
    let answer = owner.send(
        "POST",
        &format!("{DEFAULT}/import"),
        &[("Content-Type", "application/x-ndjson")],
        line.as_bytes(),
    );
    assert!(problem(answer, 422, "change-invalid")["detail"].as_str().unwrap().contains("U+0000"));
    // Nothing of all this is kept, and what is plain still is.
    assert_eq!(owner.get("/api/v1/tokens").is(200).json()["tokens"].as_array().unwrap().len(), 1);
    patch(owner, &version, &json!({ "description": "two\nlines and \\u0000" })).is(200);
    put(owner, &format!("{DEFAULT}/members/%C3%A4nn"), &json!({ "role": "reader" })).is(200);
}

fn offsets_have_an_end(team: &Team, job: &str) {
    let owner = &team.owner;
    let (last, beyond) = (i64::MAX.to_string(), (1_u64 << 63).to_string());
    for path in [format!("jobs/{job}/log"), "runs/run-1/log".to_owned()] {
        let path = format!("{DEFAULT}/{path}?offset=");
        assert_eq!(owner.get(&format!("{path}{last}")).is(200).text(), "");
        problem(owner.get(&format!("{path}{beyond}")), 400, "parameter-invalid");
    }
    for offset in [&beyond, &u64::MAX.to_string()] {
        let path = format!("{DEFAULT}/runs/run-1/log?offset={offset}");
        problem(owner.put(&path, b"abc"), 400, "parameter-invalid");
        let events = format!("{DEFAULT}/jobs/{job}/events");
        problem(owner.with("Last-Event-ID", offset).get(&events), 400, "offset-invalid");
        problem(owner.get(&format!("{DEFAULT}/audit?before={offset}")), 400, "parameter-invalid");
    }
    problem(owner.put(&format!("{DEFAULT}/runs/run-1/log?offset={last}"), b"abc"), 422, "change-invalid");
    // The description says so.
    let description = owner.get("/openapi.json").is(200).json();
    let path = "/api/v1/workspaces/{workspace}/jobs/{id}/log";
    let parameters = description["paths"][path]["get"]["parameters"].as_array().unwrap().clone();
    let offset = parameters.iter().find(|parameter| parameter["name"] == "offset").unwrap();
    assert_eq!(offset["schema"]["maximum"], json!(i64::MAX), "{offset}");
}

#[test]
fn what_is_not_plain_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let Some((team, job)) = team(folder.path(), None) else { return };
    no_nul_is_taken(&team);
    offsets_have_an_end(&team, &job);
}

#[test]
fn what_is_not_plain_is_refused_on_postgresql_too() {
    let folder = tempfile::tempdir().unwrap();
    let Some(postgres) = Postgres::start() else { return };
    let Some((team, job)) = team(folder.path(), Some(&postgres)) else { return };
    no_nul_is_taken(&team);
    offsets_have_an_end(&team, &job);
}
