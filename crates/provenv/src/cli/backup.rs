//! The arguments of `provenv server`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

#[derive(Debug, Subcommand)]
pub enum ServerCommand {
    /// Copy a server's folder, while the server runs or not
    Backup(BackupArgs),
    /// Make a server's folder of a back-up
    #[command(after_help = "Example:
  provenv server restore /backup/monday --root /srv/provenv
  provenv serve --root /srv/provenv

What was in PostgreSQL goes by `pg_restore` into the database that `server.database` or PROVENV_SERVER_DATABASE names, which must
be empty: all of it or nothing.")]
    Restore {
        /// The folder that `backup` made; it stays as it is
        #[arg(value_hint = ValueHint::DirPath)]
        from: PathBuf,
        /// The server's folder, which must not be there or be empty
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        root: PathBuf,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv server backup --root /srv/provenv /backup/monday
  provenv server backup --root /srv/provenv --link /srv/backups/monday      blobs linked, on the same file system

What was there when it began is in it: users, roles and tokens, the audit log, builds and their logs, every workspace with its
catalogue and store, and the server's keys. So it is as secret as the server's folder. What is made again when it is
needed (unpacked layers, caches) is left out. What the server has in PostgreSQL is copied by `pg_dump`, which must be of the
database's version or newer (Debian: postgresql-client).")]
pub struct BackupArgs {
    /// The folder of the copy, which must not be there or be empty
    #[arg(value_hint = ValueHint::DirPath)]
    pub to: PathBuf,
    /// The server's folder
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub root: PathBuf,
    /// Link blobs, which never change, instead of copying them: quick and small, but no help where the disk fails
    #[arg(long)]
    pub link: bool,
    /// Leave out what is in PostgreSQL: copy it yourself, before the folder
    #[arg(long)]
    pub files_only: bool,
}
