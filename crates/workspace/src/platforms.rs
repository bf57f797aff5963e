//! One name for the images of several platforms: an index (OCI image specification, `image-index.md`).

use std::path::Path;

use provenv_definition::{Digest, Platform};
use provenv_image::base_image::INDEX_TYPE;
use provenv_registry::{Reference, Repository};
use serde::Serialize;

use crate::building::{BuildOptions, Built, Target, blobs_of};
use crate::cache::plain_index;
use crate::catalogue::Which;
use crate::locking::platforms_of;
use crate::proof::registry_options;
use crate::{Error, Result, Workspace};

/// What building for every platform came to.
#[derive(Clone, Debug, Serialize)]
pub struct BuiltAll {
    /// The index of the images.
    pub index: Digest,
    /// The images, by platform.
    pub images: Vec<Built>,
    /// Where the index went.
    pub exported: Vec<String>,
}

impl Workspace {
    /// Builds for every platform of a definition, and pushes the images as one to each registry in `options.to`. Those for other
    /// machines are taken from the shared cache: none is assembled on another platform.
    pub async fn build_all(
        &self,
        reference: &str,
        folder: &Path,
        options: &BuildOptions,
    ) -> Result<BuiltAll> {
        let destinations = options.to.iter().map(|text| place(text)).collect::<Result<Vec<_>>>()?;
        let given = self.given(reference, folder).await?;
        let mut platforms = platforms_of(&given.environment.definition);
        // What this machine makes, the others may need: one lock for all.
        platforms.sort_by_key(|platform| (*platform != Platform::host(), platform.as_str()));
        let mut images = Vec::with_capacity(platforms.len());
        for platform in platforms {
            let one = BuildOptions { platform: Some(platform), to: Vec::new(), ..options.clone() };
            let built = self.build(reference, folder, &one).await.map_err(|error| match error {
                Error::Unsupported(message) => Error::Arguments {
                    message,
                    hint: format!(
                        "build it with --push on a machine that is {platform}, with the same shared cache: it is found there \
                         (docs/how-to/share-a-cache.md)"
                    ),
                },
                error => error,
            })?;
            images.push(built);
        }
        images.sort_by_key(|built| built.platform.as_str());
        let pin = self.store.pin()?;
        let mut whole = Vec::with_capacity(images.len());
        for built in &images {
            // Nobody needs the layers who sends them nowhere.
            let rows = self.catalogue.known_images(Which::Digits(&built.image.hex())).await?;
            let image = rows.into_iter().map(|row| row.image).next();
            whole.push(image.ok_or_else(|| Error::NoImage(built.image.to_string()))?);
        }
        let index = plain_index(&whole.iter().collect::<Vec<_>>());
        let mut holds = Vec::new();
        if !destinations.is_empty() {
            for image in &whole {
                self.whole_image(&image.manifest).await?;
                holds.push(pin.hold(&blobs_of(image))?);
            }
        }
        drop(pin);
        for destination in &destinations {
            for image in &whole {
                self.push_as(image, destination, true, options.insecure).await?;
            }
            let registry = registry_options(&self.config, options.insecure);
            Repository::to_write(destination, &registry)?.put(destination.tag(), INDEX_TYPE, &index).await?;
        }
        Ok(BuiltAll {
            index: Digest::of(&index),
            images,
            exported: destinations.iter().map(Reference::to_string).collect(),
        })
    }
}

/// A place for an index.
fn place(text: &str) -> Result<Reference> {
    match Target::parse(text)? {
        Target::Registry(reference) => Ok(reference),
        Target::File(_) | Target::Prefix(_) => Err(Error::Arguments {
            message: format!("`{text}` takes the image of one platform"),
            hint: "name a registry, HOST/NAME:TAG, or one platform".to_owned(),
        }),
    }
}
