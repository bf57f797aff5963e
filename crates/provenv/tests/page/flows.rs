//! What people do on the page, from end to end.

use std::path::Path;

use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::Server;
use serde_json::{Value, json};

use super::browser::Browser;
use crate::server::team::{DEFAULT, Team, post};
use crate::support::{PYTHON, definition, serve};

fn token(team: &Team) -> &str {
    team.served["owner_token"].as_str().unwrap()
}

/// Registers `name` over the API.
pub fn register(team: &Team, index: &Server, name: &str, packages: &[&str]) {
    let text = definition(index, name, packages);
    let body = json!({ "file": { "name": "environment.yaml", "text": text } });
    post(&team.owner, &format!("{DEFAULT}/environments"), &body).is(201);
}

/// Runs something in `cup:1`, in the folder of the workspace, as whoever has the server may.
pub fn submit(team: &Team, folder: &Path) {
    let job = folder.join("job.yaml");
    fs_err::write(&job, "environment: cup:1\ncommand: python -c 'print(\"steeped\")' && echo brewed > ${{outputs.pot}}/tea.txt\noutputs:\n  pot: {}\n").unwrap();
    let done = crate::support::command(&team.root.join("workspaces/default"))
        .arg("submit")
        .arg(&job)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn from_a_pasted_file_to_an_image() {
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let Some(browser) = Browser::start(team.url()) else { return };
    let index =
        serve(&Index::new().add(Wheel::new("tea", "1").requires("leaf")).add(Wheel::new("leaf", "2")));

    // Whoever comes from a link goes on there.
    browser.open("/w/default/new");
    assert!(browser.path().starts_with("/sign-in"), "{}", browser.path());
    browser.fill("#token", "pvt_wrong");
    browser.submit(".sign-in button");
    browser.wait_for("[role=alert]", "does not hold");
    browser.fill("#token", token(&team));
    browser.submit(".sign-in button");
    assert_eq!(browser.path(), "/w/default/new");

    // A mistake is shown at its line, and nothing is lost.
    let text = definition(&index, "cup", &["tea"]);
    browser.fill("#text", &format!("{text}- tea===<>\n"));
    browser.follow("Check");
    browser.wait_for("li.remarked", "tea===<>");
    assert!(browser.text("li.remarked .badge").contains("error"));
    assert_eq!(browser.count("button[value=register]"), 0);
    browser.fill("#text", &text);
    browser.follow("Check and plan");
    let plan = browser.text("section.plan");
    assert!(plan.contains("2 packages") && plan.contains("to be built") && plan.contains(PYTHON), "{plan}");
    assert!(
        team.owner.get(&format!("{DEFAULT}/environments")).is(200).json()["environments"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    browser.follow("Register");
    assert_eq!(browser.path(), "/w/default/environments/cup/1");
    assert!(browser.text(".facts").contains("not built yet"));

    // The log comes while it is written; at the end the page says so by itself.
    browser.follow("Build the image");
    assert!(browser.path().starts_with("/w/default/builds/job-"), "{}", browser.path());
    browser.wait_for("#status", "succeeded");
    let log = browser.text("#log");
    assert!(log.contains("attempt 1") && log.contains("assembling: done"), "{log}");
    let id = browser.path().rsplit('/').next().unwrap().to_owned();
    let kept = team.owner.get(&format!("{DEFAULT}/jobs/{id}/log")).is(200).text();
    assert_eq!(log.trim_end(), kept.trim_end());

    // The version has all of it now.
    browser.open("/w/default/environments/cup/1");
    let packages = browser.text("#packages");
    assert!(packages.contains("tea") && packages.contains("leaf"), "{packages}");
    assert!(browser.count(".treemap rect") > 2);
    assert_eq!(browser.count(".graph path"), 1);
    let sbom = browser.script_later(
        "const done = arguments[arguments.length - 1];
         fetch(document.querySelector('#image .links a').href).then(answer => answer.json()).then(done)",
    );
    assert_eq!(sbom["spdxVersion"], "SPDX-2.3");
    let image = team.owner.get(&format!("{DEFAULT}/environments/cup/versions/1/image")).is(200).json();
    assert!(browser.text("#image").contains(image["digest"].as_str().unwrap()));

    // Another version, and what became otherwise.
    register(&team, &index, "cup", &["tea", "leaf==2"]);
    browser.open("/w/default/environments/cup");
    browser.follow("Compare");
    assert!(browser.text("main").contains("leaf==2"), "{}", browser.text("main"));
}

#[test]
fn a_version_is_labelled_described_put_away_and_found() {
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let Some(browser) = Browser::start(team.url()) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")).add(Wheel::new("leaf", "2")));
    register(&team, &index, "cup", &["tea"]);
    register(&team, &index, "pot", &["leaf"]);
    browser.sign_in(token(&team));

    browser.open("/w/default/environments/cup/1");
    browser.fill("#label", "prod");
    browser.follow("Put it here");
    assert!(browser.text(".page-head").contains("@prod"));
    browser.fill("#description", "For tea");
    browser.fill("#tags", "team=kitchen\nfragile");
    browser.follow("Save");
    assert!(
        browser.text(".page-head").contains("For tea") && browser.text(".page-head").contains("team=kitchen")
    );
    let history = browser.text("#history");
    assert!(
        history.contains("For tea") && history.contains("@prod") && history.contains("owner"),
        "{history}"
    );
    browser.fill("#tags", "team=garden");
    browser.follow("Save");
    let shown = team.owner.get(&format!("{DEFAULT}/environments/cup/versions/1")).is(200).json();
    assert_eq!(shown["environment"]["tags"], json!({ "team": "garden" }));
    browser.follow("Take away @prod");
    assert!(!browser.text(".page-head").contains("@prod"));

    // By facets, and by what is inside.
    let names = |browser: &Browser| browser.text("section.results tbody");
    browser.open("/w/default/environments");
    assert!(names(&browser).contains("cup") && names(&browser).contains("pot"));
    browser.submit(".facets a[href*=garden]");
    assert!(names(&browser).contains("cup") && !names(&browser).contains("pot"), "{}", names(&browser));
    assert_eq!(browser.count(".facets a.on"), 1);
    browser.submit(".facets a.on");
    browser.fill("#q", "package:leaf>=2");
    browser.submit(".search button");
    assert!(names(&browser).contains("pot") && !names(&browser).contains("cup"), "{}", names(&browser));

    browser.open("/w/default/environments/cup/1");
    browser.follow("Archive");
    assert!(browser.text(".page-head").contains("archived"));
    browser.open("/w/default/environments");
    assert!(!names(&browser).contains("cup"));
    browser.open("/w/default/environments/cup/1");
    browser.follow("Restore");
    assert!(!browser.text(".page-head").contains("archived"));
}

#[test]
fn a_file_is_uploaded() {
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let Some(browser) = Browser::start(team.url()) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let file = folder.path().join("requirements.txt");
    fs_err::write(&file, format!("--index-url {}\ntea\n", index.at("/simple/"))).unwrap();
    browser.sign_in(token(&team));
    browser.open("/w/default/new");
    browser.fill("#name", "cup");
    browser.choose_file("#upload", &file);
    browser.follow("Check and plan");
    assert!(browser.text("section.plan").contains("to be built"), "{}", browser.text("main"));
    assert_eq!(browser.script("return document.querySelector('#file').value"), "requirements.txt");
    browser.follow("Register");
    assert_eq!(browser.path(), "/w/default/environments/cup/1");
    assert!(browser.text("#packages").contains("tea"));
}

#[test]
fn a_build_is_stopped_and_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let Some(browser) = Browser::start(team.url()) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    register(&team, &index, "cup", &["tea"]);
    // Nobody is there to fetch it from: the build fails, waits, and would be tried again.
    drop(index);
    browser.sign_in(token(&team));
    browser.open("/w/default/environments/cup/1");
    browser.follow("Build the image");
    browser.wait_for("#log", "attempt 1 failed");
    browser.follow("Cancel");
    browser.wait_for("#status", "canceled");
    browser.wait("a button that builds again", |browser| browser.text(".actions").contains("Build again"));
    browser.follow("Build again");
    assert!(browser.path().starts_with("/w/default/builds/job-"));
    browser.open("/w/default/builds?status=canceled");
    assert!(browser.text("tbody").contains("cup"));
}

#[test]
fn tokens_workspaces_and_members() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let Some(browser) = Browser::start(team.url()) else { return };
    browser.sign_in(token(&team));
    browser.open("/tokens");
    browser.fill("#note", "her laptop");
    browser.fill("#user", "ann");
    browser.follow("Make it");
    let secret = browser.text("#secret");
    assert_eq!(team.with(&secret).get("/api/v1/whoami").is(200).json()["user"], "ann");
    browser.open("/tokens");
    assert!(browser.text("tbody").contains("her laptop"));
    assert_eq!(browser.count("#secret"), 0);

    browser.open("/workspaces");
    browser.fill("#name", "vision");
    browser.follow("Make it");
    assert_eq!(browser.path(), "/w/vision/environments");
    browser.open("/w/vision/members");
    browser.fill("#user", "ann");
    browser.follow("Give it");
    assert!(browser.text("tbody").contains("ann"));
    let roles =
        |secret: &str| team.with(secret).get("/api/v1/workspaces").is(200).json()["workspaces"].clone();
    assert_eq!(roles(&secret), json!([{ "name": "vision", "role": "reader" }]));
    browser.follow("Take away");
    assert_eq!(roles(&secret), json!([]));

    browser.open("/tokens");
    let revoke = "document.querySelectorAll('tbody tr').forEach(row => row.innerText.includes('her laptop') && row.querySelector('button').setAttribute('data-hers', ''))";
    browser.script(revoke);
    browser.submit("[data-hers]");
    team.with(&secret).get("/api/v1/whoami").is(401);
    browser.submit(".account button");
    assert_eq!(browser.path(), "/sign-in");
    browser.open("/tokens");
    assert!(browser.path().starts_with("/sign-in"));
}

#[test]
fn a_run_is_shown_with_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let Some(browser) = Browser::start(team.url()) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    register(&team, &index, "cup", &["tea"]);
    submit(&team, folder.path());
    browser.sign_in(token(&team));
    browser.open("/w/default/runs");
    browser.submit("tbody th a");
    assert!(browser.text("pre.log").contains("steeped"), "{}", browser.text("main"));
    assert!(browser.text(".lineage").contains("cup:1"));
    browser.submit(".facts a");
    assert_eq!(browser.path(), "/w/default/environments/cup/1");
    assert_ne!(browser.script("return document.querySelector('#used').innerText"), Value::Null);
}
