//! A program of the host's own that starts others and mounts things: an engine that runs a Dockerfile.
//!
//! It sees the host as it is. What it starts ends with it, and it ends with us, however we end: as root it is PID 1's child in a
//! process namespace of its own, and what it mounts lies in a mount namespace of its own, so nothing is left mounted either. An
//! ordinary user's engine makes such namespaces itself; there, whatever it leaves behind is adopted and killed.

use std::path::PathBuf;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::geteuid;

use crate::protocol::{Failure, FailureKind, Method, Spec};
use crate::spawn::{Outcome, attempt};
use crate::{Container, Error, Isolation, Result, Running, Streams, namespaces};

/// A command of the host.
#[derive(Clone, Debug, Default)]
pub struct HostProcess {
    /// Program and arguments. A program without `/` is looked for in the `PATH` of [`HostProcess::env`].
    pub command: Vec<String>,
    /// All variables it gets. Values may be secret.
    pub env: Vec<(String, String)>,
    /// Working folder.
    pub cwd: PathBuf,
    /// Whether the network is there. Only root's can be cut.
    pub network: bool,
}

impl HostProcess {
    /// Starts it. Dropping what is returned kills it with all that it started.
    pub fn spawn(&self, mut streams: Streams) -> Result<Running> {
        let container = Container {
            command: self.command.clone(),
            env: self.env.clone(),
            cwd: self.cwd.clone(),
            network: self.network,
            // The one layer is the host's own root.
            layers: vec![PathBuf::from("/")],
            ..Container::default()
        };
        container.check()?;
        let mut notes = Vec::new();
        let mut apart = geteuid().is_root();
        if !apart && !self.network {
            return Err(Error::Forbidden {
                isolation: Isolation::Process,
                act: "cut the network off".to_owned(),
                reason: "only root's engines run apart".to_owned(),
            });
        }
        loop {
            let spec = Spec {
                container: container.clone(),
                parent: i32::try_from(std::process::id()).expect("process ids are below 2^22"),
                method: Method::Host { apart },
                merged: None,
                scratch: None,
                terminal: false,
                probe: false,
            };
            match attempt(&spec, &mut streams)? {
                Outcome::Started(child, control, more) => {
                    notes.extend(more);
                    return Ok(Running::new(child, control, Isolation::Process, None, notes));
                }
                // Root in somebody else's container may have no right to namespaces.
                Outcome::Failed(failure)
                    if apart && self.network && failure.kind == FailureKind::NoNamespaces =>
                {
                    apart = false;
                    notes.push(format!(
                        "this machine does not allow us to {} ({}): a build that is killed may leave mounts behind",
                        failure.act, failure.reason
                    ));
                }
                Outcome::Failed(failure) => {
                    return Err(Error::from_failure(failure, Isolation::Process, &self.command[0]));
                }
            }
        }
    }
}

/// Enters a process namespace, for whoever is forked next.
pub(crate) fn enter_outer() -> Result<(), Failure> {
    unshare(CloneFlags::CLONE_NEWPID)
        .map_err(|error| Failure::new(FailureKind::NoNamespaces, "make a process namespace", &error.desc()))
}

/// Enters a mount namespace, with a `/proc` of the processes in it.
pub(crate) fn enter_inner(container: &Container) -> Result<(), Failure> {
    let refused = |act: &'static str| {
        move |error: nix::Error| Failure::new(FailureKind::NoNamespaces, act, &error.desc())
    };
    unshare(CloneFlags::CLONE_NEWNS).map_err(refused("make a mount namespace"))?;
    if !container.network {
        unshare(CloneFlags::CLONE_NEWNET).map_err(refused("cut the network off"))?;
        namespaces::loopback()?;
    }
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE, None::<&str>)
        .map_err(refused("keep mounts to the engine"))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>).map_err(refused("mount `/proc`"))
}
