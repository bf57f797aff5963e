//! What processes of a schedule do.

use std::fmt;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use super::world::{World, files, package_of};
use crate::registry::client::Client;
use crate::support::Done;

#[derive(Clone, Debug)]
pub enum Kind {
    Build,
    Register,
    Run,
    Push(String),
    /// All of an image by its repository, from the registry.
    Pull(String),
    Collect(&'static [&'static str]),
    Scrub,
}

/// One process to be.
#[derive(Clone, Debug)]
pub struct Step {
    pub kind: Kind,
    pub file: &'static str,
    /// After how long it is killed.
    pub kill: Option<Duration>,
    /// The version that its file was registered as when it began.
    pub registered: Option<String>,
}

impl Kind {
    /// Whether old versions go.
    pub fn collects_registered(&self) -> bool {
        matches!(self, Self::Collect(options) if options.contains(&"--include-registered"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Build => write!(f, "build {}", self.file)?,
            Kind::Register => write!(f, "register {}", self.file)?,
            Kind::Run => write!(f, "run {}", self.file)?,
            Kind::Push(repository) => write!(f, "push {} to {repository}", self.file)?,
            Kind::Pull(repository) => write!(f, "pull {repository}")?,
            Kind::Collect(options) => write!(f, "gc {}", options.join(" "))?,
            Kind::Scrub => write!(f, "scrub")?,
        }
        self.kill.map_or(Ok(()), |kill| write!(f, ", killed after {} ms", kill.as_millis()))
    }
}

/// How a step ended: `None` if it was killed before.
pub type Outcome = Option<Done>;

pub enum Running {
    Process(Child, Option<Duration>),
    Pull(JoinHandle<Outcome>),
}

impl World {
    /// The next step.
    pub fn choose(&mut self) -> Step {
        let names: Vec<&'static str> = files().collect();
        let file = names[self.random.usize(..names.len())];
        let repositories: Vec<String> = self.pushed.keys().cloned().collect();
        let kind = match self.random.u8(..100) {
            0..28 => Kind::Build,
            28..42 => Kind::Register,
            42..54 => Kind::Run,
            54..64 => Kind::Push(format!("team/{}:{}", ["mug", "jar"][self.random.usize(..2)], file)),
            64..72 if !repositories.is_empty() => {
                Kind::Pull(repositories[self.random.usize(..repositories.len())].clone())
            }
            64..94 => {
                let options: [&'static [&'static str]; 5] = [
                    &[],
                    &["--all"],
                    &["--keep-last", "1"],
                    &["--include-registered", "--keep-last", "1"],
                    &["--keep-used-within", "1d"],
                ];
                Kind::Collect(options[self.random.usize(..options.len())])
            }
            _ => Kind::Scrub,
        };
        let killed = !matches!(kind, Kind::Pull(_)) && self.random.u8(..) < 90;
        // Most are killed while they work, some when all is about to be over.
        let kill = killed.then(|| Duration::from_millis(self.random.u64(1..1500)));
        Step { kind, file, kill, registered: self.registered.get(file).cloned() }
    }
}

impl Step {
    /// Begins it.
    pub fn begin(&self, world: &World) -> Running {
        let file = format!("{}.yaml", self.file);
        let host = |world: &World| world.registry.as_ref().unwrap().address;
        let mut command = world.workspace.command();
        command.args(["-o", "json"]);
        match &self.kind {
            Kind::Build => command.args(["build", &file]),
            Kind::Register => command.args(["env", "register", &file]),
            Kind::Run => {
                let import = format!("import {}", package_of(self.file));
                command.args(["run", &file, "--", "python", "-c", &import])
            }
            Kind::Push(repository) => {
                command.args(["build", &file, "--to", &format!("{}/{repository}", host(world))])
            }
            Kind::Collect(options) => command.args(["store", "gc"]).args(*options),
            Kind::Scrub => command.args(["store", "scrub"]),
            Kind::Pull(repository) => {
                let (client, repository) = (Client::new(host(world)), repository.clone());
                return Running::Pull(std::thread::spawn(move || super::checks::pull(&client, &repository)));
            }
        };
        Running::Process(start(command), self.kill)
    }
}

fn start(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

impl Running {
    /// Waits for its end, or kills it.
    pub fn end(self) -> Outcome {
        match self {
            Self::Pull(thread) => thread.join().unwrap(),
            Self::Process(mut child, kill) => {
                if let Some(kill) = kill {
                    std::thread::sleep(kill);
                    if child.try_wait().unwrap().is_none() {
                        child.kill().unwrap();
                        child.wait().unwrap();
                        return None;
                    }
                }
                Some(child.wait_with_output().unwrap().into())
            }
        }
    }
}
