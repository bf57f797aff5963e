//! Tokens that may less than their user.

use serde_json::{Value, json};

use super::team::{DEFAULT, Team, post, problem, put};
use crate::registry::client::Client;

#[test]
fn a_token_may_be_for_less_than_its_user() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    post(&team.owner, "/api/v1/workspaces", &json!({ "name": "vision" })).is(201);
    put(&team.owner, "/api/v1/workspaces/vision/members/ann", &json!({ "role": "owner" })).is(200);
    let ann = team.user("ann", Some("owner"));
    let narrow = |workspace: Option<&str>, role: Option<&str>| {
        let asked = json!({ "workspace": workspace, "role": role, "expires_in_days": 1 });
        let made = post(&ann, "/api/v1/tokens", &asked).is(201).json();
        (team.with(made["secret"].as_str().unwrap()), made)
    };
    // One workspace alone.
    let (vision, made) = narrow(Some("vision"), None);
    assert_eq!((&made["workspace"], &made["role"]), (&json!("vision"), &json!(null)));
    vision.get("/api/v1/workspaces/vision/members").is(200);
    problem(vision.get(&format!("{DEFAULT}/environments")), 404, "workspace-not-found");
    let mine = vision.get("/api/v1/workspaces").is(200).json();
    assert_eq!(mine, json!({ "workspaces": [{ "name": "vision", "role": "owner" }] }));
    vision.get("/v2/default/x/tags/list").fails(404, "NAME_UNKNOWN");
    // One role alone.
    let (reader, _) = narrow(None, Some("reader"));
    reader.get(&format!("{DEFAULT}/environments")).is(200);
    problem(reader.get(&format!("{DEFAULT}/members")), 403, "role-too-low");
    reader.send("POST", "/v2/default/x/blobs/uploads/", &[], b"").fails(403, "DENIED");
    // It makes no more of itself, and ends nothing but itself.
    for asked in
        [json!({}), json!({ "role": "owner" }), json!({ "role": "contributor", "workspace": "vision" })]
    {
        problem(post(&reader, "/api/v1/tokens", &asked), 403, "role-too-low");
    }
    problem(post(&vision, "/api/v1/tokens", &json!({ "workspace": "default" })), 403, "role-too-low");
    post(&reader, "/api/v1/tokens", &json!({ "role": "reader", "workspace": "vision" })).is(201);
    let (other, made) = narrow(Some("vision"), Some("reader"));
    let path = format!("/api/v1/tokens/{}", made["id"].as_str().unwrap());
    problem(reader.delete(&path), 403, "role-too-low");
    other.delete(&path).is(204);
    problem(other.get("/api/v1/whoami"), 401, "token-needed");
    // The owner of the server, for less.
    let made = post(&team.owner, "/api/v1/tokens", &json!({ "role": "contributor" })).is(201).json();
    let less = team.with(made["secret"].as_str().unwrap());
    problem(post(&less, "/api/v1/workspaces", &json!({ "name": "sound" })), 403, "role-too-low");
    let tokens = less.get("/api/v1/tokens").is(200).json();
    assert!(tokens["tokens"].as_array().unwrap().iter().all(|token| token["user"] == "owner"), "{tokens}");
    // Nobody is told of a workspace by it.
    problem(
        post(&team.user("ben", None), "/api/v1/tokens", &json!({ "workspace": "vision" })),
        404,
        "workspace-not-found",
    );
}

#[test]
fn a_token_with_an_end_makes_none_that_outlives_it() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let ann = team.user("ann", Some("owner"));
    let make = |client: &Client, asked: Value| {
        let made = post(client, "/api/v1/tokens", &asked).is(201).json();
        (team.with(made["secret"].as_str().unwrap()), made)
    };
    let (week, made) = make(&ann, json!({ "expires_in_days": 7 }));
    // To the microsecond, as it is kept.
    let listed = ann.get("/api/v1/tokens").is(200).json();
    let end = &listed["tokens"].as_array().unwrap().iter().find(|one| one["id"] == made["id"]).unwrap()["expires_at"];
    // As long as it, if nobody says how long; shorter, if somebody does; never longer.
    let (child, of_child) = make(&week, json!({ "note": "child" }));
    assert_eq!(of_child["expires_at"], *end);
    let (day, of_day) = make(&week, json!({ "expires_in_days": 1 }));
    assert!(of_day["expires_at"].as_str().unwrap() < end.as_str().unwrap(), "{of_day}");
    problem(post(&week, "/api/v1/tokens", &json!({ "expires_in_days": 8 })), 403, "expiry-too-late");
    problem(post(&day, "/api/v1/tokens", &json!({ "expires_in_days": 2 })), 403, "expiry-too-late");
    let (grandchild, _) = make(&child, json!({ "role": "reader" }));
    // One for less, without an end: what it makes is for less as well, and ends with it.
    let (less, of_less) = make(&ann, json!({ "role": "contributor" }));
    let (lesser, _) = make(&less, json!({ "role": "reader" }));
    // What is for all that somebody may, and for ever, is not tied to what made it.
    let (other, _) = make(&ann, json!({ "note": "other" }));

    let all = [&week, &child, &day, &grandchild, &less, &lesser, &other];
    let hold = |hold: [bool; 7]| {
        for (client, holds) in all.into_iter().zip(hold) {
            let answer = client.get("/api/v1/whoami");
            assert_eq!(answer.status, if holds { 200 } else { 401 }, "{}", answer.text());
        }
    };
    hold([true; 7]);
    let revoke =
        |made: &Value| ann.delete(&format!("/api/v1/tokens/{}", made["id"].as_str().unwrap())).is(204);
    revoke(&of_child);
    hold([true, false, true, false, true, true, true]);
    revoke(&made);
    hold([false, false, false, false, true, true, true]);
    revoke(&of_less);
    hold([false, false, false, false, false, false, true]);
    // Each end is written down, with what it came of.
    let entries = team.owner.get("/audit/entries?action=token.revoke").is(200).json();
    let entries = entries["entries"].as_array().unwrap().clone();
    assert_eq!(entries.len(), 6, "{entries:?}");
    let with_child = |entry: &&Value| entry["entry"]["details"]["parent"] == of_child["id"];
    assert_eq!(entries.iter().filter(with_child).count(), 1, "{entries:?}");
    let own = |entry: &&Value| entry["entry"]["details"]["token"] == of_less["id"];
    assert_eq!(entries.iter().filter(own).count(), 1, "{entries:?}");
}

#[test]
fn a_token_is_kept_nowhere_even_where_it_was_asked_for_with_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let asked = json!({ "note": "ci" }).to_string();
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "once")];
    let ask = || team.owner.send("POST", "/api/v1/tokens", &headers, asked.as_bytes());
    let secret = ask().is(201).json()["secret"].as_str().unwrap().to_owned();
    problem(ask(), 409, "answered-before");
    let tokens = team.owner.get("/api/v1/tokens").is(200).json();
    assert_eq!(tokens["tokens"].as_array().unwrap().len(), 2, "the owner's, and this one: {tokens}");
    for file in walkdir::WalkDir::new(&team.root).into_iter().map(Result::unwrap) {
        if file.file_type().is_file() {
            let bytes = fs_err::read(file.path()).unwrap();
            let has = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!has, "{}", file.path().display());
        }
    }
}
