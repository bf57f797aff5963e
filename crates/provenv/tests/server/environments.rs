//! Environments over HTTP: registered, listed, shown.

use provenv_definition::Digest;
use provenv_testing::pypi::{Index, Wheel};
use serde_json::json;

use super::team::{DEFAULT, Team, post, problem};
use crate::support::{definition, serve};

#[test]
fn a_version_is_registered_once_and_shown_with_its_lock() {
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let text = definition(&index, "tea", &["tea"]);
    let ann = team.user("ann", Some("contributor"));
    let body = json!({ "file": { "name": "environment.yaml", "text": text } });
    let path = format!("{DEFAULT}/environments");
    let first = post(&ann, &path, &body).is(201);
    assert_eq!(first.must("Location"), format!("{path}/tea/versions/1"));
    let first = first.json();
    let again = post(&team.owner, &path, &body).is(200).json();
    assert_eq!((&again["version"], &again["created"]), (&json!("1"), &json!(false)));

    let shown = ann.get(&format!("{path}/tea/versions/@latest")).is(200);
    let tag = shown.must("ETag").to_owned();
    let version = shown.json();
    assert_eq!(
        (&version["name"], &version["version"], &version["created_by"]),
        (&json!("tea"), &json!("1"), &json!("ann"))
    );
    assert_eq!(version["lock"], first["lock"]);
    let path_of = |part: &str| format!("{path}/tea/versions/1{part}");
    ann.send("GET", &path_of(""), &[("If-None-Match", &tag)], b"").is(304);
    for part in ["lock", "receipt"] {
        let bytes = ann.get(&path_of(&format!("/{part}"))).is(200).body;
        assert_eq!(json!(Digest::of(&bytes)), first[part], "{part}");
    }
    problem(ann.get(&path_of("/image")), 404, "image-not-built");
    problem(ann.get(&format!("{path}/tea/versions/2")), 404, "version-not-found");
    problem(ann.get(&format!("{path}/coffee/versions/1")), 404, "environment-not-found");
    problem(ann.get(&format!("{path}/tea/versions/@prod")), 404, "label-not-found");

    // What it shows is what it takes.
    let mut environment = version["environment"].clone();
    environment["version"] = json!(null);
    environment["environment_variables"] = json!({ "CUP": "big" });
    let second = post(&ann, &path, &json!({ "environment": environment })).is(201).json();
    assert_eq!(second["version"], "2");
    assert_eq!(second["lock"], first["lock"]);
    problem(post(&ann, &path, &json!({ "environment": environment, "version": "1" })), 409, "version-taken");
    let versions = ann.get(&format!("{path}/tea?limit=1")).is(200).json();
    assert_eq!((&versions["environments"][0]["version"], &versions["next"]), (&json!("2"), &json!("tea:2")));
    let rest = ann.get(&format!("{path}/tea?limit=1&after=tea:2")).is(200).json();
    assert_eq!(rest["environments"][0]["version"], "1");

    // By the page.
    for name in ["coffee", "cocoa", "mate"] {
        post(&ann, &path, &json!({ "environment": environment, "name": name })).is(201);
    }
    let mut names = Vec::new();
    let mut after = String::new();
    loop {
        let page = ann.get(&format!("{path}?limit=2{after}")).is(200).json();
        names.extend(
            page["environments"]
                .as_array()
                .unwrap()
                .iter()
                .map(|found| found["name"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(names, ["cocoa", "coffee", "mate", "tea"]);
    let found = ann.get(&format!("{path}?name=co*")).is(200).json();
    assert_eq!(found["environments"].as_array().unwrap().len(), 2);
    let found = ann.get(&format!("{path}?creator=owner")).is(200).json();
    assert_eq!(found["environments"], json!([]));
    problem(ann.get(&format!("{path}?limit=0")), 400, "limit-invalid");
    problem(ann.get(&format!("{path}?colour=red")), 400, "parameter-invalid");
}

#[test]
fn a_request_with_a_key_is_done_once() {
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let text = definition(&index, "tea", &["tea"]);
    let path = format!("{DEFAULT}/environments");
    let send = |key: &str, body: &serde_json::Value| {
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
        team.owner.send("POST", &path, &headers, body.to_string().as_bytes())
    };
    let body = json!({ "file": { "name": "environment.yaml", "text": text } });
    let first = send("a", &body).is(201);
    let again = send("a", &body).is(201);
    assert_eq!(again.must("Idempotent-Replayed"), "true");
    assert_eq!(again.json(), first.json());
    send("b", &body).is(200);
    problem(send("a", &json!({})), 422, "idempotency-key-reused");
    problem(send("", &body), 400, "idempotency-key-invalid");
}

#[test]
fn what_is_of_another_machine_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let path = format!("{DEFAULT}/environments");
    let secret = folder.path().join("secret.txt");
    fs_err::write(&secret, "the-servers-own-secret==1\n").unwrap();
    let name = secret.display();
    for text in [
        format!("-r {name}\n"),
        format!("-c {name}\ntea\n"),
        format!("--find-links {}\ntea\n", folder.path().display()),
        format!("tea @ file://{name}\n"),
        format!("-r ../../../../../../../../{name}\n"),
        "--index-url https://${HOME}@example.org/simple\ntea\n".to_owned(),
    ] {
        let answer = post(
            &team.owner,
            &path,
            &json!({ "file": { "name": "requirements.txt", "text": text }, "name": "tea" }),
        );
        assert_eq!(answer.status, 422, "{text}: {}", answer.text());
        assert!(!answer.text().contains("the-servers-own-secret"), "{text}: {}", answer.text());
    }
    let with = |definition: serde_json::Value| {
        post(
            &team.owner,
            &path,
            &json!({ "environment": { "name": "tea", "version": null, "definition": definition } }),
        )
    };
    let debian = json!({ "debian": { "suite": null } });
    for requirement in ["tea\n-r /etc/hostname", "./tea", "/srv/tea", "-r /etc/hostname"] {
        let requirements = json!([{ "requirement": requirement }]);
        let answer = with(json!({ "base": debian, "pip": { "requirements": requirements } }));
        problem(answer, 422, "definition-not-for-a-server");
    }
    problem(
        with(json!({ "base": debian, "pip": { "index_url": "file:///srv/index" } })),
        422,
        "definition-not-for-a-server",
    );
    problem(post(&team.owner, &path, &json!({})), 400, "body-invalid");
    problem(team.owner.send("POST", &path, &[], b"{}"), 415, "not-json");
    let much = vec![b' '; 5 * 1024 * 1024];
    let answer = team.owner.send("POST", &path, &[("Content-Type", "application/json")], &much);
    problem(answer, 413, "too-large");
}

#[test]
fn what_may_change_changes_with_a_history() {
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let text = definition(&index, "tea", &["tea"]);
    let ann = team.user("ann", Some("contributor"));
    let path = format!("{DEFAULT}/environments");
    post(&ann, &path, &json!({ "file": { "name": "environment.yaml", "text": text } })).is(201);
    let second = text + "environment_variables:\n  CUP: big\n";
    post(&ann, &path, &json!({ "file": { "name": "environment.yaml", "text": second } })).is(201);

    // Whoever saw another state than the one that is, changes nothing.
    let version = format!("{path}/tea/versions/1");
    let patch = |tag: &str, body: &serde_json::Value| {
        let headers = [("Content-Type", "application/json"), ("If-Match", tag)];
        ann.send("PATCH", &version, &headers, body.to_string().as_bytes())
    };
    let seen = ann.get(&version).is(200).must("ETag").to_owned();
    let long = "x".repeat(513);
    problem(patch(&seen, &json!({ "tags": { "team": long } })), 422, "definition-invalid");
    let changed = patch(&seen, &json!({ "description": "green", "tags": { "team": "leaves" } })).is(200);
    assert_eq!(changed.json()["environment"]["description"], "green");
    problem(patch(&seen, &json!({ "description": "black" })), 412, "changed-meanwhile");
    patch(changed.must("ETag"), &json!({ "description": "black" })).is(200);
    problem(patch("*", &json!({})), 422, "change-invalid");
    let found = ann.get(&format!("{path}?all=true&tag=team=leaves")).is(200).json();
    assert_eq!(found["environments"].as_array().unwrap().len(), 1);

    // Labels move.
    let labelled = |version: &str| {
        let label = format!("{path}/tea/labels/prod");
        super::team::put(&ann, &label, &json!({ "version": version }))
    };
    labelled("1").is(200);
    assert_eq!(ann.get(&format!("{path}/tea/versions/@prod")).is(200).json()["version"], "1");
    assert_eq!(labelled("2").is(200).json()["previous"], "1");
    assert_eq!(ann.get(&format!("{path}/tea/versions/@prod")).is(200).json()["version"], "2");
    problem(labelled("3"), 404, "version-not-found");
    ann.delete(&format!("{path}/tea/labels/prod")).is(200);
    problem(ann.get(&format!("{path}/tea/versions/@prod")), 404, "label-not-found");

    // Archived ones are there for whoever knows them.
    ann.post(&format!("{path}/tea/versions/2/archive"), b"").is(200);
    assert_eq!(ann.get(&format!("{path}/tea/versions/@latest")).is(200).json()["version"], "1");
    assert_eq!(ann.get(&format!("{path}/tea/versions/2")).is(200).json()["archived"], true);
    ann.post(&format!("{path}/tea/versions/2/restore"), b"").is(200);

    let history = ann.get(&format!("{path}/tea/history")).is(200).json();
    let changes = history["changes"].as_array().unwrap();
    assert!(changes.iter().all(|change| change["by"] == "ann"), "{history}");
    for kind in ["registered", "description", "tag", "label", "archived", "restored"] {
        assert!(changes.iter().any(|change| change["change"] == kind), "{kind}: {history}");
    }
}
