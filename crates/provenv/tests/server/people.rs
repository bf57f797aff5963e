//! Who may use a server, on the command line: `login`, `token`, `member`, `workspace`.

use std::process::{Command, Stdio};

use super::team::Team;
use crate::support::Done;

fn run(mut command: Command, arguments: &[&str], input: &str) -> Done {
    let mut child = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Whoever reads nothing closes it.
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
    Done::from(child.wait_with_output().unwrap())
}

#[test]
fn whoever_names_a_server_may_log_in_and_do_what_needs_none() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let token = team.served["owner_token"].as_str().unwrap();
    let as_stranger = || {
        let mut command = team.command(folder.path(), "");
        command.env_remove("PROVENV_TOKEN").env("XDG_CONFIG_HOME", folder.path().join("config"));
        command
    };
    let refused = run(as_stranger(), &["env", "list"], "");
    assert!(refused.stderr.contains("nobody has logged in"), "{}", refused.stderr);
    // PROVENV_WORKSPACE is set all the while.
    run(as_stranger(), &["completions", "bash"], "").ok();
    let done = run(as_stranger(), &["login", team.url(), "--token", "-"], token).ok();
    assert!(done.stdout.contains("as owner"), "{}", done.stdout);
    run(as_stranger(), &["env", "list"], "").ok();
    run(as_stranger(), &["logout", team.url()], "").ok();
    run(as_stranger(), &["logout", team.url()], "").ok();
    // An address without a scheme is no new folder.
    let bare = team.url().strip_prefix("http://").unwrap();
    let refused = run(as_stranger(), &["--workspace", bare, "env", "list"], "");
    assert!(refused.stderr.contains(&format!("or http://{bare}")), "{}", refused.stderr);
}

#[test]
fn an_owner_lets_people_in_and_out() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let owner = team.served["owner_token"].as_str().unwrap().to_owned();
    let own = |token: &str, arguments: &[&str]| run(team.command(folder.path(), token), arguments, "");
    let json = |token: &str, arguments: &[&str]| {
        let all: Vec<_> = ["-o", "json"].iter().chain(arguments).copied().collect();
        own(token, &all).ok().json()
    };
    // With `-q` nothing but the secret, as scripts want it.
    let made = own(&owner, &["token", "create", "--user", "ann", "--note", "laptop", "-q"]).ok();
    let ann = made.stdout.trim().to_owned();
    assert!(ann.starts_with("pvt_") && !ann.contains(char::is_whitespace), "{ann}");
    let nothing = own(&ann, &["env", "list"]);
    assert!(nothing.stderr.contains("provenv workspace list"), "{}", nothing.stderr);
    assert_eq!(json(&ann, &["workspace", "list"]), serde_json::json!([]));

    own(&owner, &["workspace", "create", "vision"]).ok();
    own(&owner, &["member", "set", "ann", "reader"]).ok();
    let members = json(&owner, &["member", "list"]);
    assert_eq!(members, serde_json::json!([{ "user": "ann", "role": "reader" }]));
    own(&ann, &["env", "list"]).ok();
    let there = json(&ann, &["workspace", "list"]);
    assert_eq!(there, serde_json::json!([{ "name": "default", "role": "reader" }]));
    let refused = own(&ann, &["member", "set", "ann", "owner"]);
    assert!(refused.stderr.contains("has the role reader in `default`"), "{}", refused.stderr);
    let refused = own(&ann, &["workspace", "create", "mine"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);

    // Less than its user may, for a while.
    let arguments = ["token", "create", "--only", "default", "--role", "reader", "--expires-in-days", "7"];
    let narrow = json(&ann, &arguments);
    assert_eq!((&narrow["workspace"], &narrow["role"]), (&"default".into(), &"reader".into()));
    assert!(narrow["expires_at"].is_string(), "{narrow}");
    let tokens = own(&ann, &["token", "list"]).ok().stdout;
    assert!(tokens.contains("laptop") && tokens.contains("default, reader"), "{tokens}");
    assert!(!tokens.contains(&ann) && !tokens.contains("owner"), "{tokens}");
    own(&ann, &["token", "revoke", narrow["id"].as_str().unwrap()]).ok();
    let revoked = own(narrow["secret"].as_str().unwrap(), &["env", "list"]);
    assert!(revoked.stderr.contains("revoked or out of time"), "{}", revoked.stderr);
    assert!(own(&ann, &["token", "list"]).ok().stdout.contains("revoked"));

    // What is not there is not revoked; a secret that was given for an identifier is shown to nobody.
    let unknown = own(&owner, &["token", "revoke", &ann]);
    assert!(unknown.code == 1 && unknown.stderr.contains("hint: `provenv token list`"), "{}", unknown.stderr);
    assert!(!unknown.stderr.contains(&ann), "{}", unknown.stderr);

    own(&owner, &["member", "remove", "ann"]).ok();
    assert_eq!(own(&ann, &["env", "list"]).code, 1);
    // In a folder there is nobody to let in.
    let here = crate::support::command(&folder.path().join("own"));
    let refused = run(here, &["member", "list"], "");
    assert!(refused.stderr.contains("name a server with --workspace"), "{}", refused.stderr);
    assert!(!folder.path().join("own").exists(), "a folder was made");
}
