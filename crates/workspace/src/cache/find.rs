//! What the shared cache has is looked up, held against what is asked for, and taken over.

use std::path::Path;
use std::time::Duration;

use provenv_definition::{Definition, Digest, Platform};
use provenv_image::about::{ABOUTS_TYPE, MOST_TOLD};
use provenv_image::form::Form;
use provenv_image::oci::Image;
use provenv_image::proof::artifact::Descriptor;
use provenv_image::proof::provenance::{LOCK_TYPE, RECEIPT_TYPE};
use provenv_image::proof::{Referrer, TakenFrom};
use provenv_lock::{Lock, PypiSource, Receipt};
use provenv_registry::Repository;

use super::index::{CacheIndex, Recorded};
use super::{Cache, RECORD_TYPE, definition_tag, lock_tag};
use crate::bundling::ARTIFACT_TYPE;
use crate::error::with_causes;
use crate::image_file::{self, IMAGE_TYPE, ImageFile};
use crate::locking::Locked;
use crate::proof::Vouched;
use crate::{Error, Result, Workspace};

/// A registry may ask for patience, or say nothing: nobody waits longer than this for a short cut.
const PATIENCE: Duration = Duration::from_secs(20);

/// A lock that was found, and how it was chosen.
struct FoundLock {
    lock: Lock,
    receipt: Receipt,
    /// The receipt as it was written.
    text: String,
    from: TakenFrom,
}

/// Why what was found is not taken.
enum Refused {
    /// It is not what it should be.
    Because(String),
    /// Asking failed.
    Failed(Error),
    /// Asking took longer than it is worth.
    Slow,
}

impl<E: Into<Error>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Why a registry failed, and how to log in where that is it.
pub(crate) fn refused(error: &Error) -> String {
    let why = with_causes(error);
    match error {
        Error::Registry(denied @ provenv_registry::Error::Denied { .. }) => match denied.hint() {
            Some(hint) => format!("{why}; {hint}"),
            None => why,
        },
        _ => why,
    }
}

fn because(reason: impl Into<String>) -> Refused {
    Refused::Because(reason.into())
}

impl Workspace {
    /// The cache, if it is to be asked.
    fn asked_cache(&self) -> Option<&Cache> {
        self.cache.as_ref().filter(|cache| !self.offline && !cache.is_down())
    }

    /// What was found, if it is to be taken; says why where it is not. A registry that fails is a warning, and is not asked
    /// again.
    fn settled<T>(&self, cache: &Cache, what: &str, found: Result<Option<T>, Refused>) -> Result<Option<T>> {
        let name = cache.name();
        match found {
            Ok(found) => Ok(found),
            Err(Refused::Because(reason)) => {
                self.reporter.note(&format!("the {what} that {name} has is not taken: {reason}"));
                Ok(None)
            }
            Err(Refused::Failed(error @ (Error::Registry(_) | Error::Proof(_)))) => {
                cache.set_down();
                let why = refused(&error);
                self.reporter.note(&format!("the shared cache {name} is left aside: {why}"));
                Ok(None)
            }
            Err(Refused::Slow) => {
                cache.set_down();
                let seconds = PATIENCE.as_secs();
                self.reporter.note(&format!(
                    "the shared cache {name} is left aside: it gave no answer within {seconds} s"
                ));
                Ok(None)
            }
            Err(Refused::Failed(error)) => Err(error),
        }
    }

    /// The lock that the shared cache has for `definition`, taken over as the current one.
    #[tracing::instrument(target = "provenv_trace", skip_all, name = "look up a lock")]
    pub(crate) async fn find_lock(&self, definition: &Definition, digest: &Digest) -> Result<Option<Locked>> {
        let Some(cache) = self.asked_cache() else { return Ok(None) };
        // Of a folder on another machine, the definition says no more than its name.
        if crate::folders::is_local(definition) {
            return Ok(None);
        }
        let found = in_time(self.lock_in_cache(cache, definition, digest)).await;
        let Some(FoundLock { lock, receipt, text, from }) = self.settled(cache, "lock", found)? else {
            return Ok(None);
        };
        self.catalogue.import_resolution(definition, &lock, &receipt, &text, Some(&from)).await?;
        self.reporter.note(&format!(
            "lock and receipt are those that {} has for this definition, chosen at {}; `provenv lock FILE --upgrade` chooses \
             anew",
            cache.name(),
            format_args!("{:.0}", receipt.resolved_at)
        ));
        self.current_lock(digest).await
    }

    async fn lock_in_cache(
        &self,
        cache: &Cache,
        definition: &Definition,
        digest: &Digest,
    ) -> Result<Option<FoundLock>, Refused> {
        let reader = cache.reader(&self.config)?;
        let Some(index) = index_of(reader, &definition_tag(digest)).await? else { return Ok(None) };
        // Any of them has the lock, which is for all platforms.
        let recorded = index.for_platform(Platform::host()).or_else(|| index.recorded().into_iter().next());
        let Some(recorded) = recorded else { return Ok(None) };
        let record = record_of(reader, &recorded).await?;
        let bytes = part(reader, &record, LOCK_TYPE).await?;
        let lock =
            Lock::from_bytes(&bytes).map_err(|error| because(format!("it cannot be read: {error}")))?;
        let text = String::from_utf8(part(reader, &record, RECEIPT_TYPE).await?)
            .map_err(|_| because("its receipt is no text"))?;
        let receipt: Receipt = serde_json::from_str(&text)
            .map_err(|error| because(format!("its receipt cannot be read: {error}")))?;
        if lock.definition != *digest {
            return Err(because(format!("it is of another definition, {}", lock.definition)));
        }
        let lock_digest = Digest::of(&bytes);
        if lock.digest() != lock_digest || receipt.lock != lock_digest || receipt.definition != *digest {
            return Err(because("lock and receipt do not belong together"));
        }
        let vouched = self.vouched(cache, &recorded.image.0, &lock_digest).await?;
        let place = cache.name();
        self.check_for(definition, &lock, Path::new(&place)).map_err(|error| because(with_causes(&error)))?;
        self.remember_built(cache, &lock, &record).await?;
        self.distrust_lock(definition, &lock).await?;
        let signed_by = vouched.filter(|vouched| vouched.is_of(&text)).map(|vouched| vouched.key);
        Ok(Some(FoundLock { lock, receipt, text, from: TakenFrom { place, signed_by } }))
    }

    /// Remembers where the files are that no index has, since they were made by running packages' code.
    async fn remember_built(&self, cache: &Cache, lock: &Lock, record: &Referrer) -> Result<(), Refused> {
        let there: Vec<(Digest, u64)> = record
            .layers
            .iter()
            .filter(|layer| layer.media_type == ARTIFACT_TYPE)
            .map(|layer| (layer.digest, layer.size))
            .collect();
        for digest in built(lock) {
            if !self.store.contains(&digest) && !there.iter().any(|(one, _)| *one == digest) {
                return Err(because(format!(
                    "it needs {digest}, which was built elsewhere and is not with it"
                )));
            }
        }
        let (registry, name) = (cache.repository.registry(), cache.repository.repository());
        Ok(self.catalogue.record_remote_blobs(registry, name, &there).await?)
    }

    /// The image of `lock` that the shared cache has, without the bytes of its layers.
    #[tracing::instrument(target = "provenv_trace", skip_all, name = "look up an image")]
    pub(crate) async fn find_image(
        &self,
        lock: &Digest,
        platform: Platform,
        form: Form,
    ) -> Result<Option<Image>> {
        let Some(cache) = self.asked_cache() else { return Ok(None) };
        let found = in_time(self.image_in_cache(cache, lock, platform, form)).await;
        let Some(image) = self.settled(cache, "image", found)? else { return Ok(None) };
        self.catalogue.record_remote_image(lock, form, &image, &cache.name()).await?;
        let (registry, name) = (cache.repository.registry(), cache.repository.repository());
        self.catalogue.record_remote_blobs(registry, name, &image.blobs()).await?;
        Ok(Some(image))
    }

    async fn image_in_cache(
        &self,
        cache: &Cache,
        lock: &Digest,
        platform: Platform,
        form: Form,
    ) -> Result<Option<Image>, Refused> {
        let reader = cache.reader(&self.config)?;
        let Some(index) = index_of(reader, &lock_tag(lock, form)).await? else { return Ok(None) };
        let Some(recorded) = index.for_platform(platform) else { return Ok(None) };
        let record = record_of(reader, &recorded).await?;
        // What makes it the lock's image by more than its tag.
        if !record.layers.iter().any(|layer| layer.media_type == LOCK_TYPE && layer.digest == *lock) {
            return Err(because("it is of another lock"));
        }
        let file = part(reader, &record, IMAGE_TYPE).await?;
        let ImageFile { form: said, image } = serde_json::from_slice(&file)
            .map_err(|error| because(format!("what is said of it cannot be read: {error}")))?;
        if said != form || image.platform != platform || image.manifest != recorded.image.0 {
            return Err(because("what is said of it is about another image"));
        }
        let manifest = reader.manifest(&image.manifest.to_string()).await?;
        let manifest = manifest.ok_or_else(|| because("its manifest is not there"))?;
        let config = reader.blob(&image.config, image.config_size).await?;
        image_file::check(&image, &manifest.bytes, &config).map_err(because)?;
        if image_file::form(&manifest.bytes, &config) != form {
            return Err(because("it is of another form than its tag says"));
        }
        let vouched = self.vouched(cache, &image.manifest, lock).await?;
        self.store.put(&manifest.bytes)?;
        self.store.put(&config)?;
        if let Some(vouched) = vouched {
            self.keep_vouched((image.manifest, image.manifest_size), vouched).await?;
        }
        self.take_told(cache, lock, platform, &record).await?;
        Ok(Some(image))
    }

    /// Takes along what is told of the packages of an image. Without it the image is as good; who asks what is in it hears that it
    /// is not known.
    async fn take_told(
        &self,
        cache: &Cache,
        lock: &Digest,
        platform: Platform,
        record: &Referrer,
    ) -> Result<(), Refused> {
        // No signature is about it, and whoever may push could hide by it what is wrong with a package.
        if !cache.keys.is_empty() {
            return Ok(());
        }
        let lock = self.catalogue.lock(lock).await?;
        let Some(lock) = lock.as_ref().and_then(|lock| lock.platforms.get(&platform)) else { return Ok(()) };
        let Some(layer) = record.layers.iter().find(|layer| layer.media_type == ABOUTS_TYPE) else {
            return Ok(());
        };
        if layer.size > MOST_TOLD || !self.lacks_abouts(lock).await? {
            return Ok(());
        }
        let told = cache.reader(&self.config)?.blob(&layer.digest, layer.size).await;
        let taken = match told {
            Ok(told) => self.take_abouts(lock, &told).await?,
            Err(error) => Err(with_causes(&error)),
        };
        if let Err(why) = taken {
            let name = cache.name();
            self.reporter.note(&format!("what {name} tells of the image's packages is not taken: {why}"));
        }
        Ok(())
    }

    /// Whether one of the keys that the settings trust has signed that the image was made from the lock; it is where they name
    /// none.
    async fn vouched(
        &self,
        cache: &Cache,
        image: &Digest,
        lock: &Digest,
    ) -> Result<Option<Vouched>, Refused> {
        if cache.keys.is_empty() {
            return Ok(None);
        }
        let options = cache.options(&self.config);
        self.vouched_for(&cache.repository, image, lock, &cache.keys, &options)
            .await?
            .map(Some)
            .map_err(because)
    }
}

/// A look-up, as long as it is a short cut.
async fn in_time<T>(look_up: impl Future<Output = Result<T, Refused>>) -> Result<T, Refused> {
    tokio::time::timeout(PATIENCE, look_up).await.unwrap_or(Err(Refused::Slow))
}

/// The files of a lock that no index has.
pub(crate) fn built(lock: &Lock) -> Vec<Digest> {
    let mut built = Vec::new();
    for platform in lock.platforms.values() {
        for package in &platform.pypi {
            if let PypiSource::Built { sha256, .. } = &package.source {
                built.push(*sha256);
            }
        }
        if let Some(provenv_lock::PostLink::Run { layer: Some(layer) }) = &platform.post_link {
            built.push(layer.sha256);
        }
    }
    built.sort_unstable();
    built.dedup();
    built
}

async fn index_of(reader: &Repository, tag: &str) -> Result<Option<CacheIndex>, Refused> {
    let Some(manifest) = reader.manifest(tag).await? else { return Ok(None) };
    let index = CacheIndex::parse(&manifest.bytes);
    index.map(Some).map_err(|error| because(format!("its index cannot be read: {error}")))
}

async fn record_of(reader: &Repository, recorded: &Recorded) -> Result<Referrer, Refused> {
    let manifest = reader.manifest(&recorded.record.0.to_string()).await?;
    let manifest = manifest.ok_or_else(|| because("its record is not there"))?;
    let record = Referrer::parse(&manifest.bytes)
        .map_err(|error| because(format!("its record cannot be read: {error}")))?;
    if record.artifact_type != RECORD_TYPE || record.subject != recorded.image.0 {
        return Err(because("its record is about something else"));
    }
    Ok(record)
}

async fn part(reader: &Repository, record: &Referrer, media_type: &str) -> Result<Vec<u8>, Refused> {
    let layer = record.layers.iter().find(|layer| layer.media_type == media_type);
    let Descriptor { digest, size, .. } =
        layer.ok_or_else(|| because(format!("its record has no {media_type}")))?;
    Ok(reader.blob(digest, *size).await?)
}
