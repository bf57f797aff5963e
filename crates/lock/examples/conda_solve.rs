//! What locking conda packages costs: reads a channel's index and solves, as often as wanted, for each environment of a file with
//! one a line. Prints JSON: `{"chosen": …, "seconds": […]}` for each.
//!
//! `conda_solve CHANNEL FILE REPEAT`

use std::sync::Arc;
use std::time::Instant;

use provenv_definition::{CondaChannel, CondaRequirement, CondaRequirements, Platform, SafeUrl};
use provenv_fetch::{Fetcher, Options, Silent};
use provenv_lock::Upgrade;
use provenv_lock::conda::{CondaConfig, Question, Resolver, Target};
use provenv_store::Store;

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("conda_solve CHANNEL FILE REPEAT");
    let channel: SafeUrl = next()?.parse()?;
    let text = fs_err::read_to_string(next()?)?;
    let repeat: usize = next()?.parse()?;
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path().join("store"))?;
    let fetcher = Fetcher::new(store, Arc::new(Silent), Options::default())?;
    let mut answers = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (declared, specs): (Vec<&str>, Vec<&str>) =
            line.split_whitespace().partition(|word| word.starts_with("__"));
        let package = |spec: &&str| CondaRequirement { spec: (*spec).to_owned(), platforms: Vec::new() };
        let asked = CondaRequirements {
            channels: vec![CondaChannel::Url(channel.clone())],
            packages: specs.iter().map(package).collect(),
            ..CondaRequirements::default()
        };
        let virtual_packages = declared.iter().map(|text| text.parse()).collect::<Result<_, String>>()?;
        let target = Target { glibc: "2.36".to_owned(), virtual_packages };
        let (mut seconds, mut chosen) = (Vec::new(), None);
        for _ in 0..repeat {
            let start = Instant::now();
            // A new one: nothing is known of the index yet.
            let resolver = Resolver::new(fetcher.clone(), CondaConfig::default());
            let solved = resolver.resolve(Question {
                asked: &asked,
                python: None,
                with_python: false,
                target: &target,
                platform: Platform::LinuxAmd64,
                previous: None,
                upgrade: &Upgrade::All,
                as_of: None,
            });
            let solved = solved.await;
            seconds.push(start.elapsed().as_secs_f64());
            chosen = solved.ok().map(|solved| solved.packages.len());
        }
        answers.push(serde_json::json!({"line": line, "packages": chosen, "seconds": seconds}));
    }
    println!("{}", serde_json::to_string_pretty(&answers)?);
    Ok(())
}
