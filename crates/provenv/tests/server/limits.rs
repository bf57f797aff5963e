//! How much a server takes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use provenv_testing::pypi::{Index, Wheel};
use serde_json::json;

use super::builds::register;
use super::team::{DEFAULT, Team, post, problem};
use crate::registry::client::Client;
use crate::support::{definition, eventually, fill, serve};

/// A server with these limits.
pub fn limited(folder: &Path, limits: &str) -> Team {
    limited_with(folder, limits, &[])
}

fn limited_with(folder: &Path, limits: &str, arguments: &[&str]) -> Team {
    let config = folder.join("config.toml");
    fs_err::write(&config, format!("[limits]\n{limits}")).unwrap();
    let variables = [("PROVENV_CONFIG", config.to_str().unwrap())];
    let mut team = Team::start_with(&folder.join("team"), arguments, "", &variables);
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    team.owner = team.with(&token);
    team
}

/// Asks until it is too much; gives how often it was not.
#[track_caller]
fn until_too_much(client: &Client, path: &str, code: &str) -> usize {
    for count in 0..1000 {
        let answer = client.get(path);
        if answer.status == 429 {
            let wait: u64 = answer.must("Retry-After").parse().unwrap();
            assert!((1..=60).contains(&wait), "{wait}");
            problem(answer, 429, code);
            return count;
        }
    }
    panic!("nothing was too much");
}

#[test]
fn each_token_has_a_rate_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let team = limited(folder.path(), "requests = 20\n");
    let (ann, ben) = (team.user("ann", Some("reader")), team.user("ben", Some("reader")));
    let count = until_too_much(&ann, &format!("{DEFAULT}/environments"), "too-many-requests");
    assert!(count >= 20, "{count}");
    ben.get("/api/v1/whoami").is(200);
    // The registry counts with the API, and says so in its own words.
    let answer = ann.get("/v2/");
    if answer.status == 429 {
        assert!(answer.header("Retry-After").is_some());
        answer.fails(429, "TOOMANYREQUESTS");
    }
}

#[test]
fn an_address_without_a_token_has_a_rate_and_locks_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let team = limited(folder.path(), "anonymous = 10\nfailures = 5\n");
    assert!(until_too_much(&team.nobody(), "/api/v1/whoami", "too-many-requests") >= 10);
    let impostor = team.with("pvt_0000000000000000000000000000000000000000000");
    assert!(until_too_much(&impostor, "/api/v1/whoami", "too-many-failures") >= 5);
    problem(post(&impostor, "/api/v1/tokens", &json!({})), 429, "too-many-failures");
    // From the same address, a token that holds is let in.
    team.owner.get("/api/v1/whoami").is(200);
    // What probes ask is not counted.
    for _ in 0..50 {
        team.nobody().get("/healthz").is(200);
    }
    // Nobody is somebody else by saying so.
    let elsewhere = impostor.with("X-Forwarded-For", "192.0.2.1");
    problem(elsewhere.get("/api/v1/whoami"), 429, "too-many-failures");
}

#[test]
fn a_proxy_that_is_trusted_says_who_asks() {
    let folder = tempfile::tempdir().unwrap();
    let team = limited(folder.path(), "failures = 5\ntrusted_proxies = [\"127.0.0.1\"]\n");
    let impostor = team.with("pvt_0000000000000000000000000000000000000000000");
    let one = impostor.with("X-Forwarded-For", "192.0.2.1");
    until_too_much(&one, "/api/v1/whoami", "too-many-failures");
    let other = impostor.with("X-Forwarded-For", "192.0.2.2");
    problem(other.get("/api/v1/whoami"), 401, "token-needed");
}

#[test]
fn bodies_and_headers_have_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let team = limited(folder.path(), "body = \"1k\"\nheaders = \"2k\"\n");
    let note = "x".repeat(5000);
    problem(post(&team.owner, "/api/v1/tokens", &json!({ "note": note })), 413, "too-large");
    let keyed = team.owner.with("Idempotency-Key", "k");
    problem(post(&keyed, "/api/v1/tokens", &json!({ "note": note })), 413, "too-large");
    problem(team.owner.with("X-Long", &note).get("/api/v1/whoami"), 431, "headers-too-large");
    // What is more than any server takes does not bring it down either.
    let mut connection = team.owner.begin("GET", "/api/v1/whoami", &[("X-Longer", &"x".repeat(1_000_000))]);
    let _ = connection.flush();
    let mut bytes = [0; 12];
    let _ = connection.read(&mut bytes);
    team.owner.get("/api/v1/whoami").is(200);
}

/// Whether a log that somebody follows is being answered, and with what.
fn follow(client: &Client, path: &str) -> (TcpStream, u16) {
    let mut connection = BufReader::new(client.begin("GET", path, &[]));
    let mut head = String::new();
    connection.read_line(&mut head).unwrap();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (connection.into_inner(), status.unwrap_or_else(|| panic!("{head}")))
}

#[test]
fn a_user_follows_so_many_logs_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("team");
    let Some(()) = fill(&root.join("workspaces/default")) else { return };
    let team = limited_with(folder.path(), "streams = 2\n", &["--workers", "0"]);
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let version = register(&team.owner, &definition(&index, "tea", &["tea"]));
    // Nobody builds it, so that its log goes on.
    let job = team.owner.post(&format!("{version}/build"), b"").is(202).json();
    let events = format!("{DEFAULT}/jobs/{}/events", job["id"].as_str().unwrap());
    let (ann, ben) = (team.user("ann", Some("reader")), team.user("ben", Some("reader")));
    let (one, status) = follow(&ann, &events);
    assert_eq!(status, 200);
    let (two, status) = follow(&ann, &events);
    assert_eq!(status, 200);
    let refused = ann.get(&events);
    assert!(refused.must("Retry-After").parse::<u64>().unwrap() > 0);
    problem(refused, 429, "too-many-streams");
    // Others have their own, and what is not followed is not counted.
    assert_eq!(follow(&ben, &events).1, 200);
    ann.get(&version).is(200);
    // Whoever goes away gives their place back.
    drop(one);
    let mut three = None;
    eventually("a place is free", || {
        let (connection, status) = follow(&ann, &events);
        three = Some(connection);
        status == 200
    });
    drop((two, three));
}

#[test]
fn a_user_has_so_many_requests_answered_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("team");
    let Some(()) = fill(&root.join("workspaces/default")) else { return };
    let team = limited_with(folder.path(), "concurrent = 2\n", &["--workers", "0"]);
    let (ann, ben) = (team.user("ann", Some("contributor")), team.user("ben", Some("reader")));
    // A body that does not come to its end is a request that is being answered.
    let begin = || {
        let headers = [("Content-Type", "application/json"), ("Content-Length", "100")];
        ann.begin("POST", &format!("{DEFAULT}/environments"), &headers)
    };
    let (one, two) = (begin(), begin());
    let mut refused = None;
    eventually("both are being answered", || {
        let answer = ann.get("/api/v1/whoami");
        let is_refused = answer.status == 429;
        refused = Some(answer);
        is_refused
    });
    let refused = refused.unwrap();
    assert!(refused.must("Retry-After").parse::<u64>().unwrap() > 0);
    problem(refused, 429, "too-many-at-once");
    ben.get("/api/v1/whoami").is(200);
    team.nobody().get("/healthz").is(200);
    // One that ends, and one that goes away, leave their places.
    drop(one);
    eventually("a place is free", || ann.get("/api/v1/whoami").status == 200);
    drop(two);
    eventually("both are free", || {
        let both = (begin(), ann.get("/api/v1/whoami").status);
        both.1 == 200
    });
}
