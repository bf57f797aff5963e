//! What happens when a process dies, many work at once, the disk is full or the network fails: nothing half-made is used,
//! nothing is done twice without need, and the message says what happened.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use provenv_definition::Digest;
use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::{Fault, Server};

use crate::support::{Done, Workspace, command, definition, eventually, have, is_root, serve, skip};

const PACKAGES: [&str; 4] = ["one", "two", "three", "four"];

fn index() -> Index {
    PACKAGES.iter().fold(Index::new(), |index, name| index.add(wheel(name)))
}

/// Bytes that do not compress, and a few modules.
fn wheel(name: &str) -> Wheel {
    let mut random = fastrand::Rng::with_seed(name.len() as u64);
    let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(200_000).collect();
    (0..8).fold(Wheel::new(name, "1.0").file(&format!("{name}/noise.bin"), noise), |wheel, number| {
        wheel.file(&format!("{name}/module_{number}.py"), format!("NUMBER = {number}\n"))
    })
}

fn wheel_path(name: &str) -> String {
    format!("/files/{name}-1.0-py3-none-any.whl")
}

/// The image of the definition, made without any trouble in a workspace that is left for comparison.
fn undisturbed(server: &Server) -> Option<(Workspace, String)> {
    let workspace = Workspace::new()?;
    workspace.write("environment.yaml", &definition(server, "robust", &PACKAGES));
    workspace.run(["run", "environment.yaml", "--", "true"]).ok();
    let image = workspace.json(["build", "environment.yaml"])["image"].as_str().unwrap().to_owned();
    Some((workspace, image))
}

fn quiet(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

// ---- killed

#[test]
fn killed_at_any_moment_a_build_leaves_nothing_half_made() {
    let server = serve(&index());
    let Some((reference, image)) = undisturbed(&server) else { return };
    let workspace = Workspace::cold().unwrap();
    workspace.write("environment.yaml", &definition(&server, "robust", &PACKAGES));
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    for number in 0..14 {
        // The last ones find the image made, and die while it is written to a folder.
        let longest = if number < 9 { 1600 } else { 200 };
        let mut build =
            quiet(workspace.command().args(["build", "environment.yaml", "--to", "oci:layout:v1"]));
        std::thread::sleep(Duration::from_millis(random.u64(1..longest)));
        build.kill().unwrap();
        build.wait().unwrap();
        assert_whole(&workspace, &reference, &format!("kill {number} of seed {seed}"));
    }
    let built = workspace.json(["build", "environment.yaml", "--to", "oci:layout:v1"]);
    assert_eq!(built["image"], image.as_str(), "seed {seed}");
    workspace
        .run(["run", "environment.yaml", "--", "python", "-c", "import one.module_7, two, three, four"])
        .ok();
    assert_whole(&workspace, &reference, "at the end");
    let scrubbed = workspace.json(["store", "scrub"]);
    assert_eq!(scrubbed["corrupt"], serde_json::json!([]), "seed {seed}");
    let left: Vec<_> = fs_err::read_dir(workspace.root().join("store/tmp")).unwrap().collect();
    assert!(left.is_empty(), "what dead processes left is gone: {left:?}");
    if have("skopeo") {
        let copied = Command::new("skopeo")
            .args(["--insecure-policy", "copy", "oci:layout:v1", "dir:copy"])
            .current_dir(workspace.path())
            .output()
            .unwrap();
        Done::from(copied).ok();
    }
}

#[test]
fn killed_at_any_moment_a_job_can_be_submitted_again() {
    let server = serve(&index());
    let Some((reference, image)) = undisturbed(&server) else { return };
    let workspace = Workspace::new().unwrap();
    workspace.write("environment.yaml", &definition(&server, "robust", &PACKAGES));
    workspace
        .write("job.yaml", "environment: environment.yaml\ncommand: python -c 'import one' && sleep 0.1\n");
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    for number in 0..8 {
        let longest = if number < 4 { 1500 } else { 400 };
        let mut job = quiet(workspace.command().args(["submit", "job.yaml"]));
        std::thread::sleep(Duration::from_millis(random.u64(1..longest)));
        job.kill().unwrap();
        job.wait().unwrap();
        assert_whole(&workspace, &reference, &format!("kill {number} of seed {seed}"));
    }
    workspace.run(["submit", "job.yaml"]).ok();
    let runs = workspace.json(["runs", "list"]);
    assert_eq!((&runs[0]["status"], &runs[0]["image"]), (&"completed".into(), &image.into()), "seed {seed}");
    for run in runs.as_array().unwrap() {
        assert!(["completed", "lost"].iter().any(|status| run["status"] == *status), "seed {seed}: {run}");
    }
    let versions = workspace.json(["env", "list", "--all"]);
    assert_eq!(versions.as_array().unwrap().len(), 1, "one version, however often it was begun: {versions}");
    assert_eq!(workspace.json(["store", "scrub"])["corrupt"], serde_json::json!([]));
}

/// Everything that can be seen in the workspace is whole: records, unpacked folders, exported images.
#[track_caller]
fn assert_whole(workspace: &Workspace, reference: &Workspace, when: &str) {
    let store = workspace.root().join("store");
    for record in files_below(&store.join("records")) {
        let bytes = fs_err::read(&record).unwrap();
        assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok(), "{when}: {}", record.display());
    }
    for kind in ["layer", "merged"] {
        let Ok(trees) = fs_err::read_dir(store.join("trees").join(kind)) else { continue };
        for tree in trees {
            let tree = tree.unwrap().path();
            let expected = reference.root().join("store/trees").join(kind).join(tree.file_name().unwrap());
            if expected.exists() {
                assert_eq!(listing(&tree), listing(&expected), "{when}: {}", tree.display());
            }
        }
    }
    assert_layout(&workspace.path().join("layout"), when);
}

/// Every blob of a layout has its digest, and all that its index names is there.
#[track_caller]
fn assert_layout(layout: &Path, when: &str) {
    let blobs = layout.join("blobs/sha256");
    for blob in files_below(&blobs) {
        let name = blob.file_name().unwrap().to_str().unwrap();
        if !name.starts_with('.') {
            assert_eq!(Digest::of(&fs_err::read(&blob).unwrap()).hex(), name, "{when}");
        }
    }
    let Ok(index) = fs_err::read(layout.join("index.json")) else { return };
    let read = |digest: &serde_json::Value| {
        let digits = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
        fs_err::read(blobs.join(digits)).unwrap_or_else(|error| panic!("{when}: {error}"))
    };
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    for manifest in index["manifests"].as_array().unwrap() {
        let manifest: serde_json::Value = serde_json::from_slice(&read(&manifest["digest"])).unwrap();
        read(&manifest["config"]["digest"]);
        for layer in manifest["layers"].as_array().unwrap() {
            read(&layer["digest"]);
        }
    }
}

fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = walkdir::WalkDir::new(folder).into_iter().filter_map(Result::ok);
    entries.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}

/// Path, mode and size of all below `folder`.
fn listing(folder: &Path) -> BTreeMap<std::path::PathBuf, (u32, u64)> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    entries
        .map(|entry| {
            let found = entry.metadata().unwrap();
            let size = if found.is_dir() { 0 } else { found.size() };
            (entry.path().strip_prefix(folder).unwrap().to_owned(), (found.permissions().mode(), size))
        })
        .collect()
}

// ---- many at once

#[test]
fn twenty_builds_at_once_are_one() {
    let server = serve(&index());
    let Some((_, image)) = undisturbed(&server) else { return };
    let before: Vec<usize> = PACKAGES.iter().map(|name| server.hits(&wheel_path(name))).collect();
    // The catalogue too is made by whoever comes first.
    let workspace = Workspace::new().unwrap();
    workspace.write("environment.yaml", &definition(&server, "robust", &PACKAGES));
    let builds: Vec<Child> = (0..20)
        .map(|_| {
            let mut build = workspace.command();
            build.args(["build", "environment.yaml", "-o", "json"]);
            build.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut made = 0;
    for build in builds {
        let built = Done::from(build.wait_with_output().unwrap()).ok().json();
        assert_eq!(built["image"], image.as_str());
        made += usize::from(built["cached"] == false);
    }
    assert_eq!(made, 1, "one of them made it");
    for (name, before) in PACKAGES.iter().zip(before) {
        assert_eq!(server.hits(&wheel_path(name)) - before, 1, "{name} was fetched once");
    }
    assert_eq!(
        fs_err::read_dir(workspace.root().join("builds")).unwrap().count(),
        1,
        "one build is on record"
    );
}

#[test]
fn builds_again_by_force_do_not_hinder_each_other() {
    let server = serve(&index());
    let Some((workspace, image)) = undisturbed(&server) else { return };
    let builds: Vec<Child> = (0..3)
        .map(|_| {
            let mut build = workspace.command();
            build.args(["build", "environment.yaml", "--force", "-o", "json"]);
            build.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for build in builds {
        let built = Done::from(build.wait_with_output().unwrap()).ok().json();
        assert_eq!((&built["image"], &built["reproduced"]), (&image.as_str().into(), &true.into()));
    }
}

#[test]
fn collections_and_builds_at_once_lose_nothing() {
    let server = serve(&index());
    let Some(workspace) = Workspace::new() else { return };
    let done = std::sync::atomic::AtomicBool::new(false);
    let finished = || done.load(std::sync::atomic::Ordering::Relaxed);
    std::thread::scope(|scope| {
        let collectors: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    // It waits for builds: a busy machine may leave no moment between them until the last has ended.
                    loop {
                        let last = finished();
                        let gc = workspace.run(["store", "gc"]);
                        assert_eq!(gc.code, 0, "{}", gc.stderr);
                        if last {
                            break;
                        }
                        std::thread::sleep(Duration::from_millis(80));
                    }
                })
            })
            .collect();
        let stop = Stop(&done);
        for packages in [&PACKAGES[..1], &PACKAGES[1..3]] {
            let name = format!("e{}", packages.len());
            let file = format!("{name}.yaml");
            workspace.write(&file, &definition(&server, &name, packages));
            let layout = format!("oci:layout-{name}");
            workspace.run(["build", &file, "--to", &layout]).ok();
            assert_layout(&workspace.path().join(format!("layout-{name}")), &name);
            // Not registered, so its image may be gone between two commands, never within one.
            workspace.run(["run", &file, "--", "python", "-c", &format!("import {}", packages[0])]).ok();
        }
        drop(stop);
        for thread in collectors {
            thread.join().unwrap();
        }
    });
    assert_eq!(workspace.json(["store", "scrub"])["corrupt"], serde_json::json!([]));
}

/// Ends the other threads, also when the test fails.
struct Stop<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

// ---- no space, no permission

#[test]
fn a_full_disk_is_named_and_nothing_is_lost_by_it() {
    let server = serve(&index());
    let Some((_, image)) = undisturbed(&server) else { return };
    let workspace = Workspace::cold().unwrap();
    workspace.write("environment.yaml", &definition(&server, "robust", &PACKAGES));
    let mib = [1, 3, 8, 16, 32, 64, 96, 128, 1000];
    let Some(builds) = builds_on_a_small_disk(&workspace, &mib.map(|size| size << 10)) else { return };
    assert_only_space_lacked(&builds, 3);
    let (_, last) = builds.last().unwrap();
    assert!(last.stdout.contains(&image), "{}", last.stdout);
}

/// The same from nothing, where the catalogue, the archive's lists and uv have to be kept first.
#[test]
fn a_disk_that_is_full_from_the_beginning_is_named() {
    let server = serve(&index());
    if undisturbed(&server).is_none() {
        return;
    }
    let workspace = Workspace::empty();
    workspace.write("environment.yaml", &definition(&server, "robust", &PACKAGES[..1]));
    fs_err::create_dir(workspace.root()).unwrap();
    let kib = [64, 1 << 10, 4 << 10, 10 << 10, 14 << 10, 20 << 10, 30 << 10, 45 << 10, 60 << 10, 1000 << 10];
    let Some(builds) = builds_on_a_small_disk(&workspace, &kib) else { return };
    assert_only_space_lacked(&builds, 4);
}

/// Builds on a file system with so many KiB more than the workspace needs, one after the other. Every size is some other
/// moment of the build; what was made stays, so the next one gets further. The last one has room.
fn builds_on_a_small_disk(workspace: &Workspace, sizes: &[u64]) -> Option<Vec<(u64, Done)>> {
    fs_err::create_dir(workspace.path().join("disk")).unwrap();
    let script = r#"
        set -e
        cd "$1"
        size=$(du -sk workspace | cut -f1)
        mount -t tmpfs -o size=$((size + 1024))k tmpfs disk || { echo no mount; exit 77; }
        cp -a workspace disk/
        for more in $3; do
            mount -o remount,size=$((size + more))k disk
            code=0
            PROVENV_WORKSPACE="$1/disk/workspace" "$2" build environment.yaml > out-$more 2> err-$more || code=$?
            echo $code > code-$more
        done
        PROVENV_WORKSPACE="$1/disk/workspace" "$2" store scrub > scrub
    "#;
    let mut unshare = Command::new("unshare");
    unshare.args(if is_root() { &["--mount"][..] } else { &["--map-root-user", "--mount"] });
    for (name, value) in command(&workspace.root()).get_envs() {
        unshare.env(name, value.unwrap_or_default());
    }
    let output = unshare
        .args(["sh", "-c", script, "sh"])
        .arg(workspace.path())
        .arg(env!("CARGO_BIN_EXE_provenv"))
        .arg(sizes.iter().map(u64::to_string).collect::<Vec<_>>().join(" "))
        .output();
    let Ok(output) = output else {
        skip("unshare is not installed");
        return None;
    };
    if output.status.code() == Some(77) || String::from_utf8_lossy(&output.stderr).contains("unshare") {
        skip(&format!("no file system can be mounted here: {}", String::from_utf8_lossy(&output.stderr)));
        return None;
    }
    let scrubbed = Done::from(output);
    assert_eq!(scrubbed.code, 0, "{}", scrubbed.stderr);
    let read = |name: String| fs_err::read_to_string(workspace.path().join(name)).unwrap();
    assert!(read("scrub".into()).contains(" 0 corrupt"), "{}", read("scrub".into()));
    let done = |size| Done {
        code: read(format!("code-{size}")).trim().parse().unwrap(),
        stdout: read(format!("out-{size}")),
        stderr: read(format!("err-{size}")),
    };
    Some(sizes.iter().map(|&size| (size, done(size))).collect())
}

/// At least so many builds failed, each for want of space and saying so; the last one did not.
#[track_caller]
fn assert_only_space_lacked(builds: &[(u64, Done)], at_least: usize) {
    let failed: Vec<_> = builds.iter().filter(|(_, done)| done.code != 0).collect();
    for (size, Done { code, stderr, .. }) in &failed {
        assert_eq!(*code, 1, "{size}: {stderr}");
        let lower = stderr.to_lowercase();
        assert!(lower.contains("no space") || lower.contains("disk is full"), "{size}: {stderr}");
        assert!(stderr.contains("hint: free some space"), "{size}: {stderr}");
        assert!(!stderr.contains("defect"), "{size}: {stderr}");
    }
    assert!(failed.len() >= at_least, "only {} sizes were too small", failed.len());
    let (_, last) = builds.last().unwrap();
    assert_eq!(last.code, 0, "{}", last.stderr);
}

#[test]
fn another_users_workspace_is_refused_with_a_reason() {
    let server = serve(&index());
    let Some(workspace) = Workspace::new() else { return };
    if !is_root() {
        return skip("another user is not ours to be: this is not root");
    }
    if !have("setpriv") {
        return;
    }
    fs_err::set_permissions(workspace.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    workspace.write("environment.yaml", &definition(&server, "robust", &PACKAGES));
    workspace.json(["env", "register", "environment.yaml"]);
    let copy = workspace.path().join("provenv");
    fs_err::copy(env!("CARGO_BIN_EXE_provenv"), &copy).unwrap();
    let nobody = |arguments: &[&str], root: &Path| {
        let mut wrapped = Command::new("setpriv");
        wrapped.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&copy).args(arguments);
        wrapped
            .env("PROVENV_WORKSPACE", root)
            .env("XDG_CONFIG_HOME", "/nonexistent")
            .current_dir(workspace.path());
        Done::from(wrapped.output().unwrap())
    };
    for arguments in [&["build", "environment.yaml"][..], &["env", "list"], &["run", "robust", "--", "true"]]
    {
        for root in [workspace.root(), workspace.path().join("new")] {
            let done = nobody(arguments, &root);
            assert!([1, 125].contains(&done.code), "{arguments:?}: {}{}", done.stdout, done.stderr);
            let clear = done.stderr.contains("no permission") && done.stderr.contains(root.to_str().unwrap());
            assert!(clear && done.stderr.contains("hint:"), "{arguments:?}: {}", done.stderr);
        }
    }
}

// ---- the network

#[test]
fn a_network_that_fails_once_is_no_matter() {
    let server = serve(&index());
    let Some((_, image)) = undisturbed(&server) else { return };
    let workspace = Workspace::new().unwrap();
    workspace.write("environment.yaml", &definition(&server, "robust", &PACKAGES));
    server.fault(&wheel_path("one"), Fault::DropAfter(70_000));
    server.fault(&wheel_path("one"), Fault::DropAfter(10));
    server.fault(&wheel_path("two"), Fault::Status(503));
    server.fault(&wheel_path("two"), Fault::RetryAfter(429, 1));
    server.fault(&wheel_path("three"), Fault::Replace(b"not a wheel".to_vec()));
    // Longer than anybody's patience.
    server.fault(&wheel_path("four"), Fault::StallAfter(100_000));
    let built = workspace.json(["build", "environment.yaml"]);
    assert_eq!(built["image"], image.as_str());
    let resumed = |name| {
        let requests = server.requests();
        requests.iter().any(|request| request.path == wheel_path(name) && request.header("range").is_some())
    };
    assert!(resumed("one") && resumed("four"), "what had come was not fetched again");
}

#[test]
fn a_network_that_keeps_failing_is_named_with_its_file() {
    let server = serve(&index());
    let Some((_, image)) = undisturbed(&server) else { return };
    let workspace = Workspace::new().unwrap();
    workspace.write("environment.yaml", &definition(&server, "robust", &PACKAGES));
    let path = wheel_path("two");
    let url = server.at(&path);
    // As long as the right one, and another.
    let size = wheel("two").build().len();
    for (fault, said) in [
        (Fault::Replace(vec![b'x'; size]), "is not what was expected"),
        (Fault::Replace(b"short".to_vec()), "has 5 bytes"),
        (Fault::ReplaceChunked(vec![0; 5_000_000]), "sends more than"),
        (Fault::Truncate(1000), "bytes"),
        (Fault::Status(404), "does not exist (404)"),
        (Fault::Status(403), "answered 403"),
        (Fault::Status(500), "answered 500"),
        (Fault::DropAfter(0), "lost the connection"),
    ] {
        server.fault_always(&path, fault);
        let done = workspace.run(["build", "environment.yaml"]);
        server.clear_faults();
        assert_eq!(done.code, 1, "{said}: {}{}", done.stdout, done.stderr);
        assert!(done.stderr.contains(&url) && done.stderr.contains(said), "{said}: {}", done.stderr);
        assert!(done.stderr.contains("hint:") || said == "answered 500", "{said}: {}", done.stderr);
    }
    assert_eq!(workspace.json(["build", "environment.yaml"])["image"], image.as_str());
    assert_eq!(workspace.json(["store", "scrub"])["corrupt"], serde_json::json!([]));
}

// ---- signals

/// How many processes have this word in their command line.
fn alive(mark: &str) -> usize {
    let has_mark = |line: Vec<u8>| line.split(|&byte| byte == 0).any(|word| word == mark.as_bytes());
    let processes = fs_err::read_dir("/proc").unwrap().flatten();
    processes.filter(|process| fs_err::read(process.path().join("cmdline")).is_ok_and(has_mark)).count()
}

/// A word that no other process has in its command line: a number of seconds to sleep.
fn mark(number: u32) -> String {
    format!("{}.{number}", 70_000 + std::process::id() % 10_000)
}

/// A shell line of two sleepers: one that the shell waits for, and one in a session of its own.
fn family(mark: &str) -> String {
    let apart = format!("import os; os.setsid(); os.execlp('sleep', 'sleep', '{mark}')");
    format!("(python -c \"{apart}\" & wait) & echo begun; sleep {mark}; echo never")
}

fn family_job(mark: &str) -> String {
    format!("environment: environment.yaml\ncommand: |\n  {}\n", family(mark))
}

fn stopped(mut child: Child, mark: &str, signal: Signal) -> Done {
    eventually("the command runs", || alive(mark) == 2);
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    let code = child.wait().unwrap();
    eventually("all of it is gone", || alive(mark) == 0);
    let output = std::process::Output { status: code, stdout: Vec::new(), stderr: Vec::new() };
    output.into()
}

#[test]
fn signals_end_the_whole_tree_and_are_on_record() {
    let server = serve(&index());
    let Some((workspace, _)) = undisturbed(&server) else { return };
    for (number, signal, code) in [(10, Signal::SIGINT, 130), (20, Signal::SIGTERM, 143)] {
        let first = mark(number);
        let arguments = ["run", "environment.yaml", "--", "sh", "-c", &family(&first)];
        let done = stopped(quiet(workspace.listening().args(arguments)), &first, signal);
        assert_eq!(done.code, code, "run, {signal}");

        let mark = mark(number + 1);
        workspace.write("job.yaml", &family_job(&mark));
        let done = stopped(quiet(workspace.listening().args(["submit", "job.yaml"])), &mark, signal);
        assert_eq!(done.code, code, "submit, {signal}");
        let run = workspace.json(["runs", "show", "latest"]);
        assert_eq!((&run["status"], &run["exit_code"]), (&"canceled".into(), &code.into()), "{run}");
        assert_eq!(workspace.run(["runs", "logs", "latest"]).ok().stdout, "begun\n");
    }
}

#[test]
fn a_command_that_does_not_listen_is_killed_when_asked_twice() {
    let server = serve(&index());
    let Some((workspace, _)) = undisturbed(&server) else { return };
    let mark = mark(5);
    let script = format!("trap '' INT TERM; sleep {mark} & while :; do wait; done");
    let mut child = quiet(workspace.listening().args(["run", "environment.yaml", "--", "sh", "-c", &script]));
    eventually("the command runs", || alive(&mark) == 1);
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    // Two signals of one kind may be seen as one: the second is another.
    kill(pid, Signal::SIGINT).unwrap();
    eventually("it ends", || {
        let _ = kill(pid, Signal::SIGTERM);
        child.try_wait().unwrap().is_some()
    });
    assert_eq!(
        Done::from(std::process::Output { status: child.wait().unwrap(), stdout: vec![], stderr: vec![] })
            .code,
        137
    );
    eventually("all of it is gone", || alive(&mark) == 0);
}

#[test]
fn a_run_whose_watcher_was_killed_is_lost() {
    let server = serve(&index());
    let Some((workspace, _)) = undisturbed(&server) else { return };
    let mark = mark(7);
    workspace.write("job.yaml", &family_job(&mark));
    let child = quiet(workspace.command().args(["submit", "job.yaml"]));
    eventually("the command runs", || alive(&mark) == 2);
    assert_eq!(workspace.json(["runs", "show", "latest"])["status"], "running");
    let done = stopped(child, &mark, Signal::SIGKILL);
    assert_eq!(done.code, 137);
    let run = workspace.json(["runs", "show", "latest"]);
    assert_eq!((&run["status"], &run["exit_code"]), (&"lost".into(), &serde_json::Value::Null), "{run}");
    assert_eq!(workspace.json(["runs", "list"])[0]["status"], "lost");
}
