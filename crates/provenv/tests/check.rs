//! `provenv env check` through the front door: formats, filters, exit codes, mending.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::{Done, Workspace};

fn check(workspace: &Workspace, arguments: &[&str]) -> Done {
    workspace.run([&["env", "check"], arguments].concat())
}

#[test]
fn the_exit_code_says_how_bad_it_is() {
    let workspace = Workspace::empty();
    workspace.write("good.txt", "a==1\n");
    workspace.write("info.txt", "a\n");
    workspace.write("warning.txt", "a==1\na==1\n");
    workspace.write("error.txt", "a=1\n");
    fs_err::write(workspace.path().join("bytes.txt"), b"\x7fELF\0\0").unwrap();
    for (arguments, code) in [
        (&["good.txt"][..], 0),
        (&["info.txt"], 0),
        (&["warning.txt"], 0),
        (&["error.txt"], 1),
        (&["missing.txt"], 2),
        (&["bytes.txt"], 2),
        (&["error.txt", "missing.txt"], 2),
        (&["warning.txt", "--deny", "warnings"], 1),
        (&["info.txt", "--deny", "warnings"], 0),
        (&["info.txt", "--deny", "all"], 1),
        (&["info.txt", "--deny", "all", "--ignore", "PV103"], 0),
        (&["info.txt", "--deny", "all", "--select", "PV104,PV105"], 0),
        (&["warning.txt", "--deny", "all", "--select", "duplicate-requirement"], 1),
        (&["error.txt", "--warn-only"], 0),
        (&["missing.txt", "--warn-only"], 2),
        // What makes a file unusable is always said.
        (&["error.txt", "--ignore", "PV010"], 1),
        (&["good.txt", "--ignore", "PV999"], 2),
        (&["good.txt", "--dry-run"], 2),
        (&[], 2),
    ] {
        let done = check(&workspace, arguments);
        assert_eq!(done.code, code, "{arguments:?}\n{}{}", done.stdout, done.stderr);
    }
}

#[test]
fn remarks_are_shown_in_the_manner_of_compilers() {
    let workspace = Workspace::empty();
    workspace
        .write("requirements.txt", "numpy==1.26.4\nscikit-lern==1.5.2\nsklearn  # provenv: ignore[PV122]\n");
    let done = check(&workspace, &["requirements.txt"]).ok();
    insta::assert_snapshot!(done.stdout, @r"
    warning[PV121]: `scikit-lern` is nearly `scikit-learn`
      --> requirements.txt:2:1
      |
    2 | scikit-lern==1.5.2
      | ^^^^^^^^^^^^^^^^^^
      = hint: did you mean `scikit-learn`? else write `# provenv: ignore[PV121]` on the line
    info[PV103]: `sklearn` is not pinned: the lock decides its version
      --> requirements.txt:3:1
      |
    3 | sklearn  # provenv: ignore[PV122]
      | ^^^^^^^
    requirements.txt: 0 errors, 1 warning, 1 taken back by comments
    ");
}

#[test]
fn programs_get_json_and_annotations() {
    let workspace = Workspace::empty();
    workspace.write("requirements.txt", "a==1\na==1\n");
    let done = check(&workspace, &["requirements.txt", "--format", "json"]).ok();
    let json = done.json();
    let remark = &json[0]["remarks"][0];
    assert_eq!(json[0]["format"], "requirements");
    assert_eq!((remark["code"].as_str(), remark["span"]["line"].as_u64()), (Some("PV108"), Some(2)));
    assert_eq!(remark["fix"]["edits"][0]["end"]["line"], 3);
    let global = workspace.json(["env", "check", "requirements.txt"]);
    assert_eq!(global, json);
    let done = check(&workspace, &["requirements.txt", "--format", "github"]).ok();
    assert_eq!(
        done.stdout,
        "::warning file=requirements.txt,line=2,col=1,endColumn=5,title=PV108::`a==1` is given twice\n"
    );
}

#[test]
fn a_code_is_explained_and_a_misspelt_one_suggested() {
    let workspace = Workspace::empty();
    let done = check(&workspace, &["--explain", "pv103"]).ok();
    assert!(done.stdout.starts_with("# PV103 unpinned\n"), "{}", done.stdout);
    let done = check(&workspace, &["--explain", "unpined"]);
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("did you mean `unpinned`?"), "{}", done.stderr);
}

fn with_input(workspace: &Workspace, arguments: &[&str], input: &str) -> Done {
    let mut command: Command = workspace.command();
    command.args(["env", "check", "-"]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn standard_input_is_read_under_a_name() {
    let workspace = Workspace::empty();
    let done = with_input(&workspace, &["--stdin-name", "requirements.txt"], "a==1\na==1\n").ok();
    assert!(done.stdout.contains("--> requirements.txt:2:1"), "{}", done.stdout);
    let done = with_input(&workspace, &["--stdin-name", "r.txt", "--fix"], "a==1\na==1\n").ok();
    assert_eq!(done.stdout, "a==1\n");
    // Nothing to mend: the text comes out as it went in.
    let done = with_input(&workspace, &["--stdin-name", "r.txt", "--fix"], "a==1\n").ok();
    assert_eq!(done.stdout, "a==1\n");
}

#[test]
fn files_are_mended_in_place_and_keep_what_is_theirs() {
    let workspace = Workspace::empty();
    let path = workspace.write("requirements.txt", "\u{feff}a = 1\r\nb==2\r\nb==2\r\n");
    fs_err::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    let link = workspace.path().join("link.txt");
    std::os::unix::fs::symlink(&path, &link).unwrap();

    // What is said, and the exit code, are of the file as it is.
    let done = check(&workspace, &["link.txt", "--fix", "--dry-run"]);
    assert_eq!(done.code, 1, "{}", done.stderr);
    insta::assert_snapshot!(done.stdout.replace('\r', ""), @r"
    --- link.txt
    +++ link.txt
    @@ -1,3 +1,2 @@
    -a = 1
    -b==2
    +a == 1
     b==2
    ");
    assert!(fs_err::read_to_string(&path).unwrap().contains("a = 1"), "a dry run changes nothing");

    let done = check(&workspace, &["link.txt", "--fix"]).ok();
    assert!(done.stdout.ends_with("link.txt: 0 errors, 0 warnings, 2 mended\n"), "{}", done.stdout);
    assert_eq!(fs_err::read_to_string(&path).unwrap(), "\u{feff}a == 1\r\nb==2\r\n");
    assert_eq!(fs_err::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs_err::symlink_metadata(&link).unwrap().is_symlink());
    let names: Vec<PathBuf> =
        fs_err::read_dir(workspace.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains(".provenv-")), "{names:?}");
}

#[test]
fn what_is_not_to_be_looked_at_is_not_mended() {
    let workspace = Workspace::empty();
    let path = workspace.write("requirements.txt", "a==1\na==1\nb==1\nb==1  # provenv: ignore\n");
    check(&workspace, &["requirements.txt", "--fix", "--ignore", "PV108"]).ok();
    assert_eq!(fs_err::read_to_string(&path).unwrap(), "a==1\na==1\nb==1\nb==1  # provenv: ignore\n");
    check(&workspace, &["requirements.txt", "--fix"]).ok();
    assert_eq!(fs_err::read_to_string(&path).unwrap(), "a==1\nb==1\nb==1  # provenv: ignore\n");
}

#[test]
fn files_that_are_no_utf8_are_not_mended() {
    let workspace = Workspace::empty();
    let path = workspace.path().join("requirements.txt");
    let bytes = b"# -*- coding: latin-1 -*-\n# caf\xe9\na==1\na==1\n";
    fs_err::write(&path, bytes).unwrap();
    let done = check(&workspace, &["requirements.txt", "--fix"]);
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("is not mended"), "{}", done.stderr);
    assert_eq!(fs_err::read(&path).unwrap(), bytes);
}

#[test]
fn no_output_shows_a_secret() {
    // Not the word that the pages of codes have in their examples: SARIF carries those.
    let workspace = Workspace::empty();
    let text = "FROM python:3.13-slim\nENV API_TOKEN sw0rdfish\nRUN docker login -p sw0rdfish h.example && pip install a>=1\n";
    workspace.write("Dockerfile", text);
    workspace.write("requirements.txt", "a = 1\n--index-url https://me:sw0rdfish@h.example/simple\n");
    for format in ["text", "json", "yaml", "sarif", "github"] {
        let done = check(&workspace, &["Dockerfile", "requirements.txt", "--format", format]);
        assert!(done.stdout.contains("PV109") && done.stdout.contains("PV015"), "{format}: {}", done.stdout);
        assert!(
            !done.stdout.contains("sw0rdfish") && !done.stderr.contains("sw0rdfish"),
            "{format}: {}",
            done.stdout
        );
    }
    let done = check(&workspace, &["Dockerfile", "requirements.txt", "--fix", "--dry-run"]);
    assert!(done.stdout.contains("+a == 1"), "{}", done.stdout);
    assert!(!done.stdout.contains("sw0rdfish") && !done.stderr.contains("sw0rdfish"), "{}", done.stdout);
}

/// Against the published schema, which an npm package carries; skipped, and said, where npm or its registry cannot be
/// reached.
#[test]
fn sarif_is_valid_in_the_eyes_of_its_schema() {
    let workspace = Workspace::empty();
    workspace
        .write("a b/requirements.txt", "a==1\na==1\nnumpy\n--index-url http://me:hunter2@h.example/simple\n");
    workspace.write("Dockerfile", "FROM ubuntu:18.04\nRUN pip install a>=1\n");
    let absolute = workspace.path().join("Dockerfile");
    let log = check(
        &workspace,
        &[
            "a b/requirements.txt",
            "Dockerfile",
            absolute.to_str().unwrap(),
            "missing.txt",
            "--format",
            "sarif",
        ],
    );
    let json = log.json();
    let uri = &json["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    assert_eq!(uri, "a%20b/requirements.txt");
    workspace.write("log.sarif", &log.stdout);
    let script = r"
set -e
npm pack --silent @microsoft/jest-sarif@1.0.0-beta.0 >/dev/null
tar xzf microsoft-jest-sarif-*.tgz
python3 -m venv venv
venv/bin/pip install --quiet jsonschema
";
    let run = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).current_dir(workspace.path()).output()
    };
    match run("sh", &["-c", script]) {
        Ok(output) if output.status.success() => {}
        _ => {
            eprintln!("skipped: npm, python3 or their registries cannot be reached");
            return;
        }
    }
    let validate = "import json, jsonschema\n\
        schema = json.load(open('package/lib/schemas/sarif-2.1.0-rtm.5.json'))\n\
        jsonschema.validate(json.load(open('log.sarif')), schema)\n";
    let output = run("venv/bin/python", &["-c", validate]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_dry_run_promises_nothing_that_a_fix_refuses() {
    let workspace = Workspace::empty();
    let mut bytes = vec![0xff, 0xfe];
    bytes.extend("a = 1\n".encode_utf16().flat_map(u16::to_le_bytes));
    fs_err::write(workspace.path().join("requirements.txt"), &bytes).unwrap();
    for options in [&["--fix"][..], &["--fix", "--dry-run"]] {
        let done = check(&workspace, &[&["requirements.txt"], options].concat());
        assert!(done.stderr.contains("is not mended: it is no UTF-8"), "{options:?}: {}", done.stderr);
        assert!(!done.stdout.contains("+a == 1"), "{options:?}: {}", done.stdout);
        assert_eq!(fs_err::read(workspace.path().join("requirements.txt")).unwrap(), bytes);
    }
}
