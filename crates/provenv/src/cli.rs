//! The arguments, one struct a command; help, completions and manual pages are made from these.

mod check;

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::builder::PossibleValue;
use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use provenv_definition::{Platform, VirtualPackage, WriteFormat};
use provenv_workspace::ScriptChoice;

pub use check::{CheckArgs, Deny, ReportFormat};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// The self-hosted home of machine-learning environments.
///
/// An environment says what a script needs: Python packages, system packages, variables. Provenv locks it,
/// assembles it into an image that is the same bit for bit anywhere, keeps the record, and runs commands in it,
/// without Docker, a daemon or root.
#[derive(Debug, Parser)]
#[command(name = "provenv", version, styles = STYLES)]
#[command(after_help = "Examples:
  provenv run requirements.txt -- python train.py      run a script in an environment made from a file
  provenv submit job.yaml                              run a job and keep its log, outputs and receipt
  provenv build environment.yaml --to oci:image        make an image
  provenv env list                                     what is registered")]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Clone, Debug, Args)]
pub struct GlobalArgs {
    /// The workspace: a folder [env: PROVENV_WORKSPACE] [default: the user's data folder]
    #[arg(long, short = 'w', global = true, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Global options")]
    pub workspace: Option<PathBuf>,
    /// How results are written
    #[arg(long, short = 'o', global = true, value_enum, default_value_t, help_heading = "Global options")]
    pub output: OutputFormat,
    /// Show only results and errors
    #[arg(long, short = 'q', global = true, conflicts_with = "verbose", help_heading = "Global options")]
    pub quiet: bool,
    /// Show more; twice for all
    #[arg(long, short = 'v', global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
    /// Colours
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "WHEN",
        help_heading = "Global options"
    )]
    pub color: ColorChoice,
    /// Use only what is in the store; ask no index [env: PROVENV_OFFLINE=1]
    #[arg(long, global = true, help_heading = "Global options")]
    pub offline: bool,
}

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
    /// For programs, and people
    Yaml,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a job and keep its log, exit code, outputs and receipt
    Submit(SubmitArgs),
    /// Run a command in an environment, here and now
    Run(RunArgs),
    /// Environments: register, list, show, compare, check, export, capture
    #[command(subcommand)]
    Env(EnvCommand),
    /// Choose every artifact of a definition and write the lock
    Lock(LockArgs),
    /// Assemble the image of an environment
    Build(BuildArgs),
    /// Move an environment to newer packages: shows what changes, registers the next version
    Upgrade(UpgradeArgs),
    /// Images: list, show
    #[command(subcommand)]
    Image(ImageCommand),
    /// Builds: list, show, logs
    #[command(subcommand)]
    Builds(BuildsCommand),
    /// Runs: list, show, logs
    #[command(subcommand)]
    Runs(RunsCommand),
    /// The store: statistics, garbage collection, scrub
    #[command(subcommand)]
    Store(StoreCommand),
    /// Write shell completions to standard output
    #[command(after_help = "Example:\n  provenv completions bash > /etc/bash_completion.d/provenv")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder
    #[command(after_help = "Example:\n  provenv man man && man man/provenv.1")]
    Man {
        /// The folder
        #[arg(value_hint = ValueHint::DirPath)]
        directory: PathBuf,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv submit job.yaml
  provenv submit job.yaml --set-env SEED=7 -- --epochs 3   add arguments to the job's command

The exit code is the command's own; 125 when it could not be started.")]
pub struct SubmitArgs {
    /// The job (YAML)
    #[arg(value_hint = ValueHint::FilePath)]
    pub job: PathBuf,
    /// Set a variable for this run
    #[arg(long = "set-env", value_name = "NAME=VALUE", value_parser = parse_variable)]
    pub set_env: Vec<(String, String)>,
    #[command(flatten)]
    pub sandbox: SandboxArgs,
    /// Arguments added to the job's command
    #[arg(last = true)]
    pub arguments: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv run requirements.txt -- python train.py
  provenv run digits:2 -- python -c 'import sklearn; print(sklearn.__version__)'
  provenv run digits --no-network --memory 2G -- bash

The working folder is visible inside under its own path. The exit code is the command's own; 125 when it could not
be started, 126 when it is not executable, 127 when there is no such command.")]
pub struct RunArgs {
    /// A registered environment (NAME, NAME:VERSION, NAME@latest) or a file
    #[arg(value_name = "ENV", value_hint = ValueHint::FilePath)]
    pub environment: String,
    /// Set a variable
    #[arg(long = "set-env", value_name = "NAME=VALUE", value_parser = parse_variable)]
    pub set_env: Vec<(String, String)>,
    /// Show a host folder inside, `HOST:INSIDE` or `HOST:INSIDE:ro`
    #[arg(long, value_name = "HOST:INSIDE[:ro]")]
    pub mount: Vec<String>,
    #[command(flatten)]
    pub sandbox: SandboxArgs,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// How a command is confined.
#[derive(Clone, Debug, Args)]
pub struct SandboxArgs {
    /// Cut the network
    #[arg(long)]
    pub no_network: bool,
    /// Most processors, e.g. 1.5
    #[arg(long, value_name = "N")]
    pub cpus: Option<f64>,
    /// Most memory, e.g. 512M or 2G
    #[arg(long, value_name = "SIZE", value_parser = provenv_workspace::parse_size)]
    pub memory: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub enum EnvCommand {
    /// Register an environment: lock it and give it a version
    Register(RegisterArgs),
    /// List registered environments
    List {
        /// All versions of this one
        name: Option<String>,
        /// All versions of all
        #[arg(long, short)]
        all: bool,
        /// List those that are shipped
        #[arg(long)]
        curated: bool,
    },
    /// Show a registered environment, or a file as Provenv reads it
    #[command(after_help = "Examples:
  provenv env show digits:2
  provenv env show digits:2 --receipt              when it was resolved, from which indexes, by what
  provenv lock digits:2 --file -                   its lock")]
    Show {
        /// NAME, NAME:VERSION, NAME@latest or a file
        #[arg(value_name = "ENV", value_hint = ValueHint::FilePath)]
        environment: String,
        /// Only the receipt, in JSON
        #[arg(long)]
        receipt: bool,
    },
    /// Compare two environments, locks or images: what they ask for, and their packages
    Diff(DiffArgs),
    /// Print the definition digest
    Digest {
        /// NAME, NAME:VERSION, NAME@latest or a file
        #[arg(value_name = "ENV", value_hint = ValueHint::FilePath)]
        environment: String,
    },
    /// Write an environment, or its lock, in the format of another tool
    #[command(after_help = "Examples:
  provenv env export digits:2 --format conda                   environment.yml on standard output
  provenv env export environment.yaml --format azureml-v1 --to digits
                                                               the folder that azureml-core loads
  provenv env export digits:2 --format pylock --locked --to pylock.toml
  provenv env export pixi.lock --format conda-lock --to conda-lock.yml

What the format cannot carry is listed on standard error: a warning where the files say another definition, a note
where they leave out what does not count for its digest.")]
    Export(ExportArgs),
    /// Write down an environment that is on disk: a conda environment, a virtual environment, the Python that runs now
    Capture(CaptureArgs),
    /// Check definitions: exit 0 when nothing is wrong, 1 at errors, 2 when a file cannot be read
    Check(CheckArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv env register environment.yaml
  provenv env register requirements.txt --name digits
  provenv env register environment.yaml --lock environment.lock.json
  provenv env register --from curated/sklearn --name digits
  provenv env register more.yaml --from curated/sklearn --name digits
                                       the same with what the file says in its place or added to it")]
pub struct RegisterArgs {
    /// The definition
    #[arg(value_hint = ValueHint::FilePath, required_unless_present = "from")]
    pub file: Option<PathBuf>,
    /// Begin with this environment: a curated or registered one, or a file
    #[arg(long, value_name = "ENV", value_hint = ValueHint::FilePath)]
    pub from: Option<String>,
    /// Its name, if the file gives none or another is wanted
    #[arg(long, short)]
    pub name: Option<String>,
    /// Its version [default: the next number]
    #[arg(long)]
    pub version: Option<String>,
    /// Take this lock, which `provenv lock` wrote here or elsewhere, and resolve nothing
    #[arg(long, value_name = "LOCK", value_hint = ValueHint::FilePath)]
    pub lock: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv env diff digits:1 digits:2
  provenv env diff digits environment.yaml             what the edited file would change
  provenv env diff old.lock.json environment.lock.json
  provenv env diff oci:image digits --exit-code        is it still the same? exit 1 if not
  provenv env diff a.yaml b.yaml --asked               only what they ask for; locks nothing

Where one is locked and the other is not, that one is locked for it. Where neither is, what they ask for is compared,
and that is said. Sizes are those of the packages' files.")]
pub struct DiffArgs {
    /// The old one: NAME, NAME:VERSION, NAME@latest, a file, a lock, the digest of an image or a lock, or an image's
    /// export as `build --to` names it
    #[arg(value_name = "A", value_hint = ValueHint::FilePath)]
    pub old: String,
    /// The new one
    #[arg(value_name = "B", value_hint = ValueHint::FilePath)]
    pub new: String,
    /// Only the packages for this platform
    #[arg(long)]
    pub platform: Option<Platform>,
    /// Compare only what they ask for
    #[arg(long, conflicts_with = "platform")]
    pub asked: bool,
    /// Exit 1 where they differ, 2 where they cannot be compared
    #[arg(long)]
    pub exit_code: bool,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// NAME, NAME:VERSION, NAME@latest or a file
    #[arg(value_name = "ENV", value_hint = ValueHint::FilePath)]
    pub environment: String,
    /// The format
    #[arg(long, short, value_enum)]
    pub format: ExportFormat,
    /// Write what was chosen, every version pinned, and not what is asked for
    #[arg(long)]
    pub locked: bool,
    /// Of the lock, only this platform
    #[arg(long)]
    pub platform: Option<Platform>,
    /// The file, or the folder where the format has several [default: standard output]
    #[arg(long, value_name = "FILE|DIR", value_hint = ValueHint::AnyPath)]
    pub to: Option<PathBuf>,
}

/// A format that environments are written in.
#[derive(Clone, Copy, Debug)]
pub struct ExportFormat(pub WriteFormat);

impl ValueEnum for ExportFormat {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: LazyLock<Vec<ExportFormat>> =
            LazyLock::new(|| WriteFormat::ALL.iter().copied().map(ExportFormat).collect());
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.as_str()).help(self.0.summary()))
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv env capture                                  what is active, else the Python of PATH
  provenv env capture .venv --to environment.yaml
  provenv env capture --name tf2 --exact               a conda environment with every version and build
  provenv env capture --python /usr/bin/python3.11
  provenv env register .venv --name digits             without a file between

Without --exact it is what was asked for: conda's history, and the Python packages that pip marked as requested, at
the version that is there. Files are read and nothing is run, but for the Python that --python or PATH names, which
is asked where its packages are. What cannot be had again elsewhere is said.")]
pub struct CaptureArgs {
    /// The environment's folder [default: $VIRTUAL_ENV, else $CONDA_PREFIX, else the python3 of PATH]
    #[arg(value_hint = ValueHint::DirPath, conflicts_with_all = ["name", "python"])]
    pub prefix: Option<PathBuf>,
    /// The conda environment of this name
    #[arg(long, short, conflicts_with = "python")]
    pub name: Option<String>,
    /// The environment of this Python
    #[arg(long, value_name = "EXE", value_hint = ValueHint::ExecutablePath)]
    pub python: Option<PathBuf>,
    /// All that is there, each at its version, and of conda at its build
    #[arg(long, conflicts_with = "history")]
    pub exact: bool,
    /// What was asked for (the default)
    #[arg(long)]
    pub history: bool,
    /// The name that is written down
    #[arg(long, value_name = "NAME")]
    pub environment_name: Option<String>,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub to: Option<PathBuf>,
}

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

/// What a resolution is told beside the definition; kept in the receipt.
#[derive(Clone, Debug, Args)]
pub struct ResolvingArgs {
    /// Resolve from what indexes had at this time; a date is the end of that day in UTC. Debian's archive keeps one version of
    /// each package, whatever the time
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

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv build environment.yaml
  provenv build digits:2 --to oci:image
  provenv build digits --to docker-archive:digits.tar
  provenv build digits --to prefix:/srv/digits     conda's environment without the image
  provenv build digits --to registry.example/team/digits:2
  provenv build environment.yaml --lock environment.lock.json
  provenv build digits --force                     assemble again and compare")]
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
    /// Assemble again from the same lock and compare digests
    #[arg(long)]
    pub force: bool,
    /// The platform, where the definition names several
    #[arg(long)]
    pub platform: Option<Platform>,
    /// Speak plain http with the registry, also where it is another machine
    #[arg(long)]
    pub insecure: bool,
    /// What becomes of scripts that conda packages want to be run when they are installed; the lock keeps it
    #[arg(long, value_name = "WHAT", conflicts_with = "lock")]
    pub post_link: Option<PostLink>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv upgrade digits --dry-run                 what would change
  provenv upgrade digits                           everything
  provenv upgrade digits numpy scipy               only these, and what they need")]
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

#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// List the images of this workspace
    List,
    /// Show an image: digests, size, base, what is in it; with an option, one part in full
    #[command(after_help = "Examples:
  provenv image show digits
  provenv image show digits --packages
  provenv image show digits -o json                all of it, for programs")]
    Show {
        /// An environment, a file, or a manifest's digest
        #[arg(value_name = "ENV|FILE|DIGEST", value_hint = ValueHint::FilePath)]
        image: String,
        #[command(flatten)]
        part: ImagePart,
    },
}

#[derive(Debug, Subcommand)]
pub enum BuildsCommand {
    /// List attempts to assemble an image, newest first
    #[command(after_help = "Examples:
  provenv builds list
  provenv builds list -n 5 -o json

A build that has no end and whose process is gone is shown as lost.")]
    List {
        /// At most so many
        #[arg(long, short = 'n', default_value_t = 50)]
        limit: u32,
    },
    /// Show a build
    #[command(after_help = "Example:\n  provenv builds show latest")]
    Show {
        /// Its identifier, or `latest`
        build: String,
    },
    /// Print a build's log
    #[command(after_help = "Example:\n  provenv builds logs latest")]
    Logs {
        /// Its identifier, or `latest`
        build: String,
    },
}

/// The part of an image that is shown in full.
#[derive(Debug, Args)]
#[group(multiple = false)]
#[expect(clippy::struct_excessive_bools, reason = "flags that exclude each other")]
pub struct ImagePart {
    /// Its layers
    #[arg(long)]
    pub layers: bool,
    /// Its packages
    #[arg(long)]
    pub packages: bool,
    /// A Dockerfile that makes about the same
    #[arg(long)]
    pub dockerfile: bool,
    /// The log of the build
    #[arg(long)]
    pub log: bool,
}

#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// List runs, newest first
    List {
        /// At most so many
        #[arg(long, short = 'n', default_value_t = 50)]
        limit: u32,
    },
    /// Show a run
    Show {
        /// Its identifier, or `latest`
        run: String,
    },
    /// Print a run's log
    Logs {
        /// Its identifier, or `latest`
        run: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// How much there is of what
    Stats,
    /// Remove what no registered version and no run needs; with -v, list it
    Gc {
        /// Show what would be removed and remove nothing
        #[arg(long)]
        dry_run: bool,
        /// Also unpacked layers and caches, which are made again when needed
        #[arg(long)]
        all: bool,
    },
    /// Read every blob again and find those that have changed
    Scrub,
}

fn parse_variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
