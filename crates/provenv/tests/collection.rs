//! Garbage collection beside living runs and builds: what they use stays, all else goes, and nobody waits for a run.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::{Fault, Server};

use crate::support::{Done, Workspace, definition, eventually, serve};

const PACKAGES: [&str; 3] = ["one", "two", "three"];

fn index() -> Index {
    PACKAGES.iter().fold(Index::new(), |index, name| {
        index.add(Wheel::new(name, "1.0").file(&format!("{name}/__init__.py"), format!("NAME = '{name}'\n")))
    })
}

/// A workspace with two definitions, both built: `used.yaml` (one, two) and `other.yaml` (three).
fn workspace(server: &Server) -> Option<Workspace> {
    let workspace = Workspace::new()?;
    workspace.write("used.yaml", &definition(server, "used", &PACKAGES[..2]));
    workspace.write("other.yaml", &definition(server, "other", &PACKAGES[2..]));
    for file in ["used.yaml", "other.yaml"] {
        workspace.json(["build", file]);
    }
    Some(workspace)
}

/// Waits for `go` in a folder, after a sign of life, and only then imports anything.
fn script(folder: &str) -> String {
    format!(
        "touch {folder}ready; while [ ! -e {folder}go ]; do sleep 0.05; done; python -c 'import one, two; print(two.NAME)'"
    )
}

fn begin(workspace: &Workspace, arguments: &[&str]) -> Child {
    let mut command = workspace.command();
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn images(workspace: &Workspace) -> Vec<String> {
    let images = workspace.json(["image", "list"]);
    images.as_array().unwrap().iter().map(|image| image["digest"].as_str().unwrap().to_owned()).collect()
}

fn image_of(workspace: &Workspace, file: &str) -> String {
    workspace.json(["build", file])["image"].as_str().unwrap().to_owned()
}

#[test]
fn what_a_run_uses_stays_while_the_rest_is_collected() {
    let server = serve(&index());
    let Some(workspace) = workspace(&server) else { return };
    let (used, other) = (image_of(&workspace, "used.yaml"), image_of(&workspace, "other.yaml"));
    let run = begin(&workspace, &["run", "used.yaml", "--", "sh", "-c", &script("")]);
    eventually("the command runs", || workspace.path().join("ready").exists());

    let would = workspace.json(["store", "gc", "--dry-run"]);
    let listed = workspace.run(["store", "gc", "--dry-run"]).ok().stdout;
    assert!(listed.contains("blob sha256:"), "{listed}");
    let collected = workspace.json(["store", "gc"]);
    assert_eq!(collected["removed"], would["removed"]);
    assert!(collected["bytes"].as_u64().unwrap() > 0, "{collected}");
    let left = images(&workspace);
    assert!(left.contains(&used) && !left.contains(&other), "{left:?}");
    // Unpacked layers go with `--all`, but not from under a run.
    workspace.json(["store", "gc", "--all"]);

    workspace.write("go", "");
    let done = Done::from(run.wait_with_output().unwrap()).ok();
    assert_eq!(done.stdout, "two\n", "{}", done.stderr);
    // Nothing names it now.
    assert!(workspace.json(["store", "gc"])["bytes"].as_u64().unwrap() > 0);
    assert_eq!(images(&workspace), Vec::<String>::new());
    assert_eq!(workspace.json(["store", "gc"])["removed"], serde_json::json!([]));
    assert_eq!(workspace.json(["store", "scrub"])["corrupt"], serde_json::json!([]));
}

#[test]
fn a_job_goes_on_through_a_collection_of_everything_else() {
    let server = serve(&index());
    let Some(workspace) = workspace(&server) else { return };
    workspace.write(
        "job.yaml",
        &format!(
            "environment: used.yaml\ncommand: {}\n",
            serde_json::to_string(&script("outputs/")).unwrap()
        ),
    );
    let job = begin(&workspace, &["submit", "job.yaml"]);
    let outputs = || -> Option<PathBuf> {
        let run = fs_err::read_dir(workspace.root().join("runs")).ok()?.next()?.unwrap().path();
        Some(run.join("outputs")).filter(|outputs| outputs.join("ready").exists())
    };
    eventually("the command runs", || outputs().is_some());
    workspace.json(["store", "gc", "--all"]);
    fs_err::write(outputs().unwrap().join("go"), "").unwrap();
    let done = Done::from(job.wait_with_output().unwrap()).ok();
    assert_eq!(done.stdout, "two\n");
}

#[test]
fn what_a_killed_run_used_goes() {
    let server = serve(&index());
    let Some(workspace) = workspace(&server) else { return };
    let mut run = begin(&workspace, &["run", "used.yaml", "--", "sh", "-c", &script("")]);
    eventually("the command runs", || workspace.path().join("ready").exists());
    run.kill().unwrap();
    run.wait().unwrap();
    workspace.json(["store", "gc"]);
    assert_eq!(images(&workspace), Vec::<String>::new());
    workspace.write("go", "");
    workspace.run(["run", "used.yaml", "--", "sh", "-c", &script("")]).ok();
}

#[test]
fn a_collection_waits_for_a_build_and_says_so() {
    let server = serve(&index());
    let Some(workspace) = Workspace::new() else { return };
    workspace.write("used.yaml", &definition(&server, "used", &PACKAGES[..2]));
    workspace.json(["lock", "used.yaml"]);
    let path = "/files/two-1.0-py3-none-any.whl";
    server.fault(path, Fault::Slow(20, Duration::from_millis(200)));
    let before = server.hits(path);
    let build = begin(&workspace, &["build", "used.yaml", "-o", "json"]);
    eventually("the build fetches", || server.hits(path) > before);
    let gc = workspace.run(["store", "gc"]).ok();
    assert!(gc.stderr.contains("waiting for builds"), "{}", gc.stderr);
    Done::from(build.wait_with_output().unwrap()).ok();
}
