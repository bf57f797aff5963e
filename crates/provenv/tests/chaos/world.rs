//! What is killed: servers, workers, the database.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::Server;

use crate::registry::client::Client;
use crate::server::team::{Team, server};
use crate::support::postgres::Postgres;
use crate::support::{fill, serve};

const SERVERS: usize = 2;
const WORKERS: usize = 3;

/// Everything that runs.
pub struct World {
    pub random: fastrand::Rng,
    root: PathBuf,
    url: String,
    token: String,
    servers: Vec<Team>,
    workers: Vec<Child>,
    said: Vec<String>,
    /// Where the servers are now.
    pub doors: Arc<Mutex<Vec<Client>>>,
    /// The packages.
    pub index: Server,
    postgres: Postgres,
    folder: tempfile::TempDir,
}

impl World {
    /// All of it, or `None` (said aloud) where this machine has not what it takes.
    pub fn start(seed: u64, definitions: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("team");
        fill(&root.join("workspaces/default"))?;
        let postgres = Postgres::start()?;
        let url = postgres.url();
        let packages = (0..definitions).map(|number| Wheel::new(&format!("package{number}"), "1"));
        let index = serve(&packages.fold(Index::new(), Index::add));
        let first = start(&root, &url, "");
        let token = first.served["owner_token"].as_str().unwrap().to_owned();
        let mut servers = vec![first];
        servers.extend((1..SERVERS).map(|_| start(&root, &url, &token)));
        let doors = servers.iter().map(|team| team.with(&token)).collect();
        let workers = (0..WORKERS).map(|_| worker(&root, &url)).collect();
        Some(Self {
            random: fastrand::Rng::with_seed(seed),
            root,
            url,
            token,
            servers,
            workers,
            said: Vec::new(),
            doors: Arc::new(Mutex::new(doors)),
            index,
            postgres,
            folder,
        })
    }

    pub fn servers(&self) -> usize {
        self.servers.len()
    }

    /// The command line of the owner, in the folder of the test.
    pub fn command(&self) -> Command {
        self.servers[0].command(self.folder.path(), &self.token)
    }

    /// The folder of the test.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What was killed, in order.
    pub fn said(&self) -> String {
        self.said.join(", ")
    }

    /// Kills one of all, and starts it again after a while.
    pub fn kill_one(&mut self) {
        let pause = Duration::from_millis(self.random.u64(0..800));
        let number = self.random.usize(..SERVERS + WORKERS + 1);
        if number < SERVERS {
            self.said.push(format!("server {number}"));
            self.servers[number].kill();
            std::thread::sleep(pause);
            let again = start(&self.root, &self.url, &self.token);
            self.doors.lock().unwrap()[number] = again.with(&self.token);
            self.servers[number] = again;
        } else if number < SERVERS + WORKERS {
            let number = number - SERVERS;
            self.said.push(format!("worker {number}"));
            self.workers[number].kill().unwrap();
            self.workers[number].wait().unwrap();
            std::thread::sleep(pause);
            self.workers[number] = worker(&self.root, &self.url);
        } else {
            self.said.push("the database".to_owned());
            self.postgres.kill();
            std::thread::sleep(pause);
            self.postgres.run();
        }
        // One that ended by itself would be a defect that the kills hide.
        for child in &mut self.workers {
            assert_eq!(child.try_wait().unwrap(), None, "a worker ended by itself: {}", self.said.join(", "));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }
}

fn start(root: &Path, url: &str, token: &str) -> Team {
    Team::start_with(root, &["--workers", "0"], token, &variables(url))
}

fn worker(root: &Path, url: &str) -> Child {
    server(root)
        .envs(variables(url))
        .args(["--quiet", "worker", "--root"])
        .arg(root)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn variables(url: &str) -> [(&'static str, &str); 2] {
    [("PROVENV_SERVER_DATABASE", url), ("PROVENV_CATALOGUE_SCHEMA", "provenv")]
}
