//! What Provenv says and how: notes on missing libraries, progress in logs, results for scripts, errors for programs.

use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::Server;
use serde_json::Value;

use crate::support::{Workspace, definition, serve};

/// An index with a package whose object needs a library that no base has, and one that brings its own.
fn index() -> Server {
    let boost = provenv_testing::elf::object("_boost.so", &["libc.so.6", "libgomp.so.1", "libcuda.so.1"]);
    let own = provenv_testing::elf::object("_own.so", &["libm.so.6", "libown-1a2b.so.5"]);
    let library = provenv_testing::elf::object("libown-1a2b.so.5", &["libc.so.6"]);
    serve(
        &Index::new()
            .add(
                Wheel::new("boost", "1.0")
                    .tag("cp311-cp311-manylinux_2_17_x86_64")
                    .file("boost/_boost.so", boost)
                    .file("boost/__init__.py", "import ctypes\nctypes.CDLL('libgomp.so.1')\n"),
            )
            .add(
                Wheel::new("own", "1.0")
                    .tag("cp311-cp311-manylinux_2_17_x86_64")
                    .file("own/_own.so", own)
                    .file("own.libs/libown-1a2b.so.5", library),
            ),
    )
}

const NOTE: &str = "boost 1.0 needs libgomp.so.1, which nothing in the image provides (for _boost.so): \
                    add `libgomp1`, which should have it, to system_packages";

#[test]
#[cfg(target_arch = "x86_64")]
fn a_missing_library_is_said_when_built_when_shown_and_when_a_command_fails() {
    let Some(workspace) = Workspace::new() else { return };
    let server = index();
    workspace.write("boost.yaml", &definition(&server, "boost", &["boost", "own"]));
    let built = workspace.run(["build", "boost.yaml"]).ok();
    assert!(built.stderr.contains(&format!("note: {NOTE}\n")), "{}", built.stderr);
    assert!(!built.stderr.contains("libown") && !built.stderr.contains("libcuda"), "{}", built.stderr);
    let shown = workspace.run(["image", "show", "boost.yaml"]).ok();
    assert!(shown.stdout.contains(NOTE), "{}", shown.stdout);
    assert_eq!(workspace.json(["image", "show", "boost.yaml"])["notes"][0], NOTE);

    let failed = workspace.run(["run", "boost.yaml", "--", "python", "-c", "import boost"]);
    assert_eq!(failed.code, 1);
    assert!(failed.stderr.contains(&format!("note: {NOTE}\n")), "{}", failed.stderr);
    let fine = workspace.run(["run", "boost.yaml", "--", "true"]).ok();
    assert!(!fine.stderr.contains("libgomp"), "{}", fine.stderr);
    workspace.write("job.yaml", "name: j\nenvironment: boost.yaml\ncommand: python -c 'import boost'\n");
    let submitted = workspace.run(["submit", "job.yaml"]);
    assert_eq!(submitted.code, 1);
    let hint = "nothing in the image provides libgomp.so.1: add `libgomp1`, which should have it, to system_packages";
    assert!(submitted.stderr.contains(hint), "{}", submitted.stderr);
    // A job that fails for another reason is told nothing of libraries.
    workspace.write("other.yaml", "name: o\nenvironment: boost.yaml\ncommand: exit 3\n");
    let other = workspace.run(["submit", "other.yaml"]);
    assert_eq!(other.code, 3);
    assert!(!other.stderr.contains("libgomp"), "{}", other.stderr);
}

#[test]
fn a_log_shows_phases_and_quiet_shows_what_a_script_needs() {
    let Some(workspace) = Workspace::new() else { return };
    let server = serve(&Index::new().add(Wheel::new("tea", "1.0")));
    workspace.write("environment.yaml", &definition(&server, "tea", &["tea"]));
    let first = workspace.run(["build", "environment.yaml"]).ok();
    for phase in ["resolving", "assembling"] {
        assert!(first.stderr.contains(&format!("{phase}\n")), "{}", first.stderr);
        assert!(first.stderr.contains(&format!("{phase}: done ")), "{}", first.stderr);
    }
    // Nothing to do, nothing to say.
    assert_eq!(workspace.run(["build", "environment.yaml"]).ok().stderr, "");

    let digest = workspace.json(["build", "environment.yaml"])["image"].as_str().unwrap().to_owned();
    let quiet = workspace.run(["-q", "build", "environment.yaml"]).ok();
    assert_eq!((quiet.stdout, quiet.stderr), (format!("{digest}\n"), String::new()));
    let registered = workspace.run(["-q", "env", "register", "environment.yaml"]).ok();
    assert_eq!(registered.stdout, "tea:1\n");
    let lock = workspace.json(["lock", "environment.yaml"])["lock"].as_str().unwrap().to_owned();
    assert_eq!(workspace.run(["-q", "lock", "environment.yaml"]).ok().stdout, format!("{lock}\n"));
}

#[test]
fn a_log_says_where_work_failed() {
    let Some(workspace) = Workspace::new() else { return };
    let server = serve(&Index::new().add(Wheel::new("tea", "1.0")));
    workspace.write("environment.yaml", &definition(&server, "tea", &["tea>=7"]));
    let failed = workspace.run(["build", "environment.yaml"]);
    assert!(failed.stderr.contains("resolving: stopped after "), "{}", failed.stderr);
    assert!(!failed.stderr.contains(": done "), "{}", failed.stderr);
}

#[test]
fn blobs_that_have_changed_are_found_and_made_again() {
    let Some(workspace) = Workspace::new() else { return };
    let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(50_000).collect();
    let server = serve(&Index::new().add(Wheel::new("tea", "1.0").file("tea/noise.bin", noise)));
    workspace.write("environment.yaml", &definition(&server, "tea", &["tea"]));
    let image = workspace.json(["build", "environment.yaml"])["image"].clone();
    let details = workspace.json(["image", "show", "environment.yaml"]);
    let layers = details["layers"].as_array().unwrap();
    let layer = layers.iter().find(|layer| layer["what"].as_str().unwrap().starts_with("Python")).unwrap();
    let digits = layer["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let blob = workspace.root().join("store/blobs/sha256").join(&digits[..2]).join(&digits[2..]);
    let whole = fs_err::read(&blob).unwrap();
    // The file itself may have other names in other workspaces.
    let damage = |bytes: &[u8]| {
        fs_err::remove_file(&blob).unwrap();
        fs_err::write(&blob, bytes).unwrap();
    };
    damage(&whole[..whole.len() / 2]);
    for command in
        [&["run", "environment.yaml", "--", "true"][..], &["build", "environment.yaml", "--to", "oci:o"]]
    {
        let failed = workspace.run(command);
        assert!(
            failed.code != 0 && failed.stderr.contains("hint: run `provenv store scrub`"),
            "{}",
            failed.stderr
        );
    }
    let scrubbed = workspace.run(["store", "scrub"]);
    assert_eq!(scrubbed.code, 1, "{}", scrubbed.stderr);
    assert!(scrubbed.stdout.contains(digits), "{}", scrubbed.stdout);
    assert!(
        scrubbed.stderr.contains("checking: done ") && !scrubbed.stderr.contains("assembling"),
        "{}",
        scrubbed.stderr
    );
    assert_eq!(workspace.json(["build", "environment.yaml"])["image"], image);
    workspace.run(["run", "environment.yaml", "--", "true"]).ok();
    assert_eq!(fs_err::read(&blob).unwrap(), whole);
}

#[test]
fn names_that_a_command_made_up_do_not_steer_the_terminal() {
    let Some(workspace) = Workspace::new() else { return };
    let server = serve(&Index::new().add(Wheel::new("tea", "1.0")));
    let text = definition(&server, "tea", &["tea"]) + "description: \"first\\e[31m\\nsecond\"\n";
    workspace.write("environment.yaml", &text);
    workspace.write(
        "job.yaml",
        "environment: environment.yaml\ncommand: touch \"outputs/$(printf 'a\\nb\\033[31m')\"\n",
    );
    let done = workspace.run(["submit", "job.yaml"]).ok();
    for said in [done.stderr, workspace.run(["runs", "show", "latest"]).ok().stdout] {
        assert!(said.contains(r"outputs/a\nb\u{1b}[31m (0 B)"), "{said}");
        assert!(!said.contains('\u{1b}'), "{said}");
    }
    let listed = workspace.run(["env", "list"]).ok().stdout;
    assert!(listed.ends_with("first\\u{1b}[31m\n"), "{listed}");
    assert_eq!(workspace.json(["runs", "show", "latest"])["outputs"][0]["path"], "outputs/a\nb\u{1b}[31m");
}

#[test]
fn a_working_folder_that_is_gone_is_said() {
    let workspace = Workspace::empty();
    let script =
        format!("mkdir gone && cd gone && rmdir ../gone && {} build tea", env!("CARGO_BIN_EXE_provenv"));
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .current_dir(workspace.path())
        .env("PROVENV_WORKSPACE", workspace.root())
        .output();
    let done = crate::support::Done::from(output.unwrap());
    assert_eq!(done.code, 1);
    assert!(done.stderr.starts_with("error: the working folder cannot be used\n"), "{}", done.stderr);
    assert!(done.stderr.contains("hint: was it removed"), "{}", done.stderr);
}

#[test]
fn an_image_is_shown_in_short_and_its_parts_in_full() {
    let Some(workspace) = Workspace::new() else { return };
    let server = serve(&Index::new().add(Wheel::new("tea", "1.0")));
    workspace.write("environment.yaml", &definition(&server, "tea", &["tea"]));
    workspace.run(["build", "environment.yaml"]).ok();
    let show =
        |part: &[&str]| workspace.run([&["image", "show", "environment.yaml"], part].concat()).ok().stdout;
    let summary = show(&[]);
    assert!(summary.lines().count() < 25 && summary.contains("of Debian, 1 of Python"), "{summary}");
    let packages = show(&["--packages"]);
    assert!(
        packages.lines().any(|line| line.starts_with("libc6 ")) && packages.contains("tea"),
        "{packages}"
    );
    assert!(show(&["--layers"]).contains("base state"));
    assert!(show(&["--dockerfile"]).contains("FROM debian:bookworm-slim"));
    assert!(show(&["--log"]).contains("image sha256:"));
    let all = workspace.json(["image", "show", "environment.yaml"]);
    assert!(all["layers"].is_array() && all["packages"].is_array() && all["dockerfile"].is_string());
    let two = workspace.run(["image", "show", "environment.yaml", "--log", "--layers"]);
    assert_eq!(two.code, 2, "{}", two.stderr);
}

#[test]
fn errors_are_objects_where_results_are() {
    let workspace = Workspace::empty();
    let failed = workspace.run(["-o", "json", "env", "show", "nosuch"]);
    assert_eq!((failed.code, failed.stdout.as_str()), (1, ""));
    let last = failed.stderr.lines().last().unwrap();
    let error: Value = serde_json::from_str(last).unwrap();
    assert_eq!(error["error"]["message"], "there is no environment `nosuch` in this workspace");
    assert!(error["error"]["hint"].as_str().unwrap().contains("provenv env list"));

    workspace.write("environment.yaml", "pip: [numpy]\nwrong: 1\nname: 2x!\nother: 1\n");
    let failed = workspace.run(["-o", "json", "build", "environment.yaml"]);
    let error: Value = serde_json::from_str(failed.stderr.lines().last().unwrap()).unwrap();
    let lines: Vec<_> =
        error["error"]["remarks"].as_array().unwrap().iter().map(|remark| &remark["span"]["line"]).collect();
    assert_eq!(lines, [2, 4]);
    let failed = workspace.run(["-o", "yaml", "env", "show", "nosuch"]);
    assert!(failed.stderr.starts_with("error:\n  message: there is no environment"), "{}", failed.stderr);
}

#[test]
fn what_cannot_be_said_changes_nothing() {
    let Some(workspace) = Workspace::new() else { return };
    let server = serve(&Index::new().add(Wheel::new("tea", "1.0")));
    workspace.write("environment.yaml", &definition(&server, "tea", &["tea"]));
    workspace.write("job.yaml", "name: j\nenvironment: environment.yaml\ncommand: echo heard; exit 4\n");
    // Every write to it fails, as to a closed pipe.
    let full = fs_err::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = workspace.command();
    command.args(["submit", "job.yaml", "-v"]).stderr(full.into_parts().0);
    let done = command.output().unwrap();
    assert_eq!(done.status.code(), Some(4), "{done:?}");
    assert_eq!(workspace.json(["runs", "list"])[0]["exit_code"], 4);
}

#[test]
fn a_file_in_place_of_the_workspace_is_said() {
    let workspace = Workspace::empty();
    let file = workspace.write("file", "");
    for root in [file.clone(), file.join("below")] {
        let done = workspace.run(["--workspace", root.to_str().unwrap(), "env", "list"]);
        assert_eq!(done.code, 1);
        let expected =
            format!("error: the workspace cannot be at {}: {} is a file\n", root.display(), file.display());
        assert!(done.stderr.starts_with(&expected) && done.stderr.contains("hint: "), "{}", done.stderr);
    }
}

#[test]
fn usage_speaks_of_what_was_given_alone() {
    let done = Workspace::empty().run(["run"]);
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains(" run <ENV> -- <COMMAND>..."), "{}", done.stderr);
}

#[test]
fn checks_warn_of_what_a_build_would_refuse() {
    let workspace = Workspace::empty();
    workspace.write("docker.yaml", "name: i\ndockerfile: |\n  ARG TAG\n  FROM python:$TAG\n  RUN true\n");
    let done = workspace.run(["env", "check", "docker.yaml"]);
    assert_eq!(done.code, 0, "{}", done.stdout);
    let said = "warning[PV113]: the image `python:$TAG` depends on a variable without a value";
    assert!(done.stdout.contains(said), "{}", done.stdout);
    let done = workspace.run(["lock", "docker.yaml"]);
    assert!(done.code == 1 && done.stderr.contains("cannot be pinned: give it a default"), "{}", done.stderr);
    for (text, expected) in [
        ("python: \"3.12\"\n", "warning[PV112]: Debian's suites are not known to have Python 3.12"),
        (
            "base: debian/bookworm\npython: \"3.13\"\n",
            "warning[PV112]: Debian bookworm does not have Python 3.13",
        ),
    ] {
        workspace.write("python.yaml", text);
        let done = workspace.run(["env", "check", "python.yaml"]);
        assert_eq!(done.code, 0, "{}", done.stdout);
        assert!(done.stdout.contains(expected), "{}", done.stdout);
    }
    for text in ["python: \"3.13\"\n", "base: debian/forky\npython: \"3.14\"\n"] {
        workspace.write("python.yaml", text);
        let done = workspace.run(["env", "check", "python.yaml"]);
        assert!(!done.stdout.contains("PV112"), "{}", done.stdout);
    }
}

#[test]
fn remarks_come_in_the_order_of_lines() {
    let workspace = Workspace::empty();
    workspace.write("environment.yaml", "pip: [numpy]\npython: \"3.12\"\nname: azureml-x\n");
    let done = workspace.run(["env", "check", "environment.yaml"]);
    let codes: Vec<&str> = done
        .stdout
        .lines()
        .filter_map(|line| line.split_once(['[', ']'])?.1.get(..5))
        .filter(|code| code.starts_with("PV"))
        .collect();
    assert_eq!(codes, ["PV103", "PV112", "PV101"], "{}", done.stdout);
    let done = workspace.run(["-o", "json", "env", "check", "environment.yaml"]);
    let checked: Value = serde_json::from_str(&done.stdout).unwrap();
    let codes: Vec<_> =
        checked[0]["remarks"].as_array().unwrap().iter().map(|remark| &remark["code"]).collect();
    assert_eq!(codes, ["PV103", "PV112", "PV101"], "for programs too");
}
