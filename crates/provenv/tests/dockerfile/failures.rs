//! Steps that fail, builds that are stopped, and what is refused before anything is run.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use provenv_testing::server::{FileTree, Server};

use super::engine::{Engine, by_each};
use super::{definition, runs, shell};
use crate::support::registry::Image;
use crate::support::{Done, Workspace, eventually, have, is_root};

by_each!(
    a_step_that_fails_is_shown_with_what_it_said_and_why,
    secrets_in_what_steps_print_are_masked,
    secrets_that_are_given_are_seen_by_the_steps_that_ask_for_them_alone,
    a_build_that_is_stopped_leaves_nothing_behind,
);

fn a_step_that_fails_is_shown_with_what_it_said_and_why(engine: &Engine) {
    let server = Server::start(FileTree::new());
    let base = shell(&server);
    let workspace = engine.workspace();
    for (step, said, hint) in [
        ("RUN echo the reason; exit 3", "it ended with exit code 3", "mend the step"),
        ("RUN nosuchprogram --now", "a command is not in the image", "install it in an earlier step"),
        (
            "RUN echo 'E: Unable to locate package nosuch' >&2; exit 100",
            "apt knows no such package",
            "apt-get update",
        ),
        (
            "RUN echo 'ERROR: No matching distribution found for x'; exit 1",
            "pip finds no package that fits",
            "version",
        ),
    ] {
        workspace.write("made.yaml", &definition(&format!("FROM {base}\nRUN echo fine\n{step}\n")));
        let done = workspace.run(["lock", "made.yaml"]);
        assert_eq!(done.code, 1, "{}", done.stderr);
        let expected = format!("the Dockerfile failed at line 3, `{step}`: {said}");
        assert!(done.stderr.contains(&expected) && done.stderr.contains(hint), "{step}: {}", done.stderr);
        // The file has the Dockerfile from its fourth line on, indented by two.
        assert!(done.stderr.contains("made.yaml:6:3"), "where the step stands: {}", done.stderr);
        assert!(done.stderr.contains(&format!("6 |   {step}\n")), "and what it says: {}", done.stderr);
    }
    let all = runs(&workspace);
    assert!(all.len() == 4 && all.iter().all(|build| build["status"] == "failed"), "{all:?}");
    assert!(all[0]["error"].as_str().unwrap().contains("pip finds no package"), "{all:?}");
    let last = workspace.run(["builds", "logs", "latest"]).ok().stdout;
    assert!(
        last.contains(&engine.begins(3, 3, "RUN echo 'ERROR")) && last.contains("No matching distribution"),
        "{last}"
    );
    assert_eq!(workspace.run(["lock", "made.yaml", "--check"]).code, 1, "no lock was written");

    // In a folder it is the Dockerfile's own line.
    workspace.write("app/Dockerfile", &format!("FROM {base}\nCOPY nosuch.txt /\n"));
    workspace.write("copy.yaml", "name: made\nuser_managed: true\nbuild:\n  path: app\n");
    let done = workspace.run(["lock", "copy.yaml"]);
    assert!(
        done.stderr.contains("failed at line 2, `COPY nosuch.txt /`: what is to be copied"),
        "{}",
        done.stderr
    );
    assert!(done.stderr.contains("app/Dockerfile:2:1"), "{}", done.stderr);
}

fn secrets_in_what_steps_print_are_masked(engine: &Engine) {
    let server = Server::start(FileTree::new());
    let base = shell(&server);
    let workspace = engine.workspace();
    workspace.write("app/said", "fetching https://me:hunter2@host.test/x\n");
    workspace.write("app/Dockerfile", &format!("FROM {base}\nCOPY said /\nRUN cat /said; exit 1\n"));
    workspace.write("made.yaml", "name: made\nuser_managed: true\nbuild:\n  path: app\n");
    let done = workspace.run(["lock", "made.yaml"]);
    assert!(done.stderr.contains("@host.test/x") && !done.stderr.contains("hunter2"), "{}", done.stderr);
    let log = workspace.run(["builds", "logs", "latest"]).ok().stdout;
    assert!(log.contains("@host.test/x") && !log.contains("hunter2"), "{log}");
    let shown = workspace.run(["-o", "json", "builds", "show", "latest"]).ok().stdout;
    assert!(!shown.contains("hunter2"), "{shown}");
}

fn secrets_that_are_given_are_seen_by_the_steps_that_ask_for_them_alone(engine: &Engine) {
    let server = Server::start(FileTree::new());
    let base = shell(&server);
    let workspace = engine.workspace();
    let value = "correct horse battery";
    workspace.write("a, token", value);
    workspace.write(
        "made.yaml",
        &definition(&format!(
            "FROM {base}\nRUN --mount=type=secret,id=token,required=true read x < /run/secrets/token; echo \"it is <$x>\"; \
             test \"${{#x}}\" = 21 && echo known > /known\n\
             RUN ls /run > /after; cat /run/secrets/token || echo nothing there\n"
        )),
    );
    let done = workspace.run(["lock", "made.yaml"]);
    assert_eq!(done.code, 1, "{}", done.stdout);
    assert!(done.stderr.contains("line 2 of the Dockerfile asks for the secret `token`"), "{}", done.stderr);
    assert!(done.stderr.contains("--secret id=token,src=FILE"), "{}", done.stderr);
    let done = workspace.run(["--secret", "id=token,src=nosuch", "lock", "made.yaml"]);
    assert!(done.code == 1 && done.stderr.contains("`token` cannot be read"), "{}", done.stderr);
    assert_eq!(runs(&workspace).len(), 0);

    let done = workspace.run(["lock", "made.yaml", "--secret", "id=token,src=a, token"]).ok();
    assert!(done.stderr.contains("it is <***>") && done.stderr.contains("nothing there"), "{}", done.stderr);
    let said = workspace.run(["run", "made.yaml", "--", "cat", "/known"]).ok();
    assert_eq!(said.stdout, "known\n", "{}", said.stderr);
    // It counts for nothing: the same by a variable, and what is known is taken without it.
    let first = super::made(&workspace, "made.yaml");
    let mut again = workspace.command();
    again
        .args(["--secret", "id=token,env=MY_TOKEN", "lock", "made.yaml", "--upgrade"])
        .env("MY_TOKEN", value);
    Done::from(again.output().unwrap()).ok();
    assert_eq!(super::made(&workspace, "made.yaml"), first);
    // Nothing that is kept holds it.
    for entry in walkdir::WalkDir::new(workspace.root()).into_iter().map(Result::unwrap) {
        if entry.file_type().is_file() {
            let bytes = fs_err::read(entry.path()).unwrap();
            let found = bytes.windows(value.len()).any(|window| window == value.as_bytes());
            assert!(!found, "{}", entry.path().display());
        }
    }

    workspace.write("ssh.yaml", &definition(&format!("FROM {base}\nRUN --mount=type=ssh true\n")));
    let done = workspace.run(["lock", "ssh.yaml"]);
    assert!(
        done.code == 1 && done.stderr.contains("line 2 of the Dockerfile asks for an ssh agent"),
        "{}",
        done.stderr
    );
    workspace.write("other.yaml", &definition(&format!("# syntax=team/frontend:1\nFROM {base}\nRUN true\n")));
    let done = workspace.run(["lock", "other.yaml"]);
    assert!(done.code == 1 && done.stderr.contains("the frontend `team/frontend:1`"), "{}", done.stderr);
}

#[test]
fn what_cannot_be_run_is_refused_before_it_begins() {
    let server = Server::start(FileTree::new());
    let base = shell(&server);
    let workspace = Workspace::empty();
    let arm = "platforms: [linux/arm64]\n";
    for (text, said) in [
        (definition("FROM 127.0.0.1:1/none:1\nRUN true\n"), "127.0.0.1:1"),
        (definition("ARG TAG\nFROM python:$TAG\n"), "`python:$TAG` depends on a variable"),
        (definition(&format!("FROM {base}\nCOPY --from=$NOSUCH /a /b\n")), "depends on a variable"),
        (definition(&format!("FROM {base}\nNOSUCH x\n")), "unknown instruction"),
        (definition(&format!("FROM {base}\n")) + arm, "cannot be run on linux/amd64"),
    ] {
        workspace.write("made.yaml", &text);
        let done = workspace.run(["lock", "made.yaml"]);
        assert!(done.code != 0 && done.stderr.contains(said), "{said}: {}", done.stderr);
    }
    assert_eq!(runs(&workspace).len(), 0);
    // Without an engine, the one to install is named.
    workspace.write("made.yaml", &definition(&format!("FROM {base}\nRUN true\n")));
    let done: Done =
        workspace.command().args(["lock", "made.yaml"]).env("PATH", "/nonexistent").output().unwrap().into();
    if !std::path::Path::new("/usr/sbin/buildah").exists() {
        assert!(done.code == 1 && done.stderr.contains("no `buildah`"), "{}", done.stderr);
        assert!(done.stderr.contains("apt-get install buildah"), "{}", done.stderr);
    }
    let done = workspace.run(["--builder", "nosuch", "lock", "made.yaml"]);
    assert!(
        done.code == 2 && done.stderr.contains("possible values: auto, buildah, buildkit"),
        "{}",
        done.stderr
    );
}

#[test]
fn an_image_of_an_environment_is_refused_as_a_base_before_any_step_runs() {
    let server = Server::start(FileTree::new());
    let ours = Image::new().file("opt/provenv/bin/tool", b"tool").serve(&server, "team/ours", "1", 1);
    let workspace = Workspace::empty();
    let text = format!(
        "name: made\ndockerfile: |\n  FROM {ours} AS below\n  FROM below\n  RUN true\npip:\n  - leaf\n"
    );
    workspace.write("made.yaml", &text);
    // No engine is needed to know it.
    let mut command = workspace.command();
    let done: Done = command.args(["lock", "made.yaml"]).env("PATH", "/nonexistent").output().unwrap().into();
    assert!(done.code == 1 && done.stderr.contains("files at /opt/provenv"), "{}", done.stderr);
    assert!(done.stderr.contains("name the image that it stands on itself"), "{}", done.stderr);
    assert_eq!(runs(&workspace).len(), 0);
}

#[test]
fn no_mount_leads_out_of_the_context_and_of_images() {
    let server = Server::start(FileTree::new());
    let base = shell(&server);
    let workspace = Workspace::empty();
    workspace.write("secret/key", "of this machine");
    let host = workspace.path().join("secret").display().to_string();
    let stage = format!("FROM {base} AS s\nRUN ln -s {host} /link\nFROM {base}\n");
    let plain = format!("FROM {base}\n");
    for step in [
        format!("{stage}RUN --mount=type=bind,from=s,source=/link,target=/mnt,rw echo out > /mnt/out\n"),
        format!(
            "{plain}RUN --mount=type=cache,id=../../../../../../../../..{host},target=/mnt echo out > /mnt/out\n"
        ),
        format!("{stage}ONBUILD RUN --mount=from=s,src=link,target=/mnt,rw echo out > /mnt/out\n"),
    ] {
        workspace.write("made.yaml", &definition(&step));
        let done = workspace.run(["--builder", "buildah", "lock", "made.yaml"]);
        assert!(!workspace.path().join("secret/out").exists(), "{step}");
        assert!(done.code == 1 && done.stderr.contains("mounts something by its path"), "{}", done.stderr);
        assert!(done.stderr.contains("buildah 1.38 or BuildKit"), "{}", done.stderr);
    }
    workspace.write(
        "made.yaml",
        &definition(&format!("{plain}RUN --mount=type=cache,id=a.b,target=/mnt echo x > /mnt/x\n")),
    );
    workspace.run(["--builder", "buildah", "lock", "made.yaml"]).ok();
}

/// Whether any process has this among its arguments.
fn is_running(word: &str) -> bool {
    fs_err::read_dir("/proc").unwrap().flatten().any(|entry| {
        let line = fs_err::read(entry.path().join("cmdline")).unwrap_or_default();
        line.windows(word.len()).any(|window| window == word.as_bytes())
    })
}

fn a_build_that_is_stopped_leaves_nothing_behind(engine: &Engine) {
    let server = Server::start(FileTree::new());
    let base = shell(&server);
    for (signal, code) in [("INT", Some(130)), ("KILL", None)] {
        let workspace = engine.workspace();
        // A number that no other process has.
        let seconds = format!("{}.25", 100_000 + std::process::id());
        workspace.write(
            "made.yaml",
            &definition(&format!("FROM {base}\nRUN sleep {seconds} & sleep {seconds}\n")),
        );
        let mut child = workspace
            .listening()
            .args(["lock", "made.yaml"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let sleeps = || {
            fs_err::read_dir("/proc").unwrap().flatten().any(|entry| {
                let line = fs_err::read(entry.path().join("cmdline")).unwrap_or_default();
                line == [b"sleep\0", seconds.as_bytes(), b"\0"].concat()
            })
        };
        eventually("the step runs", sleeps);
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        let number = if signal == "INT" {
            nix::sys::signal::Signal::SIGINT
        } else {
            nix::sys::signal::Signal::SIGKILL
        };
        nix::sys::signal::kill(pid, number).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), code, "{status:?} {:?}", status.signal());
        eventually("all processes are gone", || !is_running(&seconds));
        let root = workspace.path().display().to_string();
        eventually("the engine is gone", || !is_running(&root));
        let mounts = fs_err::read_to_string("/proc/mounts").unwrap();
        assert!(!mounts.contains(&root), "{mounts}");
        let all = runs(&workspace);
        let expected = if signal == "INT" { "canceled" } else { "lost" };
        assert_eq!((all.len(), &all[0]["status"]), (1, &expected.into()));
        // Whoever comes next sweeps what was in the making.
        workspace.run(["store", "stats"]).ok();
        assert_eq!(fs_err::read_dir(workspace.root().join("store/tmp")).unwrap().count(), 0);
        assert_eq!(workspace.json(["image", "list"]).as_array().unwrap().len(), 0);
    }
}

#[test]
fn an_ordinary_user_runs_it_by_mapped_users() {
    let server = Server::start(FileTree::new());
    let base = shell(&server);
    if !is_root() || !have("newuidmap") || !have("setpriv") || !have("unshare") {
        return;
    }
    let workspace = Workspace::empty();
    let path = |name: &str| workspace.path().join(name).display().to_string();
    workspace.write("made.yaml", &definition(&format!("FROM {base}\nRUN echo made > /made\n")));
    workspace.write("ids", "nobody:100000:65536\n");
    fs_err::copy(env!("CARGO_BIN_EXE_provenv"), path("provenv")).unwrap();
    for name in ["", "made.yaml"] {
        fs_err::os::unix::fs::chown(path(name), Some(65534), Some(65534)).unwrap();
    }
    // The machine's own list of ranges stays as it is.
    let script = "mount --bind \"$1\" /etc/subuid && mount --bind \"$1\" /etc/subgid && shift && \
                  exec setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=\"$PWD\" \"$@\"";
    let run = |ids: &str, command: &[&str]| -> Done {
        let mut unshare = std::process::Command::new("unshare");
        unshare.args(["--mount", "sh", "-c", script, "sh", ids, &path("provenv"), "-w", &path("workspace")]);
        unshare
            .args(command)
            .current_dir(workspace.path())
            .env_remove("PROVENV_BUILDER")
            .output()
            .unwrap()
            .into()
    };
    let none = run("/dev/null", &["lock", "made.yaml"]);
    assert!(none.code == 1 && none.stderr.contains("cannot map users for this user"), "{}", none.stderr);
    assert!(none.stderr.contains("usermod --add-subuids"), "{}", none.stderr);
    run(&path("ids"), &["lock", "made.yaml"]).ok();
    let said = run(&path("ids"), &["run", "made.yaml", "--", "cat", "/made"]).ok();
    assert_eq!(said.stdout, "made\n");
    // What the container wrote is removed while we go on, and the folder it lay in by whoever comes next.
    eventually("nothing is left", || {
        run(&path("ids"), &["store", "stats"]).ok();
        fs_err::read_dir(workspace.root().join("store/tmp")).unwrap().count() == 0
    });
    // The same as root makes.
    let root = Workspace::empty();
    fs_err::copy(path("made.yaml"), root.path().join("made.yaml")).unwrap();
    let own = super::made(&root, "made.yaml");
    let lock = fs_err::read_to_string(workspace.path().join("made.lock.json")).unwrap();
    assert!(lock.contains(own["manifest"].as_str().unwrap()), "{lock}");
}
