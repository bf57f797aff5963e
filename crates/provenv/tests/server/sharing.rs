//! An environment of one workspace in another.

use std::os::unix::fs::MetadataExt as _;

use provenv_testing::pypi::{Index, Wheel};
use serde_json::{Value, json};

use super::team::{DEFAULT, Team, post, problem, put};
use crate::support::{Done, definition, eventually, serve};

const VISION: &str = "/api/v1/workspaces/vision";

/// Actions of a workspace's audit log, with what they were about.
fn deeds(team: &Team, workspace: &str) -> Vec<(String, String)> {
    let path = format!("/api/v1/workspaces/{workspace}/audit?limit=200");
    let log = team.owner.get(&path).is(200).json();
    let text = |entry: &Value, key: &str| entry["entry"][key].as_str().unwrap_or_default().to_owned();
    let entries = log["entries"].as_array().unwrap().iter();
    entries.map(|entry| (text(entry, "action"), text(entry, "subject"))).collect()
}

#[test]
fn what_is_shared_is_there_and_follows() {
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    fs_err::write(folder.path().join("environment.yaml"), definition(&index, "tea", &["tea"])).unwrap();
    post(&team.owner, "/api/v1/workspaces", &json!({ "name": "vision" })).is(201);
    let owner = team.token("owner", None);
    // Ann reads there alone.
    let ann = team.token("ann", None);
    put(&team.owner, &format!("{VISION}/members/ann"), &json!({ "role": "contributor" })).is(200);
    let there = format!("{}/vision", team.url());
    let run = |token: &str, arguments: &[&str]| {
        Done::from(team.command(folder.path(), token).args(arguments).output().unwrap())
    };
    let json =
        |token: &str, arguments: &[&str]| run(token, &[&["-o", "json"], arguments].concat()).ok().json();
    let in_vision = |arguments: &[&str]| json(&ann, &[&["--workspace", &there], arguments].concat());
    json(&owner, &["env", "register", "environment.yaml"]);
    json(&owner, &["env", "label", "tea:1", "prod"]);

    // Who owns here and contributes there shares.
    let share = ["env", "share", "tea", "--with", "vision"];
    let refused = run(&ann, &share);
    assert_ne!(refused.code, 0);
    let ben = team.token("ben", Some("owner"));
    assert!(run(&ben, &share).stderr.contains("there is no workspace `vision` for you here"));
    put(&team.owner, &format!("{VISION}/members/ben"), &json!({ "role": "reader" })).is(200);
    assert!(run(&ben, &share).stderr.contains("this needs a contributor"));
    assert!(run(&owner, &["env", "share", "tea:1", "--with", "vision"]).stderr.contains("one version"));
    assert!(run(&owner, &["env", "share", "pot", "--with", "vision"]).stderr.contains("pot"));
    let shared = json(&owner, &share);
    assert_eq!((&shared["from"], &shared["to"]), (&json!("default"), &json!("vision")), "{shared}");
    // Again is the same, and written down once.
    json(&owner, &share);
    for workspace in ["default", "vision"] {
        let written = deeds(&team, workspace);
        let wanted = ("environment.share".to_owned(), "tea".to_owned());
        assert_eq!(written.iter().filter(|one| **one == wanted).count(), 1, "{written:?}");
    }

    // It is there, with its label, as it is here.
    let here = json(&owner, &["env", "show", "tea:1"]);
    let shown = in_vision(&["env", "show", "tea@prod"]);
    assert_eq!(shown["shared_from"], "default/tea");
    for part in ["lock", "receipt", "created_by", "created_at", "definition_digest"] {
        assert_eq!(shown[part], here[part], "{part}");
    }
    let listed = run(&ann, &["--workspace", &there, "env", "list"]).ok().stdout;
    assert!(listed.contains("(shared from default/tea)"), "{listed}");
    let shares = in_vision(&["env", "shares"]);
    assert_eq!((&shares[0]["name"], &shares[0]["from"]), (&json!("tea"), &json!("default")), "{shares}");

    // An image that is built here is there, in the same files; and it runs there.
    let built = json(&owner, &["build", "tea:1"]);
    let job =
        team.with(&ann).post(&format!("{VISION}/environments/tea/versions/1/build"), b"").is(202).json();
    assert_eq!((&job["status"], &job["image"]), (&json!("succeeded"), &built["image"]), "{job}");
    let image = in_vision(&["image", "show", "tea"]);
    for layer in image["layers"].as_array().unwrap() {
        let digits = layer["digest"].as_str().unwrap().trim_start_matches("sha256:");
        let file = |workspace: &str| {
            let blobs = team.root.join("workspaces").join(workspace).join("store/blobs/sha256");
            fs_err::metadata(blobs.join(&digits[..2]).join(&digits[2..])).unwrap().ino()
        };
        assert_eq!(file("default"), file("vision"), "{layer}");
    }
    let ran =
        run(&ann, &["--workspace", &there, "run", "tea", "--", "python", "-c", "import tea; print('hot')"]);
    assert_eq!(ran.ok().stdout, "hot\n");
    fs_err::write(folder.path().join("job.yaml"), "environment: tea:1\ncommand: python -c 'import tea'\n")
        .unwrap();
    run(&ann, &["--workspace", &there, "submit", "job.yaml"]).ok();

    // What happens here happens there.
    let more = definition(&index, "tea", &["tea"]) + "environment_variables: {CUP: '2'}\n";
    fs_err::write(folder.path().join("environment.yaml"), more).unwrap();
    json(&owner, &["env", "register", "environment.yaml"]);
    json(&owner, &["env", "label", "tea:2", "prod"]);
    json(&owner, &["env", "update", "tea:2", "--tag", "hot=yes", "--description", "Green"]);
    json(&owner, &["env", "archive", "tea:1"]);
    let shown = in_vision(&["env", "show", "tea@prod"]);
    assert_eq!((&shown["version"], &shown["environment"]["description"]), (&json!("2"), &json!("Green")));
    assert_eq!(in_vision(&["env", "show", "tea:1"])["archived"], true);
    assert_eq!(in_vision(&["env", "search", "--tag", "hot=yes"])[0]["name"], "tea");

    // Nobody changes it there, by whatever way.
    for arguments in [
        &["env", "label", "tea:1", "prod"] as &[&str],
        &["env", "label", "tea", "prod", "--remove"],
        &["env", "update", "tea:2", "--tag", "a=b"],
        &["env", "archive", "tea"],
        &["env", "archive", "tea:2"],
        &["env", "restore", "tea:1"],
        &["env", "register", "environment.yaml", "--version", "9"],
        &["upgrade", "tea", "--dry-run"],
    ] {
        let done = run(&ann, &[&["--workspace", &there], arguments].concat());
        assert!(done.code != 0 && done.stderr.contains("read-only here"), "{arguments:?}: {}", done.stderr);
    }
    let gone = format!("{VISION}/environments/tea/versions/2");
    problem(team.owner.delete(&gone), 409, "shared-here");
    // And here it is not deleted while it is shared.
    let refused =
        problem(team.owner.delete(&format!("{DEFAULT}/environments/tea/versions/2")), 409, "still-needed");
    assert!(refused["causes"][0].as_str().unwrap().contains("vision"), "{refused}");
    // Nor shared further from there, nor under a name that is taken.
    let further = run(&owner, &["--workspace", &there, "env", "share", "tea", "--with", "default"]);
    assert!(further.stderr.contains("shared by default/tea"), "{}", further.stderr);
    let other = definition(&index, "pot", &["tea"]);
    fs_err::write(folder.path().join("pot.yaml"), &other).unwrap();
    json(&owner, &["env", "register", "pot.yaml"]);
    fs_err::write(folder.path().join("pot.yaml"), other + "environment_variables: {POT: '1'}\n").unwrap();
    in_vision(&["env", "register", "pot.yaml"]);
    let taken = run(&owner, &["env", "share", "pot", "--with", "vision"]);
    assert!(
        taken.stderr.contains("versions of its own") && taken.stderr.contains("--name"),
        "{}",
        taken.stderr
    );
    assert!(in_vision(&["env", "show", "pot"])["shared_from"].is_null());
    // Not even where it is the same there, having been copied: it is theirs.
    json(&owner, &["env", "copy", "pot:1", "--to", &there, "--name", "mug"]);
    let taken = run(&owner, &["env", "share", "pot", "--with", "vision", "--name", "mug"]);
    assert!(taken.code != 0, "{}", taken.stdout);
    assert!(in_vision(&["env", "show", "mug:1"])["shared_from"].is_null());
    json(&owner, &["env", "share", "pot", "--with", "vision", "--name", "kettle"]);
    assert_eq!(in_vision(&["env", "show", "kettle:1"])["shared_from"], "default/pot");

    // In the end what somebody ran there stays, put away, and the rest goes.
    run(&owner, &["env", "unshare", "tea", "--with", "vision"]).ok();
    let again = run(&owner, &["env", "unshare", "tea", "--with", "vision"]);
    assert!(again.code != 0 && again.stderr.contains("not shared"), "{}", again.stderr);
    let kept = in_vision(&["env", "show", "tea:1"]);
    assert_eq!((&kept["archived"], &kept["shared_from"]), (&json!(true), &Value::Null), "{kept}");
    problem(team.owner.get(&gone), 404, "version-not-found");
    assert_eq!(in_vision(&["env", "shares"]).as_array().unwrap().len(), 1, "the kettle is left");
    // Whoever owns there ends it, too; a contributor does not.
    let decline = ["--workspace", &there, "env", "unshare", "kettle"];
    assert!(run(&ann, &decline).stderr.contains("this needs owner"));
    run(&owner, &decline).ok();
    assert!(run(&owner, &decline).stderr.contains("not shared from another workspace"));
    problem(
        team.owner.get(&format!("{VISION}/environments/kettle/versions/1")),
        404,
        "environment-not-found",
    );
    // Then it can be deleted here, and registered there.
    json(&owner, &["env", "label", "tea", "prod", "--remove"]);
    team.owner.delete(&format!("{DEFAULT}/environments/tea/versions/2")).is(200);
    in_vision(&["env", "register", "environment.yaml"]);
    let history = in_vision(&["env", "history", "tea"]);
    let changes: Vec<&str> =
        history.as_array().unwrap().iter().filter_map(|one| one["change"].as_str()).collect();
    assert!(changes.iter().filter(|change| **change == "shared").count() >= 3, "{changes:?}");
}

#[test]
fn a_share_that_a_crash_left_half_done_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut team) = Team::with_base(folder.path()) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    post(&team.owner, "/api/v1/workspaces", &json!({ "name": "vision" })).is(201);
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    let register = |team: &Team, cup: &str| {
        let text =
            definition(&index, "tea", &["tea"]) + &format!("environment_variables: {{CUP: '{cup}'}}\n");
        let body = json!({ "file": { "name": "environment.yaml", "text": text } });
        post(&team.owner, &format!("{DEFAULT}/environments"), &body).is(201);
    };
    register(&team, "1");
    put(&team.owner, &format!("{DEFAULT}/environments/tea/shares/vision"), &json!({})).is(201);
    team.kill();
    // A version of which the other workspace never heard: what a crash between the two leaves.
    if std::env::var_os("PROVENV_TEST_CATALOGUE").is_none() {
        let text = definition(&index, "tea", &["tea"]) + "environment_variables: {CUP: '2'}\n";
        fs_err::write(folder.path().join("environment.yaml"), text).unwrap();
        let done = crate::support::command(&team.root.join("workspaces/default"))
            .current_dir(folder.path())
            .args(["env", "register", "environment.yaml"])
            .output()
            .unwrap();
        Done::from(done).ok();
        let after = Team::start_again(&team.root, &[], &token);
        eventually("it follows", || {
            after.owner.get(&format!("{VISION}/environments/tea/versions/2")).status == 200
        });
        // And whoever has it there can build it there.
        let job =
            after.owner.post(&format!("{VISION}/environments/tea/versions/2/build"), b"").is(202).json();
        let path = format!("{VISION}/jobs/{}", job["id"].as_str().unwrap());
        let mut last = Value::Null;
        eventually("the job ends", || {
            last = after.owner.get(&path).is(200).json();
            last["ended_at"].is_string()
        });
        assert_eq!(last["status"], "succeeded", "{last}");
    }
}
