//! A server is copied while it works, and goes on elsewhere.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use provenv_testing::pypi::{Index, Wheel};
use serde_json::json;

use super::builds::{ended, register};
use super::support::{Done, command, definition, eventually, serve, skip};
use super::team::{DEFAULT, Team, post, put};

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
