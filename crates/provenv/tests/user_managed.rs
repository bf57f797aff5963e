//! User-managed environments: nothing is installed but the base, and commands find the interpreter that its user names.

use provenv_testing::pypi::{Index, Wheel};

use crate::support::{Workspace, serve};

const MANAGED: &str = "name: own\nuser_managed: true\nbase: debian/bookworm\n";

#[test]
fn nothing_is_installed_and_python_is_the_interpreter_that_is_named() {
    let Some(workspace) = Workspace::new() else { return };
    let server = serve(&Index::new().add(Wheel::new("tea", "1.0")));
    let noted = format!("pip:\n- --index-url {}\n- tea\npython: \"3.13\"\n", server.at("/simple/"));
    let text = format!("{MANAGED}system_packages: [python3]\ninterpreter_path: /usr/bin/python3\n{noted}");
    workspace.write("own.yaml", &text);
    let built = workspace.run(["build", "own.yaml"]).ok();
    assert!(!built.stderr.contains("PV135"), "{}", built.stderr);
    assert_eq!(server.hits("/simple/tea/"), 0, "what the base is said to have is not looked for");
    // What is noted of it is not part of the definition.
    workspace.write("bare.yaml", &text.replace(&noted, ""));
    let digest = |file: &str| workspace.run(["env", "digest", file]).ok().stdout;
    assert_eq!(digest("own.yaml"), digest("bare.yaml"));
    assert_eq!(workspace.json(["build", "bare.yaml"])["cached"], true);

    let script = "import os, sys; print(sys.executable, sys.prefix, os.path.exists('/opt/provenv'), 'VIRTUAL_ENV' in os.environ)";
    workspace.write("who.py", script);
    let own = "/usr/bin/python3 /usr False False\n";
    for command in [
        &["python", "who.py"][..],
        &["python3", "who.py"],
        &["sh", "-c", "python who.py"],
        &["env", "python3", "who.py"],
    ] {
        let arguments = [&["run", "own.yaml", "--"], command].concat();
        assert_eq!(workspace.run(arguments).ok().stdout, own, "{command:?}");
    }
    workspace.write("job.yaml", "environment: own.yaml\ncode: src\ncommand: python who.py && echo done\n");
    workspace.write("src/who.py", script);
    workspace.run(["submit", "job.yaml"]).ok();
    assert_eq!(workspace.run(["runs", "logs", "latest"]).ok().stdout, format!("{own}done\n"));
    // A name is looked for on PATH, and one that is not asked for stays what it is.
    workspace.write("bare.yaml", &text.replace("/usr/bin/python3\n", "python3.11\n"));
    let found =
        workspace.run(["run", "bare.yaml", "--", "sh", "-c", "command -v python3.11; python -V"]).ok();
    assert!(found.stdout.starts_with("/usr/bin/python3.11\nPython 3.11."), "{}", found.stdout);
    let checked = workspace.run(["env", "check", "own.yaml", "bare.yaml", "--image"]).ok();
    assert!(checked.stderr.contains("own.yaml: /usr/bin/python3 is Python 3.11."), "{}", checked.stderr);
    assert!(!checked.stdout.contains("PV135"), "{}", checked.stdout);
    assert_eq!(workspace.json(["build", "own.yaml", "--force"])["reproduced"], true);
}

#[test]
fn an_interpreter_that_is_not_there_is_said_where_it_is_asked_for() {
    let Some(workspace) = Workspace::new() else { return };
    let said = |text: &str| {
        workspace.write("own.yaml", &format!("{MANAGED}{text}"));
        let built = workspace.run(["build", "own.yaml"]).ok().stderr;
        let checked = workspace.run(["env", "check", "own.yaml", "--image", "--deny", "warnings"]);
        assert_eq!(checked.code, 1, "{}", checked.stdout);
        for text in [&built, &checked.stdout] {
            assert!(text.contains("warning[PV135]"), "{text}");
        }
        checked.stdout
    };
    // Nothing brings one.
    let text = said("");
    assert!(text.contains("`python` cannot be started") && text.contains("own.yaml:2:15"), "{text}");
    assert_eq!(workspace.run(["run", "own.yaml", "--", "python", "-V"]).code, 127);
    // Debian's has another name.
    let text = said("system_packages: [python3]\n");
    assert!(
        text.contains("there is a python3 (3.11.") && text.contains("`interpreter_path: python3`"),
        "{text}"
    );
    // Another path; a file that is no program; a program that is no Python.
    let text = said("system_packages: [python3]\ninterpreter_path: /opt/py/bin/python\n");
    assert!(
        text.contains("`/opt/py/bin/python` cannot be started") && text.contains("own.yaml:5:19"),
        "{text}"
    );
    assert!(said("interpreter_path: /etc/passwd\n").contains("cannot be executed"));
    assert!(said("interpreter_path: /bin/cat\n").contains("`/bin/cat` is no Python that works"));
}
