//! Credentials that a server keeps: sent to the host that they are for, shown nowhere.

use std::io::Write as _;
use std::process::{Command, Stdio};

use provenv_testing::pypi::{Index, Wheel};
use serde_json::{Value, json};

use super::audit::python;
use super::builds::{ended, register};
use super::team::{DEFAULT, Team, post, problem, put};
use crate::registry::client::Client;
use crate::support::registry::{Image, Registry};
use crate::support::{Done, definition, have, serve, skip};

const SECRET: &str = "hunter2-never-shown";

/// Whether a text is in any file of a folder.
fn is_in_files(root: &std::path::Path, text: &str) -> bool {
    walkdir::WalkDir::new(root).into_iter().map(Result::unwrap).filter(|file| file.file_type().is_file()).any(
        |file| {
            let bytes = fs_err::read(file.path()).unwrap();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        },
    )
}

fn set(client: &Client, name: &str, host: &str) -> crate::registry::client::Answer {
    let body = json!({ "host": host, "username": "ann", "password": SECRET });
    put(client, &format!("{DEFAULT}/secrets/{name}"), &body)
}

#[test]
fn an_index_gets_the_secret_that_is_for_it_and_nobody_sees_it() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut team) = Team::with_base(folder.path()) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    index.require_auth("ann", SECRET);
    let host = format!("http://{}", index.address());
    let ann = team.user("ann", Some("contributor"));
    let text = definition(&index, "tea", &["tea"]);
    let body = json!({ "file": { "name": "environment.yaml", "text": text } });
    let path = format!("{DEFAULT}/environments");
    problem(post(&ann, &path, &body), 422, "cannot-be-resolved");

    problem(set(&ann, "index", &host), 403, "role-too-low");
    // Nothing goes in clear that was not said to.
    set(&team.owner, "index", &index.address().to_string()).is(204);
    problem(post(&ann, &path, &body), 422, "cannot-be-resolved");
    assert!(index.requests().iter().all(|request| request.header("authorization").is_none()));
    set(&team.owner, "index", &host).is(204);
    let version = register(&ann, &text);
    let job = ended(&ann, &ann.post(&format!("{version}/build"), b"").is(202).json());
    assert_eq!(job["status"], "succeeded", "{job}");
    assert!(index.requests().iter().any(|request| request.header("authorization").is_some()));

    // Nobody is told.
    let listed = ann.get(&format!("{DEFAULT}/secrets")).is(200).json();
    assert_eq!(
        (&listed["secrets"][0]["name"], &listed["secrets"][0]["host"]),
        (&json!("index"), &json!(host))
    );
    let reader = team.user("ben", Some("reader"));
    problem(reader.get(&format!("{DEFAULT}/secrets")), 403, "role-too-low");
    let log = team.owner.get("/audit/entries?action=secret.set").is(200).json();
    assert_eq!(log["entries"].as_array().unwrap().len(), 2);
    for told in [listed, log, job, ann.get(&version).is(200).json()] {
        assert!(!told.to_string().contains(SECRET), "{told}");
    }
    assert!(!is_in_files(&team.root, SECRET), "it is in a file");

    // One secret a host, and each name of its own.
    problem(set(&team.owner, "other", &host), 409, "secret-host-taken");
    for (name, host) in [("index", "ftp://a.example"), ("index", "a.example/x"), ("index", "a.example:0")] {
        problem(set(&team.owner, name, host), 400, "host-invalid");
    }
    problem(set(&team.owner, "a%20b", "a.example"), 400, "secret-name-invalid");
    problem(team.owner.delete(&format!("{DEFAULT}/secrets/nothing")), 404, "secret-not-found");

    // A new key opens what the old one sealed, after the next start too.
    let key = fs_err::read_to_string(team.root.join("secrets.key")).unwrap();
    assert_eq!(team.owner.post("/api/v1/secrets/rekey", b"").is(200).json(), json!({ "secrets": 1 }));
    let new = fs_err::read_to_string(team.root.join("secrets.key")).unwrap();
    // The one before stays for those who read while it was made, and goes with the next.
    assert!(new.lines().count() == 2 && new.ends_with(&key), "{} lines", new.lines().count());
    assert_eq!(team.owner.post("/api/v1/secrets/rekey", b"").is(200).json(), json!({ "secrets": 1 }));
    let newest = fs_err::read_to_string(team.root.join("secrets.key")).unwrap();
    assert!(newest.lines().count() == 2 && !newest.contains(&key));
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    team.kill();
    let team = Team::start_again(&team.root, &[], &token);
    let environment = ann_again(&team, &token, &text);
    assert_eq!(environment["name"], "coffee");

    // Without it, it is as before.
    team.owner.delete(&format!("{DEFAULT}/secrets/index")).is(204);
    let text = text.replace("tea", "mate");
    problem(
        post(&team.owner, &path, &json!({ "file": { "name": "e.yaml", "text": text } })),
        422,
        "cannot-be-resolved",
    );
}

/// Registers what must be resolved anew.
fn ann_again(team: &Team, token: &str, text: &str) -> Value {
    let text = text.replace("name: tea", "name: coffee").replace("- tea\n", "- tea>=1\n");
    let body = json!({ "file": { "name": "e.yaml", "text": text } });
    post(&team.with(token), &format!("{DEFAULT}/environments"), &body).is(201).json()
}

#[test]
fn the_servers_own_credentials_are_not_for_those_who_register() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut team) = Team::with_base(folder.path()) else { return };
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    team.kill();
    let netrc = folder.path().join("netrc");
    fs_err::write(&netrc, format!("default login ann password {SECRET}\n")).unwrap();
    let variables = [
        ("PROVENV_INDEX_127_0_0_1_USERNAME", "ann"),
        ("PROVENV_INDEX_127_0_0_1_PASSWORD", SECRET),
        ("NETRC", netrc.to_str().unwrap()),
    ];
    let team = Team::start_with(&team.root, &[], &token, &variables);
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    index.require_auth("ann", SECRET);
    let body = json!({ "file": { "name": "e.yaml", "text": definition(&index, "tea", &["tea"]) } });
    problem(post(&team.owner, &format!("{DEFAULT}/environments"), &body), 422, "cannot-be-resolved");
    assert!(index.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn the_command_line_sets_lists_and_removes_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    let run = |arguments: &[&str], input: &str| -> Done {
        let mut command = team.command(folder.path(), &token);
        command.arg("secret").args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap().into()
    };
    run(&["set", "index", "--host", "packages.example"], &format!("{SECRET}\n")).ok();
    let listed = run(&["list", "-o", "json"], "").ok();
    assert_eq!(listed.json()[0]["host"], "packages.example");
    assert!(!listed.stdout.contains(SECRET));
    assert_eq!(run(&["rekey", "-o", "json"], "").ok().json(), json!({ "secrets": 1 }));
    run(&["remove", "index"], "").ok();
    let gone = run(&["remove", "index"], "");
    assert!(gone.code == 1 && gone.stderr.contains("no secret `index`"), "{}", gone.stderr);
    assert!(gone.stderr.contains("hint: `provenv secret list`"), "{}", gone.stderr);
    assert!(run(&["list"], "").ok().stdout.contains("no secrets yet"));
    let empty = run(&["set", "index", "--host", "packages.example"], "");
    assert!(empty.code != 0 && empty.stderr.contains("empty"), "{}", empty.stderr);
}

#[test]
fn a_secret_that_does_not_open_fails_its_own_host_alone() {
    if std::env::var_os("PROVENV_TEST_CATALOGUE").is_some() {
        return skip("the database is no file here");
    }
    if !have("python3") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let [good, bad] = ["tea", "mate"].map(|name| {
        let index = serve(&Index::new().add(Wheel::new(name, "1")));
        index.require_auth("ann", SECRET);
        index
    });
    for (name, index) in [("good", &good), ("bad", &bad)] {
        set(&team.owner, name, &format!("http://{}", index.address())).is(204);
    }
    let change = "do(\"UPDATE secrets SET key_id = 'gone' WHERE name = 'bad'\")";
    python(change, &team.root.join("server.db"));

    let version = register(&team.owner, &definition(&good, "tea", &["tea"]));
    let job = ended(&team.owner, &team.owner.post(&format!("{version}/build"), b"").is(202).json());
    assert_eq!(job["status"], "succeeded", "{job}");
    let body = json!({ "file": { "name": "e.yaml", "text": definition(&bad, "mate", &["mate"]) } });
    let path = format!("{DEFAULT}/environments");
    let refused = problem(post(&team.owner, &path, &body), 422, "cannot-be-resolved");
    let said = refused.to_string();
    assert!(said.contains("the secret `bad`") && said.contains("`gone`"), "{said}");
    assert!(!said.contains(SECRET), "{said}");

    // A new key for all that opens; the other is named.
    let done = team.owner.post("/api/v1/secrets/rekey", b"").is(200).json();
    assert_eq!(done, json!({ "secrets": 1, "unopened": ["default/bad"] }));
    register(&team.owner, &definition(&good, "coffee", &["tea>=1"]));
    set(&team.owner, "bad", &format!("http://{}", bad.address())).is(204);
    register(&team.owner, &definition(&bad, "mate", &["mate"]));
}

#[test]
fn base_images_come_with_the_secret_of_their_registry() {
    if !have("skopeo") || !have("buildah") {
        return;
    }
    let Some(registry) = Registry::start(true) else { return };
    let folder = tempfile::tempdir().unwrap();
    // What the server's own user could do is for nobody who registers.
    let auth = registry.auth_file();
    let variables = [("PROVENV_BUILDER", "buildah"), ("REGISTRY_AUTH_FILE", auth.to_str().unwrap())];
    let team = Team::start_with(&folder.path().join("team"), &[], "", &variables);
    let owner = team.with(team.served["owner_token"].as_str().unwrap());
    let layout = folder.path().join("layout");
    Image::new().file("bin/sh", &fs_err::read("/bin/sh").unwrap()).lay_out(&layout);
    let base = registry.at("team/shell:1");
    let mut copy = Command::new("skopeo");
    copy.args(["copy", "--quiet", "--dest-tls-verify=false", "--dest-creds", "me:hunter2"]);
    copy.arg(format!("oci:{}", layout.display())).arg(format!("docker://{base}"));
    Done::from(copy.output().unwrap()).ok();

    let path = format!("{DEFAULT}/environments");
    let of_image = format!("name: on-image\nuser_managed: true\nimage: {base}\n");
    let of_dockerfile =
        format!("name: made\nuser_managed: true\ndockerfile: |\n  FROM {base}\n  ENV GREETING=hello\n");
    let body = |text: &str| json!({ "file": { "name": "e.yaml", "text": text } });
    for text in [&of_image, &of_dockerfile] {
        let refused = post(&owner, &path, &body(text));
        assert!(refused.status == 422 || refused.status == 400, "{} {}", refused.status, refused.text());
        assert!(refused.text().contains("refused access"), "{}", refused.text());
    }
    let secret =
        json!({ "host": format!("http://{}", registry.host()), "username": "me", "password": "hunter2" });
    put(&owner, &format!("{DEFAULT}/secrets/registry"), &secret).is(204);
    for text in [&of_image, &of_dockerfile] {
        let version = register(&owner, text);
        // What a build brings, in a process of its own.
        let job = ended(&owner, &owner.post(&format!("{version}/build"), b"").is(202).json());
        assert_eq!(job["status"], "succeeded", "{job}");
    }
    assert!(!is_in_files(&team.root, "hunter2"), "it is in a file");
}
