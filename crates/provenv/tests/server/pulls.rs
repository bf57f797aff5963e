//! Pulls of what is registered and not built.

use std::path::Path;
use std::process::Command;

use provenv_testing::pypi::{Index, Wheel};
use serde_json::{Value, json};

use super::builds::register;
use super::team::{DEFAULT, Team, post};
use super::workers::Worker;
use crate::support::{Done, definition, eventually, fill, have, serve};

/// A server that builds nothing itself, with the base in its store.
fn start(folder: &Path, wait: &str) -> Option<Team> {
    let root = folder.join("team");
    fill(&root.join("workspaces/default"))?;
    let mut team = Team::start_again(&root, &["--workers", "0", "--pull-wait", wait], "");
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    team.owner = team.with(&token);
    Some(team)
}

fn jobs(team: &Team) -> Vec<Value> {
    let jobs = team.owner.get(&format!("{DEFAULT}/jobs")).is(200).json();
    jobs["jobs"].as_array().unwrap().clone()
}

#[test]
fn a_pull_asks_for_the_build_and_is_told_when_to_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = start(folder.path(), "1") else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    register(&team.owner, &definition(&index, "tea", &["tea"]));
    let (reader, ann) = (team.user("ben", Some("reader")), team.user("ann", Some("contributor")));
    let path = "/v2/default/tea/manifests/1";
    // Whoever only reads has nothing built, and hears who may.
    let answer = reader.get(path).fails(404, "MANIFEST_UNKNOWN");
    assert!(answer.text().contains("contributor"), "{}", answer.text());
    assert_eq!(jobs(&team), [] as [Value; 0]);
    assert_eq!(ann.head(path).status, 307);
    // They wait with those who asked. A client goes where it is sent, until there is no more patience.
    let mut place = path.to_owned();
    let mut legs = 0;
    let last = loop {
        let answer = reader.get(&place);
        if answer.status != 307 {
            break answer;
        }
        answer.must("Location").clone_into(&mut place);
        legs += 1;
    };
    assert_eq!(legs, 9);
    let last = last.is(503);
    assert!(last.must("Retry-After").parse::<u32>().unwrap() > 0);
    assert_eq!(last.json()["errors"][0]["code"], "UNAVAILABLE", "{}", last.text());
    // However many pull, there is one job.
    assert_eq!(reader.head(path).status, 307);
    let waiting = jobs(&team);
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    assert_eq!((&waiting[0]["created_by"], &waiting[0]["priority"]), (&json!("ann"), &json!(0)));
    // Nothing is built for what is not there, or not for them.
    for (client, path) in [
        (&reader, "/v2/default/tea/manifests/7"),
        (&reader, "/v2/default/nothing/manifests/1"),
        (&team.user("outsider", None), path),
    ] {
        client.get(path).is(404);
    }
    assert_eq!(jobs(&team).len(), 1);

    let _worker = Worker::start(&team.root, &[], &[]);
    let mut manifest = Vec::new();
    eventually("the image is there", || {
        let answer = reader.get(path);
        answer.status == 200 && {
            manifest = answer.body;
            true
        }
    });
    let digest = provenv_definition::Digest::of(&manifest).to_string();
    // The image is there a moment before its worker says so.
    eventually("the job ends with it", || jobs(&team)[0]["image"] == json!(digest));
}

#[test]
fn a_pull_of_what_cannot_be_built_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = start(folder.path(), "60") else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let wheel = register(&team.owner, &definition(&index, "tea", &["tea"]));
    // What was locked is not what is there now, and that does not pass.
    let lock = team.owner.get(&format!("{wheel}/lock")).is(200).json();
    let url = lock.to_string();
    let at = url.find("/tea-1").unwrap();
    let begin = url[..at].rfind('"').unwrap() + 1;
    let end = at + url[at..].find('"').unwrap();
    let url = provenv_path(&url[begin..end]);
    index.put(&url, b"another".to_vec());
    let _worker = Worker::start(&team.root, &[], &[]);
    let mut answer = team.owner.get("/v2/default/tea/manifests/1");
    eventually("it fails", || {
        answer = team.owner.get("/v2/default/tea/manifests/1");
        answer.status != 307
    });
    let answer = answer.fails(404, "MANIFEST_UNKNOWN");
    assert!(answer.text().contains("failed: "), "{}", answer.text());
    // It is not built again for each who asks.
    team.owner.get("/v2/default/tea/manifests/1").is(404);
    assert_eq!(jobs(&team).len(), 1);
}

/// The path of a URL.
fn provenv_path(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    format!("/{}", rest.split_once('/').unwrap().1)
}

#[test]
fn skopeo_and_podman_wait_for_the_build() {
    if !have("skopeo") || !have("podman") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = start(folder.path(), "240") else { return };
    let wheels = ["tea", "cup"].map(|name| Wheel::new(name, "1"));
    let index = wheels.into_iter().fold(Index::new(), Index::add);
    let index = serve(&index);
    for name in ["tea", "cup"] {
        register(&team.owner, &definition(&index, name, &[name]));
    }
    let credentials = format!("ann:{}", team.token("ann", Some("contributor")));
    let address = team.owner.address.to_string();
    let client = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder.path()).env("HOME", folder.path());
        for name in ["REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "DOCKER_CONFIG"] {
            command.env_remove(name);
        }
        command.output().map(Done::from).unwrap()
    };
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::thread::scope(|scope| {
        // They ask before anybody builds.
        let skopeo = scope.spawn(|| {
            let from = format!("docker://{address}/default/tea:1");
            let flags = ["--insecure-policy", "copy", "--src-tls-verify=false", "--src-creds", &credentials];
            client("skopeo", &[&flags[..], &[&from, "dir:copy"]].concat())
        });
        let podman = scope.spawn(|| {
            let (storage, run) = (path("storage"), path("run"));
            let flags = ["--root", &storage, "--runroot", &run, "--storage-driver", "vfs", "pull", "--quiet"];
            let image = format!("{address}/default/cup:1");
            client("podman", &[&flags[..], &["--tls-verify=false", "--creds", &credentials, &image]].concat())
        });
        eventually("both asked for a build", || jobs(&team).len() == 2);
        let _worker = Worker::start(&team.root, &[], &[]);
        skopeo.join().unwrap().ok();
        podman.join().unwrap().ok();
    });
    let manifest = fs_err::read(folder.path().join("copy/manifest.json")).unwrap();
    assert_eq!(team.owner.get("/v2/default/tea/manifests/1").is(200).body, manifest);
}

#[test]
fn the_catalogue_of_repositories_is_of_all_workspaces() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    // In the order of the names, and not of the workspaces: `-` comes before `/`.
    for name in ["vision", "vision-2"] {
        post(&team.owner, "/api/v1/workspaces", &json!({ "name": name })).is(201);
    }
    for repository in ["default/tea", "vision/a", "vision/tools/b", "vision-2/c"] {
        team.owner.image(repository, "1", repository);
    }
    let all = ["default/tea", "vision-2/c", "vision/a", "vision/tools/b"];
    assert_eq!(team.owner.get("/v2/_catalog").is(200).json(), json!({ "repositories": all }));
    // In parts, by the links.
    let mut place = "/v2/_catalog?n=1".to_owned();
    let mut heard = Vec::new();
    loop {
        let part = team.owner.get(&place).is(200);
        heard.extend(part.json()["repositories"].as_array().unwrap().clone());
        let Some(link) = part.header("Link") else { break };
        place = link.trim_start_matches('<').split('>').next().unwrap().to_owned();
    }
    assert_eq!(json!(heard), json!(all));
    // Of those that somebody may read.
    let ann = team.user("ann", Some("reader"));
    assert_eq!(ann.get("/v2/_catalog").is(200).json(), json!({ "repositories": ["default/tea"] }));
    let outsider = team.user("outsider", None);
    assert_eq!(outsider.get("/v2/_catalog").is(200).json(), json!({ "repositories": [] }));
    team.nobody().get("/v2/_catalog").is(401);
    team.owner.get("/v2/_catalog?n=many").is(400);
}
