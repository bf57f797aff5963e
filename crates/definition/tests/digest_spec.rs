//! `docs/reference/digest.md` can be implemented: `digest_spec.py` does it in another language, and makes the same
//! bytes of every vector and of definitions that nobody thought of. Skipped where there is no `python3`.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use provenv_definition::{Definition, canonical_bytes, definition_digest, read_str};

use crate::support;

/// What the implementation in Python makes of `definitions`, a line each; `None` where there is no Python.
fn in_python(definitions: &[Definition]) -> Option<Vec<String>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/digest_spec.py");
    let child = Command::new("python3").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: python3 is not here");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let input: String =
        definitions.iter().map(|definition| serde_json::to_string(definition).unwrap() + "\n").collect();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

fn compare(definitions: &[Definition]) {
    let Some(found) = in_python(definitions) else { return };
    assert_eq!(found.len(), definitions.len());
    for (definition, found) in definitions.iter().zip(found) {
        let expected = canonical_bytes(definition);
        let (bytes, digest) = found.split_once(' ').unwrap();
        let bytes = hex::decode(bytes).unwrap();
        let same = bytes.iter().zip(&expected).take_while(|(left, right)| left == right).count();
        let around = |bytes: &[u8]| {
            let range = same.saturating_sub(80)..(same + 80).min(bytes.len());
            String::from_utf8_lossy(&bytes[range]).replace('\0', "")
        };
        assert!(bytes == expected, "Python: {}\nRust:   {}", around(&bytes), around(&expected));
        assert_eq!(digest, definition_digest(definition).to_string());
    }
}

#[test]
fn the_vectors_come_out_of_the_page_alone() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut definitions = Vec::new();
    let mut golden = Vec::new();
    for entry in fs_err::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() || path.extension().is_some_and(|extension| extension == "golden") {
            continue;
        }
        let text = fs_err::read_to_string(&path).unwrap();
        let file = Path::new("/project").join(path.file_name().unwrap());
        definitions.push(read_str(&text, &file).unwrap().environment.definition);
        golden.push(fs_err::read_to_string(path.with_extension("golden")).unwrap().trim().replace('\n', " "));
    }
    for path in support::models() {
        definitions.push(serde_json::from_str(&fs_err::read_to_string(&path).unwrap()).unwrap());
        golden.push(fs_err::read_to_string(path.with_extension("golden")).unwrap().trim().replace('\n', " "));
    }
    if let Some(found) = in_python(&definitions) {
        assert_eq!(found, golden);
    }
}

#[test]
fn definitions_that_nobody_thought_of_come_out_the_same() {
    let mut runner = TestRunner::deterministic();
    let strategy = support::definition();
    let mut definitions: Vec<Definition> = support::bases().into_iter().map(support::full).collect();
    definitions.push(Definition::default());
    definitions.extend((0..2000).map(|_| strategy.new_tree(&mut runner).unwrap().current()));
    compare(&definitions);
}
