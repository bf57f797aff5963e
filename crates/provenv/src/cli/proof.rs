//! The arguments of `provenv image sbom` and `provenv image audit`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use provenv_workspace::SbomFormat;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv image sbom digits --format spdx --to digits.spdx.json
  provenv image sbom digits:2 --format cyclonedx | jq '.components | length'
  provenv image sbom sha256:4f1e… --format spdx      of any image ever made here, its bytes collected or not

It is made from the lock and what packages say of themselves; the same image has the same document. SPDX is written in
version 2.3, CycloneDX in 1.5, both in JSON.")]
pub struct SbomArgs {
    /// An environment, a file, or a manifest's digest
    #[arg(value_name = "ENV|FILE|DIGEST", value_hint = ValueHint::FilePath)]
    pub image: String,
    /// The format
    #[arg(long, short, value_enum)]
    pub format: Materials,
    /// Write it to this file [default: standard output]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub to: Option<PathBuf>,
}

/// A format of bills of materials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Materials {
    /// SPDX 2.3
    Spdx,
    /// CycloneDX 1.5
    #[value(name = "cyclonedx")]
    CycloneDx,
}

impl From<Materials> for SbomFormat {
    fn from(format: Materials) -> Self {
        match format {
            Materials::Spdx => Self::Spdx,
            Materials::CycloneDx => Self::CycloneDx,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv image audit digits
  provenv image audit --all --database osv/              of every image ever made here, from a folder of OSV's exports
  provenv image audit digits --ignore CVE-2023-1234 -o json
  provenv image audit digits --only pypi                 Python packages alone
  provenv image audit digits --last                      what was found the last time; asks no database

The exit code is 0 when nothing is found, 1 when something is, 2 when the audit failed or cannot be certain of finding nothing.")]
pub struct AuditArgs {
    /// An environment, a file, or a manifest's digest
    #[arg(value_name = "ENV|FILE|DIGEST", value_hint = ValueHint::FilePath, required_unless_present = "all")]
    pub image: Option<String>,
    /// Every image that was ever made in this workspace
    #[arg(long, conflicts_with = "image")]
    pub all: bool,
    /// A database in OSV's export format: a folder, a file, or a URL [default: `database` in the settings, or OSV's own]
    #[arg(long, value_name = "FOLDER|URL", value_hint = ValueHint::AnyPath)]
    pub database: Option<String>,
    /// Do not count this vulnerability, by any of its names
    #[arg(long, value_name = "ID")]
    pub ignore: Vec<String>,
    /// Check only packages of this ecosystem
    #[arg(long, value_enum)]
    pub only: Vec<Ecosystem>,
    /// Show what was found the last time
    #[arg(long, conflicts_with_all = ["database", "ignore", "only", "all"])]
    pub last: bool,
    /// List the audits of the image, newest first
    #[arg(long, conflicts_with_all = ["database", "ignore", "only", "all", "last"])]
    pub history: bool,
}

/// An ecosystem that databases know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Ecosystem {
    /// Python packages, those in conda packages included
    Pypi,
    /// Debian packages
    Debian,
}
