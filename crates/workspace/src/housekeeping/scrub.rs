//! Scrub: blobs that have changed on disk are moved aside, and with repair had again from where they came.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use provenv_definition::{Digest, Platform};
use provenv_lock::Lock;
use provenv_store::Roots;
use serde::Serialize;

use super::meaning::{Meanings, irreplaceable, names_of};
use crate::building::Assembling;
use crate::error::with_causes;
use crate::{Error, Phase, Result, Workspace};

/// How often what is missing is looked for anew: a manifest that is back tells of blobs that nobody knew to be needed.
const ROUNDS: usize = 3;

/// What a scrub found.
#[derive(Clone, Debug, Serialize)]
pub struct ScrubSummary {
    /// Blobs read.
    pub checked: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Blobs that had changed; with repair also those that an earlier scrub found and that nobody has brought back since.
    pub corrupt: Vec<CorruptBlob>,
    /// Records that had changed and are gone: what they said is found out again.
    pub records: Vec<String>,
    /// Whether it was to be repaired.
    #[serde(skip)]
    pub repair: bool,
}

impl ScrubSummary {
    /// Whether all is right, or right again.
    pub fn is_well(&self) -> bool {
        (self.repair || self.records.is_empty())
            && self
                .corrupt
                .iter()
                .all(|blob| matches!(blob.state, CorruptState::Repaired | CorruptState::NotNeeded))
    }
}

/// A blob that had changed.
#[derive(Clone, Debug, Serialize)]
pub struct CorruptBlob {
    /// Its name.
    pub digest: Digest,
    /// What it is, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Who needs it: registered versions, images, repositories.
    pub needed_by: Vec<String>,
    /// What has become of it.
    pub state: CorruptState,
    /// How it was repaired, or why it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What has become of a blob that had changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CorruptState {
    /// It was moved aside, and is fetched or made again when it is needed.
    MovedAside,
    /// It was fetched or made again.
    Repaired,
    /// Nobody needs it.
    NotNeeded,
    /// It is needed, and could not be had again.
    Lost,
}

/// What is known of blobs that are missing.
#[derive(Default)]
struct Missing {
    needed_by: BTreeMap<Digest, BTreeSet<String>>,
    reasons: BTreeMap<Digest, String>,
    /// Those that somewhere has, and that were not asked for: the network is not to be used.
    unasked: BTreeSet<Digest>,
    /// The locks that stand on some of them, with these.
    locks: Vec<(Digest, Platform, BTreeSet<Digest>)>,
}

impl Missing {
    fn need(&mut self, digest: Digest, by: String) {
        self.needed_by.entry(digest).or_default().insert(by);
    }
}

impl Workspace {
    /// Reads every blob again and moves aside those that have changed. Says what is aside, from before too. With `repair` what
    /// somebody needs of it is had again: by its URL, from the registry, or made from what it was made of.
    pub async fn scrub(&self, repair: bool) -> Result<ScrubSummary> {
        let (store, reporter) = (self.store.clone(), Arc::clone(&self.reporter));
        let total = store.stats()?.blobs;
        reporter.expect(Phase::Checking, total.count, total.bytes);
        let report = tokio::task::spawn_blocking(move || {
            store.scrub(|bytes| reporter.advance(Phase::Checking, bytes))
        })
        .await??;
        // What was moved aside before is still missing, and all is not well before it is here again.
        let mut digests: BTreeSet<Digest> = report.corrupt.iter().map(|corrupt| corrupt.digest).collect();
        digests.extend(self.store.quarantined()?);
        let mut corrupt = Vec::new();
        if !digests.is_empty() {
            let meanings = self.meanings().await?;
            let mut missing = Missing::default();
            if repair {
                self.repair(&digests, &meanings, &mut missing).await?;
            } else {
                self.find_needs(&digests, &meanings, &mut missing).await?;
            }
            for digest in digests {
                let needed_by: Vec<String> =
                    missing.needed_by.remove(&digest).unwrap_or_default().into_iter().collect();
                let state = match repair {
                    false => CorruptState::MovedAside,
                    true if self.store.contains(&digest) => CorruptState::Repaired,
                    true if needed_by.is_empty() => CorruptState::NotNeeded,
                    true if missing.unasked.contains(&digest) => CorruptState::MovedAside,
                    true => CorruptState::Lost,
                };
                let what = meanings.name(&digest).map(str::to_owned);
                let reason = missing.reasons.remove(&digest);
                corrupt.push(CorruptBlob { digest, what, needed_by, state, reason });
            }
        }
        Ok(ScrubSummary {
            checked: report.checked,
            bytes: report.bytes,
            corrupt,
            records: report.records,
            repair,
        })
    }

    /// Has again what somebody needs of `digests`.
    async fn repair(
        &self,
        digests: &BTreeSet<Digest>,
        meanings: &Meanings,
        missing: &mut Missing,
    ) -> Result<()> {
        // What comes back is not collected before somebody has looked at it.
        let _pin = self.store.pin()?;
        for _ in 0..ROUNDS {
            let gone = |digests: &BTreeSet<Digest>| -> BTreeSet<Digest> {
                digests.iter().filter(|digest| !self.store.contains(digest)).copied().collect()
            };
            let before = gone(digests);
            if before.is_empty() {
                break;
            }
            self.find_needs(&before, meanings, missing).await?;
            self.bring_artifacts(&before, meanings, missing).await?;
            self.make_again(meanings, missing).await?;
            if gone(digests) == before {
                break;
            }
        }
        for digest in digests.iter().filter(|digest| self.store.contains(digest)) {
            self.store.forget_quarantined(digest)?;
        }
        Ok(())
    }

    /// Finds out who needs which of `gone`.
    async fn find_needs(
        &self,
        gone: &BTreeSet<Digest>,
        meanings: &Meanings,
        missing: &mut Missing,
    ) -> Result<()> {
        let environments = self.catalogue.environments(None).await?;
        let images = self.catalogue.images().await?;
        missing.locks.clear();
        for (digest, lock) in &meanings.locks {
            let mut names = names_of(digest, &environments);
            let rows = images.iter().filter(|row| row.lock == *digest);
            if names.is_empty() {
                names.extend(rows.map(|row| format!("image {}", row.image.manifest)));
            }
            // A lock that is neither registered nor built stands on nothing yet.
            if names.is_empty() {
                continue;
            }
            for (platform, platform_lock) in &lock.platforms {
                let mut roots = Roots::default();
                let forms = self.catalogue.forms(digest, *platform).await?;
                provenv_image::reach(&self.store, platform_lock, *platform, &forms, &mut roots)?;
                let own = images.iter().filter(|row| (row.lock, row.platform) == (*digest, *platform));
                roots.blobs.extend(own.flat_map(|row| row.image.blobs()).map(|(digest, _)| digest));
                let needed: BTreeSet<Digest> =
                    gone.intersection(&roots.blobs.into_iter().collect()).copied().collect();
                for one in &needed {
                    for name in &names {
                        missing.need(*one, name.clone());
                    }
                }
                for one in irreplaceable(platform_lock).into_iter().filter(|one| needed.contains(one)) {
                    let why = "it was made here by running foreign code, and may not come out the same again";
                    missing.reasons.entry(one).or_insert_with(|| why.to_owned());
                }
                if !needed.is_empty() {
                    missing.locks.push((*digest, *platform, needed));
                }
            }
        }
        for digest in gone {
            for repository in self.catalogue.repositories_of(digest).await? {
                missing.need(*digest, format!("repository {repository}"));
                let why = "it was pushed here, and comes back by another push";
                missing.reasons.entry(*digest).or_insert_with(|| why.to_owned());
            }
        }
        for proof in self.catalogue.all_proofs().await? {
            for (digest, _) in proof.referrer.blobs().into_iter().filter(|(digest, _)| gone.contains(digest))
            {
                missing.need(digest, format!("what is attached to image {}", proof.referrer.subject));
                let why =
                    "it is a signature or what was signed, and comes back by another `provenv image sign`";
                missing.reasons.entry(digest).or_insert_with(|| why.to_owned());
            }
        }
        Ok(())
    }

    /// Fetches packages by their URLs, and what is missing of bases from their registries.
    async fn bring_artifacts(
        &self,
        gone: &BTreeSet<Digest>,
        meanings: &Meanings,
        missing: &mut Missing,
    ) -> Result<()> {
        for digest in gone.iter().filter(|digest| missing.needed_by.contains_key(digest)) {
            let Some((lock, artifact)) = meanings.artifacts.get(digest) else { continue };
            if let Some(lock) = meanings.lock(lock) {
                self.distrust_indexes(lock).await?;
            }
            let size = (artifact.size > 0).then_some(artifact.size);
            let fetched = self.fetcher().await?.artifact(&artifact.url, digest, size).await;
            let reason = match fetched {
                Ok(_) => format!("fetched from {}", artifact.url),
                Err(provenv_fetch::Error::Offline(_)) => {
                    missing.unasked.insert(*digest);
                    continue;
                }
                Err(error) => with_causes(&error),
            };
            missing.reasons.insert(*digest, reason);
        }
        for (digest, platform, needed) in &missing.locks {
            let lock = meanings.lock(digest).and_then(|lock| lock.platforms.get(platform));
            let Some(base) = lock.and_then(|lock| lock.base.image()) else { continue };
            let before: Vec<&Digest> = needed.iter().filter(|digest| !self.store.contains(digest)).collect();
            if before.is_empty() {
                continue;
            }
            let brought = self.bring_base(base).await;
            for digest in before {
                match &brought {
                    Ok(()) if self.store.contains(digest) => {
                        missing.reasons.insert(*digest, format!("pulled from {}", base.reference));
                    }
                    Ok(()) => {}
                    Err(Error::Registry(provenv_registry::Error::Offline { .. })) => {
                        missing.unasked.insert(*digest);
                    }
                    Err(error) => {
                        missing.reasons.entry(*digest).or_insert_with(|| with_causes(error));
                    }
                }
            }
        }
        Ok(())
    }

    /// Makes again what was made of artifacts: segments, layers, manifests.
    async fn make_again(&self, meanings: &Meanings, missing: &mut Missing) -> Result<()> {
        for (digest, platform, needed) in std::mem::take(&mut missing.locks) {
            let before: Vec<Digest> =
                needed.into_iter().filter(|digest| !self.store.contains(digest)).collect();
            let Some(lock) = meanings.lock(&digest).filter(|_| !before.is_empty()) else { continue };
            let made = self.made_again(&digest, lock, platform).await;
            for one in before {
                if self.store.contains(&one) {
                    missing.reasons.insert(one, "made again".to_owned());
                } else if let Err(why) = &made {
                    // What it is made of is to be fetched first.
                    if why.is_offline {
                        missing.unasked.insert(one);
                    }
                    missing.reasons.entry(one).or_insert_with(|| why.text.clone());
                }
            }
        }
        Ok(())
    }

    async fn made_again(&self, digest: &Digest, lock: &Lock, platform: Platform) -> Result<(), NotMade> {
        if platform != Platform::host() {
            let text = format!("it can be made again on a machine that is {platform}");
            return Err(NotMade { text, is_offline: false });
        }
        let say = |error: Error| NotMade { text: with_causes(&error), is_offline: is_offline(&error) };
        let _lease = self.image_lease(digest, platform).await.map_err(say)?;
        let mut forms = self.catalogue.forms(digest, platform).await.map_err(|error| say(error.into()))?;
        if forms.is_empty() {
            forms.push(self.form());
        }
        for form in forms {
            self.assemble(lock, platform, form, Assembling::Mending).await.map_err(say)?;
        }
        Ok(())
    }
}

/// Why something could not be made again.
struct NotMade {
    text: String,
    /// What it is made of is not here, and the network is not to be used.
    is_offline: bool,
}

/// Whether something failed because the network is not to be used.
fn is_offline(error: &Error) -> bool {
    match error {
        Error::Fetch(error) | Error::Image(provenv_image::Error::Fetch(error)) => {
            matches!(error, provenv_fetch::Error::Offline(_))
        }
        Error::Registry(error) => matches!(error, provenv_registry::Error::Offline { .. }),
        _ => false,
    }
}
