//! Two servers and three workers on one PostgreSQL, all of which are killed and started again at random, while many register
//! and build. Then nothing that was answered is lost, nothing is there twice, each definition has one image, and the audit log is
//! whole and says each of it once.
//!
//! | variable | |
//! |---|---|
//! | `PROVENV_CHAOS_SEED` | what is killed, and when; it is printed |
//! | `PROVENV_CHAOS_REGISTRATIONS` | how many, 50 by default; `make chaos` has 500 |
//! | `PROVENV_CHAOS_DEFINITIONS` | of how many definitions, 10 by default; `make chaos` has 50 |
//! | `PROVENV_CHAOS_KILLS` | how many are killed at the most, 6 by default; `make chaos` has 60 |

mod clients;
mod ledger;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clients::{Clients, Registered};
use world::World;

fn number(variable: &str, usual: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable} is a number, and not `{text}`")),
        Err(_) => usual,
    }
}

/// What is killed among the other tests.
const USUAL_SEED: u64 = 20_261_128;

#[test]
fn nothing_that_was_answered_is_lost() {
    let seed = number("PROVENV_CHAOS_SEED", USUAL_SEED);
    let registrations = number("PROVENV_CHAOS_REGISTRATIONS", 50);
    let definitions = number("PROVENV_CHAOS_DEFINITIONS", 10);
    let kills = number("PROVENV_CHAOS_KILLS", 6);
    eprintln!(
        "PROVENV_CHAOS_SEED={seed}: {registrations} registrations of {definitions} definitions, {kills} kills"
    );
    let Some(mut world) = World::start(seed, definitions) else { return };
    let clients = Clients::new(&world, registrations, definitions);
    let registered: Vec<Registered> = std::thread::scope(|scope| {
        let working: Vec<_> = (0..16).map(|_| scope.spawn(|| clients.work())).collect();
        // This thread, and not another: PostgreSQL ends with the thread that started it.
        let mut killed = 0;
        while working.iter().any(|one| !one.is_finished()) || killed < kills && clients.any_waits() {
            std::thread::sleep(Duration::from_millis(world.random.u64(100..1_500)));
            if killed < kills {
                world.kill_one();
                killed += 1;
            }
        }
        eprintln!("{killed} were killed: {}", world.said());
        working.into_iter().flat_map(|one| one.join().unwrap()).collect()
    });
    let images = clients.wait_for_all(&registered);
    check(&world, &clients, &registered, &images, registrations, definitions);
}

/// Everything is as if nobody had been killed.
fn check(
    world: &World,
    clients: &Clients,
    registered: &[Registered],
    images: &BTreeMap<(String, String), String>,
    registrations: u64,
    definitions: u64,
) {
    // Each registration is a version, and no two are one.
    let answered: BTreeSet<(&str, &str)> =
        registered.iter().map(|one| (one.name.as_str(), one.version.as_str())).collect();
    assert_eq!(answered.len() as u64, registrations, "a version was given twice");
    // The catalogue has those and no others, each name from 1 on without a gap, by either server.
    let mut names: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for (name, version) in &answered {
        names.entry(name).or_default().insert(version.parse().unwrap());
    }
    for server in 0..world.servers() {
        for (name, wanted) in &names {
            let listed = clients.versions(server, name);
            assert_eq!(&listed, wanted, "the versions of {name} on server {server}");
            assert_eq!(listed, (1..=listed.len() as u64).collect(), "the versions of {name} have a gap");
        }
    }
    // One lock and one image a definition.
    let mut made: BTreeMap<u64, BTreeSet<(&str, &str)>> = BTreeMap::new();
    for one in registered {
        let image = &images[&(one.name.clone(), one.version.clone())];
        made.entry(one.definition).or_default().insert((&one.lock, image));
    }
    assert_eq!(made.len() as u64, definitions);
    for (definition, made) in &made {
        assert_eq!(made.len(), 1, "definition {definition} has several locks or images: {made:?}");
    }
    clients.check_jobs(world.servers());
    ledger::check(world, &answered, &clients.jobs(0));
}
