//! Locking definitions with conda packages, from the command line: what is asked beside the definition is kept, and what
//! cannot be had is said at the user's own lines.

use provenv_channel::{Channel, Package};
use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::{FileTree, Server};
use serde_json::Value;

use crate::support::{Done, Workspace};

fn channel() -> Channel {
    Channel::new("small")
        .add(Package::new("library", "1.0").timestamp(1_600_000_000_000))
        .add(Package::new("library", "2.0").timestamp(1_700_000_000_000))
        .add(Package::new("model", "1.0").build("cpu_0", 0).depends("library").timestamp(1_600_000_000_000))
        .add(
            Package::new("model", "1.0")
                .build("gpu_1", 1)
                .depends("library")
                .depends("__cuda >=12")
                .timestamp(1_600_000_000_000),
        )
}

fn packages(lock: &Value) -> Vec<String> {
    let packages = lock["platforms"]["linux/amd64"]["conda"].as_array().unwrap();
    let text = |package: &Value, key: &str| package[key].as_str().unwrap().to_owned();
    packages
        .iter()
        .map(|package| {
            format!("{} {} {}", text(package, "name"), text(package, "version"), text(package, "build"))
        })
        .collect()
}

fn lock(workspace: &Workspace, arguments: &[&str]) -> Vec<String> {
    let done = workspace.run(["lock", "--file", "-", "environment.yml"].iter().chain(arguments)).ok();
    packages(&done.json())
}

#[test]
fn a_later_build_gives_no_credentials_to_a_host_that_only_an_index_names() {
    let Some(workspace) = Workspace::new() else { return };
    let channel = channel().without_shards().without_zst();
    let (own, other) =
        (Server::start(channel.serve(FileTree::new())), Server::start(channel.serve(FileTree::new())));
    let path = "linux-64/repodata.json";
    let mut index: Value = serde_json::from_slice(&channel.files()[path]).unwrap();
    index["info"]["base_url"] = format!("http://localhost:{}/small/linux-64/", other.address().port()).into();
    own.put(&format!("/small/{path}"), serde_json::to_vec(&index).unwrap());
    workspace
        .write("environment.yml", &format!("channels: [{}]\ndependencies: [library]\n", own.at("/small")));
    let netrc = workspace.write("netrc", "default login anna password s3cret\n");
    // Nor those of another host that has such a name in variables.
    let variables =
        ["LOCALHOST_USERNAME", "LOCALHOST_PASSWORD"].map(|name| (format!("PROVENV_INDEX_{name}"), "s3cret"));
    let run = |command: &str| {
        let mut run = workspace.command();
        run.args([command, "environment.yml"]).env("NETRC", &netrc).envs(variables.clone());
        Done::from(run.output().unwrap()).ok()
    };
    run("lock");
    // Nobody has fetched the package yet, and the next process has read no index.
    let before = other.total_hits();
    run("build");
    assert!(other.total_hits() > before, "the package comes from there");
    assert!(other.requests().iter().all(|request| request.header("authorization").is_none()));
    assert!(own.requests().iter().any(|request| request.header("authorization").is_some()));
}

#[test]
fn a_variable_in_a_channels_path_is_shown_and_kept_as_one() {
    const SECRET: &str = "s3kret-never-shown";
    let Some(workspace) = Workspace::new() else { return };
    let channel = channel().patch("library-2.0-0.conda", "sha256", "0".repeat(64));
    let mut tree = FileTree::new();
    for (path, bytes) in channel.files() {
        tree = tree.with(&format!("/t/{SECRET}/small/{path}"), bytes);
    }
    let server = Server::start(tree);
    let url = server.at("/t/${TOKEN}/small");
    let run = |arguments: &[&str]| {
        let mut command = workspace.command();
        let done = Done::from(command.args(arguments).env("TOKEN", SECRET).output().unwrap());
        assert!(
            !format!("{}{}", done.stdout, done.stderr).contains(SECRET),
            "{}{}",
            done.stdout,
            done.stderr
        );
        done
    };
    let write = |name: &str, package: &str| {
        workspace.write(name, &format!("channels: [\"{url}\"]\ndependencies: [{package}]\n"));
    };
    write("good.yml", "library=1");
    run(&["-vv", "build", "good.yml"]).ok();
    write("bad.yml", "library=2");
    let bad = run(&["-vv", "build", "bad.yml"]);
    assert!(bad.code == 1 && bad.stderr.contains("/t/${TOKEN}/small/linux-64/library-2.0"), "{}", bad.stderr);
    let kept =
        std::process::Command::new("grep").args(["-rl", SECRET]).arg(workspace.root()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&kept.stdout), "");
}

#[test]
fn a_lock_that_lacks_what_is_asked_for_is_refused() {
    let Some(workspace) = Workspace::new() else { return };
    let server = Server::start(channel().serve(FileTree::new()));
    let text = format!("channels: [{}]\ndependencies: [model, library>=2]\n", server.at("/small"));
    workspace.write("environment.yml", &text);
    workspace.run(["lock", "environment.yml"]).ok();
    workspace.run(["lock", "environment.yml", "--check"]).ok();
    let whole = fs_err::read_to_string(workspace.path().join("environment.lock.json")).unwrap();
    let without = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut lock: Value = serde_json::from_str(&whole).unwrap();
        change(lock["platforms"]["linux/amd64"]["conda"].as_array_mut().unwrap());
        workspace.write("edited.lock.json", &lock.to_string());
        let arguments = ["lock", "environment.yml", "--check", "--file", "edited.lock.json"];
        let (check, build) = (
            workspace.run(arguments),
            workspace.run(["build", "environment.yml", "--lock", "edited.lock.json"]),
        );
        assert_eq!((check.code, build.code), (1, 1), "{}{}", check.stdout, build.stdout);
        assert!(check.stderr.contains("hint: "), "{}", check.stderr);
        check.stderr
    };
    let said = without(&|packages| packages.retain(|package| package["name"] != "model"));
    assert!(said.contains("`model` is asked for, and the lock has no such package"), "{said}");
    // As a whole record of the package, so that all of it goes together.
    let text = format!("channels: [{}]\ndependencies: [library=1]\n", server.at("/small"));
    workspace.write("old.yml", &text);
    let old = workspace.run(["lock", "old.yml", "--file", "-"]).ok().json();
    let said = without(&|packages| {
        let library = packages.iter_mut().find(|package| package["name"] == "library").unwrap();
        *library = old["platforms"]["linux/amd64"]["conda"][0].clone();
    });
    assert!(said.contains("`library >=2` is asked for, and the lock has 1.0 0"), "{said}");
}

#[test]
fn what_was_asked_beside_the_definition_is_in_the_receipt() {
    let Some(workspace) = Workspace::new() else { return };
    let server = Server::start(channel().serve(FileTree::new()));
    let url = server.at("/small");
    workspace.write("environment.yml", &format!("name: demo\nchannels: [{url}]\ndependencies: [model]\n"));
    assert_eq!(lock(&workspace, &[]), ["library 2.0 0", "model 1.0 cpu_0"]);
    assert_eq!(lock(&workspace, &["--as-of", "2022-01-01"]), ["library 1.0 0", "model 1.0 cpu_0"]);
    assert_eq!(lock(&workspace, &["--virtual-package", "__cuda=12.4"]), ["library 2.0 0", "model 1.0 gpu_1"]);
    let receipt = workspace.json(["env", "show", "environment.yml", "--receipt"]);
    assert_eq!(receipt["virtual_packages"][0], "__cuda=12.4");
    assert_eq!(receipt["as_of"], Value::Null);
    assert_eq!(lock(&workspace, &["--upgrade"]), ["library 2.0 0", "model 1.0 gpu_1"], "a GPU stays one");
    // So it does where a lock comes back as a file.
    let text = workspace.run(["lock", "environment.yml", "--file", "-", "--as-of", "2022-01-01"]).ok().stdout;
    workspace.run(["lock", "environment.yml", "--upgrade"]).ok();
    workspace.write("old.lock.json", &text);
    workspace.run(["build", "environment.yml", "--lock", "old.lock.json"]).ok();
    assert_eq!(lock(&workspace, &["--upgrade"]), ["library 2.0 0", "model 1.0 gpu_1"]);
    let done = workspace.run(["lock", "environment.yml", "--as-of", "2022-01-01"]).ok();
    assert!(done.stderr.contains("Debian's archive keeps one version"), "{}", done.stderr);
    let receipt = workspace.json(["env", "show", "environment.yml", "--receipt"]);
    assert_eq!(receipt["as_of"], "2022-01-01T23:59:59.999Z");
    let indexes = receipt["indexes"].as_array().unwrap();
    assert!(indexes.iter().any(|index| index["url"].as_str().unwrap().starts_with(&url)), "{indexes:?}");
    assert!(receipt["tools"].as_array().unwrap().iter().any(|tool| tool["name"] == "rattler_solve"));

    // A registered environment stays one for machines with a GPU when it moves to newer packages.
    workspace
        .run(["lock", "environment.yml", "--as-of", "2022-01-01", "--virtual-package", "__cuda=12.4"])
        .ok();
    workspace.run(["env", "register", "environment.yml"]).ok();
    let upgraded = workspace.json(["upgrade", "demo"]);
    assert_eq!(upgraded["to"], "2", "{upgraded}");
    let done = workspace.run(["lock", "--file", "-", "demo:2"]).ok();
    assert_eq!(packages(&done.json()), ["library 2.0 0", "model 1.0 gpu_1"]);
}

#[test]
fn a_definition_may_declare_what_its_machines_have() {
    let Some(workspace) = Workspace::new() else { return };
    let server = Server::start(channel().serve(FileTree::new()));
    let url = server.at("/small");
    workspace.write(
        "environment.yml",
        &format!(
            "name: demo\nvirtual_packages: [__cuda=12.4]\nconda_file:\n  channels: [{url}]\n  dependencies: [model]\n"
        ),
    );
    assert_eq!(lock(&workspace, &[]), ["library 2.0 0", "model 1.0 gpu_1"]);
}

#[test]
fn a_python_of_conda_need_be_in_no_suite_of_debian() {
    let Some(workspace) = Workspace::new() else { return };
    let with_python = channel().add(Package::new("python", "3.12.1").build("h1_0_cpython", 0));
    let server = Server::start(with_python.serve(FileTree::new()));
    let url = server.at("/small");
    workspace.write(
        "environment.yml",
        &format!("python: '3.12'\nconda_file:\n  channels: [{url}]\n  dependencies: [library]\n"),
    );
    let lock = workspace.run(["lock", "--file", "-", "environment.yml"]).ok().json();
    assert_eq!(packages(&lock), ["library 2.0 0", "python 3.12.1 h1_0_cpython"]);
    let lock = &lock["platforms"]["linux/amd64"];
    assert_eq!(lock["python"]["executable"], "/opt/provenv/bin/python3.12");
    assert_eq!(lock["base"]["debian"]["suite"], "bookworm");
}

#[test]
fn both_platforms_are_in_one_lock() {
    let Some(workspace) = Workspace::new() else { return };
    let both = channel()
        .add(Package::new("tool", "1").build("intel_0", 0))
        .add(Package::new("tool", "1").build("arm_0", 0).subdir("linux-aarch64"));
    let server = Server::start(both.serve(FileTree::new()));
    let url = server.at("/small");
    workspace.write(
        "environment.yml",
        &format!("channels: [{url}]\nplatforms: [linux-64, linux-aarch64]\ndependencies: [tool]\n"),
    );
    let lock = workspace.run(["lock", "--file", "-", "environment.yml"]).ok().json();
    let build = |platform: &str| lock["platforms"][platform]["conda"][0]["build"].clone();
    assert_eq!((build("linux/amd64"), build("linux/arm64")), ("intel_0".into(), "arm_0".into()));
}

#[test]
fn what_one_platform_lacks_is_said_of_that_platform() {
    let Some(workspace) = Workspace::new() else { return };
    let both = channel().add(Package::new("tool", "1").build("intel_0", 0).subdir("linux-64"));
    let server = Server::start(both.serve(FileTree::new()));
    let url = server.at("/small");
    workspace.write(
        "environment.yml",
        &format!("channels: [{url}]\nplatforms: [linux-64, linux-aarch64]\ndependencies: [tool]\n"),
    );
    let done = workspace.run(["lock", "environment.yml"]);
    assert_eq!(done.code, 1, "{}", done.stderr);
    for said in [
        "error: for linux/arm64: no channel has a package `tool`",
        "environment.yml:3:16",
        "hint: linux/amd64 has it: leave linux/arm64 out of `platforms`",
    ] {
        assert!(done.stderr.contains(said), "{said}: {}", done.stderr);
    }
}

#[test]
fn a_channel_that_cannot_be_read_is_named_and_shown_where_it_stands() {
    let Some(workspace) = Workspace::new() else { return };
    let said = |url: &str| {
        workspace
            .write("environment.yml", &format!("channels:\n- {url}\ndependencies:\n- library\nwhat: ever\n"));
        let done = workspace.run(["lock", "environment.yml"]);
        assert_eq!(done.code, 1, "{}", done.stderr);
        done.stderr
    };
    // A port that was free a moment ago.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}/away");
    let stderr = said(&url);
    assert!(
        stderr.contains(&format!("error: failed to read the index of the channel `{url}`"))
            && stderr.contains("environment.yml:2:3"),
        "{stderr}"
    );
    // What is odd in the file is said as well: it may be the reason.
    assert!(stderr.contains("warning[PV012]: unknown key `what`"), "{stderr}");
    let stderr = said("file:///no/such/channel");
    assert!(stderr.contains("environment.yml:2:3") && stderr.contains("hint: check its URL"), "{stderr}");

    workspace.write("environment.yml", &format!("channels: ['{url}']\ndependencies: [library]\n"));
    let done: Done =
        workspace.command().args(["-o", "json", "lock", "environment.yml"]).output().unwrap().into();
    let error: Value = serde_json::from_str(done.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(error["error"]["places"][0]["span"]["line"], 1, "{error}");
}

#[test]
fn mistakes_are_shown_where_they_stand() {
    let Some(workspace) = Workspace::new() else { return };
    let server = Server::start(channel().serve(FileTree::new()));
    let url = server.at("/small");
    let said = |dependencies: &str| {
        workspace.write(
            "environment.yml",
            &format!("channels:\n- {url}\ndependencies:\n- model\n- {dependencies}\n"),
        );
        let done = workspace.run(["lock", "environment.yml"]);
        assert_eq!(done.code, 1, "{}", done.stderr);
        done.stderr
    };
    let stderr = said("libary");
    assert!(
        stderr.contains("no channel has a package `libary`") && stderr.contains("did you mean `library`?")
    );
    assert!(stderr.contains("environment.yml:5:3"), "{stderr}");
    let stderr = said("library=3");
    assert!(stderr.contains("library 3.*, and the channels have 2.0, 1.0"), "{stderr}");
    assert!(stderr.contains("environment.yml:5:3"), "{stderr}");
    let stderr = said("library\n- model=*=gpu*");
    assert!(stderr.contains("__cuda >=12, which the target is not said to have"), "{stderr}");
    assert!(stderr.contains("`provenv lock --virtual-package __cuda=12.4`"), "{stderr}");
    assert!(stderr.contains("as a conda file cannot say it"), "{stderr}");
}

#[test]
fn pip_has_a_python_where_conda_has_nothing() {
    let Some(workspace) = Workspace::new() else { return };
    let library = Package::new("library", "1.0");
    let free = Package::new("python", "3.13.1").build("h1_5_cp313t", 5);
    let small = Channel::new("small").add(library.clone()).add(free);
    let index = Index::new().add(Wheel::new("plain", "1.0"));
    let server = Server::start(index.serve(small.serve(FileTree::new())));
    let (url, simple) = (server.at("/small"), server.at("/simple/"));
    let file = |dependencies: &str| {
        let pip = format!("- pip:\n  - --index-url {simple}\n  - plain\n");
        workspace.write("environment.yml", &format!("channels: [{url}]\ndependencies:\n{dependencies}{pip}"));
    };
    file("- library  # [aarch64]\n");
    let lock = workspace.run(["lock", "--file", "-", "environment.yml"]).ok().json();
    let lock = &lock["platforms"]["linux/amd64"];
    assert!(lock["python"]["executable"].as_str().unwrap().starts_with("/usr/bin/python3"), "{lock}");
    assert_eq!((&lock["pypi"][0]["name"], lock["conda"].as_array()), (&"plain".into(), None));

    // Wheels for the usual Python are none for one without the lock, and the other way round.
    file("- python=3.13\n");
    let refused = workspace.run(["lock", "environment.yml"]);
    assert!(
        refused.code == 2 && refused.stderr.contains("free-threaded Python 3.13.1 h1_5_cp313t"),
        "{}",
        refused.stderr
    );

    // The lock of another tool may have packages of pip and no Python.
    let (archive, wheel) = (library.make(), Wheel::new("plain", "1.0"));
    let package = |manager: &str, name: &str, url: String, sha256: &str| {
        format!(
            "- {{name: {name}, version: '1.0', manager: {manager}, platform: linux-64, dependencies: {{}}, url: '{url}', \
             hash: {{sha256: {sha256}}}, category: main, optional: false}}\n"
        )
    };
    let conda = package("conda", "library", format!("{url}/linux-64/library-1.0-0.conda"), archive.sha256());
    let sha256 = provenv_definition::Digest::of(&wheel.build()).hex();
    let pip = package("pip", "plain", server.at(&format!("/files/{}", wheel.file_name())), &sha256);
    workspace.write(
        "conda-lock.yml",
        &format!(
            "version: 1\nmetadata:\n  content_hash: {{linux-64: x}}\n  channels: [{{url: {url}, used_env_vars: []}}]\n  \
             platforms: [linux-64]\n  sources: [environment.yml]\npackage:\n{conda}{pip}"
        ),
    );
    let refused = workspace.run(["lock", "conda-lock.yml"]);
    assert!(
        refused.code != 0 && refused.stderr.contains("there is no Python for linux/amd64"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_lock_of_ones_own_is_taken_back() {
    let Some(workspace) = Workspace::new() else { return };
    let folder = workspace.path().join("channels");
    let small = channel();
    small.write_to(&folder.join("small")).unwrap();
    let alias = url::Url::from_file_path(&folder).unwrap();
    let settings = workspace.write("settings.toml", &format!("[conda]\nchannel_alias = \"{alias}\"\n"));
    let run = |arguments: &[&str]| {
        Done::from(workspace.command().env("PROVENV_CONFIG", &settings).args(arguments).output().unwrap())
            .ok()
    };
    workspace.write("environment.yml", "channels: [small]\ndependencies: [model]\n");
    run(&["lock", "environment.yml"]);
    run(&["lock", "environment.yml", "--check"]);
    let archive = format!("{alias}/{}", small.path_of("library-1.0-0.conda"));
    workspace.write("archive.yml", &format!("dependencies: ['{archive}']\n"));
    run(&["lock", "archive.yml"]);
    // The archive itself is in the store by now, and is looked for elsewhere.
    let elsewhere = Workspace::new().unwrap();
    let mut command = elsewhere.command();
    command.args(["lock", "archive.yml", "--check"]).current_dir(workspace.path());
    Done::from(command.output().unwrap()).ok();
}

#[test]
fn who_moves_a_channel_by_the_settings_is_told_of_locks_from_where_it_was() {
    let Some(workspace) = Workspace::new() else { return };
    let (old, new) = (
        Server::start(channel().serve(FileTree::new())),
        Server::start(channel().add(Package::new("library", "3.0")).serve(FileTree::new())),
    );
    let settings = workspace.path().join("settings.toml");
    let move_to = |server: &Server| {
        fs_err::write(&settings, format!("[conda]\nchannel_alias = \"{}\"\n", server.url)).unwrap();
    };
    let lock = |arguments: &[&str]| {
        let mut command = workspace.command();
        command.env("PROVENV_CONFIG", &settings).args(["lock", "--file", "-", "environment.yml"]);
        Done::from(command.args(arguments).output().unwrap()).ok()
    };
    workspace.write("environment.yml", "channels: [small]\ndependencies: [library]\n");
    move_to(&old);
    lock(&[]);
    let same = lock(&[]);
    assert!(!same.stderr.contains("by the settings"), "{}", same.stderr);
    move_to(&new);
    // What was chosen stays, and nothing is asked.
    let told = lock(&[]);
    assert_eq!(packages(&told.json()), ["library 2.0 0"]);
    assert_eq!(new.total_hits(), 0);
    let said = format!("was {} when this was locked, and is {}", old.at("/small"), new.at("/small"));
    assert!(told.stderr.contains(&said) && told.stderr.contains("--upgrade"), "{}", told.stderr);
    assert_eq!(packages(&lock(&["--upgrade"]).json()), ["library 3.0 0"]);
    let done = lock(&[]);
    assert!(!done.stderr.contains("by the settings"), "{}", done.stderr);
}

#[test]
fn an_index_that_is_wrong_is_not_locked() {
    let Some(workspace) = Workspace::new() else { return };
    let wrong = Channel::new("small").add(Package::new("tool", "1").noarch_generic()).patch(
        "tool-1-0.conda",
        "subdir",
        "osx-64",
    );
    let server = Server::start(wrong.serve(FileTree::new()));
    let url = server.at("/small");
    workspace.write("environment.yml", &format!("channels: [{url}]\ndependencies: [tool]\n"));
    let refused = workspace.run(["lock", "environment.yml"]);
    assert!(
        refused.code != 0 && refused.stderr.contains("what the indexes say cannot be locked"),
        "{}",
        refused.stderr
    );
}

#[test]
fn what_stays_stays_though_its_channel_changes() {
    let Some(workspace) = Workspace::new() else { return };
    let small =
        || Channel::new("small").add(Package::new("library", "1.0")).add(Package::new("model", "1.0"));
    let tree = Channel::new("other").add(Package::new("thing", "1.0")).serve(FileTree::new());
    let server = Server::start(small().serve(tree));
    let (url, other) = (server.at("/small"), server.at("/other"));
    workspace.write(
        "environment.yml",
        &format!("name: demo\nchannels: [{url}, {other}]\ndependencies: [library, model]\n"),
    );
    workspace.run(["env", "register", "environment.yml"]).ok();
    let put = |channel: &Channel| {
        for (path, bytes) in channel.files() {
            server.put(&format!("/small/{path}"), bytes);
        }
    };
    // An index that is mended is no other version of the same archives.
    put(&small().patch("model-1.0-0.conda", "constrains", serde_json::json!(["library <9"])));
    assert_eq!(workspace.json(["upgrade", "demo"])["to"], Value::Null);
    // A package that has left its channel stays where others move.
    put(&Channel::new("small").add(Package::new("library", "2.0")));
    let refused = workspace.run(["upgrade", "demo", "library", "--as-of", "2030-01-01"]);
    assert!(refused.code == 2 && refused.stderr.contains("would not stay"), "{}", refused.stderr);
    assert_eq!(workspace.json(["upgrade", "demo", "library"])["to"], "2");
    assert_eq!(
        packages(&workspace.run(["lock", "--file", "-", "demo:2"]).ok().json()),
        ["library 2.0 0", "model 1.0 0"]
    );
}
