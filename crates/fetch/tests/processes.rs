//! Several processes, sudden death, a full disk, proxies and missing certificates.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use provenv_definition::Digest;
use provenv_fetch::{Fetcher, Options, Silent};
use provenv_store::Store;
use provenv_testing::server::{Fault, FileTree, Server};
use tempfile::TempDir;

use crate::common::{Bench, bytes, options, url};

/// The URL a child fetches; set in children only.
const CHILD_URL: &str = "PROVENV_TEST_URL";
const CHILD_STORE: &str = "PROVENV_TEST_STORE";
const SIZE: usize = 3_000_000;

/// What children do: fetch the URL as the well-known bytes. Nothing in the parent.
#[test]
fn fetch_in_a_child() {
    let (Ok(url), Ok(store)) = (std::env::var(CHILD_URL), std::env::var(CHILD_STORE)) else { return };
    let mounted = std::env::var_os("PROVENV_TEST_MOUNT").is_some();
    if mounted {
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", &store]).status();
        assert!(status.unwrap().success());
    }
    let store = Store::open(Path::new(&store).join("store")).unwrap();
    let options = Options { stall_timeout: Duration::from_mins(1), ..options() };
    let fetcher = Fetcher::new(store.clone(), Arc::new(Silent), options).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let result = runtime.block_on(async {
        fetcher.artifact(&url.parse().unwrap(), &Digest::of(&bytes(SIZE)), Some(SIZE as u64)).await
    });
    if mounted {
        let error = result.unwrap_err();
        assert!(error.is_no_space(), "{error:?}");
        assert!(error.hint().unwrap().contains("store gc"));
        assert_eq!(store.stats().unwrap().tmp_bytes, 0);
    } else {
        result.unwrap();
    }
}

fn child(program: &mut Command, url: &str, store: &Path) -> Child {
    program
        .args(["--exact", "processes::fetch_in_a_child", "--nocapture"])
        .env(CHILD_URL, url)
        .env(CHILD_STORE, store)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn this() -> Command {
    Command::new(std::env::current_exe().unwrap())
}

fn serve() -> Server {
    Server::start(FileTree::new().with("/x.whl", bytes(SIZE)))
}

#[test]
fn twenty_processes_fetch_it_once() {
    let server = serve();
    server.fault("/x.whl", Fault::Slow(500_000, Duration::from_millis(100)));
    let folder = TempDir::new().unwrap();
    let children: Vec<_> = (0..20).map(|_| child(&mut this(), &server.at("/x.whl"), folder.path())).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(server.hits("/x.whl"), 1);
}

#[tokio::test]
async fn a_process_killed_in_the_middle_leaves_the_way_free() {
    let server = serve();
    server.fault("/x.whl", Fault::StallAfter(2_000_000));
    let bench = Bench::new();
    let mut killed = child(&mut this(), &server.at("/x.whl"), bench.folder.path());
    let begin = Instant::now();
    while bench.fetcher.store().stats().unwrap().tmp_bytes < 1_500_000 {
        assert!(begin.elapsed() < Duration::from_mins(1));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let fetching = tokio::spawn({
        let (fetcher, url) = (bench.fetcher.clone(), url(&server, "/x.whl"));
        async move { fetcher.artifact(&url, &Digest::of(&bytes(SIZE)), Some(SIZE as u64)).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!fetching.is_finished(), "the other process is at it");
    killed.kill().unwrap();
    killed.wait().unwrap();
    fetching.await.unwrap().unwrap();
    assert_eq!(server.hits("/x.whl"), 2);
    let store = Store::open(bench.fetcher.store().root()).unwrap();
    assert_eq!(store.stats().unwrap().tmp_bytes, 0);
}

#[test]
fn a_full_disk_is_said_at_once() {
    let permitted = Command::new("unshare")
        .args(["-rm", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success());
    if !permitted {
        eprintln!("skipped: this machine permits no mount namespace");
        return;
    }
    let server = serve();
    let folder = TempDir::new().unwrap();
    let mut program = Command::new("unshare");
    program.arg("-rm").arg(std::env::current_exe().unwrap()).env("PROVENV_TEST_MOUNT", "1");
    assert!(child(&mut program, &server.at("/x.whl"), folder.path()).wait().unwrap().success());
    assert_eq!(server.hits("/x.whl"), 1, "a full disk is not tried again");
}

#[test]
fn plain_http_needs_no_certificates() {
    let server = serve();
    let folder = TempDir::new().unwrap();
    let mut program = this();
    program.env("SSL_CERT_FILE", folder.path().join("none")).env("SSL_CERT_DIR", folder.path().join("none"));
    assert!(child(&mut program, &server.at("/x.whl"), folder.path()).wait().unwrap().success());
}

#[test]
fn a_proxy_named_by_the_environment_is_used() {
    let proxy = serve();
    let folder = TempDir::new().unwrap();
    let mut program = this();
    program
        .env("HTTP_PROXY", &proxy.url)
        .env("http_proxy", &proxy.url)
        .env_remove("NO_PROXY")
        .env_remove("no_proxy");
    assert!(
        child(&mut program, "http://no-such-host.invalid/x.whl", folder.path()).wait().unwrap().success()
    );
    assert_eq!(proxy.hits("/x.whl"), 1);
    assert_eq!(proxy.requests()[0].header("host"), Some("no-such-host.invalid"));
}
