//! `provenv env export`: the files, where they go, and what is said of what they cannot carry.

#[path = "../../definition/tests/peers/mod.rs"]
mod peers;
use std::path::Path;
use std::process::Command;

use provenv_testing::pypi::{Index, Wheel};

use crate::support::{Workspace, definition, serve};

const ENVIRONMENT: &str = "\
name: digits
base: debian/trixie
python: \"3.13\"
system_packages: [git]
pip:
- numpy>=1.26
environment_variables: {API_TOKEN: hunter2}
";

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_file_goes_to_standard_output_and_what_it_lacks_to_standard_error() {
    let workspace = Workspace::empty();
    workspace.write("environment.yaml", ENVIRONMENT);
    let done = workspace.run(["env", "export", "environment.yaml", "--format", "requirements"]).ok();
    assert_eq!(done.stdout, "numpy>=1.26\n");
    for line in [
        "warning: not carried: the base, Debian trixie: a requirements file has no place for it\n",
        "warning: not carried: the system packages `git`: a requirements file has no place for them\n",
        "warning: not carried: Python 3.13: a requirements file has no place for it\n",
        "note: not carried: the environment variables `API_TOKEN`: a requirements file has no place for them\n",
    ] {
        assert!(done.stderr.contains(line), "{line}{}", done.stderr);
    }
    assert!(!done.stderr.contains("hunter2"), "{}", done.stderr);
    let quiet = workspace.run(["env", "export", "environment.yaml", "--format", "requirements", "-q"]).ok();
    assert_eq!((&*quiet.stdout, &*quiet.stderr), ("numpy>=1.26\n", ""));

    let json = workspace.json(["env", "export", "environment.yaml", "-f", "conda"]);
    assert_eq!((&json["format"], &json["locked"]), (&"conda".into(), &false.into()));
    assert_eq!(json["files"][0]["name"], "environment.yml");
    assert!(json["files"][0]["text"].as_str().unwrap().contains("  - python=3.13\n"), "{json}");
    let counts = |part: &serde_json::Value| part["counts"].as_bool().unwrap();
    assert_eq!(json["not_carried"].as_array().unwrap().iter().filter(|part| counts(part)).count(), 3);

    // What is written in our own format is the same definition.
    let digest = |file: &str| workspace.run(["env", "digest", file]).ok().stdout;
    workspace.run(["env", "export", "environment.yaml", "-f", "native", "--to", "again.yaml"]).ok();
    assert_eq!(digest("again.yaml"), digest("environment.yaml"));
}

#[test]
fn several_files_go_to_a_folder() {
    let workspace = Workspace::empty();
    workspace.write("environment.yaml", "name: a\ndockerfile: |\n  FROM b:1\npip: [numpy]\n");
    let export = |more: &[&str]| workspace.run(["env", "export", "environment.yaml"].iter().chain(more));
    let v1 = export(&["--format", "azureml-v1"]);
    assert_eq!(v1.code, 2);
    let said = "`azureml-v1` writes `azureml_environment.json`, `BaseDockerfile`, `conda_dependencies.yml`, and \
                standard output takes one file";
    assert!(v1.stderr.contains(said) && v1.stderr.contains("hint: give a folder"), "{}", v1.stderr);

    let listed = export(&["--format", "azureml-v1", "--to", "new/folder"]).ok().stdout;
    assert_eq!(listed.lines().count(), 3, "{listed}");
    let folder = workspace.path().join("new/folder");
    let all = ["BaseDockerfile", "azureml_environment.json", "conda_dependencies.yml"];
    assert_eq!(files(&folder), all);
    export(&["--format", "azureml-v1", "--to", "new/folder"]).ok();

    // A file that would be read with others than its own is not left beside them.
    workspace.write("environment.yaml", "name: a\nimage: b:1\npip: [numpy]\n");
    let stale = export(&["--format", "azureml-v1", "--to", "new/folder"]);
    assert_eq!(stale.code, 2);
    assert!(stale.stderr.contains("BaseDockerfile` is of another environment"), "{}", stale.stderr);
    assert_eq!(files(&folder), all);

    let file = export(&["--format", "azureml-v1", "--to", "environment.yaml"]);
    assert!(file.code == 2 && file.stderr.contains("is a file"), "{}", file.stderr);
    export(&["--format", "conda", "--to", "new/"]).ok();
    assert_eq!(files(&workspace.path().join("new")), ["environment.yml", "folder"]);
}

#[test]
fn formats_of_locks_ask_for_a_lock_unless_the_file_is_one() {
    let workspace = Workspace::empty();
    workspace.write("environment.yaml", ENVIRONMENT);
    let refused = workspace.run(["env", "export", "environment.yaml", "--format", "pylock"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("hint: write the lock: add --locked"), "{}", refused.stderr);

    let sha256 = "a".repeat(64);
    let lock = format!(
        "lock-version = \"1.0\"\ncreated-by = \"test\"\n[[packages]]\nname = \"a\"\nversion = \"1.0\"\nwheels = [{{ url = \
         \"https://h.test/a-1.0-py3-none-any.whl\", hashes = {{ sha256 = \"{sha256}\" }} }}]\n"
    );
    workspace.write("pylock.toml", &lock);
    let again = workspace.run(["env", "export", "pylock.toml", "--format", "pylock"]).ok().stdout;
    assert!(again.contains(&sha256) && again.contains("https://h.test/a-1.0-py3-none-any.whl"), "{again}");
    let refused = workspace.run(["env", "export", "pylock.toml", "--format", "conda-lock"]);
    assert!(refused.code == 1 && refused.stderr.contains("the lock has none"), "{}", refused.stderr);
}

/// The real tools read what is written of a lock, and install from it what was chosen.
#[test]
fn locks_are_what_pip_and_uv_take_them_for() {
    let leaf = |version: &str| Wheel::new("leaf", version).file("leaf/__init__.py", "KIND = 'green'\n");
    let index =
        Index::new().add(leaf("1.0")).add(leaf("2.0")).add(Wheel::new("tree", "3").requires("leaf<2"));
    let server = serve(&index);
    let Some(workspace) = Workspace::new() else { return };
    workspace.write("tea.yaml", &definition(&server, "tea", &["tree"]));
    let export = |format: &str, to: &str| {
        workspace.run(["env", "export", "tea.yaml", "--locked", "--format", format, "--to", to]).ok()
    };
    let done = export("requirements", "requirements.txt");
    assert!(done.stderr.contains("Debian packages that came along"), "{}", done.stderr);
    let requirements = fs_err::read_to_string(workspace.path().join("requirements.txt")).unwrap();
    for line in ["--require-hashes", "leaf==1.0 --hash=sha256:", "tree==3 --hash=sha256:"] {
        assert!(requirements.lines().any(|text| text.starts_with(line)), "{line}: {requirements}");
    }
    export("pylock", "pylock.toml");
    export("native", "pinned.yaml");
    let pinned = fs_err::read_to_string(workspace.path().join("pinned.yaml")).unwrap();
    assert!(pinned.contains("base: debian/bookworm\n") && pinned.contains("python: \"3.11."), "{pinned}");
    let conda = export("conda", "environment.yml");
    assert!(conda.stderr.contains("written as conda's package `python`"), "{}", conda.stderr);
    export("dockerfile", "Dockerfile");
    let dockerfile = fs_err::read_to_string(workspace.path().join("Dockerfile")).unwrap();
    assert!(dockerfile.contains("'leaf==1.0 --hash=sha256:"), "{dockerfile}");
    let refused = workspace.run(["env", "export", "tea.yaml", "--locked", "--format", "explicit"]);
    assert!(refused.code == 1 && refused.stderr.contains("hint: write it as pylock"), "{}", refused.stderr);
    let other = ["env", "export", "tea.yaml", "--locked", "-f", "pylock", "--platform", "linux/arm64"];
    let other = workspace.run(other);
    assert!(other.code == 1 && other.stderr.contains("nothing for linux/arm64"), "{}", other.stderr);
    // The answer, written as a question, has the same answer.
    let pins = workspace.json(["lock", "pinned.yaml", "--file", "pinned.lock.json"]);
    assert_eq!(pins["packages"], workspace.json(["lock", "tea.yaml", "--file", "tea.lock.json"])["packages"]);

    let Some(venv) = peers::venv("python", &["python3.11"], &["packaging>=25.1", "uv"]) else { return };
    let python = |arguments: &[&str]| {
        let mut command = Command::new(venv.join("bin/python"));
        let output = command.args(arguments).current_dir(workspace.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let check = "import tomllib; from packaging.pylock import Pylock\n\
                 lock = Pylock.from_dict(tomllib.load(open('pylock.toml', 'rb'))); lock.validate()\n\
                 print(*[f'{p.name} {p.version}' for p in lock.packages], sep=', ')";
    assert_eq!(python(&["-c", check]), "leaf 1.0, tree 3\n");
    python(&["-m", "venv", "--clear", "by-uv"]);
    let uv = ["-m", "uv", "pip", "--no-config", "--no-cache"];
    let install = ["install", "--python", "by-uv", "--preview-features", "pylock", "-r", "pylock.toml"];
    let dry: Vec<&str> = uv.iter().chain(&install).chain(&["--dry-run"]).copied().collect();
    python(&dry);
    python(&uv.iter().chain(&install).copied().collect::<Vec<_>>());
    python(&["-m", "venv", "--clear", "by-pip"]);
    let pip = ["install", "--quiet", "--no-deps", "--requirement", "requirements.txt"];
    let pip: Vec<&str> =
        ["-m", "pip", "--isolated", "--python", "by-pip"].iter().chain(&pip).copied().collect();
    python(&pip);
    for folder in ["by-uv", "by-pip"] {
        let installed = Command::new(workspace.path().join(folder).join("bin/python"))
            .args(["-c", "from importlib.metadata import version; print(version('leaf'), version('tree'))"])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&installed.stdout), "1.0 3\n", "{folder}");
    }
}
