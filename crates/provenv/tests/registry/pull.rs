//! Specification, "Pull".

use provenv_definition::Digest;

use super::client::{IMAGE, image};
use super::server::served;

const NOWHERE: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

#[test]
fn a_registry_says_that_it_is_one() {
    let (_workspace, server) = served();
    let client = server.client();
    for answer in [client.get("/v2/"), client.get("/v2"), client.head("/v2/")] {
        assert_eq!(answer.is(200).must("Docker-Distribution-Api-Version"), "registry/2.0");
    }
    client.get("/").fails(404, "UNSUPPORTED");
    client.get("/v2/a").fails(404, "UNSUPPORTED");
    let refused = client.post("/v2/", b"").fails(405, "UNSUPPORTED");
    assert_eq!(refused.must("Allow"), "GET, HEAD");
}

#[test]
fn manifests_are_pulled_by_tag_and_by_digest() {
    let (_workspace, server) = served();
    let client = server.client();
    let manifest = client.image("team/tea", "v1", "leaves");
    let digest = Digest::of(&manifest).to_string();
    for reference in ["v1", &digest] {
        let path = format!("/v2/team/tea/manifests/{reference}");
        let whole = client.get(&path).is(200);
        assert_eq!(whole.body, manifest);
        let head = client.head(&path).is(200);
        for answer in [&whole, &head] {
            assert_eq!(answer.must("Docker-Content-Digest"), digest);
            assert_eq!(answer.must("Content-Type"), IMAGE);
            assert_eq!(answer.must("Content-Length"), manifest.len().to_string());
        }
    }
}

#[test]
fn what_is_not_there_is_said_with_its_code() {
    let (_workspace, server) = served();
    let client = server.client();
    client.image("tea", "1", "leaves");
    let elsewhere = Digest::of(b"leaves");
    for (path, code) in [
        ("/v2/tea/manifests/2".to_owned(), "MANIFEST_UNKNOWN"),
        ("/v2/milk/manifests/1".to_owned(), "MANIFEST_UNKNOWN"),
        (format!("/v2/tea/manifests/{NOWHERE}"), "MANIFEST_UNKNOWN"),
        (format!("/v2/tea/blobs/{NOWHERE}"), "BLOB_UNKNOWN"),
        // It is in the store, and in another repository.
        (format!("/v2/milk/blobs/{elsewhere}"), "BLOB_UNKNOWN"),
        // A blob is no manifest.
        (format!("/v2/tea/manifests/{elsewhere}"), "MANIFEST_UNKNOWN"),
    ] {
        client.get(&path).fails(404, code);
        client.head(&path).is(404);
    }
    let sha512 = format!("/v2/tea/blobs/sha512:{}", "0".repeat(128));
    for (path, code) in [
        ("/v2/Tea/manifests/1", "NAME_INVALID"),
        ("/v2/../tea/manifests/1", "NAME_INVALID"),
        ("/v2/tea/manifests/.1", "TAG_INVALID"),
        ("/v2/tea/blobs/sha256:1234", "DIGEST_INVALID"),
        ("/v2/tea/blobs/md5:d41d8cd98f00b204e9800998ecf8427e", "DIGEST_INVALID"),
        ("/v2/tea/manifests/sha256:x", "DIGEST_INVALID"),
        (&sha512, "DIGEST_INVALID"),
    ] {
        client.get(path).fails(400, code);
    }
}

#[test]
fn blobs_are_pulled_whole_and_in_parts() {
    let (_workspace, server) = served();
    let client = server.client();
    // More than is read at once, and no two pieces alike.
    let bytes: Vec<u8> = (0..1_500_000u32).flat_map(u32::to_le_bytes).take(3_000_001).collect();
    let digest = client.blob("tea", &bytes).to_string();
    let path = format!("/v2/tea/blobs/{digest}");
    let head = client.head(&path).is(200);
    let whole = client.get(&path).is(200);
    assert!(whole.body == bytes);
    for answer in [&head, &whole] {
        assert_eq!(answer.must("Content-Length"), "3000001");
        assert_eq!(answer.must("Docker-Content-Digest"), digest);
        assert_eq!(answer.must("Accept-Ranges"), "bytes");
    }
    let part = |range: &str| client.send("GET", &path, &[("Range", range)], b"");
    for (range, from, to) in [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=524287-524288", 524_287, 524_288),
        ("bytes=1000000-", 1_000_000, 3_000_000),
        ("bytes=3000000-", 3_000_000, 3_000_000),
        ("bytes=2999990-5000000", 2_999_990, 3_000_000),
        ("bytes=-10", 2_999_991, 3_000_000),
    ] {
        let part = part(range).is(206);
        assert_eq!(part.must("Content-Range"), format!("bytes {from}-{to}/3000001"), "{range}");
        assert!(part.body == bytes[from..=to], "{range}");
        assert_eq!(part.must("Docker-Content-Digest"), digest);
    }
    for range in ["bytes=3000001-", "bytes=9999999-99999999", "bytes=-0"] {
        let refused = part(range).is(416);
        assert_eq!(refused.must("Content-Range"), "bytes */3000001");
    }
    // What may be ignored is.
    for range in ["bytes=0-1,3-4", "leaves=0-1", "bytes=9-1"] {
        assert!(part(range).is(200).body == bytes, "{range}");
    }
}

/// "Pulling manifests": the client should say which kinds it takes; the registry has one, and says what it is.
#[test]
fn a_manifest_is_the_same_whatever_is_accepted() {
    let (_workspace, server) = served();
    let client = server.client();
    let manifest = client.image("tea", "1", "leaves");
    for accept in [
        "*/*",
        IMAGE,
        "application/vnd.docker.distribution.manifest.v2+json",
        "text/html, application/json;q=0.5",
    ] {
        for method in ["GET", "HEAD"] {
            let answer = client.send(method, "/v2/tea/manifests/1", &[("Accept", accept)], b"").is(200);
            assert_eq!(answer.must("Content-Type"), IMAGE, "{accept}");
            assert!(method == "HEAD" || answer.body == manifest);
        }
    }
}

#[test]
fn a_digest_may_be_escaped() {
    let (_workspace, server) = served();
    let client = server.client();
    let manifest = client.image("tea", "1", "leaves");
    let escaped = |bytes: &[u8]| format!("sha256%3A{}", Digest::of(bytes).hex());
    assert_eq!(client.get(&format!("/v2/tea/manifests/{}", escaped(&manifest))).is(200).body, manifest);
    assert_eq!(client.get(&format!("/v2/tea/blobs/{}", escaped(b"leaves"))).is(200).text(), "leaves");
    client.get(&format!("/v2/tea/referrers/{}", escaped(&manifest))).is(200);
    client.get("/v2/tea/manifests/..%2f..%2fformat").fails(400, "TAG_INVALID");
}

#[test]
fn caches_are_told_what_they_have() {
    let (_workspace, server) = served();
    let client = server.client();
    let digest = client.blob("tea", b"leaves");
    let path = format!("/v2/tea/blobs/{digest}");
    let tag = client.get(&path).must("ETag").to_owned();
    let fresh = client.send("GET", &path, &[("If-None-Match", &tag)], b"").is(304);
    assert_eq!(fresh.must("ETag"), tag);
    client.send("GET", &path, &[("If-None-Match", "\"other\"")], b"").is(200);
    // A part of other bytes is of no use to whoever has the rest of these.
    let ranged = |known: &str| client.send("GET", &path, &[("Range", "bytes=1-2"), ("If-Range", known)], b"");
    assert_eq!(ranged(&tag).is(206).text(), "ea");
    assert_eq!(ranged("\"other\"").is(200).text(), "leaves");
}

#[test]
fn an_empty_blob_is_a_blob() {
    let (_workspace, server) = served();
    let client = server.client();
    let digest = client.blob("tea", b"");
    let path = format!("/v2/tea/blobs/{digest}");
    assert_eq!(client.get(&path).is(200).text(), "");
    client.send("GET", &path, &[("Range", "bytes=0-")], b"").is(416);
}

#[test]
fn a_blob_that_is_damaged_or_gone_is_no_blob() {
    let (workspace, server) = served();
    let client = server.client();
    let manifest = client.image("tea", "1", "leaves");
    let hex = Digest::of(b"leaves").hex();
    fs_err::remove_file(workspace.root().join("store/blobs/sha256").join(&hex[..2]).join(&hex[2..])).unwrap();
    client.get(&format!("/v2/tea/blobs/sha256:{hex}")).fails(404, "BLOB_UNKNOWN");
    client.head(&format!("/v2/tea/blobs/sha256:{hex}")).is(404);
    // It can be pushed anew, and all is well.
    client.manifest("tea", "2", IMAGE, &manifest).fails(404, "MANIFEST_BLOB_UNKNOWN");
    client.blob("tea", b"leaves");
    client.manifest("tea", "2", IMAGE, &image(b"leaves", &serde_json::json!({}))).is(201);
}
