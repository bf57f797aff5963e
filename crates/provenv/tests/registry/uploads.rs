//! Specification, "Pushing blobs" and "Mounting a blob from another repository".

use std::io::Write as _;
use std::net::Shutdown;

use provenv_definition::Digest;

use super::client::{Client, IMAGE, image, read, with_digest};
use super::server::{Server, blobs, in_the_making, served};
use crate::support::{Workspace, eventually};

/// Several pieces of what is written at once.
fn large() -> Vec<u8> {
    (0..400_000u32).flat_map(u32::to_le_bytes).collect()
}

#[test]
fn a_blob_is_pushed_at_once_by_post_and_put() {
    let (_workspace, server) = served();
    let client = server.client();
    let bytes = large();
    let digest = Digest::of(&bytes);
    let begun = client.post("/v2/tea/blobs/uploads/", b"").is(202);
    let location = begun.must("Location").to_owned();
    assert!(location.starts_with("/v2/tea/blobs/uploads/"), "{location}");
    assert_eq!(begun.must("Range"), "0-0");
    assert!(!begun.must("Docker-Upload-UUID").is_empty());
    let headers = [("Content-Type", "application/octet-stream")];
    let pushed = client.send("PUT", &with_digest(&location, &digest), &headers, &bytes).is(201);
    assert_eq!(pushed.must("Location"), format!("/v2/tea/blobs/{digest}"));
    assert_eq!(pushed.must("Docker-Content-Digest"), digest.to_string());
    assert!(client.get(&format!("/v2/tea/blobs/{digest}")).is(200).body == bytes);
    // It has ended.
    client.get(&location).fails(404, "BLOB_UPLOAD_UNKNOWN");
    client.put(&with_digest(&location, &digest), &bytes).fails(404, "BLOB_UPLOAD_UNKNOWN");
}

#[test]
fn a_blob_is_pushed_in_one_request() {
    let (_workspace, server) = served();
    let client = server.client();
    let digest = Digest::of(b"leaves");
    let pushed = client.post(&format!("/v2/tea/blobs/uploads/?digest={digest}"), b"leaves").is(201);
    assert_eq!(pushed.must("Location"), format!("/v2/tea/blobs/{digest}"));
    assert_eq!(client.get(&format!("/v2/tea/blobs/{digest}")).is(200).text(), "leaves");
    // Again, and to another repository.
    client.post(&format!("/v2/tea/blobs/uploads/?digest={digest}"), b"leaves").is(201);
    client.post(&format!("/v2/milk/blobs/uploads?digest={digest}"), b"leaves").is(201);
}

#[test]
fn a_blob_is_pushed_in_chunks_in_their_order() {
    let (_workspace, server) = served();
    let client = server.client();
    let bytes = large();
    let digest = Digest::of(&bytes);
    let location = client.upload("tea");
    let (first, second, third) = (&bytes[..10], &bytes[10..1_000_000], &bytes[1_000_000..]);
    // The second before the first.
    let refused = client.patch(&location, Some("10-999999"), second).fails(416, "BLOB_UPLOAD_INVALID");
    assert_eq!((refused.must("Range"), refused.must("Location")), ("0-0", &*location));
    let taken = client.patch(&location, Some("0-9"), first).is(202);
    assert_eq!((taken.must("Range"), taken.must("Location")), ("0-9", &*location));
    // The first again, one too far, one too near, none at all.
    for range in ["0-9", "11-1000000", "9-999998", "9-0", "leaves", "10"] {
        let refused = client.patch(&location, Some(range), second).fails(416, "BLOB_UPLOAD_INVALID");
        assert_eq!(refused.must("Range"), "0-9", "{range}");
    }
    // A range of other bytes than come.
    client.patch(&location, Some("10-11"), second).fails(400, "SIZE_INVALID");
    let status = client.get(&location).is(204);
    assert_eq!((status.must("Range"), status.must("Location")), ("0-9", &*location));
    assert_eq!(client.patch(&location, Some("10-999999"), second).is(202).must("Range"), "0-999999");
    let last = format!("1000000-{}", bytes.len() - 1);
    let end = with_digest(&location, &digest);
    client.send("PUT", &end, &[("Content-Range", "0-599999")], third).fails(416, "BLOB_UPLOAD_INVALID");
    client.send("PUT", &end, &[("Content-Range", &last)], third).is(201);
    assert!(client.get(&format!("/v2/tea/blobs/{digest}")).is(200).body == bytes);
}

#[test]
fn a_blob_is_streamed_and_ended_by_an_empty_put() {
    let (_workspace, server) = served();
    let client = server.client();
    let bytes = large();
    let digest = Digest::of(&bytes);
    let location = client.upload("tea");
    // As docker sends it: chunks of HTTP, and no word of how much there is.
    let mut connection = client.begin("PATCH", &location, &[("Transfer-Encoding", "chunked")]);
    for piece in bytes.chunks(100_000) {
        connection.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).unwrap();
        connection.write_all(piece).unwrap();
        connection.write_all(b"\r\n").unwrap();
    }
    connection.write_all(b"0\r\n\r\n").unwrap();
    let taken = read(connection, "PATCH").is(202);
    assert_eq!(taken.must("Range"), format!("0-{}", bytes.len() - 1));
    client.put(&with_digest(&location, &digest), b"").is(201);
    assert!(client.get(&format!("/v2/tea/blobs/{digest}")).is(200).body == bytes);
}

#[test]
fn bytes_must_be_those_of_the_digest() {
    let (workspace, server) = served();
    let client = server.client();
    let other = Digest::of(b"other");
    let location = client.upload("tea");
    let refused = client.put(&with_digest(&location, &other), b"leaves").fails(400, "DIGEST_INVALID");
    assert_eq!(refused.details()[0]["digest"], other.to_string());
    client.get(&location).fails(404, "BLOB_UPLOAD_UNKNOWN");
    client.get(&format!("/v2/tea/blobs/{other}")).is(404);
    client.post(&format!("/v2/tea/blobs/uploads/?digest={other}"), b"leaves").fails(400, "DIGEST_INVALID");
    assert_eq!((blobs(&workspace), in_the_making(&workspace)), (vec![], vec![]));
    // One that is none ends nothing: the client may say it right.
    let location = client.upload("tea");
    client.patch(&location, None, b"leaves").is(202);
    client.put(&format!("{location}?digest=sha256:12"), b"").fails(400, "DIGEST_INVALID");
    client.put(&location, b"").fails(400, "DIGEST_INVALID");
    client.put(&with_digest(&location, &Digest::of(b"leaves")), b"").is(201);
}

#[test]
fn an_upload_is_cancelled() {
    let (workspace, server) = served();
    let client = server.client();
    let location = client.upload("tea");
    client.patch(&location, None, &large()).is(202);
    assert_eq!(in_the_making(&workspace).len(), 1);
    client.delete(&location).is(204);
    assert_eq!(in_the_making(&workspace).len(), 0);
    client.delete(&location).fails(404, "BLOB_UPLOAD_UNKNOWN");
    client.patch(&location, None, b"leaves").fails(404, "BLOB_UPLOAD_UNKNOWN");
    client.get(&location).fails(404, "BLOB_UPLOAD_UNKNOWN");
}

#[test]
fn an_upload_belongs_to_its_repository() {
    let (_workspace, server) = served();
    let client = server.client();
    let location = client.upload("tea").replace("/tea/", "/milk/");
    client.get(&location).fails(404, "BLOB_UPLOAD_UNKNOWN");
    client.patch(&location, None, b"leaves").fails(404, "BLOB_UPLOAD_UNKNOWN");
}

#[test]
fn an_upload_whose_connection_broke_goes_on_from_where_it_was() {
    let (_workspace, server) = served();
    let client = server.client();
    let bytes = large();
    let digest = Digest::of(&bytes);
    let location = client.upload("tea");
    let length = bytes.len().to_string();
    let mut broken = client.begin("PATCH", &location, &[("Content-Length", &length)]);
    broken.write_all(&bytes[..1_000_000]).unwrap();
    let taken = || taken(&client, &location);
    eventually("something was taken", || taken() > 1);
    broken.shutdown(Shutdown::Both).unwrap();
    drop(broken);
    // Until the server has noticed, there may come more; whoever is told so asks again.
    loop {
        let from = taken();
        assert!(from <= 1_000_000, "{from}");
        let range = format!("{from}-{}", bytes.len() - 1);
        let answer = client.patch(&location, Some(&range), &bytes[from..]);
        if answer.status == 202 {
            break;
        }
        answer.is(416);
    }
    client.put(&with_digest(&location, &digest), b"").is(201);
    assert!(client.get(&format!("/v2/tea/blobs/{digest}")).is(200).body == bytes);
}

#[test]
fn who_goes_on_with_an_upload_does_not_wait_for_a_connection_that_is_dead() {
    let (_workspace, server) = served();
    let client = server.client();
    let location = client.upload("tea");
    // Open, and nothing more comes.
    let mut dead = client.begin("PATCH", &location, &[("Content-Length", "1000")]);
    dead.write_all(b"lea").unwrap();
    client.patch(&location, Some("0-5"), b"leaves").is(202);
    client.put(&with_digest(&location, &Digest::of(b"leaves")), b"").is(201);
    read(dead, "PATCH").fails(404, "BLOB_UPLOAD_UNKNOWN");
}

/// How many bytes of an upload were taken.
fn taken(client: &Client, location: &str) -> usize {
    let status = client.get(location).is(204);
    status.must("Range").strip_prefix("0-").unwrap().parse::<usize>().unwrap() + 1
}

#[test]
fn an_upload_goes_on_after_the_server_was_killed_or_stopped() {
    let workspace = Workspace::empty();
    let bytes = large();
    let digest = Digest::of(&bytes);
    for (round, is_killed) in [true, false].into_iter().enumerate() {
        let repository = format!("tea{round}");
        let server = Server::open(&workspace.root());
        let client = server.client();
        let location = client.upload(&repository);
        // Two chunks, and a third that is in the midst of being sent.
        client.patch(&location, Some("0-9"), &bytes[..10]).is(202);
        client.patch(&location, Some("10-699999"), &bytes[10..700_000]).is(202);
        let length = (bytes.len() - 700_000).to_string();
        let range = format!("700000-{}", bytes.len() - 1);
        let headers = [("Content-Length", &*length), ("Content-Range", &range)];
        let mut connection = client.begin("PATCH", &location, &headers);
        connection.write_all(&bytes[700_000..1_400_000]).unwrap();
        eventually("some of the third was taken", || taken(&client, &location) > 700_000);
        if is_killed {
            server.kill();
        } else {
            assert_eq!(server.stop().0, Some(0));
        }
        drop(connection);
        // Nothing of it can be seen.
        assert_eq!(in_the_making(&workspace).len(), 1);
        let server = Server::open(&workspace.root());
        let client = server.client();
        client.get(&format!("/v2/{repository}/blobs/{digest}")).fails(404, "BLOB_UNKNOWN");
        client.get(&location.replace(&repository, "milk")).fails(404, "BLOB_UPLOAD_UNKNOWN");
        // While a server has it, it is nobody else's: neither another server's nor a collection's.
        let from = taken(&client, &location);
        assert!((10..=1_400_000).contains(&from), "{from}");
        let second = Server::open(&workspace.root());
        second.client().get(&location).fails(404, "BLOB_UPLOAD_UNKNOWN");
        workspace.run(["store", "gc", "--all"]).ok();
        client.patch(&location, Some("0-9"), &bytes[..10]).fails(416, "BLOB_UPLOAD_INVALID");
        let range = format!("{from}-{}", bytes.len() - 1);
        client.patch(&location, Some(&range), &bytes[from..]).is(202);
        client.put(&with_digest(&location, &digest), b"").is(201);
        assert!(client.get(&format!("/v2/{repository}/blobs/{digest}")).is(200).body == bytes);
        client.get(&location).fails(404, "BLOB_UPLOAD_UNKNOWN");
        assert_eq!(in_the_making(&workspace).len(), 0);
        // So that the bytes come anew in the next round.
        client.delete(&format!("/v2/{repository}/blobs/{digest}")).is(202);
        workspace.run(["store", "gc"]).ok();
    }
}

#[test]
fn bytes_that_changed_while_no_server_ran_are_found_by_the_digest() {
    let workspace = Workspace::empty();
    let server = Server::open(&workspace.root());
    let location = server.client().upload("tea");
    server.client().patch(&location, None, &large()).is(202);
    assert_eq!(server.stop().0, Some(0));
    let file = in_the_making(&workspace).pop().unwrap();
    let mut bytes = fs_err::read(&file).unwrap();
    assert!(bytes == large());
    bytes[1000] ^= 1;
    fs_err::write(&file, bytes).unwrap();
    let server = Server::open(&workspace.root());
    let client = server.client();
    client.put(&with_digest(&location, &Digest::of(&large())), b"").fails(400, "DIGEST_INVALID");
    assert_eq!((blobs(&workspace), in_the_making(&workspace)), (vec![], vec![]));
    // Identifiers are no paths.
    for id in ["..", "../../format", "%2e%2e%2fformat", "x-0123456789abcdef"] {
        let status = client.get(&format!("/v2/tea/blobs/uploads/{id}")).status;
        assert!(matches!(status, 400 | 404), "{id}: {status}");
    }
}

#[test]
fn an_upload_that_nobody_goes_on_with_is_swept() {
    let workspace = Workspace::empty();
    let server = Server::open(&workspace.root());
    server.client().upload("tea");
    server.kill();
    let file = in_the_making(&workspace).pop().unwrap();
    workspace.run(["store", "stats"]).ok();
    assert!(file.exists());
    let old = std::time::SystemTime::now() - std::time::Duration::from_hours(25);
    fs_err::File::options().write(true).open(&file).unwrap().file().set_modified(old).unwrap();
    workspace.run(["store", "stats"]).ok();
    assert!(!file.exists());
}

#[test]
fn blobs_are_mounted_from_other_repositories() {
    let (_workspace, server) = served();
    let client = server.client();
    let digest = client.blob("tea", b"leaves");
    let mount = |query: &str| client.post(&format!("/v2/milk/blobs/uploads/?{query}"), b"");
    for (query, why) in [
        (format!("mount={digest}&from=sugar"), "it is not in that repository"),
        (format!("mount={}&from=tea", Digest::of(b"other")), "it is nowhere"),
        (format!("mount={digest}&from=Tea"), "that is no repository"),
        ("mount=sha256:12&from=tea".to_owned(), "that is no digest"),
    ] {
        let begun = mount(&query).is(202);
        assert!(begun.must("Location").starts_with("/v2/milk/blobs/uploads/"), "{why}");
        client.get(&format!("/v2/milk/blobs/{digest}")).is(404);
    }
    let mounted = mount(&format!("mount={digest}&from=tea")).is(201);
    assert_eq!(mounted.must("Location"), format!("/v2/milk/blobs/{digest}"));
    assert_eq!(mounted.must("Docker-Content-Digest"), digest.to_string());
    assert_eq!(client.get(&format!("/v2/milk/blobs/{digest}")).is(200).text(), "leaves");
    // Wherever it is.
    client.post(&format!("/v2/sugar/blobs/uploads/?mount={digest}"), b"").is(201);
    client.head(&format!("/v2/sugar/blobs/{digest}")).is(200);
    client.blob("milk", b"{}");
    client.manifest("milk", "1", IMAGE, &image(b"leaves", &serde_json::json!({}))).is(201);
}

#[test]
fn uploads_begin_only_where_names_are_names() {
    let (_workspace, server) = served();
    let client = server.client();
    client.post("/v2/Tea/blobs/uploads/", b"").fails(400, "NAME_INVALID");
    client.post("/v2/tea//blobs/uploads/", b"").fails(400, "NAME_INVALID");
    client.get("/v2/tea/blobs/uploads/").fails(405, "UNSUPPORTED");
    client.get("/v2/tea/blobs/uploads/none").fails(404, "BLOB_UPLOAD_UNKNOWN");
}
