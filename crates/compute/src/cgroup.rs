//! Control groups, of both versions and of machines that have some controllers in each.
//!
//! A group is made as near to our own as the kernel allows: beside us (version 2 lets no group with processes
//! share out its controllers, so it may have to be beside an ancestor) or below us (version 1). Where no
//! group may be made, the limit is handed back as unmet.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use nix::unistd::{Pid, getpid};

use crate::Limits;

/// One control group per hierarchy that was needed; none at all where nothing is limited.
#[derive(Debug, Default)]
pub(crate) struct Cgroup {
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    folder: PathBuf,
    /// `cgroup.procs`, opened while we are who may write it.
    members: fs::File,
    /// Counts what was killed for want of memory.
    events: Option<PathBuf>,
}

/// A mounted hierarchy and where in it this process is.
#[derive(Debug)]
struct Hierarchy {
    mount: PathBuf,
    own: PathBuf,
    /// Controllers of version 1; empty for version 2.
    controllers: Vec<String>,
}

const PERIOD: f64 = 100_000.0;

impl Cgroup {
    /// Makes groups for `limits`, and returns what they do not hold.
    pub fn make(limits: &Limits) -> (Self, Limits) {
        let mut unmet = *limits;
        let mut cgroup = Self::default();
        if *limits == Limits::default() {
            return (cgroup, unmet);
        }
        let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        let hierarchies = hierarchies(&read("mountinfo"), &read("cgroup"));
        for controller in ["memory", "cpu", "pids"] {
            if !wanted(&unmet, controller) {
                continue;
            }
            let v1 = hierarchies.iter().find(|h| h.controllers.iter().any(|name| name == controller));
            if let Some(hierarchy) = v1
                && let Ok(group) = Group::make(&hierarchy.own, &settings_v1(limits, controller))
            {
                cgroup.groups.push(group);
                met(&mut unmet, controller);
            }
        }
        if unmet != Limits::default()
            && let Some(hierarchy) = hierarchies.iter().find(|h| h.controllers.is_empty())
        {
            cgroup.groups.extend(Group::make_v2(hierarchy, &mut unmet));
        }
        (cgroup, unmet)
    }

    /// Puts a process, and all it will start, under the limits.
    pub fn add(&self, pid: Pid) -> io::Result<()> {
        self.groups.iter().try_for_each(|group| {
            let mut members = &group.members;
            members.write_all(pid.to_string().as_bytes())
        })
    }

    /// Whether something in it was killed for want of memory.
    pub fn out_of_memory(&self) -> bool {
        self.groups.iter().filter_map(|group| fs::read_to_string(group.events.as_ref()?).ok()).any(|events| {
            events.lines().filter_map(|line| line.strip_prefix("oom_kill ")).any(|count| count.trim() != "0")
        })
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for group in &self.groups {
            // The last dead may take a moment to be gone.
            for _ in 0..50 {
                match fs::remove_dir(&group.folder) {
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                        std::thread::sleep(std::time::Duration::from_millis(2));
                    }
                    _ => break,
                }
            }
        }
    }
}

impl Group {
    /// Makes a group below `parent` with these settings, or none.
    fn make(parent: &Path, settings: &[(&str, String, bool)]) -> io::Result<Self> {
        let folder = parent.join(format!("provenv-{}", getpid()));
        fs::create_dir(&folder)?;
        let fill = || {
            for (name, value, needed) in settings {
                match fs::write(folder.join(name), value) {
                    Err(error) if *needed => return Err(error),
                    _ => {}
                }
            }
            fs::OpenOptions::new().write(true).open(folder.join("cgroup.procs"))
        };
        match fill() {
            Ok(members) => {
                let events = ["memory.events", "memory.oom_control"].map(|name| folder.join(name));
                let events = events.into_iter().find(|file| file.exists());
                Ok(Self { folder, members, events })
            }
            Err(error) => {
                let _ = fs::remove_dir(&folder);
                Err(error)
            }
        }
    }

    /// Makes one group of version 2 for as much of `unmet` as the nearest willing ancestor shares out.
    fn make_v2(hierarchy: &Hierarchy, unmet: &mut Limits) -> Option<Self> {
        for parent in hierarchy.own.ancestors().take_while(|parent| parent.starts_with(&hierarchy.mount)) {
            let shared = fs::read_to_string(parent.join("cgroup.subtree_control")).unwrap_or_default();
            let controllers: Vec<&str> =
                shared.split_whitespace().filter(|controller| wanted(unmet, controller)).collect();
            let settings: Vec<_> =
                controllers.iter().flat_map(|controller| settings_v2(unmet, controller)).collect();
            if controllers.is_empty() {
                continue;
            }
            if let Ok(group) = Self::make(parent, &settings) {
                for controller in controllers {
                    met(unmet, controller);
                }
                return Some(group);
            }
        }
        None
    }
}

fn wanted(limits: &Limits, controller: &str) -> bool {
    match controller {
        "memory" => limits.memory.is_some(),
        "cpu" => limits.cpus.is_some(),
        "pids" => limits.pids.is_some(),
        _ => false,
    }
}

fn met(limits: &mut Limits, controller: &str) {
    match controller {
        "memory" => limits.memory = None,
        "cpu" => limits.cpus = None,
        _ => limits.pids = None,
    }
}

/// File, content, and whether the limit stands or falls with it.
fn settings_v1(limits: &Limits, controller: &str) -> Vec<(&'static str, String, bool)> {
    match controller {
        "memory" => {
            let memory = limits.memory.unwrap_or_default().to_string();
            vec![
                ("memory.limit_in_bytes", memory.clone(), true),
                // Only where swap is accounted for.
                ("memory.memsw.limit_in_bytes", memory, false),
            ]
        }
        "cpu" => vec![
            ("cpu.cfs_period_us", PERIOD.to_string(), true),
            ("cpu.cfs_quota_us", quota(limits).to_string(), true),
        ],
        _ => vec![("pids.max", processes(limits), true)],
    }
}

fn settings_v2(limits: &Limits, controller: &str) -> Vec<(&'static str, String, bool)> {
    match controller {
        "memory" => vec![
            ("memory.max", limits.memory.unwrap_or_default().to_string(), true),
            ("memory.swap.max", "0".to_owned(), false),
            // All or nothing: half a data loader only hangs.
            ("memory.oom.group", "1".to_owned(), false),
        ],
        "cpu" => vec![("cpu.max", format!("{} {PERIOD}", quota(limits)), true)],
        _ => vec![("pids.max", processes(limits), true)],
    }
}

/// Microseconds in each period; the kernel wants a thousand at least.
fn quota(limits: &Limits) -> f64 {
    (limits.cpus.unwrap_or_default() * PERIOD).round().max(1000.0)
}

/// The init is no process of the user's.
fn processes(limits: &Limits) -> String {
    limits.pids.unwrap_or_default().saturating_add(1).to_string()
}

/// The hierarchies that are mounted, from `/proc/self/mountinfo` and `/proc/self/cgroup`.
fn hierarchies(mounts: &str, groups: &str) -> Vec<Hierarchy> {
    let mut found = Vec::new();
    for line in mounts.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').collect();
        let ([_, _, _, root, mount, ..], [kind, _, options]) = (&left[..], &right[..]) else { continue };
        let options: Vec<&str> = options.split(',').collect();
        // `5:cpu,cpuacct:/path`, or `0::/path` for version 2.
        let group = groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            let matches = match *kind {
                "cgroup2" => controllers.is_empty(),
                "cgroup" => {
                    !controllers.is_empty() && controllers.split(',').all(|name| options.contains(&name))
                }
                _ => false,
            };
            matches.then_some((controllers, path))
        });
        let Some((controllers, path)) = group else { continue };
        let Ok(below) = Path::new(path).strip_prefix(root) else { continue };
        let controllers = controllers.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        found.push(Hierarchy { mount: mount.into(), own: Path::new(mount).join(below), controllers });
    }
    found
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::hierarchies;

    #[test]
    fn our_place_is_found_in_both_versions() {
        let mounts = "30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n\
             31 25 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
             32 25 0:28 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";
        let groups =
            "3:cpu,cpuacct:/docker/abc/inner\n4:memory:/user.slice\n0::/user.slice/session-3.scope\n";
        let found = hierarchies(mounts, groups);
        let own: Vec<&Path> = found.iter().map(|hierarchy| hierarchy.own.as_path()).collect();
        assert_eq!(
            own,
            [
                Path::new("/sys/fs/cgroup/user.slice/session-3.scope"),
                Path::new("/sys/fs/cgroup/memory/user.slice"),
                Path::new("/sys/fs/cgroup/cpu,cpuacct/inner"),
            ]
        );
        assert!(found[0].controllers.is_empty());
        assert_eq!(found[2].controllers, ["cpu", "cpuacct"]);
    }
}
