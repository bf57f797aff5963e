//! How containers start, are talked to, and end, whatever happens to those around them.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use provenv_compute::{Container, Isolation, Limits, Mount, Running, Signal, Streams};

use crate::support::{User, driver, eventually, texts};

/// Every process of this machine whose command line holds the text.
fn processes_with(text: &str) -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            let words = String::from_utf8_lossy(&line).replace('\0', " ");
            words.contains(text).then_some(pid)
        })
        .collect()
}

/// A container that starts several processes with this mark and waits.
fn family(user: &User, mark: &str) -> Container {
    user.shell(&format!("sleep {mark} & (sleep {mark} &) ; sleep {mark}"))
}

fn children_of(pid: u32) -> Vec<i32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn spawn_driver(user: &User, container: &Container) -> Child {
    user.driver(container).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Spawns in this process, and reads a first line.
fn spawn_ready(user: &User, script: &str) -> (Running, BufReader<std::process::ChildStdout>) {
    let mut container = user.shell(script);
    // Tests that run in a shell's background are handed down that it ignores these.
    container.command.splice(0..0, ["env", "--default-signal=INT,QUIT"].map(str::to_owned));
    let mut running = container.spawn(&user.store(), Streams::captured()).unwrap();
    let mut output = BufReader::new(running.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    (running, output)
}

fn rest(mut output: impl Read) -> String {
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_worker_is_talked_to_through_pipes() {
    let user = User::me();
    let mut container = user.shell("while read line; do echo got $line; done; echo end");
    container.network = false;
    let mut child = container.spawn(&user.store(), Streams::worker()).unwrap().into_child();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for word in ["one", "two"] {
        writeln!(input, "{word}").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, format!("got {word}\n"));
    }
    drop(input);
    assert_eq!(rest(output), "end\n");
    assert!(child.wait().unwrap().success());
}

#[test]
fn killing_a_worker_kills_all_of_it() {
    let user = User::me();
    let mut child = family(&user, "7001.5").spawn(&user.store(), Streams::worker()).unwrap().into_child();
    eventually("all have started", || processes_with("sleep 7001.5").len() >= 4);
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("all are gone", || processes_with("sleep 7001.5").is_empty());
}

#[test]
fn signals_reach_the_command_and_its_code_comes_back() {
    let user = User::me();
    for (signal, name) in [
        (Signal::SIGTERM, "TERM"),
        (Signal::SIGINT, "INT"),
        (Signal::SIGHUP, "HUP"),
        (Signal::SIGUSR1, "USR1"),
        (Signal::SIGUSR2, "USR2"),
        (Signal::SIGQUIT, "QUIT"),
    ] {
        let script =
            format!("trap 'echo got {name}; exit 9' {name}; echo ready; while :; do sleep 0.02; done");
        let (mut running, output) = spawn_ready(&user, &script);
        running.signal(signal).unwrap();
        assert_eq!(running.wait().unwrap().code, 9);
        assert_eq!(rest(output), format!("got {name}\n"));
    }
    // Without a handler it dies, as it would not if it were process 1.
    let (mut running, _) = spawn_ready(&user, "echo ready; sleep 1000");
    running.signal(Signal::SIGTERM).unwrap();
    assert_eq!(running.wait().unwrap().code, 128 + 15);
    running.signal(Signal::SIGTERM).unwrap();
}

#[test]
fn a_handle_kills_while_another_thread_waits() {
    let user = User::me();
    let (mut running, _) = spawn_ready(&user, "trap '' TERM INT; echo ready; sleep 7002.5 & sleep 7002.5");
    let handle = running.handle();
    let waiter = std::thread::spawn(move || running.wait().unwrap());
    handle.signal(Signal::SIGTERM).unwrap();
    handle.kill_tree().unwrap();
    assert_eq!(waiter.join().unwrap().code, 137);
    assert!(processes_with("sleep 7002.5").is_empty());
    handle.kill_tree().unwrap();
}

#[test]
fn dropping_kills() {
    let user = User::me();
    let (running, _) = spawn_ready(&user, "echo ready; sleep 7003.5 & sleep 7003.5");
    drop(running);
    assert!(processes_with("sleep 7003.5").is_empty());
}

#[test]
fn what_the_command_leaves_behind_dies_with_it() {
    for user in User::all() {
        let start = Instant::now();
        let output = user.run(&user.shell("(sleep 7004.5 > /dev/null 2>&1 &); sleep 7004.5 & exit 3"));
        assert_eq!(output.status.code(), Some(3));
        assert!(start.elapsed() < Duration::from_secs(5));
        assert!(processes_with("sleep 7004.5").is_empty());
    }
}

#[test]
fn orphans_are_reaped() {
    for user in User::all() {
        let script =
            "i=0; while [ $i -lt 40 ]; do (sleep 0.01 &); i=$((i+1)); done; sleep 0.4; cat /proc/[0-9]*/stat";
        let states = user.prints(&user.shell(script));
        assert_eq!(states.matches(") Z ").count(), 0, "{states}");
        assert!(states.lines().count() <= 3, "init, shell and cat: {states}");
    }
}

#[test]
fn the_callers_violent_death_ends_everything() {
    for (user, mark) in User::all().iter().zip(["7005.5", "7006.5"]) {
        let mut driver = spawn_driver(user, &family(user, mark));
        eventually("all have started", || processes_with(&format!("sleep {mark}")).len() >= 5);
        driver.kill().unwrap();
        driver.wait().unwrap();
        eventually("all are gone", || processes_with(&format!("sleep {mark}")).is_empty());
        eventually("the container's writes are removed", || user.scratch_folders() == 0);
    }
}

#[test]
fn the_helpers_violent_death_ends_everything() {
    for (user, mark) in User::all().iter().zip(["7007.5", "7008.5"]) {
        let mut driver = spawn_driver(user, &family(user, mark));
        eventually("all have started", || processes_with(&format!("sleep {mark}")).len() >= 5);
        let helpers = children_of(driver.id());
        assert_eq!(helpers.len(), 1);
        kill(Pid::from_raw(helpers[0]), Signal::SIGKILL).unwrap();
        assert_eq!(driver.wait().unwrap().code(), Some(137));
        eventually("all are gone", || processes_with(&format!("sleep {mark}")).is_empty());
    }
}

#[test]
fn a_signal_to_the_callers_group_reaches_the_command_only_through_the_caller() {
    let user = User::me();
    let container = user.shell("trap 'echo TERM' TERM; echo ready; sleep 0.5; sleep 0.1");
    let mut command = user.driver(&container);
    let mut driver = std::os::unix::process::CommandExt::process_group(&mut command, 0)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(driver.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    kill(Pid::from_raw(-i32::try_from(driver.id()).unwrap()), Signal::SIGTERM).unwrap();
    // The driver does not pass signals on: it dies, and the container with it.
    assert_eq!(driver.wait().unwrap().signal(), Some(15));
    assert_eq!(rest(output), "");
}

/// Runs the driver on a terminal of its own, types, and returns what it showed and its exit code.
fn on_a_terminal(user: &User, container: &Container, typed: &[(&str, &str)]) -> Option<(String, i32)> {
    if Command::new("script").arg("--version").output().is_err() {
        println!("script(1) is not here: terminals are not tried");
        return None;
    }
    let order = user.path().join("order.sh");
    let json = serde_json::to_string(container).unwrap().replace('\'', r"'\''");
    let store = user.path().join("store");
    fs::write(&order, format!("exec {} {} '{json}'\n", driver().display(), store.display())).unwrap();
    let mut script = Command::new("timeout")
        .args(["60", "script", "-qefc", &format!("sh {}", order.display()), "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = script.stdin.take().unwrap();
    let mut output = script.stdout.take().unwrap();
    let mut shown = String::new();
    for (prompt, keys) in typed {
        let mut byte = [0];
        while !shown.contains(prompt) {
            assert_eq!(output.read(&mut byte).unwrap(), 1, "{shown}");
            shown.push(byte[0].into());
        }
        input.write_all(keys.as_bytes()).unwrap();
    }
    let mut last = Vec::new();
    output.read_to_end(&mut last).unwrap();
    shown.push_str(&String::from_utf8_lossy(&last));
    Some((shown, script.wait().unwrap().code().unwrap()))
}

#[test]
fn ctrl_c_at_a_terminal_reaches_the_command_once() {
    let user = User::me();
    let container = user.shell(
        "trap 'echo interrupted' INT; echo ready; for i in 1 2 3 4 5 6 7 8 9; do sleep 0.05; done; exit 7",
    );
    let Some((shown, code)) = on_a_terminal(&user, &container, &[("ready", "\x03")]) else { return };
    assert_eq!(shown.matches("interrupted").count(), 1, "{shown}");
    assert_eq!(code, 7);
}

#[test]
fn ctrl_z_at_a_terminal_does_not_lock_it() {
    let user = User::me();
    let container = user.shell("echo ready; read line; echo got $line; exit 8");
    let typed = [("ready", "\x1a"), ("^Z", "word\n")];
    let Some((shown, code)) = on_a_terminal(&user, &container, &typed) else { return };
    assert!(shown.contains("got word"), "{shown}");
    assert_eq!(code, 8);
}

#[test]
fn an_interactive_shell_has_job_control() {
    let user = User::me();
    let container = user.command(&["sh", "-i", "-m"]);
    let typed = "sleep 0.1 & wait; echo $((40 + 2)) on $(readlink /proc/self/fd/0); (echo in job $((4 + 3)); sleep 1000)\n";
    let keys = [("# ", typed), ("in job 7", "\x1a"), ("Stopped", "kill -9 %2; exit 3\nexit 3\n")];
    let Some((shown, code)) = on_a_terminal(&user, &container, &keys) else { return };
    assert!(shown.contains("42 on "), "{shown}");
    assert!(!shown.contains("job control turned off"), "{shown}");
    assert_eq!(code, 3, "{shown}");
}

#[test]
fn a_program_without_the_hook_is_found_out() {
    let user = User::me();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lifecycle::child_without_a_hook", "--include-ignored", "--nocapture"])
        .env("TEST_ROOT", user.root())
        .env("TEST_STORE", user.path().join("store"))
        .output()
        .unwrap();
    let (said, _) = texts(&output);
    assert!(said.contains("ended before the command started"), "{said}");
}

/// Run by the test above, in a process where no helper was named: this test program's `main` has no hook.
#[test]
#[ignore = "part of another test"]
fn child_without_a_hook() {
    let (Some(root), Some(store)) = (std::env::var_os("TEST_ROOT"), std::env::var_os("TEST_STORE")) else {
        return;
    };
    let container = Container {
        layers: vec![root.into()],
        command: vec!["true".into()],
        cwd: "/".into(),
        ..Container::default()
    };
    let store = provenv_store::Store::open(Path::new(&store)).unwrap();
    let error = container.spawn(&store, Streams::captured()).unwrap_err();
    println!("{error}\n{}", error.hint().unwrap());
}

#[test]
fn nonsense_is_refused_before_anything_starts() {
    let user = User::me();
    let good = user.command(&["true"]);
    let refused = |container: Container, why: &str| {
        let error = container.spawn(&user.store(), Streams::captured()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    refused(Container { layers: vec![], ..good.clone() }, "no layers");
    refused(Container { command: vec![], ..good.clone() }, "no command");
    refused(Container { command: vec!["a\0b".into()], ..good.clone() }, "NUL");
    refused(Container { env: vec![("A=B".into(), "x".into())], ..good.clone() }, "`A=B`");
    refused(Container { cwd: "relative".into(), ..good.clone() }, "`relative` is not an absolute path");
    let mount = Mount { host: "data".into(), guest: "/data".into(), read_only: false };
    refused(Container { mounts: vec![mount], ..good.clone() }, "`data` is not an absolute path");
    let limits = Limits { memory: Some(12), ..Limits::default() };
    refused(Container { limits, ..good.clone() }, "12 bytes of memory are too few");
    let isolation = Isolation::Overlay;
    let missing = Container { layers: vec!["/no/such/layer".into()], isolation, ..good };
    refused(missing, "open `/no/such/layer`");
}
