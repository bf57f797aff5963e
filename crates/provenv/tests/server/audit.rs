//! The audit log of a server: what is in it, who may read it, and that nobody changes it without being found out.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use provenv_ledger::{Hash, PublicKey, check_consistency, check_inclusion, open, unbundle};
use provenv_testing::pypi::{Index, Wheel};
use serde_json::{Value, json};

use super::team::{DEFAULT, Team, post, problem, put};
use crate::support::{Done, definition, serve, skip};

/// What the entries say, oldest first: who, what, to what.
fn said(entries: &Value) -> Vec<(String, String, String)> {
    let word = |entry: &Value, name: &str| entry["entry"][name].as_str().unwrap_or_default().to_owned();
    let entries = entries["entries"].as_array().unwrap().iter().rev();
    entries.map(|entry| (word(entry, "by"), word(entry, "action"), word(entry, "subject"))).collect()
}

fn expected(said: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    said.iter().map(|(by, what, to)| ((*by).to_owned(), (*what).to_owned(), (*to).to_owned())).collect()
}

#[test]
fn every_change_is_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let ann = team.user("ann", Some("contributor"));
    let token = post(&ann, "/api/v1/tokens", &json!({ "note": "laptop" })).is(201).json();
    ann.delete(&format!("/api/v1/tokens/{}", token["id"].as_str().unwrap())).is(204);
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let body = json!({ "file": { "name": "e.yaml", "text": definition(&index, "tea", &["tea"]) } });
    let path = format!("{DEFAULT}/environments");
    post(&ann, &path, &body).is(201);
    // Nothing new: nothing to be written down.
    post(&ann, &path, &body).is(200);
    put(&ann, &format!("{path}/tea/labels/prod"), &json!({ "version": "1" })).is(200);
    let tags = json!({ "tags": { "team": "kitchen" } }).to_string();
    let json_body = [("Content-Type", "application/json")];
    ann.send("PATCH", &format!("{path}/tea/versions/1"), &json_body, tags.as_bytes()).is(200);
    ann.post(&format!("{path}/tea/versions/1/archive"), b"").is(200);
    ann.post(&format!("{path}/tea/versions/1/restore"), b"").is(200);
    ann.delete(&format!("{path}/tea/labels/prod")).is(200);
    ann.image("default/tools/tea", "1", "leaves");
    ann.delete("/v2/default/tools/tea/manifests/1").is(202);
    team.owner.delete(&format!("{DEFAULT}/members/ann")).is(204);

    let of_workspace = team.owner.get(&format!("{DEFAULT}/audit")).is(200).json();
    assert_eq!(
        said(&of_workspace),
        expected(&[
            ("(server)", "workspace.make", "default"),
            ("owner", "role.set", "ann"),
            ("ann", "environment.register", "tea:1"),
            ("ann", "label.set", "tea:1"),
            ("ann", "environment.update", "tea:1"),
            ("ann", "environment.archive", "tea:1"),
            ("ann", "environment.restore", "tea:1"),
            ("ann", "label.remove", "tea"),
            ("ann", "registry.push", "default/tools/tea/manifests/1"),
            ("ann", "registry.delete", "default/tools/tea/manifests/1"),
            ("owner", "role.remove", "ann"),
        ])
    );
    let all = team.owner.get("/audit/entries?limit=500").is(200).json();
    let of_server: Vec<_> =
        said(&all).into_iter().filter(|(_, what, _)| what.starts_with("token.")).collect();
    assert_eq!(
        of_server,
        expected(&[
            ("(server)", "token.make", "owner"),
            ("owner", "token.make", "ann"),
            ("ann", "token.make", "ann"),
            ("ann", "token.revoke", "ann"),
        ])
    );
    assert!(!all.to_string().contains("pvt_"), "no token is in the log");
    let filtered = team.owner.get("/audit/entries?by=ann&action=label.set").is(200).json();
    assert_eq!(said(&filtered), expected(&[("ann", "label.set", "tea:1")]));
    assert_eq!(filtered["entries"][0]["entry"]["details"], json!({ "label": "prod" }));
    // By the page.
    let (mut numbers, mut before) = (Vec::new(), String::new());
    loop {
        let page = team.owner.get(&format!("/audit/entries?limit=3{before}")).is(200).json();
        numbers.extend(
            page["entries"].as_array().unwrap().iter().map(|entry| entry["number"].as_u64().unwrap()),
        );
        match page["next"].as_u64() {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
    }
    let newest = all["entries"][0]["number"].as_u64().unwrap();
    assert_eq!(numbers, (0..=newest).rev().collect::<Vec<_>>(), "dense");
    let done = Done::from(
        team.command(folder.path(), team.served["owner_token"].as_str().unwrap())
            .args(["audit-log", "verify"])
            .output()
            .unwrap(),
    );
    assert!(done.ok().stdout.contains("the log is whole"));
}

#[test]
fn readers_see_their_workspace_and_can_check_all() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    post(&team.owner, "/api/v1/workspaces", &json!({ "name": "vision" })).is(201);
    let token = team.token("ann", Some("reader"));
    let ann = team.with(&token);
    problem(ann.get("/audit/entries"), 403, "role-too-low");
    problem(ann.get("/audit/tile/entries/000.p/1"), 403, "role-too-low");
    problem(ann.get("/api/v1/workspaces/vision/audit"), 404, "workspace-not-found");
    let mine = ann.get(&format!("{DEFAULT}/audit")).is(200).json();
    assert_eq!(
        said(&mine),
        expected(&[("(server)", "workspace.make", "default"), ("owner", "role.set", "ann")])
    );
    let run = |arguments: &[&str]| {
        Done::from(team.command(folder.path(), &token).arg("audit-log").args(arguments).output().unwrap())
    };
    let listed = run(&["list"]).ok().stdout;
    assert!(listed.contains("role.set") && listed.contains("role=reader"), "{listed}");
    let verdict = run(&["verify", "-o", "json"]).ok().json();
    assert_eq!(
        (&verdict["ok"], &verdict["read"], &verdict["key_given"]),
        (&json!(true), &json!(2), &json!(false))
    );
    assert!(verdict["size"].as_u64().unwrap() > 2, "{verdict}");
    let refused =
        Done::from(crate::support::command(folder.path()).args(["audit-log", "list"]).output().unwrap());
    assert!(refused.code != 0 && refused.stderr.contains("has no audit log"), "{}", refused.stderr);
}

#[test]
fn what_many_add_at_once_has_one_order_and_proofs() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let first = team.owner.get("/audit/checkpoint").is(200).text();
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let owner = &team.owner;
            scope.spawn(move || {
                for number in 0..40 {
                    let path = format!("{DEFAULT}/members/user-{worker}-{number}");
                    put(owner, &path, &json!({ "role": "reader" })).is(200);
                }
            });
        }
    });
    let key: PublicKey = team.owner.get("/audit/key").is(200).text().parse().unwrap();
    let checkpoint = |note: &str| {
        let text = open(note, std::slice::from_ref(&key)).unwrap();
        text.parse::<provenv_ledger::Checkpoint>().unwrap()
    };
    let (old, now) = (checkpoint(&first), checkpoint(&team.owner.get("/audit/checkpoint").is(200).text()));
    assert_eq!(now.size, old.size + 320);

    let hashes = |value: &Value| -> Vec<Hash> { serde_json::from_value(value.clone()).unwrap() };
    let proof =
        team.owner.get(&format!("/audit/consistency?from={}&to={}", old.size, now.size)).is(200).json();
    check_consistency((old.size, &old.root), (now.size, &now.root), &hashes(&proof["path"])).unwrap();
    // The tree as tiles, and the entries as bundles.
    let mut leaves = Vec::new();
    let mut entries: Vec<Vec<u8>> = Vec::new();
    let (width, rest) = (256, now.size - 256);
    for (tile, expected) in [("000".to_owned(), width), (format!("001.p/{rest}"), rest)] {
        let answer = team.owner.get(&format!("/audit/tile/0/{tile}")).is(200);
        assert!(answer.must("Cache-Control").contains("immutable"));
        assert_eq!(answer.body.len() as u64, expected * 32);
        leaves.extend(answer.body.as_chunks::<32>().0.iter().map(|bytes| Hash::from_bytes(*bytes)));
        let bytes = team.owner.get(&format!("/audit/tile/entries/{tile}")).is(200).body;
        entries.extend(unbundle(&bytes).unwrap().into_iter().map(<[u8]>::to_vec));
    }
    assert_eq!(provenv_ledger::root(&leaves), now.root);
    assert_eq!(entries.iter().map(|entry| Hash::leaf(entry)).collect::<Vec<_>>(), leaves);
    let above = team.owner.get("/audit/tile/1/000.p/1").is(200).body;
    assert_eq!(above, provenv_ledger::root(&leaves[..256]).as_bytes());
    for number in [0, 1, old.size, 255, 256, now.size - 1] {
        let proof =
            team.owner.get(&format!("/audit/inclusion?number={number}&size={}", now.size)).is(200).json();
        let leaf = leaves[usize::try_from(number).unwrap()];
        check_inclusion(&leaf, number, now.size, &hashes(&proof["path"]), &now.root).unwrap();
    }
    problem(team.owner.get(&format!("/audit/inclusion?number={}", now.size)), 404, "audit-entry-not-found");
    problem(team.owner.get("/audit/consistency?from=0&to=100000"), 400, "parameter-invalid");
    problem(team.owner.get("/audit/tile/0/001"), 404, "audit-tile-not-found");
    problem(team.owner.get("/audit/tile/0/1"), 400, "path-invalid");
}

/// A server's folder with some entries in its log, stopped, and what a careful user kept of it.
struct Kept {
    folder: tempfile::TempDir,
    root: PathBuf,
    token: String,
}

impl Kept {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut team = Team::start(folder.path());
        let token = team.served["owner_token"].as_str().unwrap().to_owned();
        for name in ["ann", "ben", "cleo", "dan"] {
            team.token(name, Some("reader"));
        }
        for (arguments, file) in [(vec!["key"], "key"), (vec!["checkpoint"], "checkpoint")] {
            let output =
                team.command(folder.path(), &token).arg("audit-log").args(arguments).output().unwrap();
            fs_err::write(folder.path().join(file), Done::from(output).ok().stdout).unwrap();
        }
        let mut save = team.command(folder.path(), &token);
        Done::from(save.args(["audit-log", "save", "log.jsonl"]).output().unwrap()).ok();
        // What was there and what comes later are told apart.
        team.token("eve", Some("reader"));
        team.signal(Signal::SIGTERM);
        assert_eq!(team.wait().0, Some(0));
        let root = team.root.clone();
        Self { folder, root, token }
    }

    /// Does something to a copy of the database, and checks the log of a server of it.
    fn after(&self, change: &str, forget: bool, earlier: Option<&str>) -> Done {
        let root = tempfile::tempdir_in(self.folder.path()).unwrap().keep().join("team");
        let copied = Command::new("cp").arg("-a").arg(&self.root).arg(&root).output().unwrap();
        assert!(copied.status.success());
        python(change, &root.join("server.db"));
        if forget {
            fs_err::remove_file(root.join("audit.checkpoint")).unwrap();
        }
        let team = Team::start_again(&root, &[], &self.token);
        let mut command = team.command(self.folder.path(), &self.token);
        command.args(["audit-log", "verify", "--key", "key"]);
        if let Some(earlier) = earlier {
            command.args(["--earlier", earlier]);
        }
        command.output().unwrap().into()
    }
}

/// Runs statements of Python's on a database.
pub fn python(change: &str, database: &Path) {
    let script = format!(
        "import base64, hashlib, sqlite3, sys\n\
         base = sqlite3.connect(sys.argv[1])\n\
         do = lambda text, *values: base.execute(text, values).fetchall()\n\
         {change}\n\
         base.commit()\n\
         base.close()\n"
    );
    let output = Command::new("python3").arg("-c").arg(script).arg(database).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Makes all hashes anew, as somebody would who knows how.
const HASH_ANEW: &str = "
rows = [text for (text,) in do('SELECT text FROM audit_entries ORDER BY number')]
do('DELETE FROM audit_nodes')
level, row = 0, [hashlib.sha256(b'\\0' + text.encode()).digest() for text in rows]
while row:
    for place, value in enumerate(row):
        do('INSERT INTO audit_nodes VALUES (?, ?, ?)', level, place, base64.b64encode(value).decode())
    row = [hashlib.sha256(b'\\1' + row[i] + row[i + 1]).digest() for i in range(0, len(row) - 1, 2)]
    level += 1
";

#[test]
fn whoever_changes_the_log_is_found_out() {
    if std::env::var_os("PROVENV_TEST_CATALOGUE").is_some() {
        return skip("the database is no file here");
    }
    if Command::new("python3").args(["-c", "import sqlite3"]).output().is_err() {
        return skip("python3 is not installed");
    }
    let kept = Kept::new();
    let whole = kept.after("", false, Some("checkpoint")).ok();
    assert!(whole.stdout.contains("the log is whole"), "{}", whole.stdout);
    assert!(whole.stdout.contains("are those of the earlier checkpoint"), "{}", whole.stdout);

    let found = |done: Done, finding: &str| {
        assert_eq!(done.code, 1, "{finding}: {}{}", done.stdout, done.stderr);
        assert!(done.stdout.contains(finding), "{finding}: {}", done.stdout);
    };
    let change =
        "do(\"UPDATE audit_entries SET text = replace(text, 'ben', 'eve'), actor = 'eve' WHERE number = 5\")";
    found(kept.after(change, false, None), "entry 5 was changed");
    found(kept.after("do('DELETE FROM audit_entries WHERE number = 4')", false, None), "entry 4 was removed");
    let swap = "a, b = [do('SELECT text FROM audit_entries WHERE number = ?', n)[0][0] for n in (3, 6)]\n\
                do('UPDATE audit_entries SET text = ? WHERE number = 3', b)\n\
                do('UPDATE audit_entries SET text = ? WHERE number = 6', a)";
    let done = kept.after(swap, false, None);
    assert!(done.stdout.contains("entry 3 is not in its place: it is entry 6"), "{}", done.stdout);
    found(done, "entry 6 is not in its place: it is entry 3");
    let hide = "do(\"UPDATE audit_entries SET workspace = NULL WHERE number = 4\")";
    found(kept.after(hide, false, None), "entry 4 is filed under another workspace than it says");

    // Whoever cuts the end off cleanly is found out by the server itself, and by an earlier checkpoint where the server's
    // own memory was taken too.
    let cut = format!(
        "do('DELETE FROM audit_entries WHERE number >= 6')\ndo('UPDATE audit_head SET size = 6')\n{HASH_ANEW}"
    );
    found(kept.after(&cut, false, None), "it has 6 entries, and had");
    assert_eq!(kept.after(&cut, true, None).code, 0, "nobody can tell without having kept something");
    found(kept.after(&cut, true, Some("checkpoint")), "the log was shortened: it had");
    // Whoever writes the past anew, with all its hashes: another log than the one that was signed.
    let fork = format!("{change}\n{HASH_ANEW}");
    found(kept.after(&fork, false, None), "entries are not those that were signed");
    found(kept.after(&fork, true, Some("checkpoint")), "the log was forked");
    // With the log itself kept it is also said which entry is another.
    found(kept.after(&fork, true, Some("log.jsonl")), "entry 5 is not the one that was kept earlier");

    // What was saved is checked without a server, and a file can be changed, too.
    let offline = |log: &str| -> Done {
        let mut command = crate::support::command(Path::new("/nonexistent"));
        command.current_dir(kept.folder.path()).args(["audit-log", "verify", "--key", "key", log]);
        command.output().unwrap().into()
    };
    offline("log.jsonl").ok();
    let text = fs_err::read_to_string(kept.folder.path().join("log.jsonl")).unwrap();
    fs_err::write(kept.folder.path().join("changed.jsonl"), text.replace("cleo", "evil")).unwrap();
    found(offline("changed.jsonl"), "was changed");
    let other = provenv_ledger::SigningKey::generate("provenv-server/other").unwrap();
    fs_err::write(kept.folder.path().join("key"), other.public().to_string()).unwrap();
    found(
        offline("log.jsonl"),
        "the checkpoint cannot be believed: it is not signed by provenv-server/other",
    );
    fs_err::write(kept.folder.path().join("key"), "nonsense").unwrap();
    let done = offline("log.jsonl");
    assert_eq!(done.code, 2, "{}", done.stderr);
    assert!(done.stderr.contains("cannot be used as the key of an audit log"), "{}", done.stderr);
    // What is not there is named, with the way to it.
    fs_err::remove_file(kept.folder.path().join("key")).unwrap();
    let done = offline("log.jsonl");
    assert!(done.code == 2 && done.stderr.contains("could not read the key"), "{}", done.stderr);
    assert!(done.stderr.contains("`key`") && done.stderr.contains("audit-log key > FILE"), "{}", done.stderr);
}

#[test]
fn an_action_that_there_is_not_is_refused_with_those_that_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let token = team.served["owner_token"].as_str().unwrap();
    let list = |action: &str| -> Done {
        let mut command = team.command(folder.path(), token);
        command.args(["audit-log", "list", "--all", "--action", action]).output().unwrap().into()
    };
    assert!(list("token.make").ok().stdout.contains("token.make"));
    assert!(!list("label.set").ok().stdout.contains("token.make"));
    let refused = list("nope");
    assert!(refused.code == 2 && refused.stderr.contains("no action `nope`"), "{}", refused.stderr);
    assert!(refused.stderr.contains("environment.register, environment.update"), "{}", refused.stderr);
}

#[test]
fn a_log_goes_on_with_the_key_that_it_began_with() {
    use std::os::unix::fs::PermissionsExt as _;
    let kept = Kept::new();
    let key = kept.root.join("audit.key");
    assert_eq!(fs_err::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let other = provenv_ledger::SigningKey::generate("provenv-server/other").unwrap();
    fs_err::write(&key, other.to_text()).unwrap();
    let done = Done::from(
        super::team::server(&kept.root)
            .args(["serve", "--listen", "127.0.0.1:0", "--root"])
            .arg(&kept.root)
            .output()
            .unwrap(),
    );
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("is the key of the log `provenv-server/other`"), "{}", done.stderr);
    assert!(done.stderr.contains("hint:"), "{}", done.stderr);
}
