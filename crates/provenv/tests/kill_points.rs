//! Death at each step of writing: strace kills the process right before its nth call of a kind, for one n after the other. What
//! random moments seldom hit, these do.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use provenv_definition::Digest;
use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::Server;

use crate::support::{Done, Workspace, command, definition, eventually, have, serve, skip};

/// What makes things seen, durable or gone.
const CALLS: [&str; 3] =
    ["rename,renameat,renameat2,link,linkat", "fsync,fdatasync", "unlink,unlinkat,rmdir"];
/// Before which of them; each thread counts its own.
const DEATHS: [usize; 3] = [1, 2, 4];

fn serve_packages() -> Server {
    serve(&["one", "two"].iter().fold(Index::new(), |index, name| {
        index.add(Wheel::new(name, "1.0").file(&format!("{name}.py"), format!("NAME = '{name}'\n")))
    }))
}

/// Whether processes may be traced here.
fn can_trace() -> bool {
    if !have("strace") {
        return false;
    }
    let traced = Command::new("strace").args(["-f", "-e", "trace=none", "true"]).output().unwrap();
    if !traced.status.success() {
        skip(&format!("no process can be traced here: {}", String::from_utf8_lossy(&traced.stderr)));
    }
    traced.status.success()
}

/// Runs the binary until right before the nth of `calls` that one of its threads makes, tools that it starts included; `None` if one was killed there.
fn until(workspace: &Workspace, calls: &str, n: usize, arguments: &[&str]) -> Option<Done> {
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qqq", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
    traced.args(["-e", &format!("inject={calls}:signal=SIGKILL:when={n}")]);
    traced.arg(env!("CARGO_BIN_EXE_provenv")).args(arguments).current_dir(workspace.path());
    for (name, value) in command(&workspace.root()).get_envs() {
        traced.env(name, value.unwrap_or_default());
    }
    let done: Done = traced.stdin(Stdio::null()).output().unwrap().into();
    // What it had started, such as a compiler in its sandbox, ends when it notices.
    eventually("all of it is gone", || in_use_by(&workspace.root()) == 0);
    // Where a tool that it had started was killed instead, it says so and fails.
    (done.code == 0).then_some(done)
}

/// How many processes have the workspace in their command line or environment.
fn in_use_by(root: &Path) -> usize {
    let mark = format!("PROVENV_WORKSPACE={}\0", root.display());
    let has_mark = |process: &PathBuf| {
        fs_err::read(process.join("environ"))
            .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(&mark))
    };
    let processes = fs_err::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    processes.filter(has_mark).count()
}

/// All that can be seen is whole.
#[track_caller]
fn assert_whole(workspace: &Workspace, when: &str) {
    workspace.json(["store", "stats"]);
    let store = workspace.root().join("store");
    // Of a store that is only just begun there may be none.
    let left: Vec<_> = fs_err::read_dir(store.join("tmp")).into_iter().flatten().collect();
    assert!(left.is_empty(), "{when}: what the dead left is gone: {left:?}");
    let blobs = store.join("blobs/sha256");
    for file in walkdir::WalkDir::new(&blobs).into_iter().map(Result::unwrap) {
        // Others are linked to the seed's, and never change.
        if file.file_type().is_file() && std::os::unix::fs::MetadataExt::nlink(&file.metadata().unwrap()) == 1
        {
            let name = file.path().strip_prefix(&blobs).unwrap().to_str().unwrap().replace('/', "");
            assert_eq!(Digest::of(&fs_err::read(file.path()).unwrap()).hex(), name, "{when}");
        }
    }
}

#[test]
fn a_build_may_die_at_each_step_of_its_writing() {
    let server = serve_packages();
    let Some(clean) = Workspace::new() else { return };
    if !can_trace() {
        return;
    }
    let definition = definition(&server, "tea", &["one", "two"]);
    clean.write("tea.yaml", &definition);
    let image = clean.json(["build", "tea.yaml"])["image"].clone();
    let mut deaths = 0;
    for calls in CALLS {
        for n in DEATHS {
            let workspace = Workspace::new().unwrap();
            workspace.write("tea.yaml", &definition);
            let when = format!("killed before number {n} of {calls}");
            let done = until(&workspace, calls, n, &["build", "tea.yaml", "--to", "oci:layout:v1"]);
            deaths += usize::from(done.is_none());
            assert_whole(&workspace, &when);
            let run = ["run", "tea.yaml", "--", "python", "-c", "import one, two"];
            workspace.run(run).ok();
            let built = workspace.json(["build", "tea.yaml", "--to", "oci:layout:v1"]);
            assert_eq!(built["image"], image, "{when}");
            assert_whole(&workspace, &when);
            if done.is_some() {
                break;
            }
        }
    }
    assert!(deaths >= 5, "only {deaths} deaths");
}

#[test]
fn a_collection_may_die_at_each_step_of_its_removing() {
    let server = serve_packages();
    let Some(workspace) = Workspace::new() else { return };
    if !can_trace() {
        return;
    }
    workspace.write("tea.yaml", &definition(&server, "tea", &["one"]));
    workspace.write("cup.yaml", &definition(&server, "cup", &["one", "two"]));
    workspace.json(["env", "register", "tea.yaml"]);
    let image = workspace.json(["build", "tea"])["image"].clone();
    for n in [1, 2, 3, 5, 8, 13, 21, 34] {
        workspace.json(["build", "cup.yaml"]);
        let done = until(&workspace, CALLS[2], n, &["store", "gc"]);
        let when = format!("killed before its removal number {n}");
        assert_whole(&workspace, &when);
        let built = workspace.json(["--offline", "build", "tea"]);
        assert_eq!((&built["image"], &built["cached"]), (&image, &serde_json::json!(true)), "{when}");
        if done.is_some() {
            break;
        }
    }
    workspace.json(["build", "cup.yaml"]);
    workspace.run(["run", "cup.yaml", "--", "python", "-c", "import one, two"]).ok();
    workspace.run(["--offline", "run", "tea", "--", "python", "-c", "import one"]).ok();
}

/// An archive or prefix that is interrupted leaves something beside its place, which the next command takes away.
#[test]
fn an_export_that_was_interrupted_leaves_nothing_for_long() {
    let server = serve_packages();
    let Some(workspace) = Workspace::new() else { return };
    if !can_trace() {
        return;
    }
    workspace.write("tea.yaml", &definition(&server, "tea", &["one"]));
    workspace.json(["build", "tea.yaml"]);
    let elsewhere = workspace.path().join("elsewhere");
    let staged = || -> Vec<String> {
        let Ok(entries) = fs_err::read_dir(&elsewhere) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".provenv-")).collect()
    };
    for format in ["oci-archive", "docker-archive"] {
        // Right before it gets its name.
        let to = format!("{format}:elsewhere/image.tar");
        let mut n = 1;
        while until(&workspace, CALLS[0], n, &["build", "tea.yaml", "--to", &to]).is_none()
            && staged().is_empty()
        {
            n += 1;
        }
        assert_eq!(staged().len(), 1, "{format}");
        // One that is not a dead process's stays.
        fs_err::write(elsewhere.join(".provenv-Ab12Cd.tar"), "somebody's").unwrap();
        workspace.run(["store", "gc", "--keep-last", "1"]).ok();
        assert_eq!(staged(), [".provenv-Ab12Cd.tar"], "{format}");
        fs_err::remove_file(elsewhere.join(".provenv-Ab12Cd.tar")).unwrap();
    }
}
