//! The helper: this program started again, with one thread, to be the parent of a container.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use fs_err as fs;
use nix::fcntl::OFlag;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{
    ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, getpgid, getppid, pipe2, setpgid, setsid,
    tcsetpgrp,
};

use crate::init::{Parent, Signals, watch_over};
use crate::limits::Fallbacks;
use crate::protocol::{Failure, FailureKind, Method, Report, Spec, receive_spec, send_report};
use crate::{exec, host, limits, namespaces, process, rootfs, syscalls};

/// The argument that asks a program to be the helper. No test harness or command line parser takes it for its own.
pub(crate) const FLAG: &str = "--provenv-sandbox-helper";

/// Set in the helper's own, otherwise empty environment, so that a program without the hook is found out.
pub(crate) const MARK: &str = "PROVENV_SANDBOX_HELPER";

/// Turns this process into a sandbox helper if it was started as one, and then does not return.
///
/// Must be the first thing in `main`: a process with threads cannot enter a user namespace.
pub fn sandbox_main_if_asked() {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == FLAG) {
        std::process::exit(main());
    }
}

/// Runs the container that comes over standard input, and returns its exit code.
fn main() -> i32 {
    let Ok(control) = std::io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from) else { return 125 };
    let Ok((spec, stdin)) = receive_spec(&control) else { return 125 };
    if dup2_stdin(stdin).is_err() {
        return 125;
    }
    match contain(&spec, &control) {
        Ok(code) => code,
        Err(failure) => {
            send_report(&control, &Report::Failed(failure));
            125
        }
    }
}

/// What the container wrote outside its mounts, removed by dropping.
struct Scratch<'a>(Option<&'a Path>);

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        if let Some(folder) = self.0 {
            // Nothing in it is beyond the power of the container's root, which we are. If it fails all the
            // same, the store removes it when the caller is gone.
            let _ = fs::remove_dir_all(folder);
        }
    }
}

fn contain(spec: &Spec, control: &UnixStream) -> Result<i32, Failure> {
    let Some(parent) = Parent::watch(Pid::from_raw(spec.parent)) else { return Ok(125) };
    let _scratch = Scratch(spec.scratch.as_deref());
    let mut notes = Vec::new();
    // Signals to the caller's group are the caller's to pass on, once. The caller's session is left too, unless its
    // terminal is to be the command's.
    let this = Pid::from_raw(0);
    let _ = if spec.terminal { setpgid(this, this) } else { setsid().map(drop) };
    let signals = Signals::take().map_err(Failure::setup("take signals"))?;
    let (cgroup, fallbacks) = limits::arrange(&spec.container.limits, &mut notes);
    match spec.method {
        Method::Namespaces { user, .. } => namespaces::enter_outer(user)?,
        Method::Host { apart: true } => host::enter_outer()?,
        Method::Process | Method::Host { apart: false } => {
            prctl::set_child_subreaper(true).map_err(Failure::setup("adopt orphans"))?;
        }
    }

    let links =
        (spec.method == Method::Process).then(|| process::Links::lay(&spec.container.mounts, &mut notes));

    let (released, release) = pipe2(OFlag::O_CLOEXEC).map_err(Failure::setup("make a pipe"))?;
    let child = match syscalls::fork().map_err(Failure::setup("start a process"))? {
        ForkResult::Child => {
            drop(release);
            // Nothing starts before the limits hold; and if we were gone by now, the pipe would be closed.
            let together = prctl::set_pdeathsig(Signal::SIGKILL).is_ok();
            let free = std::fs::File::from(released).read_exact(&mut [0]).is_ok();
            if !together || !free {
                std::process::exit(125);
            }
            let result = inside(spec, control, &signals, notes, &fallbacks);
            std::process::exit(result.unwrap_or_else(|failure| {
                send_report(control, &Report::Failed(failure));
                125
            }));
        }
        ForkResult::Parent { child } => child,
    };
    drop(released);
    cgroup.add(child).map_err(Failure::setup("put the container into its control group"))?;
    std::fs::File::from(release).write_all(&[1]).map_err(Failure::setup("start the container"))?;

    let code = watch_over(child, &signals, Some(&parent));
    if matches!(spec.method, Method::Process | Method::Host { apart: false }) {
        process::kill_orphans();
    }
    // Nobody may find them in the work folder once they know that the command has ended.
    drop(links);
    let out_of_memory = cgroup.out_of_memory();
    drop(cgroup);
    // When the caller is gone, its shell has the terminal.
    if spec.terminal && parent.lives() {
        let _ = getpgid(Some(getppid())).map(|group| tcsetpgrp(std::io::stdin(), group));
    }
    // Whoever reads what the command printed must not wait for the removal of what it wrote.
    if let Ok(null) = fs::OpenOptions::new().write(true).open("/dev/null") {
        let _ = dup2_stdout(&null).and_then(|()| dup2_stderr(&null));
    }
    send_report(control, &Report::Ended { code, out_of_memory });
    Ok(code)
}

/// The init of a container; for a plain process, the command itself and its watcher in one.
fn inside(
    spec: &Spec,
    control: &UnixStream,
    signals: &Signals,
    mut notes: Vec<String>,
    fallbacks: &Fallbacks,
) -> Result<i32, Failure> {
    let mask = umask(Mode::from_bits_truncate(0o022));
    let plain;
    let spec = match spec.method {
        Method::Namespaces { user, .. } => {
            namespaces::enter_inner(&spec.container, user)?;
            rootfs::enter(spec, &mut notes)?;
            exec::drop_capabilities()?;
            spec
        }
        Method::Process => {
            plain = process::rewrite(spec, &mut notes)?;
            &plain
        }
        Method::Host { apart } => {
            if apart {
                host::enter_inner(&spec.container)?;
            }
            spec
        }
    };
    // The command may be root as we are: keep it from our memory, which holds the order, and from the
    // program we are, which is the host's.
    let _ = prctl::set_dumpable(false);
    let (failed, fail) = pipe2(OFlag::O_CLOEXEC).map_err(Failure::setup("make a pipe"))?;
    let command = match syscalls::fork().map_err(Failure::setup("start the command"))? {
        ForkResult::Child => {
            // What an engine makes must not depend on who starts it.
            if !matches!(spec.method, Method::Host { .. }) {
                umask(mask);
            }
            let _ = prctl::set_pdeathsig(Signal::SIGKILL);
            let failure = exec::exec(spec, fallbacks);
            let _ = serde_json::to_writer(std::fs::File::from(fail), &failure);
            std::process::exit(125);
        }
        ForkResult::Parent { child } => child,
    };
    drop(fail);
    let mut failure = Vec::new();
    std::fs::File::from(failed).read_to_end(&mut failure).map_err(Failure::setup("start the command"))?;
    if failure.is_empty() {
        send_report(control, &Report::Started { notes });
        return Ok(watch_over(command, signals, None));
    }
    Err(serde_json::from_slice(&failure)
        .unwrap_or_else(|error| Failure::new(FailureKind::Setup, "start the command", &error)))
}
