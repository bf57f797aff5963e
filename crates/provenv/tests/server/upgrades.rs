//! Moving an environment of a server to newer packages, by the command line and by the API.

use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::Fault;
use serde_json::{Value, json};

use super::team::{DEFAULT, Team, post, problem};
use crate::support::{Done, definition, serve};

#[test]
fn a_version_of_a_server_is_moved_as_one_of_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let old = || Index::new().add(Wheel::new("tea", "1")).add(Wheel::new("cup", "1"));
    let index = serve(&old());
    fs_err::write(folder.path().join("environment.yaml"), definition(&index, "pot", &["tea", "cup"]))
        .unwrap();
    let (ann, ben) = (team.token("ann", Some("contributor")), team.token("ben", Some("reader")));
    let run = |token: &str, arguments: &[&str]| {
        Done::from(team.command(folder.path(), token).args(arguments).output().unwrap())
    };
    let json = |arguments: &[&str]| run(&ann, &[&["-o", "json"], arguments].concat()).ok().json();
    json(&["env", "register", "environment.yaml"]);
    // The index moves on, in the same place.
    let newer = serve(&old().add(Wheel::new("tea", "2")).add(Wheel::new("cup", "2")));
    for path in ["/simple/tea/", "/simple/cup/"] {
        index.fault_always(path, Fault::Redirect(newer.at(path)));
    }

    let refused = run(&ben, &["upgrade", "pot"]);
    assert!(refused.code != 0 && refused.stderr.contains("this needs contributor"), "{}", refused.stderr);
    let plan = json(&["upgrade", "pot", "tea", "--dry-run"]);
    assert_eq!((&plan["from"], &plan["to"]), (&json!("1"), &Value::Null), "{plan}");
    let changed = &plan["changes"]["linux/amd64"]["ecosystems"]["pypi"]["changed"];
    assert_eq!(changed.as_array().unwrap().len(), 1, "{plan}");
    assert_eq!((&changed[0]["name"], &changed[0]["new_version"]), (&json!("tea"), &json!("2")), "{plan}");
    assert_eq!(json(&["env", "list", "pot"]).as_array().unwrap().len(), 1);

    let said = run(&ann, &["upgrade", "pot", "tea"]).ok().stdout;
    assert!(said.contains("pot:2 registered; pot:1 stays as it is"), "{said}");
    let (first, second) = (json(&["env", "show", "pot:1"]), json(&["env", "show", "pot:2"]));
    assert_eq!(second["created_by"], "ann");
    assert_eq!(second["definition_digest"], first["definition_digest"]);
    assert_ne!(second["lock"], first["lock"]);
    let receipt = json(&["env", "show", "pot:2", "--receipt"]);
    assert_eq!(receipt["previous"], first["receipt"], "the old receipt is kept, and named");
    let said = run(&ann, &["upgrade", "pot", "tea"]).ok().stdout;
    assert_eq!(said, "nothing to upgrade: pot:2 holds the newest tea\n");
    let log = team.owner.get(&format!("{DEFAULT}/audit?limit=50")).is(200).json();
    let registered =
        log["entries"].as_array().unwrap().iter().filter(|one| {
            one["entry"]["action"] == "environment.register" && one["entry"]["subject"] == "pot:2"
        });
    assert_eq!(registered.count(), 1, "{log}");

    // By the API: who asks again with the same key hears the same, and nothing is moved twice.
    let ann = team.with(&ann).with("Idempotency-Key", "once");
    let path = format!("{DEFAULT}/environments/pot/upgrade");
    let moved = post(&ann, &path, &json!({})).is(201).json();
    assert_eq!(moved["to"], "3", "{moved}");
    assert_eq!(post(&ann, &path, &json!({})).is(201).json(), moved);
    let ann = team.owner.clone();
    assert_eq!(post(&ann, &path, &json!({})).is(200).json()["to"], Value::Null);
    problem(
        post(&ann, &format!("{DEFAULT}/environments/nothing/upgrade"), &json!({})),
        404,
        "environment-not-found",
    );
    for (wrong, status) in [
        (json!({ "packages": ["milk"] }), 422),
        (json!({ "packages": ["tea"], "as_of": "2026-01-01T00:00:00Z" }), 422),
        (json!({ "virtual_packages": ["cuda"] }), 400),
        (json!({ "dry": true }), 400),
    ] {
        let answer = post(&ann, &path, &wrong);
        assert_eq!(answer.status, status, "{wrong}: {}", answer.text());
    }
    // What stands in the way is said as it is of a folder.
    for (arguments, said) in [
        (["upgrade", "pot:1"], "an upgrade starts from the newest version"),
        (["upgrade", "environment.yaml"], "is a file"),
        (["upgrade", "curated/minimal"], "is shipped"),
        (["upgrade", "kettle"], "there is no environment `kettle`"),
    ] {
        let done = run(&team.token("ann", None), &arguments);
        assert!(done.code != 0 && done.stderr.contains(said), "{arguments:?}: {}", done.stderr);
    }
}
