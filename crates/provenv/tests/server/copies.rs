//! Versions go from workspace to workspace, one by one and by the thousand.

use std::os::unix::fs::MetadataExt as _;

use provenv_testing::pypi::{Index, Wheel};
use serde_json::{Value, json};

use super::team::{Team, post, problem, put};
use crate::support::{Done, Workspace, command, definition, serve};

#[test]
fn a_copy_is_the_same_and_costs_no_bytes() {
    // A folder that is copied to has the catalogue of whoever copies, and each of these commands one of its own.
    if std::env::var_os("PROVENV_TEST_CATALOGUE").is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    fs_err::write(folder.path().join("environment.yaml"), definition(&index, "tea", &["tea"])).unwrap();
    post(&team.owner, "/api/v1/workspaces", &json!({ "name": "vision" })).is(201);
    let token = team.token("ann", Some("reader"));
    let role = |role: &str| {
        put(&team.owner, "/api/v1/workspaces/vision/members/ann", &json!({ "role": role })).is(200);
    };
    let owner = team.token("owner", None);
    let run = |token: &str, arguments: &[&str]| {
        Done::from(team.command(folder.path(), token).args(arguments).output().unwrap())
    };
    let json =
        |token: &str, arguments: &[&str]| run(token, &[&["-o", "json"], arguments].concat()).ok().json();
    json(&owner, &["env", "register", "environment.yaml"]);
    let built = json(&owner, &["build", "tea:1"]);

    // Read here, contribute there.
    let copy = ["env", "copy", "tea", "--to", "vision"];
    let refused = run(&token, &copy);
    assert!(refused.stderr.contains("there is no workspace `vision` for you here"), "{}", refused.stderr);
    role("reader");
    let refused = run(&token, &copy);
    assert!(refused.stderr.contains("this needs a contributor"), "{}", refused.stderr);
    role("contributor");
    let copied = json(&token, &copy);
    assert_eq!((&copied["created"], &copied["version"]), (&json!(true), &json!("1")));
    assert_eq!((&copied["lock"], &copied["images"]), (&built["lock"], &json!([built["image"]])));
    assert_eq!(json(&token, &copy)["created"], false);
    let there = format!("{}/vision", team.url());
    let shown = json(&token, &["--workspace", &there, "env", "show", "tea:1"]);
    let here = json(&token, &["env", "show", "tea:1"]);
    assert_eq!(
        (&shown["lock"], &shown["receipt"], &shown["created_by"]),
        (&here["lock"], &here["receipt"], &json!("ann"))
    );

    // The image is there, and each of its files is one file.
    let image = json(&token, &["--workspace", &there, "image", "show", "tea"]);
    assert_eq!(image["digest"], built["image"]);
    for layer in image["layers"].as_array().unwrap() {
        let digits = layer["digest"].as_str().unwrap().trim_start_matches("sha256:");
        let file = |workspace: &str| {
            let blobs = team.root.join("workspaces").join(workspace).join("store/blobs/sha256");
            fs_err::metadata(blobs.join(&digits[..2]).join(&digits[2..])).unwrap().ino()
        };
        assert_eq!(file("default"), file("vision"), "{layer}");
    }
    let ran =
        run(&token, &["--workspace", &there, "run", "tea", "--", "python", "-c", "import tea; print('hot')"]);
    // A contributor there, who pulls what is there.
    assert_eq!(ran.ok().stdout, "hot\n");

    // Both histories say it.
    let history = |place: &str| json(&token, &["--workspace", place, "env", "history", "tea"]);
    let found = |history: &Value, part: &str| {
        let copies: Vec<Value> =
            history.as_array().unwrap().iter().filter(|one| one["change"] == "copied").cloned().collect();
        assert_eq!(copies.len(), 1, "{history}");
        (copies[0]["by"].clone(), copies[0][part].clone())
    };
    assert_eq!(found(&history(&there), "from"), (json!("ann"), json!("default/tea:1")));
    let default = format!("{}/default", team.url());
    assert_eq!(found(&history(&default), "to"), (json!("ann"), json!("vision/tea:1")));

    // What is something else there stays; another name is free.
    fs_err::write(folder.path().join("other.yaml"), definition(&index, "pot", &["tea==1"])).unwrap();
    json(&owner, &["--workspace", &there, "env", "register", "other.yaml"]);
    json(&owner, &["env", "register", "environment.yaml", "--name", "pot"]);
    let taken = run(&token, &["env", "copy", "pot", "--to", "vision"]);
    assert!(taken.code == 1 && taken.stderr.contains("is registered already"), "{}", taken.stderr);
    let copied = json(&token, &["env", "copy", "pot", "--to", &there, "--name", "kettle", "--version", "v1"]);
    assert_eq!((&copied["name"], &copied["version"]), (&json!("kettle"), &json!("v1")));
    problem(
        post(
            &team.with(&token),
            "/api/v1/workspaces/default/environments/tea/versions/9/copy",
            &json!({ "to": "vision" }),
        ),
        404,
        "version-not-found",
    );

    // To a folder, with the image; and from a folder to a server, with the lock.
    let own = folder.path().join("own");
    let copied = json(&token, &["env", "copy", "tea:1", "--to", own.to_str().unwrap()]);
    assert_eq!(copied["lock"], here["lock"]);
    let own = |arguments: &[&str]| {
        Done::from(
            command(&own).current_dir(folder.path()).args(["-o", "json"]).args(arguments).output().unwrap(),
        )
    };
    assert_eq!(own(&["env", "show", "tea:1"]).ok().json()["receipt"], here["receipt"]);
    let sending = Done::from(
        command(&folder.path().join("own"))
            .env("PROVENV_TOKEN", &token)
            .args(["-o", "json", "env", "copy", "tea:1", "--to", &there, "--name", "cup"])
            .output()
            .unwrap(),
    );
    assert_eq!(sending.ok().json()["lock"], here["lock"]);
}

#[test]
fn versions_come_in_by_lines() {
    let Some(workspace) = Workspace::new() else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    workspace.write("environment.yaml", &definition(&index, "tea", &["tea"]));
    workspace.run(["env", "register", "environment.yaml"]).ok();
    let environment = workspace.json(["env", "show", "tea:1"])["environment"].clone();
    let receipt = workspace.json(["env", "show", "tea:1", "--receipt"]);
    let lock: Value =
        serde_json::from_str(&workspace.run(["lock", "tea:1", "--file", "-"]).ok().stdout).unwrap();
    let mut lines = vec![json!({ "lock": lock }).to_string()];
    for number in 0..2500 {
        let mut environment = environment.clone();
        environment["name"] = json!(format!("tea-{}", number % 100));
        environment["version"] = Value::Null;
        environment["environment_variables"] = json!({ "NUMBER": number.to_string() });
        environment["tags"] = json!({ "number": number.to_string() });
        let at = "2020-02-03T04:05:06Z";
        let line =
            json!({ "environment": environment, "receipt": receipt, "created_at": at, "created_by": "ann" });
        lines.push(line.to_string());
    }
    let text = lines.join("\n");
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let token = team.token("zoe", Some("owner"));
    fs_err::write(folder.path().join("versions.jsonl"), &text).unwrap();
    let run = |token: &str, arguments: &[&str]| {
        Done::from(team.command(folder.path(), token).args(arguments).output().unwrap())
    };
    let json = |arguments: &[&str]| run(&token, &[&["-o", "json"], arguments].concat()).ok().json();
    // Over HTTP, and in a folder.
    let imported = json(&["env", "import", "versions.jsonl"]);
    assert_eq!(imported, json!({ "lines": 2501, "locks": 1, "versions": 2500, "created": 2500 }));
    assert_eq!(json(&["env", "import", "versions.jsonl"])["created"], 0);
    workspace.write("versions.jsonl", &text);
    assert_eq!(workspace.json(["env", "import", "versions.jsonl"])["created"], 2500);
    let found = json(&["env", "list", "tea-7"]);
    let versions: Vec<_> = found.as_array().unwrap().iter().map(|one| one["version"].clone()).collect();
    assert_eq!(versions.len(), 25);
    assert_eq!(
        (&found[0]["created_by"], &found[0]["created_at"]),
        (&json!("zoe"), &json!("2020-02-03T04:05:06Z")),
        "whoever sends it is who has registered it"
    );
    let found = workspace.json(["env", "list", "tea-7"]);
    assert_eq!(found[0]["created_by"], "ann");
    let found = json(&["env", "search", "package:tea", "--tag", "number=2499"]);
    assert_eq!((&found[0]["name"], &found[0]["version"]), (&json!("tea-99"), &json!("25")));
    let shown = json(&["env", "show", "tea-99:25", "--receipt"]);
    assert_eq!(shown, receipt);
    // What a definition resolves to is one look-up.
    let definition = found[0]["definition_digest"].as_str().unwrap();
    let path = format!("/api/v1/workspaces/default/definitions/{definition}");
    assert_eq!(team.owner.get(&path).is(200).json()["lock"], found[0]["lock"]);

    // All of a thousand, or nothing; the line is named.
    let reader = team.token("ben", Some("contributor"));
    // Few lines: who is refused at the first byte may not hear why while still sending.
    fs_err::write(folder.path().join("few.jsonl"), lines[..2].join("\n")).unwrap();
    let refused = run(&reader, &["env", "import", "few.jsonl"]);
    assert!(refused.stderr.contains("this needs owner"), "{}", refused.stderr);
    for (wrong, why) in [
        ("{\"environment\": 3}".to_owned(), "line 3 cannot be taken in"),
        (
            lines[1].replace("sha256:", "sha256:0").replace("sha256:00", "sha256:0"),
            "line 3 cannot be taken in",
        ),
        (lines[1].replace("tea-0", "../tea"), "is not a name that a server takes"),
        (lines[0].replace("http://127.0.0.1", "http://127.0.0.1/${HOME}"), "its lock is not sound"),
        (lines[0].replace("http://127.0.0.1", "file:///etc"), "its lock is not sound"),
        (lines[1].replace("\"2020-02-03T04:05:06Z\"", "7"), "line 3 cannot be taken in"),
    ] {
        let new = lines[1].replace("tea-0", "fresh");
        let text = format!("{}\n{new}\n{wrong}\n", lines[0]);
        fs_err::write(folder.path().join("wrong.jsonl"), text).unwrap();
        let done = run(&token, &["env", "import", "wrong.jsonl"]);
        assert!(done.code != 0 && done.stderr.contains(why), "{why}: {}", done.stderr);
        assert_ne!(run(&token, &["env", "show", "fresh"]).code, 0);
    }
}
