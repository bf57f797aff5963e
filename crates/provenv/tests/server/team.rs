//! A server of a test's own, with users of every role.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::registry::client::{Answer, Client};
use crate::support::{command, fill};

/// Where the API's workspaces are.
pub const DEFAULT: &str = "/api/v1/workspaces/default";

/// A server that runs. It is killed when dropped.
pub struct Team {
    child: Child,
    pub root: PathBuf,
    /// What it said of itself.
    pub served: Value,
    /// The owner.
    pub owner: Client,
}

impl Team {
    /// A new one in `folder`.
    pub fn start(folder: &Path) -> Self {
        let root = folder.join("team");
        let mut team = Self::start_again(&root, &[], "");
        let token = team.served["owner_token"].as_str().expect("a new server has a token").to_owned();
        team.owner = team.with(&token);
        team
    }

    /// The same, with the base in the store of its workspace; `None` (said aloud) where no Debian archive can be reached.
    pub fn with_base(folder: &Path) -> Option<Self> {
        fill(&folder.join("team/workspaces/default"))?;
        Some(Self::start(folder))
    }

    /// One whose folder is there already; `token` is the owner's.
    pub fn start_again(root: &Path, arguments: &[&str], token: &str) -> Self {
        Self::start_with(root, arguments, token, &[])
    }

    /// The same, with these variables.
    pub fn start_with(root: &Path, arguments: &[&str], token: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = server(root);
        command.envs(variables.iter().copied());
        Self::begin(command, root, arguments, token)
    }

    /// The same by a command of one's own, which is that of a server but for its arguments.
    pub fn begin(mut command: Command, root: &Path, arguments: &[&str], token: &str) -> Self {
        let mut child = command
            .args(["-o", "json", "serve", "--listen", "127.0.0.1:0", "--root"])
            .arg(root)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = String::new();
        let served = loop {
            let Some(Ok(line)) = lines.next() else {
                let mut text = String::new();
                child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
                panic!("the server ended: {said}{text}");
            };
            said += &line;
            if let Ok(served) = serde_json::from_str::<Value>(&said) {
                break served;
            }
        };
        let address = served["address"].as_str().unwrap().parse().unwrap();
        let owner = with_token(&Client::new(address), token);
        Self { child, root: root.to_owned(), served, owner }
    }

    /// A client without a token.
    pub fn nobody(&self) -> Client {
        Client::new(self.owner.address)
    }

    /// A client with this token.
    pub fn with(&self, token: &str) -> Client {
        with_token(&self.nobody(), token)
    }

    /// The token of a user with a role in the default workspace, if one is named.
    pub fn token(&self, user: &str, role: Option<&str>) -> String {
        self.token_by(&self.owner, user, role)
    }

    /// The same by an owner whose client is another.
    pub fn token_by(&self, owner: &Client, user: &str, role: Option<&str>) -> String {
        let made = post(owner, "/api/v1/tokens", &json!({ "user": user })).is(201).json();
        if let Some(role) = role {
            let path = format!("{DEFAULT}/members/{user}");
            put(owner, &path, &json!({ "role": role })).is(200);
        }
        made["secret"].as_str().unwrap().to_owned()
    }

    /// A client of such a user.
    pub fn user(&self, user: &str, role: Option<&str>) -> Client {
        self.with(&self.token(user, role))
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        self.served["url"].as_str().unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for its end; gives back its exit code and what it said.
    pub fn wait(&mut self) -> (Option<i32>, String) {
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        (self.child.wait().unwrap().code(), text)
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The command line of a user of this server.
    pub fn command(&self, folder: &Path, token: &str) -> Command {
        let mut command = command(Path::new("/nonexistent"));
        command
            .current_dir(folder)
            // Where the copies of what is on the server are.
            .env("XDG_DATA_HOME", folder.join("data"))
            .env("PROVENV_WORKSPACE", format!("{}/default", self.url()))
            .env("PROVENV_TOKEN", token);
        command
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command for a server in this folder. Where all tests are in PostgreSQL, it has a schema of its own there.
pub fn server(root: &Path) -> Command {
    let mut command = command(&root.join("nowhere"));
    if let Some(url) = std::env::var_os("PROVENV_TEST_CATALOGUE") {
        command.env("PROVENV_SERVER_DATABASE", url);
    }
    command
}

fn with_token(client: &Client, token: &str) -> Client {
    client.with("Authorization", &format!("Bearer {token}"))
}

/// Sends JSON.
#[track_caller]
pub fn post(client: &Client, path: &str, body: &Value) -> Answer {
    client.send("POST", path, &[("Content-Type", "application/json")], body.to_string().as_bytes())
}

/// The same to be put somewhere.
#[track_caller]
pub fn put(client: &Client, path: &str, body: &Value) -> Answer {
    client.send("PUT", path, &[("Content-Type", "application/json")], body.to_string().as_bytes())
}

/// An answer that must be a problem with this code.
#[track_caller]
pub fn problem(answer: Answer, status: u16, code: &str) -> Value {
    let answer = answer.is(status);
    assert_eq!(answer.must("Content-Type"), "application/problem+json");
    let problem = answer.json();
    assert_eq!(problem["code"], code, "{problem}");
    assert_eq!(problem["status"], status, "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
    problem
}
