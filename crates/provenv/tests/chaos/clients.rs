//! Clients that ask again until they are answered, with the same key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::world::World;
use crate::registry::client::{Answer, Client};
use crate::server::team::DEFAULT;
use crate::support::definition;

/// How many names the versions are of.
const NAMES: u64 = 5;
/// How long something may take that is interrupted all the time.
const PATIENCE: Duration = Duration::from_mins(15);

/// A registration that was answered.
pub struct Registered {
    pub name: String,
    pub version: String,
    pub lock: String,
    /// Of which definition.
    pub definition: u64,
}

/// Those who register and ask for builds.
pub struct Clients {
    doors: Arc<Mutex<Vec<Client>>>,
    texts: Vec<String>,
    registrations: u64,
    next: AtomicU64,
    turn: AtomicUsize,
}

impl Clients {
    pub fn new(world: &World, registrations: u64, definitions: u64) -> Self {
        let text = |number| definition(&world.index, "unnamed", &[&format!("package{number}")]);
        Self {
            doors: Arc::clone(&world.doors),
            texts: (0..definitions).map(text).collect(),
            registrations,
            next: AtomicU64::new(0),
            turn: AtomicUsize::new(0),
        }
    }

    /// Registers one after the other of what nobody else does, and asks for its build.
    pub fn work(&self) -> Vec<Registered> {
        let mut done = Vec::new();
        loop {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            if number >= self.registrations {
                return done;
            }
            done.push(self.register(number));
        }
    }

    fn register(&self, number: u64) -> Registered {
        let definition = number % self.texts.len() as u64;
        let text = &self.texts[usize::try_from(definition).unwrap()];
        // A variable is no part of the definition's digest, and makes another version.
        let text = format!("{text}environment_variables: {{NUMBER: '{number}'}}\n");
        let name = format!("name{}", number % NAMES);
        let body = json!({ "name": name, "file": { "name": "environment.yaml", "text": text } }).to_string();
        let key = format!("registration-{number}");
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", &key)];
        let answer = self.until("POST", &format!("{DEFAULT}/environments"), &headers, body.as_bytes());
        let answer = answer.json();
        let text = |key: &str| answer[key].as_str().unwrap().to_owned();
        let registered = Registered { name, version: text("version"), lock: text("lock"), definition };
        let build = format!("{}/build", path(&registered.name, &registered.version));
        self.until("POST", &build, &[], b"");
        registered
    }

    /// Whether a build has not ended.
    pub fn any_waits(&self) -> bool {
        ["queued", "running"].iter().any(|status| {
            let path = format!("{DEFAULT}/jobs?status={status}&limit=1");
            !self.until("GET", &path, &[], b"").json()["jobs"].as_array().unwrap().is_empty()
        })
    }

    /// The images, once all builds have ended.
    pub fn wait_for_all(&self, registered: &[Registered]) -> BTreeMap<(String, String), String> {
        let begun = Instant::now();
        while self.any_waits() {
            assert!(begun.elapsed() < PATIENCE, "some builds do not end: {:?}", self.jobs(0));
            std::thread::sleep(Duration::from_millis(200));
        }
        let image = |one: &Registered| {
            let image = format!("{}/image", path(&one.name, &one.version));
            let image = self.until("GET", &image, &[], b"").json();
            ((one.name.clone(), one.version.clone()), image["digest"].as_str().unwrap().to_owned())
        };
        registered.iter().map(image).collect()
    }

    /// The versions of a name that a server lists.
    pub fn versions(&self, server: usize, name: &str) -> BTreeSet<u64> {
        let rows = self.pages(server, &format!("{DEFAULT}/environments/{name}"), "environments");
        rows.iter().map(|row| row["version"].as_str().unwrap().parse().unwrap()).collect()
    }

    /// All jobs that a server lists.
    pub fn jobs(&self, server: usize) -> Vec<Value> {
        self.pages(server, &format!("{DEFAULT}/jobs"), "jobs")
    }

    /// All parts of a list of one server.
    fn pages(&self, server: usize, path: &str, key: &str) -> Vec<Value> {
        let client = self.doors.lock().unwrap()[server].clone();
        let (mut rows, mut after): (Vec<Value>, String) = (Vec::new(), String::new());
        loop {
            let part = client.get(&format!("{path}?limit=100{after}")).is(200).json();
            rows.extend(part[key].as_array().unwrap_or_else(|| panic!("no {key}: {part}")).clone());
            match part["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return rows,
            }
        }
    }

    /// Every build went well in the end, and every server has its whole log.
    pub fn check_jobs(&self, servers: usize) {
        let jobs = self.jobs(0);
        let identifiers: BTreeSet<&str> = jobs.iter().map(|job| job["id"].as_str().unwrap()).collect();
        assert_eq!(identifiers.len(), jobs.len(), "a job is listed twice");
        for job in &jobs {
            assert_eq!(job["status"], "succeeded", "{job}");
            let attempts = job["attempts"].as_i64().unwrap();
            let path = format!("{DEFAULT}/jobs/{}/log", job["id"].as_str().unwrap());
            let clients: Vec<Client> = self.doors.lock().unwrap()[..servers].to_vec();
            let logs: Vec<String> = clients.iter().map(|client| client.get(&path).is(200).text()).collect();
            assert!(logs.iter().all(|log| log == &logs[0]), "{job}: {logs:?}");
            let log = &logs[0];
            assert!(log.is_empty() || log.ends_with('\n'), "{job}: {log}");
            for attempt in 1..=attempts {
                assert!(
                    log.contains(&format!(" attempt {attempt} by ")),
                    "attempt {attempt} of {job}:\n{log}"
                );
            }
        }
    }

    /// Asks one server or the other until one answers that it is done.
    fn until(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let begun = Instant::now();
        let mut last = String::new();
        while begun.elapsed() < PATIENCE {
            let client = {
                let doors = self.doors.lock().unwrap();
                doors[self.turn.fetch_add(1, Ordering::SeqCst) % doors.len()].clone()
            };
            match client.try_send(method, path, headers, body) {
                Ok(answer) if answer.status < 300 => return answer,
                // What is said to be the client's fault is none.
                Ok(answer) if answer.status < 500 => {
                    panic!("{method} {path}: {} {}", answer.status, answer.text())
                }
                Ok(answer) => last = format!("{} {}", answer.status, answer.text()),
                Err(error) => last = error.to_string(),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{method} {path} is not answered: {last}");
    }
}

fn path(name: &str, version: &str) -> String {
    format!("{DEFAULT}/environments/{name}/versions/{version}")
}
