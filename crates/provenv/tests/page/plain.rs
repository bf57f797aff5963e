//! The page without a browser: who sees what, what forms are taken, what browsers are told.

use serde_json::json;

use crate::registry::client::{Answer, Client};
use crate::server::team::{DEFAULT, Team, post, problem};

/// Whoever shows this token in the cookie of the page.
fn browser(team: &Team, token: &str) -> Client {
    team.nobody().with("Accept", "text/html").with("Cookie", &format!("provenv_session={token}"))
}

/// What forms of somebody carry, as a page of theirs has it.
fn form_token(client: &Client) -> String {
    let page = client.get("/tokens").is(200).text();
    let (_, rest) = page.split_once("name=\"form_token\" value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

/// Sends a form from a page of the server.
fn form(client: &Client, path: &str, body: &str) -> Answer {
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Sec-Fetch-Site", "same-origin")];
    client.send("POST", path, &headers, body.as_bytes())
}

#[test]
fn a_browser_sees_a_page_and_a_program_the_api() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let token = team.served["owner_token"].as_str().unwrap();
    let people = team.nobody().with("Accept", "text/html,application/xhtml+xml");
    assert_eq!(people.get("/").is(303).must("Location"), "/sign-in?next=%2F");
    assert_eq!(browser(&team, token).get("/").is(303).must("Location"), "/w/default/environments");
    problem(team.nobody().get("/"), 404, "no-such-path");
    problem(team.nobody().get("/nothing"), 404, "no-such-path");
    let page = people.get("/nothing/at/all").is(404);
    assert!(page.must("Content-Type").starts_with("text/html"), "{page:?}");
    // The URL that the command line takes leads to the workspace's page; what is none is not there.
    for path in ["/default", "/default/"] {
        assert_eq!(people.get(path).is(303).must("Location"), "/w/default/environments");
    }
    problem(team.nobody().get("/default"), 404, "no-such-path");
    people.get("/favicon.ico").is(404);
    assert_eq!(people.get("/w/default").is(303).must("Location"), "/sign-in?next=%2Fw%2Fdefault");
    browser(&team, token).get("/w/nothing/environments").is(404);
    // A cookie is for pages alone: the API does not know it, so no other site can use it there.
    problem(browser(&team, token).get("/api/v1/whoami"), 401, "token-needed");
    problem(browser(&team, token).post(&format!("{DEFAULT}/environments"), b"{}"), 401, "token-needed");
}

#[test]
fn browsers_load_nothing_from_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let owner = browser(&team, team.served["owner_token"].as_str().unwrap());
    for path in
        ["/sign-in", "/workspaces", "/w/default/environments", "/w/default/nothing", "/w/nowhere/builds"]
    {
        let page = owner.get(path);
        let policy = page.must("Content-Security-Policy");
        assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.must("Cache-Control"), "no-store");
        let text = page.text();
        assert!(
            !text.contains("style=\"") && !text.contains("<style") && !text.contains("<script>"),
            "{text}"
        );
        let links =
            text.split(['"', '(']).filter(|part| part.starts_with("http:") || part.starts_with("https:"));
        assert_eq!(links.collect::<Vec<_>>(), Vec::<&str>::new(), "{path}");
        for asset in text.split('"').filter(|part| part.starts_with("/assets/")) {
            let asset = team.nobody().get(asset).is(200);
            assert!(asset.must("Cache-Control").contains("immutable"), "{asset:?}");
            assert!(!asset.text().contains("url(http"), "it loads something from elsewhere");
        }
    }
    team.nobody().get("/assets/look.0000000000000000.css").is(404);
}

#[test]
fn forms_of_other_sites_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let owner = browser(&team, team.served["owner_token"].as_str().unwrap());
    let ann = browser(&team, &team.token("ann", None));
    let token = form_token(&owner);
    assert_ne!(token, form_token(&ann));
    let good = format!("name=vision&form_token={token}");
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    let host = team.nobody().address.to_string();
    for headers in [
        &[kind][..],
        &[kind, ("Sec-Fetch-Site", "cross-site")],
        &[kind, ("Sec-Fetch-Site", "same-site"), ("Origin", &format!("http://{host}"))],
        &[kind, ("Origin", "http://evil.example")],
        &[kind, ("Origin", "null")],
    ] {
        let answer = owner.send("POST", "/workspaces", headers, good.as_bytes()).is(403);
        assert!(answer.text().contains("form-not-ours"), "{headers:?}");
        team.nobody().send("POST", "/sign-in", headers, b"token=pvt_x").is(403);
    }
    let other = form_token(&ann);
    for body in ["name=vision", "name=vision&form_token=", &format!("name=vision&form_token={other}")] {
        form(&owner, "/workspaces", body).is(403);
    }
    let names =
        || team.owner.get("/api/v1/workspaces").is(200).json()["workspaces"].as_array().unwrap().len();
    assert_eq!(names(), 1);
    let own = [kind, ("Origin", &*format!("http://{host}"))];
    owner.send("POST", "/workspaces", &own, good.as_bytes()).is(303);
    assert_eq!(names(), 2);
    assert_eq!(form(&owner, "/workspaces", &good).is(409).text().matches("workspace-exists").count(), 1);
}

#[test]
fn a_session_begins_with_a_token_that_holds() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let token = team.token("ann", None);
    let refused = form(&team.nobody(), "/sign-in", "token=pvt_wrong").is(401);
    assert_eq!(refused.header("Set-Cookie"), None);
    for next in ["//evil.example", "https://evil.example/", "/%5Cevil.example"] {
        let entered = form(&team.nobody(), "/sign-in", &format!("token={token}&next={next}")).is(303);
        assert_eq!(entered.must("Location"), "/");
    }
    let entered = form(&team.nobody(), "/sign-in", &format!("token={token}&next=%2Ftokens")).is(303);
    assert_eq!(entered.must("Location"), "/tokens");
    let cookie = entered.must("Set-Cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    assert!(!cookie.contains("Secure"), "there is no TLS here: {cookie}");
    // Only a proxy that the settings name speaks for browsers.
    let behind = team.nobody().with("X-Forwarded-Proto", "https");
    let entered = form(&behind, "/sign-in", &format!("token={token}")).is(303);
    assert!(!entered.must("Set-Cookie").contains("Secure"), "{entered:?}");
    let ann = browser(&team, &token);
    ann.get("/tokens").is(200);
    let id = team.with(&token).get("/api/v1/tokens").is(200).json()["tokens"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    form(&ann, &format!("/tokens/{id}/revoke"), &format!("form_token={}", form_token(&ann))).is(303);
    assert_eq!(ann.get("/tokens").is(303).must("Location"), "/sign-in?next=%2Ftokens");
}

#[test]
fn a_proxy_that_is_trusted_says_how_browsers_come() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    fs_err::write(&config, "[limits]\ntrusted_proxies = [\"127.0.0.1\"]\n").unwrap();
    let variables = [("PROVENV_CONFIG", config.to_str().unwrap())];
    let team = Team::start_with(&folder.path().join("team"), &[], "", &variables);
    let enter = format!("token={}", team.served["owner_token"].as_str().unwrap());
    for (said, is_secure) in [(Some("https"), true), (Some("http"), false), (None, false)] {
        let client = said.map_or(team.nobody(), |said| team.nobody().with("X-Forwarded-Proto", said));
        let cookie = form(&client, "/sign-in", &enter).is(303).must("Set-Cookie").to_owned();
        assert_eq!(cookie.contains("; Secure"), is_secure, "{said:?}: {cookie}");
    }
}

#[test]
fn the_audit_log_is_for_readers_and_that_of_the_server_for_its_owners() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let owner = browser(&team, team.served["owner_token"].as_str().unwrap());
    let ann = browser(&team, &team.token("ann", Some("owner")));
    post(&team.owner, "/api/v1/workspaces", &json!({ "name": "vision" })).is(201);
    // Of her own workspace, and of no other.
    let rows = |page: &str| page.split_once("<tbody>").unwrap().1.to_owned();
    let log = rows(&ann.get("/w/default/audit").is(200).text());
    assert!(log.contains("role.set") && log.contains("workspace.make"), "{log}");
    assert!(!log.contains("token.make") && !log.contains("vision"), "{log}");
    ann.get("/w/vision/audit").is(404);
    ann.get("/audit-log").is(403);
    let all = owner.get("/audit-log").is(200).text();
    assert!(all.contains("token.make") && all.contains("/w/vision/audit"), "{all}");
    // By who and what, and a part at a time.
    let made = owner.get("/audit-log?action=workspace.make&by=owner").is(200).text();
    let made = rows(&made);
    assert!(made.contains("vision") && !made.contains("token.make"), "{made}");
    assert!(owner.get("/audit-log?by=nobody").is(200).text().contains("Show all entries"));
    for number in 0..50 {
        team.token(&format!("user-{number}"), None);
    }
    let first = owner.get("/audit-log").is(200).text();
    let older =
        first.split("href=\"").find(|link| link.starts_with("?before=")).expect("there are older ones");
    let older = older.split('"').next().unwrap();
    let second = rows(&owner.get(&format!("/audit-log{older}")).is(200).text());
    assert!(second.contains("workspace.make") && !second.contains("user-40"), "{second}");
    // What proves it is what the API gives.
    let checkpoint = ann.get("/w/default/audit/checkpoint").is(200);
    assert!(checkpoint.must("Content-Disposition").contains("checkpoint.txt"));
    assert_eq!(checkpoint.text(), team.owner.get("/audit/checkpoint").is(200).text());
    assert_eq!(ann.get("/w/default/audit/key").is(200).text(), team.owner.get("/audit/key").is(200).text());
    let root = checkpoint.text().lines().nth(2).unwrap().to_owned();
    assert!(ann.get("/w/default/audit").is(200).text().contains(&root), "{root}");
    team.nobody().with("Accept", "text/html").get("/audit-log").is(303);
}

#[test]
fn what_is_shipped_is_there_before_anybody_used_it() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let owner = browser(&team, team.served["owner_token"].as_str().unwrap());
    let page = owner.get("/w/default/environments?kind=curated").is(200).text();
    assert!(page.contains("curated/minimal") && page.contains("curated/spark"), "{page}");
    let narrowed = owner.get("/w/default/environments?kind=curated&q=torch").is(200).text();
    assert!(narrowed.contains("curated/pytorch-cpu") && !narrowed.contains("curated/minimal"), "{narrowed}");
    // The API lists the same, in parts.
    let path = format!("{DEFAULT}/environments?kind=curated&limit=3");
    let (mut names, mut after) = (Vec::new(), String::new());
    loop {
        let part = team.owner.get(&format!("{path}{after}")).is(200).json();
        let part_names = part["environments"].as_array().unwrap().iter();
        names.extend(part_names.map(|one| one["name"].as_str().unwrap().to_owned()));
        match part["next"].as_str() {
            Some(next) => after = format!("&after={}", next.replace('/', "%2F")),
            None => break,
        }
    }
    assert!(names.len() > 6 && names.is_sorted(), "{names:?}");
    problem(team.owner.get(&format!("{path}&after=curated%2Fnothing:1")), 400, "parameter-invalid");
    let archived = team.owner.get(&format!("{path}&archived=only")).is(200).json();
    assert_eq!(archived["environments"], json!([]));
    owner.get("/w/default/environments/curated%2Fminimal/1").is(200);
}

/// Every page that is there without anything in a workspace, and the roles that see it.
const PAGES: [(&str, &str); 10] = [
    ("/w/default", "reader"),
    ("/w/default/environments", "reader"),
    ("/w/default/environments?kind=curated", "reader"),
    ("/w/default/builds", "reader"),
    ("/w/default/builds?status=failed", "reader"),
    ("/w/default/runs", "reader"),
    ("/w/default/services", "reader"),
    ("/w/default/audit", "reader"),
    ("/w/default/new", "contributor"),
    ("/w/default/members", "owner"),
];

#[test]
fn pages_are_for_those_who_may_see_what_is_on_them() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let roles = ["reader", "contributor", "owner"];
    let stranger = browser(&team, &team.token("stranger", None));
    let nobody = team.nobody().with("Accept", "text/html");
    let people = roles.map(|role| (role, browser(&team, &team.token(&format!("a-{role}"), Some(role)))));
    for (path, needed) in PAGES {
        assert!(
            nobody.get(path).is(303).must("Location").starts_with("/sign-in?next=%2Fw%2Fdefault"),
            "{path}"
        );
        stranger.get(path).is(404);
        for (role, client) in &people {
            let may = roles.iter().position(|one| one == role) >= roles.iter().position(|one| *one == needed);
            let status = client.get(path).status;
            let is_shown = status == 200 || (path == "/w/default" && status == 303);
            assert!(if may { is_shown } else { status == 403 }, "{path} {role}: {status}");
        }
    }
    // What a reader may not ask of the API, no form asks for them.
    let (_, reader) = &people[0];
    let token = form_token(reader);
    for (path, body) in [
        ("/workspaces", "name=x"),
        ("/w/default/new", "text=name%3A+x&file=environment.yaml&step=plan"),
        ("/w/default/new", "text=name%3A+x&file=environment.yaml&step=register"),
        ("/w/default/members", "user=a-reader&role=owner"),
        ("/w/default/members/remove", "user=a-owner"),
        ("/w/default/builds/job-1/cancel", ""),
        ("/w/default/environments/x/1/build", ""),
        ("/w/default/environments/x/1/archive", ""),
        ("/w/default/environments/x/1/label", "label=prod"),
    ] {
        form(reader, path, &format!("{body}&form_token={token}")).is(403);
        form(&nobody, path, body).is(303);
        let token = form_token(&stranger);
        let status = form(&stranger, path, &format!("{body}&form_token={token}")).status;
        assert!(status == 403 || status == 404, "{path}: {status}");
    }
}

#[test]
fn nothing_of_the_server_is_read_by_what_is_pasted() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let owner = browser(&team, team.served["owner_token"].as_str().unwrap());
    let token = form_token(&owner);
    for (file, text) in [
        ("requirements.txt", "-r /etc/passwd\n"),
        ("requirements.txt", "-r ../../server.db\n"),
        ("../requirements.txt", "numpy\n"),
        ("environment.yaml", "name: x\nbuild:\n  path: /etc\n"),
    ] {
        for step in ["check", "plan", "register"] {
            let body: String =
                form_urlencoded(&[("file", file), ("text", text), ("step", step), ("form_token", &token)]);
            let answer = form(&owner, "/w/default/new", &body);
            assert!((400..500).contains(&answer.status), "{file} {step}: {}", answer.status);
            assert!(!answer.text().contains("root:x"), "{}", answer.text());
        }
    }
    // What is wrong is said at its line, and what was pasted is still there.
    let body = form_urlencoded(&[
        ("file", "requirements.txt"),
        ("text", "six\nnumpy===<>\n<script>alert(1)</script>\n"),
        ("step", "check"),
        ("form_token", &token),
    ]);
    let page = form(&owner, "/w/default/new", &body).is(422).text();
    assert!(page.contains("numpy===&lt;&gt;") && page.contains("remark bad"), "{page}");
    assert!(!page.contains("<script>alert"), "{page}");
}

fn form_urlencoded(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
}

#[test]
fn a_page_of_what_is_not_there_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let owner = browser(&team, team.served["owner_token"].as_str().unwrap());
    for path in [
        "/w/nowhere/environments",
        "/w/default/environments/nothing",
        "/w/default/environments/nothing/1",
        "/w/default/environments/..%2f..%2fserver.db/1",
        "/w/default/diff?old=nothing:1&new=nothing:2",
        "/w/default/builds/nothing",
        "/w/default/runs/nothing",
        "/w/default/runs/..%2f..%2f..",
    ] {
        let page = owner.get(path).is(404);
        assert!(page.must("Content-Type").starts_with("text/html"), "{path}");
    }
    // Whoever is signed in goes on from there; of a workspace that is not theirs it says nothing.
    for (path, status) in [("/w/default/builds/nothing", 404), ("/w/default/audit?action=nope", 400)] {
        let page = owner.get(path).is(status).text();
        assert!(page.contains("aria-label=\"Workspace\"") && page.contains("/w/default/builds"), "{page}");
        assert!(page.contains("Sign out owner"), "{page}");
    }
    let stranger = browser(&team, &team.token("stranger", None));
    for path in ["/w/default/builds/nothing", "/nothing/at/all"] {
        let page = stranger.get(path).is(404).text();
        assert!(page.contains("Sign out stranger") && !page.contains("/w/default/"), "{page}");
    }
    let nobody = team.nobody().with("Accept", "text/html").get("/nothing/at/all").is(404).text();
    assert!(!nobody.contains("Sign out"), "{nobody}");
    // What was looked for and cannot be understood stays in its field.
    let page = owner.get("/w/default/environments?q=colour:red").is(200).text();
    assert!(page.contains("value=\"colour:red\"") && page.contains("is not known"), "{page}");
    let ann = post(&team.owner, "/api/v1/tokens", &json!({ "user": "ann" })).is(201).json();
    assert!(
        browser(&team, ann["secret"].as_str().unwrap()).get("/workspaces").is(200).text().contains("no role")
    );
}

#[test]
fn two_versions_are_chosen_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let reader = browser(&team, &team.token("ann", Some("reader")));
    let form = reader.get("/w/default/diff").is(200).text();
    assert!(form.contains("name=\"old\"") && form.contains("name=\"new\""), "{form}");
    assert!(reader.get("/w/default/environments").is(200).text().contains("href=\"/w/default/diff\""));
    // What is shipped can be compared before anybody used it, by a name alone, too.
    let query = "?old=curated%2Fminimal&new=curated%2Fsklearn%40latest";
    let shown = reader.get(&format!("/w/default/diff{query}")).is(200).text();
    assert!(shown.contains("curated/minimal:1") && shown.contains("Asked for"), "{shown}");
    // What is not there is said above what was written.
    let wrong = reader.get("/w/default/diff?old=curated%2Fminimal&new=curated%2Fsklaern").is(404).text();
    assert!(wrong.contains("value=\"curated/sklaern\"") && wrong.contains("Did you mean"), "{wrong}");
}

/// What narrows a list: the text, the number beside it, and where it leads.
fn facets(page: &str) -> Vec<(String, usize, String)> {
    let (_, facets) = page.split_once("class=\"facets\"").unwrap();
    let (facets, _) = facets.split_once("</aside>").unwrap();
    let links = facets.split("<a ").skip(1).filter_map(|link| {
        let (before, number) = link.split_once("<span class=\"number\">")?;
        let text = before.rsplit_once("<span>")?.1.split_once('<')?.0;
        let query = before.split_once("href=\"")?.1.split_once('"')?.0.replace("&amp;", "&");
        Some((text.to_owned(), number.split_once('<')?.0.parse().unwrap(), query))
    });
    links.collect()
}

#[test]
fn what_a_facet_counts_is_what_the_list_shows() {
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let people = ["ann", "ben"].map(|user| team.user(user, Some("contributor")));
    let register = |by: usize, name: &str, cup: &str, team_tag: &str| {
        let text = format!(
            "name: {name}\npython: \"3.11\"\nenvironment_variables: {{CUP: '{cup}'}}\ntags: {{team: {team_tag}}}\n"
        );
        let body = json!({ "file": { "name": "environment.yaml", "text": text } });
        post(&people[by], &format!("{DEFAULT}/environments"), &body).is(201);
    };
    // Ann's pot is Ben's by now, and one of the others is archived, another is archived as a whole.
    register(0, "pot", "1", "red");
    register(1, "pot", "2", "red");
    register(0, "tea", "1", "red");
    register(0, "tea", "2", "blue");
    register(1, "cup", "1", "blue");
    register(0, "cup", "2", "red");
    register(1, "old", "1", "blue");
    post(&team.owner, &format!("{DEFAULT}/environments/cup/versions/2/archive"), &json!({})).is(200);
    post(&team.owner, &format!("{DEFAULT}/environments/old/archive"), &json!({})).is(200);
    let reader = browser(&team, &team.token("eve", Some("reader")));
    let path = "/w/default/environments";
    let all = facets(&reader.get(path).is(200).text());
    let number = |name: &str| all.iter().find(|(text, ..)| text == name).map(|(_, number, _)| *number);
    assert_eq!((number("ann"), number("ben")), (Some(1), Some(2)), "{all:?}");
    assert_eq!(
        (number("team=red"), number("team=blue"), number("system-managed")),
        (Some(1), Some(2), Some(3))
    );
    // Whatever was chosen, each number is how many are listed once that is chosen as well.
    for chosen in ["", "creator=ben", "tag=team%3Dblue", "archived=only", "q=e", "kind=curated"] {
        let page = reader.get(&format!("{path}?{chosen}")).is(200).text();
        for (text, number, query) in facets(&page) {
            let listed = reader.get(&format!("{path}{query}")).is(200).text();
            assert_eq!(listed.matches("<th scope=\"row\">").count(), number, "{text} after {chosen}");
        }
    }
}
