//! Several servers on one PostgreSQL and one folder.

use std::path::{Path, PathBuf};
use std::sync::Barrier;

use nix::sys::signal::Signal;
use provenv_testing::pypi::{Index, Wheel};
use serde_json::json;

use super::builds::{ended, register};
use super::team::{DEFAULT, Team, post, problem, put, server};
use crate::registry::client::{Answer, Client};
use crate::support::postgres::Postgres;
use crate::support::{Done, definition, fill, serve};

/// Two servers on one PostgreSQL and one folder.
pub struct Pair {
    pub root: PathBuf,
    pub first: Team,
    pub second: Team,
    /// The owner, as a client of either.
    pub owners: [Client; 2],
    pub postgres: Postgres,
}

impl Pair {
    /// They, with so many workers each; `None` (said aloud) where there is no Debian archive or no PostgreSQL.
    pub fn start(folder: &Path, workers: [&str; 2]) -> Option<Self> {
        let root = folder.join("team");
        fill(&root.join("workspaces/default"))?;
        let postgres = Postgres::start()?;
        let url = postgres.url();
        let variables = [("PROVENV_SERVER_DATABASE", &*url), ("PROVENV_CATALOGUE_SCHEMA", "provenv")];
        let first = Team::start_with(&root, &["--workers", workers[0]], "", &variables);
        let token = first.served["owner_token"].as_str().unwrap().to_owned();
        let second = Team::start_with(&root, &["--workers", workers[1]], &token, &variables);
        assert_eq!(second.served.get("owner_token"), None, "the second found what the first began");
        let owners = [first.with(&token), second.owner.clone()];
        Some(Self { root, first, second, owners, postgres })
    }
}

#[test]
fn what_one_server_knows_all_know() {
    let folder = tempfile::tempdir().unwrap();
    let Some(Pair { first, second, owners: [owner, _], postgres, root, .. }) =
        Pair::start(folder.path(), ["0", "1"])
    else {
        return;
    };

    // A token and a role that one gave, and a workspace that one made.
    let ann = post(&owner, "/api/v1/tokens", &json!({ "user": "ann" })).is(201).json();
    let ann = ann["secret"].as_str().unwrap();
    put(&owner, &format!("{DEFAULT}/members/ann"), &json!({ "role": "contributor" })).is(200);
    post(&second.owner, "/api/v1/workspaces", &json!({ "name": "vision" })).is(201);
    owner.get("/api/v1/workspaces/vision/environments").is(200);
    second.with(ann).get("/api/v1/workspaces/vision/environments").is(404);

    // A version and a build that one was asked for, and the other has and makes.
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let version = register(&first.with(ann), &definition(&index, "tea", &["tea"]));
    let job = first.with(ann).post(&format!("{version}/build"), b"").is(202).json();
    let job = ended(&owner, &job);
    assert_eq!(job["status"], "succeeded", "{job}");
    let log = format!("{DEFAULT}/jobs/{}/log", job["id"].as_str().unwrap());
    let logs = [&first, &second].map(|team| team.with(ann).get(&log).is(200).text());
    assert!(logs[0] == logs[1] && logs[0].contains("attempt 1"), "{logs:?}");
    let images = [&first, &second]
        .map(|team| team.with(ann).get(&format!("{version}/image")).is(200).json()["digest"].clone());
    assert_eq!(images, [job["image"].clone(), job["image"].clone()]);

    // Nothing of it is in the folder.
    assert!(!root.join("server.db").exists() && !root.join("workspaces/default/catalogue.db").exists());
    let schemas = postgres.query(
        "team",
        "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'provenv%' ORDER BY 1",
    );
    let schemas: Vec<&str> = schemas.lines().collect();
    assert_eq!(schemas, ["provenv__server", "provenv_default", "provenv_vision"]);
}

/// Asks both servers at once, several times each.
pub fn at_once<T: Send>(clients: &[Client], ask: impl Fn(usize, &Client) -> T + Sync) -> Vec<T> {
    let begin = Barrier::new(clients.len());
    std::thread::scope(|scope| {
        let (begin, ask) = (&begin, &ask);
        let asking = clients.iter().enumerate().map(|(number, client)| {
            scope.spawn(move || {
                begin.wait();
                ask(number, client)
            })
        });
        let asking: Vec<_> = asking.collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

#[test]
fn what_is_asked_of_two_servers_at_once_is_done_once() {
    let folder = tempfile::tempdir().unwrap();
    let Some(pair) = Pair::start(folder.path(), ["0", "0"]) else { return };
    let [owner, other] = &pair.owners;
    let clients: Vec<Client> = (0..6).map(|number| pair.owners[number % 2].clone()).collect();
    let json_headers = [("Content-Type", "application/json")];

    // One tag, many changes: one is made, and the others hear that they come too late.
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let version = register(owner, &definition(&index, "tea", &["tea"]));
    for round in 0..6 {
        let tag = owner.get(&version).is(200).must("ETag").to_owned();
        let answers = at_once(&clients, |number, client| {
            let change = json!({ "tags": { "cup": format!("{round}-{number}") } }).to_string();
            client.with("If-Match", &tag).send("PATCH", &version, &json_headers, change.as_bytes())
        });
        let (made, late): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
        assert_eq!(made.len(), 1, "{:?}", late.iter().map(Answer::text).collect::<Vec<_>>());
        for answer in late {
            problem(answer, 412, "changed-meanwhile");
        }
        // What was made is what is there, with the tag that came along.
        let now = other.get(&version).is(200);
        assert_eq!(now.must("ETag"), made[0].must("ETag"));
        assert_eq!(now.json()["environment"]["tags"], made[0].json()["environment"]["tags"]);
    }
    let history = owner.get(&format!("{DEFAULT}/environments/tea/history?limit=500")).is(200).json();
    let changes = history["changes"].as_array().unwrap();
    assert_eq!(changes.iter().filter(|change| change["change"] == "tag").count(), 6, "{changes:?}");
    // What happens to another version says nothing about this one.
    let tag = owner.get(&version).is(200).must("ETag").to_owned();
    let with_variable = definition(&index, "tea", &["tea"]) + "environment_variables: { CUP: big }\n";
    let later = register(owner, &with_variable);
    post(owner, &format!("{later}/archive"), &json!({})).is(200);
    let change = json!({ "description": "hot" }).to_string();
    let weak = other.with("If-Match", &format!("\"other\", W/{tag}"));
    problem(weak.send("PATCH", &version, &json_headers, change.as_bytes()), 412, "changed-meanwhile");
    let strong = other.with("If-Match", "\"other\"").with("If-Match", &tag);
    strong.send("PATCH", &version, &json_headers, change.as_bytes()).is(200);
    other.with("If-Match", "*").send("PATCH", &version, &json_headers, change.as_bytes()).is(200);

    // One key, one token, whichever server was asked: the others hear that it was made.
    for round in 0..4 {
        let note = format!("key {round}");
        let answers = at_once(&clients, |_, client| {
            post(&client.with("Idempotency-Key", &note), "/api/v1/tokens", &json!({ "note": note })).status
        });
        assert_eq!(answers.iter().filter(|status| **status == 201).count(), 1, "{answers:?}");
        assert!(answers.iter().all(|status| matches!(status, 201 | 409)), "{answers:?}");
        let tokens = other.get("/api/v1/tokens").is(200).json();
        let made = tokens["tokens"].as_array().unwrap().iter().filter(|token| token["note"] == *note);
        assert_eq!(made.count(), 1, "{tokens}");
    }
    // One key, one answer.
    let answers = at_once(&clients, |_, client| {
        let client = client.with("Idempotency-Key", "a workspace");
        let answer = post(&client, "/api/v1/workspaces", &json!({ "name": "vision" }));
        (answer.status, answer.text())
    });
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.0 == 201), "{answers:?}");

    // A role that one took away is gone at the other at once, and so is a token.
    let made = post(owner, "/api/v1/tokens", &json!({ "user": "ann" })).is(201).json();
    let ann = pair.second.with(made["secret"].as_str().unwrap());
    let member = format!("{DEFAULT}/members/ann");
    for _ in 0..3 {
        put(owner, &member, &json!({ "role": "contributor" })).is(200);
        ann.post(&format!("{version}/build"), b"").is(202);
        put(owner, &member, &json!({ "role": "reader" })).is(200);
        problem(ann.post(&format!("{version}/build"), b""), 403, "role-too-low");
        owner.delete(&member).is(204);
        problem(ann.get(&version), 404, "workspace-not-found");
    }
    owner.delete(&format!("/api/v1/tokens/{}", made["id"].as_str().unwrap())).is(204);
    problem(ann.get("/api/v1/whoami"), 401, "token-needed");
}

#[test]
fn a_folder_is_served_with_its_own_database_alone() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("team");
    let Some(postgres) = Postgres::start() else { return };
    let url = postgres.url();
    let mut team = Team::start_with(&root, &[], "", &[("PROVENV_SERVER_DATABASE", &url)]);
    team.signal(Signal::SIGTERM);
    assert_eq!(team.wait().0, Some(0));
    let refused = |variables: &[(&str, &str)]| {
        let mut command = server(&root);
        command.args(["serve", "--listen", "127.0.0.1:0", "--root"]).arg(&root);
        let done = Done::from(command.envs(variables.iter().copied()).output().unwrap());
        assert_eq!(done.code, 1, "{}", done.stderr);
        assert!(done.stderr.contains("hint:") && !done.stderr.contains("secret"), "{}", done.stderr);
        done.stderr
    };
    let said = refused(&[("PROVENV_SERVER_DATABASE", "")]);
    assert!(said.contains("PROVENV_SERVER_DATABASE"), "{said}");
    let said = refused(&[("PROVENV_SERVER_DATABASE", &url), ("PROVENV_CATALOGUE_SCHEMA", "another")]);
    assert!(said.contains("another"), "{said}");
    let said = refused(&[("PROVENV_SERVER_DATABASE", "mysql://user:secret@host/team")]);
    assert!(said.contains("postgres://"), "{said}");
}

#[test]
fn a_server_and_a_worker_wait_for_a_database_that_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("team");
    let Some(mut postgres) = Postgres::start() else { return };
    let url = postgres.url();
    let variables = [("PROVENV_SERVER_DATABASE", &*url)];
    let mut first = Team::start_with(&root, &["--workers", "0"], "", &variables);
    let token = first.served["owner_token"].as_str().unwrap().to_owned();
    first.kill();
    postgres.kill();
    // Both begin while nobody answers, and have not ended when it is back.
    let begin = |arguments: &[&str]| {
        let mut command = server(&root);
        command.envs(variables).args(arguments).arg("--root").arg(&root);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        command.spawn().unwrap()
    };
    let mut waiting = [begin(&["worker"]), begin(&["serve", "--listen", "127.0.0.1:0"])];
    // They are told to stop as at any other time.
    let mut told = begin(&["worker"]);
    std::thread::scope(|scope| {
        let starting = scope.spawn(|| Team::start_with(&root, &["--workers", "0"], &token, &variables));
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(told.id().cast_signed()), Signal::SIGTERM).unwrap();
        // Before it listens for signals one ends it too; either way it does not wait.
        told.wait().unwrap();
        postgres.run();
        let team = starting.join().unwrap();
        team.owner.get(&format!("{DEFAULT}/environments")).is(200);
    });
    for child in &mut waiting {
        assert_eq!(child.try_wait().unwrap(), None, "it ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
