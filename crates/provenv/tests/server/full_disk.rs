//! A server whose disk is full, and which is killed meanwhile: what it accepted is there, and it goes on when there is space.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use provenv_testing::pypi::{Index, Wheel};
use serde_json::{Value, json};

use super::builds::register;
use super::team::{DEFAULT, Team, post, server};
use crate::support::{Done, definition, fill, is_root, serve, skip};

/// How many bytes of text make a version's row large.
const DESCRIPTION: usize = 100_000;
/// How much is kept free until the server has begun.
const BALLAST: usize = 4 << 20;

/// A small disk of a test's own: a file system in memory that only processes in its namespace see. It is gone with the test.
struct SmallDisk {
    keeper: Child,
    /// Where it is for processes in the namespace.
    folder: PathBuf,
}

impl SmallDisk {
    /// A disk with so many bytes, or `None` (said aloud) where this user mounts nothing.
    fn new(folder: &Path, bytes: u64) -> Option<Self> {
        let folder = folder.join("disk");
        fs_err::create_dir(&folder).unwrap();
        let mut command = Command::new("unshare");
        if !is_root() {
            command.arg("--map-root-user");
        }
        let script = "mount -t tmpfs -o size=\"$2\" small \"$1\" && echo mounted && exec cat";
        command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
        command.arg(&folder).arg(bytes.to_string());
        let mut keeper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(keeper.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
        if said != "mounted\n" {
            keeper.wait().unwrap();
            skip("this user cannot mount a small disk");
            return None;
        }
        Some(Self { keeper, folder })
    }

    /// The disk as this process sees it.
    fn seen(&self) -> PathBuf {
        let inside = self.folder.strip_prefix("/").unwrap();
        Path::new("/proc").join(self.keeper.id().to_string()).join("root").join(inside)
    }

    /// A command that sees it.
    fn within(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.args(["--target", &self.keeper.id().to_string(), "--mount"]);
        if !is_root() {
            inside.args(["--user", "--preserve-credentials"]);
        }
        inside.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
    }

    /// Takes all that is free but for `left` bytes.
    fn fill(&self, left: usize) {
        let mut ballast = fs_err::File::create(self.seen().join("ballast")).unwrap();
        let part = [1; 1 << 16];
        while ballast.write_all(&part).is_ok() {}
        let length = ballast.metadata().unwrap().len();
        ballast.set_len(length.saturating_sub(left as u64)).unwrap();
    }

    fn free(&self) {
        fs_err::remove_file(self.seen().join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

#[test]
fn a_full_disk_costs_no_version_that_was_accepted() {
    if std::env::var_os("PROVENV_TEST_CATALOGUE").is_some() {
        return skip("the databases are on another disk");
    }
    let folder = tempfile::tempdir().unwrap();
    // What is registered on the small disk is locked elsewhere before.
    let root = folder.path().join("elsewhere");
    let Some(()) = fill(&root.join("workspaces/default")) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let before = Team::start_again(&root, &[], "");
    let owner = before.with(before.served["owner_token"].as_str().unwrap());
    let version = register(&owner, &definition(&index, "tea", &["tea"]));
    let environment = owner.get(&version).is(200).json()["environment"].clone();
    let lock = owner.get(&format!("{version}/lock")).is(200).text();
    drop(before);

    let Some(disk) = SmallDisk::new(folder.path(), 24 << 20) else { return };
    let root = disk.folder.join("team");
    let start = |token: &str| Team::begin(disk.within(&server(&root)), &root, &["--workers", "0"], token);
    let mut team = start("");
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    team.owner = team.with(&token);
    let path = format!("{DEFAULT}/environments");
    let sent = |number: usize| {
        let mut environment = environment.clone();
        environment["name"] = json!(format!("cup-{number}"));
        environment["version"] = Value::Null;
        environment["description"] = json!("x".repeat(DESCRIPTION));
        environment["environment_variables"] = json!({ "CUP": number.to_string() });
        json!({ "environment": environment, "lock": lock })
    };
    let mut accepted: Vec<usize> = Vec::new();
    let mut number = 0;
    for round in 0..2 {
        disk.fill(BALLAST);
        // Until there is no space: then it is said, with what to do.
        let refused = loop {
            let answer = post(&team.owner, &path, &sent(number));
            if answer.status != 201 {
                break answer;
            }
            accepted.push(number);
            number += 1;
            assert!(number < 1000, "the disk is never full");
        };
        let problem = super::team::problem(refused, 507, "disk-full");
        assert!(problem["hint"].as_str().unwrap().contains("store gc"), "{problem}");
        // What it has it shows, and it is well.
        team.nobody().get("/healthz").is(200);
        for number in &accepted {
            let shown = team.owner.get(&format!("{path}/cup-{number}/versions/1")).is(200).json();
            assert_eq!(shown["environment"]["environment_variables"]["CUP"], number.to_string());
        }
        if round == 1 {
            // Killed while it is full, and begun again on what that left.
            team.kill();
            disk.free();
            team = start(&token);
        } else {
            disk.free();
        }
        // The same request, once there is space, does what it did not do before.
        let late = post(&team.owner, &path, &sent(number));
        assert!(matches!(late.status, 200 | 201), "{}", late.text());
        accepted.push(number);
        number += 1;
    }
    let listed = team.owner.get(&format!("{path}?all=true&limit=500")).is(200).json();
    let mut names: Vec<String> = listed["environments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{}:{}", one["name"].as_str().unwrap(), one["version"].as_str().unwrap()))
        .collect();
    names.sort_unstable();
    let mut wanted: Vec<String> = accepted.iter().map(|number| format!("cup-{number}:1")).collect();
    wanted.sort_unstable();
    assert_eq!(names, wanted, "nothing is lost, doubled or half-made");
    // Each is written down once, in a log that is whole.
    let mut verify = team.command(folder.path(), &token);
    let verified = Done::from(verify.args(["audit-log", "verify"]).output().unwrap()).ok();
    assert!(verified.stdout.contains("the log is whole"), "{}", verified.stdout);
    let mut written: Vec<String> = Vec::new();
    let mut before = String::new();
    loop {
        let log = format!("{DEFAULT}/audit?limit=500&action=environment.register{before}");
        let log = team.owner.get(&log).is(200).json();
        let entries = log["entries"].as_array().unwrap().iter();
        written.extend(entries.map(|one| one["entry"]["subject"].as_str().unwrap().to_owned()));
        let Some(next) = log["next"].as_u64() else { break };
        before = format!("&before={next}");
    }
    written.sort_unstable();
    assert_eq!(written, wanted);
}
