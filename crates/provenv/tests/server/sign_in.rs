//! Sign-in by a real identity provider (oidc-provider, from npm), and by one that lies.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::team::{DEFAULT, Team, post, problem, put};
use crate::registry::client::{Answer, Client};
use crate::support::{Done, command, skip};

/// How long anything may take.
const LIMIT: Duration = Duration::from_mins(1);

/// The folder with the provider's packages; `None` (said aloud) where they cannot be had.
fn packages() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("identity-provider");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/identity-provider/install.sh");
        let done = Command::new(script).arg(&folder).output().ok()?;
        done.status.success().then_some(folder)
    });
    if folder.is_none() {
        skip("tests/identity-provider/install.sh fails: there is no npm, or no way to its packages");
    }
    folder.as_deref()
}

/// A provider that runs until it is dropped.
struct Issuer {
    child: Child,
    /// Whoever writes where nobody reads is ended for it.
    _said: BufReader<ChildStdout>,
    url: String,
}

impl Issuer {
    fn start(script: &str) -> Option<Self> {
        let folder = packages()?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/identity-provider").join(script);
        let path = std::env::var("PATH").unwrap_or_default();
        let mut child = Command::new("node")
            .arg(script)
            .arg(folder)
            .env("PATH", format!("{path}:{}", folder.join("python/bin").display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        reader.read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        Some(Self { child, _said: reader, url: said["issuer"].as_str().unwrap().to_owned() })
    }

    /// Tells it what to do.
    fn tell(&self, path: &str, body: &Value) {
        let client = Client::new(self.url.trim_start_matches("http://").parse().unwrap());
        post(&client, path, body).is(200);
    }

    /// A server whose users it knows.
    fn team(&self, folder: &Path, more: &str) -> Team {
        let config = folder.join("config.toml");
        let text = format!(
            "[oidc]\nissuer = \"{}\"\nclient_id = \"provenv\"\nclient_secret_file = \"secret\"\n\
             scopes = [\"profile\", \"groups\"]\n{more}\n\
             [[oidc.roles]]\ngroup = \"ml\"\nworkspace = \"default\"\nrole = \"contributor\"\n\
             [[oidc.roles]]\ngroup = \"*\"\nworkspace = \"default\"\nrole = \"reader\"\n",
            self.url
        );
        fs_err::write(&config, text).unwrap();
        fs_err::write(folder.join("secret"), "a secret/with+signs\n").unwrap();
        let root = folder.join("team");
        let variables = [("PROVENV_CONFIG", config.to_str().unwrap())];
        let mut team = Team::start_with(&root, &[], "", &variables);
        let token = team.served["owner_token"].as_str().unwrap().to_owned();
        team.owner = team.with(&token);
        self.tell("/test/register", &json!([format!("{}/sign-in/oidc/callback", team.url())]));
        team
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A browser: it keeps cookies, goes where it is sent, and fills in forms.
#[derive(Default)]
struct Browser {
    cookies: BTreeMap<(String, String), String>,
}

/// Where a browser is.
struct Shown {
    url: String,
    answer: Answer,
}

impl Browser {
    /// One request; gives what was answered.
    fn ask(&mut self, method: &str, url: &str, body: &str) -> Answer {
        let (host, path) = parts(url);
        let own = self.cookies.iter().filter(|((of, _), _)| *of == host);
        let cookies = own.map(|((_, name), value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let client = Client::new(host.parse().unwrap());
        let headers = [
            ("Cookie", &*cookies),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Accept", "text/html"),
        ];
        let answer = client.send(method, &path, &headers, body.as_bytes());
        for cookie in answer.all("Set-Cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            let place = (host.clone(), name.to_owned());
            if value.is_empty() || cookie.contains("Max-Age=0") {
                self.cookies.remove(&place);
            } else {
                self.cookies.insert(place, value.to_owned());
            }
        }
        answer
    }

    /// Goes on for as long as it is sent elsewhere, but not to `stop`.
    fn go(&mut self, method: &str, url: &str, body: &str, stop: &str) -> Shown {
        let (mut url, mut answer) = (url.to_owned(), self.ask(method, url, body));
        while matches!(answer.status, 302 | 303) {
            url = absolute(&url, answer.must("Location"));
            if url.starts_with(stop) {
                break;
            }
            answer = self.ask("GET", &url, "");
        }
        Shown { url, answer }
    }

    /// Signs in at the provider as `login`, as far as the way back to `stop`; gives the URL of it.
    fn sign_in(&mut self, mut shown: Shown, login: &str, stop: &str) -> Shown {
        let begun = Instant::now();
        while !shown.url.starts_with(stop) {
            let page = shown.answer.text();
            assert!(begun.elapsed() < LIMIT, "{}: {page}", shown.url);
            let Some((action, mut fields)) = form(&page) else { return shown };
            if fields.iter().any(|(name, value)| name == "prompt" && value == "login") {
                fields.push(("login".to_owned(), login.to_owned()));
                fields.push(("password".to_owned(), "any".to_owned()));
            }
            shown = self.submit(&shown, &action, &fields, stop);
        }
        shown
    }

    /// Sends a form.
    fn submit(&mut self, on: &Shown, action: &str, fields: &[(String, String)], stop: &str) -> Shown {
        let body: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", quote(name), quote(value))).collect();
        self.go("POST", &absolute(&on.url, action), &body.join("&"), stop)
    }

    /// The secret of its session with a server.
    fn session(&self, team: &Team) -> Option<String> {
        let host = team.owner.address.to_string();
        self.cookies.get(&(host, "provenv_session".to_owned())).cloned()
    }
}

fn parts(url: &str) -> (String, String) {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("{url}"));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    (host.to_owned(), format!("/{path}"))
}

fn absolute(base: &str, url: &str) -> String {
    let (host, _) = parts(base);
    if url.starts_with("http://") { url.to_owned() } else { format!("http://{host}{url}") }
}

fn quote(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The first form of a page: where it goes, and what it holds.
fn form(page: &str) -> Option<(String, Vec<(String, String)>)> {
    let attribute = |tag: &str, name: &str| -> Option<String> {
        let start = tag.find(&format!("{name}=\""))? + name.len() + 2;
        Some(tag[start..].split('"').next()?.replace("&amp;", "&"))
    };
    let start = page.find("<form")?;
    let text = &page[start..start + page[start..].find("</form>")?];
    let action = attribute(text.split('>').next()?, "action")?;
    let fields = text
        .split("<input")
        .skip(1)
        .filter_map(|tag| {
            let tag = tag.split('>').next()?;
            (attribute(tag, "type")? == "hidden").then_some(())?;
            Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default()))
        })
        .collect();
    Some((action, fields))
}

/// Signs in from beginning to end; gives the browser.
fn signed_in(team: &Team, login: &str) -> Browser {
    let mut browser = Browser::default();
    let back = format!("{}/sign-in/oidc/callback", team.url());
    let shown = browser.go("GET", &format!("{}/sign-in/oidc?next=/healthz", team.url()), "", &back);
    let came = browser.sign_in(shown, login, &back);
    let answer = browser.ask("GET", &came.url, "").is(303);
    assert_eq!(answer.must("Location"), "/healthz");
    browser
}

#[test]
fn a_browser_signs_in_and_out() {
    let folder = tempfile::tempdir().unwrap();
    let Some(issuer) = Issuer::start("provider.mjs") else { return };
    let team = issuer.team(folder.path(), "label = \"Example\"");
    let ways = team.nobody().get("/api/v1/sign-in").is(200).json();
    assert_eq!(ways, json!({ "provider": { "label": "Example", "path": "/sign-in/oidc" } }));
    let browser = signed_in(&team, "ann+ml");
    let secret = browser.session(&team).unwrap();
    let ann = team.with(&secret);
    assert_eq!(ann.get("/api/v1/whoami").is(200).json(), json!({ "user": "ann", "role": null }));
    // Roles are those of her groups.
    let mine = ann.get("/api/v1/workspaces").is(200).json();
    assert_eq!(mine, json!({ "workspaces": [{ "name": "default", "role": "contributor" }] }));
    let members = team.owner.get(&format!("{DEFAULT}/members")).is(200).json();
    assert_eq!(members, json!({ "members": [{ "user": "ann", "role": "contributor" }] }));
    // The secret is nowhere but with her browser.
    for file in walkdir::WalkDir::new(&team.root).into_iter().map(Result::unwrap) {
        if file.file_type().is_file() {
            let bytes = fs_err::read(file.path()).unwrap();
            let has = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!has, "{}", file.path().display());
        }
    }
    // The provider says that she is in no group any more.
    let again = signed_in(&team, "ann");
    let mine = ann.get("/api/v1/workspaces").is(200).json();
    assert_eq!(mine["workspaces"][0]["role"], "reader");
    // An owner gives her more than her groups do.
    put(&team.owner, &format!("{DEFAULT}/members/ann"), &json!({ "role": "owner" })).is(200);
    let mine = ann.get("/api/v1/workspaces").is(200).json();
    assert_eq!(mine["workspaces"][0]["role"], "owner");
    // Her sessions are hers to end.
    let sessions = ann.get("/api/v1/sessions").is(200).json();
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 2, "{sessions}");
    assert!(!sessions.to_string().contains(&secret));
    ann.delete("/api/v1/session").is(204);
    problem(ann.get("/api/v1/whoami"), 401, "token-needed");
    let second = team.with(&again.session(&team).unwrap());
    second.get("/api/v1/whoami").is(200);
    let id = sessions["sessions"][0]["id"].as_str().unwrap();
    problem(team.user("ben", None).delete(&format!("/api/v1/sessions/{id}")), 404, "session-not-found");
    team.owner.delete(&format!("/api/v1/sessions/{id}")).is(204);
    problem(second.get("/api/v1/whoami"), 401, "token-needed");
}

#[test]
fn the_keys_of_a_provider_may_change() {
    let folder = tempfile::tempdir().unwrap();
    let Some(issuer) = Issuer::start("provider.mjs") else { return };
    let team = issuer.team(folder.path(), "");
    signed_in(&team, "ann");
    issuer.tell("/test/rotate", &json!({}));
    let browser = signed_in(&team, "ben");
    assert!(browser.session(&team).is_some());
}

#[test]
fn nobody_becomes_a_user_who_was_here_before() {
    let folder = tempfile::tempdir().unwrap();
    let Some(issuer) = Issuer::start("provider.mjs") else { return };
    let team = issuer.team(folder.path(), "adopt = [\"ben\"]");
    for user in ["ann", "ben"] {
        put(&team.owner, &format!("{DEFAULT}/members/{user}"), &json!({ "role": "owner" })).is(200);
    }
    let back = format!("{}/sign-in/oidc/callback", team.url());
    let mut browser = Browser::default();
    let shown = browser.go("GET", &format!("{}/sign-in/oidc", team.url()), "", &back);
    let came = browser.sign_in(shown, "ann", &back);
    problem(browser.ask("GET", &came.url, ""), 403, "name-taken");
    assert!(browser.session(&team).is_none());
    // One that whoever runs the server says.
    let ben = team.with(&signed_in(&team, "ben").session(&team).unwrap());
    assert_eq!(ben.get("/api/v1/workspaces").is(200).json()["workspaces"][0]["role"], "owner");
}

#[test]
fn what_comes_back_must_have_gone_out() {
    let folder = tempfile::tempdir().unwrap();
    let Some(issuer) = Issuer::start("provider.mjs") else { return };
    let team = issuer.team(folder.path(), "");
    let back = format!("{}/sign-in/oidc/callback", team.url());
    let mut browser = Browser::default();
    let shown = browser.go("GET", &format!("{}/sign-in/oidc?next=//evil.example", team.url()), "", &back);
    let came = browser.sign_in(shown, "ann", &back);
    // Another browser, to which somebody gave the URL.
    problem(Browser::default().ask("GET", &came.url, ""), 400, "sign-in-unknown");
    // Another state.
    let forged = came.url.replace("state=", "state=x");
    problem(browser.ask("GET", &forged, ""), 400, "sign-in-unknown");
    let kept = browser.cookies.clone();
    let answer = browser.ask("GET", &came.url, "").is(303);
    assert_eq!(answer.must("Location"), "/", "nobody is sent elsewhere");
    for cookie in answer.all("Set-Cookie") {
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    }
    // The same once more, with all that the browser had.
    browser.cookies = kept;
    problem(browser.ask("GET", &came.url, ""), 400, "sign-in-unknown");
    // Who is called like the first owner elsewhere is not the owner here; nor is anybody what another was called.
    for (login, code) in [("owner", "name-reserved"), ("a b", "user-name-invalid")] {
        let mut browser = Browser::default();
        let shown = browser.go("GET", &format!("{}/sign-in/oidc", team.url()), "", &back);
        let came = browser.sign_in(shown, login, &back);
        let answer = browser.ask("GET", &came.url, "");
        assert_eq!(answer.json()["code"], code);
        assert!(browser.session(&team).is_none());
    }
    // Whoever says no at the provider comes back with that.
    let mut browser = Browser::default();
    browser.go("GET", &format!("{}/sign-in/oidc", team.url()), "", &issuer.url);
    let state = browser.cookies.values().next().unwrap().clone();
    let no = format!("{back}?state={state}&error=access_denied");
    problem(browser.ask("GET", &no, ""), 400, "sign-in-refused");
}

#[test]
fn a_session_that_nobody_uses_ends() {
    let folder = tempfile::tempdir().unwrap();
    let Some(issuer) = Issuer::start("provider.mjs") else { return };
    let team = issuer.team(folder.path(), "idle = \"1s\"");
    let browser = signed_in(&team, "ann");
    let ann = team.with(&browser.session(&team).unwrap());
    let begun = Instant::now();
    loop {
        std::thread::sleep(Duration::from_secs(2));
        if ann.get("/api/v1/whoami").status == 401 {
            break;
        }
        assert!(begun.elapsed() < LIMIT);
    }
}

#[test]
fn the_command_line_signs_in_by_a_code() {
    let folder = tempfile::tempdir().unwrap();
    let Some(issuer) = Issuer::start("provider.mjs") else { return };
    let team = issuer.team(folder.path(), "");
    let login = || {
        let mut command = command(Path::new("/nonexistent"));
        command
            .env("XDG_CONFIG_HOME", folder.path().join("config"))
            .env_remove("PROVENV_TOKEN")
            .env_remove("PROVENV_WORKSPACE")
            .args(["login", team.url()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut place = String::new();
        said.read_line(&mut place).unwrap();
        let place = place.strip_prefix("open   ").unwrap_or_else(|| panic!("{place}")).trim().to_owned();
        (child, said, place)
    };
    let (child, _said, place) = login();
    let mut browser = Browser::default();
    let shown = browser.go("GET", &place, "", "nowhere");
    let done = browser.sign_in(shown, "ann+ml", "nowhere");
    assert!(form(&done.answer.text()).is_none(), "{}", done.answer.text());
    let done = Done::from(child.wait_with_output().unwrap()).ok();
    assert!(done.stdout.contains("as ann"), "{}", done.stdout);
    let tokens: Value =
        serde_json::from_slice(&fs_err::read(folder.path().join("config/provenv/tokens.json")).unwrap())
            .unwrap();
    let token = tokens.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
    let ann = team.with(&token);
    let mine = ann.get("/api/v1/workspaces").is(200).json();
    assert_eq!(mine["workspaces"][0]["role"], "contributor");
    let tokens = ann.get("/api/v1/tokens").is(200).json();
    assert!(tokens["tokens"][0]["expires_at"].is_string(), "{tokens}");
    // Somebody says no.
    let (child, mut said, place) = login();
    let mut browser = Browser::default();
    let shown = browser.go("GET", &place, "", "nowhere");
    let (action, fields) = form(&shown.answer.text()).unwrap();
    let shown = browser.submit(&shown, &action, &fields, "nowhere");
    let (action, mut fields) = form(&shown.answer.text()).unwrap();
    fields.retain(|(name, _)| name != "confirm");
    fields.push(("abort".to_owned(), "yes".to_owned()));
    browser.submit(&shown, &action, &fields, "nowhere");
    let code = child.wait_with_output().unwrap().status.code();
    let mut text = String::new();
    said.read_to_string(&mut text).unwrap();
    assert!(code == Some(1) && text.contains("said no"), "{code:?} {text}");
    // Nobody guesses a device code.
    let guess = json!({ "device_code": "guessed" });
    problem(post(&team.nobody(), "/api/v1/sign-in/device/token", &guess), 400, "device-code-invalid");
}

#[test]
fn a_provider_that_lies_lets_nobody_in() {
    let folder = tempfile::tempdir().unwrap();
    let Some(issuer) = Issuer::start("liar.mjs") else { return };
    let team = issuer.team_of_liar(folder.path());
    let sign_in = |lie: &Value| {
        issuer.tell("/test/lie", lie);
        let mut browser = Browser::default();
        let back = format!("{}/sign-in/oidc/callback", team.url());
        let came = browser.go("GET", &format!("{}/sign-in/oidc", team.url()), "", &back);
        let answer = browser.ask("GET", &came.url, "");
        (answer, browser.session(&team).is_some())
    };
    for (lie, code) in [
        (json!({ "nonce": "another" }), "identity-refused"),
        (json!({ "nonce": "" }), "identity-refused"),
        (json!({ "aud": "another" }), "identity-refused"),
        (json!({ "aud": ["provenv", "another"] }), "identity-refused"),
        (json!({ "iss": "http://127.0.0.1:1" }), "identity-refused"),
        (json!({ "exp": -10 }), "identity-refused"),
        (json!({ "alg": "none" }), "identity-refused"),
        (json!({ "alg": "HS256" }), "identity-refused"),
        (json!({ "stranger": true }), "identity-refused"),
        (json!({ "subject": "subject-mallory" }), "identity-refused"),
        (json!({ "status": 400 }), "provider-wrong"),
        (json!({ "status": 500 }), "provider-wrong"),
    ] {
        let (answer, is_in) = sign_in(&lie);
        assert!(!is_in && answer.status != 303, "{lie}: {}", answer.text());
        let found = answer.json()["code"].clone();
        let is_no = found == code || lie["status"] == 400 && found == "sign-in-refused";
        assert!(is_no, "{lie}: {}", answer.text());
    }
    let (answer, is_in) = sign_in(&json!({}));
    assert!(is_in && answer.status == 303, "{}", answer.text());
    // It has no device grant, and the command line goes on without.
    problem(team.nobody().send("POST", "/api/v1/sign-in/device", &[], b""), 404, "no-device-grant");
}

#[test]
fn a_provider_that_is_down_or_somebody_else_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let Some(issuer) = Issuer::start("liar.mjs") else { return };
    let team = issuer.team_of_liar(folder.path());
    issuer.tell("/test/lie", &json!({ "description": { "issuer": "http://127.0.0.1:1" } }));
    problem(team.nobody().get("/sign-in/oidc"), 502, "provider-wrong");
    issuer.tell("/test/lie", &json!({ "description": { "token_endpoint": "http://envs.example/token" } }));
    problem(team.nobody().get("/sign-in/oidc"), 502, "provider-wrong");
    drop(issuer);
    let answer = team.nobody().get("/sign-in/oidc");
    assert!(answer.must("Retry-After").parse::<u64>().unwrap() > 0);
    problem(answer, 503, "provider-unreachable");
    // Tokens hold meanwhile.
    team.owner.get("/api/v1/whoami").is(200);
}

#[test]
fn settings_that_cannot_be_are_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for (text, why) in [
        ("[oidc]\nissuer = \"http://id.example\"\nclient_id = \"x\"\n", "whoever is between"),
        ("[oidc]\nissuer = \"https://id.example\"\n", "`oidc.client_id` is not"),
        (
            "[oidc]\nissuer = \"https://id.example\"\nclient_id = \"x\"\nclient_secret_file = \"gone\"\n",
            "gone",
        ),
        ("[[oidc.roles]]\ngroup = \"x\"\nrole = \"boss\"\n", "`boss` is no role"),
        ("[limits]\nbody = \"much\"\n", "`much` is not a size"),
        ("[oidc]\nsession = \"long\"\n", "`long` is not a time"),
    ] {
        let config = folder.path().join("config.toml");
        fs_err::write(&config, text).unwrap();
        let root = folder.path().join("team");
        let done = Done::from(
            command(&root)
                .env("PROVENV_CONFIG", &config)
                .args(["serve", "--listen", "127.0.0.1:0", "--root"])
                .arg(&root)
                .output()
                .unwrap(),
        );
        assert_ne!(done.code, 0, "{text}");
        assert!(done.stderr.contains(why), "{text}: {}", done.stderr);
    }
}

impl Issuer {
    /// A server that believes the one that lies. It begins also where its provider does not answer.
    fn team_of_liar(&self, folder: &Path) -> Team {
        let config = folder.join("config.toml");
        let text = format!(
            "[oidc]\nissuer = \"{}\"\nclient_id = \"provenv\"\n[limits]\nfailures = 1000\n",
            self.url
        );
        fs_err::write(&config, text).unwrap();
        let variables = [
            ("PROVENV_CONFIG", config.to_str().unwrap()),
            ("PROVENV_OIDC_CLIENT_SECRET", "a secret/with+signs"),
        ];
        let mut team = Team::start_with(&folder.join("team"), &[], "", &variables);
        let token = team.served["owner_token"].as_str().unwrap().to_owned();
        team.owner = team.with(&token);
        team
    }
}
