//! What a command in a container sees, may do, and leaves.

use std::os::unix::fs::MetadataExt;

use fs_err as fs;
use provenv_compute::{Mount, Writable};

use crate::support::{User, eventually, texts};

#[test]
fn the_exit_code_is_the_commands() {
    for user in User::all() {
        assert_eq!(user.run(&user.shell("exit 37")).status.code(), Some(37));
        assert_eq!(user.run(&user.shell("kill -TERM $$")).status.code(), Some(128 + 15));
        assert_eq!(user.run(&user.command(&["true"])).status.code(), Some(0));
    }
}

#[test]
fn a_command_that_is_not_there_is_127_and_says_where_it_was_looked_for() {
    for user in User::all() {
        let mut container = user.command(&["no-such-command"]);
        container.env = vec![("PATH".into(), "/usr/bin:/opt/provenv/bin".into())];
        let output = user.run(&container);
        assert_eq!(output.status.code(), Some(127));
        let (_, errors) = texts(&output);
        assert!(errors.contains("`no-such-command` was not found in the image"), "{errors}");
        assert!(errors.contains("`/usr/bin:/opt/provenv/bin`"), "{errors}");
        assert!(errors.contains("hint: "), "{errors}");
        assert_eq!(user.run(&user.command(&["/usr/bin/no-such-command"])).status.code(), Some(127));
    }
}

#[test]
fn a_file_that_cannot_be_executed_is_126_and_says_why() {
    for user in User::all() {
        let code = user.mkdir("code");
        fs::write(code.join("plain"), "text").unwrap();
        fs::write(code.join("garbage"), "\x01\x02\x03").unwrap();
        fs::write(code.join("orphan"), "#!/no/such/interpreter\n").unwrap();
        for name in ["garbage", "orphan"] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(code.join(name), mode).unwrap();
        }
        for (name, reason) in
            [("plain", "not marked executable"), ("garbage", "neither a program"), ("orphan", "interpreter")]
        {
            let mut container = user.command(&[&format!("/code/{name}")]);
            container.mounts = vec![Mount { host: code.clone(), guest: "/code".into(), read_only: true }];
            let output = user.run(&container);
            let (_, errors) = texts(&output);
            assert_eq!(output.status.code(), Some(126), "{errors}");
            assert!(errors.contains(reason), "{errors}");
        }
    }
}

#[test]
fn a_missing_working_folder_is_named() {
    for user in User::all() {
        let mut container = user.command(&["true"]);
        container.cwd = "/no/such/folder".into();
        let output = user.run(&container);
        assert_eq!(output.status.code(), Some(125));
        assert!(texts(&output).1.contains("working folder `/no/such/folder`"));
    }
}

#[test]
fn a_missing_mount_is_named() {
    for user in User::all() {
        let mut container = user.command(&["true"]);
        container.mounts =
            vec![Mount { host: "/no/such/host/folder".into(), guest: "/data".into(), read_only: false }];
        let output = user.run(&container);
        assert_eq!(output.status.code(), Some(125));
        assert!(texts(&output).1.contains("open `/no/such/host/folder`"));
    }
}

#[test]
fn nothing_of_the_host_is_to_be_seen() {
    for user in User::all() {
        let mark = user.mkdir("mark");
        let container = user.shell(&format!(
            "cat /etc/os-release; ls {}; id -u; env; echo pid $$; ls /proc | grep -c '^[0-9]*$'",
            mark.display()
        ));
        let mut command = user.driver(&container);
        let output = command.env("SECRET_OF_THE_HOST", "hunter2").output().unwrap();
        let (seen, _) = texts(&output);
        assert!(seen.starts_with("NAME=inside\n0\n"), "{seen}");
        assert!(!seen.contains("hunter2"), "{seen}");

        let processes = user.prints(&user.shell("cd /proc; for p in [0-9]*; do echo $p; done"));
        assert_eq!(processes, "1\n2\n", "only the init and the shell");
        let mounts = user.prints(&user.shell("cat /proc/self/mountinfo"));
        assert!(!mounts.contains(&*user.path().to_string_lossy()), "{mounts}");
        let script = "ls /proc/1/root/ /proc/1/cwd/; readlink /proc/1/exe /proc/1/fd/*; cat /proc/1/environ";
        let escape = user.run(&user.shell(script));
        assert!(texts(&escape).0.is_empty(), "{escape:?}");
    }
}

#[test]
fn descriptors_of_the_caller_do_not_leak() {
    for user in User::all() {
        let listing = user.prints(&user.shell("ls /proc/$$/fd"));
        assert_eq!(listing, "0\n1\n2\n");
    }
}

#[test]
fn capabilities_are_few_and_none_can_be_gained() {
    for user in User::all() {
        let status = user.prints(&user.shell("cat /proc/self/status"));
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().to_owned()
        };
        for set in ["CapEff", "CapPrm", "CapBnd"] {
            assert_eq!(field(set), "00000000a00405fb", "{set}");
        }
        assert_eq!(field("NoNewPrivs"), "1");
    }
}

#[test]
fn the_hosts_kernel_cannot_be_switched() {
    for user in User::all() {
        let script = "echo x > /proc/sysrq-trigger; echo 1 > /proc/sys/kernel/panic; \
             echo 1 > /sys/kernel/profiling; mkdir /sys/fs/cgroup/memory/mine /sys/fs/cgroup/mine; exit 0";
        let (_, errors) = texts(&user.run(&user.shell(script)));
        assert!(errors.lines().count() >= 4, "{errors}");
    }
}

#[test]
fn writes_reach_neither_layers_nor_the_next_container() {
    for user in User::all() {
        for writable in [Writable::Disk, Writable::Memory] {
            let mut container = user.shell(
                "echo changed > /etc/os-release && rm /usr/bin/head && mkdir /usr/new && mv /usr/bin/tail /usr/new \
                 || exit 1; cat /etc/os-release; echo /usr/new/*; test -e /usr/bin/head || echo gone",
            );
            container.writable = writable;
            assert_eq!(user.prints(&container), "changed\n/usr/new/tail\ngone\n", "{writable:?}");
            assert_eq!(fs::read_to_string(user.root().join("etc/os-release")).unwrap(), "NAME=inside\n");
            assert!(user.root().join("usr/bin/tail").exists());
            assert_eq!(user.prints(&user.shell("cat /etc/os-release; ls /usr")), "NAME=inside\nbin\n");
        }
        eventually("nothing is left on disk", || user.scratch_folders() == 0);
    }
}

#[test]
fn upper_layers_hide_lower_ones_and_folders_merge() {
    for user in User::all() {
        let mut container = user.shell("cat /data/a /data/b /data/c");
        for (layer, names) in [("one", "ab"), ("two", "bc")] {
            let folder = user.mkdir(layer);
            fs::create_dir(folder.join("data")).unwrap();
            for name in names.chars() {
                fs::write(folder.join(format!("data/{name}")), format!("{layer}\n")).unwrap();
            }
            container.layers.push(folder);
        }
        assert_eq!(user.prints(&container), "one\ntwo\ntwo\n");
    }
}

#[test]
fn a_hundred_layers_with_long_awkward_paths() {
    for user in User::all() {
        let mut container = user.shell("echo /layers/* | wc -w || cat /layers/*");
        container.command[2] = "set -- /layers/*; echo $#; cat /layers/last".to_owned();
        for index in 0..100 {
            let name = format!("{}/{}, a:b\\c {index}", "long".repeat(40), "name".repeat(40));
            let folder = user.mkdir(&name);
            fs::create_dir(folder.join("layers")).unwrap();
            fs::write(folder.join(format!("layers/{index}")), "").unwrap();
            fs::write(folder.join("layers/last"), format!("{index}\n")).unwrap();
            container.layers.push(folder);
        }
        assert_eq!(user.prints(&container), "101\n99\n");
    }
}

#[test]
fn mounts_are_written_as_the_caller_and_read_only_ones_are_not() {
    for user in User::all() {
        let (open, shut) = (user.mkdir("open"), user.mkdir("shut"));
        fs::write(shut.join("input"), "data\n").unwrap();
        let mut container = user.shell(
            "cat /in/input; echo out > /work/deep/output; echo no > /in/input || echo refused; id -u; pwd",
        );
        let mount = |host: &std::path::Path, guest: &str, read_only| Mount {
            host: host.to_owned(),
            guest: guest.into(),
            read_only,
        };
        container.mounts = vec![mount(&open, "/work/deep", false), mount(&shut, "/in", true)];
        container.cwd = "/work/deep".into();
        assert_eq!(user.prints(&container), "data\nrefused\n0\n/work/deep\n");
        let output = fs::metadata(open.join("output")).unwrap();
        assert_eq!((output.uid(), output.gid()), (user.uid, user.uid));
        assert_eq!(fs::read_to_string(shut.join("input")).unwrap(), "data\n");
    }
}

#[test]
fn a_link_in_the_image_cannot_lead_a_mount_out() {
    for user in User::all() {
        let (layer, host, outside) = (user.mkdir("layer"), user.mkdir("host"), user.mkdir("outside"));
        fs::write(host.join("file"), "").unwrap();
        std::os::unix::fs::symlink(&outside, layer.join("data")).unwrap();
        let mut container = user.shell("ls /data/inner");
        container.layers.push(layer);
        // The link's target does not exist inside: it is a dangling link, and nothing may be made of it outside.
        container.mounts = vec![Mount { host, guest: "/data/inner".into(), read_only: true }];
        let _ = user.run(&container);
        assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
    }
}

#[test]
fn a_file_can_be_mounted() {
    for user in User::all() {
        let folder = user.mkdir("folder");
        fs::write(folder.join("one"), "content\n").unwrap();
        let mut container = user.shell("cat /opt/tool/one");
        container.mounts =
            vec![Mount { host: folder.join("one"), guest: "/opt/tool/one".into(), read_only: true }];
        assert_eq!(user.prints(&container), "content\n");
    }
}

#[test]
fn without_network_there_is_only_loopback_and_it_is_up() {
    for user in User::all() {
        let devices = |network| {
            let mut container =
                user.shell("tail -n +3 /proc/net/dev; cat /proc/net/route; head -c 3 /proc/net/fib_trie");
            container.network = network;
            user.prints(&container)
        };
        let cut = devices(false);
        assert_eq!(cut.lines().filter(|line| line.contains(':')).count(), 1, "{cut}");
        assert!(cut.contains("lo:"), "{cut}");
        let mut container = user.shell("cat /proc/net/fib_trie");
        container.network = false;
        assert!(user.prints(&container).contains("127.0.0.1"), "loopback has its address when it is up");
        let host = fs::read_to_string("/proc/net/dev").unwrap().lines().count() - 2;
        assert_eq!(devices(true).lines().filter(|line| line.contains(':')).count(), host);
    }
}

#[test]
fn names_are_resolved_as_on_the_host() {
    for user in User::all() {
        let mut container =
            user.shell("cat /etc/resolv.conf /etc/hosts; cat /proc/sys/kernel/hostname /etc/hostname");
        let seen = user.prints(&container);
        assert!(seen.contains(&fs::read_to_string("/etc/hosts").unwrap()));
        if let Ok(resolver) = fs::read_to_string("/etc/resolv.conf") {
            assert!(seen.starts_with(&resolver));
        }
        container.hostname = Some("trainer".to_owned());
        assert!(user.prints(&container).ends_with("trainer\ntrainer\n"));
    }
}

#[test]
fn devices_and_shared_memory_are_there() {
    for user in User::all() {
        let script = "head -c 2 /dev/zero | wc -c; echo x > /dev/null; echo y > /dev/shm/y && cat /dev/shm/y; \
             cat < /dev/fd/0; head -c 1 /dev/urandom > /dev/full || echo full; ls /dev/pts";
        let script = script.replace("| wc -c", "> /dev/shm/zeros; stat -c %s /dev/shm/zeros");
        assert_eq!(user.prints(&user.shell(&script)), "2\ny\nfull\nptmx\n");
        assert!(user.prints(&user.shell("ls /dev")).lines().count() < 40);
    }
}

#[test]
fn many_variables_and_long_arguments_arrive() {
    for user in User::all() {
        let long = "x".repeat(100_000);
        let mut container = user.command(&["sh", "-c", "echo ${#1} ${#V7} $ODD", "sh", &long]);
        container.env = (0..8).map(|index| (format!("V{index}"), long.clone())).collect();
        container.env.push(("ODD".into(), "a b='\"$\n\u{e9}".into()));
        // The container itself is too long for the driver's command line.
        let store = user.store();
        if user.uid == nix::unistd::geteuid().as_raw() {
            let mut running = container.spawn(&store, provenv_compute::Streams::captured()).unwrap();
            let mut printed = String::new();
            std::io::Read::read_to_string(running.stdout.as_mut().unwrap(), &mut printed).unwrap();
            assert_eq!(running.wait().unwrap().code, 0);
            assert_eq!(printed, "100000 100000 a b='\"$ \u{e9}\n");
        }
        container.command[4] = "x".repeat(300_000);
        let error = container.spawn(&store, provenv_compute::Streams::captured()).unwrap_err();
        assert!(error.to_string().contains("too long"), "{error}");
    }
}
