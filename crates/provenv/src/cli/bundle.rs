//! The arguments of `provenv bundle`.

use std::path::PathBuf;

use clap::{Subcommand, ValueHint};

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
    #[command(after_help = "Examples:
  provenv bundle import digits.tar
  provenv --offline image verify digits:2 --rebuild

Import only what comes from somebody you trust: `image verify oci:DIR` of the unpacked file checks signatures before.")]
    Import {
        /// The file
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
}
