//! What a definition would come to, asked over the API.

use provenv_testing::pypi::{Index, Wheel};
use serde_json::json;

use super::team::{DEFAULT, Team, post, problem};
use crate::support::{PYTHON, definition, serve};

#[test]
fn a_plan_says_what_would_be_fetched_and_registers_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let index =
        serve(&Index::new().add(Wheel::new("tea", "1").requires("leaf")).add(Wheel::new("leaf", "2")));
    let path = format!("{DEFAULT}/plan");
    let file = json!({ "name": "environment.yaml", "text": definition(&index, "cup", &["tea"]) });
    let body = json!({ "file": file });
    let plan = post(&team.owner, &path, &body).is(200).json();
    assert_eq!(plan["fresh"], true);
    let one = &plan["platforms"][0];
    assert!(one["chosen"]["python"].as_str().unwrap().starts_with(PYTHON), "{one}");
    let own = one["chosen"]["packages"].as_array().unwrap().iter();
    let own: Vec<_> = own
        .filter(|package| package["ecosystem"] == "pypi")
        .map(|package| (package["name"].as_str().unwrap(), package["version"].as_str().unwrap()))
        .collect();
    assert_eq!(own, [("leaf", "2"), ("tea", "1")]);
    assert_eq!((&one["to_fetch"], &one["image"]), (&json!(2), &json!(null)));
    let environments = format!("{DEFAULT}/environments");
    assert_eq!(team.owner.get(&environments).is(200).json()["environments"], json!([]));

    // What is registered then has the lock of the plan.
    let made = post(&team.owner, &environments, &body).is(201).json();
    assert_eq!((&made["lock"], &made["definition"]), (&plan["lock"], &plan["definition"]));
    let again = post(&team.owner, &path, &json!({ "file": file, "name": "mug" })).is(200).json();
    assert_eq!((&again["fresh"], &again["environments"]), (&json!(false), &json!(["cup:1"])));

    for (body, status, code) in [
        (json!({}), 400, "body-invalid"),
        (
            json!({ "file": { "name": "requirements.txt", "text": "-r /etc/passwd\n" } }),
            422,
            "definition-not-for-a-server",
        ),
        (json!({ "file": { "name": "requirements.txt", "text": "tea===<>\n" } }), 422, "definition-invalid"),
    ] {
        problem(post(&team.owner, &path, &body), status, code);
    }
}
