//! Resolving against the archive that this machine's apt uses, with apt itself as the judge.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use provenv_definition::{Base, Definition, Platform, Suite};
use provenv_fetch::{Fetcher, Options, Silent};
use provenv_lock::debian::{Archive, BASE, DebianConfig, DebianResolution, Error};
use provenv_store::Store;

fn archive(store: &Path) -> Archive {
    let store = Store::open(store).unwrap();
    let fetcher = Fetcher::new(store, Arc::new(Silent), Options::default()).unwrap();
    Archive::new(fetcher, DebianConfig::default())
}

fn definition(suite: &str, packages: &[&str]) -> Definition {
    Definition {
        base: Base::Debian { suite: Some(Suite(suite.to_owned())) },
        system_packages: packages.iter().map(|package| package.parse().unwrap()).collect(),
        ..Definition::default()
    }
}

/// The suite this machine is made from.
fn codename() -> Option<String> {
    let text = fs_err::read_to_string("/etc/os-release").ok()?;
    text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).map(str::to_owned)
}

/// `None`, with a word to say so, where this machine has no archive that can be reached.
async fn resolve(archive: &Archive, definition: &Definition) -> Option<DebianResolution> {
    match archive.resolve(definition, Platform::host()).await {
        Ok(resolution) => Some(resolution),
        Err(
            error @ (Error::NoMirror(_) | Error::NoKeyring(_) | Error::Fetch { .. } | Error::Release { .. }),
        ) => {
            eprintln!("skipped, as this machine has no Debian archive to ask: {error}");
            None
        }
        Err(error) => panic!("{error}: {error:?}"),
    }
}

/// apt with a state of its own, as on a machine where nothing is installed.
fn apt(state: &Path, arguments: &[&str]) -> Option<String> {
    fs_err::create_dir_all(state.join("lists/partial")).ok()?;
    fs_err::write(state.join("status"), "").ok()?;
    let option = |name: &str, path: &str| format!("-o{name}={}", state.join(path).display());
    let output = Command::new("apt-get")
        .args([
            option("Dir::State", ""),
            option("Dir::State::status", "status"),
            option("Dir::Cache", "cache"),
        ])
        .args(["-oAPT::Install-Recommends=false", "-oAPT::Sandbox::User=root", "-oDebug::NoLocking=true"])
        .args(arguments)
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test]
async fn the_same_packages_in_the_same_versions_as_apt() {
    let Some(suite) = codename() else { return eprintln!("skipped: this machine names no suite") };
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(&folder.path().join("store"));
    if resolve(&archive, &definition(&suite, &[])).await.is_none() {
        return;
    }
    let state = folder.path().join("apt");
    if apt(&state, &["update"]).is_none() {
        return eprintln!("skipped: apt-get update does not work here");
    }
    for packages in
        [&[][..], &["git"], &["libgl1", "build-essential", "ffmpeg"], &["r-base", "default-jre-headless"]]
    {
        let resolution = archive.resolve(&definition(&suite, packages), Platform::host()).await.unwrap();
        let ours: BTreeSet<String> = resolution
            .packages
            .iter()
            .map(|package| format!("{}={}", package.name, package.version))
            .collect();
        let mut arguments = vec!["--simulate", "install", "python3"];
        arguments.extend(BASE);
        arguments.extend(packages);
        let plan = apt(&state, &arguments).expect("apt can install these");
        // Inst libc6 (2.36-9+deb12u14 Debian:12.15/oldstable [amd64])
        let theirs: BTreeSet<String> = plan
            .lines()
            .filter_map(|line| {
                let mut words = line.strip_prefix("Inst ")?.split(' ');
                Some(format!("{}={}", words.next()?, words.next()?.trim_start_matches('(')))
            })
            .collect();
        assert!(theirs.len() > 40, "{plan}");
        let difference: Vec<_> = ours.symmetric_difference(&theirs).collect();
        assert!(difference.is_empty(), "{packages:?}: {difference:?}");
    }
}

/// `cargo test -p provenv-lock --test all debian_host:: -- --ignored --nocapture` prints what a resolution takes.
#[tokio::test]
#[ignore = "prints times instead of judging"]
async fn times() {
    let folder = tempfile::tempdir().unwrap();
    for suite in ["bookworm", "trixie", "bullseye"] {
        for state in ["cold", "warm", "warm"] {
            let archive = archive(&folder.path().join("store"));
            let start = Instant::now();
            let Some(resolution) = resolve(&archive, &definition(suite, &[])).await else { return };
            let bytes: u64 = resolution.packages.iter().map(|package| package.artifact.size).sum();
            println!(
                "{suite} {state}: {:.0} ms, {} packages, {:.1} MB, {:?}",
                start.elapsed().as_secs_f64() * 1e3,
                resolution.packages.len(),
                bytes as f64 / 1e6,
                resolution.python.map(|python| python.version)
            );
        }
    }
}
