//! The namespaces a container gets: users and processes first, by the helper; then files, names, messages and
//! network, by the init inside.

use std::net::UdpSocket;
use std::os::fd::AsFd;

use fs_err as fs;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, getegid, geteuid, getpid, pipe, read};

use crate::protocol::{Failure, FailureKind};
use crate::{Container, syscalls};

/// Enters the namespaces that have to be there before the init is forked: users, where asked, and processes.
///
/// An ordinary user becomes root inside and owns what root writes there. Root keeps every user and group it
/// has: a namespace takes its power over the host's kernel all the same, and files of other owners in mounted
/// folders stay usable.
pub(crate) fn enter_outer(user: bool) -> Result<(), Failure> {
    if !user {
        return unshare(CloneFlags::CLONE_NEWPID).map_err(|error| {
            Failure::new(FailureKind::NoNamespaces, "make a process namespace", &error.desc())
        });
    }
    let refused =
        |error: Errno| Failure::new(FailureKind::NoUserNamespace, "make a user namespace", &error.desc());
    let flags = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID;
    let (uid, gid) = (geteuid(), getegid());
    if uid.is_root() && fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| maps_many(&map)) {
        return map_everybody(flags);
    }
    unshare(flags).map_err(refused)?;
    let write = |file: &str, text: String| {
        fs::write(file, text)
            .map_err(|error| Failure::new(FailureKind::NoUserNamespace, "map the user", &error))
    };
    // The kernel wants this given up before a user may map groups: it would let a group be shed that denies access.
    write("/proc/self/setgroups", "deny".to_owned())?;
    write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    write("/proc/self/gid_map", format!("0 {gid} 1"))
}

/// Whether a map (inside, outside, count) has more than one user.
fn maps_many(map: &str) -> bool {
    map.lines().count() > 1 || !map.trim_end().ends_with(" 1")
}

/// A map of every user there is to itself.
fn identity(map: &str) -> String {
    map.lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let (first, count) = (fields.next()?, fields.nth(1)?);
            Some(format!("{first} {first} {count}\n"))
        })
        .collect()
}

/// Enters a user namespace in which every user is itself. Only a process that stays outside may write such a map.
fn map_everybody(flags: CloneFlags) -> Result<(), Failure> {
    let refused =
        |error: Errno| Failure::new(FailureKind::NoUserNamespace, "make a user namespace", &error.desc());
    let maps = ["uid_map", "gid_map"].map(|name| {
        let map = fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        (format!("/proc/{}/{name}", getpid()), identity(&map))
    });
    let (entered, enter) = pipe().map_err(refused)?;
    match syscalls::fork().map_err(refused)? {
        ForkResult::Child => {
            drop(enter);
            let ready = read(&entered, &mut [0]) == Ok(1);
            let written = ready && maps.iter().all(|(file, map)| fs::write(file, map).is_ok());
            std::process::exit(i32::from(!written));
        }
        ForkResult::Parent { child } => {
            unshare(flags).map_err(refused)?;
            nix::unistd::write(&enter, &[1]).map_err(refused)?;
            match waitpid(child, None) {
                Ok(WaitStatus::Exited(_, 0)) => Ok(()),
                _ => Err(refused(Errno::EPERM)),
            }
        }
    }
}

/// Enters the namespaces of files, host name, messages and, where it is to be cut, network. For the init.
pub(crate) fn enter_inner(container: &Container, user: bool) -> Result<(), Failure> {
    let mut flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC;
    if !container.network {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    // Some systems let everybody make user namespaces and then allow nothing in them.
    let kind = if user { FailureKind::NoUserNamespace } else { FailureKind::NoNamespaces };
    unshare(flags).map_err(|error| Failure::new(kind, "make a mount namespace", &error.desc()))?;
    if !container.network {
        loopback()?;
    }
    if let Some(hostname) = &container.hostname {
        nix::unistd::sethostname(hostname)
            .map_err(Failure::setup(format!("set the host name to `{hostname}`")))?;
    }
    Ok(())
}

/// Brings the one device of a new network namespace up.
pub(crate) fn loopback() -> Result<(), Failure> {
    let up = || -> std::io::Result<()> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        Ok(syscalls::device_up(socket.as_fd(), "lo")?)
    };
    up().map_err(Failure::setup("bring the loopback device up"))
}

#[cfg(test)]
mod tests {
    use super::{identity, maps_many};

    #[test]
    fn a_map_is_made_of_what_is_mapped_here() {
        assert_eq!(identity("         0          0 4294967295\n"), "0 0 4294967295\n");
        assert_eq!(identity("0 1000 1\n1 100000 65536\n"), "0 0 1\n1 1 65536\n");
        assert!(maps_many("0 1000 1\n1 100000 65536\n"));
        assert!(maps_many("         0          0 4294967295\n"));
        assert!(!maps_many("         0       1000          1\n"));
    }
}
