//! Garbage collection: what nobody needs goes, and what goes is named.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

use provenv_definition::{Digest, Platform};
use provenv_store::{GcReport, Item, Roots};
use serde::Serialize;

use super::meaning::{Meanings, irreplaceable, names_of};
use super::{KeepPolicy, UPLOADED};
use crate::building::is_whole;
use crate::catalogue::{EnvironmentRow, ImageRow};
use crate::dockerfile::{MADE, RUNS, Run};
use crate::error::IoContext;
use crate::folders::RECORDS;
use crate::{Error, Result, Workspace};

/// How garbage is collected.
#[derive(Clone, Debug, Default)]
pub struct GcOptions {
    /// Remove nothing.
    pub dry_run: bool,
    /// Also what can be made again from what stays.
    pub all: bool,
    /// What stays besides what must.
    pub keep: KeepPolicy,
}

/// What a garbage collection removed, or would remove.
#[derive(Clone, Debug, Serialize)]
pub struct GcSummary {
    /// Whether nothing was removed.
    pub dry_run: bool,
    /// The images that are gone with it.
    pub images: Vec<GcImage>,
    /// What, in the order of removal.
    pub removed: Vec<GcItem>,
    /// Bytes in all.
    pub bytes: u64,
    /// Things that stay.
    pub kept: u64,
    /// Their bytes.
    pub kept_bytes: u64,
}

/// An image that goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GcImage {
    /// Its manifest.
    pub digest: Digest,
    /// What it runs on.
    pub platform: Platform,
    /// The registered versions it is the image of: they can be built again, by downloads.
    pub environments: Vec<String>,
    /// Compressed bytes of all its layers, those that other images have too.
    pub size: u64,
    /// When it was last used.
    pub used_at: Option<jiff::Timestamp>,
}

/// A thing that goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GcItem {
    /// `blob`, `record`, `tree`, `corrupt` or `cache`.
    pub kind: &'static str,
    /// Its digest or its name.
    pub id: String,
    /// What it is, where that is known: the name of a package's file, of a layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Its bytes.
    pub bytes: u64,
}

/// What must stay.
struct Needed {
    /// Locks whose images stay with all that they are made of.
    locks: BTreeSet<Digest>,
    /// Locks of which only that stays which could not be had again.
    remnants: BTreeSet<Digest>,
}

impl Workspace {
    /// Removes what no registered version, no run, no repository of the registry and no policy keeps: images, artifacts and
    /// segments that nothing refers to. With `all` also what can be made again from what stays: unpacked layers and caches of
    /// indexes. What living runs stand on stays in any case, and so does what was made here of registered versions and could not
    /// be had again.
    pub async fn collect_garbage(&self, options: &GcOptions) -> Result<GcSummary> {
        let keep = self.policy(&options.keep)?;
        // First the right to remove, then the roots: what is built in between would be missed.
        let collector = self.collector().await?;
        let GcOptions { dry_run, all, .. } = *options;
        if !dry_run {
            self.remember_images().await?;
        }
        let images = self.catalogue.images().await?;
        let environments = self.catalogue.environments(None).await?;
        let since = jiff::Timestamp::now() - UPLOADED;
        let roots = self.roots(&keep, all, &images, &environments, since).await?;
        // Nobody may build until the catalogue has forgotten what is gone, and uv's cache is not in use.
        let (_collector, report) = tokio::task::spawn_blocking(move || {
            let report = collector.collect(&roots, dry_run);
            (collector, report)
        })
        .await?;
        let report = report?;
        let meanings = if report.removed.is_empty() { Meanings::default() } else { self.meanings().await? };
        let mut removed: Vec<GcItem> =
            report.removed.iter().map(|(item, bytes)| described(item, *bytes, &meanings)).collect();
        let cache = self.store.cache("uv");
        if all && cache.exists() {
            let bytes = bytes_below(&cache);
            removed.push(GcItem { kind: "cache", id: "uv".to_owned(), what: None, bytes });
            if !dry_run {
                fs_err::remove_dir_all(&cache).doing(|| "could not remove the cache of uv".to_owned())?;
            }
        }
        let gone = self.images_gone(&report, images, &environments).await?;
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
            images: gone,
            bytes: removed.iter().map(|item| item.bytes).sum(),
            removed,
            kept: report.kept,
            kept_bytes: report.kept_bytes,
        })
    }

    /// What was asked to be kept, or else what the settings say.
    fn policy(&self, asked: &KeepPolicy) -> Result<KeepPolicy> {
        let settings = &self.config.store;
        let keep = KeepPolicy {
            last: asked.last.or(settings.keep_last),
            used_within: asked.used_within.or(settings.keep_used_within),
            include_registered: asked.include_registered,
        };
        if keep.include_registered && !keep.says_something() {
            return Err(Error::Arguments {
                message: "of registered versions, nothing says which are to stay".to_owned(),
                hint: "say it with --keep-last N or --keep-used-within DAYS; --keep-last 0 keeps none"
                    .to_owned(),
            });
        }
        Ok(keep)
    }

    async fn roots(
        &self,
        keep: &KeepPolicy,
        all: bool,
        images: &[ImageRow],
        environments: &[EnvironmentRow],
        since: jiff::Timestamp,
    ) -> Result<Roots> {
        let mut roots = Roots::default();
        let Needed { locks, remnants } = self.needed(keep, images, environments).await?;
        // What the store knows of an image may be lost; the catalogue knows its blobs all the same.
        for row in images.iter().filter(|row| locks.contains(&row.lock)) {
            roots.blobs.extend(row.image.blobs().into_iter().map(|(digest, _)| digest));
        }
        let remote = self.catalogue.remote_images().await?;
        // Without them, the image would have to be looked up anew; the layers can be fetched again.
        roots.blobs.extend(remote.iter().flat_map(|remote| [remote.image.manifest, remote.image.config]));
        for remote in remote.iter().filter(|remote| locks.contains(&remote.lock)) {
            roots.blobs.extend(remote.image.blobs().into_iter().map(|(digest, _)| digest));
        }
        for digest in locks {
            let Some(lock) = self.catalogue.lock(&digest).await? else { continue };
            roots.records.insert((RECORDS.to_owned(), digest.hex()));
            for (platform, lock) in &lock.platforms {
                let forms = self.catalogue.forms(&digest, *platform).await?;
                provenv_image::reach(&self.store, lock, *platform, &forms, &mut roots)?;
            }
        }
        for digest in remnants {
            let Some(lock) = self.catalogue.lock(&digest).await? else { continue };
            roots.blobs.extend(lock.platforms.values().flat_map(irreplaceable));
            let made = lock.platforms.values().filter_map(|lock| lock.base.dockerfile());
            for made in made {
                roots.blobs.extend(self.blobs_of_dockerfile(made)?);
            }
        }
        for proof in self.catalogue.all_proofs().await? {
            roots.blobs.extend(proof.referrer.blobs().into_iter().map(|(digest, _)| digest));
        }
        roots.blobs.extend(self.catalogue.pushed_digests(since).await?);
        self.reach_tools(&mut roots, all)?;
        self.reach_dockerfiles(&mut roots)?;
        if all {
            roots.trees.retain(|(kind, _)| kind == "tool");
        }
        Ok(roots)
    }

    async fn needed(
        &self,
        keep: &KeepPolicy,
        images: &[ImageRow],
        environments: &[EnvironmentRow],
    ) -> Result<Needed> {
        let registered: BTreeSet<Digest> = self.catalogue.needed_locks().await?.into_iter().collect();
        let uses = if keep.says_something() { self.catalogue.uses().await? } else { HashMap::new() };
        let mut locks = keep.keeps(images, environments, &uses, jiff::Timestamp::now());
        if !keep.include_registered {
            locks.extend(&registered);
        }
        let remnants = registered.difference(&locks).copied().collect();
        Ok(Needed { locks, remnants })
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

    /// Keeps what is known of runs of Dockerfiles whose results stay.
    fn reach_dockerfiles(&self, roots: &mut Roots) -> Result<()> {
        for kind in [RUNS, MADE] {
            for key in self.store.record_keys(kind)? {
                let run = self.store.record::<Run>(kind, &key)?;
                if run.is_some_and(|run| roots.blobs.contains(&run.manifest)) {
                    roots.records.insert((kind.to_owned(), key));
                }
            }
        }
        Ok(())
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

    /// The images of which something went.
    async fn images_gone(
        &self,
        report: &GcReport,
        images: Vec<ImageRow>,
        environments: &[EnvironmentRow],
    ) -> Result<Vec<GcImage>> {
        let blobs: HashSet<&Digest> = report
            .removed
            .iter()
            .filter_map(|(item, _)| match item {
                Item::Blob(digest) => Some(digest),
                _ => None,
            })
            .collect();
        let uses = self.catalogue.uses().await?;
        let goes = |row: &ImageRow| row.image.blobs().iter().any(|(digest, _)| blobs.contains(digest));
        let mut gone: Vec<GcImage> = Vec::new();
        for row in images.into_iter().filter(goes) {
            let names = names_of(&row.lock, environments);
            // Locks that differ only in URLs become the same image.
            if let Some(same) = gone.iter_mut().find(|image| image.digest == row.image.manifest) {
                same.environments.extend(names);
                continue;
            }
            gone.push(GcImage {
                digest: row.image.manifest,
                platform: row.platform,
                environments: names,
                size: row.image.size(),
                used_at: uses.get(&row.lock).copied(),
            });
        }
        Ok(gone)
    }
}

fn described(item: &Item, bytes: u64, meanings: &Meanings) -> GcItem {
    let (kind, id, what) = match item {
        Item::Record(kind, key) => ("record", format!("{kind}/{key}"), None),
        Item::Tree(kind, key) => ("tree", format!("{kind}/{key}"), None),
        Item::Blob(digest) => ("blob", digest.to_string(), meanings.name(digest).map(str::to_owned)),
        Item::Quarantined(name) => ("corrupt", name.clone(), None),
    };
    GcItem { kind, id, what, bytes }
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
