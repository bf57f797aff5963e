//! What is refused, in the words that a user reads: what was being done, why it failed, where, and what to do next.

mod support;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use provenv_testing::pypi::{Index, Sdist, Wheel};
use provenv_testing::server::Server;
use support::{Done, PYTHON, Workspace, definition, have, is_root, serve};

fn index() -> Index {
    Index::new()
        .add(Wheel::new("tea", "1.0").requires("leaf>=1"))
        .add(Wheel::new("leaf", "1.0"))
        .add(Wheel::new("leaf", "2.0"))
        .add(Wheel::new("pot", "1.0").requires("leaf<1.5"))
        .add(Wheel::new("cup", "1.0").requires("leaf>=2"))
        .add(Wheel::new("newer", "1.0").requires_python(">=3.14"))
        .add(Sdist::new("cracked", "1.0").fails("there is a crack in it"))
}

/// Exit code and standard error of a command, with what differs from run to run taken out.
fn refusal(done: &Done) -> String {
    assert_eq!(done.stdout, "", "nothing but results on standard output");
    format!("{}\n{}", done.code, done.stderr)
}

macro_rules! assert_refusal {
    ($workspace:expr, $done:expr, @$snapshot:literal) => {
        let folder = regex_escape($workspace.path().to_str().unwrap());
        insta::with_settings!({filters => vec![
            (folder.as_str(), "[DIR]"),
            (r"127\.0\.0\.1:\d+", "[HOST]"),
            (r"127_0_0_1_\d+", "[HOST]"),
            (r"sha256:[0-9a-f]{64}", "[DIGEST]"),
            (r"\b[0-9a-f]{64}\b", "[HEX]"),
            (r"3\.11\.\d+", "3.11.x"),
            (r"retries in [\d.]+s", "retries in [TIME]"),
            // What the mirror of the day carries.
            (r"(?m)^note: .*\n", ""),
            // How far it was.
            (r"(?m)^(resolving|fetching|assembling|unpacking|publishing)(: .*)?\n", ""),
            (r"(has Python [\d.]+): .*", "$1: [SUITES]"),
            (r"at https?://\S+/debian\b", "at [MIRROR]"),
        ]}, {
            insta::assert_snapshot!(refusal(&$done), @$snapshot);
        });
    };
}

fn regex_escape(text: &str) -> String {
    text.replace('.', r"\.").replace('+', r"\+")
}

/// A workspace and an index; the text is put into `environment.yaml` and built.
fn build(workspace: &Workspace, text: &str) -> Done {
    workspace.write("environment.yaml", text);
    workspace.run(["build", "environment.yaml"])
}

fn with_packages(workspace: &Workspace, server: &Server, packages: &[&str]) -> Done {
    build(workspace, &definition(server, "tea", packages))
}

// ---- files

#[test]
fn a_file_is_wrong_at_a_line_and_column() {
    let workspace = Workspace::empty();
    assert_refusal!(workspace, build(&workspace, "name: tea\npython: \"3.11\"\nsystem_package: [git]\n"), @r#"
    2
    error[PV004]: unknown key `system_package`
      --> [DIR]/environment.yaml:3:1
      |
    3 | system_package: [git]
      | ^^^^^^^^^^^^^^
      = hint: did you mean `system_packages`?
    "#);
    assert_refusal!(workspace, build(&workspace, "name: tea\npip:\n- numpy\n- sci kit-learn>=1\n"), @r#"
    2
    error[PV010]: unexpected `kit-learn>=1`
      --> [DIR]/environment.yaml:4:7
      |
    4 | - sci kit-learn>=1
      |       ^^^^^^^^^^^^
    "#);
    assert_refusal!(workspace, build(&workspace, "name: tea\npip: [numpy\npython: 3\n"), @r#"
    2
    error[PV003]: invalid YAML: illegal placement of ':' indicator
      --> [DIR]/environment.yaml:3:7
      |
    3 | python: 3
      |       ^
    "#);
    assert_refusal!(workspace, build(&workspace, "name: tea\npython: three\n"), @r#"
    2
    error[PV019]: `three` is not a Python version such as 3.11 or 3.11.x
      --> [DIR]/environment.yaml:2:9
      |
    2 | python: three
      |         ^^^^^
      = hint: write it in quotes, e.g. `python: "3.11"`
    "#);
    assert_refusal!(workspace, build(&workspace, "name: tea\nname: pot\n"), @r#"
    2
    error[PV006]: `name` is given twice, first in line 1
      --> [DIR]/environment.yaml:2:1
      |
    2 | name: pot
      | ^^^^
    "#);
    assert_refusal!(workspace, build(&workspace, ""), @r#"
    2
    error[PV003]: the file is empty
      --> [DIR]/environment.yaml
      = hint: an environment needs at least one key, e.g. `pip`
    "#);

    workspace.write("requirements.txt", "numpy\nscipy==1.*.2  # no\n");
    assert_refusal!(workspace, workspace.run(["build", "requirements.txt"]), @r#"
    2
    error[PV010]: `1.*.2` is not a version
      --> [DIR]/requirements.txt:2:8
      |
    2 | scipy==1.*.2  # no
      |        ^^^^^
    "#);
    workspace.write("requirements.txt", "--index-urll http://localhost/\nnumpy\n");
    assert_refusal!(workspace, workspace.run(["build", "requirements.txt"]), @r#"
    2
    error[PV011]: unknown option `--index-urll`
      --> [DIR]/requirements.txt:1:1
      |
    1 | --index-urll http://localhost/
      | ^^^^^^^^^^^^
      = hint: did you mean `--index-url`?
    "#);
    assert_refusal!(workspace, workspace.run(["build", "absent.yaml"]), @r#"
    2
    error[PV001]: cannot read the file: No such file or directory (os error 2)
      --> [DIR]/absent.yaml
      = hint: check the path and the working folder
    "#);
    fs_err::create_dir(workspace.path().join("empty")).unwrap();
    assert_refusal!(workspace, workspace.run(["build", "empty/"]), @r#"
    2
    error[PV040]: no file in this folder is known to say what an environment needs
      --> [DIR]/empty/
      = hint: name the file, or add one such as `environment.yaml`, `requirements.txt` or `pyproject.toml`
    "#);
}

#[test]
fn checking_tells_a_wrong_file_from_an_unreadable_one() {
    let workspace = Workspace::empty();
    workspace.write("wrong.yaml", "name: tea\nnam: pot\n");
    workspace.write("fine.yaml", "name: tea\n");
    assert_eq!(workspace.run(["env", "check", "fine.yaml"]).code, 0);
    assert_eq!(workspace.run(["env", "check", "fine.yaml", "wrong.yaml"]).code, 1);
    assert_eq!(workspace.run(["env", "check", "fine.yaml", "absent.yaml"]).code, 2);
}

#[test]
fn a_job_is_wrong() {
    let workspace = Workspace::empty();
    let submit = |text: &str| {
        workspace.write("job.yaml", text);
        workspace.run(["submit", "job.yaml"])
    };
    assert_refusal!(workspace, submit("environment: tea\ncode: .\n"), @r#"
    125
    error[PV050]: missing field `command`
      --> job.yaml:1:1
      |
    1 | environment: tea
      | ^
      = hint: a job needs `environment` and `command`; docs/reference/job.md lists all keys
    "#);
    assert_refusal!(workspace, submit("environment: tea\ncommand: ''\n"), @r#"
    125
    error[PV050]: `command` is empty
      --> job.yaml:2:1
      |
    2 | command: ''
      | ^^^^^^^
    "#);
    assert_refusal!(workspace, submit("environment: tea\ncommand: python t.py\noutputs: {../escape: }\n"), @r#"
    125
    error[PV050]: `../escape` cannot be the name of an output: use letters, digits, `_`, `-` and `.`
      --> job.yaml:3:11
      |
    3 | outputs: {../escape: }
      |           ^^^^^^^^^
    "#);
    assert_refusal!(workspace, submit("environment: tea\ncommand: python ${{inputs.rate}}\n"), @r#"
    125
    error[PV050]: `${{inputs.rate}}` names nothing: list it under `inputs` or `outputs`
      --> job.yaml:2:17
      |
    2 | command: python ${{inputs.rate}}
      |                 ^^^^^^^^^^^^^^^^
    "#);
    assert_refusal!(workspace, submit("environment: tea\ncomand: python\n"), @r#"
    125
    error[PV050]: unknown key `comand`
      --> job.yaml:2:1
      |
    2 | comand: python
      | ^
      = hint: did you mean `command`?
    "#);
    assert_refusal!(workspace, submit("type: sweep\nenvironment: tea\ncommand: python\n"), @r#"
    125
    error[PV050]: jobs of type `sweep` cannot be run; use `command`
      --> job.yaml:1:7
      |
    1 | type: sweep
      |       ^^^^^
    "#);
    assert_refusal!(workspace, submit("environment: tea\ncommand: python\n"), @r#"
    125
    error: there is no environment `tea` in this workspace
    hint: `provenv env list` shows what is registered; a file is given as a path, e.g. ./environment.yaml
    "#);
    assert_refusal!(workspace, submit("environment: {pip: [numpy>>1]}\ncommand: python\n"), @r#"
    125
    error[PV010]: `>>` is not an operator
      --> job.yaml:1:26
      |
    1 | environment: {pip: [numpy>>1]}
      |                          ^^
      = hint: the operators are ==, !=, <=, >=, <, >, ~= and ===
    "#);
    for (text, said) in [
        (
            "environment: tea\ncommand: python\noutputs: [o]\n",
            "`outputs` must be a mapping (`key: value`), not a list",
        ),
        ("environment: tea\ncommand: {a: b}\n", "`command` must be a text or a list of texts"),
        (
            "environment: tea\ncommand: python\ninputs: {data: {path: d}}\n",
            "`inputs.data` must be a text, a number or a truth value, not a mapping",
        ),
        (
            "environment: tea\ncommand: python\nlimits: 3\n",
            "`limits` must be a mapping (`key: value`), not a number",
        ),
        (
            "environment: tea\ncommand: python\ncode: nosrc\n",
            "`nosrc`, the folder with the code, does not exist",
        ),
        (
            "environment: tea\ncommand: python\ncode: job.yaml\n",
            "`job.yaml` is a file, and `code` names a folder",
        ),
    ] {
        let done = submit(text);
        let line = text.lines().count();
        let place = format!("--> job.yaml:{line}:");
        assert!(done.stderr.contains(said) && done.stderr.contains(&place), "{text}: {}", done.stderr);
    }
    workspace.write("requirements.txt", "numpy\n");
    workspace.write("tea.yaml", "name: tea\npip: [numpy]\n");
    for file in ["requirements.txt", "tea.yaml"] {
        let done = workspace.run(["submit", file]);
        assert!(done.stderr.contains("this is an environment, not a job"), "{}", done.stderr);
        assert!(done.stderr.contains(&format!("`provenv run {file} -- COMMAND`")), "{}", done.stderr);
    }
    for command in [["build", "job.yaml"].as_slice(), &["env", "check", "job.yaml"]] {
        let done = workspace.run(command);
        let said = done.stdout.clone() + &done.stderr;
        assert!(said.contains("this is a job, not an environment"), "{said}");
        assert!(said.contains("job.yaml` runs it") && said.contains("`provenv submit "), "{said}");
    }
    assert_refusal!(workspace, workspace.run(["submit", "absent.yaml"]), @r#"
    125
    error[PV001]: cannot read the file: No such file or directory (os error 2)
      --> absent.yaml
      = hint: check the path and the working folder
    "#);
}

// ---- names

#[test]
fn what_is_not_there_is_named() {
    let workspace = Workspace::empty();
    assert_refusal!(workspace, workspace.run(["build", "tea"]), @r#"
    1
    error: there is no environment `tea` in this workspace
    hint: `provenv env list` shows what is registered; a file is given as a path, e.g. ./environment.yaml
    "#);
    assert_refusal!(workspace, workspace.run(["run", "tea:7", "--", "true"]), @r#"
    125
    error: there is no environment `tea:7` in this workspace
    hint: `provenv env list` shows what is registered; a file is given as a path, e.g. ./environment.yaml
    "#);
    assert_refusal!(workspace, workspace.run(["upgrade", "tea"]), @r#"
    1
    error: there is no environment `tea` in this workspace
    hint: `provenv env list` shows what is registered; a file is given as a path, e.g. ./environment.yaml
    "#);
    assert_refusal!(workspace, workspace.run(["env", "show", "tea@latest"]), @r#"
    1
    error: there is no environment `tea@latest` in this workspace
    hint: `provenv env list` shows what is registered; a file is given as a path, e.g. ./environment.yaml
    "#);
    assert_refusal!(workspace, workspace.run(["runs", "show", "latest"]), @r#"
    1
    error: there is no run `latest` in this workspace
    hint: `provenv runs list` shows the runs
    "#);
    assert_refusal!(workspace, workspace.run(["runs", "logs", "tea-1"]), @r#"
    1
    error: there is no run `tea-1` in this workspace
    hint: `provenv runs list` shows the runs
    "#);
    assert_refusal!(workspace, workspace.run(["image", "show", "sha256:abcdef012345"]), @r#"
    1
    error: there is no image `sha256:abcdef012345` in this workspace
    hint: `provenv image list` shows the images
    "#);
    workspace.write("nameless.yaml", "python: \"3.11\"\n");
    assert_refusal!(workspace, workspace.run(["env", "register", "nameless.yaml"]), @r#"
    2
    error: the environment has no name
    hint: give it one: `name:` in the file, or --name
    "#);
    assert_refusal!(workspace, workspace.run(["upgrade", "digits:1"]), @r#"
    2
    error: an upgrade starts from the newest version, not from `digits:1`
    hint: give the name alone: `provenv upgrade digits`
    "#);
    assert_refusal!(workspace, workspace.run(["upgrade", "environment.yaml"]), @r#"
    2
    error: `environment.yaml` is a file, and an upgrade moves a registered environment
    hint: `provenv lock environment.yaml --upgrade` locks a file anew; `provenv env list` shows what is registered
    "#);
    assert_refusal!(workspace, workspace.run(["image", "show", "123456"]), @r#"
    1
    error: there is no image `123456` in this workspace
    hint: `provenv image list` shows the images
    "#);
    workspace.write("unlocked.yaml", "name: tea\n");
    assert_refusal!(workspace, workspace.run(["lock", "unlocked.yaml", "--check"]), @r#"
    1
    error: there is no lock `unlocked.lock.json`
    hint: `provenv lock unlocked.yaml` writes it
    "#);
}

#[test]
fn destinations_are_checked_before_anything_is_done() {
    let workspace = Workspace::empty();
    workspace.write("environment.yaml", "name: tea\n");
    let to = |destination: &str| workspace.run(["build", "environment.yaml", "--to", destination]);
    assert_refusal!(workspace, to("nonsense"), @r#"
    2
    error: `nonsense` does not name a registry
    hint: write HOST/NAME:TAG, such as localhost:5000/digits:1; a folder is oci:DIR, a file oci-archive:FILE or docker-archive:FILE
    "#);
    assert_refusal!(workspace, to("oci:"), @r#"
    2
    error: `oci:` names no file or folder
    hint: write oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:NAME:TAG]
    "#);
    assert_refusal!(workspace, to("oci:folder:not a tag"), @r#"
    2
    error: `not a tag` is not a tag
    hint: a tag has up to 128 letters, digits, `_`, `.` and `-`
    "#);
    assert_refusal!(workspace, to("docker-archive:file.tar:Upper"), @r#"
    2
    error: `Upper` is not the name of an image
    hint: write a lower-case name and a tag, such as digits:1
    "#);
    assert_refusal!(workspace, to("team/tea:1"), @r#"
    2
    error: `team/tea:1` does not name a registry
    hint: write HOST/NAME:TAG, such as localhost:5000/digits:1; a folder is oci:DIR, a file oci-archive:FILE or docker-archive:FILE
    "#);
    assert_refusal!(workspace, to("registry.example/Tea:1"), @r#"
    2
    error: `registry.example/Tea:1` is not a reference
      because: invalid reference format
    hint: write HOST/NAME:TAG, such as localhost:5000/digits:1; a folder is oci:DIR, a file oci-archive:FILE or docker-archive:FILE
    "#);
    assert!(!workspace.path().join("folder").exists());
    let done = to("./image");
    assert!(done.code == 2 && done.stderr.contains("a folder is oci:DIR"), "{}", done.stderr);
}

// ---- packages

#[test]
fn packages_that_cannot_be_had_are_explained() {
    let Some(workspace) = Workspace::new() else { return };
    let server = serve(&index());
    let wanted = |packages: &[&str]| with_packages(&workspace, &server, packages);
    assert_refusal!(workspace, wanted(&["no-such-package"]), @r#"
    1
    error: no index has the package `no-such-package`
      --> [DIR]/environment.yaml:5:3
      |
    5 | - no-such-package
      |   ^^^^^^^^^^^^^^^
    No solution found when resolving dependencies
      cause: Because no-such-package was not found in the package registry and you require no-such-package, we can conclude that your requirements are unsatisfiable.
    hint: check the spelling of `no-such-package`, and that the index that has it is among the definition's
    "#);
    assert_refusal!(workspace, wanted(&["tea>=7"]), @r#"
    1
    error: no choice of versions satisfies the requirements
      --> [DIR]/environment.yaml:5:3
      |
    5 | - tea>=7
      |   ^^^^^^
    No solution found when resolving dependencies
      cause: Because only tea==1.0 is available and you require tea>=7, we can conclude that your requirements are unsatisfiable.
    hint: loosen or drop one of the bounds that are named above
    "#);
    assert_refusal!(workspace, wanted(&["pot", "cup"]), @r#"
    1
    error: no choice of versions satisfies the requirements
      --> [DIR]/environment.yaml:5:3
      |
    5 | - pot
      |   ^^^
      --> [DIR]/environment.yaml:6:3
      |
    6 | - cup
      |   ^^^
    No solution found when resolving dependencies
      cause: Because all versions of cup depend on leaf>=2 and all versions of pot depend on leaf<1.5, we can conclude that all versions of cup and all versions of pot are incompatible.
             And because you require pot and cup, we can conclude that your requirements are unsatisfiable.
    hint: loosen or drop one of the bounds that are named above
    "#);
    assert_refusal!(workspace, wanted(&["newer"]), @r#"
    1
    error: a package is not made for Python 3.11.x
      --> [DIR]/environment.yaml:5:3
      |
    5 | - newer
      |   ^^^^^
    No solution found when resolving dependencies
      cause: Because the current Python version (3.11.x) does not satisfy Python>=3.14 and newer==1.0 depends on Python>=3.14, we can conclude that newer==1.0 cannot be used.
             And because only newer==1.0 is available and you require newer, we can conclude that your requirements are unsatisfiable.
    hint: ask for another version of the package, or for another Python than 3.11.x with the key `python`
    "#);
    assert_refusal!(workspace, wanted(&["cracked"]), @r#"
    1
    error: could not build `cracked==1.0`
      --> [DIR]/environment.yaml:5:3
      |
    5 | - cracked
      |   ^^^^^^^
    there is a crack in it
    all it said is in `[DIR]/workspace/builds/wheel-cracked-1.0.log`
    hint: ask for a version that has wheels for this Python, add what the build lacks to `system_packages`, or build the wheel elsewhere and give its folder with --find-links
    "#);
    let zeros = "0".repeat(64);
    assert_refusal!(workspace, wanted(&[&format!("leaf==1.0 --hash=sha256:{zeros}")]), @r#"
    1
    error: no file of `leaf` 1.0 has a hash that the definition gives
      --> [DIR]/environment.yaml:5:3
      |
    5 | - leaf==1.0 --hash=[DIGEST]
      |   ^^^^^^^^^
    hint: the definition admits [DIGEST]; the index has [DIGEST]
    "#);
}

#[test]
fn system_packages_and_pythons_that_no_suite_has() {
    let Some(workspace) = Workspace::new() else { return };
    let done = build(&workspace, "name: tea\npython: \"3.7\"\n");
    assert!(done.stderr.contains("bookworm has 3.11."), "it says which suite has what: {}", done.stderr);
    assert_refusal!(workspace, done, @r#"
    1
    error: no suite of Debian has Python 3.7: [SUITES]
      --> [DIR]/environment.yaml:2:9
      |
    2 | python: "3.7"
      |         ^^^^^
    hint: ask for one of these, or leave `python` out
    "#);
    let text = format!("name: tea\npython: \"{PYTHON}\"\nsystem_packages: [libgompp1]\n");
    assert_refusal!(workspace, build(&workspace, &text), @r#"
    1
    error: there is no package `libgompp1` in bookworm
      --> [DIR]/environment.yaml:3:19
      |
    3 | system_packages: [libgompp1]
      |                   ^^^^^^^^^
    hint: did you mean `libgomp1`?
    "#);
    let text = "name: tea\nbase: debian/potato\n";
    assert_refusal!(workspace, build(&workspace, text), @r#"
    1
    error: there is no suite `potato` at [MIRROR]
    hint: use the code name of a suite that the mirror carries, such as bookworm or trixie
    "#);
}

// ---- the network, secrets, permissions

#[test]
fn a_network_that_is_not_there() {
    let Some(workspace) = Workspace::new() else { return };
    // A port that was free a moment ago.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = format!("name: tea\npython: \"{PYTHON}\"\npip: [--index-url http://{closed}/simple/, tea]\n");
    assert_refusal!(workspace, build(&workspace, &text), @r#"
    1
    error: an index could not be reached
    Request failed after 3 retries in [TIME]
      cause: Failed to fetch: http://[HOST]/simple/tea/
      cause: error sending request for url (http://[HOST]/simple/tea/)
      cause: client error (Connect)
      cause: tcp connect error
      cause: Connection refused (os error 111)
    hint: is there a network, and is the index's URL right? behind a proxy, set HTTPS_PROXY; with a CA of your own, set SSL_CERT_FILE
    "#);
    workspace.write("environment.yaml", &text);
    assert_refusal!(workspace, workspace.run(["--offline", "build", "environment.yaml"]), @r#"
    1
    error: a package is not cached, and the network is not to be used
      --> [DIR]/environment.yaml:3:51
      |
    3 | pip: [--index-url http://[HOST]/simple/, tea]
      |                                                   ^^^
    No solution found when resolving dependencies
      cause: Because tea was not found in the cache and you require tea, we can conclude that your requirements are unsatisfiable.
    hint: run once with the network
          Packages were unavailable because the network was disabled. When the network is disabled, registry packages may only be read from the cache
    "#);

    let empty = Workspace::empty();
    empty.write("environment.yaml", "name: tea\npython: \"3.11\"\n");
    let done = empty
        .command()
        .args(["build", "environment.yaml"])
        .env("PROVENV_OFFLINE", "1")
        .output()
        .unwrap()
        .into();
    let done: Done = done;
    assert_eq!(done.code, 1);
    assert!(
        done.stderr.contains("the network is not to be used") && done.stderr.contains("hint: "),
        "{}",
        done.stderr
    );
}

#[test]
fn credentials_are_never_shown_or_kept() {
    const SECRET: &str = "hunter2-never-shown";
    let Some(workspace) = Workspace::new() else { return };
    let server = serve(&index());
    server.require_auth("me", "another");
    let with_secret = server.at("/simple/").replace("http://", &format!("http://me:{SECRET}@"));
    let text = format!("name: tea\npython: \"{PYTHON}\"\npip: [--index-url {with_secret}, tea]\n");
    let done = build(&workspace, &text);
    assert!(!done.stderr.contains(SECRET) && !done.stdout.contains(SECRET), "{}", done.stderr);
    assert_refusal!(workspace, done, @r#"
    2
    error[PV015]: credentials in a URL
      --> [DIR]/environment.yaml:3:26
      |
    3 | pip: [--index-url http://**********************@[HOST]/simple/, tea]
      |                          ^^^^^^^^^^^^^^^^^^^^^^
      = hint: write a variable, `https://${TOKEN}@host/…`, or keep them in netrc or the keyring
    "#);

    // Wrong ones from the environment.
    workspace.write("environment.yaml", &definition(&server, "tea", &["tea"]));
    let name = format!("127_0_0_1_{}", server.address().port());
    let mut command = workspace.command();
    command
        .env(format!("PROVENV_INDEX_{name}_USERNAME"), "me")
        .env(format!("PROVENV_INDEX_{name}_PASSWORD"), SECRET);
    let done: Done = command.args(["-vv", "build", "environment.yaml"]).output().unwrap().into();
    assert_eq!(done.code, 1);
    assert!(!done.stderr.contains(SECRET), "{}", done.stderr);
    assert!(done.stderr.contains("401") && done.stderr.contains("hint:"), "{}", done.stderr);

    let text =
        format!("name: tea\npip: [\"tea @ https://me:{SECRET}@files.example/tea-1.0-py3-none-any.whl\"]\n");
    workspace.write("direct.yaml", &text);
    for arguments in [
        &["env", "show", "direct.yaml"][..],
        &["-o", "json", "env", "check", "direct.yaml"],
        &["-vv", "build", "direct.yaml"],
    ] {
        let done = workspace.run(arguments);
        assert!(
            !done.stderr.contains(SECRET) && !done.stdout.contains(SECRET),
            "{arguments:?}: {}{}",
            done.stdout,
            done.stderr
        );
    }
    let kept = Command::new("grep").args(["-rl", SECRET]).arg(workspace.root()).output().unwrap();
    assert!(kept.stdout.is_empty(), "{}", String::from_utf8_lossy(&kept.stdout));
}

#[test]
fn a_file_that_may_not_be_read() {
    let workspace = Workspace::empty();
    let file = workspace.write("environment.yaml", "name: tea\n");
    fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o000)).unwrap();
    let mut command = workspace.command();
    if is_root() {
        // Root may read everything, unless it leaves that right behind.
        if !have("setpriv") {
            return;
        }
        let plain = command;
        command = Command::new("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all"]).arg(plain.get_program());
        command
            .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(workspace.path());
    }
    let done = Done::from(command.args(["build", "environment.yaml"]).output().unwrap());
    assert_refusal!(workspace, done, @r#"
    2
    error[PV001]: cannot read the file: Permission denied (os error 13)
      --> [DIR]/environment.yaml
      = hint: make it readable for your user
    "#);
}

#[test]
fn a_workspace_that_cannot_be() {
    let workspace = Workspace::empty();
    let file = workspace.write("file", "");
    let mut command = workspace.command();
    command.env("PROVENV_WORKSPACE", &file).args(["env", "list"]);
    assert_refusal!(workspace, Done::from(command.output().unwrap()), @r#"
    1
    error: the workspace cannot be at [DIR]/file: [DIR]/file is a file
    hint: name a folder with --workspace or PROVENV_WORKSPACE; it is made where it is missing
    "#);

    workspace.write("newer/store/format", "provenv store 99\n");
    let mut command = workspace.command();
    command.env("PROVENV_WORKSPACE", workspace.path().join("newer")).args(["env", "list"]);
    assert_refusal!(workspace, Done::from(command.output().unwrap()), @r#"
    1
    error: the store at `[DIR]/newer/store` has format 99, and this version knows formats up to 1
    hint: use the newer version of provenv, or another folder for the store
    "#);

    let broken = workspace.path().join("broken");
    let in_broken = |arguments: &[&str]| {
        let mut command = workspace.command();
        Done::from(command.env("PROVENV_WORKSPACE", &broken).args(arguments).output().unwrap())
    };
    in_broken(&["env", "list"]).ok();
    for file in fs_err::read_dir(&broken).unwrap().map(|entry| entry.unwrap().path()) {
        if file.is_file() {
            fs_err::remove_file(file).unwrap();
        }
    }
    workspace.write("broken/catalogue.db", &"no database ".repeat(1000));
    assert_refusal!(workspace, in_broken(&["env", "list"]), @r#"
    1
    error: the catalogue could not be read or written
      because: error returned from database: (code: 26) file is not a database
    hint: `catalogue.db` in the workspace's folder is damaged: put a copy of it back, or move it away to begin with an empty catalogue; the store keeps what it has until `provenv store gc`
    "#);
    fs_err::remove_file(broken.join("catalogue.db")).unwrap();
    in_broken(&["env", "list"]).ok();

    let config = workspace.write("config.toml", "[debian]\nmiror = \"http://localhost/debian\"\n");
    let mut command = workspace.command();
    command.env("PROVENV_CONFIG", config).args(["env", "list"]);
    assert_refusal!(workspace, Done::from(command.output().unwrap()), @r#"
    1
    error: [DIR]/config.toml: TOML parse error at line 2, column 1
      |
    2 | miror = "http://localhost/debian"
      | ^^^^^
    unknown field `miror`, expected one of `mirror`, `security_mirror`, `keyring`
    "#);

    assert_refusal!(workspace, workspace.run(["run", "tea", "--memory", "many", "--", "true"]), @r#"
    2
    error: invalid value 'many' for '--memory <SIZE>': `many` is not a size such as 512M or 2G

    For more information, try '--help'.
    "#);
    assert_refusal!(workspace, workspace.run(["run", "tea", "--set-env", "NOVALUE", "--", "true"]), @r#"
    2
    error: invalid value 'NOVALUE' for '--set-env <NAME=VALUE>': write NAME=VALUE

    For more information, try '--help'.
    "#);
    assert_refusal!(workspace, workspace.run(["biuld", "tea"]), @r#"
    2
    error: unrecognized subcommand 'biuld'

      tip: some similar subcommands exist: 'builds', 'build'

    Usage: provenv [OPTIONS] <COMMAND>

    For more information, try '--help'.
    "#);
}
