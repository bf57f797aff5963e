//! The arguments of what `provenv env` does with the record: find, describe, label, archive, delete.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use jiff::Timestamp;
use provenv_workspace::{Kind, Term};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv env list                                 the newest version of each
  provenv env list digits                          all versions of one
  provenv env list --include-archived -o json
  provenv env list --limit 100 --after digits:3    the page that comes after digits:3")]
pub struct ListArgs {
    /// All versions of this one
    pub name: Option<String>,
    /// All versions of all
    #[arg(long, short)]
    pub all: bool,
    /// List those that are shipped
    #[arg(long, conflicts_with_all = ["archived", "include_archived", "limit", "after"])]
    pub curated: bool,
    #[command(flatten)]
    pub filters: FilterArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv env search 'package:numpy<1.26'                  a package of any ecosystem, by its ecosystem's rules
  provenv env search 'package:debian:openssl<<3.0.11'
  provenv env search package:torch package:cuda-cudart --tag stage=live
  provenv env search base:python:3.12-slim                 or base:bookworm, base:sha256:...
  provenv env search vulnerability:CVE-2024-3772           as `provenv image audit` found it
  provenv env search artifact:sha256:... -o json

Every version for which all of it is so is listed, archived ones only with --include-archived. `provenv env uses` then shows
the images and runs of one.")]
pub struct SearchArgs {
    /// package:NAME[RANGE], artifact:DIGEST, base:BASE, vulnerability:ID, or text that the name holds
    #[arg(value_name = "TERM")]
    pub terms: Vec<Term>,
    /// Only the newest version of each name
    #[arg(long)]
    pub newest: bool,
    #[command(flatten)]
    pub filters: FilterArgs,
}

/// Which environments, and how many.
#[derive(Debug, Args)]
pub struct FilterArgs {
    /// Only those whose name fits: `*` stands for anything
    #[arg(long = "name", value_name = "PATTERN", id = "pattern")]
    pub pattern: Option<String>,
    /// Only those with this tag, or with this value of it
    #[arg(long = "tag", value_name = "KEY[=VALUE]")]
    pub tags: Vec<String>,
    /// Only those whose packages come about so
    #[arg(long, value_enum)]
    pub kind: Option<KindName>,
    /// Only those that this user registered
    #[arg(long, value_name = "USER")]
    pub creator: Option<String>,
    /// Only those registered at this time or later
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub since: Option<Timestamp>,
    /// Only those registered before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub until: Option<Timestamp>,
    /// Only those that are archived
    #[arg(long, conflicts_with = "include_archived")]
    pub archived: bool,
    /// Those that are archived too
    #[arg(long)]
    pub include_archived: bool,
    /// At most so many
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Those that come after this one: the last one of the page before
    #[arg(long, value_name = "NAME:VERSION")]
    pub after: Option<String>,
}

/// How the packages of an environment come about.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum KindName {
    /// They are chosen and installed
    SystemManaged,
    /// The base has them already
    UserManaged,
    /// They are those of an environment that is shipped
    Curated,
    /// A Dockerfile makes what they stand on
    Dockerfile,
}

impl From<KindName> for Kind {
    fn from(name: KindName) -> Self {
        match name {
            KindName::SystemManaged => Self::SystemManaged,
            KindName::UserManaged => Self::UserManaged,
            KindName::Curated => Self::Curated,
            KindName::Dockerfile => Self::Dockerfile,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv env update digits:2 --description 'handwritten digits, with the new loader'
  provenv env update digits@prod --tag stage=production --tag owner=ml
  provenv env update digits:2 --remove-tag stage
  provenv env update digits:2 --description ''             no description

What a version holds never changes; description and tags do, and `provenv env history` shows how.")]
pub struct UpdateArgs {
    /// NAME (its newest version), NAME:VERSION or NAME@LABEL
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// The new description; an empty one takes it away
    #[arg(long)]
    pub description: Option<String>,
    /// Set a tag
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = parse_tag)]
    pub tags: Vec<(String, String)>,
    /// Take a tag away
    #[arg(long = "remove-tag", value_name = "KEY")]
    pub remove_tags: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv env label digits:3 prod        digits@prod is digits:3 from now on
  provenv env label digits --list
  provenv env label digits prod --remove

`digits@latest` is always the newest version that is not archived, and cannot be moved by hand.")]
pub struct LabelArgs {
    /// NAME:VERSION or NAME@LABEL; NAME alone with --list and --remove
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// The label to put there
    #[arg(required_unless_present = "list", conflicts_with = "list")]
    pub label: Option<String>,
    /// List the labels
    #[arg(long)]
    pub list: bool,
    /// Take the label away
    #[arg(long, conflicts_with = "list")]
    pub remove: bool,
}

#[derive(Debug, Args)]
pub struct ArchiveArgs {
    /// NAME:VERSION or NAME@LABEL; NAME alone: with all its versions, and those to come
    #[arg(value_name = "ENV")]
    pub environment: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv env delete digits:1 --dry-run     would it go, and what refers to it?
  provenv env delete digits:1 --yes
  provenv env delete digits --yes           with all its versions

Only what no run, label, environment made from it or signed image refers to is deleted. The version is never given
again; what its image was made of goes with the next `provenv store gc`.")]
pub struct DeleteArgs {
    /// NAME:VERSION or NAME@LABEL; NAME alone: all its versions
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// Say what would be deleted and what refers to it, and delete nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Delete
    #[arg(long, short)]
    pub yes: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv env copy digits:2 --to vision            into another workspace of the same server
  provenv env copy digits:2 --to ~/other --name numbers
  provenv env copy digits:2 --to https://envs.example/vision

Definition, lock and receipt are the same, and so are images; between workspaces on one machine no byte is written twice.
To another server the lock goes, from which the same image comes out there. The copy has a history of its own, which begins with
where it came from.")]
pub struct CopyArgs {
    /// NAME (its newest version), NAME:VERSION or NAME@LABEL
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// The other workspace: a folder, a URL, or a name on the same server
    #[arg(long, value_name = "WORKSPACE")]
    pub to: String,
    /// Its name there, if another
    #[arg(long)]
    pub name: Option<String>,
    /// Its version there, if another
    #[arg(long)]
    pub version: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv env share digits --with vision
  provenv env share digits --with vision --name numbers

All versions, those to come included, are in the other workspace too, with their labels and images; no byte is written twice.
Nobody changes them there: what happens here, happens there. Whoever shares owns here and contributes there.")]
pub struct ShareArgs {
    /// The environment's name
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// The other workspace: its name on the same server, or its URL
    #[arg(long, value_name = "WORKSPACE")]
    pub with: String,
    /// Its name there, if another
    #[arg(long)]
    pub name: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv env unshare digits --with vision
  provenv env unshare digits               # another workspace's, that is shared with this one

What the other workspace has of it goes, but for versions that something there refers to, such as a run: those stay, archived.")]
pub struct UnshareArgs {
    /// The environment's name
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// The workspace that it is shared with; none, where it is another's and shared with this one
    #[arg(long, value_name = "WORKSPACE")]
    pub with: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv env import versions.jsonl
  zstdcat versions.jsonl.zst | provenv env import -

A line is {\"lock\": LOCK}, or {\"environment\": ENVIRONMENT, \"receipt\": RECEIPT}, whose receipt names the lock of a line before
it or of the catalogue; created_at and created_by are kept. A thousand lines are one transaction, and the same file may be given
again.")]
pub struct ImportArgs {
    /// The file, or `-` for standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv env history digits               all that was done to its versions
  provenv env history digits:2             what touched this one
  provenv env history digits -n 20 --before 41")]
pub struct HistoryArgs {
    /// NAME, NAME:VERSION or NAME@LABEL
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// At most so many changes
    #[arg(long, short = 'n', default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Those before the change with this number
    #[arg(long, value_name = "NUMBER")]
    pub before: Option<i64>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  provenv env uses digits:2")]
pub struct UsesArgs {
    /// NAME (its newest version), NAME:VERSION or NAME@LABEL
    #[arg(value_name = "ENV")]
    pub environment: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv env lineage latest               what the last run ran in, down to each file
  provenv env lineage digits:2             its runs, receipt, lock, images
  provenv env lineage sha256:...           of an image, a lock, a receipt or an artifact: what came of it
  provenv env lineage digits:2 --artifacts")]
pub struct LineageArgs {
    /// A run (or `latest`), NAME, NAME:VERSION, NAME@LABEL, or the digest of a receipt, lock, image or artifact
    #[arg(value_name = "RUN|ENV|DIGEST")]
    pub subject: String,
    /// List all artifacts; JSON and YAML always have them
    #[arg(long)]
    pub artifacts: bool,
}

fn parse_tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    let day = || format!("{text}T00:00:00Z").parse().ok();
    text.parse().ok().or_else(day).ok_or_else(|| "write 2026-01-31 or 2026-01-31T12:00:00Z".to_owned())
}
