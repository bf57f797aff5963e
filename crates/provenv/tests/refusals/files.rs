//! Files that are wrong or cannot be read.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::{build, refusal, regex_escape};
use crate::support::{Done, Workspace, have, is_root};

// ---- files

#[test]
fn a_file_is_wrong_at_a_line_and_column() {
    let workspace = Workspace::empty();
    assert_refusal!(workspace, build(&workspace, "name: tea\npython: \"3.11\"\nsystem_package: [git]\n"), @r#"
    2
    error[PV004]: unknown key `system_package`
      --> environment.yaml:3:1
      |
    3 | system_package: [git]
      | ^^^^^^^^^^^^^^
      = hint: did you mean `system_packages`?
    "#);
    assert_refusal!(workspace, build(&workspace, "name: tea\npip:\n- numpy\n- sci kit-learn>=1\n"), @r#"
    2
    error[PV010]: unexpected `kit-learn>=1`
      --> environment.yaml:4:7
      |
    4 | - sci kit-learn>=1
      |       ^^^^^^^^^^^^
    "#);
    assert_refusal!(workspace, build(&workspace, "name: tea\npip: [numpy\npython: 3\n"), @r#"
    2
    error[PV003]: invalid YAML: illegal placement of ':' indicator
      --> environment.yaml:3:7
      |
    3 | python: 3
      |       ^
    "#);
    assert_refusal!(workspace, build(&workspace, "name: tea\npython: three\n"), @r#"
    2
    error[PV019]: `three` is not a Python version such as 3.11 or 3.11.x
      --> environment.yaml:2:9
      |
    2 | python: three
      |         ^^^^^
      = hint: write it in quotes, e.g. `python: "3.11"`
    "#);
    assert_refusal!(workspace, build(&workspace, "name: tea\nname: pot\n"), @r#"
    2
    error[PV006]: `name` is given twice, first in line 1
      --> environment.yaml:2:1
      |
    2 | name: pot
      | ^^^^
    "#);
    assert_refusal!(workspace, build(&workspace, ""), @r#"
    2
    error[PV003]: the file is empty
      --> environment.yaml
      = hint: an environment needs at least one key, e.g. `pip`
    "#);

    workspace.write("requirements.txt", "numpy\nscipy==1.*.2  # no\n");
    assert_refusal!(workspace, workspace.run(["build", "requirements.txt"]), @r#"
    2
    error[PV010]: `1.*.2` is not a version
      --> requirements.txt:2:8
      |
    2 | scipy==1.*.2  # no
      |        ^^^^^
    "#);
    workspace.write("requirements.txt", "--index-urll http://localhost/\nnumpy\n");
    assert_refusal!(workspace, workspace.run(["build", "requirements.txt"]), @r#"
    2
    error[PV011]: unknown option `--index-urll`
      --> requirements.txt:1:1
      |
    1 | --index-urll http://localhost/
      | ^^^^^^^^^^^^
      = hint: did you mean `--index-url`?
    "#);
    assert_refusal!(workspace, workspace.run(["build", "absent.yaml"]), @r#"
    2
    error[PV001]: cannot read the file: No such file or directory (os error 2)
      --> absent.yaml
      = hint: check the path and the working folder
    "#);
    fs_err::create_dir(workspace.path().join("empty")).unwrap();
    assert_refusal!(workspace, workspace.run(["build", "empty/"]), @r#"
    2
    error[PV040]: no file in this folder is known to say what an environment needs
      --> empty
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
      --> environment.yaml
      = hint: make it readable for your user
    "#);
}
