//! Others as clients: skopeo, podman, buildah, and `provenv build --to`.

use std::process::Command;

use provenv_definition::Digest;
use provenv_testing::pypi::{Index, Wheel};
use serde_json::{Value, json};

use super::access::with_users;
use super::client::{Client, IMAGE};
use super::server::{Server, served};
use crate::support::{Done, Workspace, definition, have, is_root, serve};

/// Runs a peer in the test's folder, with no credentials but those it is given.
pub fn peer(workspace: &Workspace, program: &str, arguments: &[&str]) -> Done {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(workspace.path()).env("HOME", workspace.path());
    command.env_remove("REGISTRY_AUTH_FILE").env_remove("XDG_RUNTIME_DIR").env_remove("DOCKER_CONFIG");
    command.output().unwrap().into()
}

fn skopeo(workspace: &Workspace, arguments: &[&str]) -> Done {
    peer(workspace, "skopeo", &[&["--insecure-policy"], arguments].concat())
}

/// podman with a storage of its own, which works inside a container too.
fn podman(workspace: &Workspace, arguments: &[&str]) -> Done {
    let path = |name: &str| workspace.path().join(name).to_str().unwrap().to_owned();
    let (storage, run) = (path("storage"), path("run"));
    peer(
        workspace,
        "podman",
        &[&["--root", &storage, "--runroot", &run, "--storage-driver", "vfs"], arguments].concat(),
    )
}

/// An image that clients unpack: one layer with one file.
pub fn real_image(workspace: &Workspace, client: &Client, repository: &str, tag: &str) -> Vec<u8> {
    workspace.write("hello.txt", "hello from the registry\n");
    let tar =
        Command::new("tar").args(["-cf", "-", "hello.txt"]).current_dir(workspace.path()).output().unwrap();
    let layer = tar.stdout;
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": { "Cmd": ["/hello"] },
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(&layer)] },
    })
    .to_string();
    client.blob(repository, config.as_bytes());
    client.blob(repository, &layer);
    let part = |kind: &str, bytes: &[u8]| super::client::descriptor(kind, bytes);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": IMAGE,
        "config": part("application/vnd.oci.image.config.v1+json", config.as_bytes()),
        "layers": [part("application/vnd.oci.image.layer.v1.tar", &layer)],
    })
    .to_string()
    .into_bytes();
    client.manifest(repository, tag, IMAGE, &manifest).is(201);
    manifest
}

#[test]
fn skopeo_pulls_pushes_lists_and_deletes() {
    if !have("skopeo") {
        return;
    }
    let (workspace, server) = served();
    let client = server.client();
    let manifest = real_image(&workspace, &client, "team/tea", "1");
    let at = |name: &str| format!("docker://{}", server.at(name));
    let (source, plain) = (at("team/tea:1"), "--src-tls-verify=false");
    skopeo(&workspace, &["copy", plain, &source, "dir:copy"]).ok();
    assert_eq!(fs_err::read(workspace.path().join("copy/manifest.json")).unwrap(), manifest);
    // As it is, compressed anew, and as docker's manifest.
    skopeo(&workspace, &["copy", "--dest-tls-verify=false", "dir:copy", &at("copies/tea:same")]).ok();
    assert_eq!(client.get("/v2/copies/tea/manifests/same").is(200).body, manifest);
    for (format, kind) in [("oci", IMAGE), ("v2s2", "application/vnd.docker.distribution.manifest.v2+json")] {
        let destination = at(&format!("copies/tea:{format}"));
        let flags = ["copy", plain, "--dest-tls-verify=false", "--dest-compress", "--format", format];
        skopeo(&workspace, &[&flags[..], &[&source, &destination]].concat()).ok();
        let pushed = client.get(&format!("/v2/copies/tea/manifests/{format}")).is(200);
        assert_eq!(pushed.must("Content-Type"), kind);
        skopeo(&workspace, &["copy", plain, &destination, &format!("dir:{format}")]).ok();
        skopeo(&workspace, &["inspect", "--tls-verify=false", &destination]).ok();
    }
    let listed = skopeo(&workspace, &["list-tags", "--tls-verify=false", &at("copies/tea")]).ok().json();
    assert_eq!(listed["Tags"], json!(["oci", "same", "v2s2"]));
    skopeo(&workspace, &["delete", "--tls-verify=false", &at("copies/tea:same")]).ok();
    client.get("/v2/copies/tea/manifests/same").is(404);
    let gone = skopeo(&workspace, &["inspect", "--tls-verify=false", &at("copies/tea:same")]);
    assert!(gone.code != 0 && gone.stderr.contains("manifest unknown"), "{}", gone.stderr);
}

#[test]
fn skopeo_gives_its_name_where_it_is_wanted() {
    if !have("skopeo") {
        return;
    }
    for arguments in [&["--htpasswd", "users"][..], &["--htpasswd", "users", "--anonymous-pull"]] {
        let (workspace, _) = with_users();
        let image = {
            let server = Server::open(&workspace.root());
            real_image(&workspace, &server.client(), "tea", "1")
        };
        let server = Server::start(workspace.command(), arguments);
        let at = |name: &str| format!("docker://{}", server.at(name));
        let copy = |more: &[&str], from: &str, to: &str| {
            let flags = ["copy", "--src-tls-verify=false", "--dest-tls-verify=false"];
            skopeo(&workspace, &[&flags[..], more, &[from, to]].concat())
        };
        let open = arguments.len() > 2;
        let nameless = copy(&["--src-no-creds"], &at("tea:1"), "dir:nameless");
        assert_eq!(nameless.code == 0, open, "{}", nameless.stderr);
        let wrong = copy(&["--src-creds", "me:hunter3"], &at("tea:1"), "dir:wrong");
        assert!(wrong.code != 0, "{}", wrong.stderr);
        copy(&["--src-creds", "me:hunter2"], &at("tea:1"), "dir:named").ok();
        assert_eq!(fs_err::read(workspace.path().join("named/manifest.json")).unwrap(), image);
        let refused = copy(&["--dest-no-creds"], "dir:named", &at("tea:2"));
        assert!(refused.code != 0, "{}", refused.stderr);
        copy(&["--dest-creds", "me:hunter2"], "dir:named", &at("tea:2")).ok();
        // With what a login left.
        let flags = ["login", "--tls-verify=false", "--authfile", "auth.json", "-u", "me", "-p", "hunter2"];
        skopeo(&workspace, &[&flags[..], &[&server.address.to_string()]].concat()).ok();
        copy(&["--authfile", "auth.json"], "dir:named", &at("tea:3")).ok();
    }
}

#[test]
fn podman_pulls_and_pushes() {
    if !have("podman") || !is_root() {
        return;
    }
    let (workspace, server) = served();
    let client = server.client();
    real_image(&workspace, &client, "tea", "1");
    let (one, two) = (server.at("tea:1"), server.at("other/tea:2"));
    podman(&workspace, &["pull", "--tls-verify=false", &one]).ok();
    podman(&workspace, &["tag", &one, &two]).ok();
    podman(&workspace, &["push", "--tls-verify=false", &two]).ok();
    client.get("/v2/other/tea/manifests/2").is(200);
    podman(&workspace, &["rmi", "--all", "--force"]).ok();
    podman(&workspace, &["pull", "--tls-verify=false", &two]).ok();
    let inspected = podman(&workspace, &["inspect", &two]).ok().json();
    assert_eq!(inspected[0]["Config"]["Cmd"], json!(["/hello"]));
}

#[test]
fn buildah_pulls_pushes_and_builds_upon_it() {
    if !have("buildah") || !is_root() {
        return;
    }
    let (workspace, server) = served();
    let client = server.client();
    let manifest = real_image(&workspace, &client, "tea", "1");
    let path = |name: &str| workspace.path().join(name).to_str().unwrap().to_owned();
    let (storage, run) = (path("storage"), path("run"));
    let buildah = |arguments: &[&str]| {
        let flags = ["--root", &storage, "--runroot", &run, "--storage-driver", "vfs"];
        peer(&workspace, "buildah", &[&flags[..], arguments].concat())
    };
    let (one, two) = (server.at("tea:1"), server.at("tea:2"));
    workspace.write("milk", "3.5\n");
    workspace.write("Containerfile", &format!("FROM {one}\nCOPY milk /milk\n"));
    let build =
        ["bud", "--isolation", "chroot", "--tls-verify=false", "--layers", "-f", "Containerfile", "-t", &two];
    buildah(&[&build[..], &["."]].concat()).ok();
    buildah(&["push", "--tls-verify=false", &two]).ok();
    let pushed = client.get("/v2/tea/manifests/2").is(200).json();
    assert_eq!(pushed["layers"].as_array().unwrap().len(), 2, "{pushed}");
    buildah(&["rmi", "--all", "--force"]).ok();
    buildah(&["pull", "--tls-verify=false", &two]).ok();
    assert_eq!(client.get("/v2/tea/manifests/1").is(200).body, manifest);
}

#[test]
fn umoci_unpacks_what_was_pulled_and_what_it_made_is_pushed() {
    if !have("umoci") || !have("skopeo") || !is_root() {
        return;
    }
    let (workspace, server) = served();
    let client = server.client();
    real_image(&workspace, &client, "tea", "1");
    let at = |name: &str| format!("docker://{}", server.at(name));
    skopeo(&workspace, &["copy", "--src-tls-verify=false", &at("tea:1"), "oci:layout:1"]).ok();
    peer(&workspace, "umoci", &["unpack", "--image", "layout:1", "bundle"]).ok();
    let hello = fs_err::read_to_string(workspace.path().join("bundle/rootfs/hello.txt")).unwrap();
    assert_eq!(hello, "hello from the registry\n");
    workspace.write("bundle/rootfs/milk", "3.5\n");
    peer(&workspace, "umoci", &["repack", "--image", "layout:2", "bundle"]).ok();
    skopeo(&workspace, &["copy", "--dest-tls-verify=false", "oci:layout:2", &at("tea:2")]).ok();
    assert_eq!(client.get("/v2/tea/manifests/2").is(200).json()["layers"].as_array().unwrap().len(), 2);
}

#[test]
fn an_environment_is_pulled_by_its_name_and_pushed_by_our_own_client() {
    if !have("skopeo") {
        return;
    }
    let Some(workspace) = Workspace::new() else { return };
    let packages = serve(&Index::new().add(Wheel::new("leaf", "1.0").file("leaf.py", "KIND = 'green'\n")));
    workspace.write("tea.yaml", &definition(&packages, "tea", &["leaf"]));
    workspace.json(["env", "register", "tea.yaml"]);
    let digest = workspace.json(["build", "tea:1"])["image"].as_str().unwrap().to_owned();
    let server = Server::open(&workspace.root());
    let source = format!("docker://{}", server.at("tea:1"));
    // Reads every blob and checks its digest.
    skopeo(&workspace, &["copy", "--src-tls-verify=false", &source, "oci:layout:tea"]).ok();
    let inspected: Value = skopeo(&workspace, &["inspect", "oci:layout:tea"]).ok().json();
    assert_eq!(inspected["Digest"], digest.as_str());

    // Another workspace as the registry of this one, with a name and a password.
    let (team, users) = with_users();
    let registry = Server::start(team.command(), &["--htpasswd", users.to_str().unwrap()]);
    let refused = workspace.run(["build", "tea:1", "--to", &registry.at("team/tea:1")]);
    assert!(refused.code == 1 && refused.stderr.contains("refused access"), "{}", refused.stderr);
    let auth = format!(r#"{{"auths": {{"{}": {{"auth": "bWU6aHVudGVyMg=="}}}}}}"#, registry.address);
    let auth = workspace.write("auth.json", &auth);
    let push = |tag: &str| {
        let mut command = workspace.command();
        command.env("REGISTRY_AUTH_FILE", &auth).args(["build", "tea:1", "--to", &registry.at(tag)]);
        Done::from(command.output().unwrap()).ok()
    };
    push("team/tea:1");
    let client = registry.client().with("Authorization", super::access::ME);
    assert_eq!(client.get("/v2/team/tea/manifests/1").is(200).must("Docker-Content-Digest"), digest);
    push("team/tea:2");
    push("other/tea:1");
    assert_eq!(client.get("/v2/team/tea/tags/list").json()["tags"], json!(["1", "2"]));
    let copied = format!("docker://{}", registry.at("other/tea:1"));
    let flags = ["copy", "--src-tls-verify=false", "--src-creds", "me:hunter2"];
    skopeo(&workspace, &[&flags[..], &[&copied, "oci:layout:copy"]].concat()).ok();
    assert_eq!(team.json(["store", "gc"])["removed"], json!([]));
}
