//! A container that runs.

use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::init::POWER_OFF;
use crate::protocol::{Report, receive_report};
use crate::{Error, Isolation, Result};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code; 128 + the signal's number where a signal killed it.
    pub code: i32,
    /// Whether the memory limit killed it or one of its processes.
    pub out_of_memory: bool,
}

/// A container that runs. Dropping it kills all of its processes.
#[derive(Debug)]
pub struct Running {
    /// The command's standard input, where it is a pipe.
    pub stdin: Option<ChildStdin>,
    /// The command's standard output, where it is a pipe.
    pub stdout: Option<ChildStdout>,
    /// The command's standard error, where it is a pipe.
    pub stderr: Option<ChildStderr>,
    child: Option<Child>,
    control: UnixStream,
    handle: Handle,
    isolation: Isolation,
    merged: Option<(String, String)>,
    notes: Vec<String>,
}

/// Signals a container from another thread than the one that waits for it.
#[derive(Clone)]
pub struct Handle {
    pid: Pid,
    /// After its end the process id may be somebody else's.
    ended: Arc<Mutex<bool>>,
}

impl Running {
    pub(crate) fn new(
        mut child: Child,
        control: UnixStream,
        isolation: Isolation,
        merged: Option<(String, String)>,
        notes: Vec<String>,
    ) -> Self {
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("process ids are below 2^22"));
        Self {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child: Some(child),
            control,
            handle: Handle { pid, ended: Arc::default() },
            isolation,
            merged,
            notes,
        }
    }

    /// How it is kept apart from the host: never [`Isolation::Auto`].
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Kind and key of the store's tree in which its layers are merged, where it runs in one.
    pub fn merged(&self) -> Option<&(String, String)> {
        self.merged.as_ref()
    }

    /// What a user should know: what this machine could not provide.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// To signal it from elsewhere while this waits.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits until the command and all it started have ended. Blocks; standard input, if it is still here, is closed. A second
    /// call is an error.
    pub fn wait(&mut self) -> Result<Exit> {
        drop(self.stdin.take());
        let Some(mut child) = self.child.take() else {
            return Err(Error::Wait(io::ErrorKind::NotFound.into()));
        };
        let report = receive_report(&self.control);
        // The helper is still there, if only as a zombie, until we wait for it: nobody else has its number yet.
        *self.handle.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        if let Ok(Some(Report::Ended { code, out_of_memory })) = report {
            // It is removing what the container wrote, which nobody needs to wait for.
            let _ = thread::Builder::new().spawn(move || child.wait());
            return Ok(Exit { code, out_of_memory });
        }
        let status = child.wait().map_err(Error::Wait)?;
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(125);
        Ok(Exit { code, out_of_memory: false })
    }

    /// Sends a signal to the command.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.handle.signal(signal)
    }

    /// Kills every process of the container at once. [`Running::wait`] then returns code 137.
    pub fn kill_tree(&self) -> Result<()> {
        self.handle.kill_tree()
    }

    /// Hands it over as a plain child process, which is not killed by dropping it, but still when this process ends.
    /// `Child::kill` kills all of the container.
    pub fn into_child(mut self) -> Child {
        let mut child = self.child.take().expect("only waiting takes the child, and it keeps `self`");
        child.stdin = self.stdin.take();
        child.stdout = self.stdout.take();
        child.stderr = self.stderr.take();
        child
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.is_some() {
            let _ = self.handle.kill_tree();
            let _ = self.wait();
        }
    }
}

impl Handle {
    /// Sends a signal to the command. One that has ended is not an error.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let signal = if signal == Signal::SIGKILL { POWER_OFF } else { signal };
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if *ended { Ok(()) } else { kill(self.pid, signal).map_err(|error| Error::Signal(error.into())) }
    }

    /// Kills every process of the container at once.
    pub fn kill_tree(&self) -> Result<()> {
        self.signal(POWER_OFF)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("pid", &self.pid.as_raw()).finish_non_exhaustive()
    }
}
