//! Folders and environments on disk, by the real binary.

use std::path::Path;

use provenv_testing::pypi::{Index, Wheel};

use crate::support::{Workspace, definition, serve};

/// A virtual environment on paper, with one package that somebody asked for.
fn venv(workspace: &Workspace, folder: &str) {
    workspace.write(&format!("{folder}/pyvenv.cfg"), "home = /usr/bin\nversion = 3.11.2\n");
    let info = format!("{folder}/lib/python3.11/site-packages/left_pad-1.2.dist-info");
    workspace.write(&format!("{info}/METADATA"), "Name: left-pad\nVersion: 1.2\n\n");
    for file in ["RECORD", "REQUESTED"] {
        workspace.write(&format!("{info}/{file}"), "");
    }
}

/// A conda environment on paper.
fn conda(workspace: &Workspace, prefix: &str) {
    let record = r#"{"name": "numpy", "version": "1.26.4", "build": "py311_0", "subdir": "linux-64",
        "channel": "https://conda.anaconda.org/conda-forge/linux-64"}"#;
    workspace.write(&format!("{prefix}/conda-meta/numpy-1.26.4-py311_0.json"), record);
    workspace.write(&format!("{prefix}/conda-meta/history"), "# update specs: ['numpy>=1.20']\n");
}

#[test]
fn an_environment_is_written_down_and_read_back() {
    let workspace = Workspace::empty();
    venv(&workspace, "env");
    let printed = workspace.run(["env", "capture", "env"]).ok();
    assert_eq!(printed.stdout, "python: \"3.11\"\npip:\n  - left-pad==1.2\n");
    assert_eq!(printed.stderr, "");
    let exact = workspace.run(["env", "capture", "env", "--exact", "--environment-name", "pads"]).ok();
    assert_eq!(exact.stdout, "name: pads\npython: \"3.11.2\"\npip:\n  - left-pad==1.2\n");

    workspace.run(["env", "capture", "env", "--to", "environment.yaml"]).ok();
    assert_eq!(fs_err::read_to_string(workspace.path().join("environment.yaml")).unwrap(), printed.stdout);
    let again = workspace.run(["env", "capture", "env", "--to", "environment.yaml"]).ok();
    assert!(again.stderr.contains("note: `environment.yaml` is replaced"), "{}", again.stderr);
    let digest = |reference: &str| workspace.run(["env", "digest", reference]).ok().stdout;
    assert_eq!(digest("environment.yaml"), digest("./env"), "the environment itself is a definition too");
    assert_eq!(digest("environment.yaml"), digest("env"));

    let json = workspace.json(["env", "capture", "env"]);
    assert_eq!(json["format"], "python-prefix");
    assert_eq!(json["environment"]["definition"]["pip"]["requirements"][0]["requirement"], "left-pad==1.2");
}

#[test]
fn what_is_active_is_taken_where_nothing_is_named() {
    let workspace = Workspace::empty();
    venv(&workspace, "env");
    conda(&workspace, "root/envs/sums");
    let capture = |arguments: &[&str], variables: &[(&str, &Path)]| {
        let mut command = workspace.command();
        for name in ["VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_EXE", "CONDA_ENVS_PATH", "MAMBA_ROOT_PREFIX"] {
            command.env_remove(name);
        }
        command.env("HOME", workspace.path()).envs(variables.iter().copied());
        crate::support::Done::from(command.args(["env", "capture"]).args(arguments).output().unwrap())
    };
    let (env, sums, root) = (
        workspace.path().join("env"),
        workspace.path().join("root/envs/sums"),
        workspace.path().join("root"),
    );
    let pads = "python: \"3.11\"\npip:\n  - left-pad==1.2\n";
    assert_eq!(capture(&[], &[("VIRTUAL_ENV", &env), ("CONDA_PREFIX", &sums)]).ok().stdout, pads);
    for (arguments, variable, value) in [
        (&[][..], "CONDA_PREFIX", &sums),
        (&["--name", "sums"], "CONDA_PREFIX", &sums),
        (&["-n", "sums"], "MAMBA_ROOT_PREFIX", &root),
    ] {
        let found = capture(arguments, &[(variable, value)]).ok().stdout;
        assert!(found.starts_with("name: sums\n") && found.contains("numpy>=1.20"), "{found}");
    }
    let absent = capture(&["--name", "summs"], &[("MAMBA_ROOT_PREFIX", &root)]);
    assert_eq!(absent.code, 2);
    assert!(absent.stderr.contains("did you mean `sums`?"), "{}", absent.stderr);
    assert_eq!(capture(&["env", "--name", "sums"], &[]).code, 2, "one or the other");
    assert_eq!(capture(&["env", "--exact", "--history"], &[]).code, 2, "one or the other");
}

#[test]
fn a_python_is_asked_where_its_packages_are() {
    let workspace = Workspace::empty();
    if !crate::support::have("python3") {
        return;
    }
    let mut venv = std::process::Command::new("python3");
    venv.args(["-m", "venv", "--without-pip", "real"]).current_dir(workspace.path());
    let made = venv.output().unwrap();
    if !made.status.success() {
        return crate::support::skip("python3 has no venv");
    }
    // What stands in the working folder must not answer in its place.
    workspace.write("json.py", "raise SystemExit('asked the wrong module')\n");
    let found = workspace.run(["env", "capture", "--python", "real/bin/python"]).ok();
    assert!(found.stdout.starts_with("python: \"3."), "{}{}", found.stdout, found.stderr);
    assert_eq!(found.stdout.lines().count(), 1, "{}", found.stdout);
    workspace.run(["env", "capture", "--python", "python3"]).ok();
    for (python, said) in [("no-such-python", "No such file"), ("false", "it says nothing")] {
        let refused = workspace.run(["env", "capture", "--python", python]);
        assert_eq!(refused.code, 1);
        assert!(refused.stderr.contains(said) && refused.stderr.contains("hint:"), "{}", refused.stderr);
    }
}

#[test]
fn a_folder_stands_for_the_file_in_it_that_says_most() {
    let workspace = Workspace::empty();
    workspace.write("project/environment.yaml", "name: tea\npip: [left-pad==1.2]\n");
    workspace.write("project/requirements.txt", "left-pad==1.0\n");
    workspace.write("project/Dockerfile", "FROM scratch\n");
    for reference in ["project", "project/", "./project"] {
        let shown = workspace.run(["env", "show", reference]).ok();
        assert!(shown.stdout.contains("left-pad==1.2"), "{}", shown.stdout);
        let said = "info[PV039]: `environment.yaml` was taken of this folder; passed over: `requirements.txt`, `Dockerfile`";
        assert!(shown.stderr.contains(said), "{}", shown.stderr);
    }
    let here = workspace
        .command()
        .current_dir(workspace.path().join("project"))
        .args(["env", "check", "."])
        .output();
    let here = crate::support::Done::from(here.unwrap()).ok();
    assert!(here.stdout.contains("--> environment.yaml"), "{}", here.stdout);
    assert!(here.stdout.contains("e.g. `./requirements.txt`"), "{}", here.stdout);

    workspace.write("wrong/requirements.txt", "left-pad=1.0\n");
    workspace.write("empty/notes.md", "");
    assert_eq!(workspace.run(["env", "check", "wrong"]).code, 1, "it is there and has errors");
    assert_eq!(workspace.run(["env", "check", "empty"]).code, 2, "there is nothing to read");
    let unknown = workspace.run(["env", "show", "neither-name-nor-folder"]);
    assert!(unknown.code != 0 && !unknown.stderr.contains("PV040"), "{}", unknown.stderr);
}

#[test]
fn a_folder_is_locked_and_a_registered_name_comes_before_one() {
    let Some(workspace) = Workspace::new() else { return };
    let server = serve(&Index::new().add(Wheel::new("left-pad", "1.2")));
    workspace.write("project/environment.yaml", &definition(&server, "tea", &["left-pad"]));
    workspace.write("project/Dockerfile", "FROM scratch\n");
    let locked = workspace.run(["lock", "project"]).ok();
    assert!(locked.stderr.contains("info[PV039]"), "{}", locked.stderr);
    assert!(workspace.path().join("project/environment.lock.json").is_file(), "{}", locked.stdout);
    workspace.run(["lock", "project", "--check"]).ok();
    workspace.run(["env", "register", "project"]).ok();
    // A folder of that name changes nothing about the name.
    workspace.write("tea/requirements.txt", "no-such-package==9\n");
    let shown = workspace.run(["env", "show", "tea"]).ok();
    assert!(shown.stdout.contains("tea:1") && !shown.stdout.contains("no-such-package"), "{}", shown.stdout);
    let folder = workspace.run(["env", "show", "tea/"]).ok();
    assert!(folder.stdout.contains("no-such-package==9"), "{}", folder.stdout);
    let ran = workspace.run(["run", "project", "--", "python", "-c", "import left_pad"]).ok();
    assert!(ran.stderr.contains("info[PV039]"), "{}", ran.stderr);
}
