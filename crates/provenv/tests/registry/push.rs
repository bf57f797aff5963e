//! Specification, "Pushing Manifests".

use std::io::Write as _;

use provenv_definition::Digest;
use serde_json::json;

use super::client::{IMAGE, INDEX, descriptor, image, read};
use super::server::served;

#[test]
fn a_manifest_is_pushed_by_tag_or_by_digest() {
    let (_workspace, server) = served();
    let client = server.client();
    client.blob("tea", b"{}");
    client.blob("tea", b"leaves");
    let manifest = image(b"leaves", &json!({}));
    let digest = Digest::of(&manifest).to_string();
    for reference in ["1", "1", &digest] {
        let pushed = client.manifest("tea", reference, IMAGE, &manifest).is(201);
        assert_eq!(pushed.must("Docker-Content-Digest"), digest);
        let location = pushed.must("Location").to_owned();
        assert_eq!(client.get(&location).is(200).body, manifest);
        assert_eq!(pushed.header("OCI-Subject"), None);
    }
    // Not sent as anything, it is what it says.
    client.put("/v2/tea/manifests/2", &manifest).is(201);
    client.manifest("tea", "3", &format!("{IMAGE}; charset=utf-8"), &manifest).is(201);
}

#[test]
fn a_tag_moves_to_what_is_pushed_last() {
    let (_workspace, server) = served();
    let client = server.client();
    let first = client.image("tea", "1", "green");
    let second = client.image("tea", "1", "black");
    assert_eq!(client.get("/v2/tea/manifests/1").is(200).body, second);
    assert_eq!(client.get(&format!("/v2/tea/manifests/{}", Digest::of(&first))).is(200).body, first);
}

#[test]
fn bytes_must_be_those_of_the_digest() {
    let (_workspace, server) = served();
    let client = server.client();
    let manifest = client.image("tea", "1", "leaves");
    let other = Digest::of(b"other");
    let refused = client.manifest("tea", &other.to_string(), IMAGE, &manifest).fails(400, "DIGEST_INVALID");
    assert_eq!(refused.details()[0]["digest"], other.to_string());
    client.get(&format!("/v2/tea/manifests/{other}")).is(404);
}

#[test]
fn every_part_must_be_in_the_repository() {
    let (_workspace, server) = served();
    let client = server.client();
    let manifest = image(b"leaves", &json!({}));
    let missing = client.manifest("tea", "1", IMAGE, &manifest).fails(404, "MANIFEST_BLOB_UNKNOWN");
    let digests: Vec<_> = missing.details().iter().map(|detail| detail["digest"].clone()).collect();
    assert_eq!(digests, [json!(Digest::of(b"{}")), json!(Digest::of(b"leaves"))]);
    client.get("/v2/tea/manifests/1").is(404);
    // In another repository, it is not in this one.
    client.image("milk", "1", "leaves");
    client.manifest("tea", "1", IMAGE, &manifest).fails(404, "MANIFEST_BLOB_UNKNOWN");
    client.blob("tea", b"{}");
    let missing = client.manifest("tea", "1", IMAGE, &manifest).fails(404, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(missing.details(), [json!({ "digest": Digest::of(b"leaves") })]);
    client.blob("tea", b"leaves");
    client.manifest("tea", "1", IMAGE, &manifest).is(201);
}

#[test]
fn sizes_must_be_those_of_the_blobs() {
    let (_workspace, server) = served();
    let client = server.client();
    client.blob("tea", b"{}");
    client.blob("tea", b"leaves");
    let mut layer = descriptor("application/vnd.oci.image.layer.v1.tar", b"leaves");
    layer["size"] = json!(7);
    let manifest = image(b"leaves", &json!({ "layers": [layer] }));
    let refused = client.manifest("tea", "1", IMAGE, &manifest).fails(400, "MANIFEST_INVALID");
    assert!(refused.text().contains("has 6 bytes, and not 7"), "{}", refused.text());
}

#[test]
fn an_index_names_manifests_of_the_repository() {
    let (_workspace, server) = served();
    let client = server.client();
    let entry = image(b"leaves", &json!({}));
    let index = |entry: &[u8]| {
        let manifests = [descriptor(IMAGE, entry)];
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
        serde_json::to_vec(&index).unwrap()
    };
    client.manifest("tea", "all", INDEX, &index(&entry)).fails(404, "MANIFEST_BLOB_UNKNOWN");
    client.image("tea", "one", "leaves");
    client.manifest("tea", "all", INDEX, &index(&entry)).is(201);
    let pulled = client.get("/v2/tea/manifests/all").is(200);
    assert_eq!(pulled.must("Content-Type"), INDEX);
    assert_eq!(pulled.body, index(&entry));
    // Indexes may be in indexes, and may be empty.
    let manifests = [descriptor(INDEX, &pulled.body)];
    let outer = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests }).to_string();
    client.manifest("tea", "nested", INDEX, outer.as_bytes()).is(201);
    let none = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] }).to_string();
    client.manifest("tea", "none", INDEX, none.as_bytes()).is(201);
}

#[test]
fn manifests_of_docker_are_kept_as_they_are() {
    let (_workspace, server) = served();
    let client = server.client();
    client.blob("tea", b"{}");
    client.blob("tea", b"leaves");
    let kind = "application/vnd.docker.distribution.manifest.v2+json";
    let foreign = json!({
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "digest": Digest::of(b"not pushed"),
        "size": 10,
        "urls": ["https://example.invalid/layer"],
    });
    let layers = [foreign, descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", b"leaves")];
    let manifest = image(b"leaves", &json!({ "mediaType": kind, "layers": layers }));
    client.manifest("tea", "1", kind, &manifest).is(201);
    let pulled = client.get("/v2/tea/manifests/1").is(200);
    assert_eq!((pulled.must("Content-Type"), &pulled.body), (kind, &manifest));
    let kind = "application/vnd.docker.distribution.manifest.list.v2+json";
    let entry = descriptor("application/vnd.docker.distribution.manifest.v2+json", &manifest);
    let list = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": [entry] }).to_string();
    client.manifest("tea", "list", kind, list.as_bytes()).is(201);
}

/// What the specification leaves to others is kept as it came: kinds of configurations and layers, fields, bytes in descriptors.
#[test]
fn what_is_not_understood_is_kept_byte_for_byte() {
    let (_workspace, server) = served();
    let client = server.client();
    client.blob("tea", b"{}");
    client.blob("tea", b"leaves");
    let layer = json!({
        "mediaType": "application/vnd.example.unheard-of.v9+cbor", "digest": Digest::of(b"leaves"), "size": 6,
        "data": "bGVhdmVz", "annotations": { "a": "b" }, "extra": [1, { "two": null }],
    });
    let elsewhere = json!({
        "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "digest": Digest::of(b"not pushed"), "size": 10, "urls": ["https://example.invalid/layer"],
    });
    let more = json!({
        "config": descriptor("application/vnd.example.config.v1+json", b"{}"), "layers": [layer, elsewhere],
        "artifactType": "application/vnd.example.thing", "x-extra": "  kept  ",
    });
    let mut manifest = image(b"leaves", &more);
    manifest.extend(b" \n");
    client.manifest("tea", "1", IMAGE, &manifest).is(201);
    assert_eq!(client.get("/v2/tea/manifests/1").is(200).body, manifest);
}

#[test]
fn an_index_holds_images_of_several_platforms_or_is_not_taken() {
    let (_workspace, server) = served();
    let client = server.client();
    let entries = ["amd64", "arm64"].map(|architecture| {
        let manifest = client.image("tea", architecture, architecture);
        let mut entry = descriptor(IMAGE, &manifest);
        entry["platform"] = json!({ "os": "linux", "architecture": architecture });
        entry
    });
    let index = |entries: &[serde_json::Value]| {
        json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }).to_string()
    };
    let whole = index(&entries);
    client.manifest("tea", "all", INDEX, whole.as_bytes()).is(201);
    assert_eq!(client.get("/v2/tea/manifests/all").is(200).text(), whole);
    // One of which an entry is missing would be an image that some clients cannot pull.
    let mut missing = entries[1].clone();
    missing["digest"] = json!(Digest::of(b"other"));
    let refused = client.manifest("tea", "some", INDEX, index(&[entries[0].clone(), missing]).as_bytes());
    let refused = refused.fails(404, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(refused.details(), [json!({ "digest": Digest::of(b"other") })]);
}

#[test]
fn what_is_no_manifest_is_refused() {
    let (_workspace, server) = served();
    let client = server.client();
    client.blob("tea", b"{}");
    client.blob("tea", b"leaves");
    let bad_digest = json!({ "mediaType": "x", "digest": "sha512:00", "size": 1 });
    let negative = json!({ "mediaType": "x", "digest": Digest::of(b"{}"), "size": -1 });
    for (kind, manifest) in [
        (IMAGE, b"".to_vec()),
        (IMAGE, b"[]".to_vec()),
        (IMAGE, b"{".to_vec()),
        (IMAGE, b"{}".to_vec()),
        (IMAGE, image(b"leaves", &json!({ "schemaVersion": 1 }))),
        (IMAGE, image(b"leaves", &json!({ "mediaType": INDEX }))),
        (IMAGE, image(b"leaves", &json!({ "config": null }))),
        (IMAGE, image(b"leaves", &json!({ "layers": null }))),
        (IMAGE, image(b"leaves", &json!({ "layers": [bad_digest] }))),
        (IMAGE, image(b"leaves", &json!({ "layers": [negative] }))),
        (IMAGE, image(b"leaves", &json!({ "subject": bad_digest }))),
        // One that two clients would read as two things.
        (IMAGE, image(b"leaves", &json!({ "manifests": [] }))),
        (INDEX, json!({ "schemaVersion": 2 }).to_string().into_bytes()),
        ("application/json", image(b"leaves", &json!({ "mediaType": "application/json" }))),
        ("application/vnd.docker.distribution.manifest.v1+json", br#"{"schemaVersion":1}"#.to_vec()),
    ] {
        client.manifest("tea", "1", kind, &manifest).fails(400, "MANIFEST_INVALID");
    }
    let nameless = image(b"leaves", &json!({ "mediaType": null }));
    client.put("/v2/tea/manifests/1", &nameless).fails(400, "MANIFEST_INVALID");
    client.get("/v2/tea/manifests/1").is(404);
}

#[test]
fn manifests_may_be_of_four_mebibytes_and_no_larger() {
    let (_workspace, server) = served();
    let client = server.client();
    client.blob("tea", b"{}");
    client.blob("tea", b"leaves");
    let limit = 4 * 1024 * 1024;
    let sized = |size: usize| {
        let empty = image(b"leaves", &json!({ "annotations": { "a": "" } })).len();
        image(b"leaves", &json!({ "annotations": { "a": "x".repeat(size - empty) } }))
    };
    let largest = sized(limit);
    assert_eq!(largest.len(), limit);
    client.manifest("tea", "1", IMAGE, &largest).is(201);
    assert!(client.get("/v2/tea/manifests/1").is(200).body == largest);
    client.manifest("tea", "2", IMAGE, &sized(limit + 1)).fails(413, "MANIFEST_INVALID");
    // The same of one that does not say how large it is.
    let mut connection = client.begin(
        "PUT",
        "/v2/tea/manifests/2",
        &[("Content-Type", IMAGE), ("Transfer-Encoding", "chunked")],
    );
    let piece = vec![b' '; 65536];
    for _ in 0..=limit / piece.len() {
        let sent = connection
            .write_all(format!("{:x}\r\n", piece.len()).as_bytes())
            .and_then(|()| connection.write_all(&piece))
            .and_then(|()| connection.write_all(b"\r\n"));
        if sent.is_err() {
            break;
        }
    }
    let _ = connection.write_all(b"0\r\n\r\n");
    read(connection, "PUT").fails(413, "MANIFEST_INVALID");
    client.get("/v2/tea/manifests/2").is(404);
}
