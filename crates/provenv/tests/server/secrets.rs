//! Credentials that a server keeps: sent to the host that they are for, shown nowhere.

use std::io::Write as _;
use std::process::Stdio;

use provenv_testing::pypi::{Index, Wheel};
use serde_json::{Value, json};

use super::builds::{ended, register};
use super::client::Client;
use super::support::{Done, definition, serve};
use super::team::{DEFAULT, Team, post, problem, put};

const SECRET: &str = "hunter2-never-shown";

/// Whether a text is in any file of a folder.
fn is_in_files(root: &std::path::Path, text: &str) -> bool {
    walkdir::WalkDir::new(root).into_iter().map(Result::unwrap).filter(|file| file.file_type().is_file()).any(
        |file| {
            let bytes = fs_err::read(file.path()).unwrap();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        },
    )
}

fn set(client: &Client, name: &str, host: &str) -> super::client::Answer {
    let body = json!({ "host": host, "username": "ann", "password": SECRET });
    put(client, &format!("{DEFAULT}/secrets/{name}"), &body)
}

#[test]
fn an_index_gets_the_secret_that_is_for_it_and_nobody_sees_it() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut team) = Team::with_base(folder.path()) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    index.require_auth("ann", SECRET);
    let host = index.address().to_string();
    let ann = team.user("ann", Some("contributor"));
    let text = definition(&index, "tea", &["tea"]);
    let body = json!({ "file": { "name": "environment.yaml", "text": text } });
    let path = format!("{DEFAULT}/environments");
    problem(post(&ann, &path, &body), 422, "cannot-be-resolved");

    problem(set(&ann, "index", &host), 403, "role-too-low");
    set(&team.owner, "index", &host).is(204);
    let version = register(&ann, &text);
    let job = ended(&ann, &ann.post(&format!("{version}/build"), b"").is(202).json());
    assert_eq!(job["status"], "succeeded", "{job}");
    assert!(index.requests().iter().any(|request| request.header("authorization").is_some()));

    // Nobody is told.
    let listed = ann.get(&format!("{DEFAULT}/secrets")).is(200).json();
    assert_eq!(
        (&listed["secrets"][0]["name"], &listed["secrets"][0]["host"]),
        (&json!("index"), &json!(host))
    );
    let reader = team.user("ben", Some("reader"));
    problem(reader.get(&format!("{DEFAULT}/secrets")), 403, "role-too-low");
    let log = team.owner.get("/audit/entries?action=secret.set").is(200).json();
    assert_eq!(log["entries"].as_array().unwrap().len(), 1);
    for told in [listed, log, job, ann.get(&version).is(200).json()] {
        assert!(!told.to_string().contains(SECRET), "{told}");
    }
    assert!(!is_in_files(&team.root, SECRET), "it is in a file");

    // One secret a host, and each name of its own.
    problem(set(&team.owner, "other", &host), 409, "secret-host-taken");
    for (name, host) in [("index", "https://a.example"), ("index", "a.example/x"), ("index", "a.example:0")] {
        problem(set(&team.owner, name, host), 400, "host-invalid");
    }
    problem(set(&team.owner, "a%20b", "a.example"), 400, "secret-name-invalid");
    problem(team.owner.delete(&format!("{DEFAULT}/secrets/nothing")), 404, "secret-not-found");

    // A new key opens what the old one sealed, after the next start too.
    let key = fs_err::read_to_string(team.root.join("secrets.key")).unwrap();
    assert_eq!(team.owner.post("/api/v1/secrets/rekey", b"").is(200).json(), json!({ "secrets": 1 }));
    let new = fs_err::read_to_string(team.root.join("secrets.key")).unwrap();
    assert!(new != key && new.lines().count() == 1, "{} lines", new.lines().count());
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    team.kill();
    let team = Team::start_again(&team.root, &[], &token);
    let environment = ann_again(&team, &token, &text);
    assert_eq!(environment["name"], "coffee");

    // Without it, it is as before.
    team.owner.delete(&format!("{DEFAULT}/secrets/index")).is(204);
    let text = text.replace("tea", "mate");
    problem(
        post(&team.owner, &path, &json!({ "file": { "name": "e.yaml", "text": text } })),
        422,
        "cannot-be-resolved",
    );
}

/// Registers what must be resolved anew.
fn ann_again(team: &Team, token: &str, text: &str) -> Value {
    let text = text.replace("name: tea", "name: coffee").replace("- tea\n", "- tea>=1\n");
    let body = json!({ "file": { "name": "e.yaml", "text": text } });
    post(&team.with(token), &format!("{DEFAULT}/environments"), &body).is(201).json()
}

#[test]
fn the_servers_own_credentials_are_not_for_those_who_register() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut team) = Team::with_base(folder.path()) else { return };
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    team.kill();
    let netrc = folder.path().join("netrc");
    fs_err::write(&netrc, format!("default login ann password {SECRET}\n")).unwrap();
    let variables = [
        ("PROVENV_INDEX_127_0_0_1_USERNAME", "ann"),
        ("PROVENV_INDEX_127_0_0_1_PASSWORD", SECRET),
        ("NETRC", netrc.to_str().unwrap()),
    ];
    let team = Team::start_with(&team.root, &[], &token, &variables);
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    index.require_auth("ann", SECRET);
    let body = json!({ "file": { "name": "e.yaml", "text": definition(&index, "tea", &["tea"]) } });
    problem(post(&team.owner, &format!("{DEFAULT}/environments"), &body), 422, "cannot-be-resolved");
    assert!(index.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn the_command_line_sets_lists_and_removes_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    let run = |arguments: &[&str], input: &str| -> Done {
        let mut command = team.command(folder.path(), &token);
        command.arg("secret").args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap().into()
    };
    run(&["set", "index", "--host", "packages.example"], &format!("{SECRET}\n")).ok();
    let listed = run(&["list", "-o", "json"], "").ok();
    assert_eq!(listed.json()[0]["host"], "packages.example");
    assert!(!listed.stdout.contains(SECRET));
    assert_eq!(run(&["rekey", "-o", "json"], "").ok().json(), json!({ "secrets": 1 }));
    run(&["remove", "index"], "").ok();
    assert!(run(&["list"], "").ok().stdout.contains("no secrets yet"));
    let empty = run(&["set", "index", "--host", "packages.example"], "");
    assert!(empty.code != 0 && empty.stderr.contains("empty"), "{}", empty.stderr);
}
