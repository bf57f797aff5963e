//! The solver's judge: on real metadata of conda-forge, what we choose is what py-rattler chooses.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use provenv_channel::{python_with, skip};
use serde_json::{Value, json};

use super::support::{Asked, Place, asked};

const SPECS: &str = include_str!("ml-specs.txt");

/// The specs of each line, and what is declared of the target.
fn environments() -> Vec<(Vec<&'static str>, Vec<&'static str>)> {
    let lines = SPECS.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_whitespace().partition(|word| !word.starts_with("__"))).collect()
}

/// What [`Place`]'s target and what is declared come to, as py-rattler takes it.
fn virtual_packages(declared: &[&str]) -> Vec<Value> {
    let target = ["__unix=0", "__linux=5.10", "__glibc=2.36", "__archspec=1=x86_64"];
    let package = |text: &&str| {
        let parts: Vec<&str> = text.split('=').collect();
        json!([parts[0], parts[1], parts.get(2).unwrap_or(&"0")])
    };
    target.iter().chain(declared).map(package).collect()
}

fn ask_peer(python: &Path, channel: &str, questions: &Value) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conda/peer.py");
    let mut peer = Command::new(python)
        .arg(script)
        .args([channel, "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    peer.stdin.take().unwrap().write_all(questions.to_string().as_bytes()).unwrap();
    let output = peer.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn real_environments_are_solved_as_py_rattler_does() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/repodata/conda-forge-mined");
    let Ok(folder) = fs_err::canonicalize(&shared) else {
        return skip("there is no metadata of conda-forge in ../shared/repodata");
    };
    let Some(python) = python_with(&["py-rattler==0.28.0"]) else { return };
    let channel = format!("file://{}", folder.display());
    let environments = environments();
    assert_eq!(environments.len(), 50);
    let questions: Value = environments
        .iter()
        .map(|(specs, declared)| json!({"specs": specs, "virtual": virtual_packages(declared)}))
        .collect();
    let theirs = ask_peer(&python, &channel, &questions);
    let place = Place::new();
    let (mut solved, mut differing) = (0, Vec::new());
    for ((specs, declared), theirs) in environments.iter().zip(&theirs) {
        let question = Asked {
            virtual_packages: declared.iter().map(|text| (*text).to_owned()).collect(),
            ..asked(&[&channel], specs)
        };
        match (place.resolve(&question), theirs.get("chosen")) {
            (Ok(ours), Some(theirs)) => {
                let mut ours = crate::conda::support::shown(&ours);
                ours.sort();
                if json!(ours) != *theirs {
                    differing.push(format!("{specs:?}:\n ours   {ours:?}\n theirs {theirs}"));
                }
                solved += 1;
            }
            (Err(_), None) => {}
            (ours, _) => differing.push(format!("{specs:?}:\n ours   {ours:?}\n theirs {theirs}")),
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    assert!(solved >= 40, "only {solved} of them have a solution");
}
