//! The arguments, one struct a command; help, completions and manual pages are made from these.

mod audit_log;
mod backup;
mod bundle;
mod catalogue;
mod check;
mod env;
mod locking;
mod people;
mod proof;
mod registry;
mod secret;
mod server;
mod signing;
mod store;

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

pub use audit_log::{AuditLogCommand, AuditLogListArgs, AuditLogVerifyArgs};
pub use backup::{BackupArgs, ServerCommand};
pub use bundle::{BundleCommand, BundleImportArgs};
pub use catalogue::{
    ArchiveArgs, CopyArgs, DeleteArgs, FilterArgs, HistoryArgs, ImportArgs, LabelArgs, LineageArgs, ListArgs,
    SearchArgs, ShareArgs, UnshareArgs, UpdateArgs, UsesArgs,
};
pub use check::{CheckArgs, Deny, ReportFormat};
pub use env::{CaptureArgs, DiffArgs, EnvCommand, ExportArgs, RegisterArgs};
pub use locking::{BuildArgs, LockArgs, Platforms, UpgradeArgs};
pub use people::{MemberCommand, TokenCommand, TokenCreateArgs, WorkspaceCommand};
pub use proof::{AuditArgs, Ecosystem, SbomArgs};
pub use registry::{RegistryCommand, RegistryServeArgs};
pub use secret::{SecretCommand, SecretSetArgs};

pub use server::{BuildVersionArgs, LogFormat, LoginArgs, ServeArgs, WorkerArgs};
pub use signing::{KeyCommand, ProvenanceArgs, PushArgs, ReferrersArgs, SignArgs, VerifyArgs};
pub use store::{GcArgs, StoreCommand};

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
    /// The workspace: a folder, or https://HOST/NAME on a server [env: PROVENV_WORKSPACE] [default: the user's data folder]
    #[arg(long, short = 'w', global = true, value_name = "DIR|URL", value_hint = ValueHint::DirPath, help_heading = "Global options")]
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
    /// Leave the registry of the team's images aside [env: PROVENV_CACHE_REGISTRY= names none]
    #[arg(long, global = true, help_heading = "Global options")]
    pub no_cache_registry: bool,
    /// The engine that runs Dockerfiles: auto, buildah or buildkit [env: PROVENV_BUILDER]
    #[arg(
        long,
        global = true,
        value_parser = PossibleValuesParser::new(["auto", "buildah", "buildkit"])
            .try_map(|name| name.parse::<provenv_workspace::Builder>()),
        value_name = "ENGINE",
        hide_possible_values = true,
        help_heading = "Global options"
    )]
    pub builder: Option<provenv_workspace::Builder>,
    /// A secret for the steps of a Dockerfile that ask for it: id=NAME,src=FILE or id=NAME,env=VARIABLE
    #[arg(long = "secret", global = true, value_name = "SECRET", help_heading = "Global options")]
    pub secrets: Vec<provenv_workspace::BuildSecret>,
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
    /// Images: list, show, sign, verify, push, bills of materials, audits
    #[command(subcommand)]
    Image(ImageCommand),
    /// Keys that sign images: make, list, show
    #[command(subcommand)]
    Key(KeyCommand),
    /// Images in one file, for a place without a network: export, import
    #[command(subcommand)]
    Bundle(BundleCommand),
    /// The registry: serve this workspace's images, and what is pushed to it
    #[command(subcommand)]
    Registry(RegistryCommand),
    /// Keep the token of a server, whose workspaces are then used as those in folders
    Login(LoginArgs),
    /// Forget the token of a server
    Logout {
        /// The server, or a workspace of it
        url: String,
    },
    /// Serve workspaces over HTTP, for a team
    Serve(ServeArgs),
    /// A server's folder: back it up while it runs, restore it
    #[command(subcommand)]
    Server(ServerCommand),
    /// Tokens of a server: make, list, revoke
    #[command(subcommand)]
    Token(TokenCommand),
    /// Who has which role in a workspace on a server: list, set, remove
    #[command(subcommand)]
    Member(MemberCommand),
    /// The workspaces of a server: list, make
    #[command(subcommand)]
    Workspace(WorkspaceCommand),
    /// Credentials that a server keeps for its workspaces: set, list, remove
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Build what a server is asked for, in a process of its own or on another machine
    Worker(WorkerArgs),
    /// Build a registered version, and say so as a server's worker wants it
    // Its name is like no word that a user could mean: clap suggests hidden commands too.
    #[command(name = "__worker", hide = true)]
    BuildVersion(BuildVersionArgs),
    /// Who changed what on a server: list, save, verify
    #[command(subcommand)]
    AuditLog(AuditLogCommand),
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
    /// A registered environment (NAME, NAME:VERSION, NAME@LABEL) or a file
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
    /// Print where an image comes from, as it is signed (SLSA provenance v1)
    Provenance(ProvenanceArgs),
    /// Sign the provenance of an image, and keep it with the image
    Sign(SignArgs),
    /// Check signature and provenance of an image, a policy, and whether it comes out the same again
    Verify(VerifyArgs),
    /// Push an image to a registry, and what is attached to it
    Push(PushArgs),
    /// List what a registry has attached to an image: signatures, records, bills of materials
    Referrers(ReferrersArgs),
    /// Write an image's bill of materials: every package with licence, digest and origin (SPDX, CycloneDX)
    Sbom(SbomArgs),
    /// Look for known vulnerabilities of what is in an image
    Audit(AuditArgs),
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
    #[command(after_help = "Examples:
  provenv builds logs latest
  provenv builds logs latest --follow              as it is written, to the end of the build")]
    Logs {
        /// Its identifier, or `latest`
        build: String,
        /// Wait for what is still to come
        #[arg(long, short)]
        follow: bool,
    },
    /// Stop a build on a server
    #[command(
        after_help = "Example:\n  provenv builds cancel latest\n\nA build in a folder is a process: stop that."
    )]
    Cancel {
        /// Its identifier, or `latest`
        build: String,
    },
    /// Ask a server once more for a build that ended
    #[command(after_help = "Example:\n  provenv builds retry latest")]
    Retry {
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
