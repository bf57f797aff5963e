//! Files of a channel in a registry that gives tokens.

use provenv_definition::{Digest, SafeUrl};
use provenv_fetch::{Error, Exchange};
use provenv_testing::server::{Fault, FileTree, Server};
use reqwest::Method;
use reqwest::header::HeaderMap;

use crate::common::{Bench, chain};

const CONTENTS: [&str; 3] = ["one", "two", "three"];

/// A registry with three builds of one package, the tags of which are `1.0-0`, `1.0-1` and `1.0-2`.
fn registry() -> Server {
    let mut tree = FileTree::new();
    for (n, content) in CONTENTS.iter().enumerate() {
        let digest = Digest::of(content.as_bytes());
        let manifest = format!(
            r#"{{"schemaVersion": 2, "layers": [{{"mediaType": "application/vnd.conda.package.v2", "digest": "{digest}"}}]}}"#
        );
        tree.insert(&manifest_of(n), "application/vnd.oci.image.manifest.v1+json", manifest);
        tree.insert(&blob_of(n), "application/octet-stream", *content);
    }
    Server::start(tree)
}

fn manifest_of(n: usize) -> String {
    format!("/v2/c/noarch/tool/manifests/1.0-{n}")
}

fn blob_of(n: usize) -> String {
    format!("/v2/c/noarch/tool/blobs/{}", Digest::of(CONTENTS[n].as_bytes()))
}

async fn fetch(bench: &Bench, server: &Server, n: usize) -> Result<(), Error> {
    let url: SafeUrl = format!("oci://{}/c/noarch/tool-1.0-{n}.conda", server.address()).parse().unwrap();
    let path = bench.fetcher.artifact(&url, &Digest::of(CONTENTS[n].as_bytes()), None).await?;
    assert_eq!(fs_err::read_to_string(path).unwrap(), CONTENTS[n]);
    Ok(())
}

#[tokio::test]
async fn one_token_serves_for_a_repository() {
    let server = registry();
    server.require_tokens(300);
    let bench = Bench::new();
    let all = tokio::join!(fetch(&bench, &server, 0), fetch(&bench, &server, 1), fetch(&bench, &server, 2));
    all.0.and(all.1).and(all.2).unwrap();
    assert_eq!(server.hits("/token"), 1);
    let asked = server.requests().into_iter().find(|request| request.path == "/token").unwrap();
    assert_eq!(asked.query.as_deref(), Some("service=test&scope=repository%3Ac%2Fnoarch%2Ftool%3Apull"));
}

#[tokio::test]
async fn a_token_that_is_over_is_asked_for_again() {
    let server = registry();
    server.require_tokens(300);
    let bench = Bench::new();
    fetch(&bench, &server, 0).await.unwrap();
    server.revoke_tokens();
    fetch(&bench, &server, 1).await.unwrap();
    assert_eq!(server.hits("/token"), 2);
    // Good for the manifest, and over before the bytes were asked for.
    server.fault(&blob_of(2), Fault::Status(401));
    fetch(&bench, &server, 2).await.unwrap();
    assert_eq!(server.hits("/token"), 3);
}

#[tokio::test]
async fn a_token_is_not_kept_for_longer_than_it_lasts() {
    let server = registry();
    server.require_tokens(1);
    let bench = Bench::new();
    for n in 0..3 {
        fetch(&bench, &server, n).await.unwrap();
    }
    assert_eq!(server.hits("/token"), 3);
}

#[tokio::test]
async fn a_refusal_that_lasts_is_final() {
    let server = registry();
    server.require_tokens(300);
    let bench = Bench::new();
    fetch(&bench, &server, 0).await.unwrap();
    server.fault_always(&blob_of(1), Fault::Status(401));
    let error = fetch(&bench, &server, 1).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { status: 401, .. }), "{error:?}");
    assert_eq!((server.hits(&blob_of(1)), server.hits("/token")), (2, 2));
    server.fault_always(&manifest_of(2), Fault::Status(401));
    let error = fetch(&bench, &server, 2).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { status: 401, .. }), "{error:?}");
}

#[tokio::test]
async fn broken_manifests_and_tokens_are_tried_again() {
    let server = registry();
    server.require_tokens(300);
    for path in ["/token", &manifest_of(0)] {
        for fault in [Fault::DropAfter(5), Fault::Status(503), Fault::Truncate(5)] {
            server.fault(path, fault);
        }
    }
    let bench = Bench::with(provenv_fetch::Options { retries: 8, ..crate::common::options() });
    // Each of the two makes no sense once, which is believed the second time.
    let error = fetch(&bench, &server, 0).await.unwrap_err();
    assert!(matches!(error, Error::Registry { .. }), "{error:?}");
    fetch(&bench, &server, 0).await.unwrap();
    let notes = bench.recorder.notes.lock().unwrap().clone();
    assert!(notes.iter().any(|note| note.contains("trying once more")), "{notes:?}");

    server.fault_always(&manifest_of(1), Fault::Replace(b"<html>".to_vec()));
    let error = fetch(&bench, &server, 1).await.unwrap_err();
    assert!(chain(&error).contains("its manifest is none"), "{error:?}");
    assert_eq!(server.hits(&manifest_of(1)), 2);

    // What reads indexes asks in another way.
    server.fault(&manifest_of(2), Fault::Replace(b"<html>".to_vec()));
    let url = format!("oci://{}/c/noarch/tool-1.0-2.conda", server.address()).parse().unwrap();
    let headers = HeaderMap::new();
    let exchange =
        Exchange { method: &Method::GET, url: &url, headers: &headers, linked: false, whole: true };
    let response = bench.fetcher.exchange(exchange).await.unwrap();
    assert_eq!(response.text().await.unwrap(), CONTENTS[2]);
}
