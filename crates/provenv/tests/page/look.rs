//! Every page in light and dark, wide and narrow: without serious findings of axe-core, without sideways scrolling, and
//! without a request to anywhere else. `PROVENV_TEST_PICTURES=FOLDER` keeps a picture of each.

use provenv_testing::pypi::{Index, Wheel};
use serde_json::json;

use super::browser::{Browser, Screen, axe};
use super::flows::{register, submit};
use crate::server::team::{DEFAULT, Team, post, put};
use crate::support::{eventually, serve};

/// A server with something on every page; the path of a build.
fn filled(folder: &std::path::Path) -> Option<(Team, String)> {
    let team = Team::with_base(folder)?;
    let index =
        serve(&Index::new().add(Wheel::new("tea", "1").requires("leaf")).add(Wheel::new("leaf", "2")));
    register(&team, &index, "cup", &["tea"]);
    register(&team, &index, "cup", &["tea", "leaf==2"]);
    register(&team, &index, "a-very-long-name-of-an-environment-that-somebody-thought-of", &["leaf"]);
    put(&team.owner, &format!("{DEFAULT}/environments/cup/labels/prod"), &json!({ "version": "1" })).is(200);
    post(&team.owner, "/api/v1/workspaces", &json!({ "name": "vision" })).is(201);
    team.token("ann", Some("contributor"));
    let job = team.owner.post(&format!("{DEFAULT}/environments/cup/versions/1/build"), b"").is(202).json();
    let id = job["id"].as_str().unwrap().to_owned();
    eventually("the build ends", || {
        team.owner.get(&format!("{DEFAULT}/jobs/{id}")).is(200).json()["status"] == "succeeded"
    });
    submit(&team, folder);
    Some((team, id))
}

/// In which ways each page is looked at.
const SCREENS: [(&str, Screen); 4] = [
    ("light-wide", Screen { is_dark: false, is_narrow: false }),
    ("dark-wide", Screen { is_dark: true, is_narrow: false }),
    ("dark-narrow", Screen { is_dark: true, is_narrow: true }),
    ("light-narrow", Screen { is_dark: false, is_narrow: true }),
];

/// Looks at the page that is open, in every way; adds what is wrong.
fn check(browser: &Browser, axe: &str, name: &str, wrong: &mut Vec<String>) {
    browser.script(axe);
    let elsewhere = "return performance.getEntriesByType('resource').map(one => one.name).filter(name => !name.startsWith(location.origin) && !name.startsWith('data:'))";
    let elsewhere = browser.script(elsewhere);
    if elsewhere != json!([]) {
        wrong.push(format!("{name} loads {elsewhere}"));
    }
    for (way, screen) in SCREENS {
        browser.look(screen);
        let dark = browser.script("return matchMedia('(prefers-color-scheme: dark)').matches");
        assert_eq!(dark, screen.is_dark);
        browser.keep_picture(&format!("{name}-{way}"));
        let over = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        let over = browser.script(over);
        if over != 0 {
            wrong.push(format!("{name}, {way}: {over} wider than the screen"));
        }
        // What is dark differs in its colours alone.
        let rules = if screen.is_dark { "runOnly: ['color-contrast']" } else { "" };
        let found = browser.script_later(&format!(
            "const done = arguments[arguments.length - 1];
             axe.run({{ {rules} }}).then(found => done(found.violations
                 .filter(one => ['serious', 'critical'].includes(one.impact))
                 .map(one => [one.id, one.nodes.map(node => node.html).slice(0, 3)])))"
        ));
        if found != json!([]) {
            wrong.push(format!("{name}, {way}: {found}"));
        }
    }
    browser.look(Screen::default());
}

#[test]
fn every_page_in_light_and_dark_wide_and_narrow() {
    let folder = tempfile::tempdir().unwrap();
    let Some((team, job)) = filled(folder.path()) else { return };
    let Some(browser) = Browser::start(team.url()) else { return };
    let Some(axe) = axe() else { return };
    let mut wrong = Vec::new();
    let mut check = |name: &str| check(&browser, &axe, name, &mut wrong);
    browser.open("/sign-in");
    check("sign-in");
    browser.sign_in(team.served["owner_token"].as_str().unwrap());
    let id = team.owner.get(&format!("{DEFAULT}/runs")).is(200).json()["runs"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for (name, path) in [
        ("workspaces", "/workspaces".to_owned()),
        ("environments", "/w/default/environments".to_owned()),
        ("environments-narrowed", "/w/default/environments?kind=system-managed&q=cup".to_owned()),
        ("environments-shipped", "/w/default/environments?kind=curated".to_owned()),
        ("environments-none", "/w/vision/environments".to_owned()),
        ("versions", "/w/default/environments/cup".to_owned()),
        ("version", "/w/default/environments/cup/1".to_owned()),
        ("version-shipped", "/w/default/environments/curated%2Fsklearn/1".to_owned()),
        ("diff", "/w/default/diff?old=cup:1&new=cup:2".to_owned()),
        ("builds", "/w/default/builds".to_owned()),
        ("build", format!("/w/default/builds/{job}")),
        ("runs", "/w/default/runs".to_owned()),
        ("run", format!("/w/default/runs/{id}")),
        ("services", "/w/default/services".to_owned()),
        ("audit", "/w/default/audit".to_owned()),
        ("audit-of-the-server", "/audit-log".to_owned()),
        ("members", "/w/default/members".to_owned()),
        ("tokens", "/tokens".to_owned()),
        ("new", "/w/default/new".to_owned()),
        ("missing", "/w/default/environments/nothing/1".to_owned()),
    ] {
        browser.open(&path);
        check(name);
    }
    browser.open("/w/default/new");
    browser.fill("#text", "name: cup\npip:\n- tea===<>\n");
    browser.follow("Check");
    check("checked");
    browser.fill("#text", "name: cup\npython: \"3.11\"\n");
    browser.follow("Check and plan");
    browser.wait_for("section.plan", "Python");
    check("planned");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
