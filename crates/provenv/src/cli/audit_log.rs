//! The arguments of `provenv audit-log`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

#[derive(Debug, Subcommand)]
pub enum AuditLogCommand {
    /// List changes, the newest first
    List(AuditLogListArgs),
    /// Print what the log is now, signed by the server: to be kept, and compared later
    #[command(after_help = "Example:\n  provenv audit-log checkpoint > checkpoint.txt")]
    Checkpoint,
    /// Print the key that the server signs with, to be kept where the server cannot change it
    #[command(after_help = "Example:\n  provenv audit-log key > audit.pub")]
    Key,
    /// Write the log into a file, with all that a check without the server needs
    #[command(after_help = "Examples:
  provenv audit-log save audit.jsonl
  provenv audit-log verify audit.jsonl --key audit.pub          later, anywhere

Owners of the server have all entries; others those of the workspace, and the hashes of all.")]
    Save {
        /// The file
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Check that nothing in the log was changed, removed or put in another order
    Verify(AuditLogVerifyArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv audit-log list
  provenv audit-log list --by ann --action environment.register
  provenv audit-log list --all -n 500 -o json          of all workspaces, for owners of the server")]
pub struct AuditLogListArgs {
    /// Only what this user did
    #[arg(long, value_name = "USER")]
    pub by: Option<String>,
    /// Only this, such as label.set
    #[arg(long, value_name = "ACTION")]
    pub action: Option<String>,
    /// Of all workspaces and of the server itself
    #[arg(long)]
    pub all: bool,
    /// At most so many
    #[arg(long, short = 'n', default_value_t = 50)]
    pub limit: u32,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv audit-log verify --key audit.pub --earlier checkpoint.txt
  provenv audit-log verify audit.jsonl --key audit.pub --earlier last-month.jsonl     without the server

The exit code is 0 where all is well, 1 where something was found, 2 where the check itself could not be done. An earlier
checkpoint tells a log that was shortened or written anew; an earlier file of `save` also tells which entries are others.")]
pub struct AuditLogVerifyArgs {
    /// A file that `save` wrote; the server's log otherwise
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// The server's key, or a file with it; may be repeated. Otherwise the key that comes with the log is believed
    #[arg(long = "key", value_name = "KEY|FILE", value_hint = ValueHint::FilePath)]
    pub keys: Vec<String>,
    /// What was kept earlier: a checkpoint, or a file that `save` wrote
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub earlier: Option<PathBuf>,
}
