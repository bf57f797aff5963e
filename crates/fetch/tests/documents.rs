//! Documents, their validators, and working offline.

use provenv_definition::Digest;
use provenv_fetch::{CredentialSources, Error, Options};
use provenv_testing::server::{Fault, FileTree, Server};
use url::Url;

use crate::common::{Bench, options};

const PATH: &str = "/simple/a/";

fn serve(content: &str) -> (Server, Url) {
    let server = Server::start(FileTree::new().with(PATH, content.to_owned()));
    let url = server.at(PATH).parse().unwrap();
    (server, url)
}

#[tokio::test]
async fn a_document_is_asked_after_and_not_sent_again() {
    let (server, url) = serve("one");
    let bench = Bench::new();
    let first = bench.fetcher.document(&url).await.unwrap();
    assert_eq!(fs_err::read_to_string(&first.path).unwrap(), "one");
    assert_eq!((first.blob, first.size), (Digest::of(b"one"), 3));
    assert!(first.etag.is_some() && first.last_modified.is_some());
    assert_eq!(first.content_type.as_deref(), Some("text/html; charset=utf-8"));
    assert_eq!(bench.fetcher.document(&url).await.unwrap(), first);
    assert_eq!(server.requests()[1].status, 304);

    server.put(PATH, "two");
    let second = bench.fetcher.document(&url).await.unwrap();
    assert_eq!(second.blob, Digest::of(b"two"));
    assert_eq!(server.hits(PATH), 3);
}

#[tokio::test]
async fn a_server_without_validators_sends_it_each_time() {
    let (server, url) = serve("one");
    server.validators(false);
    let bench = Bench::new();
    for _ in 0..2 {
        assert_eq!(bench.fetcher.document(&url).await.unwrap().blob, Digest::of(b"one"));
    }
    assert!(server.requests().iter().all(|request| request.status == 200));
}

#[tokio::test]
async fn a_copy_that_is_gone_or_cut_short_is_not_asked_after() {
    let (server, url) = serve("one");
    let bench = Bench::new();
    let document = bench.fetcher.document(&url).await.unwrap();
    fs_err::remove_file(&document.path).unwrap();
    bench.fetcher.document(&url).await.unwrap();
    fs_err::remove_file(&document.path).unwrap();
    fs_err::write(&document.path, "o").unwrap();
    bench.fetcher.document(&url).await.unwrap();
    assert_eq!(fs_err::read_to_string(&document.path).unwrap(), "one");
    assert!(server.requests().iter().all(|request| request.status == 200));
}

#[tokio::test]
async fn offline_takes_the_copy_or_says_that_there_is_none() {
    let (server, url) = serve("one");
    let bench = Bench::new();
    let offline = bench.again(Options { offline: true, ..options() });
    assert!(matches!(offline.document(&url).await, Err(Error::Offline(_))));
    let document = bench.fetcher.document(&url).await.unwrap();
    server.put(PATH, "two");
    assert_eq!(offline.document(&url).await.unwrap(), document);
    assert_eq!(server.hits(PATH), 1);
}

#[tokio::test]
async fn queries_and_media_types_have_copies_of_their_own() {
    let (server, url) = serve("one");
    let bench = Bench::new();
    bench.fetcher.document(&url).await.unwrap();
    let mut query = url.clone();
    query.set_query(Some("token=hunter2"));
    bench.fetcher.document(&query).await.unwrap();
    bench.fetcher.document_as(&url, Some("application/vnd.pypi.simple.v1+json")).await.unwrap();
    let requests = server.requests();
    assert!(requests.iter().all(|request| request.status == 200));
    assert_eq!(requests[1].query.as_deref(), Some("token=hunter2"));
    assert_eq!(requests[2].header("accept"), Some("application/vnd.pypi.simple.v1+json"));
}

#[tokio::test]
async fn no_secret_reaches_the_disk_or_a_message() {
    let (server, url) = serve("one");
    server.require_auth("anna", "hunter2");
    let bench = Bench::new();
    let mut url = url;
    url.set_query(Some("token=hunter2"));
    let refused = bench.fetcher.document(&url).await.unwrap_err();
    url.set_username("anna").unwrap();
    url.set_password(Some("hunter2")).unwrap();
    bench.fetcher.document(&url).await.unwrap();
    server.fault_always(PATH, Fault::Status(404));
    let missing = bench.fetcher.document(&url).await.unwrap_err();
    server.clear_faults();
    drop(server);
    let gone = bench.again(Options { retries: 0, ..options() }).document(&url).await.unwrap_err();
    for error in [refused, missing, gone] {
        let text = format!("{error}{error:?}{:?}{}", error.hint(), crate::common::chain(&error));
        assert!(!text.contains("hunter2") && !text.contains("anna"), "{text}");
    }
    let mut files = 0;
    let mut folders = vec![bench.folder.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let content = fs_err::read(&path).unwrap();
                let text = String::from_utf8_lossy(&content);
                assert!(!text.contains("hunter2") && !text.contains("anna"), "{}: {text}", path.display());
                files += 1;
            }
        }
    }
    assert!(files >= 3, "a blob, a record and the format");
}

#[tokio::test]
async fn a_document_has_a_limit() {
    let (server, url) = serve(&"x".repeat(10_000));
    let bench = Bench::with(Options { document_limit: 5_000, ..options() });
    let error = bench.fetcher.document(&url).await.unwrap_err();
    assert!(matches!(error, Error::TooLong { limit: 5_000, .. }), "{error:?}");
    assert!(bench.is_empty());
    assert!(server.hits(PATH) <= 2);
}

#[tokio::test]
async fn links_are_relative_to_where_it_was_found() {
    let (server, url) = serve("one");
    let mirror = Server::start(FileTree::new().with("/elsewhere/a/", "moved"));
    server.fault_always(PATH, Fault::Redirect(mirror.at("/elsewhere/a/")));
    let document = Bench::new().fetcher.document(&url).await.unwrap();
    assert_eq!(document.url.to_string(), mirror.at("/elsewhere/a/"));
}

#[tokio::test]
async fn credentials_serve_their_own_host_and_no_other() {
    let (server, url) = serve("one");
    server.require_auth("anna", "s3cret");
    let files = Server::start(FileTree::new().with("/f/x", "file"));
    let variables = |name: &str| (name == "SECRET").then(|| "s3cret".to_owned());
    let credentials = CredentialSources::new(variables, None, None);
    let bench = Bench::with(Options { credentials, ..options() });

    let error = bench.fetcher.document(&url).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { status: 401, with_credentials: false, .. }), "{error:?}");
    let template: Url = server.at(PATH).replace("http://", "http://anna:${SECRET}@").parse().unwrap();
    bench.fetcher.document(&template).await.unwrap();
    // The index's credentials are good for its files, which the lock names without.
    assert!(bench.fetcher.credentials(&url).unwrap().is_some());
    bench.fetcher.unverified(&url).await.unwrap();

    server.fault(PATH, Fault::Redirect(files.at("/f/x")));
    bench.fetcher.unverified(&url).await.unwrap();
    assert_eq!(files.hits("/f/x"), 1);
    assert_eq!(files.requests()[0].header("authorization"), None);

    server.fault(PATH, Fault::Redirect(format!("{PATH}?page=2")));
    bench.fetcher.unverified(&template).await.unwrap();
    assert!(server.requests().last().unwrap().header("authorization").is_some());
}

#[tokio::test]
async fn netrc_is_read_and_its_default_is_not_for_redirects() {
    let (server, url) = serve("one");
    server.require_auth("anna", "s3cret");
    let folder = tempfile::tempdir().unwrap();
    let netrc = folder.path().join("netrc");
    fs_err::write(&netrc, "default login anna password s3cret\n").unwrap();
    let credentials = CredentialSources::new(|_| None, Some(netrc.clone()), None);
    Bench::with(Options { credentials: credentials.clone(), ..options() })
        .fetcher
        .document(&url)
        .await
        .unwrap();

    let front = Server::start(FileTree::new());
    front.fault_always("/x", Fault::Redirect(server.at(PATH)));
    let fetcher = Bench::with(Options { credentials, ..options() });
    let error = fetcher.fetcher.document(&front.at("/x").parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { with_credentials: false, .. }), "{error:?}");

    fs_err::write(&netrc, "machine 127.0.0.1 login anna password wrong\n").unwrap();
    let credentials = CredentialSources::new(|_| None, Some(netrc), None);
    let bench = Bench::with(Options { credentials, ..options() });
    let error = bench.fetcher.document(&url).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { with_credentials: true, .. }), "{error:?}");
}
