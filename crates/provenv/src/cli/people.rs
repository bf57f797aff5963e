//! The arguments of `provenv token`, `provenv member` and `provenv workspace`: who may use a server.

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token; its secret is shown once
    Create(TokenCreateArgs),
    /// List tokens: one's own, or all for an owner of the server
    #[command(after_help = "Example:\n  provenv token list -o json")]
    List,
    /// Revoke a token, which holds no longer
    #[command(after_help = "Example:\n  provenv token revoke 3f6c2a9b1d4e")]
    Revoke {
        /// Its identifier, as `token list` shows it
        id: String,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv token create --note laptop --expires-in-days 90
  provenv token create --user ann                              an owner of the server, for somebody else
  provenv token create --only vision --role reader -q          for a machine that pulls; the secret alone

The secret is on standard output and nowhere else: the server keeps a hash of it.")]
pub struct TokenCreateArgs {
    /// Whose it is to be; yours otherwise
    #[arg(long)]
    pub user: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub note: String,
    /// After how many days it ends by itself; never otherwise
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub expires_in_days: Option<u32>,
    /// The workspace that it is to be for alone
    #[arg(long, value_name = "WORKSPACE")]
    pub only: Option<String>,
    /// The role that it is to have at the most
    #[arg(long)]
    pub role: Option<Role>,
}

#[derive(Debug, Subcommand)]
pub enum MemberCommand {
    /// List who has which role in the workspace
    #[command(after_help = "Example:\n  provenv member list")]
    List,
    /// Give somebody a role in the workspace, in place of the one they have
    #[command(after_help = "Example:\n  provenv member set ann contributor")]
    Set {
        /// The user
        user: String,
        /// The role
        role: Role,
    },
    /// Take somebody's role in the workspace away
    #[command(after_help = "Example:\n  provenv member remove ann")]
    Remove {
        /// The user
        user: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum WorkspaceCommand {
    /// List the workspaces of the server that are there for you
    #[command(after_help = "Example:\n  provenv workspace list")]
    List,
    /// Make a workspace on the server
    #[command(after_help = "Example:\n  provenv workspace create vision")]
    Create {
        /// Its name: lower-case letters, digits and `-`
        name: String,
    },
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Role {
    /// List and show, read logs, pull
    Reader,
    /// Register, build, run, label, archive too
    Contributor,
    /// Delete, import, say who has which role too
    Owner,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Contributor => "contributor",
            Self::Owner => "owner",
        }
    }
}
