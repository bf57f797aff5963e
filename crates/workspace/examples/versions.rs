//! Lines for `provenv env import`: as many versions as one wants, in a catalogue like those of large teams. `bench/catalogue.sh`
//! fills catalogues with it.
//!
//! versions COUNT: COUNT versions of COUNT / 20 names, with one lock for 50 versions, of 40 packages each out of 4,000 in 20
//! versions. The same each time.

use std::error::Error;
use std::io::{BufWriter, Write as _};

use provenv_definition::{Definition, Digest, Environment, PipRequirement, Platform, definition_digest};
use provenv_lock::{Lock, Receipt};
use serde_json::{Value, json};

const VERSIONS_OF_A_NAME: u64 = 20;
const VERSIONS_OF_A_LOCK: u64 = 50;
const PACKAGES: u64 = 4000;
const OF_A_LOCK: u64 = 40;

/// A number that seems to be a random one: SplitMix64.
fn scattered(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A definition, and the lock that somebody might have made of it.
fn locked(number: u64) -> Result<(Definition, Lock), Box<dyn Error>> {
    let mut chosen: Vec<(u64, u64)> = (0..OF_A_LOCK)
        .map(|place| {
            let random = scattered(number * OF_A_LOCK + place);
            // Some packages are in many environments, and most in few.
            let share = (random % 10_000) as f64 / 10_000.0;
            ((share * share * PACKAGES as f64) as u64, (random >> 32) % 20)
        })
        .collect();
    chosen.sort_unstable();
    chosen.dedup_by_key(|(package, _)| *package);
    let mut definition = Definition::default();
    definition.pip.requirements.push(PipRequirement {
        requirement: format!("package-{:04}=={number}", chosen[0].0),
        hashes: Vec::new(),
        editable: false,
    });
    let packages: Vec<Value> = chosen
        .iter()
        .map(|(package, version)| {
            let (name, version) = (format!("package-{package:04}"), format!("1.{version}"));
            let wheel = format!("package_{package:04}-{version}-py3-none-any.whl");
            let sha256 = Digest::of(wheel.as_bytes());
            let url = format!("https://files.pythonhosted.org/packages/{wheel}");
            json!({
                "name": name, "version": version, "wheel": wheel,
                "source": { "wheel": { "url": url, "size": 1000, "sha256": sha256 } },
            })
        })
        .collect();
    let python = json!({ "version": "3.11.2", "executable": "/usr/bin/python3.11", "glibc": "2.36" });
    let platform =
        json!({ "base": { "debian": { "suite": "bookworm" } }, "python": python, "pypi": packages });
    let lock = json!({
        "format": Lock::FORMAT,
        "definition": definition_digest(&definition),
        "platforms": { Platform::host().as_str(): platform },
    });
    Ok((definition, serde_json::from_value(lock)?))
}

fn main() -> Result<(), Box<dyn Error>> {
    let count: u64 = std::env::args().nth(1).ok_or("say how many versions")?.parse()?;
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    let begin: jiff::Timestamp = "2020-01-01T00:00:00Z".parse()?;
    let mut last = None;
    for number in 0..count {
        if number % VERSIONS_OF_A_LOCK == 0 {
            let (definition, lock) = locked(number / VERSIONS_OF_A_LOCK)?;
            writeln!(out, "{}", json!({ "lock": lock }))?;
            last = Some((definition, lock));
        }
        let Some((definition, lock)) = &last else { continue };
        let at = begin + jiff::SignedDuration::from_secs(i64::try_from(number * 60)?);
        let receipt = Receipt {
            format: 1,
            definition: lock.definition,
            lock: lock.digest(),
            resolved_at: begin,
            indexes: Vec::new(),
            tools: Vec::new(),
            previous: None,
            from_file: false,
            as_of: None,
            virtual_packages: Vec::new(),
        };
        let environment = Environment {
            name: Some(format!("environment-{:06}", number / VERSIONS_OF_A_NAME)),
            environment_variables: [("NUMBER".to_owned(), number.to_string())].into_iter().collect(),
            tags: [("team".to_owned(), format!("team-{}", number % 50))].into_iter().collect(),
            definition: definition.clone(),
            ..Environment::default()
        };
        let by = format!("user-{}", scattered(number) % 200);
        let line =
            json!({ "environment": environment, "receipt": receipt, "created_at": at, "created_by": by });
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    Ok(())
}
