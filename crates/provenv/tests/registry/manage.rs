//! Specification, "Content Management", and what a garbage collection makes of it.

use provenv_definition::Digest;
use serde_json::json;

use super::client::{IMAGE, INDEX, descriptor, image};
use super::server::{blobs, served};

#[test]
fn a_tag_is_deleted_and_its_manifest_stays() {
    let (_workspace, server) = served();
    let client = server.client();
    let manifest = client.image("tea", "1", "leaves");
    client.manifest("tea", "2", IMAGE, &manifest).is(201);
    client.delete("/v2/tea/manifests/1").is(202);
    client.get("/v2/tea/manifests/1").fails(404, "MANIFEST_UNKNOWN");
    client.delete("/v2/tea/manifests/1").fails(404, "MANIFEST_UNKNOWN");
    client.get("/v2/tea/manifests/2").is(200);
    client.get(&format!("/v2/tea/manifests/{}", Digest::of(&manifest))).is(200);
    assert_eq!(client.get("/v2/tea/tags/list").json()["tags"], json!(["2"]));
}

#[test]
fn a_manifest_is_deleted_with_its_tags() {
    let (_workspace, server) = served();
    let client = server.client();
    let manifest = client.image("tea", "1", "leaves");
    client.manifest("tea", "2", IMAGE, &manifest).is(201);
    let path = format!("/v2/tea/manifests/{}", Digest::of(&manifest));
    client.delete(&path).is(202);
    for path in [&path, "/v2/tea/manifests/1", "/v2/tea/manifests/2"] {
        client.get(path).fails(404, "MANIFEST_UNKNOWN");
    }
    client.delete(&path).fails(404, "MANIFEST_UNKNOWN");
    // Its blobs are there, and it can come again.
    client.head(&format!("/v2/tea/blobs/{}", Digest::of(b"leaves"))).is(200);
    client.manifest("tea", "1", IMAGE, &manifest).is(201);
}

#[test]
fn a_blob_is_deleted_once_no_manifest_names_it() {
    let (_workspace, server) = served();
    let client = server.client();
    let manifest = client.image("tea", "1", "leaves");
    client.blob("milk", b"leaves");
    let blob = format!("/v2/tea/blobs/{}", Digest::of(b"leaves"));
    let refused = client.delete(&blob).fails(405, "UNSUPPORTED");
    assert!(refused.text().contains(&Digest::of(&manifest).to_string()), "{}", refused.text());
    client.get(&blob).is(200);
    client.delete(&format!("/v2/tea/manifests/{}", Digest::of(&manifest))).is(202);
    client.delete(&blob).is(202);
    client.get(&blob).fails(404, "BLOB_UNKNOWN");
    client.delete(&blob).fails(404, "BLOB_UNKNOWN");
    // In another repository it stays.
    client.get(&format!("/v2/milk/blobs/{}", Digest::of(b"leaves"))).is(200);
    client.manifest("tea", "1", IMAGE, &manifest).fails(404, "MANIFEST_BLOB_UNKNOWN");
}

#[test]
fn a_manifest_of_an_index_is_deleted_after_it() {
    let (_workspace, server) = served();
    let client = server.client();
    let manifest = client.image("tea", "one", "leaves");
    let entries = [descriptor(IMAGE, &manifest)];
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }).to_string();
    client.manifest("tea", "all", INDEX, index.as_bytes()).is(201);
    let path = format!("/v2/tea/manifests/{}", Digest::of(&manifest));
    client.delete(&path).fails(405, "UNSUPPORTED");
    client.delete(&format!("/v2/tea/manifests/{}", Digest::of(index.as_bytes()))).is(202);
    client.delete(&path).is(202);
}

#[test]
fn what_is_pushed_stays_through_collections_until_it_is_deleted() {
    let (workspace, server) = served();
    let client = server.client();
    let manifest = client.image("tea", "1", "leaves");
    let unnamed = client.blob("tea", b"its manifest is still to come");
    let untagged = image(b"leaves", &json!({ "annotations": { "a": "b" } }));
    client.manifest("tea", &Digest::of(&untagged).to_string(), IMAGE, &untagged).is(201);
    assert_eq!(workspace.json(["store", "gc", "--all"])["removed"], json!([]));
    assert_eq!(client.get("/v2/tea/manifests/1").is(200).body, manifest);
    client.get(&format!("/v2/tea/blobs/{unnamed}")).is(200);

    for manifest in [&manifest, &untagged] {
        client.delete(&format!("/v2/tea/manifests/{}", Digest::of(manifest))).is(202);
    }
    client.delete(&format!("/v2/tea/blobs/{}", Digest::of(b"leaves"))).is(202);
    let would = workspace.json(["store", "gc", "--dry-run"]);
    assert_eq!(would["removed"].as_array().unwrap().len(), 3, "{would}");
    assert_eq!(blobs(&workspace).len(), 5);
    assert_eq!(workspace.json(["store", "gc"])["removed"], would["removed"]);
    client.get("/v2/tea/manifests/1").is(404);
    client.get(&format!("/v2/tea/blobs/{unnamed}")).is(200);
    assert_eq!(blobs(&workspace).len(), 2);
}

#[test]
fn a_blob_that_no_manifest_came_for_goes_after_a_day() {
    let (workspace, server) = served();
    let client = server.client();
    client.image("tea", "1", "leaves");
    let stale = client.blob("tea", b"nobody came for it");
    // A day goes by for the collection: it takes its time from the clock.
    if !crate::support::have("faketime") {
        return;
    }
    let mut command = std::process::Command::new("faketime");
    command.args(["+25 hours", env!("CARGO_BIN_EXE_provenv"), "store", "gc"]);
    command.env("PROVENV_WORKSPACE", workspace.root()).env("XDG_CONFIG_HOME", "/nonexistent");
    let done: crate::support::Done = command.output().unwrap().into();
    done.ok();
    client.get(&format!("/v2/tea/blobs/{stale}")).fails(404, "BLOB_UNKNOWN");
    client.get("/v2/tea/manifests/1").is(200);
    client.get(&format!("/v2/tea/blobs/{}", Digest::of(b"leaves"))).is(200);
}
