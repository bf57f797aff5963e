//! Every requirement that is written is one in the eyes of `packaging` and of uv.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use provenv_definition::{Requirement, read_str, write_requirements};

use crate::generated;
use crate::peers;

fn feed(command: &mut Command, text: &str) -> (bool, String) {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn packaging_and_uv_parse_what_is_written() {
    let Some(venv) = peers::venv("python", &["python3.11"], &["packaging>=25.1", "uv"]) else { return };
    let mut runner = TestRunner::deterministic();
    let mut named: Vec<String> = Vec::new();
    let mut files: Vec<String> = Vec::new();
    for _ in 0..300 {
        let definition = generated::definition().new_tree(&mut runner).unwrap().current();
        files.push(write_requirements(&definition).requirements);
        named.extend(definition.pip.requirements.into_iter().map(|one| one.requirement));
    }
    // What the specifications show.
    let table = "A.B_c[X,y_Z] >= 1.0.0,!=1.*\na===1.0-weird\na ~= 1.0rc1 ; (os_name=='a' or os_name=='b') and extra == 'X'\n\
                 name@https://h.test/a b.zip\nname @ file:///a%20b ; python_version<'3'\na==1!2.post1.dev2+Local.1\n";
    for line in table.lines() {
        if let Ok(found) = read_str(line, Path::new("/p/requirements.txt")) {
            files.push(write_requirements(&found.environment.definition).requirements);
            named
                .extend(found.environment.definition.pip.requirements.into_iter().map(|one| one.requirement));
        }
    }
    // A bare URL is pip's own and not of the specification.
    named.retain(|text| text.parse::<Requirement>().unwrap().name.is_some());
    named.sort();
    named.dedup();
    assert!(named.len() >= 9, "{named:?}");
    let check = "import sys; from packaging.requirements import Requirement\n\
                 for line in sys.stdin.read().splitlines(): Requirement(line)";
    let text = named.join("\n").replace("${", "").replace('}', "");
    let (good, said) = feed(Command::new(venv.join("bin/python")).args(["-c", check]), &text);
    assert!(good, "{said}\n{text}");

    files.sort();
    files.dedup();
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("constraints.txt"), "z<3\n").unwrap();
    for text in files {
        let mut uv = Command::new(venv.join("bin/uv"));
        uv.args(["pip", "compile", "--offline", "--no-config", "--no-cache", "--no-deps", "--quiet", "-"]);
        uv.current_dir(folder.path()).env("T", "t").env("U", "u").env("P", "p");
        let (_, said) = feed(&mut uv, &text);
        // Offline nothing is found; that comes after reading.
        let refused = ["parse", "Unexpected", "Expected", "Unsupported", "Invalid"]
            .iter()
            .any(|word| said.contains(word));
        assert!(!refused, "{said}\n{text}");
    }
}
