//! What only BuildKit does, and when it is taken.

use provenv_testing::server::{FileTree, Server};

use super::engine::Engine;
use super::{definition, shell};
use crate::support::docker::Docker;
use crate::support::{Workspace, have};

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
    let (with, without) = (engine.workspace(), engine.workspace());
    let devices = |workspace: &Workspace| workspace.run(["builds", "logs", "latest"]).ok().stdout;
    with.write(
        "made.yaml",
        &definition(&format!("FROM {base}\nRUN cat /proc/net/dev && echo same > /same\n")),
    );
    with.run(["lock", "made.yaml"]).ok();
    assert!(devices(&with).contains("eth0:"), "{}", devices(&with));

    // Another machine, with the base in its store and without what was made.
    without.write("other.yaml", &definition(&format!("FROM {base}\nENV A=1\n")));
    without.run(["lock", "other.yaml"]).ok();
    for file in ["made.yaml", "made.lock.json"] {
        fs_err::copy(with.path().join(file), without.path().join(file)).unwrap();
    }
    let done = without.run(["--offline", "build", "made.yaml", "--lock", "made.lock.json"]).ok();
    assert!(done.stderr.contains("it is run again"), "{}", done.stderr);
    assert!(done.stderr.contains(" lo:") && !done.stderr.contains("eth0:"), "{}", done.stderr);

    without.write("add.yaml", &definition(&format!("FROM scratch\nADD {} /x\n", server.at("/x"))));
    let done = without.run(["--offline", "lock", "add.yaml"]);
    assert!(
        done.code == 1 && done.stderr.contains("line 2 of the Dockerfile may fetch something"),
        "{}",
        done.stderr
    );
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
