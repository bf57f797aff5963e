//! A machine that allows no namespaces: jobs run as plain processes, said aloud, and keep what they make.

use std::path::Path;
use std::process::Command;

use provenv_testing::pypi::{Index, Sdist, Wheel};

use crate::support::{Done, Workspace, command, definition, fill, serve, skip};

/// The binary where no user namespace may be made, without the rights that would do without; `None` where this cannot be
/// arranged.
fn without_namespaces(root: &Path, folder: &Path, arguments: &[&str]) -> Option<Done> {
    // A namespace can forbid itself further ones, which no test beside this one notices.
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all \"$@\"";
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_provenv")]);
    unshare.args(arguments).current_dir(folder).env("PROVENV_ALLOW_UNCONFINED", "1");
    for (name, value) in command(root).get_envs() {
        unshare.env(name, value.unwrap_or_default());
    }
    let done = Done::from(unshare.output().ok()?);
    if done.stderr.starts_with("unshare:") {
        skip(&format!("no user namespaces here, so none can be forbidden: {}", done.stderr));
        return None;
    }
    Some(done)
}

#[test]
fn a_job_keeps_its_outputs_without_namespaces() {
    let server = serve(&Index::new().add(Wheel::new("tea", "1.0").file("kettle.py", "NAME = 'tea'\n")));
    let workspace = Workspace::empty();
    let root = workspace.path().join("someone's work space");
    let Some(()) = fill(&root) else { return };
    workspace.write("tea.yaml", &definition(&server, "tea", &["tea"]));
    Done::from(command(&root).arg("build").arg(workspace.path().join("tea.yaml")).output().unwrap()).ok();
    workspace.write(
        "job.yaml",
        "environment: tea.yaml\noutputs: {pot: }\narguments: ['--to=${{outputs.pot}}/f']\ncommand: |\n  \
         set -e; echo a > ${{outputs.pot}}/a; echo b > \"${{outputs.pot}}/b\"; echo c > '${{outputs.pot}}/c'\n  \
         echo d > outputs/d; echo e > \"$PROVENV_OUTPUTS/e\"\n  \
         python -c 'import sys, kettle; open(sys.argv[1].split(\"=\")[1], \"w\").write(kettle.NAME)'\n",
    );
    let arguments = ["submit", "job.yaml", "-o", "json"];
    let Some(done) = without_namespaces(&root, workspace.path(), &arguments) else { return };
    let finished = done.json();
    assert!(done.stderr.contains("plain process"), "{}", done.stderr);
    let log =
        || fs_err::read_to_string(Path::new(finished["run"]["folder"].as_str().unwrap()).join("log.txt"));
    assert_eq!(done.code, 0, "{}{}{:?}", done.stdout, done.stderr, log());
    let outputs: Vec<&str> = finished["run"]["outputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|output| output["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        outputs,
        ["outputs/d", "outputs/e", "outputs/pot/a", "outputs/pot/b", "outputs/pot/c", "outputs/pot/f"]
    );
    // The same inside a sandbox, which leaves the same.
    let mut inside = command(&root);
    let again =
        Done::from(inside.args(arguments).current_dir(workspace.path()).output().unwrap()).ok().json();
    assert_eq!(again["run"]["outputs"], finished["run"]["outputs"]);
    let listing = |run: &serde_json::Value| {
        let folder = run["folder"].as_str().unwrap();
        let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(Result::unwrap);
        let relative = |entry: walkdir::DirEntry| {
            (entry.path().strip_prefix(folder).unwrap().to_owned(), entry.file_type().is_dir())
        };
        entries.map(relative).collect::<Vec<_>>()
    };
    assert_eq!(listing(&again["run"]), listing(&finished["run"]));
}

#[test]
fn an_sdist_is_built_without_namespaces_where_the_user_allows_it() {
    let server = serve(&Index::new().add(Sdist::new("leaf", "1.0")));
    let Some(workspace) = Workspace::new() else { return };
    workspace.write("leaf.yaml", &definition(&server, "leaf", &["leaf"]));
    let arguments = ["lock", "leaf.yaml", "-o", "json"];
    let Some(done) = without_namespaces(&workspace.root(), workspace.path(), &arguments) else { return };
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    assert!(done.stderr.contains("plain process"), "{}", done.stderr);
    workspace.run(["run", "leaf.yaml", "--", "python", "-c", "import leaf"]).ok();
}
