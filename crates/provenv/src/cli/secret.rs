//! The arguments of `provenv secret`.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Set a secret of the workspace on a server; it is never shown again
    Set(SecretSetArgs),
    /// List the secrets of the workspace: names and hosts
    #[command(after_help = "Example:\n  provenv secret list -o json")]
    List,
    /// Remove a secret
    #[command(after_help = "Example:\n  provenv secret remove corporate-index")]
    Remove {
        /// The secret
        name: String,
    },
    /// Make a new key, and seal all secrets of the server with it
    #[command(after_help = "Example:\n  provenv secret rekey")]
    Rekey,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv secret set corporate-index --host packages.example --username ann      asks for the password
  provenv secret set registry --host registry.example:5000 < token               reads it from standard input
  provenv secret set inner --host http://packages.lan:8080 < token               may go in clear, without TLS

It is sent to this host and no other: when the server locks or builds what names the host as an index, a channel or the
registry of a base image. Owners of the workspace set secrets; contributors use them by what they register.")]
pub struct SecretSetArgs {
    /// What it is called
    pub name: String,
    /// The host, with its port where that is not the usual one; http:// before it, if it has no TLS
    #[arg(long, value_name = "[http://]HOST[:PORT]")]
    pub host: String,
    /// The user; tokens often need none
    #[arg(long, value_name = "USER", default_value = "")]
    pub username: String,
}
