//! Locking definitions with conda packages, from the command line: what is asked beside the definition is kept, and what
//! cannot be had is said at the user's own lines.

mod support;

use provenv_channel::{Channel, Package};
use provenv_testing::server::{FileTree, Server};
use serde_json::Value;
use support::Workspace;

fn channel() -> Channel {
    Channel::new("small")
        .add(Package::new("library", "1.0").timestamp(1_600_000_000_000))
        .add(Package::new("library", "2.0").timestamp(1_700_000_000_000))
        .add(Package::new("model", "1.0").build("cpu_0", 0).depends("library").timestamp(1_600_000_000_000))
        .add(
            Package::new("model", "1.0")
                .build("gpu_1", 1)
                .depends("library")
                .depends("__cuda >=12")
                .timestamp(1_600_000_000_000),
        )
}

fn packages(lock: &Value) -> Vec<String> {
    let packages = lock["platforms"]["linux/amd64"]["conda"].as_array().unwrap();
    let text = |package: &Value, key: &str| package[key].as_str().unwrap().to_owned();
    packages
        .iter()
        .map(|package| {
            format!("{} {} {}", text(package, "name"), text(package, "version"), text(package, "build"))
        })
        .collect()
}

fn lock(workspace: &Workspace, arguments: &[&str]) -> Vec<String> {
    let done = workspace.run(["lock", "--file", "-", "environment.yml"].iter().chain(arguments)).ok();
    packages(&done.json())
}

#[test]
fn what_was_asked_beside_the_definition_is_in_the_receipt() {
    let Some(workspace) = Workspace::new() else { return };
    let server = Server::start(channel().serve(FileTree::new()));
    let url = server.at("/small");
    workspace.write("environment.yml", &format!("name: demo\nchannels: [{url}]\ndependencies: [model]\n"));
    assert_eq!(lock(&workspace, &[]), ["library 2.0 0", "model 1.0 cpu_0"]);
    assert_eq!(lock(&workspace, &["--as-of", "2022-01-01"]), ["library 1.0 0", "model 1.0 cpu_0"]);
    assert_eq!(lock(&workspace, &["--virtual-package", "__cuda=12.4"]), ["library 2.0 0", "model 1.0 gpu_1"]);
    let receipt = workspace.json(["env", "show", "environment.yml", "--receipt"]);
    assert_eq!(receipt["virtual_packages"][0], "__cuda=12.4");
    assert_eq!(receipt["as_of"], Value::Null);
    let done = workspace.run(["lock", "environment.yml", "--as-of", "2022-01-01"]).ok();
    assert!(done.stderr.contains("Debian's archive keeps one version"), "{}", done.stderr);
    let receipt = workspace.json(["env", "show", "environment.yml", "--receipt"]);
    assert_eq!(receipt["as_of"], "2022-01-01T23:59:59Z");
    let indexes = receipt["indexes"].as_array().unwrap();
    assert!(indexes.iter().any(|index| index["url"].as_str().unwrap().starts_with(&url)), "{indexes:?}");
    assert!(receipt["tools"].as_array().unwrap().iter().any(|tool| tool["name"] == "rattler_solve"));

    // A registered environment stays one for machines with a GPU when it moves to newer packages.
    workspace
        .run(["lock", "environment.yml", "--as-of", "2022-01-01", "--virtual-package", "__cuda=12.4"])
        .ok();
    workspace.run(["env", "register", "environment.yml"]).ok();
    let upgraded = workspace.json(["upgrade", "demo"]);
    assert_eq!(upgraded["to"], "2", "{upgraded}");
    let done = workspace.run(["lock", "--file", "-", "demo:2"]).ok();
    assert_eq!(packages(&done.json()), ["library 2.0 0", "model 1.0 gpu_1"]);
}

#[test]
fn a_definition_may_declare_what_its_machines_have() {
    let Some(workspace) = Workspace::new() else { return };
    let server = Server::start(channel().serve(FileTree::new()));
    let url = server.at("/small");
    workspace.write(
        "environment.yml",
        &format!(
            "name: demo\nvirtual_packages: [__cuda=12.4]\nconda_file:\n  channels: [{url}]\n  dependencies: [model]\n"
        ),
    );
    assert_eq!(lock(&workspace, &[]), ["library 2.0 0", "model 1.0 gpu_1"]);
}

#[test]
fn both_platforms_are_in_one_lock() {
    let Some(workspace) = Workspace::new() else { return };
    let both = channel()
        .add(Package::new("tool", "1").build("intel_0", 0))
        .add(Package::new("tool", "1").build("arm_0", 0).subdir("linux-aarch64"));
    let server = Server::start(both.serve(FileTree::new()));
    let url = server.at("/small");
    workspace.write(
        "environment.yml",
        &format!("channels: [{url}]\nplatforms: [linux-64, linux-aarch64]\ndependencies: [tool]\n"),
    );
    let lock = workspace.run(["lock", "--file", "-", "environment.yml"]).ok().json();
    let build = |platform: &str| lock["platforms"][platform]["conda"][0]["build"].clone();
    assert_eq!((build("linux/amd64"), build("linux/arm64")), ("intel_0".into(), "arm_0".into()));
}

#[test]
fn mistakes_are_shown_where_they_stand() {
    let Some(workspace) = Workspace::new() else { return };
    let server = Server::start(channel().serve(FileTree::new()));
    let url = server.at("/small");
    let said = |dependencies: &str| {
        workspace.write(
            "environment.yml",
            &format!("channels:\n- {url}\ndependencies:\n- model\n- {dependencies}\n"),
        );
        let done = workspace.run(["lock", "environment.yml"]);
        assert_eq!(done.code, 1, "{}", done.stderr);
        done.stderr
    };
    let stderr = said("libary");
    assert!(
        stderr.contains("no channel has a package `libary`") && stderr.contains("did you mean `library`?")
    );
    assert!(stderr.contains("environment.yml:5:3"), "{stderr}");
    let stderr = said("library=3");
    assert!(stderr.contains("library 3.*, and the channels have 2.0, 1.0"), "{stderr}");
    assert!(stderr.contains("environment.yml:5:3"), "{stderr}");
    let stderr = said("library\n- model=*=gpu*");
    assert!(stderr.contains("__cuda >=12, which the target is not said to have"), "{stderr}");
    assert!(stderr.contains("--virtual-package __cuda=12.4"), "{stderr}");
}
