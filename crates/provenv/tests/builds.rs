//! The record of builds: those that arrived, those that failed, those that were killed; each with its log.

use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::Fault;

use crate::support::{Workspace, definition, eventually, serve};

const WHEEL: &str = "/files/tea-1.0-py3-none-any.whl";

#[test]
fn every_build_is_on_record_with_its_log() {
    let server = serve(&Index::new().add(Wheel::new("tea", "1.0").file("tea.py", "x = 1\n")));
    let Some(workspace) = Workspace::new() else { return };
    workspace.write("tea.yaml", &definition(&server, "tea", &["tea"]));
    assert!(workspace.run(["builds", "list"]).ok().stdout.contains("no builds yet"));
    workspace.json(["env", "register", "tea.yaml"]);

    server.fault_always(WHEEL, Fault::Status(404));
    assert_eq!(workspace.run(["build", "tea.yaml"]).code, 1);
    server.clear_faults();
    let failed = workspace.json(["builds", "show", "latest"]);
    assert_eq!((&failed["status"], &failed["image"]), (&"failed".into(), &serde_json::Value::Null));
    assert!(failed["error"].as_str().unwrap().contains(&server.at(WHEEL)), "{failed}");
    let log = workspace.run(["builds", "logs", "latest"]).ok().stdout;
    assert!(log.contains("assembles lock") && log.contains("failed: ") && log.contains("404"), "{log}");

    server.fault(WHEEL, Fault::StallAfter(10));
    let before = server.hits(WHEEL);
    let mut begun = workspace.command();
    begun.args(["build", "tea.yaml"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut begun = begun.spawn().unwrap();
    eventually("the build fetches", || server.hits(WHEEL) > before);
    assert_eq!(workspace.json(["builds", "show", "latest"])["status"], "running");
    begun.kill().unwrap();
    begun.wait().unwrap();
    let lost = workspace.json(["builds", "show", "latest"]);
    assert_eq!((&lost["status"], &lost["ended_at"]), (&"lost".into(), &serde_json::Value::Null), "{lost}");

    server.fault(WHEEL, Fault::StallAfter(10));
    let before = server.hits(WHEEL);
    let mut begun = workspace.listening();
    begun.args(["build", "tea.yaml"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut begun = begun.spawn().unwrap();
    eventually("the build fetches", || server.hits(WHEEL) > before);
    kill(Pid::from_raw(begun.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(begun.wait().unwrap().code(), Some(130));
    let canceled = workspace.json(["builds", "show", "latest"]);
    assert_eq!(
        (&canceled["status"], canceled["ended_at"].is_string()),
        (&"canceled".into(), true),
        "{canceled}"
    );
    assert!(workspace.run(["builds", "logs", "latest"]).ok().stdout.contains("canceled by SIGINT"));

    let built = workspace.json(["build", "tea.yaml"]);
    let builds = workspace.json(["builds", "list"]);
    let statuses: Vec<&str> =
        builds.as_array().unwrap().iter().map(|build| build["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["succeeded", "canceled", "lost", "failed"]);
    assert_eq!(builds[0]["image"], built["image"]);
    assert_eq!(builds[0]["environments"], serde_json::json!(["tea:1"]));
    let table = workspace.run(["builds", "list", "-n", "3"]).ok().stdout;
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.contains("succeeded") && table.contains("lost") && table.contains("tea:1"), "{table}");
    let shown = workspace.run(["builds", "show", failed["id"].as_str().unwrap()]).ok().stdout;
    assert!(shown.contains("failed") && shown.contains("404"), "{shown}");

    // What has ended is not stopped, and nobody is told that it was.
    for (build, how) in [(&builds[0]["id"], "succeeded"), (&lost["id"], "lost"), (&failed["id"], "failed")] {
        let late = workspace.run(["builds", "cancel", build.as_str().unwrap()]);
        assert_eq!(late.code, 1, "{}", late.stderr);
        let said = format!("it ended before ({how})");
        assert!(late.stderr.contains(&said) && late.stderr.contains("builds show"), "{}", late.stderr);
    }

    let unknown = workspace.run(["builds", "logs", "build-1"]);
    assert_eq!(unknown.code, 1);
    assert!(
        unknown.stderr.contains("no build `build-1`")
            && unknown.stderr.contains("hint: `provenv builds list`")
    );
}
