//! What is shared, on two servers of one PostgreSQL, and where something stands in its way.

use std::path::Path;

use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::Fault;
use serde_json::{Value, json};

use super::builds::{ended, register};
use super::several::{Pair, at_once};
use super::team::{DEFAULT, Team, post, problem, put};
use crate::registry::client::Client;
use crate::support::{Done, command, definition, eventually, serve};

const VISION: &str = "/api/v1/workspaces/vision";

/// The entries of a workspace's audit log about an action and its subject.
fn written(owner: &Client, workspace: &str, action: &str, subject: &str) -> Vec<Value> {
    let path = format!("/api/v1/workspaces/{workspace}/audit?limit=500&action={action}");
    let log = owner.get(&path).is(200).json();
    let entries = log["entries"].as_array().unwrap().iter().map(|one| one["entry"].clone());
    entries.filter(|entry| entry["subject"] == subject).collect()
}

/// What the history of an environment says of sharing, the first first: what was before, and what after.
fn shares_in_history(owner: &Client, name: &str) -> Vec<(Value, Value)> {
    let history = owner.get(&format!("{DEFAULT}/environments/{name}/history?limit=500")).is(200).json();
    let changes = history["changes"].as_array().unwrap().iter().rev();
    changes
        .filter(|change| change["change"] == "shared")
        .map(|change| (change["from"].clone(), change["to"].clone()))
        .collect()
}

/// Another version of an environment, told apart by a variable.
fn another(text: &str, cup: &str) -> String {
    format!("{text}environment_variables: {{CUP: '{cup}'}}\n")
}

/// Holds all changes of a workspace's store up, as a collection of garbage does, as long as it lives.
fn hold(root: &Path, workspace: &str) -> fs_err::File {
    let file = fs_err::File::create(root.join("workspaces").join(workspace).join("store/locks/.gc")).unwrap();
    file.file().lock().unwrap();
    file
}

#[test]
fn what_is_shared_by_one_server_is_followed_by_all() {
    let folder = tempfile::tempdir().unwrap();
    let Some(pair) = Pair::start(folder.path(), ["0", "1"]) else { return };
    let [first, second] = &pair.owners;
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let text = definition(&index, "tea", &["tea"]);
    let version = register(first, &text);
    for workspace in ["vision", "sound"] {
        post(first, "/api/v1/workspaces", &json!({ "name": workspace })).is(201);
    }

    // However many share the same at once, by whichever server: it is shared once, and written down once.
    let clients: Vec<Client> = (0..6).map(|number| pair.owners[number % 2].clone()).collect();
    let share = format!("{DEFAULT}/environments/tea/shares/vision");
    let answers = at_once(&clients, |_, client| put(client, &share, &json!({})).status);
    assert_eq!(answers.iter().filter(|status| **status == 201).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|status| matches!(status, 200 | 201)), "{answers:?}");
    for workspace in ["default", "vision"] {
        assert_eq!(written(second, workspace, "environment.share", "tea").len(), 1, "{workspace}");
    }
    assert_eq!(shares_in_history(first, "tea"), [(Value::Null, json!("vision/tea"))]);
    for owner in [first, second] {
        let shown = owner.get(&format!("{VISION}/environments/tea/versions/1")).is(200).json();
        assert_eq!(shown["shared_from"], "default/tea", "{shown}");
    }

    // Changes by either are there, at both.
    let later = register(first, &another(&text, "2"));
    put(second, &format!("{DEFAULT}/environments/tea/labels/prod"), &json!({ "version": "2" })).is(200);
    for owner in [first, second] {
        eventually("the label is there", || {
            let found = owner.get(&format!("{VISION}/environments/tea/versions/@prod"));
            found.status == 200 && found.json()["version"] == "2"
        });
    }
    // Versions that both register at once are there in the order that they have here, none left out.
    at_once(&clients, |number, client| register(client, &another(&text, &format!("at once {number}"))));
    let versions = |owner: &Client, workspace: &str| {
        let path = format!("/api/v1/workspaces/{workspace}/environments/tea?limit=500");
        let list = owner.get(&path).is(200).json()["environments"].clone();
        list.as_array()
            .unwrap()
            .iter()
            .map(|one| (one["version"].clone(), one["lock"].clone()))
            .collect::<Vec<_>>()
    };
    let here = versions(first, "default");
    assert_eq!(here.len(), 8);
    eventually("all versions are there", || versions(second, "vision") == here);

    // What the worker of one built is there when the other hears of the end.
    let job = ended(first, &first.post(&format!("{later}/build"), b"").is(202).json());
    assert_eq!(job["status"], "succeeded", "{job}");
    let there = first.post(&format!("{VISION}/environments/tea/versions/2/build"), b"").is(202).json();
    assert_eq!(
        (&there["status"], &there["image"], &there["attempts"]),
        (&json!("succeeded"), &job["image"], &json!(0))
    );
    let manifest = second.get("/v2/vision/tea/manifests/2").is(200);
    assert_eq!(manifest.body, first.get("/v2/default/tea/manifests/2").is(200).body);

    // Two that want the same name there, by two servers: one has it.
    for round in 0..4 {
        let name = format!("pot-{round}");
        for workspace in ["default", "sound"] {
            let body = json!({ "version": "1", "to": workspace, "name": name });
            post(first, &format!("{version}/copy"), &body).is(201);
        }
        let answers = at_once(&pair.owners, |number, client| {
            let source = ["default", "sound"][number];
            let path = format!("/api/v1/workspaces/{source}/environments/{name}/shares/vision");
            put(client, &path, &json!({})).status
        });
        let mut sorted = answers.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [201, 409], "{answers:?}");
        let winner = ["default", "sound"][answers.iter().position(|status| *status == 201).unwrap()];
        let shown = second.get(&format!("{VISION}/environments/{name}/versions/1")).is(200).json();
        assert_eq!(shown["shared_from"], format!("{winner}/{name}"));
    }

    // It ends once, whoever says so, and is gone for both.
    let answers = at_once(&clients, |number, client| {
        let path = if number < 3 { share.clone() } else { format!("{VISION}/shares/tea") };
        client.delete(&path).status
    });
    assert_eq!(answers.iter().filter(|status| **status == 204).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|status| matches!(status, 204 | 404)), "{answers:?}");
    for owner in [first, second] {
        eventually("it is gone", || {
            owner.get(&format!("{VISION}/environments/tea/versions/2")).status == 404
        });
    }
    for workspace in ["default", "vision"] {
        assert_eq!(written(first, workspace, "environment.unshare", "tea").len(), 1, "{workspace}");
    }
    assert_eq!(shares_in_history(second, "tea").last().unwrap(), &(json!("vision/tea"), Value::Null));
}

#[test]
fn a_share_goes_on_where_the_server_that_began_it_died() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut pair) = Pair::start(folder.path(), ["0", "0"]) else { return };
    let [first, second] = pair.owners.clone();
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let text = definition(&index, "tea", &["tea"]);
    register(&first, &text);
    post(&first, "/api/v1/workspaces", &json!({ "name": "vision" })).is(201);
    // It is on record and nothing of it there yet, when the first server dies.
    let held = hold(&pair.root, "vision");
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let path = format!("{DEFAULT}/environments/tea/shares/vision");
            first.try_send("PUT", &path, &[("Content-Type", "application/json")], b"{}").is_ok()
        });
        let shares = format!("{DEFAULT}/shares");
        eventually("it is on record", || second.get(&shares).is(200).json()["shares"][0]["name"] == "tea");
        pair.first.kill();
        assert!(!asking.join().unwrap(), "the server answered before it died");
    });
    assert_eq!(second.get(&format!("{VISION}/environments/tea/versions/1")).status, 404);
    drop(held);
    eventually("the other makes it so", || {
        second.get(&format!("{VISION}/environments/tea/versions/1")).status == 200
    });
    assert_eq!(written(&second, "default", "environment.share", "tea").len(), 1);
}

#[test]
fn a_store_that_is_collected_holds_neither_a_build_nor_the_server_up() {
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    post(&team.owner, "/api/v1/workspaces", &json!({ "name": "vision" })).is(201);
    let version = register(&team.owner, &definition(&index, "tea", &["tea"]));
    put(&team.owner, &format!("{DEFAULT}/environments/tea/shares/vision"), &json!({})).is(201);
    let held = hold(&team.root, "vision");
    std::thread::scope(|scope| {
        // More that wait for the store than the server has threads.
        let copy = |number: usize| {
            let body = json!({ "to": "vision", "name": format!("copy-{number}") });
            post(&team.owner, &format!("{version}/copy"), &body).is(201);
        };
        let copies: Vec<_> = (0..8).map(|number| scope.spawn(move || copy(number))).collect();
        // The build ends, though its image can be lent to nobody now.
        let job = ended(&team.owner, &team.owner.post(&format!("{version}/build"), b"").is(202).json());
        assert_eq!(job["status"], "succeeded", "{job}");
        assert!(copies.iter().all(|copy| !copy.is_finished()), "a copy did not wait for the store");
        team.nobody().get("/healthz").is(200);
        drop(held);
        for copy in copies {
            copy.join().unwrap();
        }
        // Whoever needs the image there has it then, and nothing is built twice.
        let path = format!("{VISION}/environments/tea/versions/1/build");
        let there = team.owner.post(&path, b"").is(202).json();
        assert_eq!((&there["image"], &there["attempts"]), (&job["image"], &json!(0)), "{there}");
    });
}

#[test]
fn what_comes_by_other_ways_than_registering_is_followed_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let text = definition(&index, "tea", &["tea"]);
    for workspace in ["vision", "sound"] {
        post(&team.owner, "/api/v1/workspaces", &json!({ "name": workspace })).is(201);
    }
    let version = register(&team.owner, &text);
    let later = register(&team.owner, &another(&text, "2"));
    post(&team.owner, &format!("{version}/copy"), &json!({ "to": "sound", "name": "pot" })).is(201);
    let share = "/api/v1/workspaces/sound/environments/pot/shares/vision";
    put(&team.owner, share, &json!({})).is(201);

    // A copy into what is shared is there before the answer.
    post(&team.owner, &format!("{later}/copy"), &json!({ "to": "sound", "name": "pot" })).is(201);
    let found = team.owner.get(&format!("{VISION}/environments/pot/versions/2")).is(200).json();
    assert_eq!(found["shared_from"], "sound/pot");

    // Nobody pushes into what is another's, an image of its own tags neither.
    let job = ended(&team.owner, &team.owner.post(&format!("{version}/build"), b"").is(202).json());
    assert_eq!(job["status"], "succeeded", "{job}");
    put(&team.owner, &format!("{DEFAULT}/environments/tea/shares/vision"), &json!({})).is(201);
    let image = team.owner.get("/v2/vision/tea/manifests/1").is(200);
    let kind = image.must("Content-Type").to_owned();
    for tag in ["1", "mine", "latest"] {
        let answer = team.owner.manifest("vision/tea", tag, &kind, &image.body);
        assert!((400..500).contains(&answer.status), "{tag}: {}", answer.text());
        assert!(answer.text().contains("shared from default/tea"), "{tag}: {}", answer.text());
    }
    assert_eq!(team.owner.get("/v2/vision/tea/manifests/mine").status, 404);

    // What is refused leaves nothing, and both histories say what was tried.
    let pot = text.replace("name: tea", "name: kettle");
    register(&team.owner, &pot);
    let body = json!({ "file": { "name": "environment.yaml", "text": another(&pot, "its own") } });
    post(&team.owner, &format!("{VISION}/environments"), &body).is(201);
    let taken = put(&team.owner, &format!("{DEFAULT}/environments/kettle/shares/vision"), &json!({}));
    problem(taken, 409, "name-taken");
    let place = json!("vision/kettle");
    assert_eq!(
        shares_in_history(&team.owner, "kettle"),
        [(Value::Null, place.clone()), (place, Value::Null)]
    );
    let shares = team.owner.get(&format!("{DEFAULT}/shares")).is(200).json();
    assert_eq!(shares["shares"].as_array().unwrap().len(), 1, "{shares}");
    let own = team.owner.get(&format!("{VISION}/environments/kettle/versions/1")).is(200).json();
    assert_eq!(own["shared_from"], Value::Null, "{own}");
}

#[test]
fn an_upgrade_that_a_crash_kept_from_the_audit_log_is_written_down_by_the_next() {
    if std::env::var_os("PROVENV_TEST_CATALOGUE").is_some() {
        return crate::support::skip("the workspace is opened as a folder");
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(mut team) = Team::with_base(folder.path()) else { return };
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    register(&team.owner, &definition(&index, "tea", &["tea"]));
    let newer = serve(&Index::new().add(Wheel::new("tea", "1")).add(Wheel::new("tea", "2")));
    index.fault_always("/simple/tea/", Fault::Redirect(newer.at("/simple/tea/")));
    team.kill();
    // The catalogue has the version, and the audit log has not heard of it: what a kill between the two leaves.
    let mut upgrade = command(&team.root.join("workspaces/default"));
    Done::from(upgrade.args(["upgrade", "tea"]).output().unwrap()).ok();
    let team = Team::start_again(&team.root, &[], &token);
    assert_eq!(written(&team.owner, "default", "environment.register", "tea:2").len(), 0);
    let path = format!("{DEFAULT}/environments/tea/upgrade");
    assert_eq!(post(&team.owner, &path, &json!({ "dry_run": true })).is(200).json()["to"], Value::Null);
    assert_eq!(written(&team.owner, "default", "environment.register", "tea:2").len(), 0);
    for _ in 0..2 {
        assert_eq!(post(&team.owner, &path, &json!({})).is(200).json()["to"], Value::Null);
        let entries = written(&team.owner, "default", "environment.register", "tea:2");
        assert_eq!(entries.len(), 1, "{entries:?}");
        // As the deed of whoever made it, found by whoever asked.
        let made = team.owner.get(&format!("{DEFAULT}/environments/tea/versions/2")).is(200).json();
        assert_eq!(
            (&entries[0]["by"], &entries[0]["details"]["found_by"]),
            (&made["created_by"], &json!("owner"))
        );
    }
}
