//! What only BuildKit does, and when it is taken.

use provenv_testing::server::{FileTree, Server};

use super::engine::Engine;
use super::support::docker::Docker;
use super::support::registry::Image;
use super::support::{Workspace, have};
use super::{definition, made, runs, shell};

#[test]
fn it_is_taken_where_only_it_knows_the_dockerfile() {
    let Some(Engine::BuildKit(docker)) = Engine::buildkit() else { return };
    if !have("buildah") {
        return;
    }
    let server = Server::start(FileTree::new());
    let base = shell(&server);
    let workspace = Workspace::empty().with(docker.variables());
    let ran_by = |file: &str| {
        let done = workspace.run(["lock", file]).ok();
        let log = workspace.run(["builds", "logs", "latest"]).ok().stdout;
        let line = log.lines().find(|line| line.contains("runs a Dockerfile by")).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{log}{}", done.stderr))
    };
    workspace.write("plain.yaml", &definition(&format!("FROM {base}\nRUN echo plain > /plain\n")));
    assert!(ran_by("plain.yaml").contains("by buildah "), "it needs no daemon");

    // The machine's buildah may be one that knows them: then it is taken for these too.
    let text = format!(
        "# syntax=docker/dockerfile:1\nFROM {base}\nRUN <<END\necho one > /file\necho two >> /file\nEND\n\
                        COPY <<TEXT /text\nof the Dockerfile\nTEXT\n"
    );
    workspace.write("here.yaml", &definition(&text));
    let output = std::process::Command::new("buildah").arg("--version").output().unwrap();
    let version = String::from_utf8(output.stdout).unwrap();
    let minor: u32 = version.split(['.', ' ']).filter_map(|part| part.parse().ok()).nth(1).unwrap();
    let expected = if minor < 33 { "by docker-buildx " } else { "by buildah " };
    let line = ran_by("here.yaml");
    assert!(line.contains(expected), "{version}: {line}");
    let said = workspace.run(["run", "here.yaml", "--", "cat", "/file", "/text"]).ok();
    assert_eq!(said.stdout, "one\ntwo\nof the Dockerfile\n");
    if minor < 33 {
        let done = workspace.run(["--builder", "buildah", "lock", "here.yaml", "--upgrade"]);
        assert!(
            done.code == 1 && done.stderr.contains("line 3 of the Dockerfile has a here-document"),
            "{}",
            done.stderr
        );
    }
}

#[test]
fn without_network_steps_have_none_and_what_would_fetch_is_refused() {
    let Some(engine) = Engine::buildkit() else { return };
    let server = Server::start(FileTree::new());
    let base = shell(&server);
    let workspace = engine.workspace();
    let text = |name: &str| format!("FROM {base}\nRUN echo {name} && cat /proc/net/dev > /devices\n");
    let devices = |file: &str| workspace.run(["run", file, "--", "cat", "/devices"]).ok().stdout;
    workspace.write("on.yaml", &definition(&text("on")));
    workspace.run(["lock", "on.yaml"]).ok();
    assert!(devices("on.yaml").contains("eth0"), "{}", devices("on.yaml"));
    // The base is in the store by now.
    let pinned = made(&workspace, "on.yaml")["from"][0]["manifest"].as_str().unwrap().to_owned();
    let named = format!("{base}@{pinned}");
    workspace.write("off.yaml", &definition(&text("off").replace(&base, &named)));
    workspace.run(["--offline", "lock", "off.yaml"]).ok();
    assert!(!devices("off.yaml").contains("eth0"), "{}", devices("off.yaml"));
    workspace.write("add.yaml", &definition(&format!("FROM {named}\nADD {} /x\n", server.at("/x"))));
    let done = workspace.run(["--offline", "lock", "add.yaml"]);
    assert!(
        done.code == 1 && done.stderr.contains("line 2 of the Dockerfile may fetch something"),
        "{}",
        done.stderr
    );
}

#[test]
fn an_image_that_nothing_pins_is_not_taken() {
    let Some(engine) = Engine::buildkit() else { return };
    let server = Server::start(FileTree::new());
    let base = shell(&server);
    let other = Image::new().file("x", b"x").serve(&server, "team/other", "1", 1);
    let on_build = Image::new()
        .config(serde_json::json!({ "OnBuild": [format!("COPY --from={other} /x /x")] }))
        .serve(&server, "team/onbuild", "1", 1);
    let workspace = engine.workspace();
    workspace.write("made.yaml", &definition(&format!("FROM {on_build}\nENV A=1\n")));
    let done = workspace.run(["lock", "made.yaml"]);
    assert!(
        done.code == 1 && done.stderr.contains(&format!("looked up the image {other} by itself")),
        "{}",
        done.stderr
    );
    assert!(done.stderr.contains("ONBUILD"), "{}", done.stderr);
    // The same image is no trouble where the Dockerfile names it.
    workspace.write("made.yaml", &definition(&format!("FROM {on_build}\nCOPY --from={other} /x /y\n")));
    workspace.run(["lock", "made.yaml"]).ok();
    workspace.write("made.yaml", &definition(&format!("FROM {base}\nRUN true\n")));
    workspace.run(["lock", "made.yaml"]).ok();
    assert_eq!(runs(&workspace).len(), 3);
}

#[test]
fn a_builder_that_cannot_be_used_is_refused_with_what_to_do() {
    let server = Server::start(FileTree::new());
    let base = shell(&server);
    let Some(docker) = Docker::start(false) else { return };
    let workspace = Workspace::empty().with(docker.variables());
    workspace.write("made.yaml", &definition(&format!("FROM {base}\nRUN true\n")));
    let refused = |workspace: &Workspace| {
        let done = workspace.run(["--builder", "buildkit", "lock", "made.yaml"]);
        assert_eq!(done.code, 1, "{}", done.stderr);
        done.stderr
    };
    let said = refused(&workspace);
    assert!(said.contains("there is a docker without containerd's image store"), "{said}");
    assert!(said.contains("containerd-snapshotter") && said.contains("docker buildx create"), "{said}");
    // Nobody answers any more.
    let workspace = workspace.with(vec![("DOCKER_HOST".to_owned(), "unix:///nonexistent/socket".to_owned())]);
    let said = refused(&workspace);
    assert!(said.contains("whose builder does not answer"), "{said}");
}
