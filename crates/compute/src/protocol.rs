//! What the caller and the helper tell each other, over the socket that is the helper's standard input.
//!
//! The caller sends one [`Spec`] and with it the command's real standard input. The helper answers
//! [`Report::Started`] or [`Report::Failed`], and [`Report::Ended`] in the end. Each message is a length in four bytes
//! and that many bytes of JSON. Nothing of it is on a command line or in a file, because variables may be secret.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Container, syscalls};

/// The order to the helper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// What to run.
    pub container: Container,
    /// The caller's process: when it is gone, so is the container.
    pub parent: i32,
    /// How to keep it apart.
    pub method: Method,
    /// The layers merged into one folder, where the method needs it.
    pub merged: Option<PathBuf>,
    /// An empty folder, which the helper removes: for the overlay's own, where `None` takes memory, or for a plain process's
    /// mounts of files under other names.
    pub scratch: Option<PathBuf>,
    /// Whether standard input is the caller's terminal, to be the command's.
    pub terminal: bool,
    /// Stop short of the command: only see whether it would work.
    pub probe: bool,
}

/// How a container is kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Method {
    /// Namespaces, with or without one for users.
    Namespaces {
        /// A namespace for users, which makes the caller root inside and nothing outside.
        user: bool,
        /// An overlay of the layers; otherwise their merged copy.
        overlay: bool,
    },
    /// None at all.
    Process,
    /// A program of the host's own, which sees the host.
    Host {
        /// In a process and a mount namespace of its own.
        apart: bool,
    },
}

/// The helper's answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The command has been executed.
    Started {
        /// What a user should know.
        notes: Vec<String>,
    },
    /// It will not be.
    Failed(Failure),
    /// It has ended, and all its processes with it. The helper may still have to tidy up.
    Ended {
        code: i32,
        /// Whether the memory limit killed something.
        out_of_memory: bool,
    },
}

/// Why a container could not be started.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub kind: FailureKind,
    /// What was being done; for a working folder, the folder.
    pub act: String,
    pub reason: String,
}

/// What a failure means for what to try next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FailureKind {
    /// The kernel allows no namespace for users, or none of use.
    NoUserNamespace,
    /// The kernel allows no namespaces even to root.
    NoNamespaces,
    /// The kernel allows no overlay.
    NoOverlay,
    /// Something was asked for that a plain process cannot have.
    NotWithoutNamespaces,
    CommandNotFound,
    CommandNotExecutable,
    WorkingFolder,
    /// Anything else; trying differently would not help.
    Setup,
}

impl Failure {
    pub fn new(kind: FailureKind, act: impl Into<String>, reason: &impl ToString) -> Self {
        Self { kind, act: act.into(), reason: reason.to_string() }
    }

    /// A closure for `map_err`, for acts that have no fallback.
    pub fn setup<E: ToString>(act: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |reason| Self::new(FailureKind::Setup, act, &reason)
    }
}

/// Sends the order and, with its first bytes, the command's standard input.
pub(crate) fn send_spec(socket: &UnixStream, spec: &Spec, stdin: BorrowedFd) -> io::Result<()> {
    let body = serde_json::to_vec(spec)?;
    let length = length_of(&body)?;
    let descriptors = [stdin.as_raw_fd()];
    sendmsg::<()>(
        socket.as_raw_fd(),
        &[IoSlice::new(&length)],
        &[ControlMessage::ScmRights(&descriptors)],
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?;
    let mut socket = socket;
    socket.write_all(&body)
}

/// Receives what [`send_spec`] sent.
pub(crate) fn receive_spec(socket: &UnixStream) -> io::Result<(Spec, OwnedFd)> {
    let mut length = [0; 4];
    let mut space = cmsg_space!(i32);
    let mut buffers = [IoSliceMut::new(&mut length)];
    let message =
        recvmsg::<()>(socket.as_raw_fd(), &mut buffers, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let received = message.bytes;
    let stdin = message.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::ScmRights(descriptors) => descriptors.first().copied(),
        _ => None,
    });
    let stdin = stdin.map(syscalls::received).ok_or(io::ErrorKind::InvalidData)?;
    let mut reader = socket;
    reader.read_exact(&mut length[received..])?;
    Ok((read_body(socket, length)?, stdin))
}

/// Sends a report. A caller that is gone or no longer listens is no error.
pub(crate) fn send_report(socket: &UnixStream, report: &Report) {
    let mut socket = socket;
    let _ = serde_json::to_vec(report).map_err(io::Error::from).and_then(|body| {
        let mut message = length_of(&body)?.to_vec();
        message.extend(body);
        socket.write_all(&message)
    });
}

/// The next report; `None` when the helper has hung up.
pub(crate) fn receive_report(socket: &UnixStream) -> io::Result<Option<Report>> {
    let mut length = [0; 4];
    let mut reader = socket;
    match reader.read_exact(&mut length) {
        Ok(()) => read_body(socket, length).map(Some),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        // The helper was killed with our order unread.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
        Err(error) => Err(error),
    }
}

fn length_of(body: &[u8]) -> io::Result<[u8; 4]> {
    u32::try_from(body.len()).map(u32::to_ne_bytes).map_err(|_| io::ErrorKind::ArgumentListTooLong.into())
}

fn read_body<T: DeserializeOwned>(socket: &UnixStream, length: [u8; 4]) -> io::Result<T> {
    let mut body = Vec::new();
    let length = u32::from_ne_bytes(length);
    socket.take(length.into()).read_to_end(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}
