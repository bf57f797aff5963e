//! What the audit log says at the end.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::world::World;
use crate::support::{Done, command};

/// The log is whole, to somebody who has nothing but a copy and the key; it has one entry of each version's registration, and one
/// of each build's end.
pub fn check(world: &World, versions: &BTreeSet<(&str, &str)>, jobs: &[Value]) {
    let (key, log) = (world.path().join("key"), world.path().join("log.jsonl"));
    let said = Done::from(world.command().args(["audit-log", "key"]).output().unwrap()).ok().stdout;
    fs_err::write(&key, said).unwrap();
    Done::from(world.command().args(["audit-log", "save"]).arg(&log).output().unwrap()).ok();
    let mut verify = command(&world.path().join("nowhere"));
    verify.args(["audit-log", "verify", "--key"]).arg(&key).arg(&log);
    let verified = Done::from(verify.output().unwrap()).ok();
    assert!(verified.stdout.contains("the log is whole"), "{}", verified.stdout);

    let (mut registered, mut ended) = (BTreeMap::new(), BTreeMap::new());
    let text = fs_err::read_to_string(&log).unwrap();
    for line in text.lines().skip(1) {
        let line: Value = serde_json::from_str(line).unwrap();
        let entry: Value = serde_json::from_str(line["text"].as_str().unwrap()).unwrap();
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        match entry["action"].as_str().unwrap() {
            "environment.register" => *registered.entry(word(&entry["subject"])).or_insert(0) += 1,
            "build.end" => *ended.entry(word(&entry["details"]["job"])).or_insert(0) += 1,
            _ => {}
        }
    }
    let once = |(name, version): &(&str, &str)| (format!("{name}:{version}"), 1);
    assert_eq!(registered, versions.iter().map(once).collect(), "each version's registration is one entry");
    // What was there when it was asked for was no build, and had no end.
    let built = jobs.iter().filter(|job| job["attempts"].as_i64().unwrap() > 0);
    let once = |job: &Value| (job["id"].as_str().unwrap().to_owned(), 1);
    assert_eq!(ended, built.map(once).collect(), "each build's end is one entry");
}
