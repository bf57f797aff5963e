//! Artifacts and unverified bytes from a server that misbehaves.

use std::time::{Duration, Instant};

use provenv_definition::{Digest, SafeUrl};
use provenv_fetch::{CredentialSources, Error, Options};
use provenv_testing::server::{Fault, FileTree, Server};

use crate::common::{Bench, Totals, bytes, chain, options, url};

const PATH: &str = "/files/a-1.0+x.whl";

fn serve(content: &[u8]) -> (Server, Digest) {
    (Server::start(FileTree::new().with(PATH, content.to_vec())), Digest::of(content))
}

#[tokio::test]
async fn an_artifact_is_fetched_once_and_progress_adds_up() {
    let content = bytes(1_500_000);
    let (server, digest) = serve(&content);
    let bench = Bench::new();
    for _ in 0..2 {
        let path = bench.fetcher.artifact(&url(&server, PATH), &digest, Some(1_500_000)).await.unwrap();
        assert_eq!(fs_err::read(path).unwrap(), content);
    }
    assert_eq!(server.hits(PATH), 1);
    let agent = server.requests()[0].header("user-agent").unwrap().to_owned();
    assert!(agent.starts_with("provenv/"), "{agent}");
    assert_eq!(server.requests()[0].header("accept-encoding"), Some("identity"));
    let expected = Totals { items: 1, expected: 1_500_000, advanced: 1_500_000, open: 0 };
    assert_eq!(*bench.recorder.totals.lock().unwrap(), expected);
    assert_eq!(*bench.recorder.events.lock().unwrap(), ["begin a-1.0+x.whl", "end a-1.0+x.whl"]);
}

#[tokio::test]
async fn an_unknown_size_is_told_once_it_is_known() {
    let (server, digest) = serve(&bytes(300_000));
    server.fault(PATH, Fault::DropAfter(100_000));
    let bench = Bench::new();
    bench.fetcher.artifact(&url(&server, PATH), &digest, None).await.unwrap();
    let expected = Totals { items: 1, expected: 300_000, advanced: 300_000, open: 0 };
    assert_eq!(*bench.recorder.totals.lock().unwrap(), expected);
}

#[tokio::test]
async fn an_empty_artifact() {
    let (server, digest) = serve(b"");
    let bench = Bench::new();
    let path = bench.fetcher.artifact(&url(&server, PATH), &digest, Some(0)).await.unwrap();
    assert_eq!(fs_err::read(path).unwrap(), b"");
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    let (server, digest) = serve(b"content");
    for fault in [Fault::Status(503), Fault::Status(500), Fault::DropAfter(0)] {
        server.fault(PATH, fault);
    }
    let bench = Bench::new();
    bench.fetcher.artifact(&url(&server, PATH), &digest, Some(7)).await.unwrap();
    assert_eq!(server.hits(PATH), 4);
}

#[tokio::test]
async fn retry_after_is_heeded() {
    let (server, digest) = serve(b"content");
    server.fault(PATH, Fault::RetryAfter(429, 2));
    let bench = Bench::new();
    let begin = Instant::now();
    bench.fetcher.artifact(&url(&server, PATH), &digest, Some(7)).await.unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(2));
    assert_eq!(server.hits(PATH), 2);
}

#[tokio::test]
async fn a_broken_transfer_goes_on_where_it_stopped() {
    let content = bytes(2_000_000);
    let (server, digest) = serve(&content);
    server.fault(PATH, Fault::DropAfter(700_000));
    server.fault(PATH, Fault::StallAfter(600_000));
    let bench = Bench::new();
    let path = bench.fetcher.artifact(&url(&server, PATH), &digest, Some(2_000_000)).await.unwrap();
    assert_eq!(fs_err::read(path).unwrap(), content);
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests[1].header("range"), Some("bytes=700000-"));
    assert!(requests[1].header("if-range").is_some());
    assert_eq!(requests[2].header("range"), Some("bytes=1300000-"));
    assert_eq!(bench.recorder.totals.lock().unwrap().advanced, 2_000_000);
}

#[tokio::test]
async fn without_ranges_a_broken_transfer_begins_again() {
    let content = bytes(2_000_000);
    let (server, digest) = serve(&content);
    server.ranges(false);
    server.fault(PATH, Fault::DropAfter(700_000));
    let bench = Bench::new();
    let path = bench.fetcher.artifact(&url(&server, PATH), &digest, Some(2_000_000)).await.unwrap();
    assert_eq!(fs_err::read(path).unwrap(), content);
    assert_eq!(server.hits(PATH), 2);
    assert_eq!(bench.recorder.totals.lock().unwrap().advanced, 2_000_000);
}

#[tokio::test]
async fn a_file_that_changes_in_the_middle_is_never_pieced_together() {
    let (server, _) = serve(&bytes(1_000_000));
    server.fault(PATH, Fault::DropAfter(400_000));
    let bench = Bench::new();
    let fetching = tokio::spawn({
        let (fetcher, url) = (bench.fetcher.clone(), server.at(PATH).parse().unwrap());
        async move { fetcher.unverified(&url).await }
    });
    while server.hits(PATH) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let other: Vec<u8> = bytes(1_000_000).into_iter().rev().collect();
    server.put(PATH, other.clone());
    let blob = fetching.await.unwrap().unwrap();
    assert_eq!(blob.digest, Digest::of(&other));
    assert_eq!(server.requests()[1].status, 200);
}

#[tokio::test]
async fn bytes_without_validators_and_digest_are_not_resumed() {
    let content = bytes(1_000_000);
    let (server, digest) = serve(&content);
    server.validators(false);
    server.fault(PATH, Fault::DropAfter(400_000));
    let bench = Bench::new();
    let blob = bench.fetcher.unverified(&server.at(PATH).parse().unwrap()).await.unwrap();
    assert_eq!((blob.digest, blob.size), (digest, 1_000_000));
    assert_eq!(server.requests()[1].header("range"), None);

    server.fault(PATH, Fault::DropAfter(400_000));
    let bench = Bench::new();
    bench.fetcher.artifact(&url(&server, PATH), &digest, None).await.unwrap();
    assert_eq!(server.requests()[3].header("range"), Some("bytes=400000-"), "a digest tells afterwards");
}

#[tokio::test]
async fn wrong_bytes_are_asked_for_once_more_and_then_refused() {
    let (server, digest) = serve(b"the right bytes");
    server.fault(PATH, Fault::Replace(b"the wrong bytes".to_vec()));
    let bench = Bench::new();
    bench.fetcher.artifact(&url(&server, PATH), &digest, Some(15)).await.unwrap();
    assert_eq!(server.requests()[1].header("cache-control"), Some("no-cache"));
    assert_eq!(bench.recorder.notes.lock().unwrap().len(), 1);

    server.fault_always(PATH, Fault::Replace(b"the wrong bytes".to_vec()));
    let bench = Bench::new();
    let error = bench.fetcher.artifact(&url(&server, PATH), &digest, Some(15)).await.unwrap_err();
    let text = error.to_string();
    for part in [server.at(PATH), digest.to_string(), Digest::of(b"the wrong bytes").to_string()] {
        assert!(text.contains(&part), "{text}");
    }
    assert!(error.hint().is_some());
    assert_eq!(server.hits(PATH), 4);
    assert!(bench.is_empty());
}

#[tokio::test]
async fn lies_about_length_are_cut_off() {
    let content = bytes(100_000);
    let cases = [
        ("a longer body", Fault::Replace(bytes(5_000_000)), "5000000 bytes, expected 100000"),
        ("a longer body without length", Fault::ReplaceChunked(bytes(5_000_000)), "more than 100000 bytes"),
        ("a shorter body", Fault::Truncate(60_000), "60000 bytes, expected 100000"),
        ("a length that is too long", Fault::LieAboutLength(200_000), "200000 bytes, expected 100000"),
    ];
    for (what, fault, message) in cases {
        let (server, digest) = serve(&content);
        server.fault_always(PATH, fault);
        let bench = Bench::new();
        let error = bench.fetcher.artifact(&url(&server, PATH), &digest, Some(100_000)).await.unwrap_err();
        assert!(error.to_string().contains(message), "{what}: {error}");
        assert_eq!(server.hits(PATH), 2, "{what}");
        assert!(bench.is_empty(), "{what}");
        assert!(bench.recorder.totals.lock().unwrap().advanced <= 100_000, "{what}");
    }
}

#[tokio::test]
async fn a_body_that_ends_early_is_completed() {
    let content = bytes(100_000);
    let (server, digest) = serve(&content);
    server.fault(PATH, Fault::ReplaceChunked(content[..30_000].to_vec()));
    let bench = Bench::new();
    let path = bench.fetcher.artifact(&url(&server, PATH), &digest, Some(100_000)).await.unwrap();
    assert_eq!(fs_err::read(path).unwrap(), content);
    assert_eq!(server.requests()[1].header("range"), Some("bytes=30000-"));
}

#[tokio::test]
async fn silence_is_not_waited_out() {
    let (server, digest) = serve(&bytes(100_000));
    server.fault_always(PATH, Fault::StallAfter(10));
    let bench = Bench::with(Options { retries: 1, ..options() });
    let error = bench.fetcher.artifact(&url(&server, PATH), &digest, Some(100_000)).await.unwrap_err();
    let Error::GaveUp { attempts: 2, source } = &error else { panic!("{error:?}") };
    assert!(matches!(**source, Error::Stalled { .. }), "{source:?}");
    assert!(bench.is_empty());
}

#[tokio::test]
async fn slow_is_not_stalled() {
    let (server, digest) = serve(&bytes(1000));
    server.fault(PATH, Fault::Slow(100, Duration::from_millis(150)));
    let bench = Bench::new();
    bench.fetcher.artifact(&url(&server, PATH), &digest, Some(1000)).await.unwrap();
    assert_eq!(server.hits(PATH), 1);
}

#[tokio::test]
async fn progress_buys_more_attempts() {
    let content = bytes(9_000_000);
    let (server, digest) = serve(&content);
    for _ in 0..6 {
        server.fault(PATH, Fault::DropAfter(1_400_000));
    }
    let bench = Bench::with(Options { retries: 1, ..options() });
    bench.fetcher.artifact(&url(&server, PATH), &digest, Some(9_000_000)).await.unwrap();
    assert_eq!(server.hits(PATH), 7);
}

#[tokio::test]
async fn statuses_say_what_to_do() {
    let (server, digest) = serve(b"content");
    for (status, hits, part) in [
        (401, 1, "PROVENV_INDEX_127_0_0_1_"),
        (403, 1, "netrc"),
        (404, 1, "withdrawn"),
        (410, 1, "withdrawn"),
        (418, 1, ""),
        (503, 2, ""),
    ] {
        server.clear_faults();
        server.fault_always(PATH, Fault::Status(status));
        let before = server.hits(PATH);
        let bench = Bench::with(Options { retries: 1, ..options() });
        let error = bench.fetcher.artifact(&url(&server, PATH), &digest, Some(7)).await.unwrap_err();
        assert!(chain(&error).contains(&status.to_string()), "{}", chain(&error));
        assert!(chain(&error).contains(&server.at(PATH)), "{}", chain(&error));
        assert!(error.hint().unwrap_or_default().contains(part), "{:?}", error.hint());
        assert_eq!(server.hits(PATH) - before, hits, "{status}");
    }
}

#[tokio::test]
async fn no_network_has_a_hint() {
    let bench = Bench::with(Options { retries: 0, ..options() });
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (address, kind) in
        [(closed.to_string(), "connect"), ("no-such-host.invalid".to_owned(), "find the host")]
    {
        let url: SafeUrl = format!("http://{address}/x").parse().unwrap();
        let error = bench.fetcher.artifact(&url, &Digest::of(b""), None).await.unwrap_err();
        assert!(chain(&error).contains(kind), "{}", chain(&error));
        assert!(error.hint().unwrap().contains("network"), "{:?}", error.hint());
    }
}

#[tokio::test]
async fn redirects_are_followed_and_named() {
    let (server, digest) = serve(b"content");
    let files = Server::start(
        FileTree::new().with("/cdn/x", b"tampered".to_vec()).with("/cdn/y", b"content".to_vec()),
    );
    server.fault(PATH, Fault::Redirect(files.at("/cdn/y")));
    Bench::new().fetcher.artifact(&url(&server, PATH), &digest, Some(7)).await.unwrap();

    server.fault_always(PATH, Fault::Redirect(format!("{}?signature=hunter2", files.at("/cdn/x"))));
    let error = Bench::new().fetcher.artifact(&url(&server, PATH), &digest, None).await.unwrap_err();
    assert!(error.to_string().contains(&format!("(sent by `{}`)", files.at("/"))), "{error}");
    let shown = format!("{error}{error:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("cdn"), "the path may be a secret too: {shown}");

    server.fault_always(PATH, Fault::Redirect(PATH.into()));
    let error = Bench::new().fetcher.artifact(&url(&server, PATH), &digest, None).await.unwrap_err();
    assert!(error.to_string().contains("too often"), "{error}");
    server.fault_always(PATH, Fault::Redirect("gopher://127.0.0.1/".into()));
    let error = Bench::new().fetcher.artifact(&url(&server, PATH), &digest, None).await.unwrap_err();
    assert!(matches!(error, Error::Scheme(_)), "{error}");
    server.fault_always(PATH, Fault::Redirect("file:///etc/hostname".into()));
    let error = Bench::new().fetcher.unverified(&server.at(PATH).parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::Scheme(_)), "a server cannot make us read our own files: {error}");
}

#[tokio::test]
async fn unverified_bytes_have_a_limit_too() {
    let (server, _) = serve(&bytes(100_000));
    let bench = Bench::with(Options { limit: 50_000, ..options() });
    let error = bench.fetcher.unverified(&server.at(PATH).parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::TooLong { limit: 50_000, .. }), "{error:?}");
    server.fault_always(PATH, Fault::ReplaceChunked(bytes(100_000)));
    let error = bench.fetcher.unverified(&server.at(PATH).parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::TooLong { limit: 50_000, .. }), "{error:?}");
    assert!(bench.is_empty());
}

#[tokio::test]
async fn files_are_copied_and_checked() {
    let bench = Bench::with(Options { offline: true, ..options() });
    let path = bench.folder.path().join("a b.whl");
    fs_err::write(&path, bytes(600_000)).unwrap();
    let url = url::Url::from_file_path(&path).unwrap();
    let safe = SafeUrl::new(url.clone());
    let digest = Digest::of(&bytes(600_000));

    let error = bench.fetcher.artifact(&safe, &Digest::of(b"other"), None).await.unwrap_err();
    assert!(matches!(error, Error::Digest { .. }), "{error:?}");
    let error = bench.fetcher.artifact(&safe, &digest, Some(5)).await.unwrap_err();
    assert!(matches!(error, Error::Size { expected: 5, actual: 600_000, .. }), "{error:?}");
    let blob = bench.fetcher.artifact(&safe, &digest, Some(600_000)).await.unwrap();
    assert_eq!(fs_err::read(blob).unwrap(), bytes(600_000));
    assert_eq!(bench.fetcher.unverified(&url).await.unwrap().digest, digest);
    assert_eq!(bench.fetcher.document(&url).await.unwrap().blob, digest);

    for missing in [bench.folder.path().join("none"), bench.folder.path().to_owned()] {
        let url = url::Url::from_file_path(missing).unwrap();
        let error = bench.fetcher.unverified(&url).await.unwrap_err();
        assert!(matches!(error, Error::File { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn offline_uses_what_is_there() {
    let (server, digest) = serve(b"content");
    let bench = Bench::new();
    let offline = bench.again(Options { offline: true, ..options() });
    let error = offline.artifact(&url(&server, PATH), &digest, Some(7)).await.unwrap_err();
    assert!(matches!(error, Error::Offline(_)) && error.hint().is_some(), "{error:?}");
    bench.fetcher.artifact(&url(&server, PATH), &digest, Some(7)).await.unwrap();
    offline.artifact(&url(&server, PATH), &digest, Some(7)).await.unwrap();
    assert_eq!(server.hits(PATH), 1);
}

#[tokio::test]
async fn other_schemes_are_refused() {
    let bench = Bench::new();
    let error = bench.fetcher.unverified(&"ftp://127.0.0.1/x".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::Scheme(_)), "{error:?}");
}

#[tokio::test]
async fn a_blob_cut_short_by_a_broken_disk_is_fetched_again() {
    let (server, digest) = serve(b"content");
    let bench = Bench::new();
    let path = bench.fetcher.artifact(&url(&server, PATH), &digest, Some(7)).await.unwrap();
    fs_err::remove_file(&path).unwrap();
    fs_err::write(&path, b"cont").unwrap();
    bench.fetcher.artifact(&url(&server, PATH), &digest, Some(7)).await.unwrap();
    assert_eq!(fs_err::read(&path).unwrap(), b"content");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_tasks_fetch_it_once() {
    let (server, digest) = serve(&bytes(400_000));
    server.fault(PATH, Fault::Slow(100_000, Duration::from_millis(50)));
    let bench = Bench::new();
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (fetcher, url) = (bench.fetcher.clone(), url(&server, PATH));
            tokio::spawn(async move { fetcher.artifact(&url, &digest, Some(400_000)).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(server.hits(PATH), 1);
    let totals = *bench.recorder.totals.lock().unwrap();
    assert_eq!((totals.expected, totals.open), (totals.advanced, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transfers_at_once_are_bounded() {
    let mut tree = FileTree::new();
    for file in 0..6_u8 {
        tree = tree.with(&format!("/{file}"), vec![file; 40]);
    }
    let server = Server::start(tree);
    for file in 0..6 {
        server.fault(&format!("/{file}"), Fault::Slow(10, Duration::from_millis(50)));
    }
    let bench = Bench::with(Options { concurrency: 2, ..options() });
    let begin = Instant::now();
    let tasks: Vec<_> = (0..6_u8)
        .map(|file| {
            let (fetcher, url) = (bench.fetcher.clone(), url(&server, &format!("/{file}")));
            tokio::spawn(async move { fetcher.artifact(&url, &Digest::of(&[file; 40]), Some(40)).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    // Six of 200 ms each, two at a time.
    let elapsed = begin.elapsed();
    assert!(elapsed >= Duration::from_millis(600), "{elapsed:?}");
}

#[tokio::test]
async fn a_link_of_a_server_cannot_ask_for_a_variable() {
    let (server, digest) = serve(b"content");
    let credentials = CredentialSources::new(|_| Some("hunter2".to_owned()), None, None);
    let bench = Bench::with(Options { credentials, ..options() });
    let secret = url(&server, "/${SECRET}/x.whl");
    bench.fetcher.linked_artifact(&secret, &digest, None).await.unwrap_err();
    assert_eq!(server.hits("/hunter2/x.whl"), 0);
    bench.fetcher.artifact(&secret, &digest, None).await.unwrap_err();
    assert_eq!(server.hits("/hunter2/x.whl"), 1);
    bench.fetcher.linked_artifact(&url(&server, PATH), &digest, None).await.unwrap();
}

#[tokio::test]
async fn a_pipe_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let location = SafeUrl::new(url::Url::from_file_path(&pipe).unwrap());
    let bench = Bench::new();
    let error = bench.fetcher.artifact(&location, &Digest::of(b"x"), None).await.unwrap_err();
    assert!(chain(&error).contains("no regular file"), "{}", chain(&error));
}

#[tokio::test]
async fn after_wrong_bytes_or_broken_ones_the_next_mirror_is_asked() {
    let content = bytes(300_000);
    for fault in
        [Fault::Replace(bytes(300_001)[1..].to_vec()), Fault::Truncate(10), Fault::DropAfter(200_000)]
    {
        let (bad, digest) = serve(&content);
        bad.fault_always(PATH, fault.clone());
        let good = serve(&content).0;
        for order in [vec![&bad, &good], vec![&bad, &bad, &good]] {
            let mirrors = order.iter().map(|server| server.at("").parse().unwrap()).collect();
            let mirrors = vec![("https://files.invalid".parse().unwrap(), mirrors)];
            let bench = Bench::with(Options { mirrors, ..options() });
            let url: SafeUrl = format!("https://files.invalid{PATH}").parse().unwrap();
            let path = bench.fetcher.artifact(&url, &digest, Some(300_000)).await.unwrap();
            assert_eq!(fs_err::read(path).unwrap(), content, "{fault:?}");
        }
    }
}

#[tokio::test]
async fn a_variable_in_a_path_is_told_as_one_whatever_fails() {
    const SECRET: &str = "s3kret-never-shown";
    let at = format!("/{SECRET}/ch/x");
    let server = Server::start(FileTree::new().with(&at, b"other".to_vec()));
    let mirror = Server::start(FileTree::new().with(&at, b"other".to_vec()));
    let credentials = CredentialSources::new(|_| Some(SECRET.to_owned()), None, None);
    let of_mirror = (server.at("/${TOKEN}").parse().unwrap(), vec![mirror.at("/${TOKEN}").parse().unwrap()]);
    let asked = url(&server, "/${TOKEN}/ch/x");
    for (mirrors, from) in [(Vec::new(), &server), (vec![of_mirror], &mirror)] {
        let bench =
            Bench::with(Options { credentials: credentials.clone(), mirrors, retries: 0, ..options() });
        let faults = [
            None,
            Some(Fault::Status(403)),
            Some(Fault::Status(500)),
            Some(Fault::DropAfter(2)),
            Some(Fault::Redirect("gopher://127.0.0.1/x".into())),
            Some(Fault::Redirect(format!("ftp://127.0.0.1/{SECRET}/x"))),
            Some(Fault::Redirect(at.clone())),
        ];
        for fault in faults {
            from.clear_faults();
            fault.clone().into_iter().for_each(|fault| from.fault_always(&at, fault));
            let error = bench.fetcher.artifact(&asked, &Digest::of(b"content"), Some(5)).await.unwrap_err();
            let said = format!("{} {error:?} {:?}", chain(&error), error.hint());
            assert!(!said.contains(SECRET), "{fault:?}: {said}");
            let is_named = matches!(error, Error::Scheme(_)) || said.contains("${TOKEN}/ch/x");
            assert!(is_named, "{fault:?}: {said}");
        }
        from.clear_faults();
        from.fault(&at, Fault::Redirect(format!("/{SECRET}/ch/y")));
        from.put(&format!("/{SECRET}/ch/y"), b"moved".to_vec());
        let document = bench.fetcher.document(asked.as_url()).await.unwrap();
        assert_eq!(document.url.to_string(), from.at("/${TOKEN}/ch/y"), "links in it have the variable too");
        let notes = bench.recorder.notes.lock().unwrap().join(" ");
        assert!(!notes.contains(SECRET), "{notes}");
        let kept = std::process::Command::new("grep").args(["-rl", SECRET]).arg(bench.folder.path()).output();
        assert_eq!(String::from_utf8_lossy(&kept.unwrap().stdout), "");
        // Files that stand beside a page are under the same secret.
        from.put(&format!("/{SECRET}/ch/z"), b"content".to_vec());
        let (page, linked) = (&document.url, url(from, "/${TOKEN}/ch/z"));
        let digest = Digest::of(b"content");
        bench.fetcher.linked_artifact(&linked, &digest, None).await.unwrap_err();
        let strange = url(from, "/${TOKEN}/${TOKEN}/z");
        bench.fetcher.artifact_of(page, &strange, &digest, None).await.unwrap_err();
        assert_eq!(from.hits(&format!("/{SECRET}/{SECRET}/z")), 0);
        bench.fetcher.artifact_of(page, &linked, &digest, None).await.unwrap();
    }
}
