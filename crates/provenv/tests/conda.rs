//! Environments of conda packages, from the definition to a command that runs.

use std::process::Command;

use provenv_channel::{Channel, Package, real};
use provenv_testing::server::{FileTree, Server};
use serde_json::Value;

use crate::support::{Done, Workspace};

/// An environment file of `channel`.
fn environment(channel: &str, packages: &[&str]) -> String {
    let mut text = format!("name: demo\nchannels: [{channel}]\ndependencies:\n");
    for package in packages {
        text.extend(["- ", package, "\n"]);
    }
    text
}

#[test]
fn real_packages_are_locked_built_and_run() {
    let (Some(workspace), Some(channel)) = (Workspace::new(), real()) else { return };
    let server = channel.serve();
    let packages = ["python=3.11", "scikit-learn", "pandas", "requests", "pip"];
    workspace.write("environment.yml", &environment(&server.at("/real"), &packages));
    let built = workspace.json(["build", "environment.yml"]);
    assert!(built["layers"].as_u64().unwrap() < 100);

    let code = "import os, sys, sysconfig, sklearn, pandas; from sklearn.linear_model import LinearRegression as R; \
                print(sys.prefix, os.environ['CONDA_PREFIX'], 'VIRTUAL_ENV' in os.environ, sysconfig.get_path('purelib')); \
                print(R().fit([[0], [1]], [0, 2]).predict([[2]])[0].round(6)); \
                print(pandas.__spec__.cached)";
    let run =
        |command: &[&str]| workspace.run([&["run", "environment.yml", "--"], command].concat()).ok().stdout;
    let said = run(&["python", "-c", code]);
    let lines: Vec<&str> = said.lines().collect();
    let site = "/opt/provenv/lib/python3.11/site-packages";
    assert_eq!(lines[0], format!("/opt/provenv /opt/provenv False {site}"));
    assert_eq!(lines[1], "4.0");
    assert_eq!(lines[2], format!("{site}/pandas/__pycache__/__init__.cpython-311.pyc"));
    // Bytecode is there for every module that is loaded and that a statement could import, and is not made when it runs.
    let stale = "import sys, os, sklearn, pandas; print([m.__name__ for m in sys.modules.values() \
                 if (c := getattr(getattr(m, '__spec__', None), 'cached', None)) and not os.path.exists(c) \
                 and '-' not in m.__name__])";
    assert_eq!(run(&["python", "-B", "-c", stale]), "[]\n");

    // What pip and conda's tools see is what was locked.
    assert_eq!(run(&["pip", "check"]), "No broken requirements found.\n");
    let listed = run(&["pip", "list", "--format", "freeze"]);
    assert!(listed.contains("scikit-learn=="), "{listed}");
    let records = run(&["sh", "-c", "ls /opt/provenv/conda-meta"]);
    assert!(records.contains("history\n") && records.contains("\npython-3.11"), "{records}");

    // Elsewhere on this machine it works as it does in the image, and nothing in it names the place that it was made for.
    let folder = workspace.path().join("somewhere/else");
    // Killed processes leave theirs beside it, and others may be at work there.
    let left = ["somewhere/.provenv-killed", "somewhere/.provenv-atwork", "somewhere/.provenv-others"];
    let left = left.map(|folder| workspace.path().join(folder));
    for folder in &left {
        fs_err::create_dir_all(folder.join("prefix/bin")).unwrap();
    }
    fs_err::write(left[2].join("notes"), "").unwrap();
    let at_work = fs_err::File::open(&left[1]).unwrap();
    at_work.file().lock().unwrap();
    workspace.run(["build", "environment.yml", "--to", &format!("prefix:{}", folder.display())]).ok();
    assert_eq!(left.map(|folder| folder.exists()), [false, true, true]);
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(folder.join(program)).env_clear().args(arguments).output().unwrap();
        Done::from(output).ok().stdout
    };
    let code = code.replace("os.environ['CONDA_PREFIX']", "''").replace("'VIRTUAL_ENV' in os.environ", "''");
    let said = run("bin/python", &["-c", &code]);
    assert!(said.starts_with(folder.to_str().unwrap()) && said.contains("\n4.0\n"), "{said}");
    assert_eq!(run("bin/pip", &["check"]), "No broken requirements found.\n");
    let named = Command::new("grep").args(["-rIl", "/opt/provenv"]).arg(&folder).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&named.stdout), "");

    // What was asked for is kept there, and not only its name.
    let history = fs_err::read_to_string(folder.join("conda-meta/history")).unwrap();
    assert!(history.contains("# update specs: [") && history.contains("\"python=3.11\""), "{history}");
    // A kernel ends the name of an interpreter at a space.
    let spaced = workspace.path().join("with space");
    workspace.run(["build", "environment.yml", "--to", &format!("prefix:{}", spaced.display())]).ok();
    let pip = Command::new(spaced.join("bin/pip")).env_clear().arg("--version").output().unwrap();
    let pip = Done::from(pip).ok().stdout;
    assert!(pip.contains(spaced.to_str().unwrap()), "{pip}");

    // A Dockerfile asks for the same archives.
    let dockerfile = workspace.run(["image", "show", "environment.yml", "--dockerfile"]).ok().stdout;
    let lock = workspace.run(["lock", "environment.yml", "--file", "-"]).ok().json();
    let locked = lock["platforms"]["linux/amd64"]["conda"].as_array().unwrap();
    for package in locked {
        let sha256 = package["artifact"]["sha256"].as_str().unwrap().trim_start_matches("sha256:");
        assert!(dockerfile.contains(&format!("#sha256:{sha256}'")), "{package}{dockerfile}");
    }
    assert!(!dockerfile.contains("-m venv /opt/provenv"), "{dockerfile}");

    // Made again from its artifacts it is the same.
    let again = workspace.json(["build", "environment.yml", "--force"]);
    assert_eq!((&again["image"], &again["reproduced"]), (&built["image"], &true.into()));
}

#[test]
fn modules_are_what_scripts_and_other_places_make_of_them() {
    let (Some(real), Some(workspace)) = (real(), Workspace::new()) else { return };
    let module = |name: &str| Package::new(name, "1.0").noarch_python().depends("python >=3.8");
    let tiny =
        Channel::new("tiny")
            // As conda-forge has those with compiled code for any Python.
            .add(
                module("native")
                    .subdir("linux-64")
                    .prefixed_text("site-packages/native.py", "ROOT = '{PREFIX}'\n"),
            )
            .add(module("settings").file("site-packages/settings.py", "ROOT = 'unset'\n").post_link(
                "echo \"ROOT = '$PREFIX'\" > \"$PREFIX/lib/python3.11/site-packages/settings.py\"\n",
            ))
            .add(module("sly").post_link("echo '#!/bin/sh' > \"$PREFIX/bin/python3.11\"\n"));
    let server = Server::start(tiny.serve(real.tree()));
    let write = |name: &str, packages: &str| {
        let (tiny, real) = (server.at("/tiny"), server.at("/real"));
        let text = format!(
            "name: modules\nchannels: ['{tiny}', '{real}']\ndependencies: [python=3.11, {packages}]\n"
        );
        workspace.write(name, &text);
    };
    write("environment.yml", "native, settings");
    workspace.run(["build", "environment.yml", "--post-link", "run"]).ok();
    let code = "import native, settings; print(native.ROOT, settings.ROOT)";
    let said = workspace.run(["run", "environment.yml", "--", "python", "-c", code]).ok().stdout;
    assert_eq!(said, "/opt/provenv /opt/provenv\n");
    let folder = workspace.path().join("elsewhere");
    workspace.run(["build", "environment.yml", "--to", &format!("prefix:{}", folder.display())]).ok();
    let output = Command::new(folder.join("bin/python")).env_clear().args(["-c", code]).output().unwrap();
    assert_eq!(Done::from(output).ok().stdout, format!("{} /opt/provenv\n", folder.display()));

    write("sly.yml", "sly");
    let refused = workspace.run(["build", "sly.yml", "--post-link", "run"]);
    assert!(
        refused.code != 0 && refused.stderr.contains("has written /opt/provenv/bin/python3.11"),
        "{}",
        refused.stderr
    );
}

/// A channel of packages with scripts: one that makes an index of what is there, one that fails, one that wants to be first.
fn scripted() -> Channel {
    let tool = Package::new("tool", "1.0").build("h0_4", 4).file("share/tools/tool", "tool\n").post_link(
        "set -e\nls \"$PREFIX/share/tools\" > \"$PREFIX/share/index\"\n\
         echo \"$PKG_NAME $PKG_VERSION $PKG_BUILDNUM $PREFIX\" >> \"$PREFIX/share/index\"\n\
         echo 'read the manual' >> \"$PREFIX/.messages.txt\"\n\
         if (exec 3<>/dev/tcp/127.0.0.1/${PORT:-9}) 2> /dev/null; then exit 9; fi\n",
    );
    Channel::new("demo")
        .add(tool)
        .add(Package::new("other", "1.0").file("share/tools/other", "other\n").depends("tool"))
        .add(Package::new("broken", "1.0").post_link("echo it cannot be done >&2\nexit 3\n"))
        .add(Package::new("early", "1.0").pre_link("exit 0\n"))
        .add(Package::new("late", "1.0").pre_unlink("exit 1\n"))
        .add(Package::new("clock", "1.0").post_link(
            "mkdir -p \"$PREFIX/share\"\ncat /proc/sys/kernel/random/uuid > \"$PREFIX/share/when\"\n",
        ))
}

#[test]
fn scripts_are_not_run_again_for_the_same_packages() {
    let Some(workspace) = Workspace::new() else { return };
    let server = Server::start(scripted().serve(FileTree::new()));
    workspace.write("environment.yml", &environment(&server.at("/demo"), &["clock"]));
    let first = workspace.json(["lock", "environment.yml", "--post-link", "run"]);
    assert_eq!(workspace.json(["lock", "environment.yml", "--upgrade"])["lock"], first["lock"]);
    workspace.run(["env", "register", "environment.yml", "--name", "clock"]).ok();
    assert_eq!(workspace.json(["upgrade", "clock", "--dry-run"])["to"], Value::Null);
    assert_eq!(workspace.json(["upgrade", "clock"])["to"], Value::Null);
    // With another package they are.
    workspace.write("environment.yml", &environment(&server.at("/demo"), &["clock", "late"]));
    let other = workspace.json(["lock", "environment.yml", "--post-link", "run"]);
    assert_ne!(other["lock"], first["lock"]);
}

#[test]
fn scripts_are_refused_until_the_user_says_what_becomes_of_them() {
    let Some(workspace) = Workspace::new() else { return };
    let server = Server::start(scripted().serve(FileTree::new()));
    let file = |name: &str, packages: &[&str]| {
        workspace.write(name, &environment(&server.at("/demo"), packages));
    };
    file("environment.yml", &["other", "late"]);
    let refused = workspace.run(["build", "environment.yml"]);
    assert_ne!(refused.code, 0);
    assert!(
        refused.stderr.contains("tool 1.0 (bin/.tool-post-link.sh)")
            && refused.stderr.contains("--post-link run"),
        "{}",
        refused.stderr
    );
    assert!(
        !refused.stderr.contains("late"),
        "what runs when it is taken away never runs: {}",
        refused.stderr
    );

    // Left out: the lock says so, and the image is made of it without another word.
    let skipped = workspace.json(["lock", "environment.yml", "--post-link", "skip"]);
    let lock = fs_err::read_to_string(workspace.path().join("environment.lock.json")).unwrap();
    assert!(lock.contains("\"post_link\": \"skip\""), "{lock}");
    let built = workspace.json(["build", "environment.yml"]);
    assert_eq!(built["lock"], skipped["lock"]);
    let show = ["run", "environment.yml", "--", "sh", "-c", "cat /opt/provenv/share/index"];
    assert_ne!(workspace.run(show).code, 0);

    // Run, once: what they left is in the lock, and in the image.
    let done = workspace.run(["-o", "json", "build", "environment.yml", "--post-link", "run"]).ok();
    assert!(done.stderr.contains("read the manual"), "{}", done.stderr);
    let with = done.json();
    assert_ne!(with["image"], built["image"]);
    assert_eq!(workspace.run(show).ok().stdout, "other\ntool\ntool 1.0 4 /opt/provenv\n");
    let again = workspace.json(["build", "environment.yml", "--force"]);
    assert_eq!((&again["image"], &again["reproduced"]), (&with["image"], &true.into()));
    workspace.run(["lock", "environment.yml", "--file", "run.lock.json"]).ok();
    let diff = workspace.json(["env", "diff", "environment.lock.json", "run.lock.json"]).to_string();
    assert!(diff.contains("post_link") && diff.contains("\"old_version\":\"skip\""), "{diff}");
    // The same choice is no new lock, and resolving anew keeps it.
    assert_eq!(workspace.json(["build", "environment.yml", "--post-link", "run"])["lock"], with["lock"]);
    assert_eq!(workspace.json(["lock", "environment.yml", "--upgrade"])["lock"], with["lock"]);

    // A registered version keeps what its lock says.
    workspace.run(["env", "register", "environment.yml", "--name", "kept"]).ok();
    let refused = workspace.run(["build", "kept", "--post-link", "skip"]);
    assert!(refused.stderr.contains("never changes"), "{}", refused.stderr);
    assert_eq!(workspace.json(["build", "kept"])["image"], with["image"]);
    // What scripts left stays as long as the lock does.
    workspace.run(["store", "gc"]).ok();
    assert_eq!(workspace.json(["build", "kept", "--force"])["image"], with["image"]);

    // A lock that comes from where they were run needs what they left.
    workspace.run(["lock", "environment.yml"]).ok();
    let elsewhere = Workspace::new().unwrap();
    let mut command = elsewhere.command();
    command.args(["build", "environment.yml", "--lock", "environment.lock.json"]);
    let refused: Done = command.current_dir(workspace.path()).output().unwrap().into();
    assert!(
        refused.code != 0 && refused.stderr.contains("scripts of conda packages left"),
        "{}",
        refused.stderr
    );

    file("broken.yml", &["broken"]);
    let failed = workspace.run(["build", "broken.yml", "--post-link", "run"]);
    assert!(
        failed.stderr.contains("broken 1.0 failed with exit code 3")
            && failed.stderr.contains("it cannot be done"),
        "{}",
        failed.stderr
    );
    // What fails leaves what there is, and what stays the same is recorded once.
    let skipped = workspace.json(["lock", "broken.yml", "--post-link", "skip"]);
    let receipt = || workspace.json(["env", "show", "broken.yml", "--receipt"]);
    let before = receipt();
    assert_ne!(workspace.run(["lock", "broken.yml", "--upgrade", "--post-link", "run"]).code, 0);
    assert_eq!(workspace.json(["lock", "broken.yml", "--upgrade"])["lock"], skipped["lock"]);
    assert_eq!(receipt(), before);
    file("early.yml", &["early"]);
    let failed = workspace.run(["build", "early.yml", "--post-link", "run"]);
    assert!(
        failed.stderr.contains("early 1.0") && failed.stderr.contains("--post-link skip"),
        "{}",
        failed.stderr
    );
    workspace.run(["build", "early.yml", "--post-link", "skip"]).ok();
    file("late.yml", &["late"]);
    workspace.run(["build", "late.yml"]).ok();
    // Where there are no scripts, nothing is chosen.
    let lock = &workspace.json(["lock", "late.yml"])["lock"];
    assert_eq!(&workspace.json(["lock", "late.yml", "--post-link", "skip"])["lock"], lock);
    workspace.run(["env", "register", "late.yml", "--name", "late"]).ok();
    workspace.run(["build", "late", "--post-link", "run"]).ok();
}

#[test]
fn scripts_for_another_platform_are_left_to_its_machines() {
    let Some(workspace) = Workspace::new() else { return };
    let tool = |subdir: &str| {
        Package::new("tool", "1.0").subdir(subdir).post_link("echo \"$PKG_NAME\" > \"$PREFIX/share-index\"\n")
    };
    let both = Channel::new("both").add(tool("linux-64")).add(tool("linux-aarch64"));
    let server = Server::start(both.serve(FileTree::new()));
    workspace.write(
        "environment.yml",
        &format!(
            "name: demo\nchannels: [{}]\nplatforms: [linux-64, linux-aarch64]\ndependencies: [tool]\n",
            server.at("/both")
        ),
    );
    let lock = |arguments: &[&str]| {
        let done = workspace.run(["lock", "environment.yml", "--file", "-"].iter().chain(arguments)).ok();
        let lock = done.json();
        let choice = |platform: &str| lock["platforms"][platform]["post_link"].clone();
        (choice("linux/amd64"), choice("linux/arm64"), done.stderr)
    };
    let (here, there) = if cfg!(target_arch = "x86_64") { ("amd64", "arm64") } else { ("arm64", "amd64") };
    let pick = |(amd64, arm64, stderr): (Value, Value, String)| match here {
        "amd64" => (amd64, arm64, stderr),
        _ => (arm64, amd64, stderr),
    };
    let (own, other, said) = pick(lock(&["--post-link", "run"]));
    assert!(own["run"]["layer"].is_object(), "{own}");
    assert_eq!(other, Value::Null);
    let note = format!("scripts of packages for linux/{there} (tool 1.0) cannot be run on linux/{here}");
    assert!(said.contains(&note), "{said}");
    assert_eq!(
        workspace.run(["run", "environment.yml", "--", "cat", "/opt/provenv/share-index"]).ok().stdout,
        "tool\n"
    );
    // The same for who resolves anew, and for a version that has it.
    assert_eq!(pick(lock(&["--upgrade"])).0, own);
    workspace.run(["env", "register", "environment.yml"]).ok();
    workspace.run(["build", "demo", "--platform", &format!("linux/{here}"), "--post-link", "run"]).ok();
    let platform = format!("linux/{there}");
    let refused = workspace.run(["build", "environment.yml", "--platform", &platform, "--post-link", "run"]);
    assert!(
        refused.code == 2
            && refused.stderr.contains(&format!("for {platform} cannot be run on linux/{here}"))
            && refused.stderr.contains(&format!("a machine that is {platform}")),
        "{}",
        refused.stderr
    );

    // Left out, they can be for all; what was said for the others is taken back when they are to be run.
    let (own, other, _) = pick(lock(&["--post-link", "skip"]));
    assert_eq!((own, other), ("skip".into(), "skip".into()));
    let (own, other, _) = pick(lock(&["--post-link", "run"]));
    assert!(own["run"].is_object() && other.is_null(), "{own} {other}");

    // What was run there stays, wherever the lock is taken to.
    let mut text = workspace.run(["lock", "environment.yml", "--file", "-"]).ok().json();
    let mut elsewhere = text["platforms"][format!("linux/{here}")]["post_link"].clone();
    elsewhere["run"]["layer"]["sha256"] = format!("sha256:{}", "5".repeat(64)).into();
    text["platforms"][&platform]["post_link"] = elsewhere.clone();
    workspace.write("both.lock.json", &(serde_json::to_string_pretty(&text).unwrap() + "\n"));
    workspace.run(["build", "environment.yml", "--lock", "both.lock.json"]).ok();
    let (_, other, _) = pick(lock(&["--post-link", "run"]));
    assert_eq!(other, elsewhere);
    let (_, other, _) = pick(lock(&["--upgrade"]));
    assert_eq!(other, elsewhere, "the packages are the same");
}

#[test]
fn what_scripts_print_without_end_is_cut() {
    let Some(workspace) = Workspace::new() else { return };
    let noisy = Package::new("noisy", "1.0")
        .post_link("yes 'the same again' | head -n 4000000\necho 'and this was wrong' >&2\nexit 4\n");
    let server = Server::start(Channel::new("demo").add(noisy).serve(FileTree::new()));
    workspace.write("environment.yml", &environment(&server.at("/demo"), &["noisy"]));
    let failed = workspace.run(["lock", "environment.yml", "--post-link", "run"]);
    assert!(
        failed.stderr.contains("noisy 1.0 failed with exit code 4")
            && failed.stderr.contains("[what it printed before is left out]\n")
            && failed.stderr.contains("the same again\nand this was wrong"),
        "{}",
        failed.stderr
    );
    assert!(failed.stderr.len() < 5000, "{}", failed.stderr.len());
}
