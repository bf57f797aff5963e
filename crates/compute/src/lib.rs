//! Targets: how a command is run in an unpacked image on this machine.
//!
//! A [`Container`] says what to run on which layers; [`Container::spawn`] starts it and gives a [`Running`].
//! The layers are joined by an overlay file system inside namespaces of their own, as root or as an ordinary
//! user, without a daemon. Where the kernel forbids that, weaker ways are tried in turn and
//! [`Running::notes`] says aloud what is missing.
//!
//! Three processes stand between the caller and the command, because namespaces cannot be entered by a
//! process with threads, and PID 1 of a namespace must be somebody's:
//!
//! ```text
//! caller (any threads) ─ spawns ─► helper (this program again, one thread): limits, user namespace, cleaning up
//!                                   └─ forks ─► init (PID 1 inside): file systems, reaping, signals
//!                                                └─ forks ─► the command
//! ```
//!
//! The caller's program must call [`sandbox_main_if_asked`] first of all in `main`.

mod cgroup;
mod container;
mod error;
mod exec;
mod helper;
mod host;
mod init;
mod limits;
mod merged;
mod namespaces;
mod process;
mod protocol;
mod rootfs;
mod running;
mod spawn;
mod syscalls;

pub use container::{Container, Isolation, Limits, Mount, Stream, Streams, Writable};
pub use error::Error;
pub use helper::sandbox_main_if_asked;
pub use host::HostProcess;
pub use nix::sys::signal::Signal;
pub use running::{Exit, Handle, Running};
pub use spawn::{Plan, set_helper};

/// What a function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;
