//! What provenance says.

use provenv_testing::pypi::{Index, Wheel};
use serde_json::Value;

use super::{Setup, payload};
use crate::support::{Done, Workspace, serve};

fn statement(workspace: &Workspace, image: &str) -> String {
    workspace.run(["image", "provenance", image]).ok().stdout
}

#[test]
fn the_same_record_gives_the_same_bytes_and_they_are_what_is_signed() {
    let Some(setup) = Setup::signed() else { return };
    let first = statement(&setup.workspace, "environment.yaml");
    assert_eq!(statement(&setup.workspace, &setup.image), first);
    assert_eq!(statement(&setup.workspace, &setup.image[7..19]), first);
    setup.workspace.json(["env", "register", "environment.yaml"]);
    assert_eq!(statement(&setup.workspace, "tea:1"), first);
    assert_eq!(payload(&setup.layout("image").envelope()), first.as_bytes());
    // And after its bytes are gone.
    setup.workspace.json(["build", "environment.yaml", "--force"]);
    assert_eq!(statement(&setup.workspace, &setup.image), first);
}

#[test]
fn every_artifact_the_lock_and_the_indexes_are_named() {
    let Some(setup) = Setup::new() else { return };
    let statement: Value = serde_json::from_str(&statement(&setup.workspace, &setup.image)).unwrap();
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    assert_eq!(statement["subject"][0]["digest"]["sha256"], setup.image[7..]);
    let build = &statement["predicate"]["buildDefinition"];
    let dependencies = build["resolvedDependencies"].as_array().unwrap();
    let of_kind = |kind: &str| -> Vec<&Value> {
        dependencies.iter().filter(|one| one["annotations"]["kind"] == kind).collect()
    };
    let lock: Value = {
        let text = setup.workspace.run(["lock", "environment.yaml", "--file", "-"]).ok().stdout;
        let digest = provenv_definition::Digest::of(text.as_bytes());
        assert_eq!(of_kind("lock")[0]["digest"]["sha256"], digest.hex());
        serde_json::from_str(&text).unwrap()
    };
    let platform = &lock["platforms"][build["externalParameters"]["platform"].as_str().unwrap()];
    let debian = platform["debian"].as_array().unwrap();
    let artifacts = of_kind("artifact");
    assert_eq!(artifacts.len(), debian.len() + 1);
    for package in debian {
        let digest = package["artifact"]["sha256"].as_str().unwrap();
        let named = artifacts.iter().find(|one| one["digest"]["sha256"] == digest[7..]).expect("it is named");
        assert_eq!(named["uri"], package["artifact"]["url"]);
        assert_eq!(named["annotations"]["package"], package["name"]);
    }
    let tea = artifacts.last().unwrap();
    assert_eq!(tea["name"], "tea-1.0-py3-none-any.whl");
    let release = |one: &&&Value| {
        one["uri"].as_str().unwrap().contains("dists/") && one["digest"]["sha256"].is_string()
    };
    assert!(of_kind("index").iter().any(|one| release(&one)), "{:?}", of_kind("index"));
    assert_eq!(of_kind("base")[0]["name"], "debian:bookworm");
    assert_eq!(statement["predicate"]["runDetails"]["builder"]["id"], "https://provenv.dev/builder/local");
}

#[test]
fn an_image_that_was_collected_still_has_its_provenance() {
    let Some(setup) = Setup::signed() else { return };
    let first = statement(&setup.workspace, &setup.image);
    setup.workspace.run(["store", "gc"]).ok();
    assert_eq!(setup.workspace.json(["image", "list"]), serde_json::json!([]));
    let mut now: Value = serde_json::from_str(&statement(&setup.workspace, &setup.image)).unwrap();
    let mut before: Value = serde_json::from_str(&first).unwrap();
    // By which rules it was assembled is known of images that are there.
    for one in [&mut now, &mut before] {
        one["predicate"]["buildDefinition"]["internalParameters"].take();
    }
    assert_eq!(now, before);
    let refused = setup.workspace.run(["image", "sign", &setup.image, "--key", "release"]);
    assert!(refused.code == 1 && refused.stderr.contains("build it again"), "{}", refused.stderr);
    // It comes back with the signature that it had.
    setup.workspace.json(["build", "environment.yaml"]);
    assert_eq!(setup.verify(&[&setup.image]).0, 0);
}

#[test]
fn no_secret_of_an_index_is_in_it_and_the_builder_is_who_the_settings_say() {
    let Some(workspace) = Workspace::new() else { return };
    let server = serve(&Index::new().add(Wheel::new("tea", "1.0")));
    let index = server.at("/simple/").replace("://", "://${TEA_USER}:${TEA_PASSWORD}@");
    workspace.write("requirements.txt", &format!("--index-url {index}\ntea\n"));
    let mut build = workspace.command();
    build.args(["build", "requirements.txt"]).env("TEA_USER", "me").env("TEA_PASSWORD", "hunter2");
    Done::from(build.output().unwrap()).ok();
    let text = statement(&workspace, "requirements.txt");
    assert!(text.contains("tea-1.0-py3-none-any.whl") && !text.contains("hunter2"), "{text}");

    let settings =
        workspace.write("settings.toml", "[provenance]\nbuilder = \"https://ci.example/runners/gpu\"\n");
    let mut command = workspace.command();
    command.args(["image", "provenance", "requirements.txt"]).env("PROVENV_CONFIG", settings);
    let output = command.output().unwrap();
    let statement: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(statement["predicate"]["runDetails"]["builder"]["id"], "https://ci.example/runners/gpu");
}

#[test]
fn what_was_never_built_has_none() {
    let workspace = Workspace::empty();
    workspace.write("environment.yaml", "name: tea\npython: \"3.11\"\n");
    for image in ["environment.yaml", "sha256:012345", "012345"] {
        let done = workspace.run(["image", "provenance", image]);
        assert!(done.code == 1 && done.stderr.contains("there is no image"), "{}", done.stderr);
    }
}
