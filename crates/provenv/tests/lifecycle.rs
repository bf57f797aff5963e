//! What becomes of registered versions: described, labelled, archived, restored, deleted, and found.

use crate::support::{PYTHON, Workspace};

/// Versions of one name that differ in a variable, and so share a lock.
fn register(workspace: &Workspace, name: &str, values: &[&str]) {
    for value in values {
        let text =
            format!("name: {name}\npython: \"{PYTHON}\"\nenvironment_variables:\n  VALUE: \"{value}\"\n");
        workspace.write("environment.yaml", &text);
        workspace.run(["env", "register", "environment.yaml"]).ok();
    }
}

fn refused(workspace: &Workspace, arguments: &[&str], code: i32, said: &[&str]) {
    let done = workspace.run(arguments);
    assert_eq!(done.code, code, "{arguments:?}: {}{}", done.stdout, done.stderr);
    for said in said {
        assert!(done.stderr.contains(said), "{said}: {}", done.stderr);
    }
}

fn names(listed: &serde_json::Value) -> Vec<String> {
    let name = |one: &serde_json::Value| {
        format!("{}:{}", one["name"].as_str().unwrap(), one["version"].as_str().unwrap())
    };
    listed.as_array().unwrap().iter().map(name).collect()
}

#[test]
fn description_and_tags_change_and_nothing_else() {
    let Some(workspace) = Workspace::new() else { return };
    register(&workspace, "tea", &["1", "2"]);
    let before = workspace.json(["env", "show", "tea:1"]);
    let update =
        ["env", "update", "tea:1", "--description", "green", "--tag", "stage=test", "--tag", "a=b=c"];
    assert_eq!(workspace.json(update)["changes"], 3);
    assert_eq!(workspace.json(update)["changes"], 0);
    let now = workspace.json(["env", "show", "tea:1"]);
    assert_eq!(now["environment"]["description"], "green");
    assert_eq!(now["environment"]["tags"], serde_json::json!({"stage": "test", "a": "b=c"}));
    for part in ["definition_digest", "receipt", "lock", "created_at"] {
        assert_eq!(now[part], before[part], "{part}");
    }
    assert!(workspace.json(["env", "show", "tea:2"])["environment"]["description"].is_null());
    // Of a name alone it is the newest.
    workspace.run(["env", "update", "tea", "--tag", "stage=live"]).ok();
    assert_eq!(workspace.json(["env", "show", "tea:2"])["environment"]["tags"]["stage"], "live");
    workspace
        .run(["env", "update", "tea:1", "--description", "", "--remove-tag", "a", "--tag", "stage=old"])
        .ok();

    let history = workspace.json(["env", "history", "tea:1"]);
    let user = before["created_by"].as_str().unwrap();
    let changes: Vec<_> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            assert_eq!((one["by"].as_str(), one["version"].as_str()), (Some(user), Some("1")));
            let text = |part: &str| one[part].as_str().unwrap_or("-").to_owned();
            (text("change"), text("subject"), text("from"), text("to"))
        })
        .collect();
    let definition = before["definition_digest"].as_str().unwrap();
    let expected = [
        ("tag", "a", "b=c", "-"),
        ("tag", "stage", "test", "old"),
        ("description", "-", "green", "-"),
        ("tag", "a", "-", "b=c"),
        ("tag", "stage", "-", "test"),
        ("description", "-", "-", "green"),
        ("registered", "-", "-", definition),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(a, b, c, d)| (a.to_string(), b.to_string(), c.to_string(), d.to_string()))
        .collect();
    assert_eq!(changes.len(), expected.len(), "{changes:?}");
    for change in expected {
        assert!(changes.contains(&change), "{change:?} in {changes:?}");
    }
    let page = workspace.json(["env", "history", "tea", "-n", "2"]);
    let number = page[1]["number"].as_i64().unwrap().to_string();
    let next = workspace.json(["env", "history", "tea", "-n", "1", "--before", &number]);
    assert_eq!(next[0]["number"].as_i64().unwrap() + 1, page[1]["number"].as_i64().unwrap());

    refused(&workspace, &["env", "update", "tea:1"], 2, &["nothing is to be changed", "--description"]);
    refused(
        &workspace,
        &["env", "update", "tea:1", "--remove-tag", "b"],
        2,
        &["has no tag `b`", "its tags: stage"],
    );
    refused(&workspace, &["env", "update", "tea:7", "--tag", "a=b"], 1, &["has no version 7"]);
    refused(&workspace, &["env", "update", "cup", "--tag", "a=b"], 1, &["there is no environment `cup`"]);
    refused(&workspace, &["env", "update", "curated/minimal", "--tag", "a=b"], 2, &["is shipped"]);
    refused(&workspace, &["env", "update", "environment.yaml", "--tag", "a=b"], 2, &["is a file"]);
}

#[test]
fn a_label_is_taken_wherever_an_environment_is() {
    let Some(workspace) = Workspace::new() else { return };
    register(&workspace, "tea", &["1", "2", "3"]);
    let moved = workspace.json(["env", "label", "tea:1", "prod"]);
    assert_eq!((moved["version"].as_str(), moved["previous"].as_str()), (Some("1"), None));
    assert_eq!(workspace.json(["env", "show", "tea@prod"])["version"], "1");
    assert_eq!(workspace.json(["env", "show", "azureml:tea@latest"])["version"], "3");
    let moved = workspace.json(["env", "label", "tea:2", "prod"]);
    assert_eq!((moved["version"].as_str(), moved["previous"].as_str()), (Some("2"), Some("1")));
    // One label by another.
    workspace.run(["env", "label", "tea@prod", "proven"]).ok();
    let shown = workspace.json(["env", "show", "tea@proven"]);
    assert_eq!(shown["labels"], serde_json::json!(["prod", "proven"]));
    let listed = workspace.json(["env", "label", "tea", "--list"]);
    let labels: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["label"].as_str().unwrap(), one["version"].as_str().unwrap()))
        .collect();
    assert_eq!(labels, [("latest", "3"), ("prod", "2"), ("proven", "2")]);

    // Every command that takes an environment; a run says the version.
    assert_eq!(workspace.run(["run", "tea@prod", "--", "sh", "-c", "echo $VALUE"]).ok().stdout, "2\n");
    workspace.run(["build", "tea@prod"]).ok();
    workspace.run(["env", "diff", "tea@prod", "tea@latest"]).ok();
    workspace.write("job.yaml", "environment: azureml:tea@prod\ncommand: 'true'\n");
    workspace.run(["submit", "job.yaml"]).ok();
    workspace.run(["env", "label", "tea:3", "prod"]).ok();
    assert_eq!(workspace.json(["runs", "show", "latest"])["environment"], "tea:2");

    let history = workspace.json(["env", "history", "tea:1"]);
    let moves: Vec<_> = history
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["change"] == "label")
        .map(|one| (one["subject"].as_str().unwrap(), one["from"].as_str(), one["to"].as_str()))
        .collect();
    assert_eq!(moves, [("prod", Some("1"), Some("2")), ("prod", None, Some("1"))]);

    workspace.run(["env", "label", "tea", "proven", "--remove"]).ok();
    refused(
        &workspace,
        &["env", "show", "tea@proven"],
        1,
        &["has no label `proven`: there are prod, latest"],
    );
    refused(&workspace, &["env", "show", "cup@prod"], 1, &["there is no environment `cup@prod`"]);
    refused(&workspace, &["env", "label", "tea:1", "latest"], 2, &["not moved by hand"]);
    refused(&workspace, &["env", "label", "tea:1", "a b"], 2, &["cannot be a label"]);
    refused(&workspace, &["env", "label", "tea", "prod"], 2, &["tea:VERSION prod"]);
    refused(&workspace, &["env", "label", "tea:9", "prod"], 1, &["has no version 9"]);
    refused(&workspace, &["upgrade", "tea@prod"], 2, &["starts from the newest version"]);
}

#[test]
fn what_is_archived_is_hidden_and_still_there() {
    let Some(workspace) = Workspace::new() else { return };
    register(&workspace, "tea", &["1", "2"]);
    register(&workspace, "cup", &["1"]);
    workspace.run(["env", "archive", "tea:2"]).ok();
    assert_eq!(names(&workspace.json(["env", "list"])), ["cup:1", "tea:1"]);
    assert_eq!(names(&workspace.json(["env", "list", "tea"])), ["tea:1"]);
    assert_eq!(names(&workspace.json(["env", "list", "--include-archived", "tea"])), ["tea:2", "tea:1"]);
    assert_eq!(names(&workspace.json(["env", "list", "--archived"])), ["tea:2"]);
    assert_eq!(workspace.json(["env", "show", "tea@latest"])["version"], "1");
    let archived = workspace.json(["env", "show", "tea:2"]);
    assert_eq!((archived["archived"].as_bool(), archived["labels"].is_null()), (Some(true), true));
    assert_eq!(workspace.run(["run", "tea:2", "--", "sh", "-c", "echo $VALUE"]).ok().stdout, "2\n");
    // Its number is taken all the same.
    register(&workspace, "tea", &["3"]);
    assert_eq!(names(&workspace.json(["env", "list", "tea"])), ["tea:3", "tea:1"]);

    // A name as a whole, what is registered later too.
    workspace.run(["env", "archive", "tea"]).ok();
    register(&workspace, "tea", &["4"]);
    assert_eq!(names(&workspace.json(["env", "list"])), ["cup:1"]);
    assert_eq!(
        workspace.run(["env", "list", "tea"]).ok().stdout,
        "no environments of this name that are not archived\n"
    );
    refused(
        &workspace,
        &["env", "show", "tea"],
        1,
        &["all versions of `tea` are archived", "env restore tea"],
    );
    assert_eq!(workspace.json(["env", "show", "tea:4"])["archived"], true);
    refused(&workspace, &["env", "restore", "tea:4"], 2, &["archived with all its versions"]);
    workspace.run(["env", "restore", "tea"]).ok();
    assert_eq!(names(&workspace.json(["env", "list", "tea"])), ["tea:4", "tea:3", "tea:1"]);
    workspace.run(["env", "restore", "tea:2"]).ok();
    assert_eq!(workspace.json(["env", "restore", "tea:2"])["changed"], false);
    assert_eq!(names(&workspace.json(["env", "list", "tea"])), ["tea:4", "tea:3", "tea:2", "tea:1"]);
    let history = workspace.json(["env", "history", "tea:2"]);
    let changes: Vec<_> =
        history.as_array().unwrap().iter().map(|one| one["change"].as_str().unwrap()).collect();
    assert_eq!(changes, ["restored", "restored", "archived", "archived", "registered"]);
}

#[test]
fn only_what_nothing_refers_to_is_deleted_and_no_number_comes_back() {
    let Some(workspace) = Workspace::new() else { return };
    register(&workspace, "tea", &["1", "2", "3", "4"]);
    workspace.run(["env", "label", "tea:1", "prod"]).ok();
    workspace.write("job.yaml", "environment: tea:2\ncommand: 'true'\n");
    let run = workspace.json(["submit", "job.yaml"])["run"]["id"].as_str().unwrap().to_owned();
    workspace.run(["env", "register", "--from", "tea:3", "--name", "cup"]).ok();
    assert_eq!(workspace.json(["env", "show", "cup"])["from"], "tea:3");

    refused(&workspace, &["env", "delete", "tea:4"], 2, &["would be deleted for good", "--yes deletes"]);
    refused(&workspace, &["env", "delete", "tea:1", "--yes"], 1, &["label prod", "env archive tea"]);
    refused(&workspace, &["env", "delete", "tea:2", "--yes"], 1, &[&format!("run {run}")]);
    refused(&workspace, &["env", "delete", "tea:3", "--yes"], 1, &["environments made from it: cup:1"]);
    refused(&workspace, &["env", "delete", "tea", "--yes"], 1, &["tea:1: label", "tea:2: run", "tea:3: env"]);
    let tried = workspace.json(["env", "delete", "tea", "--dry-run"]);
    assert_eq!(
        (tried["possible"].as_bool(), tried["versions"][2]["runs"][0].as_str()),
        (Some(false), Some(&*run))
    );
    assert_eq!(workspace.json(["env", "delete", "tea:4", "--dry-run"])["possible"], true);
    assert_eq!(workspace.json(["env", "list", "tea"]).as_array().unwrap().len(), 4);

    workspace.run(["env", "delete", "tea:4", "--yes"]).ok();
    refused(&workspace, &["env", "show", "tea:4"], 1, &["has no version 4: there are 3, 2, 1"]);
    let text = format!("name: tea\nversion: \"4\"\npython: \"{PYTHON}\"\n");
    workspace.write("four.yaml", &text);
    refused(&workspace, &["env", "register", "four.yaml"], 1, &["tea:4 was deleted", "next number"]);
    register(&workspace, "tea", &["4"]);
    assert_eq!(names(&workspace.json(["env", "list", "tea", "--limit", "1"])), ["tea:5"]);
    // A page goes on behind what was deleted meanwhile.
    assert_eq!(names(&workspace.json(["env", "list", "tea", "--limit", "1", "--after", "tea:4"])), ["tea:3"]);
    let history = workspace.json(["env", "history", "tea:4"]);
    assert_eq!(
        (history[0]["change"].as_str(), history[1]["change"].as_str()),
        (Some("deleted"), Some("registered"))
    );

    // All versions of a name, which refer to one another alone.
    register(&workspace, "pot", &["1"]);
    workspace.write("more.yaml", "environment_variables: {MORE: \"1\"}\n");
    workspace.run(["env", "register", "more.yaml", "--from", "pot:1", "--name", "pot"]).ok();
    workspace.run(["env", "delete", "pot", "--yes"]).ok();
    refused(&workspace, &["env", "show", "pot"], 1, &["there is no environment `pot`"]);
    register(&workspace, "pot", &["1"]);
    assert_eq!(names(&workspace.json(["env", "list", "pot"])), ["pot:3"]);
    workspace.run(["store", "gc"]).ok();
    workspace.run(["run", "tea:5", "--", "true"]).ok();
}

#[test]
fn lists_are_filtered_and_come_in_pages() {
    let Some(workspace) = Workspace::new() else { return };
    for name in ["cup", "mug", "tea"] {
        register(&workspace, name, &["1", "2"]);
    }
    let user = workspace.json(["env", "show", "tea"])["created_by"].as_str().unwrap().to_owned();
    workspace.run(["env", "update", "tea:1", "--tag", "stage=live"]).ok();
    workspace.run(["env", "update", "mug:2", "--tag", "stage=test"]).ok();
    let list = |arguments: &[&str]| names(&workspace.json([&["env", "list"], arguments].concat()));
    assert_eq!(list(&["--name", "T*A"]), ["tea:2"]);
    assert_eq!(list(&["--name", "*u*", "--all"]), ["cup:2", "cup:1", "mug:2", "mug:1"]);
    assert_eq!(list(&["--name", "tea"]), ["tea:2"]);
    assert!(list(&["--name", "te"]).is_empty());
    assert_eq!(list(&["--tag", "stage", "--all"]), ["mug:2", "tea:1"]);
    assert_eq!(list(&["--tag", "stage=live", "--all"]), ["tea:1"]);
    assert!(list(&["--tag", "stage=live"]).is_empty(), "the newest has none");
    assert_eq!(list(&["--kind", "system-managed"]), ["cup:2", "mug:2", "tea:2"]);
    assert!(list(&["--kind", "dockerfile"]).is_empty());
    assert_eq!(list(&["--creator", &user, "--tag", "stage=test"]), ["mug:2"]);
    assert!(list(&["--creator", "nobody-of-that-name"]).is_empty());
    assert_eq!(list(&["--since", "2020-01-01", "--until", "2999-01-01T00:00:00Z"]).len(), 3);
    assert!(list(&["--until", "2020-01-01"]).is_empty());
    let mut all = Vec::new();
    let mut after: Vec<String> = Vec::new();
    loop {
        let arguments = ["env", "list", "--all", "--limit", "2"].map(str::to_owned).into_iter().chain(after);
        let page = names(&workspace.json(arguments));
        let Some(last) = page.last() else { break };
        after = vec!["--after".to_owned(), last.clone()];
        all.extend(page);
    }
    assert_eq!(all, ["cup:2", "cup:1", "mug:2", "mug:1", "tea:2", "tea:1"]);
    assert_eq!(list(&["--limit", "1", "--after", "cup:2"]), ["mug:2"]);
    let said = workspace.run(["env", "list", "--limit", "1"]).ok().stderr;
    assert!(said.contains("--after cup:2"), "{said}");
    refused(&workspace, &["env", "list", "--after", "nothing"], 2, &["was never registered"]);
    refused(&workspace, &["env", "list", "--since", "yesterday"], 2, &["2026-01-31"]);
    refused(&workspace, &["env", "list", "--name", ""], 2, &["is empty"]);
}
