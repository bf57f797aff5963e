//! What is done where the kernel forbids what is wanted, and that it is said aloud.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use fs_err as fs;
use provenv_compute::{Container, Isolation, Mount};

use crate::support::{NOBODY, User, eventually, texts};

/// The driver where no user namespace may be made, as root with all rights, or as root without any.
fn without_user_namespaces(user: &User, container: &Container, rights: bool) -> Option<Output> {
    let driver = user.driver(container);
    // A namespace can forbid itself further ones, which no test beside this one notices.
    let drop = if rights { "" } else { "setpriv --bounding-set=-all --inh-caps=-all" };
    let script = format!("echo 0 > /proc/sys/user/max_user_namespaces && exec {drop} \"$@\"");
    let mut outer = Command::new("unshare");
    outer.args(["--user", "--map-root-user", "sh", "-c", &script, "sh"]);
    outer.arg(driver.get_program()).args(driver.get_args());
    if nix::unistd::geteuid().is_root() && user.uid == NOBODY {
        outer.uid(NOBODY).gid(NOBODY);
    }
    let output = outer.output().unwrap();
    let (_, said) = texts(&output);
    if said.starts_with("unshare:") {
        println!("no user namespaces here, so none can be forbidden: {said}");
        return None;
    }
    Some(output)
}

#[test]
fn root_does_without_a_user_namespace() {
    for user in User::all() {
        let container =
            user.shell("cat /etc/os-release; echo x > /etc/os-release && echo $$ $(id -u); exit 5");
        let Some(output) = without_user_namespaces(&user, &container, true) else { continue };
        let (printed, said) = texts(&output);
        assert_eq!(printed, "NAME=inside\n2 0\n", "{said}");
        assert_eq!(output.status.code(), Some(5));
        assert!(said.contains("note: this machine does not allow us to make a user namespace"), "{said}");
        assert_eq!(fs::read_to_string(user.root().join("etc/os-release")).unwrap(), "NAME=inside\n");
    }
}

#[test]
fn without_any_namespaces_it_is_a_plain_process() {
    for user in User::all() {
        let code = user.mkdir("code");
        fs::write(code.join("input"), "data\n").unwrap();
        let mut container = user.shell("cat /code/input \"$1\"; pwd; readlink /proc/self/exe; exit 6");
        container.command.extend(["sh".into(), "/code/input".into()]);
        container.command[2] = container.command[2].replace("/code/input ", "");
        container.mounts = vec![Mount { host: code.clone(), guest: "/code".into(), read_only: false }];
        container.cwd = "/code".into();
        let Some(output) = without_user_namespaces(&user, &container, false) else { continue };
        let (printed, said) = texts(&output);
        assert_eq!(output.status.code(), Some(6), "{said}");
        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!(lines[..2], ["data", code.to_str().unwrap()], "{said}");
        assert!(lines[2].contains("/trees/merged/") && lines[2].contains("ld-"), "{}", lines[2]);
        assert!(said.contains("plain process that sees all of this machine"), "{said}");
    }
}

#[test]
fn a_strict_choice_is_not_weakened() {
    let user = User::me();
    let mut container = user.command(&["true"]);
    for isolation in [Isolation::Overlay, Isolation::Merged] {
        container.isolation = isolation;
        let Some(output) = without_user_namespaces(&user, &container, false) else { return };
        let (_, said) = texts(&output);
        assert_eq!(output.status.code(), Some(125), "{said}");
        assert!(said.contains("error: this machine does not allow"), "{said}");
        assert!(said.contains("hint: "), "{said}");
    }
}

#[test]
fn a_merged_image_is_read_only_where_it_counts() {
    for user in User::all() {
        let upper = user.mkdir("upper");
        fs::create_dir(upper.join("etc")).unwrap();
        fs::write(upper.join("etc/os-release"), "NAME=upper\n").unwrap();
        let work = user.mkdir("work");
        let mut container = user.shell(
            "cat /etc/os-release; echo x > /etc/os-release; echo y > /usr/bin/new || echo refused; echo z > /work/z; \
             touch /tmp/t && ls /proc/1/status",
        );
        container.layers.push(upper.clone());
        container.isolation = Isolation::Merged;
        container.mounts = vec![Mount { host: work.clone(), guest: "/work".into(), read_only: false }];
        for _ in 0..2 {
            assert_eq!(user.prints(&container), "NAME=upper\nrefused\n/proc/1/status\n");
        }
        assert_eq!(fs::read_to_string(upper.join("etc/os-release")).unwrap(), "NAME=upper\n");
        assert_eq!(fs::read_to_string(work.join("z")).unwrap(), "z\n");
    }
}

#[test]
fn a_plain_process_keeps_what_it_can_of_a_container() {
    for user in User::all() {
        let mut container = user.shell("exit 4");
        container.isolation = Isolation::Process;
        assert_eq!(user.run(&container).status.code(), Some(4));

        container.command = vec!["no-such-command".into()];
        assert_eq!(user.run(&container).status.code(), Some(127));

        // Absolute paths of the image, scripts of the image, variables, and programs started by programs.
        let layer = user.mkdir("layer/opt/provenv/bin");
        fs::write(layer.join("tool"), "#!/usr/bin/env sh\necho tool $1 $GREETING; exec env cat $2\n")
            .unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(layer.join("tool"), mode).unwrap();
        let data = user.mkdir("data");
        fs::write(data.join("file"), "content\n").unwrap();
        container.layers.push(user.path().join("layer"));
        container.mounts = vec![Mount { host: data, guest: "/mnt/data".into(), read_only: false }];
        container.env = vec![("GREETING".into(), "hello".into())];
        container.command = ["/opt/provenv/bin/tool", "one", "/mnt/data/file"].map(str::to_owned).to_vec();
        assert_eq!(user.prints(&container), "tool one hello\ncontent\n");
        container.command[0] = "tool".into();
        assert_eq!(user.prints(&container), "tool one hello\ncontent\n");

        container.network = false;
        let output = user.run(&container);
        assert!(texts(&output).1.contains("cut the network off for a plain process"), "{output:?}");
    }
}

#[test]
fn a_plain_process_finds_mounts_in_mounts_and_files_by_their_names() {
    for user in User::all() {
        let (code, outputs, blobs) =
            (user.mkdir("it's code"), user.mkdir("kept outputs"), user.mkdir("blobs"));
        fs::create_dir(code.join("outputs")).unwrap();
        chown(code.join("outputs"), Some(user.uid), Some(user.uid)).unwrap();
        fs::write(blobs.join("e3b0"), "archive\n").unwrap();
        let mount =
            |host: &Path, guest: &str| Mount { host: host.into(), guest: guest.into(), read_only: false };
        let mut container = user.shell("cat $1; echo x > outputs/x; echo y > /code/outputs/y");
        container.command.extend(["sh".into(), "/source/a.tar.gz".into()]);
        let mut plain = container.command.clone();
        plain[2] = format!("cat \"$1\"; echo $1; echo x > outputs/x; echo y > '{}/y'", outputs.display());
        container.plain_command = Some(plain);
        container.mounts = vec![
            mount(&code, "/code"),
            mount(&outputs, "/code/outputs"),
            mount(&blobs.join("e3b0"), "/source/a.tar.gz"),
        ];
        container.cwd = "/code".into();
        for isolation in [Isolation::Process, Isolation::Merged, Isolation::Overlay] {
            container.isolation = isolation;
            let printed = user.prints(&container);
            assert!(printed.starts_with("archive\n"), "{isolation:?}: {printed}");
            assert_eq!(isolation == Isolation::Process, printed.ends_with("/a.tar.gz\n"), "{printed}");
            for file in ["x", "y"] {
                assert_eq!(
                    fs::read_to_string(outputs.join(file)).unwrap(),
                    format!("{file}\n"),
                    "{isolation:?}"
                );
                fs::remove_file(outputs.join(file)).unwrap();
            }
            let place = code.join("outputs");
            assert!(!place.is_symlink() && fs::read_dir(&place).unwrap().next().is_none(), "{isolation:?}");
        }
        eventually("what was made for it is gone", || user.scratch_folders() == 0);

        // What is there is never hidden or removed.
        fs::write(code.join("outputs/mine"), "z\n").unwrap();
        container.isolation = Isolation::Process;
        let (_, said) = texts(&user.run(&container));
        assert!(said.contains("is not where the command may look for it"), "{said}");
        assert_eq!(fs::read_to_string(code.join("outputs/mine")).unwrap(), "z\n");
    }
}

#[test]
fn a_plain_process_leaves_nothing_running() {
    let user = User::me();
    let mut container =
        user.shell("(sleep 7101.5 > /dev/null 2>&1 &); sleep 7101.5 > /dev/null 2>&1 & exit 0");
    container.isolation = Isolation::Process;
    assert_eq!(user.run(&container).status.code(), Some(0));
    let lines =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|e| fs::read(e.path().join("cmdline")).ok());
    assert_eq!(lines.filter(|line| String::from_utf8_lossy(line).contains("7101.5")).count(), 0);
}

#[test]
fn a_plan_says_beforehand_what_will_be() {
    for user in User::all() {
        let mut container = user.command(&["no-such-command"]);
        for isolation in [Isolation::Overlay, Isolation::Merged, Isolation::Process] {
            container.isolation = isolation;
            let output = user.driver(&container).arg("--plan").output().unwrap();
            assert_eq!(texts(&output).0, format!("{isolation:?} []\n"), "{output:?}");
        }
    }
}
