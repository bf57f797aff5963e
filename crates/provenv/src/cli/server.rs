//! The arguments of `provenv serve`, and of what it calls.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use provenv_definition::Platform;

/// How a log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people; nothing but failures, where nobody says more.
    #[default]
    Text,
    /// One object in JSON a line, with the time; requests and builds too, where nobody says otherwise.
    Json,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv serve --root /srv/provenv                        for whoever is on this machine
  provenv serve --root /srv/provenv --listen 0.0.0.0:8443 \\
      --tls-cert server.pem --tls-key server.key           for a team
  provenv serve --root /srv/provenv --owner-token          where the owner's token is lost

The first start makes the workspace `default` and prints the owner's token, once. The API describes itself at
/openapi.json; /v2/ is a registry, whose repositories are HOST/WORKSPACE/NAME. It serves until it is told to stop
(SIGTERM, ctrl-c); requests then have half a minute to end, and builds go on after the next start.")]
pub struct ServeArgs {
    /// The server's folder, made where it is missing: workspaces, users, builds
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub root: PathBuf,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Speak TLS with this certificate, and those that stand behind it (PEM)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// How many builds run here at once
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub workers: usize,
    /// How many seconds a pull waits for the build of a version that has no image; 0 tells clients to come back later
    #[arg(long, value_name = "SECONDS", default_value_t = 240)]
    pub pull_wait: u64,
    /// How the log is written, on standard error; PROVENV_LOG says how much of it
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub log_format: LogFormat,
    /// Make and print another token of the owner's
    #[arg(long)]
    pub owner_token: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv worker --root /srv/provenv                        one more build at once
  provenv worker --root /srv/provenv --workers 4

It takes builds from the queue of the server, whose folder it shares: on the same machine, or on others where the server's
database is in PostgreSQL (PROVENV_SERVER_DATABASE, or `database` in [server] of the settings) and the folder on a file
system that all of them have. Told to stop (SIGTERM, ctrl-c), it takes no more builds, gives those that run some time to end,
and gives back the others.")]
pub struct WorkerArgs {
    /// The server's folder
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub root: PathBuf,
    /// The server's database, over the one of the settings; others see a password that stands here
    #[arg(long, value_name = "URL")]
    pub server_database: Option<String>,
    /// How many builds run at once
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub workers: usize,
    /// How long builds have to end by themselves after it was told to stop
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub grace: u64,
    /// How the log is written, on standard error; PROVENV_LOG says how much of it
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub log_format: LogFormat,
}

/// What a server's worker runs, in a process of its own.
#[derive(Debug, Args)]
pub struct BuildVersionArgs {
    /// The environment
    pub name: String,
    /// Its version
    pub version: String,
    /// What the image is for
    #[arg(long)]
    pub platform: Platform,
    /// The process that this one ends with
    #[arg(long)]
    pub parent: Option<u32>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv login https://envs.example                        signs in by the server's identity provider, or asks
                                                            for a token where it has none
  provenv login https://envs.example --token - < token      reads it from standard input
  provenv --workspace https://envs.example/vision env list

With an identity provider, open the URL that is shown on any device and enter the code; the token that comes of it
lasts for the time that the server says. The token is kept in `provenv/tokens.json` in the folder of the user's settings, readable by the user alone;
PROVENV_TOKEN in the environment comes before it.")]
pub struct LoginArgs {
    /// The server, or a workspace of it
    pub url: String,
    /// `-` reads the token from standard input; a token on a command line would be there for all to see
    #[arg(long, value_name = "-", value_parser = ["-"])]
    pub token: Option<String>,
}
