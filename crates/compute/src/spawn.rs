//! Starting a container: which ways to try, and trying them.

use std::fmt;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use nix::unistd::{getpgrp, tcgetpgrp};
use provenv_store::Store;

use crate::helper::{FLAG, MARK};
use crate::protocol::{Failure, FailureKind, Method, Report, Spec, receive_report, send_spec};
use crate::{Container, Error, Isolation, Result, Running, Stream, Streams, Writable, merged, process};

static HELPER: OnceLock<PathBuf> = OnceLock::new();

/// Names the program that is started as the sandbox helper, for processes whose own program does not call
/// [`sandbox_main_if_asked`](crate::sandbox_main_if_asked). The first call counts.
pub fn set_helper(program: impl Into<PathBuf>) {
    let _ = HELPER.set(program.into());
}

/// How a container would be run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How it is kept apart from the host: never [`Isolation::Auto`].
    pub isolation: Isolation,
    /// What this machine could not provide.
    pub notes: Vec<String>,
}

impl Container {
    /// Starts it, in the strongest way that works here. Returns when the command has been executed; blocks some
    /// milliseconds.
    pub fn spawn(&self, store: &Store, streams: Streams) -> Result<Running> {
        self.start(store, streams, false)
    }

    /// How [`Container::spawn`] would run it, found by doing all of it but the command.
    pub fn plan(&self, store: &Store) -> Result<Plan> {
        let mut running = self.start(store, Streams::captured(), true)?;
        running.wait()?;
        Ok(Plan { isolation: running.isolation(), notes: running.notes().to_vec() })
    }

    fn start(&self, store: &Store, mut streams: Streams, probe: bool) -> Result<Running> {
        self.check()?;
        let terminal = matches!(streams.stdin, Stream::Inherit) && has_terminal();
        let mut notes = Vec::new();
        let mut method = first_method(self.isolation);
        loop {
            let needs_scratch = match method {
                Method::Namespaces { overlay, .. } => overlay && self.writable == Writable::Disk,
                Method::Process => process::renames(&self.mounts),
                Method::Host { .. } => false,
            };
            let needs_merged = !matches!(method, Method::Namespaces { overlay: true, .. });
            let spec = Spec {
                container: self.clone(),
                parent: i32::try_from(std::process::id()).expect("process ids are below 2^22"),
                method,
                merged: needs_merged
                    .then(|| merged::tree(store, &self.layers, matches!(method, Method::Process)))
                    .transpose()?,
                // The helper removes it: it outlives us if we are killed.
                scratch: if needs_scratch { Some(store.scratch()?.keep()) } else { None },
                terminal,
                probe,
            };
            match attempt(&spec, &mut streams)? {
                Outcome::Started(child, control, more) => {
                    notes.extend(more);
                    let merged = spec.merged.as_deref().and_then(Path::file_name);
                    let merged =
                        merged.map(|key| (merged::TREE.to_owned(), key.to_string_lossy().into_owned()));
                    return Ok(Running::new(child, control, isolation_of(method), merged, notes));
                }
                Outcome::Failed(failure) => match next_method(method, failure.kind, self.isolation) {
                    Some(next) => {
                        notes.push(note(&failure, next));
                        method = next;
                    }
                    None => return Err(Error::from_failure(failure, self.isolation, &self.command[0])),
                },
            }
        }
    }
}

/// Whether we have the terminal: a job in the background does not.
fn has_terminal() -> bool {
    let stdin = io::stdin();
    stdin.is_terminal() && tcgetpgrp(&stdin).is_ok_and(|group| group == getpgrp())
}

fn first_method(isolation: Isolation) -> Method {
    match isolation {
        Isolation::Auto | Isolation::Overlay => Method::Namespaces { user: true, overlay: true },
        Isolation::Merged => Method::Namespaces { user: true, overlay: false },
        Isolation::Process => Method::Process,
    }
}

fn isolation_of(method: Method) -> Isolation {
    match method {
        Method::Namespaces { overlay: true, .. } => Isolation::Overlay,
        Method::Namespaces { overlay: false, .. } => Isolation::Merged,
        Method::Process | Method::Host { .. } => Isolation::Process,
    }
}

/// What to try after `method` failed in this way, if `isolation` leaves the choice.
fn next_method(method: Method, failure: FailureKind, isolation: Isolation) -> Option<Method> {
    let Method::Namespaces { user, overlay } = method else { return None };
    let weaker = isolation == Isolation::Auto;
    match failure {
        FailureKind::NoUserNamespace if nix::unistd::geteuid().is_root() => {
            Some(Method::Namespaces { user: false, overlay })
        }
        FailureKind::NoOverlay if weaker => Some(Method::Namespaces { user, overlay: false }),
        FailureKind::NoUserNamespace | FailureKind::NoNamespaces if weaker => Some(Method::Process),
        _ => None,
    }
}

fn note(failure: &Failure, next: Method) -> String {
    let Failure { act, reason, .. } = failure;
    let instead = match next {
        Method::Namespaces { user: false, overlay: true } => {
            "the container's root is this machine's, with few of its rights"
        }
        Method::Namespaces { .. } => {
            "the image is shown read-only, but for /etc, /home, /root, /run and /tmp"
        }
        Method::Process | Method::Host { .. } => {
            "the command runs as a plain process that sees all of this machine, and may write to the unpacked image"
        }
    };
    format!("this machine does not allow us to {act} ({reason}): {instead}")
}

pub(crate) enum Outcome {
    Started(std::process::Child, UnixStream, Vec<String>),
    Failed(Failure),
}

/// Starts the helper, gives it the order, and hears what became of it.
pub(crate) fn attempt(spec: &Spec, streams: &mut Streams) -> Result<Outcome> {
    let program = HELPER.get().map_or(Path::new("/proc/self/exe"), PathBuf::as_path);
    let silent =
        |status: &dyn fmt::Display| Error::HelperEnded { path: program.into(), status: status.to_string() };
    if std::env::var_os(MARK).is_some() {
        return Err(silent(&"it did not take the order"));
    }
    let (control, theirs) = UnixStream::pair().map_err(Error::Protocol)?;
    let (stdin, pipe) = standard_input(&streams.stdin)?;
    let spawned = Command::new(program)
        .arg0("provenv-sandbox")
        .arg(FLAG)
        .env_clear()
        .env(MARK, "1")
        .stdin(OwnedFd::from(theirs))
        .stdout(stdio(&streams.stdout)?)
        .stderr(stdio(&streams.stderr)?)
        .spawn();
    let mut child = spawned.map_err(|source| Error::Helper { path: program.into(), source })?;
    let sent = send_spec(&control, spec, stdin.as_fd());
    drop(stdin);
    let report = sent.and_then(|()| receive_report(&control));
    child.stdin = pipe.map(ChildStdin::from);
    match report {
        Ok(Some(Report::Started { notes })) => Ok(Outcome::Started(child, control, notes)),
        Ok(Some(Report::Failed(failure))) => {
            child.wait().map_err(Error::Wait)?;
            Ok(Outcome::Failed(failure))
        }
        Ok(Some(Report::Ended { .. }) | None) | Err(_) => {
            let _ = child.kill();
            let status = child.wait().map_err(Error::Wait)?;
            Err(silent(&status))
        }
    }
}

/// The descriptor to send as standard input, and the end of the pipe that stays here.
fn standard_input(stream: &Stream) -> Result<(OwnedFd, Option<OwnedFd>)> {
    Ok(match stream {
        Stream::Inherit => (io::stdin().as_fd().try_clone_to_owned()?, None),
        Stream::Null => (fs_err::File::open("/dev/null")?.into_file().into(), None),
        Stream::File(file) => (file.try_clone()?, None),
        Stream::Piped => {
            let (reader, writer) = io::pipe()?;
            (reader.into(), Some(writer.into()))
        }
    })
}

fn stdio(stream: &Stream) -> Result<Stdio> {
    Ok(match stream {
        Stream::Inherit => Stdio::inherit(),
        Stream::Null => Stdio::null(),
        Stream::Piped => Stdio::piped(),
        Stream::File(file) => Stdio::from(file.try_clone()?),
    })
}
