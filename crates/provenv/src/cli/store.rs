//! The arguments of `provenv store`.

use std::time::Duration;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// How much there is of what
    #[command(after_help = "Example:\n  provenv store stats -o json")]
    Stats,
    /// Remove what nobody needs
    Gc(GcArgs),
    /// Read every blob again, and move aside those that have changed on disk
    #[command(after_help = "Examples:
  provenv store scrub              find what has changed; the exit code is 1 if anything has
  provenv store scrub --repair     and have it again from where it came

A blob that has changed is moved to the store's `quarantine` and never used; it goes with the next collection. With
--repair packages are fetched again by their digests, bases pulled, segments and layers made again; the exit code is
then 1 only if something that is needed could not be had again. Who needs it is said.")]
    Scrub {
        /// Fetch or make again what is needed of it
        #[arg(long)]
        repair: bool,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv store gc --dry-run                               what would go, with its bytes
  provenv store gc                                         images of files that were never registered go
  provenv store gc --keep-last 3 --keep-used-within 14d    but not the last three, nor those of the last two weeks
  provenv store gc --include-registered --keep-last 2      of each environment, all but the two newest versions

What stays in any case: what living runs and builds use, what was pushed to the registry, and signatures. Without
--include-registered also all that registered versions and runs need, to be built again without the network.")]
pub struct GcArgs {
    /// List what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Also unpacked layers and caches, which are made again when needed
    #[arg(long)]
    pub all: bool,
    /// Keep the N images that were used last of those that no registered version needs
    #[arg(long, value_name = "N")]
    pub keep_last: Option<usize>,
    /// Keep images that were used within this time: 30d, 12h, 4w; a number alone is days
    #[arg(long, value_name = "AGE", value_parser = provenv_workspace::parse_age)]
    pub keep_used_within: Option<Duration>,
    /// Collect registered versions too: keep the N newest of each environment, and those used of late. The others stay
    /// registered, with their locks, and are built again by downloads
    #[arg(long)]
    pub include_registered: bool,
}
