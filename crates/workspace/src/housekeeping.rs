//! The store's upkeep: how much there is, what may go, what has rotted.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use provenv_definition::Digest;
use provenv_store::{Collector, Roots};
use serde::Serialize;

use crate::building::is_whole;
use crate::error::IoContext;
use crate::folders::RECORDS;
use crate::{Error, Phase, Result, Workspace};

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

/// What a garbage collection removed, or would remove.
#[derive(Clone, Debug, Serialize)]
pub struct GcSummary {
    /// Whether nothing was removed.
    pub dry_run: bool,
    /// What, and its bytes.
    pub removed: Vec<(String, u64)>,
    /// Bytes in all.
    pub bytes: u64,
    /// Things that stay.
    pub kept: u64,
    /// Their bytes.
    pub kept_bytes: u64,
}

/// What a scrub found.
#[derive(Clone, Debug, Serialize)]
pub struct ScrubSummary {
    /// Blobs read.
    pub checked: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Blobs that had changed.
    pub corrupt: Vec<Digest>,
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

    /// Removes what no registered version, no run and no repository of the registry needs: images, artifacts and segments that
    /// nothing refers to. With `all` also what can be made again from those: unpacked layers and caches of indexes. What living runs stand on stays
    /// in any case.
    pub async fn collect_garbage(&self, dry_run: bool, all: bool) -> Result<GcSummary> {
        // First the right to remove, then the roots: what is built in between would be missed.
        let collector = self.collector().await?;
        if !dry_run {
            self.remember_images().await?;
        }
        let mut roots = Roots::default();
        for digest in self.catalogue.needed_locks().await? {
            let Some(lock) = self.catalogue.lock(&digest).await? else { continue };
            roots.records.insert((RECORDS.to_owned(), digest.hex()));
            for (platform, lock) in &lock.platforms {
                let forms = self.catalogue.forms(&digest, *platform).await?;
                provenv_image::reach(&self.store, lock, *platform, &forms, &mut roots)?;
            }
        }
        for proof in self.catalogue.all_proofs().await? {
            roots.blobs.extend(proof.referrer.blobs().into_iter().map(|(digest, _)| digest));
        }
        let since = jiff::Timestamp::now() - UPLOADED;
        roots.blobs.extend(self.catalogue.pushed_digests(since).await?);
        self.reach_tools(&mut roots, all)?;
        if all {
            roots.trees.retain(|(kind, _)| kind == "tool");
        }
        // Nobody may build until the catalogue has forgotten what is gone, and uv's cache is not in use.
        let (_collector, report) = tokio::task::spawn_blocking(move || {
            let report = collector.collect(&roots, dry_run);
            (collector, report)
        })
        .await?;
        let report = report?;
        let cache = self.store.cache("uv");
        let mut removed: Vec<(String, u64)> =
            report.removed.iter().map(|(item, bytes)| (item.to_string(), *bytes)).collect();
        if all && cache.exists() {
            removed.push(("cache of uv".to_owned(), bytes_below(&cache)));
            if !dry_run {
                fs_err::remove_dir_all(&cache).doing(|| "could not remove the cache of uv".to_owned())?;
            }
        }
        if !dry_run {
            self.catalogue.forget_pushed_blobs(since).await?;
            for row in self.catalogue.images().await? {
                if !is_whole(&self.store, &row.image) {
                    self.catalogue.forget_image(&row).await?;
                }
            }
        }
        Ok(GcSummary {
            dry_run,
            bytes: removed.iter().map(|(_, bytes)| bytes).sum(),
            removed,
            kept: report.kept,
            kept_bytes: report.kept_bytes,
        })
    }

    /// Keeps what the packages of every image say of themselves, because bills of materials and audits ask for it when the
    /// bytes are gone.
    async fn remember_images(&self) -> Result<()> {
        for row in self.catalogue.images().await? {
            let lock = self.catalogue.lock(&row.lock).await?;
            if let Some(lock) = lock.as_ref().and_then(|lock| lock.platforms.get(&row.platform)) {
                self.read_abouts(lock, row.platform).await?;
            }
        }
        Ok(())
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

    /// Keeps the tools, the wheels that were built here, and unless `all` goes, what was learned from indexes.
    fn reach_tools(&self, roots: &mut Roots, all: bool) -> Result<()> {
        let kinds: &[&str] =
            if all { &["built-wheel"] } else { &["built-wheel", "document", "debian-index"] };
        for kind in kinds {
            for key in self.store.record_keys(kind)? {
                let Some(value) = self.store.record::<serde_json::Value>(kind, &key)? else { continue };
                roots.blobs.extend(digests(&value));
                roots.records.insert(((*kind).to_owned(), key));
            }
        }
        roots.trees.extend(self.store.tree_keys("tool")?.into_iter().map(|key| ("tool".to_owned(), key)));
        Ok(())
    }

    /// Reads every blob again and moves aside those that have changed.
    pub async fn scrub(&self) -> Result<ScrubSummary> {
        let (store, reporter) = (self.store.clone(), Arc::clone(&self.reporter));
        let total = store.stats()?.blobs;
        reporter.expect(Phase::Checking, total.count, total.bytes);
        let report = tokio::task::spawn_blocking(move || {
            store.scrub(|bytes| reporter.advance(Phase::Checking, bytes))
        })
        .await??;
        Ok(ScrubSummary {
            checked: report.checked,
            bytes: report.bytes,
            corrupt: report.corrupt.iter().map(|corrupt| corrupt.digest).collect(),
        })
    }
}

fn bytes_below(folder: &Path) -> u64 {
    let files = walkdir::WalkDir::new(folder).into_iter().filter_map(Result::ok);
    let sizes = files.filter_map(|entry| entry.metadata().ok()).filter(std::fs::Metadata::is_file);
    sizes.map(|metadata| metadata.len()).sum()
}

/// Every digest that a record names.
fn digests(value: &serde_json::Value) -> Vec<Digest> {
    match value {
        serde_json::Value::String(text) => text.parse().ok().into_iter().collect(),
        serde_json::Value::Array(values) => values.iter().flat_map(digests).collect(),
        serde_json::Value::Object(values) => values.values().flat_map(digests).collect(),
        _ => Vec::new(),
    }
}
