//! An image that is to be checked, and what is attached to it, from wherever it is.

use std::collections::BTreeMap;
use std::path::Path;

use provenv_definition::{Digest, Platform};
use provenv_image::export;
use provenv_image::form::Form;
use provenv_image::proof::provenance::{DEFINITION_TYPE, LOCK_TYPE};
use provenv_image::proof::{dsse, simple_signing};
use provenv_registry::{Options, Reference};
use serde::Deserialize;

use super::ProofError;
use super::place::ImagePlace;
use super::signing::registry_options;
use crate::{Result, Workspace};

/// The kinds of files that are looked for.
const WANTED: [&str; 4] = [dsse::ENVELOPE_TYPE, simple_signing::PAYLOAD_TYPE, LOCK_TYPE, DEFINITION_TYPE];

/// An image, and what is attached to it.
pub(crate) struct Evidence {
    /// The image's manifest.
    pub image: Digest,
    /// What the manifest says.
    pub manifest: ImageManifest,
    /// What the image runs on.
    pub platform: Platform,
    /// The form that it says it has.
    pub form: Form,
    /// Media types and bytes of what is attached to it.
    attached: Vec<(String, Vec<u8>)>,
    /// The first blob that is not what it should be; `None` in it if all were read and are right.
    pub contents: Option<Result<usize, String>>,
}

/// What is read of an image's manifest.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ImageManifest {
    pub config: Blob,
    pub layers: Vec<Blob>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Blob {
    pub digest: Digest,
    pub size: u64,
}

#[derive(Deserialize)]
struct ImageConfig {
    architecture: String,
    os: String,
    #[serde(default)]
    config: Option<RuntimeConfig>,
}

#[derive(Deserialize)]
struct RuntimeConfig {
    #[serde(default, rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

impl Evidence {
    /// Of an image that somebody else has gathered: its configuration, what is attached, by media type, and whether its blobs
    /// are right. `shown` is what it is called.
    pub(crate) fn new(
        image: Digest,
        manifest: ImageManifest,
        config: &[u8],
        attached: Vec<(String, Vec<u8>)>,
        contents: Option<Result<usize, String>>,
        shown: &str,
    ) -> Result<Self> {
        let (platform, form) = said(&manifest, config, shown)?;
        Ok(Self { image, manifest, platform, form, attached, contents })
    }

    /// Whether files of this kind say something of an image.
    pub(crate) fn wants(media_type: &str) -> bool {
        WANTED.contains(&media_type)
    }

    /// What is attached and of this media type.
    pub(crate) fn of_type(&self, media_type: &str) -> impl Iterator<Item = &[u8]> {
        self.attached.iter().filter(move |(kind, _)| kind == media_type).map(|(_, bytes)| bytes.as_slice())
    }
}

impl Workspace {
    /// Gathers what there is to know of the image at `place`, which the user calls `shown`. Paths count from `folder`.
    pub(crate) async fn evidence(
        &self,
        place: &ImagePlace,
        shown: &str,
        folder: &Path,
        insecure: bool,
    ) -> Result<Evidence> {
        match place {
            ImagePlace::Here(reference) => self.evidence_here(reference, folder).await,
            ImagePlace::Layout(path, tag) => {
                let (path, tag, shown) = (path.clone(), tag.clone(), shown.to_owned());
                tokio::task::spawn_blocking(move || in_layout(&path, tag.as_deref(), &shown)).await?
            }
            ImagePlace::Registry(reference, digest) => {
                let options = registry_options(&self.config, insecure);
                in_registry(reference, digest.as_ref(), shown, &options).await
            }
        }
    }

    async fn evidence_here(&self, reference: &str, folder: &Path) -> Result<Evidence> {
        let origin = self.origin(reference, folder).await?;
        let pin = self.store.pin()?;
        let image = self.whole_image(&origin.image).await?;
        let _hold = pin.hold(&crate::building::blobs_of(&image))?;
        drop(pin);
        let mut attached = Vec::new();
        for referrer in self.referrers_of(&image.manifest).await? {
            for layer in referrer.layers.into_iter().filter(|layer| Evidence::wants(&layer.media_type)) {
                attached.push((layer.media_type, self.store.read(&layer.digest)?));
            }
        }
        let manifest = parse(&self.store.read(&image.manifest)?, reference)?;
        let (_, form) = said(&manifest, &self.store.read(&image.config)?, reference)?;
        let (store, blobs) = (self.store.clone(), image.blobs());
        let contents = tokio::task::spawn_blocking(move || {
            all_right(blobs.iter().map(|(digest, size)| export::problem(&store.path(digest), digest, *size)))
        })
        .await?;
        Ok(Evidence {
            image: image.manifest,
            manifest,
            platform: image.platform,
            form,
            attached,
            contents: Some(contents),
        })
    }
}

fn in_layout(folder: &Path, tag: Option<&str>, shown: &str) -> Result<Evidence> {
    let layout = export::open(folder, tag)?;
    let &[image] = layout.images.as_slice() else {
        return Err(ProofError::NotOne { place: shown.to_owned(), found: layout.images.len() }.into());
    };
    let manifest = parse(&layout.read(&image)?, shown)?;
    let (platform, form) = said(&manifest, &layout.read(&manifest.config.digest)?, shown)?;
    let blobs = [&manifest.config].into_iter().chain(&manifest.layers);
    let contents = all_right(blobs.map(|blob| layout.problem(&blob.digest, blob.size)));
    Ok(Evidence {
        image,
        manifest,
        platform,
        form,
        attached: layout.attached(&WANTED)?,
        contents: Some(contents),
    })
}

pub(super) async fn in_registry(
    reference: &Reference,
    digest: Option<&Digest>,
    shown: &str,
    options: &Options,
) -> Result<Evidence> {
    let found = provenv_registry::manifest(reference, digest, options).await?;
    let found = found.ok_or_else(|| ProofError::NotInRegistry(shown.to_owned()))?;
    let manifest = parse(&found.bytes, shown)?;
    let config = &manifest.config;
    let config = provenv_registry::small_blob(reference, &config.digest, config.size, options).await?;
    let attached = provenv_registry::attached(reference, &found.digest, &WANTED, options).await?;
    let (platform, form) = said(&manifest, &config, shown)?;
    Ok(Evidence {
        image: found.digest,
        platform,
        form,
        manifest,
        attached: attached.into_iter().map(|file| (file.media_type, file.bytes)).collect(),
        contents: None,
    })
}

fn parse(bytes: &[u8], shown: &str) -> Result<ImageManifest> {
    let value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| ProofError::Manifest(shown.to_owned(), error))?;
    if value.get("manifests").is_some() {
        return Err(ProofError::Index(shown.to_owned()).into());
    }
    serde_json::from_value(value).map_err(|error| ProofError::Manifest(shown.to_owned(), error).into())
}

/// What the image runs on, and its form, as manifest and configuration say it.
fn said(manifest: &ImageManifest, config: &[u8], shown: &str) -> Result<(Platform, Form)> {
    let wrong = |error| ProofError::Manifest(shown.to_owned(), error);
    let config: ImageConfig = serde_json::from_slice(config).map_err(wrong)?;
    let platform = format!("{}/{}", config.os, config.architecture);
    let platform = platform.parse().map_err(|error| wrong(serde::de::Error::custom(error)))?;
    let labels = config.config.and_then(|config| config.labels).unwrap_or_default();
    let annotations = manifest.annotations.clone().unwrap_or_default();
    Ok((platform, Form::stated(&annotations, &labels)))
}

/// How many blobs there are, or what is wrong with the first that is not right.
fn all_right(problems: impl Iterator<Item = Option<String>>) -> Result<usize, String> {
    let mut count = 0;
    for problem in problems {
        match problem {
            Some(problem) => return Err(problem),
            None => count += 1,
        }
    }
    Ok(count)
}
