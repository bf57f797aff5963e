//! The arguments of `provenv env`.

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::builder::PossibleValue;
use clap::{Args, Subcommand, ValueEnum, ValueHint};
use provenv_definition::{Platform, WriteFormat};

use super::catalogue::{
    ArchiveArgs, CopyArgs, DeleteArgs, HistoryArgs, ImportArgs, LabelArgs, LineageArgs, ListArgs, SearchArgs,
    ShareArgs, UnshareArgs, UpdateArgs, UsesArgs,
};
use super::check::CheckArgs;

#[derive(Debug, Subcommand)]
pub enum EnvCommand {
    /// Register an environment: lock it and give it a version
    Register(RegisterArgs),
    /// List registered environments
    List(ListArgs),
    /// Find versions by what is in them: packages, artifacts, bases, vulnerabilities
    Search(SearchArgs),
    /// Show a registered environment, or a file as Provenv reads it
    #[command(after_help = "Examples:
  provenv env show digits:2
  provenv env show digits:2 --receipt              when it was resolved, from which indexes, by what
  provenv lock digits:2 --file -                   its lock")]
    Show {
        /// NAME, NAME:VERSION, NAME@LABEL or a file
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
        /// NAME, NAME:VERSION, NAME@LABEL or a file
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
    /// Change the description and the tags of a version
    Update(UpdateArgs),
    /// Put a label on a version: NAME@prod and the like
    Label(LabelArgs),
    /// Put a version or a name away: out of lists and of NAME@latest, still there for what names it
    #[command(after_help = "Examples:
  provenv env archive digits:1
  provenv env archive digits
  provenv env list --archived")]
    Archive(ArchiveArgs),
    /// Bring back what was archived
    #[command(after_help = "Examples:
  provenv env restore digits:1
  provenv env restore digits")]
    Restore(ArchiveArgs),
    /// Delete versions that nothing refers to
    Delete(DeleteArgs),
    /// Copy a version into another workspace, with its lock and images
    Copy(CopyArgs),
    /// Share an environment with another workspace of the server: it is there too, and follows
    Share(ShareArgs),
    /// Share an environment no more
    Unshare(UnshareArgs),
    /// What this workspace of a server shares with others, and others with it
    #[command(after_help = "Examples:
  provenv env shares
  provenv env shares -o json")]
    Shares,
    /// Take in many versions at once, from lines of JSON
    Import(ImportArgs),
    /// What was changed about an environment, by whom and when
    History(HistoryArgs),
    /// Where a version is used: runs, images, environments made from it
    Uses(UsesArgs),
    /// From a run to the files that it ran with, and back
    Lineage(LineageArgs),
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
    /// The old one: NAME, NAME:VERSION, NAME@LABEL, a file, a lock, the digest of an image or a lock, or an image's
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
    /// NAME, NAME:VERSION, NAME@LABEL or a file
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
