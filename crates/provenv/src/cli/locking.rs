//! The arguments of the commands that make locks and images: `lock`, `build`, `upgrade`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use provenv_definition::{Platform, VirtualPackage};
use provenv_workspace::{Packing, ScriptChoice};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv lock environment.yaml                    write environment.lock.json beside it
  provenv lock requirements.txt --file -           write to standard output
  provenv lock environment.yaml --check            is environment.lock.json of this definition?
  provenv lock environment.yaml --as-of 2026-03-31 from what there was at the end of that day

A lock is built from with `provenv build environment.yaml --lock environment.lock.json`, on any machine.")]
pub struct LockArgs {
    /// A file, or a registered environment
    #[arg(value_name = "FILE|ENV", value_hint = ValueHint::FilePath)]
    pub environment: String,
    /// Where to write; `-` is standard output [default: beside the file, with the ending .lock.json]
    #[arg(long, short, value_name = "LOCK", value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// Resolve again, though the definition has a receipt
    #[arg(long)]
    pub upgrade: bool,
    /// Write nothing and resolve nothing: check that the lock file is of this definition, and fail if not
    #[arg(long, conflicts_with_all = ["upgrade", "as_of", "virtual_packages"])]
    pub check: bool,
    /// What becomes of scripts that conda packages want to be run when they are installed; the lock keeps it
    #[arg(long, value_name = "WHAT", conflicts_with = "check")]
    pub post_link: Option<PostLink>,
    #[command(flatten)]
    pub resolving: ResolvingArgs,
}

/// What becomes of the scripts of conda packages.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PostLink {
    /// Run them once, in the sandbox, and keep what they leave as a layer
    Run,
    /// Leave them out
    Skip,
}

impl From<PostLink> for ScriptChoice {
    fn from(choice: PostLink) -> Self {
        match choice {
            PostLink::Run => Self::Run,
            PostLink::Skip => Self::Skip,
        }
    }
}

/// How layers are compressed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Compression {
    /// Every client takes it
    Gzip,
    /// Smaller, and quicker to pull; refused by docker before 23
    Zstd,
    /// gzip from which the stargz snapshotter pulls files when they are read
    Estargz,
}

impl From<Compression> for Packing {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::Gzip => Self::Gzip,
            Compression::Zstd => Self::Zstd,
            Compression::Estargz => Self::Estargz,
        }
    }
}

/// What a resolution is told beside the definition; kept in the receipt.
#[derive(Clone, Debug, Args)]
pub struct ResolvingArgs {
    /// Resolve from what indexes had at this time; a date is the end of that day in UTC. Debian's archive keeps one version of
    /// each package, whatever the time. Conda packages that do not say when they were made are left out; `upgrade` takes it for
    /// all packages only
    #[arg(long, value_name = "DATE|TIME", value_parser = provenv_workspace::parse_as_of)]
    pub as_of: Option<jiff::Timestamp>,
    /// Resolve for machines that have this, as conda names it, e.g. __cuda=12.4; may be given several times
    #[arg(long = "virtual-package", value_name = "NAME=VERSION")]
    pub virtual_packages: Vec<VirtualPackage>,
}

impl From<ResolvingArgs> for provenv_workspace::Resolving {
    fn from(arguments: ResolvingArgs) -> Self {
        Self { as_of: arguments.as_of, virtual_packages: arguments.virtual_packages }
    }
}

/// What an image is for.
#[derive(Clone, Copy, Debug)]
pub enum Platforms {
    /// Every platform of the definition.
    All,
    /// This one.
    One(Platform),
}

impl std::str::FromStr for Platforms {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(Self::All),
            one => one.parse().map(Self::One).map_err(|error| format!("{error}, or all")),
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv build environment.yaml
  provenv build digits:2 --to oci:image
  provenv build digits --to docker-archive:digits.tar
  provenv build digits --to prefix:/srv/digits     conda's environment without the image
  provenv build digits --to registry.example/team/digits:2
  provenv build digits --compression zstd          smaller, and quicker to pull
  provenv build digits --to registry.example/team/digits:2 --platform all
  provenv build environment.yaml --lock environment.lock.json
  provenv build environment.yaml --push            share it with the team (docs/how-to/share-a-cache.md)
  provenv build digits --force                     assemble again and compare
  provenv build environment.yaml --dry-run         what would be chosen, fetched and built")]
pub struct BuildArgs {
    /// A file, or a registered environment
    #[arg(value_name = "FILE|ENV", value_hint = ValueHint::FilePath)]
    pub environment: String,
    /// Where the image goes besides the store: oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG],
    /// prefix:DIR (the conda environment as a folder of this machine) or a registry reference HOST/NAME[:TAG]; may be given
    /// several times
    #[arg(long, value_name = "DESTINATION")]
    pub to: Vec<String>,
    /// Build exactly from this lock, which `provenv lock` wrote here or elsewhere, and resolve nothing
    #[arg(long, value_name = "LOCK", value_hint = ValueHint::FilePath)]
    pub lock: Option<PathBuf>,
    /// How layers are compressed: gzip, which every client takes [default], zstd, or estargz, from which files are pulled when they
    /// are read. Another compression is another image
    #[arg(long, value_enum, value_name = "HOW")]
    pub compression: Option<Compression>,
    /// The most layers that the image may have, those of its base included; packages that change then move more than
    /// themselves. Another number is another image [default: fewer than 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=127))]
    pub layers: Option<u8>,
    /// Make the image that an older provenv made, by the rules of its assembly epoch: see the label dev.provenv.epoch
    #[arg(long, value_name = "EPOCH")]
    pub epoch: Option<u32>,
    /// Assemble again from the same lock and compare digests
    #[arg(long)]
    pub force: bool,
    /// Say what there is to fetch and to build, and build nothing. What was never locked here is locked for that, as by `lock`
    #[arg(long, conflicts_with_all = ["to", "lock", "compression", "layers", "epoch", "force", "push", "sign", "post_link"])]
    pub dry_run: bool,
    /// The platform, where the definition names several; `all` makes one index of them, for registries
    #[arg(long)]
    pub platform: Option<Platforms>,
    /// Speak plain http with the registry, also where it is another machine
    #[arg(long)]
    pub insecure: bool,
    /// Push it to the shared cache that the settings name, and fail where that fails
    #[arg(long)]
    pub push: bool,
    /// Sign its provenance with this private key: a file, a name of `provenv key list`, or `-` for standard input
    #[arg(long, value_name = "KEY", value_hint = ValueHint::FilePath)]
    pub sign: Option<String>,
    /// What becomes of scripts that conda packages want to be run when they are installed; the lock keeps it
    #[arg(long, value_name = "WHAT", conflicts_with = "lock")]
    pub post_link: Option<PostLink>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv upgrade digits --dry-run                 what would change
  provenv upgrade digits                           everything
  provenv upgrade digits numpy scipy               only these, and what they need
  provenv upgrade digits --as-of 2026-03-31        everything, from what there was then (not with package names)")]
pub struct UpgradeArgs {
    /// The environment's name
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// Only these packages
    pub packages: Vec<String>,
    /// Show what would change and change nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub resolving: ResolvingArgs,
}
