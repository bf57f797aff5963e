//! The arguments of `provenv bundle`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

#[derive(Debug, Subcommand)]
pub enum BundleCommand {
    /// Write images to one file, with their locks, proofs, and every file that they are made of
    #[command(after_help = "Example:
  provenv bundle export digits:2 features --to digits.tar

The file is an OCI image layout, so skopeo and podman read the images in it too.")]
    Export {
        /// Environments, files, or manifests' digests; their images must be built
        #[arg(value_name = "ENV|FILE|DIGEST", required = true, value_hint = ValueHint::FilePath)]
        images: Vec<String>,
        /// The file
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        to: PathBuf,
    },
    /// Take over what is in such a file, without any network
    Import(BundleImportArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv bundle import digits.tar --key release.pub     only if this key signed every image in it
  provenv bundle import digits.tar --rebuild             only if every image is what its lock makes
  provenv bundle import digits.tar                       from somebody you trust
  provenv --offline image verify digits:2 --rebuild      the same afterwards

Everything is checked before anything is taken. An image that was made here of the same lock must be the same one.")]
pub struct BundleImportArgs {
    /// The file
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// A public key that must have signed the images: a name of `provenv key list` or a file; of several, any one
    #[arg(long = "key", value_name = "KEY", value_hint = ValueHint::FilePath)]
    pub keys: Vec<String>,
    /// What must hold of the images (TOML), as for `image verify`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub policy: Option<PathBuf>,
    /// Make each image again from its lock, and compare
    #[arg(long)]
    pub rebuild: bool,
    /// Take images and locks, and register no environments
    #[arg(long)]
    pub no_register: bool,
}
