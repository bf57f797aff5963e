//! Watching over the command: reaping, passing signals on, and ending with its code.
//!
//! The helper watches over the init, the init over the command, with the same loop.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getppid};

use crate::syscalls;

/// Passed on to the command.
const FORWARDED: [Signal; 10] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGCONT,
    Signal::SIGTSTP,
    Signal::SIGWINCH,
];

/// A terminal sends these to all of its foreground group, so they are passed on to the command's group: a shell that waits
/// for a program leaves the interrupt to that program.
const TO_THE_GROUP: [Signal; 6] =
    [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGCONT, Signal::SIGTSTP, Signal::SIGWINCH];

/// Tells the helper to end the container at once and clean up, which `SIGKILL` would not let it do. (LXC has the same
/// use for it.)
pub(crate) const POWER_OFF: Signal = Signal::SIGPWR;

/// Signals turned into something that can be waited for together with other things.
pub(crate) struct Signals(SignalFd);

impl Signals {
    /// From now on signals are only noted. They are inherited so by forked processes.
    pub fn take() -> nix::Result<Self> {
        let mut set: SigSet = FORWARDED.into_iter().collect();
        set.add(Signal::SIGCHLD);
        set.add(POWER_OFF);
        // The terminal is given and taken from the background.
        set.add(Signal::SIGTTOU);
        // A caller that ignores it would keep us from hearing of the end.
        syscalls::default_action(Signal::SIGCHLD)?;
        set.thread_block()?;
        SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map(Self)
    }
}

/// The process whose end is the end of the container.
pub(crate) struct Parent {
    pid: Pid,
    end: Option<OwnedFd>,
}

impl Parent {
    /// `None` if it has already ended.
    pub fn watch(pid: Pid) -> Option<Self> {
        // Not by PR_SET_PDEATHSIG: that is the end of the thread which started us, and threads come and go.
        let end = syscalls::pidfd_open(pid).ok();
        (getppid() == pid).then_some(Self { pid, end })
    }

    /// Whether it is still there.
    pub fn lives(&self) -> bool {
        getppid() == self.pid
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.end.as_ref().map(AsFd::as_fd)
    }
}

/// Waits for `child` to end, reaping whatever else does, and returns its exit code, 128 + n for signal n. Kills it when
/// the parent ends. Without a parent to watch, `child` is the command, the leader of its group.
pub(crate) fn watch_over(child: Pid, signals: &Signals, parent: Option<&Parent>) -> i32 {
    loop {
        if let Some(code) = reap(child) {
            return code;
        }
        let mut sources = vec![PollFd::new(signals.0.as_fd(), PollFlags::POLLIN)];
        sources
            .extend(parent.and_then(Parent::descriptor).map(|parent| PollFd::new(parent, PollFlags::POLLIN)));
        // Before Linux 5.3 the end of a process cannot be waited for: look every now and then.
        let blind = parent.is_some_and(|parent| parent.end.is_none());
        let timeout = if blind { PollTimeout::from(200_u8) } else { PollTimeout::NONE };
        let _ = poll(&mut sources, timeout);
        if parent.is_some_and(|parent| !parent.lives()) {
            let _ = kill(child, Signal::SIGKILL);
            return last(child);
        }
        while let Ok(Some(signal)) = signals.0.read_signal() {
            let Some(number) = i32::try_from(signal.ssi_signo).ok().and_then(|n| Signal::try_from(n).ok())
            else {
                continue;
            };
            if number == POWER_OFF {
                let _ = kill(child, Signal::SIGKILL);
            } else if parent.is_none() && matches!(number, Signal::SIGINT | Signal::SIGQUIT) {
                // As a terminal does it: a shell waits for what it runs, which must hear of it too.
                let _ = kill(Pid::from_raw(-child.as_raw()), number);
            } else if FORWARDED.contains(&number) {
                let group = parent.is_none() && TO_THE_GROUP.contains(&number);
                let _ = kill(if group { Pid::from_raw(-child.as_raw()) } else { child }, number);
            }
        }
    }
}

/// Takes the dead away; the code of `child` if it is one of them.
fn reap(child: Pid) -> Option<i32> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED)) {
            // Ctrl-Z at a terminal: nobody outside could wake it up again.
            Ok(WaitStatus::Stopped(pid, Signal::SIGTSTP)) if pid == child => {
                let _ = kill(Pid::from_raw(-pid.as_raw()), Signal::SIGCONT);
            }
            Ok(status) if status.pid() == Some(child) => {
                if let Some(code) = code_of(status) {
                    return Some(code);
                }
            }
            Ok(WaitStatus::StillAlive) => return None,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return Some(125),
        }
    }
}

fn last(child: Pid) -> i32 {
    loop {
        match waitpid(child, None) {
            Ok(status) => {
                if let Some(code) = code_of(status) {
                    return code;
                }
            }
            Err(Errno::EINTR) => {}
            Err(_) => return 125,
        }
    }
}

fn code_of(status: WaitStatus) -> Option<i32> {
    match status {
        WaitStatus::Exited(_, code) => Some(code),
        WaitStatus::Signaled(_, signal, _) => Some(128 + signal as i32),
        _ => None,
    }
}
