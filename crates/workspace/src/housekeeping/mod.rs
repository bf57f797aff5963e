//! The store's upkeep: how much there is, what may go, what has rotted.

mod collect;
mod meaning;
mod policy;
mod scrub;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use provenv_store::Collector;
use serde::Serialize;

use crate::{Error, Result, Workspace};

pub use collect::{GcImage, GcItem, GcOptions, GcSummary};
pub use policy::{KeepPolicy, parse_age};
pub use scrub::{CorruptBlob, CorruptState, ScrubSummary};

/// The longest wait for builds to end before a collection.
const PATIENCE: Duration = Duration::from_mins(5);

/// How long a blob that was pushed to the registry waits for the manifest that names it.
const UPLOADED: Duration = Duration::from_hours(24);

/// How much there is of what.
#[derive(Clone, Debug, Serialize)]
pub struct StatsSummary {
    /// The store's folder.
    pub root: PathBuf,
    /// One line a kind.
    pub lines: Vec<StatsLine>,
}

/// How much there is of one kind.
#[derive(Clone, Debug, Serialize)]
pub struct StatsLine {
    /// Which.
    pub what: String,
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Workspace {
    /// How much there is in the store.
    pub async fn store_stats(&self) -> Result<StatsSummary> {
        let store = self.store.clone();
        let stats = tokio::task::spawn_blocking(move || store.stats()).await??;
        let line = |what: &str, usage: provenv_store::Usage| StatsLine {
            what: what.to_owned(),
            count: usage.count,
            bytes: usage.bytes,
        };
        Ok(StatsSummary {
            root: self.store.root().to_owned(),
            lines: vec![
                line("blobs", stats.blobs),
                line("unpacked folders", stats.trees),
                line("records", stats.records),
                line("corrupt blobs", stats.quarantine),
            ],
        })
    }

    /// The right to collect: waits for those who are finding or making something, not for runs.
    async fn collector(&self) -> Result<Collector> {
        let begun = Instant::now();
        let mut said = false;
        loop {
            if let Some(collector) = self.store.try_collector()? {
                return Ok(collector);
            }
            if begun.elapsed() > PATIENCE {
                return Err(Error::StoreInUse);
            }
            if !said {
                self.reporter.note("waiting for builds in this workspace to end");
                said = true;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
