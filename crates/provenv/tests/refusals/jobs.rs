//! Jobs that are wrong.

use super::{refusal, regex_escape};
use crate::support::Workspace;

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
    workspace.write("tea.lock.json", r#"{"format": 2, "definition": "sha256:00", "platforms": {}}"#);
    for command in [["build", "tea.lock.json"].as_slice(), &["env", "check", "tea.lock.json"]] {
        let done = workspace.run(command);
        let said = done.stdout.clone() + &done.stderr;
        assert!(
            said.contains("this is a lock of Provenv") && said.contains("`provenv build FILE --lock "),
            "{said}"
        );
    }
    assert_refusal!(workspace, workspace.run(["submit", "absent.yaml"]), @r#"
    125
    error[PV001]: cannot read the file: No such file or directory (os error 2)
      --> absent.yaml
      = hint: check the path and the working folder
    "#);
}
