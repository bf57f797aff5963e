//! Names, destinations and workspaces that are not there or cannot be.

use super::{refusal, regex_escape};
use crate::support::{Done, Workspace};

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

      tip: some similar subcommands exist: 'bundle', 'builds', 'build'

    Usage: provenv [OPTIONS] <COMMAND>

    For more information, try '--help'.
    "#);
}
