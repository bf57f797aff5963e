//! Several servers on one PostgreSQL and one folder.

use nix::sys::signal::Signal;
use provenv_testing::pypi::{Index, Wheel};
use serde_json::json;

use super::builds::{ended, register};
use super::support::postgres::Postgres;
use super::support::{Done, definition, fill, serve};
use super::team::{DEFAULT, Team, post, put, server};

#[test]
fn what_one_server_knows_all_know() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("team");
    let Some(()) = fill(&root.join("workspaces/default")) else { return };
    let Some(postgres) = Postgres::start() else { return };
    let url = postgres.url();
    let variables = [("PROVENV_SERVER_DATABASE", &*url), ("PROVENV_CATALOGUE_SCHEMA", "provenv")];
    let first = Team::start_with(&root, &["--workers", "0"], "", &variables);
    let token = first.served["owner_token"].as_str().unwrap().to_owned();
    let second = Team::start_with(&root, &["--workers", "1"], &token, &variables);
    assert_eq!(second.served.get("owner_token"), None, "the second found what the first began");

    // A token and a role that one gave, and a workspace that one made.
    let owner = first.with(&token);
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
