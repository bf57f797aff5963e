//! The workspace's own images, which nobody has to push.

use provenv_definition::Digest;
use provenv_testing::pypi::{Index, Wheel};
use serde_json::json;

use super::client::{IMAGE, descriptor, image};
use super::server::Server;
use crate::support::{Workspace, definition, serve};

/// A workspace with `Tea:1` built, and `Tea:2` registered and not built.
fn workspace() -> Option<(Workspace, provenv_testing::server::Server, String)> {
    let index = Index::new()
        .add(Wheel::new("leaf", "1.0").file("leaf.py", "KIND = 'green'\n"))
        .add(Wheel::new("milk", "1.0").file("milk.py", "FAT = 3.5\n"));
    let workspace = Workspace::new()?;
    let packages = serve(&index);
    workspace.write("tea.yaml", &definition(&packages, "Tea", &["leaf"]));
    workspace.json(["env", "register", "tea.yaml"]);
    let built = workspace.json(["build", "Tea:1"]);
    workspace.write("tea.yaml", &definition(&packages, "Tea", &["leaf", "milk"]));
    workspace.json(["env", "register", "tea.yaml"]);
    let image = built["image"].as_str().unwrap().to_owned();
    Some((workspace, packages, image))
}

#[test]
fn an_image_in_another_form_moves_no_tag() {
    let Some((workspace, _packages, digest)) = workspace() else { return };
    let server = Server::open(&workspace.root());
    let client = server.client();
    for form in [["--compression", "zstd"], ["--layers", "40"]] {
        let other = workspace.json([&["build", "Tea:1"][..], &form].concat())["image"].clone();
        assert_ne!(other, digest);
        // Who wants it says so.
        client.get(&format!("/v2/tea/manifests/{}", other.as_str().unwrap())).is(200);
        let tagged = client.get("/v2/tea/manifests/1").is(200);
        assert_eq!(tagged.must("Docker-Content-Digest"), digest);
        // And every command means the same image by the name.
        assert_eq!(workspace.json(["image", "show", "Tea:1"])["digest"], digest);
        let bill = workspace.run(["image", "sbom", "Tea:1", "--format", "cyclonedx"]).ok().stdout;
        assert!(bill.contains(digest.trim_start_matches("sha256:")), "{bill}");
        assert!(!bill.contains(other.as_str().unwrap().trim_start_matches("sha256:")), "{bill}");
    }
}

#[test]
fn a_version_that_is_built_is_a_tag() {
    let Some((workspace, _packages, digest)) = workspace() else { return };
    let server = Server::open(&workspace.root());
    let client = server.client();
    let manifest = client.get("/v2/tea/manifests/1").is(200);
    assert_eq!((manifest.must("Docker-Content-Digest"), manifest.must("Content-Type")), (&*digest, IMAGE));
    assert_eq!(Digest::of(&manifest.body).to_string(), digest);
    assert_eq!(client.get(&format!("/v2/tea/manifests/{digest}")).is(200).body, manifest.body);
    let manifest = manifest.json();
    let layers = manifest["layers"].as_array().unwrap();
    for part in layers.iter().chain([&manifest["config"]]) {
        let path = format!("/v2/tea/blobs/{}", part["digest"].as_str().unwrap());
        assert_eq!(client.head(&path).is(200).must("Content-Length"), part["size"].to_string());
    }
    let config = client.get(&format!("/v2/tea/blobs/{}", manifest["config"]["digest"].as_str().unwrap()));
    assert_eq!(Digest::of(&config.is(200).body).to_string(), manifest["config"]["digest"].as_str().unwrap());
    // Not in other repositories, and nothing of the store that is no part of an image.
    let layer = layers[0]["digest"].as_str().unwrap();
    client.get(&format!("/v2/milk/blobs/{layer}")).fails(404, "BLOB_UNKNOWN");
    let wheel = workspace.json(["image", "show", &digest])["packages"]
        .as_array()
        .unwrap()
        .iter()
        .find(|package| package["name"] == "leaf")
        .unwrap()["sha256"]
        .as_str()
        .unwrap()
        .to_owned();
    client.get(&format!("/v2/tea/blobs/{wheel}")).fails(404, "BLOB_UNKNOWN");

    // The newest is not built, and neither is its tag.
    for tag in ["2", "latest"] {
        let unbuilt = client.get(&format!("/v2/tea/manifests/{tag}")).fails(404, "MANIFEST_UNKNOWN");
        assert!(unbuilt.text().contains("`provenv build Tea:2` builds it"), "{}", unbuilt.text());
    }
    assert_eq!(client.get("/v2/tea/tags/list").is(200).json(), json!({ "name": "tea", "tags": ["1"] }));
    // It is once it is, while the server runs.
    let second = workspace.json(["build", "Tea:2"])["image"].as_str().unwrap().to_owned();
    for tag in ["2", "latest"] {
        let manifest = client.get(&format!("/v2/tea/manifests/{tag}")).is(200);
        assert_eq!(manifest.must("Docker-Content-Digest"), second);
    }
    assert_eq!(client.get("/v2/tea/tags/list").json()["tags"], json!(["1", "2", "latest"]));
    assert_eq!(client.get("/v2/tea/tags/list?n=1&last=1").json()["tags"], json!(["2"]));
    let names = json!({ "repositories": ["provenv/images", "tea"] });
    assert_eq!(client.get("/v2/_catalog").json(), names);
}

#[test]
fn versions_are_not_for_clients_to_change() {
    let Some((workspace, _packages, digest)) = workspace() else { return };
    let server = Server::open(&workspace.root());
    let client = server.client();
    client.blob("tea", b"{}");
    client.blob("tea", b"leaves");
    let other = image(b"leaves", &json!({}));
    for tag in ["1", "2", "latest"] {
        let refused = client.manifest("tea", tag, IMAGE, &other).fails(403, "DENIED");
        assert!(refused.text().contains("environment `Tea`"), "{}", refused.text());
        client.delete(&format!("/v2/tea/manifests/{tag}")).fails(403, "DENIED");
    }
    client.delete(&format!("/v2/tea/manifests/{digest}")).fails(403, "DENIED");
    let manifest = client.get("/v2/tea/manifests/1").is(200);
    let layer = manifest.json()["layers"][0]["digest"].as_str().unwrap().to_owned();
    client.delete(&format!("/v2/tea/blobs/{layer}")).fails(403, "DENIED");
    for repository in ["provenv/images", "provenv/other", "curated/minimal"] {
        client.blob(repository, b"{}");
        client.blob(repository, b"leaves");
        client.manifest(repository, "mine", IMAGE, &other).fails(403, "DENIED");
    }
    // Other tags of the repository are theirs, also for images that stand on the same layers.
    client.manifest("tea", "mine", IMAGE, &manifest.body).is(201);
    assert_eq!(client.get("/v2/tea/manifests/mine").is(200).body, manifest.body);
    client.delete("/v2/tea/manifests/mine").is(202);
    assert_eq!(client.get("/v2/tea/manifests/1").is(200).body, manifest.body);
}

#[test]
fn a_registered_version_is_what_it_is_whatever_was_pushed_by_its_name() {
    let Some((workspace, packages, _)) = workspace() else { return };
    let server = Server::open(&workspace.root());
    let client = server.client();
    let pushed = client.image("tea", "3", "leaves");
    assert_eq!(client.get("/v2/tea/manifests/3").is(200).body, pushed);
    workspace.write("tea.yaml", &definition(&packages, "Tea", &["milk"]));
    workspace.json(["env", "register", "tea.yaml"]);
    client.get("/v2/tea/manifests/3").fails(404, "MANIFEST_UNKNOWN");
    let built = workspace.json(["build", "Tea:3"]);
    let manifest = client.get("/v2/tea/manifests/3").is(200);
    assert_eq!(built["image"], manifest.must("Docker-Content-Digest"));
    // By its digest it is there.
    client.get(&format!("/v2/tea/manifests/{}", Digest::of(&pushed))).is(200);
}

#[test]
fn things_are_attached_to_images_of_the_workspace() {
    let Some((workspace, _packages, digest)) = workspace() else { return };
    let server = Server::open(&workspace.root());
    let client = server.client();
    let subject = client.get("/v2/tea/manifests/1").is(200).body;
    client.blob("tea", b"{}");
    client.blob("tea", b"signed");
    let note =
        image(b"signed", &json!({ "subject": descriptor(IMAGE, &subject), "artifactType": "signature" }));
    let reference = Digest::of(&note).to_string();
    let pushed = client.manifest("tea", &reference, IMAGE, &note).is(201);
    assert_eq!(pushed.must("OCI-Subject"), digest);
    let listed = client.get(&format!("/v2/tea/referrers/{digest}")).is(200).json()["manifests"].clone();
    assert_eq!(
        (listed[0]["digest"].as_str(), listed[0]["artifactType"].as_str()),
        (Some(&*reference), Some("signature"))
    );
    // As clients do it that know no referrers: by a tag.
    let tag = format!("{}.sig", digest.replace(':', "-"));
    client.manifest("tea", &tag, IMAGE, &note).is(201);
    client.get(&format!("/v2/tea/manifests/{tag}")).is(200);
}

#[test]
fn an_image_without_a_name_is_pulled_by_its_digest() {
    let Some((workspace, packages, _)) = workspace() else { return };
    workspace.write("other.yaml", &definition(&packages, "other", &["milk"]));
    let digest = workspace.json(["build", "other.yaml"])["image"].as_str().unwrap().to_owned();
    let server = Server::open(&workspace.root());
    let client = server.client();
    client.get("/v2/other/tags/list").fails(404, "NAME_UNKNOWN");
    let manifest = client.get(&format!("/v2/provenv/images/manifests/{digest}")).is(200).json();
    let config = manifest["config"]["digest"].as_str().unwrap();
    client.get(&format!("/v2/provenv/images/blobs/{config}")).is(200);
    assert_eq!(client.get("/v2/provenv/images/tags/list").is(200).json()["tags"], json!([]));
    // Its layers are mounted where another image needs them.
    let mount =
        |from: &str| client.post(&format!("/v2/mine/blobs/uploads/?mount={config}{from}"), b"").status;
    assert_eq!((mount("&from=tea"), mount("&from=provenv/images"), mount("")), (202, 201, 201));
    // What is collected is not there any more.
    workspace.json(["store", "gc"]);
    client.get(&format!("/v2/provenv/images/manifests/{digest}")).fails(404, "MANIFEST_UNKNOWN");
    client.get("/v2/tea/manifests/1").is(200);
    client.get(&format!("/v2/mine/blobs/{config}")).is(200);
}
