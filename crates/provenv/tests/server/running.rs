//! How a server begins, says what it is, and ends.

use nix::sys::signal::Signal;
use serde_json::json;

use super::team::{DEFAULT, Team, problem};
use crate::support::{Done, command};

#[test]
fn it_says_how_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    assert_eq!(team.nobody().get("/healthz").is(200).json()["status"], "ok");
    assert_eq!(team.nobody().get("/readyz").is(200).json()["status"], "ok");
    team.owner.get(&format!("{DEFAULT}/environments")).is(200);
    let metrics = team.owner.get("/metrics").is(200).text();
    for line in [
        "provenv_http_requests_total{method=\"GET\",path=\"/api/v1/workspaces/{workspace}/environments\",status=\"200\"} 1",
        "provenv_http_request_duration_seconds_count{method=\"GET\",path=\"/api/v1/workspaces/{workspace}/environments\"} 1",
        "provenv_http_requests_in_flight 1",
        "provenv_jobs{status=\"queued\"} 0",
        "provenv_jobs{status=\"running\"} 0",
        "provenv_job_oldest_wait_seconds 0.0",
        "provenv_database_connections{database=\"server\",state=\"used\"} ",
        "provenv_database_connections{database=\"catalogues\",state=\"most\"} ",
        "process_resident_memory_bytes ",
        "process_open_fds ",
    ] {
        assert!(metrics.contains(line), "{line}:\n{metrics}");
    }
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    problem(team.owner.get("/nothing"), 404, "no-such-path");
    problem(team.owner.delete("/healthz"), 405, "method-not-allowed");
    problem(team.nobody().get("/api/v1/whoami"), 401, "token-needed");
}

/// `PROVENV_BLESS=1` writes it anew.
#[test]
fn the_description_in_the_documentation_is_the_one_that_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let served = team.nobody().get("/openapi.json").is(200).text();
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/openapi.json");
    if std::env::var_os("PROVENV_BLESS").is_some() {
        fs_err::write(&file, &served).unwrap();
    }
    let kept = fs_err::read_to_string(file).unwrap_or_default();
    assert!(kept == served, "docs/reference/openapi.json is out of date: PROVENV_BLESS=1 writes it anew");
    let description: serde_json::Value = serde_json::from_str(&served).unwrap();
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
}

#[test]
fn a_lost_token_of_the_owner_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut team = Team::start(folder.path());
    let first = team.served["owner_token"].as_str().unwrap().to_owned();
    team.signal(Signal::SIGTERM);
    assert_eq!(team.wait().0, Some(0));
    let again = Team::start_again(&team.root, &["--owner-token"], "");
    let second = again.served["owner_token"].as_str().unwrap();
    assert_ne!(second, first);
    assert_eq!(
        again.with(second).get("/api/v1/whoami").is(200).json(),
        json!({ "user": "owner", "role": "owner" })
    );
    again.with(&first).get("/api/v1/whoami").is(200);
}

#[test]
fn what_cannot_be_served_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let address = team.owner.address.to_string();
    let root = folder.path().join("another");
    let serve = |arguments: &[&str]| {
        Done::from(command(&root).args(["serve", "--root"]).arg(&root).args(arguments).output().unwrap())
    };
    let done = serve(&["--listen", &address]);
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("something else listens there"), "{}", done.stderr);
    let done = serve(&["--tls-cert", "missing.pem", "--tls-key", "missing.key"]);
    assert!(done.stderr.contains("missing.pem") && done.stderr.contains("hint:"), "{}", done.stderr);
}
