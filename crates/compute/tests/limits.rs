//! Limits hold, by control groups or by what stands in for them, and it is said which.

use std::path::Path;

use provenv_compute::Limits;

use crate::support::{User, texts};

const MIB: u64 = 1 << 20;

/// `tail` keeps all of a line in memory.
const HUNGRY: &str = "head -c 300000000 /dev/zero | tail -n 1 > /dev/null";

#[test]
fn memory_is_limited() {
    for user in User::all() {
        let mut container = user.shell(HUNGRY);
        assert_eq!(user.run(&container).status.code(), Some(0), "there is enough without a limit");
        container.limits.memory = Some(100 * MIB);
        let output = user.run(&container);
        let (_, said) = texts(&output);
        assert_ne!(output.status.code(), Some(0), "{said}");
        if said.contains("note: ") {
            assert!(said.contains("holds for each process"), "{said}");
            assert!(said.contains("tail: "), "it was told, not killed: {said}");
        } else {
            assert_eq!(output.status.code(), Some(137), "{said}");
            assert!(said.contains("out of memory"), "{said}");
        }
    }
}

#[test]
fn processes_are_limited() {
    for user in User::all() {
        let mut container = user.shell("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1 & done; echo all");
        assert_eq!(user.prints(&container), "all\n");
        container.limits.pids = Some(8);
        let output = user.run(&container);
        let (printed, said) = texts(&output);
        if user.uid == 0 && said.contains("does not bind root") {
            continue;
        }
        assert_eq!(printed, "", "{said}");
        assert!(said.contains("fork"), "{said}");
    }
}

#[test]
fn processors_are_limited() {
    for user in User::all() {
        let script = "nproc; while IFS=: read -r id names path; do \
               cat /sys/fs/cgroup/cpu$path/cpu.cfs_quota_us /sys/fs/cgroup$path/cpu.max \
                 /sys/fs/cgroup/unified$path/cpu.max 2> /dev/null; \
             done < /proc/self/cgroup; exit 0";
        let mut container = user.shell(script);
        container.limits.cpus = Some(0.5);
        let output = user.run(&container);
        let (printed, said) = texts(&output);
        if said.contains("note: ") {
            assert!(said.contains("running on no more than 1"), "{said}");
            assert!(printed.starts_with("1\n"), "{printed}");
        } else {
            assert!(printed.lines().any(|line| line == "50000" || line == "50000 100000"), "{printed}");
        }
    }
}

#[test]
fn control_groups_are_removed() {
    let user = User::me();
    let mut container = user.shell("cat /proc/self/cgroup");
    container.limits = Limits { cpus: Some(1.5), memory: Some(100 * MIB), pids: Some(50) };
    let groups = user.prints(&container);
    let own: Vec<&str> = groups
        .lines()
        .filter_map(|line| line.rsplit(':').next())
        .filter(|path| path.contains("provenv-"))
        .collect();
    for path in own {
        for hierarchy in ["", "/memory", "/cpu", "/pids", "/unified"] {
            let folder = format!("/sys/fs/cgroup{hierarchy}{path}");
            assert!(!Path::new(&folder).exists(), "{folder}");
        }
    }
}
