//! What was built here goes to the shared cache.

use provenv_image::base_image::INDEX_TYPE;
use provenv_image::oci::Image;
use provenv_image::proof::artifact::Descriptor;
use provenv_image::proof::provenance::{DEFINITION_TYPE, LOCK_TYPE, RECEIPT_TYPE};
use provenv_image::proof::{Part, Referrer};
use provenv_registry::{Reference, Repository, short_pause};

use super::find::built;
use super::index::{CacheIndex, Recorded};
use super::{Cache, Need, RECORD_TYPE, definition_tag, lock_tag};
use crate::bundling::{ARTIFACT_TYPE, json_part};
use crate::image_file::{IMAGE_TYPE, ImageFile};
use crate::locking::Locked;
use crate::{Error, Result, Workspace};

/// Others may add to the same index at the same time: so often it is looked whether ours is in it.
const ROUNDS: u32 = 5;

impl Workspace {
    /// Pushes an image to the shared cache, with its lock and receipt; gives back where it is. One that is there is not pushed.
    /// Hold a pin on the store.
    #[tracing::instrument(target = "provenv_trace", skip_all, name = "push to the shared cache")]
    pub(crate) async fn share(&self, cache: &Cache, locked: &Locked, image: &Image) -> Result<String> {
        let name = cache.name();
        let lock = &locked.receipt.lock;
        let form = self.stated_form(image)?;
        let tag = lock_tag(lock, form);
        let reference: Reference = format!("{name}:{tag}").parse()?;
        let writer = Repository::to_write(&cache.repository, &cache.options(&self.config))?;
        let own = (image.manifest, image.manifest_size);
        let there = index_at(&writer, &tag).await?;
        let there =
            there.filter(|there| there.for_platform(image.platform).is_some_and(|one| one.image == own));
        let index = if let Some(there) = there {
            // It may have been signed since.
            let proofs = self.referrers_of(&image.manifest).await?;
            writer.attach(&self.store, &proofs).await?;
            there
        } else {
            self.bring(image, lock, Need::All).await?;
            // The index names it.
            self.push_as(image, &cache.repository, true, cache.insecure).await?;
            let record = self.write_record(locked, image).await?;
            writer.attach(&self.store, std::slice::from_ref(&record)).await?;
            let record = (record.manifest, record.size);
            add(&writer, &tag, locked, &Recorded { platform: image.platform, image: own, record }).await?
        };
        name_definition(&writer, locked, &index).await?;
        self.catalogue.record_remote_image(lock, form, image, &name).await?;
        Ok(reference.to_string())
    }

    /// Lock, definition and receipt of an image, what there is to know of it, and the files that it is made of and that no index
    /// has.
    async fn write_record(&self, locked: &Locked, image: &Image) -> Result<Referrer> {
        let mut layers = Vec::new();
        let text = |media_type: &str, bytes: Vec<u8>| Part {
            media_type: media_type.to_owned(),
            bytes,
            annotations: [].into(),
        };
        let receipt = self.catalogue.receipt_text(&locked.receipt_digest).await?;
        let receipt = receipt.ok_or_else(|| Error::NoReceipt(locked.definition.to_string()))?;
        let definition = self.catalogue.definition(&locked.definition).await?;
        let definition = definition.ok_or_else(|| Error::NoReceipt(locked.definition.to_string()))?;
        let parts = [
            text(LOCK_TYPE, locked.lock.to_bytes()),
            json_part(DEFINITION_TYPE, &definition)?,
            text(RECEIPT_TYPE, receipt.into_bytes()),
            json_part(IMAGE_TYPE, &ImageFile { form: self.stated_form(image)?, image: image.clone() })?,
        ];
        // Bills of materials and audits are the same there, without the packages' bytes.
        let chosen = locked.lock.platforms.get(&image.platform);
        let chosen = chosen.ok_or(Error::NoPlatform(image.platform))?;
        let told = self.told_abouts(chosen, image.platform).await?;
        for Part { media_type, bytes, annotations } in parts.into_iter().chain(told) {
            let (digest, size) = (self.store.put(&bytes)?, bytes.len() as u64);
            layers.push(Descriptor { media_type, digest, size, annotations });
        }
        for digest in built(&locked.lock) {
            // What is for another platform may never have been here.
            let Some(size) = self.store.size(&digest)? else { continue };
            let media_type = ARTIFACT_TYPE.to_owned();
            layers.push(Descriptor { media_type, digest, size, annotations: [].into() });
        }
        let subject = (image.manifest, image.manifest_size);
        Ok(Referrer::of(&self.store, subject, RECORD_TYPE, [].into(), layers)?)
    }
}

/// Adds an image to the index of its lock. Others may add one for another platform at the same time: who read the index before
/// ours was in it writes it without, so that there is a second look after that.
async fn add(writer: &Repository, tag: &str, locked: &Locked, own: &Recorded) -> Result<CacheIndex> {
    let (definition, lock) = (&locked.definition, &locked.receipt.lock);
    let mut wrote = false;
    for round in 0..=ROUNDS {
        let there = index_at(writer, tag).await?;
        let mut recorded = there.as_ref().map(CacheIndex::recorded).unwrap_or_default();
        if let Some(there) = there.filter(|there| there.for_platform(own.platform).as_ref() == Some(own)) {
            if !wrote {
                return Ok(there);
            }
            wrote = false;
            short_pause(2).await;
            continue;
        }
        if round == ROUNDS {
            break;
        }
        short_pause(round).await;
        recorded.retain(|one| one.platform != own.platform);
        recorded.push(own.clone());
        let index = CacheIndex::of(definition, lock, locked.receipt.resolved_at, &recorded);
        writer.put(tag, INDEX_TYPE, &index.to_bytes()).await?;
        wrote = true;
    }
    Err(Error::Cache(format!("others write to `{tag}` all the time")))
}

/// Names the index by the definition, unless another lock was chosen for that later than ours. Where it names the same lock
/// already, by images in another form that may be signed, it stays: the lock is what it is asked for.
async fn name_definition(writer: &Repository, locked: &Locked, index: &CacheIndex) -> Result<()> {
    let tag = definition_tag(&locked.definition);
    if let Some(there) = index_at(writer, &tag).await? {
        let stays = if there.lock() == Some(locked.receipt.lock) {
            let own = index.recorded();
            there == *index || !there.recorded().iter().all(|one| own.contains(one))
        } else {
            there.resolved() > Some(locked.receipt.resolved_at)
        };
        if stays {
            return Ok(());
        }
    }
    Ok(writer.put(&tag, INDEX_TYPE, &index.to_bytes()).await?)
}

/// The index with this tag; one that cannot be read is none.
async fn index_at(writer: &Repository, tag: &str) -> Result<Option<CacheIndex>> {
    let manifest = writer.manifest(tag).await?;
    Ok(manifest.and_then(|manifest| CacheIndex::parse(&manifest.bytes).ok()))
}
