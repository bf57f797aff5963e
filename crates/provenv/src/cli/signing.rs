//! The arguments of the commands that prove where images come from: `key`, `image provenance`, `sign`, `verify`, `push`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key
    New(KeyNewArgs),
    /// List the keys of this workspace
    List,
    /// Show a key: its name in signatures, and its public half
    #[command(after_help = "Examples:
  provenv key show release
  provenv key show release --pem > release.pub         as openssl and cosign read it")]
    Show {
        /// A name of `provenv key list`, or a file
        #[arg(value_name = "KEY", value_hint = ValueHint::FilePath)]
        key: String,
        /// Only the public half, in PEM
        #[arg(long)]
        pem: bool,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv key new release                              in the workspace, for `--key release`
  provenv key new release --to ~/keys --type ecdsa-p256

The private half, NAME.key, is readable by you alone and not encrypted. To keep it under a passphrase:
  openssl pkcs8 -topk8 -in release.key -out release.enc
  openssl pkey -in release.enc | provenv image sign digits --key -")]
pub struct KeyNewArgs {
    /// What to call it
    #[arg(default_value = "signing")]
    pub name: String,
    /// The folder for NAME.key and NAME.pub [default: the workspace's own]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub to: Option<PathBuf>,
    /// How it signs
    #[arg(long = "type", value_enum, default_value_t, value_name = "TYPE")]
    pub kind: KeyType,
}

/// How a key signs.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum KeyType {
    /// Ed25519: the same signature each time
    #[default]
    Ed25519,
    /// ECDSA over P-256 with SHA-256: what cosign makes, and every tool knows
    #[value(name = "ecdsa-p256")]
    EcdsaP256,
}

impl From<KeyType> for provenv_workspace::KeyType {
    fn from(kind: KeyType) -> Self {
        match kind {
            KeyType::Ed25519 => Self::Ed25519,
            KeyType::EcdsaP256 => Self::EcdsaP256,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  provenv image provenance digits > statement.json

An in-toto statement, the very bytes that `image sign` signs. The same record gives the same bytes.")]
pub struct ProvenanceArgs {
    /// An environment, a file, or a manifest's digest; also of an image whose bytes were collected
    #[arg(value_name = "ENV|FILE|DIGEST", value_hint = ValueHint::FilePath)]
    pub image: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv image sign digits --key release
  provenv image sign digits --key release.key --as registry.example/team/digits

`image push` and `build --to` take what is signed along. --as adds the signature that `cosign verify`, podman and skopeo
ask for.")]
pub struct SignArgs {
    /// An environment, a file, or a manifest's digest
    #[arg(value_name = "ENV|FILE|DIGEST", value_hint = ValueHint::FilePath)]
    pub image: String,
    /// The private key: a name of `provenv key list`, a file, or `-` for standard input
    #[arg(long, value_name = "KEY", value_hint = ValueHint::FilePath)]
    pub key: String,
    /// Sign also that the image may be called so: HOST/NAME, without a tag
    #[arg(long = "as", value_name = "HOST/NAME")]
    pub identity: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv image verify digits
  provenv image verify registry.example/team/digits:2 --key release.pub --policy policy.toml
  provenv image verify oci:image:2 --key release.pub
  provenv image verify digits --rebuild                make it again from its lock and compare

Exit code: 0 if every check passed, 1 if one failed, 2 if the image could not be checked.")]
pub struct VerifyArgs {
    /// An environment, a file or a digest; oci:DIR[:TAG]; or HOST/NAME[:TAG] or HOST/NAME@DIGEST in a registry
    #[arg(value_name = "IMAGE", value_hint = ValueHint::FilePath)]
    pub image: String,
    /// A public key that may have signed: a name of `provenv key list` or a file; may be given several times [default: the
    /// policy's, or else all of this workspace]
    #[arg(long = "key", value_name = "KEY", value_hint = ValueHint::FilePath)]
    pub keys: Vec<String>,
    /// What else must hold (TOML)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub policy: Option<PathBuf>,
    /// Assemble it again from its lock, in an empty store, and compare digests. Without --key and --policy no signature is
    /// asked for
    #[arg(long)]
    pub rebuild: bool,
    /// Speak plain http with the registry, also where it is another machine
    #[arg(long)]
    pub insecure: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  provenv image push digits registry.example/team/digits:2

Builds nothing. What the registry has is not sent again.")]
pub struct PushArgs {
    /// An environment, a file, or a manifest's digest
    #[arg(value_name = "ENV|FILE|DIGEST", value_hint = ValueHint::FilePath)]
    pub image: String,
    /// Where it goes: HOST/NAME[:TAG]
    #[arg(value_name = "DESTINATION")]
    pub destination: String,
    /// Speak plain http with the registry, also where it is another machine
    #[arg(long)]
    pub insecure: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv image referrers registry.example/team/digits:2
  provenv image referrers registry.example/team/digits:2 -o json")]
pub struct ReferrersArgs {
    /// HOST/NAME[:TAG] or HOST/NAME@DIGEST
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Speak plain http with the registry, also where it is another machine
    #[arg(long)]
    pub insecure: bool,
}
