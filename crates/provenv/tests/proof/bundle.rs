//! `provenv bundle`: what one machine made, on another that has no network.

use serde_json::Value;

use super::{Setup, checks, program, verify};
use crate::support::{Workspace, have};

#[test]
fn elsewhere_without_a_network_it_comes_out_the_same_again() {
    let Some(setup) = Setup::signed() else { return };
    let workspace = &setup.workspace;
    workspace.json(["env", "register", "environment.yaml"]);
    // A bundle brings the files too, where a collection took them.
    let exported = workspace.json(["bundle", "export", "tea", "environment.yaml", "--to", "tea.tar"]);
    assert_eq!(exported["images"].as_array().unwrap().len(), 1, "the same image twice");
    assert_eq!(exported["images"][0]["environment"], "tea:1");
    let first = fs_err::read(setup.path("tea.tar")).unwrap();
    workspace.json(["bundle", "export", "tea", "--to", "again.tar"]);
    assert!(fs_err::read(setup.path("again.tar")).unwrap() == first, "the same images are the same file");
    let statement = workspace.run(["image", "provenance", "tea"]).ok().stdout;

    let key = workspace.root().join("keys/release.pub");
    let elsewhere = Workspace::empty();
    fs_err::copy(setup.path("tea.tar"), elsewhere.path().join("tea.tar")).unwrap();
    let imported = elsewhere.json(["--offline", "bundle", "import", "tea.tar"]);
    assert_eq!(imported["images"], exported["images"]);
    // It says the same there, and that another machine chose it.
    let said = elsewhere.run(["image", "provenance", "tea:1"]).ok().stdout;
    let (mut said, statement): (Value, Value) =
        (serde_json::from_str(&said).unwrap(), serde_json::from_str(&statement).unwrap());
    let parameters = said["predicate"]["buildDefinition"]["externalParameters"].as_object_mut().unwrap();
    let from = parameters.remove("lockTakenFrom").expect("it is said where it is from");
    assert_eq!(from, serde_json::json!({ "place": "the bundle tea.tar" }));
    assert_eq!(said, statement);
    let arguments = ["tea:1", "--rebuild", "--offline", "--key", key.to_str().unwrap()];
    let (code, verified) = verify(&elsewhere, &arguments);
    assert_eq!((code, checks(&verified, "failed").len()), (0, 0), "{verified}");
    assert!(checks(&verified, "passed").contains(&"rebuild".to_owned()));
    // It runs, and a file with the same definition has the same lock.
    let run =
        elsewhere.run(["--offline", "run", "tea", "--", "python", "-c", "import tea; print(tea.__name__)"]);
    assert_eq!(run.ok().stdout, "tea\n");
    fs_err::copy(setup.path("environment.yaml"), elsewhere.path().join("environment.yaml")).unwrap();
    assert_eq!(elsewhere.json(["--offline", "build", "environment.yaml"])["image"], setup.image);
    // Twice is once.
    elsewhere.json(["bundle", "import", "tea.tar"]);
    assert_eq!(elsewhere.json(["image", "list"]).as_array().unwrap().len(), 1);
    if have("skopeo") {
        let digest = ["inspect", "--format", "{{.Digest}}", "oci-archive:tea.tar:tea:1"];
        let found = program(&elsewhere, "skopeo", &digest).ok().stdout;
        assert_eq!(found.trim(), setup.image);
    }
}

#[test]
fn what_is_broken_or_no_bundle_is_refused_and_leaves_nothing_in_sight() {
    let Some(setup) = Setup::new() else { return };
    let workspace = &setup.workspace;
    workspace.json(["bundle", "export", "environment.yaml", "--to", "tea.tar"]);
    let whole = fs_err::read(setup.path("tea.tar")).unwrap();
    let elsewhere = Workspace::empty();
    let done = elsewhere.run(["bundle", "import", "nosuch.tar"]);
    assert!(done.code == 1 && done.stderr.contains("there is no bundle `"), "{}", done.stderr);
    assert!(!done.stderr.contains("export it anew"), "{}", done.stderr);
    let refused = |bytes: &[u8], why: &str| {
        fs_err::write(elsewhere.path().join("tea.tar"), bytes).unwrap();
        let done = elsewhere.run(["--offline", "bundle", "import", "tea.tar"]);
        assert!(done.code == 1 && done.stderr.contains(why), "{}", done.stderr);
        assert_eq!(elsewhere.json(["image", "list"]), serde_json::json!([]));
    };
    refused(&whole[..whole.len() / 2], "tea.tar");
    let mut flipped = whole.clone();
    // Past the headers and the index, in the bytes of some blob.
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    refused(&flipped, "tea.tar");
    refused(b"no archive at all", "tea.tar");
    workspace.json(["build", "environment.yaml", "--to", "oci-archive:image.tar"]);
    refused(&fs_err::read(setup.path("image.tar")).unwrap(), "is not a bundle");
    fs_err::write(elsewhere.path().join("tea.tar"), whole).unwrap();
    elsewhere.json(["--offline", "bundle", "import", "tea.tar"]);
}
