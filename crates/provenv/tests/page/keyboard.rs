//! The page by keyboard alone.

use super::browser::Browser;
use crate::server::team::Team;

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

/// Presses Tab until what has the focus says `text`.
fn tab_to(browser: &Browser, text: &str) {
    let focused = |browser: &Browser| {
        let script = "const one = document.activeElement; return one.innerText || one.getAttribute('aria-label') || one.id || ''";
        browser.script(script).as_str().unwrap_or_default().trim().to_owned()
    };
    let mut seen = Vec::new();
    for _ in 0..60 {
        browser.press(TAB);
        let here = focused(browser);
        if here == text {
            // Whoever uses it sees where they are.
            let ring = "const style = getComputedStyle(document.activeElement);
                        return style.outlineStyle !== 'none' || style.boxShadow !== 'none'";
            assert_eq!(browser.script(ring), true, "nothing shows that `{text}` has the focus");
            return;
        }
        seen.push(here);
    }
    panic!("no way to `{text}`, only to {seen:?}");
}

#[test]
fn everything_is_reached_by_keyboard() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let Some(browser) = Browser::start(team.url()) else { return };
    browser.open("/sign-in");
    tab_to(&browser, "token");
    browser.press(team.served["owner_token"].as_str().unwrap());
    browser.press(ENTER);
    browser.wait("signed in", |browser| browser.path() == "/w/default/environments");
    // Past the bar at once.
    browser.wait_for("h1", "Environments");
    browser.press(TAB);
    assert_eq!(browser.text(":focus"), "Skip to content");
    browser.press(ENTER);
    browser.wait("the content has the focus", |browser| browser.count("main:focus") == 1);
    tab_to(&browser, "New environment");
    browser.press(ENTER);
    browser.wait("the form", |browser| browser.path() == "/w/default/new");
    browser.wait_for("h1", "New environment");
    tab_to(&browser, "text");
    browser.press("name: cup");
    tab_to(&browser, "Check");
    browser.press(ENTER);
    browser.wait("what was found", |browser| browser.count(".checked") == 1);
    browser.open("/workspaces");
    tab_to(&browser, "name");
    browser.press("vision");
    browser.press(ENTER);
    browser.wait("the new workspace", |browser| browser.path() == "/w/vision/environments");
    browser.wait_for("h1", "Environments");
    tab_to(&browser, "Sign out owner");
    browser.press(ENTER);
    browser.wait("signed out", |browser| browser.path() == "/sign-in");
}
