//! The bytes of an image that is known and not here, once they are needed.

use provenv_definition::{Digest, Platform};
use provenv_image::form::Form;
use provenv_image::oci::Image;
use provenv_image::unpack;
use provenv_lock::Lock;
use provenv_registry::{PullOptions, Reference};

use super::find::built;
use crate::building::{Assembling, is_whole};
use crate::catalogue::ImageRow;
use crate::error::with_causes;
use crate::image_file;
use crate::{Error, Result, Workspace};

/// What of an image is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Every blob.
    All,
    /// The layers that are not laid out as folders.
    ToRun,
}

impl Workspace {
    /// Every image that is here, or in a registry that it was found in; newest first.
    pub(crate) async fn all_images(&self) -> Result<Vec<ImageRow>> {
        let mut rows = self.catalogue.images().await?;
        for remote in self.catalogue.remote_images().await? {
            let same =
                |row: &ImageRow| row.lock == remote.lock && row.image.manifest == remote.image.manifest;
            if !rows.iter().any(same) {
                rows.push(remote.into());
            }
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row.created_at));
        Ok(rows)
    }

    /// The image of a lock that was found in a registry, as long as its configuration is here.
    pub(crate) async fn known_remote(
        &self,
        lock: &Digest,
        platform: Platform,
        form: Form,
    ) -> Result<Option<Image>> {
        let remote = self.catalogue.remote_image(lock, platform, form).await?;
        let image = remote.map(|remote| remote.image);
        Ok(image.filter(|image| self.store.contains(&image.manifest) && self.store.contains(&image.config)))
    }

    /// Whether a registry is known to have an image.
    pub(crate) async fn is_remote(&self, image: &Image) -> Result<bool> {
        Ok(self.catalogue.is_in_a_registry(&image.manifest).await?)
    }

    /// Brings the bytes of `image` here that are needed and are not: from the registry that it was found in, or made from its lock
    /// where that does not have them any more. Hold a pin on the store.
    #[tracing::instrument(target = "provenv_trace", skip_all, name = "bring")]
    pub(crate) async fn bring(&self, image: &Image, lock: &Digest, need: Need) -> Result<()> {
        let missing = self.missing_blobs(image, need)?;
        if missing.is_empty() {
            return Ok(());
        }
        let form = self.form_of_known(image).await?;
        if let Err(error) = self.fetch_blobs(image, &missing).await {
            if self.offline || image.platform != Platform::host() {
                return Err(error);
            }
            let why = with_causes(&error);
            self.reporter.note(&format!("the image is assembled here, since it could not be fetched: {why}"));
            self.catalogue.forget_remote_image(lock, &image.manifest).await?;
            let whole = self.catalogue.lock(lock).await?.ok_or(Error::NoPlatform(image.platform))?;
            let made = self.assemble(&whole, image.platform, form, Assembling::First).await?;
            if made.manifest != image.manifest {
                return Err(Error::NotReproducible { first: image.manifest, second: made.manifest });
            }
        }
        if is_whole(&self.store, image) {
            self.catalogue.import_image(lock, form, image).await?;
        }
        Ok(())
    }

    /// The form of an image that is known, as the registry's was said to be where it is not here to say it.
    async fn form_of_known(&self, image: &Image) -> Result<Form> {
        if self.store.contains(&image.manifest) && self.store.contains(&image.config) {
            return self.stated_form(image);
        }
        let remote = self.catalogue.remote_images().await?;
        let known = remote.into_iter().find(|remote| remote.image.manifest == image.manifest);
        known.map(|remote| remote.form).ok_or_else(|| Error::NoImage(image.manifest.to_string()))
    }

    /// The form that an image says it has, whose manifest and configuration are here.
    pub(crate) fn stated_form(&self, image: &Image) -> Result<Form> {
        let (manifest, config) = (self.store.read(&image.manifest)?, self.store.read(&image.config)?);
        Ok(image_file::form(&manifest, &config))
    }

    fn missing_blobs(&self, image: &Image, need: Need) -> Result<Vec<(Digest, u64)>> {
        let mut missing = image.blobs();
        if need == Need::ToRun {
            let (foreign, own) = unpack::split(&image.layers);
            let has = |(kind, key): &(String, String)| self.store.tree(kind, key).is_some();
            let mut laid_out: Vec<Digest> = Vec::new();
            if !foreign.is_empty() && unpack::trees(foreign).iter().all(has) {
                laid_out.extend(foreign.iter().map(|layer| layer.digest));
            }
            let own = own.iter().filter(|layer| unpack::trees(std::slice::from_ref(*layer)).iter().all(has));
            laid_out.extend(own.map(|layer| layer.digest));
            missing.retain(|(digest, _)| !laid_out.contains(digest));
        }
        let mut left = Vec::new();
        for (digest, size) in missing {
            if self.store.size(&digest)? != Some(size) {
                left.push((digest, size));
            }
        }
        Ok(left)
    }

    async fn fetch_blobs(&self, image: &Image, blobs: &[(Digest, u64)]) -> Result<()> {
        let remote = self.catalogue.remote_images().await?;
        let mut places = remote.into_iter().filter(|remote| remote.image.manifest == image.manifest);
        let missing = || Error::NoImage(image.manifest.to_string());
        let reference: Reference = places.next().ok_or_else(missing)?.reference.parse()?;
        if self.offline {
            let reference = reference.with_digest(&image.manifest);
            return Err(provenv_registry::Error::Offline { reference }.into());
        }
        let (options, reporter) = (self.cache_pull_options(), self.reporter.as_ref());
        Ok(provenv_registry::fetch(&self.store, &reference, blobs, &options, reporter).await?)
    }

    /// Brings the files of a lock that no index has from where they were seen, as far as they are to be had there.
    pub(crate) async fn bring_built(&self, lock: &Lock) -> Result<()> {
        for digest in built(lock) {
            if self.store.contains(&digest) || self.offline {
                continue;
            }
            for (registry, repository, size) in self.catalogue.remote_blob(&digest).await? {
                let reference: Reference = format!("{registry}/{repository}").parse()?;
                let (options, reporter) = (self.cache_pull_options(), self.reporter.as_ref());
                let blobs = [(digest, size)];
                match provenv_registry::fetch(&self.store, &reference, &blobs, &options, reporter).await {
                    Ok(()) => break,
                    // Whoever needs it says that it is missing.
                    Err(error) => tracing::info!(%digest, %error, "not to be had from the registry"),
                }
            }
        }
        Ok(())
    }

    fn cache_pull_options(&self) -> PullOptions {
        PullOptions { mirrors: std::collections::BTreeMap::new(), ..self.pull_options() }
    }
}
