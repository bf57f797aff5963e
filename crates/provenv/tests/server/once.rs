//! One registration is one entry of the audit log, however many ask for it at once, and whatever stops them.

use std::collections::BTreeMap;

use nix::sys::signal::Signal;
use provenv_testing::pypi::{Index, Wheel};
use serde_json::{Value, json};

use super::team::{DEFAULT, Team, post, put};
use crate::registry::client::Client;
use crate::support::postgres::Postgres;
use crate::support::{Done, command, definition, fill, serve, skip};

/// Who registered or copied what, of how many entries: all of one workspace.
fn told(owner: &Client, workspace: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let mut told: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for action in ["environment.register", "environment.copy"] {
        let path = format!("/api/v1/workspaces/{workspace}/audit?action={action}&limit=500");
        for entry in owner.get(&path).is(200).json()["entries"].as_array().unwrap() {
            let word = |name: &str| entry["entry"][name].as_str().unwrap().to_owned();
            told.entry(word("subject")).or_default().push((word("by"), word("action")));
        }
    }
    told
}

/// Registers the same by all of them at once, some times, each under a name of its own; who made each, by its name.
fn all_at_once(clients: &[(&str, Client)], text: &str, rounds: usize) -> BTreeMap<String, Value> {
    let path = format!("{DEFAULT}/environments");
    let mut made = BTreeMap::new();
    for round in 0..rounds {
        let name = format!("tea-{round}");
        let body = json!({ "name": name, "file": { "name": "environment.yaml", "text": text } });
        let created: Vec<bool> = std::thread::scope(|scope| {
            let ask = |client: &Client| {
                let (client, path, body) = (client.clone(), path.clone(), body.clone());
                scope.spawn(move || {
                    let answer = post(&client, &path, &body);
                    assert!([200, 201].contains(&answer.status), "{}", answer.text());
                    answer.json()["created"] == true
                })
            };
            let asking: Vec<_> = clients.iter().map(|(_, client)| ask(client)).collect();
            asking.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(created.iter().filter(|created| **created).count(), 1, "{name}");
        let place = created.iter().position(|created| *created).unwrap();
        made.insert(format!("{name}:1"), json!(clients[place].0));
    }
    made
}

fn check(owner: &Client, made: &BTreeMap<String, Value>) {
    let told = told(owner, "default");
    for (subject, who) in made {
        let entries = told.get(subject).map(Vec::as_slice).unwrap_or_default();
        assert_eq!(entries.len(), 1, "{subject}: {entries:?}");
        assert_eq!((&json!(entries[0].0), entries[0].1.as_str()), (who, "environment.register"), "{subject}");
    }
}

#[test]
fn what_many_register_at_once_is_one_entry_by_whoever_made_it() {
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let (ann, ben) = (team.user("ann", Some("contributor")), team.user("ben", Some("contributor")));
    let clients: Vec<(&str, Client)> = (0..8)
        .map(|number| if number % 2 == 0 { ("ann", ann.clone()) } else { ("ben", ben.clone()) })
        .collect();
    let made = all_at_once(&clients, &definition(&index, "tea", &["tea"]), 8);
    check(&team.owner, &made);
}

#[test]
fn several_servers_write_one_entry_keep_all_secrets_and_sign_no_smaller_log() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("team");
    let Some(()) = fill(&root.join("workspaces/default")) else { return };
    let Some(postgres) = Postgres::start() else { return };
    let url = postgres.url();
    let variables = [("PROVENV_SERVER_DATABASE", &*url)];
    let first = Team::start_with(&root, &["--workers", "0"], "", &variables);
    let token = first.served["owner_token"].as_str().unwrap().to_owned();
    let second = Team::start_with(&root, &["--workers", "0"], &token, &variables);
    let owners = [first.with(&token), second.owner.clone()];
    let ann = first.token_by(&owners[0], "ann", Some("contributor"));
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let clients: Vec<(&str, Client)> = [&first, &second, &first, &second, &first, &second]
        .iter()
        .enumerate()
        .map(|(number, team)| {
            let (who, token) = if number < 3 { ("ann", &ann) } else { ("owner", &token) };
            (who, team.with(token))
        })
        .collect();
    let made = all_at_once(&clients, &definition(&index, "tea", &["tea"]), 6);
    check(&owners[0], &made);

    // Both make new keys, and both set secrets meanwhile, and have the log signed while it grows.
    let checkpoint = root.join("audit.checkpoint");
    let size = || -> u64 {
        let text = fs_err::read_to_string(&checkpoint).unwrap();
        text.lines().nth(1).unwrap().parse().unwrap()
    };
    std::thread::scope(|scope| {
        let mut working = Vec::new();
        for (server, owner) in owners.iter().enumerate() {
            working.push(scope.spawn(move || {
                for _ in 0..10 {
                    owner.post("/api/v1/secrets/rekey", b"").is(200);
                }
            }));
            working.push(scope.spawn(move || {
                for number in 0..20 {
                    let path = format!("{DEFAULT}/secrets/secret-{server}-{number}");
                    let host = format!("host-{server}-{number}.example");
                    put(owner, &path, &json!({ "host": host, "username": "ann", "password": "x" })).is(204);
                    owner.get("/audit/checkpoint").is(200);
                }
            }));
        }
        owners[0].get("/audit/checkpoint").is(200);
        let mut last = 0;
        while working.iter().any(|one| !one.is_finished()) {
            let now = size();
            assert!(now >= last, "{now} entries were signed after {last}");
            last = now;
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        working.into_iter().for_each(|one| one.join().unwrap());
    });
    for owner in &owners {
        assert_eq!(owner.post("/api/v1/secrets/rekey", b"").is(200).json(), json!({ "secrets": 40 }));
    }
    let keys = fs_err::read_to_string(root.join("secrets.key")).unwrap();
    assert_eq!(keys.lines().count(), 2, "the newest, and the one before");

    // A row that is changed or taken away behind the servers' back is found out.
    let verify = || {
        let mut command = first.command(folder.path(), &token);
        Done::from(command.args(["audit-log", "verify"]).output().unwrap())
    };
    assert!(verify().ok().stdout.contains("the log is whole"));
    let change = |sql: &str| postgres.query("team", &format!("SET search_path TO provenv__server; {sql}"));
    let text = change("SELECT text FROM audit_entries WHERE number = 4");
    change("UPDATE audit_entries SET text = replace(text, 'owner', 'nobody') WHERE number = 4");
    let done = verify();
    assert!(done.code == 1 && done.stdout.contains("entry 4 was changed"), "{}{}", done.stdout, done.stderr);
    change(&format!("UPDATE audit_entries SET text = $t${text}$t$ WHERE number = 4"));
    assert!(verify().ok().stdout.contains("the log is whole"));
    change("DELETE FROM audit_entries WHERE number = 5");
    let done = verify();
    assert!(done.code == 1 && done.stdout.contains("entry 5 was removed"), "{}{}", done.stdout, done.stderr);
}

#[test]
fn what_a_crash_left_out_is_written_down_by_whoever_finds_it() {
    if std::env::var_os("PROVENV_TEST_CATALOGUE").is_some() {
        return skip("the workspace's folder is no catalogue here");
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(mut team) = Team::with_base(folder.path()) else { return };
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    post(&team.owner, "/api/v1/workspaces", &json!({ "name": "vision" })).is(201);
    let ann = team.token("ann", Some("contributor"));
    team.signal(Signal::SIGTERM);
    assert_eq!(team.wait().0, Some(0));
    // As it is after a crash between the change and its entry: the catalogue has it, and the log does not.
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let text = definition(&index, "tea", &["tea"]);
    fs_err::write(folder.path().join("environment.yaml"), &text).unwrap();
    for workspace in ["default", "vision"] {
        let mut register = command(&team.root.join("workspaces").join(workspace));
        register.current_dir(folder.path()).args(["env", "register", "environment.yaml"]);
        Done::from(register.output().unwrap()).ok();
    }
    let team = Team::start_again(&team.root, &[], &token);
    let path = format!("{DEFAULT}/environments");
    let made = team.owner.get(&format!("{path}/tea/versions/1")).is(200).json()["created_by"].clone();
    assert_eq!(told(&team.owner, "default"), BTreeMap::new());

    let ann = team.with(&ann);
    let body = json!({ "file": { "name": "environment.yaml", "text": text } });
    for _ in 0..2 {
        post(&ann, &path, &body).is(200);
    }
    check(&team.owner, &BTreeMap::from([("tea:1".to_owned(), made.clone())]));
    let log = team.owner.get(&format!("{DEFAULT}/audit?action=environment.register")).is(200).json();
    assert_eq!(log["entries"][0]["entry"]["details"]["found_by"], "ann", "{log}");

    // By a copy, too; and what was copied is no registration when it is asked for.
    let copy = format!("{path}/tea/versions/1/copy");
    post(&team.owner, &copy, &json!({ "to": "vision" })).is(200);
    let of_vision = told(&team.owner, "vision");
    assert_eq!(of_vision["tea:1"].len(), 1, "{of_vision:?}");
    assert_eq!((&json!(of_vision["tea:1"][0].0), &*of_vision["tea:1"][0].1), (&made, "environment.register"));
    post(&team.owner, &copy, &json!({ "to": "vision", "name": "mate" })).is(201);
    post(&team.owner, &copy, &json!({ "to": "vision", "name": "mate" })).is(200);
    let body = json!({ "name": "mate", "file": { "name": "environment.yaml", "text": text } });
    post(&team.owner, "/api/v1/workspaces/vision/environments", &body).is(200);
    let of_vision = told(&team.owner, "vision");
    assert_eq!(of_vision["mate:1"], [("owner".to_owned(), "environment.copy".to_owned())]);
    assert_eq!(told(&team.owner, "default")["tea:1"].len(), 2, "it was registered, and it was copied");
}
