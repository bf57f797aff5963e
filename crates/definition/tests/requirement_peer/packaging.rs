//! `packaging` from PyPI on every requirement line of the corpus.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use provenv_definition::Requirement;
use serde_json::{Value, json};

use super::corpus;
use crate::peers;

/// The lines that are a requirement and nothing else: no options, paths, URLs or continuations, which are pip's own.
fn lines() -> Vec<String> {
    let is_own = |line: &String| {
        let bare = line.contains("://") && !line.contains('@') || line.starts_with("git+");
        !line.starts_with(['-', '.', '/']) && !bare && !line.contains(" --") && !line.contains("${")
    };
    corpus().into_iter().filter(is_own).collect()
}

#[test]
fn requirements_are_read_as_packaging_reads_them() {
    let lines = lines();
    if lines.is_empty() {
        return;
    }
    let Some(venv) = peers::venv("packaging", &["python3"], &["packaging==25.0"]) else { return };
    let mut python = Command::new(venv.join("bin/python"))
        .arg(peers::script("packaging_peer.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = python.stdin.take().unwrap();
    let input = lines.join("\n") + "\n";
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let theirs: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(theirs.len(), lines.len());
    let mut disagreements = Vec::new();
    for (line, theirs) in lines.iter().zip(&theirs) {
        let ours = match Requirement::parse(line, Path::new("/project")) {
            Ok(found) => json!({
                "name": found.name,
                "extras": found.extras,
                "specifiers": sorted(found.specifiers.iter().map(ToString::to_string).collect()),
                "url": found.url,
                "marker": found.marker.is_some(),
            }),
            Err(_) => Value::Null,
        };
        let same = match (&ours, theirs) {
            (Value::Null, Value::Null) => true,
            (Value::Null, _) | (_, Value::Null) => false,
            // Versions are written in normal form here, and URLs too.
            _ => {
                ["name", "extras", "marker"].iter().all(|key| ours[key] == theirs[key])
                    && ours["url"].is_null() == theirs["url"].is_null()
                    && ours["specifiers"].as_array().map(Vec::len)
                        == theirs["specifiers"].as_array().map(Vec::len)
            }
        };
        if !same {
            disagreements.push(format!("{line}\n    ours   {ours}\n    theirs {theirs}"));
        }
    }
    println!("{} requirements, {} read otherwise", lines.len(), disagreements.len());
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}
