//! What a definition would come to, asked over the API.

use provenv_testing::pypi::{Index, Wheel};
use serde_json::json;

use super::team::{DEFAULT, Team, post, problem};
use crate::support::{Done, PYTHON, command, definition, fill, serve};

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

    // The same of what is registered: by its lock, and not by what its definition would be locked to now.
    for reference in ["cup:1", "cup@latest"] {
        let of_version = post(&team.owner, &path, &json!({ "version": reference })).is(200).json();
        assert_eq!((&of_version["lock"], &of_version["fresh"]), (&plan["lock"], &json!(false)));
        assert_eq!(of_version["platforms"], again["platforms"]);
    }

    for (body, status, code) in [
        (json!({ "version": "cup:9" }), 404, "version-not-found"),
        (json!({ "version": "cups:1" }), 404, "environment-not-found"),
        (json!({ "version": "cup" }), 400, "body-invalid"),
        (json!({ "version": "cup:1", "file": file }), 400, "body-invalid"),
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

#[test]
fn a_dry_run_of_a_build_says_the_same_here_and_on_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let here = folder.path().join("own");
    let Some(()) = fill(&here) else { return };
    let index =
        serve(&Index::new().add(Wheel::new("tea", "1").requires("leaf")).add(Wheel::new("leaf", "2")));
    fs_err::write(folder.path().join("environment.yaml"), definition(&index, "cup", &["tea"])).unwrap();
    let token = team.token("ann", Some("contributor"));
    let in_folder = |arguments: &[&str]| -> Done {
        command(&here).current_dir(folder.path()).args(arguments).output().unwrap().into()
    };
    let on_server = |arguments: &[&str]| -> Done {
        team.command(folder.path(), &token).args(arguments).output().unwrap().into()
    };
    let dry = ["-o", "json", "build", "cup", "--dry-run"];
    let mut plans = Vec::new();
    for run in [&in_folder as &dyn Fn(&[&str]) -> Done, &on_server] {
        run(&["env", "register", "environment.yaml"]).ok();
        let text = run(&["build", "cup", "--dry-run"]).ok().stdout;
        assert!(text.contains("fetch 2 packages") && text.contains("nothing was built"), "{text}");
        assert_eq!(run(&["-o", "json", "builds", "list"]).ok().json(), json!([]), "something was built");
        let plan = run(&dry).ok().json();
        let one = &plan["platforms"][0];
        assert_eq!(
            (&one["to_fetch"], &one["image"], &plan["environments"]),
            (&json!(2), &json!(null), &json!(["cup:1"]))
        );
        let built = run(&["-o", "json", "build", "cup"]).ok().json();
        let after = run(&dry).ok().json();
        assert_eq!(
            (&after["platforms"][0]["to_fetch"], &after["platforms"][0]["image"]),
            (&json!(0), &built["image"])
        );
        assert!(run(&["build", "cup", "--dry-run"]).ok().stdout.contains("the image is there"));
        plans.push(plan);
    }
    assert_eq!(plans[0], plans[1]);
    // A file is locked here, and is no environment afterwards.
    fs_err::write(folder.path().join("other.yaml"), definition(&index, "mug", &["leaf"])).unwrap();
    let plan = in_folder(&["-o", "json", "build", "other.yaml", "--dry-run"]).ok().json();
    assert_eq!((&plan["fresh"], &plan["environments"]), (&json!(true), &json!([])));
    assert_eq!(in_folder(&["build", "other.yaml", "--dry-run", "--force"]).code, 2);
}

#[test]
fn what_cannot_be_had_is_shown_at_its_line_wherever_it_is_resolved() {
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let text = definition(&index, "cup", &["tea", "sugar>=3"]);
    let line = text.lines().position(|line| line.contains("sugar")).unwrap() + 1;
    fs_err::write(folder.path().join("environment.yaml"), &text).unwrap();
    // The command line has the file, and the server has what it says.
    let token = team.token("ann", Some("contributor"));
    let done = team.command(folder.path(), &token).args(["env", "register", "environment.yaml"]).output();
    let done = Done::from(done.unwrap());
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(done.stderr.contains(&format!("--> environment.yaml:{line}:3")), "{}", done.stderr);
    assert!(done.stderr.contains("- sugar>=3") && done.stderr.contains("^^^"), "{}", done.stderr);
    // Who sends the text hears the line of it.
    let file = json!({ "name": "environment.yaml", "text": text });
    for path in ["environments", "plan"] {
        let answer = post(&team.owner, &format!("{DEFAULT}/{path}"), &json!({ "file": file }));
        let said = problem(answer, 422, "cannot-be-resolved");
        let place = json!([{ "file": "environment.yaml", "line": line, "column": 3, "text": "- sugar>=3" }]);
        assert_eq!((&said["places"], &said["concerns"]), (&place, &json!([{ "requirement": 1 }])), "{said}");
    }
}
