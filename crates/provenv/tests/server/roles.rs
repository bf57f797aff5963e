//! Who may call what, by the description of the API itself.

use serde_json::{Value, json};

use super::limits::limited;
use super::team::{DEFAULT, Team, post, problem, put};
use crate::registry::client::Client;

/// Every operation: method, path with names in its places, and who may call it.
fn operations(description: &Value) -> Vec<(String, String, String)> {
    let mut operations = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let role = operation["x-provenv-role"].as_str();
            let role =
                role.unwrap_or_else(|| panic!("{method} {path} does not say who may call it")).to_owned();
            let path = path
                .replace("{workspace}", "default")
                .replace("{name}", "nothing")
                .replace("{version}", "1")
                .replace("{id}", "nothing")
                .replace("{label}", "prod")
                .replace("{target}", "elsewhere")
                .replace("{user}", "somebody")
                .replace("{level}", "0")
                .replace("{n}", "000")
                .replace("{m}", "001.p")
                .replace("{rest}", "1");
            assert!(!path.contains('{'), "{path}");
            operations.push((method.to_uppercase(), path, role));
        }
    }
    operations
}

#[test]
fn every_operation_lets_in_whom_it_says_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    // Those who may not are counted elsewhere (`limits`).
    let team = limited(folder.path(), "anonymous = 0\nfailures = 0\n");
    let callers: Vec<(&str, Client)> = vec![
        ("nobody", team.nobody()),
        ("impostor", team.with("pvt_0000000000000000000000000000000000000000000")),
        ("outsider", team.user("outsider", None)),
        ("reader", team.user("reader", Some("reader"))),
        ("contributor", team.user("contributor", Some("contributor"))),
        ("owner", team.user("workspace-owner", Some("owner"))),
        ("server-owner", team.owner.clone()),
    ];
    let rank = |caller: &str| match caller {
        "reader" => 1,
        "contributor" => 2,
        "owner" | "server-owner" => 3,
        _ => 0,
    };
    let description = team.nobody().get("/openapi.json").is(200).json();
    let operations = operations(&description);
    assert!(operations.len() > 20, "{operations:?}");
    for (method, path, role) in operations {
        for (caller, client) in &callers {
            let has_token = !matches!(*caller, "nobody" | "impostor");
            let in_workspace = path.contains("/workspaces/");
            let may = match &*role {
                "anybody" => true,
                "user" => has_token,
                role if in_workspace => rank(caller) >= rank(role) && rank(caller) > 0,
                _ => *caller == "server-owner",
            };
            // Nothing that is sent is right: who is let in hears of that, and changes nothing.
            // A body that nobody reads can cost the end of a large answer when the connection is closed.
            let body: &[u8] = if method == "GET" { b"" } else { b"[" };
            let answer = client.send(&method, &path, &[("Content-Type", "application/json")], body);
            let what = format!(
                "{caller}: {method} {path} ({role}) is answered {}: {}",
                answer.status,
                answer.text()
            );
            let code = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default()["code"].clone();
            if may {
                assert!(!matches!(answer.status, 401 | 403), "{what}");
                assert!(answer.status < 500, "{what}");
                assert_ne!(code, "workspace-not-found", "{what}");
            } else if !has_token {
                assert_eq!((answer.status, &code), (401, &json!("token-needed")), "{what}");
            } else if in_workspace && rank(caller) == 0 {
                assert_eq!((answer.status, &code), (404, &json!("workspace-not-found")), "{what}");
            } else {
                assert_eq!((answer.status, &code), (403, &json!("role-too-low")), "{what}");
            }
        }
    }
}

#[test]
fn a_token_ends_when_it_is_revoked_or_out_of_time() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let made = post(
        &team.owner,
        "/api/v1/tokens",
        &json!({ "user": "ann", "note": "laptop", "expires_in_days": 1 }),
    );
    let made = made.is(201).json();
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with(made["prefix"].as_str().unwrap()) && secret.len() > 40, "{made}");
    let ann = team.with(secret);
    assert_eq!(ann.get("/api/v1/whoami").is(200).json(), json!({ "user": "ann", "role": null }));
    // The secret is nowhere but with ann.
    for path in ["/api/v1/tokens"] {
        assert!(!team.owner.get(path).is(200).text().contains(secret));
    }
    for file in walkdir::WalkDir::new(&team.root).into_iter().map(Result::unwrap) {
        if file.file_type().is_file() {
            let bytes = fs_err::read(file.path()).unwrap();
            let has = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!has, "{}", file.path().display());
        }
    }
    // Ann makes tokens for herself, and for nobody else; she sees her own.
    problem(post(&ann, "/api/v1/tokens", &json!({ "user": "owner" })), 403, "role-too-low");
    let second = post(&ann, "/api/v1/tokens", &json!({})).is(201).json();
    let listed = ann.get("/api/v1/tokens").is(200).json();
    assert_eq!(listed["tokens"].as_array().unwrap().len(), 2, "{listed}");
    problem(
        team.user("ben", None).delete(&format!("/api/v1/tokens/{}", second["id"].as_str().unwrap())),
        404,
        "token-not-found",
    );
    ann.delete(&format!("/api/v1/tokens/{}", made["id"].as_str().unwrap())).is(204);
    problem(ann.get("/api/v1/whoami"), 401, "token-needed");
    // What it made ends with it, since it had an end itself.
    problem(team.with(second["secret"].as_str().unwrap()).get("/api/v1/whoami"), 401, "token-needed");
    problem(post(&team.owner, "/api/v1/tokens", &json!({ "expires_in_days": 0 })), 400, "expiry-invalid");
}

#[test]
fn workspaces_are_apart() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    post(&team.owner, "/api/v1/workspaces", &json!({ "name": "vision" })).is(201);
    problem(post(&team.owner, "/api/v1/workspaces", &json!({ "name": "vision" })), 409, "workspace-exists");
    for name in ["", "../x", "Vision", "a/b", "-"] {
        problem(
            post(&team.owner, "/api/v1/workspaces", &json!({ "name": name })),
            400,
            "workspace-name-invalid",
        );
    }
    let ann = team.user("ann", Some("contributor"));
    let mine = ann.get("/api/v1/workspaces").is(200).json();
    assert_eq!(mine, json!({ "workspaces": [{ "name": "default", "role": "contributor" }] }));
    // As if it were not there.
    let hidden = problem(ann.get("/api/v1/workspaces/vision/environments"), 404, "workspace-not-found");
    let missing = problem(ann.get("/api/v1/workspaces/visiox/environments"), 404, "workspace-not-found");
    assert_eq!(hidden["detail"].as_str().unwrap().replace("vision", "visiox"), missing["detail"]);
    put(&team.owner, "/api/v1/workspaces/vision/members/ann", &json!({ "role": "reader" })).is(200);
    ann.get("/api/v1/workspaces/vision/environments").is(200);
    team.owner.delete("/api/v1/workspaces/vision/members/ann").is(204);
    problem(ann.get("/api/v1/workspaces/vision/environments"), 404, "workspace-not-found");
    ann.get(&format!("{DEFAULT}/environments")).is(200);
}
