//! What a schedule acts on, and what it knows must be there.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::JoinHandle;
use std::time::Duration;

use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::Server as Packages;

use super::steps::{Kind, Outcome, Step};
use crate::registry::server::Server;
use crate::support::{PYTHON, Workspace, definition, serve};

/// The packages, by number.
const PACKAGES: [&str; 5] = ["ant", "bee", "cat", "dog", "emu"];
/// The files, each with the name of an environment and some packages. Two of a name are versions of it, whichever comes first;
/// two of the same packages are the same image.
const FILES: [(&str, &str, &[usize]); 6] = [
    ("one", "tea", &[0]),
    ("two", "tea", &[0, 1]),
    ("three", "cup", &[1, 2]),
    ("four", "cup", &[2, 3, 4]),
    ("same", "pot", &[0, 1]),
    ("six", "jug", &[4]),
];
/// Most processes at once.
const AT_ONCE: usize = 4;

/// One workspace with its registry, and all that was done to it.
pub struct World {
    pub workspace: Workspace,
    _packages: Packages,
    pub registry: Option<Server>,
    pub random: fastrand::Rng,
    /// The image of each file that was ever built: it never comes out otherwise.
    pub images: BTreeMap<&'static str, String>,
    /// The versions, `NAME:VERSION`, that files are registered as.
    pub registered: BTreeMap<&'static str, String>,
    /// Of those what was built since: all of it stays.
    pub kept: BTreeMap<&'static str, String>,
    /// The newest version of each name.
    pub newest: BTreeMap<String, String>,
    /// Repositories of which a push has ended well, and the image.
    pub pushed: BTreeMap<String, String>,
    /// Blobs whose bytes were looked at, and those that were there from the beginning.
    pub seen: BTreeSet<String>,
    pub from_before: BTreeSet<String>,
}

/// Bytes that do not compress, and a module.
fn wheel(name: &str) -> Wheel {
    let mut random = fastrand::Rng::with_seed(name.bytes().map(u64::from).sum());
    let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(60_000).collect();
    let module = format!("NAME = '{name}'\n");
    Wheel::new(name, "1.0")
        .file(&format!("{name}/__init__.py"), module)
        .file(&format!("{name}/noise.bin"), noise)
}

pub fn files() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(file, ..)| *file)
}

/// The name that a file has for its environment.
pub fn name_of(file: &str) -> &'static str {
    FILES.iter().find(|(known, ..)| *known == file).unwrap().1
}

/// The first package in a file.
pub fn package_of(file: &str) -> &'static str {
    PACKAGES[FILES.iter().find(|(known, ..)| *known == file).unwrap().2[0]]
}

impl World {
    /// A fresh one, or `None` (said aloud) where no base can be had.
    pub fn new(seed: u64) -> Option<Self> {
        let packages = serve(&PACKAGES.iter().fold(Index::new(), |index, name| index.add(wheel(name))));
        let workspace = Workspace::new()?;
        for (file, name, members) in FILES {
            let members: Vec<&str> = members.iter().map(|&number| PACKAGES[number]).collect();
            workspace.write(&format!("{file}.yaml"), &definition(&packages, name, &members));
        }
        // The base stays, as it would have to come from Debian again.
        workspace.write("base.yaml", &format!("name: base\npython: \"{PYTHON}\"\n"));
        workspace.json(["env", "register", "base.yaml"]);
        workspace.json(["build", "base"]);
        let registry = Some(Server::open(&workspace.root()));
        let mut world = Self {
            workspace,
            _packages: packages,
            registry,
            random: fastrand::Rng::with_seed(seed),
            images: BTreeMap::new(),
            registered: BTreeMap::new(),
            kept: BTreeMap::new(),
            newest: BTreeMap::new(),
            pushed: BTreeMap::new(),
            seen: BTreeSet::new(),
            from_before: BTreeSet::new(),
        };
        world.from_before = world.blobs().into_keys().collect();
        world.seen = world.from_before.clone();
        Some(world)
    }

    /// Some processes at once, some of which are killed, and then a look at everything.
    pub fn round(&mut self, round: u64) {
        let count = self.random.usize(1..=AT_ONCE);
        let steps: Vec<Step> = (0..count).map(|_| self.choose()).collect();
        eprintln!("round {round}: {}", steps.iter().map(Step::to_string).collect::<Vec<_>>().join(" | "));
        // Whatever is killed, the server may be too, and others are served by the next one.
        let kills_registry = self.random.u8(..) < 40;
        let begun: Vec<(Step, JoinHandle<Outcome>)> = steps
            .into_iter()
            .map(|step| {
                let running = step.begin(self);
                (step, std::thread::spawn(move || running.end()))
            })
            .collect();
        if kills_registry {
            std::thread::sleep(Duration::from_millis(self.random.u64(1..800)));
            self.registry.take().unwrap().kill();
        }
        let ended: Vec<(Step, Outcome)> =
            begun.into_iter().map(|(step, running)| (step, running.join().unwrap())).collect();
        if kills_registry {
            self.registry = Some(Server::open(&self.workspace.root()));
        }
        for (step, outcome) in &ended {
            self.learn(step, outcome, kills_registry);
        }
        // The collection may have come before or after what was built and registered in this round.
        if ended.iter().any(|(step, _)| step.kind.collects_registered()) {
            let moved: Vec<&str> = ended
                .iter()
                .filter(|(step, _)| matches!(step.kind, Kind::Register))
                .map(|(step, _)| name_of(step.file))
                .collect();
            let newest = &self.newest;
            self.kept.retain(|_, version| {
                let (name, number) = version.split_once(':').unwrap();
                newest.get(name).is_some_and(|newest| newest == number) && !moved.contains(&name)
            });
        }
        self.check(&format!("round {round}"));
        if self.random.u8(..) < 60 {
            self.damage();
            self.check(&format!("round {round}, repaired"));
        }
    }

    /// At the end all of it still works.
    pub fn end(&mut self) {
        let scrubbed = self.workspace.json(["store", "scrub"]);
        assert_eq!(scrubbed["corrupt"], serde_json::json!([]));
        for (file, version) in self.kept.clone() {
            self.runs_offline(file, &version);
        }
        for file in files() {
            let built = self.workspace.json(["build", &format!("{file}.yaml")]);
            let image = built["image"].as_str().unwrap();
            assert_eq!(
                self.images.get(file).map_or(image, String::as_str),
                image,
                "{file} comes out the same"
            );
        }
        self.check("at the end");
    }
}
