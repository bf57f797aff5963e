//! The arguments of `provenv registry`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

#[derive(Debug, Subcommand)]
pub enum RegistryCommand {
    /// Serve this workspace as a registry: its images, and what is pushed to it
    Serve(RegistryServeArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv registry serve                                   images for whoever is on this machine
  podman pull --tls-verify=false 127.0.0.1:5000/digits:2   one of them: NAME:VERSION

  htpasswd -cB users ann                                   a user, and a password
  provenv registry serve --htpasswd users --anonymous-pull --listen 0.0.0.0:5000 \\
      --tls-cert registry.pem --tls-key registry.key       for others: anybody pulls, users push

It serves until it is told to stop (SIGTERM, ctrl-c); what is being sent then has a few seconds to end.")]
pub struct RegistryServeArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5000")]
    pub listen: String,
    /// The users, who may pull and push: a file as `htpasswd -B` writes it, read again when it changes
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub htpasswd: Option<PathBuf>,
    /// Those who may pull and not push, such as machines: a file of the same kind
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub readers: Option<PathBuf>,
    /// Let anybody pull
    #[arg(long, conflicts_with = "readers")]
    pub anonymous_pull: bool,
    /// Let anybody pull, push and delete
    #[arg(long, conflicts_with_all = ["anonymous_pull", "htpasswd", "readers"])]
    pub anonymous_push: bool,
    /// Speak TLS with this certificate, and those that stand behind it (PEM)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}
