//! Random schedules of builds, registrations, runs, pushes, pulls, collections, scrubs, damage and kill -9, several processes at
//! once on one store, with the real binary. After each round nothing that is reachable may be missing, and nothing half-made may
//! be seen.
//!
//! | variable | |
//! |---|---|
//! | `PROVENV_SCHEDULE_SEED` | the seed of one schedule; it is printed where a schedule begins |
//! | `PROVENV_SCHEDULE_ROUNDS` | rounds of a schedule, 8 by default |
//! | `PROVENV_SCHEDULES` | how many schedules, 1 by default; `make test-schedules` runs more |
//!
//! A seed gives the same steps again; the moments at which processes meet are the machine's.

mod checks;
mod steps;
mod world;

use world::World;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, and not `{text}`")))
}

/// The steps of the schedule that runs among the other tests.
const USUAL_SEED: u64 = 2_614_724_505;

#[test]
fn nothing_reachable_is_ever_missing() {
    let rounds = number("PROVENV_SCHEDULE_ROUNDS").unwrap_or(8);
    let given = number("PROVENV_SCHEDULE_SEED");
    let schedules = number("PROVENV_SCHEDULES");
    // Among the other tests the steps are the same each time; who asks for schedules wants new ones.
    let given = given.or(schedules.is_none().then_some(USUAL_SEED));
    for schedule in 0..schedules.unwrap_or(1) {
        let seed = given.map_or_else(|| fastrand::u64(..1 << 32), |seed| seed + schedule);
        eprintln!("schedule of {rounds} rounds: PROVENV_SCHEDULE_SEED={seed}");
        let Some(mut world) = World::new(seed) else { return };
        for round in 0..rounds {
            world.round(round);
        }
        world.end();
    }
}
