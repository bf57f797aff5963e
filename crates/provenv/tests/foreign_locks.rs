//! Locks of other tools become ours: what they chose is taken over, and no index is asked what else there is.

use std::fmt::Write as _;

use provenv_definition::Digest;
use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::Server;

use crate::support::{Workspace, serve};

fn leaf(version: &str) -> Wheel {
    Wheel::new("leaf", version).file("leaf/__init__.py", format!("KIND = '{version}'\n").into_bytes())
}

fn tea() -> Wheel {
    Wheel::new("tea", "1.0").requires("leaf").file("tea/__init__.py", "from leaf import KIND\n")
}

/// An index with a newer `leaf` than the locks have.
fn index() -> Server {
    serve(&Index::new().add(leaf("1.0")).add(leaf("2.0")).add(tea()))
}

/// `url`, `hash` and size of a wheel on `server`.
fn file(server: &Server, wheel: &Wheel) -> (String, String, usize) {
    let bytes = wheel.build();
    let url = server.at(&format!("/files/{}", wheel.file_name()));
    (url, Digest::of(&bytes).hex(), bytes.len())
}

fn pylock(server: &Server) -> String {
    let mut text =
        "lock-version = \"1.0\"\ncreated-by = \"some-tool\"\nrequires-python = \">=3.11\"\n".to_owned();
    for (name, version, marker, wheel) in [
        ("leaf", "1.0", "python_version < '3.13'", leaf("1.0")),
        ("leaf", "2.0", "python_version >= '3.13'", leaf("2.0")),
        ("tea", "1.0", "sys_platform == 'linux'", tea()),
    ] {
        let (url, sha256, size) = file(server, &wheel);
        let _ = write!(
            text,
            "\n[[packages]]\nname = \"{name}\"\nversion = \"{version}\"\nmarker = \"{marker}\"\nindex = \"{}\"\n\
             [[packages.wheels]]\nname = \"{}\"\nurl = \"{url}\"\nsize = {size}\nhashes = {{ sha256 = \"{sha256}\" }}\n",
            server.at("/simple/"),
            wheel.file_name()
        );
    }
    text
}

fn uv_lock(server: &Server) -> String {
    let registry = server.at("/simple/");
    let mut text = "version = 1\nrevision = 3\nrequires-python = \">=3.11\"\n\n[[package]]\nname = \"project\"\nversion = \"0.1.0\"\n\
         source = { virtual = \".\" }\ndependencies = [{ name = \"tea\" }]\n".to_string();
    for (name, wheel, needs) in
        [("leaf", leaf("1.0"), ""), ("tea", tea(), "dependencies = [{ name = \"leaf\" }]\n")]
    {
        let (url, sha256, size) = file(server, &wheel);
        let _ = write!(
            text,
            "\n[[package]]\nname = \"{name}\"\nversion = \"1.0\"\nsource = {{ registry = \"{registry}\" }}\n{needs}\
             wheels = [{{ url = \"{url}\", hash = \"sha256:{sha256}\", size = {size} }}]\n"
        );
    }
    text
}

/// Of the index of the machine's settings: such a lock says no URL.
fn poetry_lock(server: &Server) -> String {
    let mut text = String::new();
    for (name, wheel) in [("leaf", leaf("1.0")), ("tea", tea())] {
        let (_, sha256, _) = file(server, &wheel);
        let _ = write!(
            text,
            "[[package]]\nname = \"{name}\"\nversion = \"1.0\"\ndescription = \"\"\noptional = false\n\
             python-versions = \">=3.8\"\ngroups = [\"main\"]\n\
             files = [{{ file = \"{}\", hash = \"sha256:{sha256}\" }}]\n\n",
            wheel.file_name()
        );
    }
    text + "[metadata]\nlock-version = \"2.1\"\npython-versions = \">=3.11\"\ncontent-hash = \"aa\"\n"
}

/// Versions of the Python packages that an image holds.
fn packages(workspace: &Workspace, file: &str) -> Vec<String> {
    let image = workspace.json(["image", "show", file]);
    let all = image["packages"].as_array().unwrap();
    let own = all.iter().filter(|package| package["ecosystem"] == "pypi");
    own.map(|package| format!("{} {}", package["name"], package["version"]).replace('"', "")).collect()
}

#[test]
fn what_a_lock_chose_is_taken_over_and_nothing_is_solved() {
    let server = index();
    let Some(workspace) = Workspace::new() else { return };
    for (name, text) in [("pylock.toml", pylock(&server)), ("uv.lock", uv_lock(&server))] {
        workspace.write(name, &text);
        workspace.run(["build", name]).ok();
        assert_eq!(packages(&workspace, name), ["leaf 1.0", "tea 1.0"], "{name}");
        assert_eq!(server.hits("/simple/leaf/") + server.hits("/simple/tea/"), 0, "{name} asked the index");
        let kind = workspace.run(["run", name, "--", "python", "-c", "import tea; print(tea.KIND)"]).ok();
        assert_eq!(kind.stdout, "1.0\n");
        let receipt = workspace.json(["env", "show", name, "--receipt"]);
        assert_eq!(receipt["from_file"], true, "{name}");
    }
    // Registered, it is a version like any other.
    let registered = workspace.json(["env", "register", "pylock.toml", "--name", "taken"]);
    assert_eq!(registered["version"], "1");
    assert_eq!(server.hits("/simple/leaf/"), 0);
}

#[test]
fn a_lock_without_urls_is_looked_up_by_its_hashes() {
    let server = index();
    let Some(workspace) = Workspace::new() else { return };
    workspace.write("poetry.lock", &poetry_lock(&server));
    let mut command = workspace.command();
    command.env("PROVENV_PYPI_INDEX", server.at("/simple/"));
    crate::support::Done::from(command.args(["build", "poetry.lock"]).output().unwrap()).ok();
    assert_eq!(packages(&workspace, "poetry.lock"), ["leaf 1.0", "tea 1.0"]);
}

#[test]
fn a_lock_that_cannot_hold_here_is_refused_with_a_reason() {
    let server = index();
    let Some(workspace) = Workspace::new() else { return };
    let text = pylock(&server);
    for (name, text, expected) in [
        ("pylock.other.toml", text.replace(">=3.11", ">=3.99"), "3.99"),
        ("pylock.twice.toml", text.replace("python_version >= '3.13'", "python_version < '3.13'"), "twice"),
        (
            "pylock.hash.toml",
            text.replace(&Digest::of(&leaf("1.0").build()).hex(), &Digest::of(b"other").hex()),
            "leaf",
        ),
    ] {
        workspace.write(name, &text);
        let done = workspace.run(["build", name]);
        assert_ne!(done.code, 0, "{name}");
        assert!(done.stderr.contains(expected) && done.stderr.contains("hint"), "{name}: {}", done.stderr);
        assert!(!done.stderr.contains("panicked"));
    }
}

#[test]
fn conda_packages_of_a_lock_are_locked_as_they_are() {
    let Some(workspace) = Workspace::new() else { return };
    let archive = b"not looked into while it is locked";
    let server = Server::start(provenv_testing::server::FileTree::new());
    server.put("/channel/linux-64/leaf-1.0-h1_2.conda", archive.to_vec());
    let url = server.at("/channel/linux-64/leaf-1.0-h1_2.conda");
    // With a digest nothing is fetched.
    let digest = Digest::of(archive).hex();
    workspace.write("explicit.txt", &format!("# platform: linux-64\n@EXPLICIT\n{url}#sha256:{digest}\n"));
    let lock = workspace.run(["lock", "explicit.txt", "--file", "-"]).ok();
    let chosen =
        &serde_json::from_str::<serde_json::Value>(&lock.stdout).unwrap()["platforms"]["linux/amd64"];
    let package = &chosen["conda"][0];
    assert_eq!((&package["name"], &package["build_number"]), (&"leaf".into(), &2.into()));
    assert_eq!(package["artifact"]["sha256"], format!("sha256:{digest}"));
    assert_eq!(server.hits("/channel/linux-64/leaf-1.0-h1_2.conda"), 0);
    // Conda brings its own Python, and this lock has none.
    assert!(chosen["python"].is_null());
    // With an md5 alone the archive is fetched and named by what came.
    let md5 = "2f2e4ca9d2ac1fbcd2e8b1c3a9d4e9f1";
    workspace.write("md5.txt", &format!("@EXPLICIT\n{url}#{md5}\n"));
    let refused = workspace.run(["lock", "md5.txt", "--file", "-"]);
    assert!(refused.stderr.contains("its md5 is"), "{}", refused.stderr);
    workspace.write("plain.txt", &format!("@EXPLICIT\n{url}\n"));
    let lock = workspace.run(["lock", "plain.txt", "--file", "-"]).ok();
    assert!(lock.stdout.contains(&digest));
    // What is no package shows when the image is made.
    let done = workspace.run(["build", "explicit.txt"]);
    assert_ne!(done.code, 0);
    assert!(done.stderr.contains("leaf-1.0-h1_2.conda"), "{}", done.stderr);
    // And goes on to other tools.
    let exported =
        workspace.run(["env", "export", "explicit.txt", "--locked", "--format", "conda-lock"]).ok();
    assert!(exported.stdout.contains(&digest), "{}", exported.stdout);
    // A Dockerfile installs that package and no other.
    let exported =
        workspace.run(["env", "export", "explicit.txt", "--locked", "--format", "dockerfile"]).ok();
    assert!(
        exported.stdout.contains(&format!("'@EXPLICIT' \\\n    '{url}#sha256:{digest}'")),
        "{}",
        exported.stdout
    );
    assert!(!exported.stderr.contains("conda packages"), "{}", exported.stderr);
    // For a platform that the lock is not for there is nothing to write.
    let missing = ["env", "export", "explicit.txt", "--format", "explicit", "--platform", "linux/arm64"];
    let missing = workspace.run(missing);
    assert!(
        missing.code == 1 && missing.stdout.is_empty() && missing.stderr.contains("nothing for linux/arm64"),
        "{}",
        missing.stderr
    );
    // A lock is not written over a definition, nor over half of what was there.
    let over = workspace.run(["lock", "plain.txt", "--file", "explicit.txt"]);
    assert!(over.code == 2 && over.stderr.contains("`explicit.txt` is there and no lock"), "{}", over.stderr);
    workspace.run(["lock", "plain.txt", "--file", "again.lock.json"]).ok();
    workspace.run(["lock", "plain.txt", "--file", "again.lock.json"]).ok();
    let lock = workspace.run(["build", "again.lock.json"]);
    assert!(
        lock.code == 2
            && lock.stderr.contains("`./again.lock.json` is a lock")
            && lock.stderr.contains("--lock ./again.lock.json"),
        "{}",
        lock.stderr
    );
    let nowhere = workspace.run(["lock", "plain.txt", "--file", "nowhere/a.lock.json"]);
    assert!(
        nowhere.code == 1
            && nowhere.stderr.contains("could not write `nowhere/a.lock.json`")
            && !nowhere.stderr.contains("partial"),
        "{}",
        nowhere.stderr
    );
}
