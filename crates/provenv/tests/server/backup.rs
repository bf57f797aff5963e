//! A server is copied while it works, and goes on elsewhere.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use provenv_testing::pypi::{Index, Wheel};
use serde_json::json;

use super::builds::{ended, register};
use super::team::{DEFAULT, Team, post, put};
use crate::support::postgres::Postgres;
use crate::support::{Done, command, definition, eventually, fill, have, serve, skip};

fn run(arguments: &[&Path]) -> Done {
    command(Path::new("/nonexistent")).arg("server").args(arguments).output().unwrap().into()
}

#[test]
fn what_was_there_is_there_again_elsewhere() {
    if std::env::var_os("PROVENV_TEST_CATALOGUE").is_some() {
        return skip("the databases are PostgreSQL's to copy");
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(mut team) = Team::with_base(folder.path()) else { return };
    let owner_token = team.served["owner_token"].as_str().unwrap().to_owned();
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let text = definition(&index, "tea", &["tea"]);
    let version = register(&team.owner, &text);
    let job = ended(&team.owner, &team.owner.post(&format!("{version}/build"), b"").is(202).json());
    assert_eq!(job["status"], "succeeded", "{job}");
    let ann = team.token("ann", Some("contributor"));
    put(&team.owner, &format!("{DEFAULT}/secrets/index"), &json!({ "host": "a.example", "password": "x" }))
        .is(204);
    let manifest = team.with(&ann).get("/v2/default/tea/manifests/1").is(200).body;
    let path = format!("{DEFAULT}/environments");
    let environment = team.owner.get(&version).is(200).json()["environment"].clone();
    let shown = |arguments: &[&str], file: &str| {
        let output =
            team.command(folder.path(), &owner_token).arg("audit-log").args(arguments).output().unwrap();
        fs_err::write(folder.path().join(file), Done::from(output).ok().stdout).unwrap();
    };
    shown(&["key"], "key");

    // While others go on registering.
    let (stop, registered) = (AtomicBool::new(false), AtomicU32::new(0));
    let copies = [folder.path().join("copies/one"), folder.path().join("copies/two")];
    let mut before = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let mut environment = environment.clone();
                environment["version"] = json!(null);
                environment["environment_variables"] = json!({ "NUMBER": number.to_string() });
                let name = format!("many-{number}");
                post(&team.owner, &path, &json!({ "environment": environment, "name": name })).is(201);
                registered.store(number + 1, Ordering::Relaxed);
            }
        });
        eventually("some are registered", || registered.load(Ordering::Relaxed) >= 5);
        shown(&["checkpoint"], "checkpoint");
        before = registered.load(Ordering::Relaxed);
        let done = run(&["backup".as_ref(), "--root".as_ref(), &team.root, &copies[0]]);
        let linked = run(&["backup".as_ref(), "--link".as_ref(), "--root".as_ref(), &team.root, &copies[1]]);
        stop.store(true, Ordering::Relaxed);
        assert!(done.ok().stdout.contains("of which 0 are links"));
        assert!(!linked.ok().stdout.contains("of which 0 are links"));
    });
    assert!(registered.load(Ordering::Relaxed) > before, "they went on");
    let again = run(&["backup".as_ref(), "--root".as_ref(), &team.root, &copies[0]]);
    assert!(again.code == 1 && again.stderr.contains("is there already"), "{}", again.stderr);
    let inside = run(&["backup".as_ref(), "--root".as_ref(), &team.root, &team.root.join("copy")]);
    assert!(inside.code == 1 && inside.stderr.contains("in the folder of the server"), "{}", inside.stderr);
    team.kill();

    for (number, copy) in copies.iter().enumerate() {
        let root = folder.path().join(format!("elsewhere-{number}"));
        run(&["restore".as_ref(), copy, "--root".as_ref(), &root]).ok();
        let taken = run(&["restore".as_ref(), copy, "--root".as_ref(), &root]);
        assert!(taken.code == 1 && taken.stderr.contains("is not empty"), "{}", taken.stderr);
        let team = Team::start_again(&root, &[], &owner_token);
        let ann = team.with(&ann);
        assert_eq!(ann.get("/v2/default/tea/manifests/1").is(200).body, manifest);
        let image = ann.get(&format!("{version}/image")).is(200).json();
        assert_eq!(image["digest"], job["image"]);
        let log = ann.get(&format!("{DEFAULT}/jobs/{}/log", job["id"].as_str().unwrap())).is(200).text();
        assert!(log.contains("attempt 1"), "{log}");
        for number in 0..before {
            let found = ann.get(&format!("{path}/many-{number}/versions/1")).is(200).json();
            assert_eq!(found["lock"], image["lock"], "{found}");
        }
        // Secrets open, and the log is a continuation of what was signed before.
        assert_eq!(team.owner.post("/api/v1/secrets/rekey", b"").is(200).json(), json!({ "secrets": 1 }));
        let mut verify = team.command(folder.path(), &owner_token);
        verify.args(["audit-log", "verify", "--key", "key", "--earlier", "checkpoint"]);
        let verified = Done::from(verify.output().unwrap()).ok();
        assert!(verified.stdout.contains("the log is whole"), "{}", verified.stdout);
        let doctor = command(&root.join("workspaces/default")).args(["store", "scrub"]).output().unwrap();
        Done::from(doctor).ok();
    }
    // A copy that lost its end is none.
    fs_err::remove_file(copies[0].join("backup.json")).unwrap();
    let broken = run(&["restore".as_ref(), &copies[0], "--root".as_ref(), &folder.path().join("x")]);
    assert!(broken.code == 1 && broken.stderr.contains("is not a whole back-up"), "{}", broken.stderr);
    assert!(!folder.path().join("x").exists());
}

/// The command line for a server in this database.
fn run_in(url: &str, arguments: &[&Path]) -> Done {
    let mut command = command(Path::new("/nonexistent"));
    command.env("PROVENV_SERVER_DATABASE", url).env("PROVENV_CATALOGUE_SCHEMA", "provenv");
    command.arg("server").args(arguments).output().unwrap().into()
}

#[test]
fn a_server_in_postgresql_is_copied_while_it_works_and_goes_on_in_another() {
    if !have("pg_dump") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("team");
    let Some(()) = fill(&root.join("workspaces/default")) else { return };
    let Some(postgres) = Postgres::start() else { return };
    postgres.query("postgres", "CREATE DATABASE elsewhere");
    // What is there beside it is none of its own.
    postgres.query("team", "CREATE SCHEMA provenv_of_others; CREATE TABLE provenv_of_others.x (y INT)");
    let url = postgres.url();
    let other_url = url.replace("/team", "/elsewhere");
    let of = |url: &str| {
        [("PROVENV_SERVER_DATABASE", url.to_owned()), ("PROVENV_CATALOGUE_SCHEMA", "provenv".to_owned())]
    };
    let start = |root: &Path, url: &str, token: &str| {
        let variables = of(url);
        let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, &**value)).collect();
        Team::start_with(root, &[], token, &variables)
    };
    let first = start(&root, &url, "");
    let token = first.served["owner_token"].as_str().unwrap().to_owned();
    let owner = first.with(&token);
    post(&owner, "/api/v1/workspaces", &json!({ "name": "far-vision" })).is(201);
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let version = register(&owner, &definition(&index, "tea", &["tea"]));
    let job = ended(&owner, &owner.post(&format!("{version}/build"), b"").is(202).json());
    assert_eq!(job["status"], "succeeded", "{job}");
    put(&owner, &format!("{DEFAULT}/secrets/index"), &json!({ "host": "a.example", "password": "x" }))
        .is(204);
    let manifest = owner.get("/v2/default/tea/manifests/1").is(200).body;
    let environment = owner.get(&version).is(200).json()["environment"].clone();
    let path = format!("{DEFAULT}/environments");
    let shown = |team: &Team, arguments: &[&str]| {
        let mut command = team.command(folder.path(), &token);
        Done::from(command.arg("audit-log").args(arguments).output().unwrap()).ok().stdout
    };
    fs_err::write(folder.path().join("pg-key"), shown(&first, &["key"])).unwrap();

    let copy = folder.path().join("copy");
    let backup: [&Path; 4] = ["backup".as_ref(), "--root".as_ref(), &root, &copy];
    let mut without = command(Path::new("/nonexistent"));
    without.env("PROVENV_SERVER_DATABASE", &url).env("PATH", "/nonexistent").arg("server").args(backup);
    let without = Done::from(without.output().unwrap());
    assert!(without.code == 1 && without.stderr.contains("`pg_dump` is not here"), "{}", without.stderr);
    assert!(without.stderr.contains("postgresql-client") && !copy.exists(), "{}", without.stderr);

    // While others go on registering.
    let (stop, registered) = (AtomicBool::new(false), AtomicU32::new(0));
    let mut before = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let mut environment = environment.clone();
                environment["version"] = json!(null);
                environment["environment_variables"] = json!({ "NUMBER": number.to_string() });
                let name = format!("many-{number}");
                post(&owner, &path, &json!({ "environment": environment, "name": name })).is(201);
                registered.store(number + 1, Ordering::Relaxed);
            }
        });
        eventually("some are registered", || registered.load(Ordering::Relaxed) >= 5);
        fs_err::write(folder.path().join("pg-checkpoint"), shown(&first, &["checkpoint"])).unwrap();
        before = registered.load(Ordering::Relaxed);
        let done = run_in(&url, &backup);
        stop.store(true, Ordering::Relaxed);
        assert!(done.ok().stdout.contains("and 3 schemas of PostgreSQL"));
    });
    drop(first);

    let elsewhere = folder.path().join("elsewhere");
    let restore: [&Path; 4] = ["restore".as_ref(), &copy, "--root".as_ref(), &elsewhere];
    let taken = run_in(&url, &restore);
    assert!(
        taken.code == 1 && taken.stderr.contains("has the schema `provenv__server` already"),
        "{}",
        taken.stderr
    );
    let mut nowhere = command(Path::new("/nonexistent"));
    nowhere.env_remove("PROVENV_CATALOGUE").arg("server").args(restore);
    let nowhere = Done::from(nowhere.output().unwrap());
    assert!(nowhere.code == 1 && nowhere.stderr.contains("none is named to put it in"), "{}", nowhere.stderr);
    assert!(!elsewhere.exists(), "nothing half-made");
    run_in(&other_url, &restore).ok();

    let team = start(&elsewhere, &other_url, &token);
    assert_eq!(team.owner.get("/v2/default/tea/manifests/1").is(200).body, manifest);
    let image = team.owner.get(&format!("{version}/image")).is(200).json();
    assert_eq!(image["digest"], job["image"]);
    // Its layers, too.
    for layer in image["layers"].as_array().unwrap() {
        team.owner.get(&format!("/v2/default/tea/blobs/{}", layer["digest"].as_str().unwrap())).is(200);
    }
    for number in 0..before {
        let found = team.owner.get(&format!("{path}/many-{number}/versions/1")).is(200).json();
        assert_eq!(found["lock"], image["lock"], "{found}");
    }
    team.owner.get("/api/v1/workspaces/far-vision/environments").is(200);
    assert_eq!(team.owner.post("/api/v1/secrets/rekey", b"").is(200).json(), json!({ "secrets": 1 }));
    let said = shown(&team, &["verify", "--key", "pg-key", "--earlier", "pg-checkpoint"]);
    assert!(said.contains("the log is whole"), "{said}");
    let others = "SELECT count(*) FROM pg_namespace WHERE nspname = 'provenv_of_others'";
    assert_eq!(postgres.query("elsewhere", others), "0");

    // A copy that would lack a workspace is none.
    drop(team);
    postgres.query("elsewhere", "DROP SCHEMA \"provenv_far_vision\" CASCADE");
    let lacking = folder.path().join("lacking");
    let done = run_in(&other_url, &["backup".as_ref(), "--root".as_ref(), &elsewhere, &lacking]);
    assert!(done.code == 1 && done.stderr.contains("no schema `provenv_far_vision`"), "{}", done.stderr);
    assert!(done.stderr.contains("hint:") && !lacking.exists(), "{}", done.stderr);
}
