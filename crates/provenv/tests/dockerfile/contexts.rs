//! Build contexts: folders with their ignore file, git repositories, archives.

use std::path::Path;
use std::process::Command;

use provenv_testing::server::{FileTree, Server};

use super::engine::{Engine, by_each};
use super::{made, runs, shell};
use crate::support::have;

by_each!(
    a_folder_is_sent_as_docker_would_send_it,
    a_repository_is_pinned_by_its_commit,
    a_repository_s_links_lead_nowhere_out_of_it,
    an_archive_is_pinned_by_its_digest,
);

/// A Dockerfile that lists and keeps all that is in its context.
fn dockerfile(base: &str) -> String {
    format!("FROM {base}\nCOPY . /context\nRUN ls -A /context > /list\n")
}

fn context(folder: &str) -> String {
    format!("name: made\nuser_managed: true\nbuild:\n  path: {folder}\n")
}

fn a_folder_is_sent_as_docker_would_send_it(engine: &Engine) {
    let server = Server::start(FileTree::new());
    let base = shell(&server);
    let workspace = engine.workspace();
    workspace.write("app/Dockerfile", &dockerfile(&base));
    workspace.write("app/.dockerignore", "*.log\nsecrets\n!kept.log\n");
    workspace.write("app/main.py", "print('one')\n");
    workspace.write("app/build.log", "noise");
    workspace.write("app/kept.log", "kept");
    workspace.write("app/secrets/key", "hunter2");
    fs_err::os::unix::fs::symlink("main.py", workspace.path().join("app/link.py")).unwrap();
    workspace.write("made.yaml", &context("app"));
    let first = made(&workspace, "made.yaml");
    let said = workspace.run(["run", "made.yaml", "--", "sh", "-c", "cat /list /context/link.py"]).ok();
    assert_eq!(said.stdout, ".dockerignore\nDockerfile\nkept.log\nlink.py\nmain.py\nprint('one')\n");

    // What is left out counts for nothing; what is sent does.
    workspace.write("app/build.log", "more noise");
    assert_eq!((made(&workspace, "made.yaml"), runs(&workspace).len()), (first.clone(), 1));
    workspace.write("app/main.py", "print('two')\n");
    assert_ne!(made(&workspace, "made.yaml"), first);
    assert_eq!(runs(&workspace).len(), 2);
    // And back: neither the clock nor what was built since has a say.
    workspace.write("app/main.py", "print('one')\n");
    assert_eq!((made(&workspace, "made.yaml"), runs(&workspace).len()), (first.clone(), 2));

    // A Dockerfile beside a definition, whose folder is its context.
    workspace.write("app/environment.yaml", "name: beside\nuser_managed: true\ndockerfile: Dockerfile\n");
    let said = workspace.run(["run", "app/environment.yaml", "--", "cat", "/list"]).ok();
    assert!(
        said.stdout.contains("environment.yaml\n") && !said.stdout.contains("build.log"),
        "{}",
        said.stdout
    );
    // A registered version cannot be moved to a folder that is another by now.
    workspace.run(["env", "register", "made.yaml"]).ok();
    workspace.write("app/main.py", "print('three')\n");
    workspace.run(["build", "made:1"]).ok();
    let done = workspace.run(["upgrade", "made"]);
    assert!(done.code == 1 && done.stderr.contains("has changed since"), "{}", done.stderr);
}

/// Runs git in a folder, as nobody in particular.
fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=me", "-c", "user.email=me@test", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Serves a repository as plain files.
fn publish(server: &Server, repository: &Path, name: &str) {
    git(repository, &["update-server-info"]);
    let files = walkdir::WalkDir::new(repository.join(".git")).into_iter().map(Result::unwrap);
    for entry in files.filter(|entry| entry.file_type().is_file()) {
        let path = entry.path().strip_prefix(repository.join(".git")).unwrap().display().to_string();
        server.put(&format!("/{name}/{path}"), fs_err::read(entry.path()).unwrap());
    }
}

fn a_repository_is_pinned_by_its_commit(engine: &Engine) {
    let server = Server::start(FileTree::new());
    let base = shell(&server);
    if !have("git") {
        return;
    }
    let workspace = engine.workspace();
    let repository = workspace.path().join("source");
    workspace.write("source/docker/app/Dockerfile", &dockerfile(&base));
    workspace.write("source/docker/app/state", "first");
    workspace.write("source/elsewhere", "is no part of it");
    git(&repository, &["init", "--quiet"]);
    git(&repository, &["add", "."]);
    git(&repository, &["commit", "--quiet", "-m", "first"]);
    let first = git(&repository, &["rev-parse", "HEAD"]);
    publish(&server, &repository, "team/app.git");
    workspace.write("made.yaml", &context(&format!("{}#main:docker/app", server.at("/team/app.git"))));
    let pinned = made(&workspace, "made.yaml");
    assert_eq!(pinned["context"]["git"]["commit"], first.as_str());
    let said = workspace.run(["run", "made.yaml", "--", "sh", "-c", "cat /list /context/state"]).ok();
    assert_eq!(said.stdout, "Dockerfile\nstate\nfirst");

    // The branch moves. The lock does not, and another machine has the state that is locked.
    workspace.write("source/docker/app/state", "second");
    git(&repository, &["commit", "--quiet", "-am", "second"]);
    let second = git(&repository, &["rev-parse", "HEAD"]);
    publish(&server, &repository, "team/app.git");
    assert_eq!(made(&workspace, "made.yaml"), pinned);
    workspace.run(["lock", "made.yaml"]).ok();
    let machine = engine.workspace();
    for file in ["made.yaml", "made.lock.json"] {
        fs_err::copy(workspace.path().join(file), machine.path().join(file)).unwrap();
    }
    let built = machine.json(["build", "made.yaml", "--lock", "made.lock.json"]);
    assert_eq!(built["image"], workspace.json(["build", "made.yaml"])["image"]);
    workspace.run(["lock", "made.yaml", "--upgrade"]).ok();
    assert_eq!(made(&workspace, "made.yaml")["context"]["git"]["commit"], second.as_str());
    // By its commit, and by names that there are not.
    workspace.write("made.yaml", &context(&format!("{}#{first}:docker/app", server.at("/team/app.git"))));
    assert_eq!(made(&workspace, "made.yaml")["manifest"], pinned["manifest"]);
    for (url, said) in [
        (format!("{}#nosuch", server.at("/team/app.git")), "`nosuch`"),
        (server.at("/team/none.git"), "cannot be had"),
        (format!("{}#main:nowhere", server.at("/team/app.git")), "build context"),
    ] {
        workspace.write("wrong.yaml", &context(&url));
        let done = workspace.run(["lock", "wrong.yaml"]);
        assert!(done.code == 1 && done.stderr.contains(said), "{}", done.stderr);
        assert!(done.stderr.contains("wrong.yaml:4:9"), "{}", done.stderr);
    }
}

fn a_repository_s_links_lead_nowhere_out_of_it(engine: &Engine) {
    let server = Server::start(FileTree::new());
    let base = shell(&server);
    if !have("git") {
        return;
    }
    let workspace = engine.workspace();
    let repository = workspace.path().join("source");
    // What the caller may read, and the repository's author may not.
    workspace.write("private/Dockerfile", &dockerfile(&base));
    workspace.write("private/app/Dockerfile", &dockerfile(&base));
    workspace.write("private/key", "hunter2");
    workspace.write("source/inside/Dockerfile", &dockerfile(&base));
    workspace.write("source/inside/state", "first");
    workspace.write("source/file", "no folder");
    let private = workspace.path().join("private");
    let link = |at: &str, to: &Path| fs_err::os::unix::fs::symlink(to, repository.join(at)).unwrap();
    link("absolute", &private);
    link("home", Path::new("/"));
    link("up", Path::new(".."));
    link("short", Path::new("inside"));
    fs_err::create_dir(repository.join("recipe")).unwrap();
    link("recipe/Dockerfile", &private.join("Dockerfile"));
    git(&repository, &["init", "--quiet"]);
    git(&repository, &["add", "."]);
    git(&repository, &["commit", "--quiet", "-m", "first"]);
    publish(&server, &repository, "app.git");
    let below_root = format!("home/{}", private.strip_prefix("/").unwrap().display());
    for (folder, said) in [
        ("absolute", "leads out of the repository"),
        ("absolute/app", "leads out of the repository"),
        (&*below_root, "leads out of the repository"),
        ("up", "leads out of the repository"),
        ("recipe", "is not in the build context"),
        ("file", "is not a folder"),
        ("nowhere", "has no folder `nowhere`"),
    ] {
        workspace.write("made.yaml", &context(&format!("{}#main:{folder}", server.at("/app.git"))));
        let done = workspace.run(["lock", "made.yaml"]);
        assert!(done.code == 1 && done.stderr.contains(said), "{folder}: {}{}", done.stdout, done.stderr);
        assert!(done.stderr.contains("hint:") && runs(&workspace).is_empty(), "{folder}: {}", done.stderr);
    }
    // One that stays inside is as good as what it leads to.
    workspace.write("made.yaml", &context(&format!("{}#main:short", server.at("/app.git"))));
    let said = workspace.run(["run", "made.yaml", "--", "sh", "-c", "cat /list /context/state"]).ok();
    assert_eq!(said.stdout, "Dockerfile\nstate\nfirst");
}

fn an_archive_is_pinned_by_its_digest(engine: &Engine) {
    let server = Server::start(FileTree::new());
    let base = shell(&server);
    let archive = |state: &str| {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, bytes) in [("Dockerfile", dockerfile(&base)), ("state", state.to_owned())] {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            tar.append_data(&mut header, path, bytes.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap()
    };
    let workspace = engine.workspace();
    server.put("/context.tar", archive("first"));
    workspace.write("made.yaml", &context(&server.at("/context.tar")));
    let pinned = made(&workspace, "made.yaml");
    let digest = provenv_definition::Digest::of(&archive("first")).to_string();
    assert_eq!(pinned["context"]["archive"]["sha256"], digest.as_str());
    let said = workspace.run(["run", "made.yaml", "--", "sh", "-c", "cat /list /context/state"]).ok();
    assert_eq!(said.stdout, "Dockerfile\nstate\nfirst");

    // Another archive under the same URL is not what is locked, and where that is needed again, it is refused.
    server.put("/context.tar", archive("second"));
    assert_eq!(made(&workspace, "made.yaml"), pinned);
    workspace.run(["lock", "made.yaml"]).ok();
    let machine = engine.workspace();
    for file in ["made.yaml", "made.lock.json"] {
        fs_err::copy(workspace.path().join(file), machine.path().join(file)).unwrap();
    }
    let done = machine.run(["build", "made.yaml", "--lock", "made.lock.json"]);
    assert!(done.code == 1 && done.stderr.contains("context.tar"), "{}", done.stderr);
    for (bytes, said) in [(b"no archive".to_vec(), "cannot be unpacked"), (climbing(), "cannot be unpacked")]
    {
        server.put("/context.tar", bytes);
        let done = machine.run(["lock", "made.yaml"]);
        assert!(done.code == 1 && done.stderr.contains(said), "{}", done.stderr);
    }
}

/// A tar with a file above its root.
fn climbing() -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_size(1);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.as_old_mut().name[..7].copy_from_slice(b"../../x");
    header.set_cksum();
    let mut tar = tar::Builder::new(Vec::new());
    tar.append(&header, &b"x"[..]).unwrap();
    tar.into_inner().unwrap()
}
