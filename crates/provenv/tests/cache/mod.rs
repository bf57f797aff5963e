//! Registries as the image cache of a team, and pushes to them: two workspaces with a real registry between them, our own and
//! Debian's, and a wire that the tests listen to and cut.

mod doubts;
mod found;
mod platforms;
mod pushes;
mod receipts;
mod told;

use std::net::SocketAddr;
use std::process::Command;

use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::Server as Packages;
use provenv_testing::tap::Tap;
use serde_json::Value;

use crate::registry::server::Server;
use crate::support::registry::Registry;
use crate::support::{Done, Workspace, definition, serve};

/// A registry with a wire before it.
struct Shared {
    tap: Tap,
    /// Ours, in an empty workspace.
    own: Option<(Workspace, Server)>,
    _peer: Option<Registry>,
}

impl Shared {
    /// `provenv registry serve`.
    fn own() -> Self {
        let (workspace, server) = crate::registry::server::served();
        Self { tap: Tap::to(server.address), own: Some((workspace, server)), _peer: None }
    }

    /// Debian's `docker-registry`; `None`, said aloud, where it is not installed.
    fn peer() -> Option<Self> {
        let registry = Registry::start(false)?;
        let address: SocketAddr = registry.host().parse().unwrap();
        Some(Self { tap: Tap::to(address), own: None, _peer: Some(registry) })
    }

    fn server(&self) -> &Server {
        &self.own.as_ref().unwrap().1
    }

    /// A name in it.
    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.tap.address)
    }

    /// The repository that workspaces share.
    fn cache(&self) -> String {
        self.at("team/environments")
    }

    /// The command in a workspace whose shared cache it is.
    fn command(&self, workspace: &Workspace, arguments: &[&str]) -> Command {
        let mut command = workspace.command();
        command.env("PROVENV_CACHE_REGISTRY", self.cache()).args(arguments);
        command
    }

    fn run(&self, workspace: &Workspace, arguments: &[&str]) -> Done {
        self.command(workspace, arguments).output().unwrap().into()
    }

    #[track_caller]
    fn json(&self, workspace: &Workspace, arguments: &[&str]) -> Value {
        let mut command = self.command(workspace, &["-o", "json"]);
        Done::from(command.args(arguments).output().unwrap()).ok().json()
    }

    /// The requests since the last time that this was asked, that begin so.
    fn requests(&self, beginning: &str) -> Vec<String> {
        let requests = self.tap.requests().into_iter();
        requests.filter(|request| request.starts_with(beginning)).collect()
    }
}

/// Packages that environments of these tests are made of.
fn packages() -> Packages {
    serve(
        &Index::new()
            .add(Wheel::new("leaf", "1.0").file("green.py", "KIND = 'green'\n"))
            .add(Wheel::new("milk", "1.0").file("fat.py", "FAT = 3.5\n")),
    )
}

/// Bytes that no compressor makes smaller, the same each time.
fn noise(bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.u8(..)).take(bytes).collect()
}

/// The bytes of the layers of an image.
fn layer_bytes(workspace: &Workspace, image: &Value) -> u64 {
    let shown = workspace.json(["image", "show", image.as_str().unwrap()]);
    shown["layers"].as_array().unwrap().iter().map(|layer| layer["size"].as_u64().unwrap()).sum()
}

fn write(workspace: &Workspace, packages: &Packages, name: &str, wanted: &[&str]) {
    workspace.write(&format!("{name}.yaml"), &definition(packages, name, wanted));
}
