//! What can go wrong when a command is run.

use std::io;
use std::path::PathBuf;

use crate::Isolation;
use crate::protocol::{Failure, FailureKind};

/// Why a command could not be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The container makes no sense as it is.
    #[error("cannot run this container: {what}")]
    Invalid {
        /// What is wrong with it.
        what: String,
    },
    /// The program that was to be the sandbox helper cannot be started.
    #[error("cannot start `{}` as the sandbox helper", path.display())]
    Helper {
        /// The program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The helper ended, or was killed, before the command started.
    #[error("the sandbox helper `{}` ended before the command started ({status})", path.display())]
    HelperEnded {
        /// The program.
        path: PathBuf,
        /// How it ended.
        status: String,
    },
    /// Talking to the helper failed.
    #[error("cannot talk to the sandbox helper")]
    Protocol(#[source] io::Error),
    /// The image has no such command. Shells give this exit code 127.
    #[error("command `{command}` was not found in the image: {reason}")]
    CommandNotFound {
        /// As it was given.
        command: String,
        /// Where it was looked for.
        reason: String,
    },
    /// The file is there and cannot be run. Shells give this exit code 126.
    #[error("command `{command}` cannot be executed: {reason}")]
    CommandNotExecutable {
        /// As it was given.
        command: String,
        /// Why.
        reason: String,
    },
    /// The working folder cannot be entered.
    #[error("cannot enter the working folder `{}` in the container: {reason}", path.display())]
    WorkingFolder {
        /// The folder inside.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// This machine does not allow the isolation that was asked for.
    #[error("{}: {act}: {reason}", refusal(*isolation))]
    Forbidden {
        /// What was asked for.
        isolation: Isolation,
        /// What was tried.
        act: String,
        /// What the kernel said.
        reason: String,
    },
    /// The container could not be set up.
    #[error("cannot set the container up: {act}: {reason}")]
    Setup {
        /// What was being done.
        act: String,
        /// Why it failed.
        reason: String,
    },
    /// Waiting for the command failed.
    #[error("cannot wait for the command")]
    Wait(#[source] io::Error),
    /// A signal cannot be sent.
    #[error("cannot send a signal to the command")]
    Signal(#[source] io::Error),
    /// A file of the host failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] provenv_store::Error),
}

fn refusal(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Auto => "this machine cannot run containers",
        Isolation::Overlay => "this machine does not allow overlays in namespaces",
        Isolation::Merged => "this machine does not allow namespaces",
        Isolation::Process => "this container cannot run as a plain process",
    }
}

impl Error {
    /// The exit code a shell or container engine would give: 127 where the command is not there, 126 where it
    /// cannot be executed, 125 where the container itself failed.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::CommandNotFound { .. } => 127,
            Self::CommandNotExecutable { .. } => 126,
            _ => 125,
        }
    }

    /// What a user can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::HelperEnded { .. } => {
                "it was killed from outside, perhaps for want of memory: try again, or with a higher limit"
            }
            Self::CommandNotFound { .. } => "add the package that has it to the environment",
            Self::CommandNotExecutable { .. } => {
                "a script needs a first line such as `#!/usr/bin/env python3` \
                 and the permission to be executed (chmod +x)"
            }
            Self::WorkingFolder { .. } => "mount a folder there, or give another working folder",
            Self::Forbidden { isolation: Isolation::Overlay | Isolation::Merged, .. } => {
                "leave the isolation to Provenv, or allow unprivileged user namespaces on this machine \
                 (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns)"
            }
            Self::Forbidden { .. } => "see what the kernel refused, or run on another machine",
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// The error for what the helper reported.
    pub(crate) fn from_failure(failure: Failure, isolation: Isolation, command: &str) -> Self {
        let Failure { kind, act, reason } = failure;
        match kind {
            FailureKind::CommandNotFound => Self::CommandNotFound { command: command.to_owned(), reason },
            FailureKind::CommandNotExecutable => {
                Self::CommandNotExecutable { command: command.to_owned(), reason }
            }
            FailureKind::WorkingFolder => Self::WorkingFolder { path: PathBuf::from(act), reason },
            FailureKind::NoUserNamespace | FailureKind::NoNamespaces | FailureKind::NoOverlay => {
                Self::Forbidden { isolation, act, reason }
            }
            FailureKind::NotWithoutNamespaces => {
                Self::Forbidden { isolation: Isolation::Process, act, reason }
            }
            FailureKind::Setup => Self::Setup { act, reason },
        }
    }
}
