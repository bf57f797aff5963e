//! `--as-of` for packages of pip: what counts is when an index says that a file was uploaded.

use provenv_testing::pypi::{Index, Pages, Wheel};
use serde_json::Value;

use crate::support::{Workspace, definition, serve};

/// A package and what it needs, each of which has a newer version.
fn index() -> Index {
    let wheel = |name: &str, version: &str, day: &str| {
        Wheel::new(name, version).uploaded(&format!("{day}T12:00:00Z"))
    };
    Index::new()
        .add(wheel("tea", "1.0", "2022-05-01").requires("leaf"))
        .add(wheel("tea", "2.0", "2024-05-01").requires("leaf"))
        .add(wheel("leaf", "1.0", "2022-04-01"))
        .add(wheel("leaf", "1.5", "2023-04-01"))
        .add(wheel("leaf", "2.0", "2025-04-01"))
}

fn packages(lock: &Value) -> Vec<String> {
    let packages = lock["platforms"]["linux/amd64"]["pypi"].as_array().unwrap();
    let text = |package: &Value, key: &str| package[key].as_str().unwrap().to_owned();
    packages.iter().map(|package| text(package, "name") + " " + &text(package, "version")).collect()
}

#[test]
fn packages_of_pip_are_those_of_the_date() {
    let Some(workspace) = Workspace::new() else { return };
    let server = serve(&index());
    workspace.write("tea.yaml", &definition(&server, "demo", &["tea"]));
    let lock = |arguments: &[&str]| {
        let done = workspace.run(["lock", "tea.yaml", "--file", "-"].iter().chain(arguments)).ok();
        packages(&done.json())
    };
    assert_eq!(lock(&[]), ["leaf 2.0", "tea 2.0"]);
    // Its dependencies too are those of then; a date is the whole of the day, a time the moment.
    assert_eq!(lock(&["--as-of", "2022-12-31"]), ["leaf 1.0", "tea 1.0"]);
    assert_eq!(lock(&["--as-of", "2024-05-01"]), ["leaf 1.5", "tea 2.0"]);
    assert_eq!(lock(&["--as-of", "2024-05-01T11:00:00Z"]), ["leaf 1.5", "tea 1.0"]);
    let receipt = workspace.json(["env", "show", "tea.yaml", "--receipt"]);
    assert_eq!(receipt["as_of"], "2024-05-01T11:00:00Z");
    // It stays so, and runs, until somebody moves it.
    assert_eq!(lock(&[]), ["leaf 1.5", "tea 1.0"]);
    let version = "import importlib.metadata as m; print(m.version('leaf'))";
    assert_eq!(workspace.run(["run", "tea.yaml", "--", "python", "-c", version]).ok().stdout, "1.5\n");
    workspace.run(["env", "register", "tea.yaml"]).ok();
    assert_eq!(workspace.json(["upgrade", "demo", "--as-of", "2024-12-31"])["to"], "2");
    let moved = workspace.run(["lock", "demo:2", "--file", "-"]).ok().json();
    assert_eq!(packages(&moved), ["leaf 1.5", "tea 2.0"]);
    assert_eq!(lock(&["--upgrade"]), ["leaf 2.0", "tea 2.0"]);

    let before_all = workspace.run(["lock", "tea.yaml", "--as-of", "2020-01-01"]);
    assert!(before_all.code == 1 && before_all.stderr.contains("tea"), "{}", before_all.stderr);
}

#[test]
fn an_index_must_say_when_its_files_were_uploaded() {
    let Some(workspace) = Workspace::new() else { return };
    let server = serve(&index().pages(Pages::Html));
    workspace.write("tea.yaml", &definition(&server, "demo", &["tea"]));
    workspace.run(["lock", "tea.yaml"]).ok();
    let refused = workspace.run(["lock", "tea.yaml", "--as-of", "2024-12-31"]);
    assert!(refused.code == 1 && refused.stderr.contains("upload"), "{}", refused.stderr);
}
