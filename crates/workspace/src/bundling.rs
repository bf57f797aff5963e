//! Images in one file, with all that they are made of, for a place without a network.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use provenv_definition::{Definition, Digest, Environment, Platform, definition_digest};
use provenv_image::base_image::Manifest;
use provenv_image::export::{read_bundle, write_bundle};
use provenv_image::form::Form;
use provenv_image::oci::Image;
use provenv_image::proof::artifact::Descriptor;
use provenv_image::proof::provenance::{DEFINITION_TYPE, LOCK_TYPE, RECEIPT_TYPE};
use provenv_image::proof::{Part, Referrer};
use provenv_lock::{Artifact, Lock, PlatformLock, PostLink, PypiSource, Receipt};
use serde::{Deserialize, Serialize};

use crate::building::{blobs_of, is_whole};
use crate::catalogue::{NewEnvironment, Same};
use crate::environments::content_digest;
use crate::proof::ImageManifest;
use crate::{Error, Result, Workspace, user_name};

/// What a bundle holds besides an image: the record of it, and the files that it is made of.
const BUNDLE_TYPE: &str = "application/vnd.provenv.bundle.v1+json";
/// What the workspace knows of the image itself.
const IMAGE_TYPE: &str = "application/vnd.provenv.image.v1+json";
/// The environment that it is the image of, where it was exported by a registered name.
const ENVIRONMENT_TYPE: &str = "application/vnd.provenv.environment.v1+json";
/// A file that the image is made of.
const ARTIFACT_TYPE: &str = "application/octet-stream";

/// A bundle that was written or read.
#[derive(Clone, Debug, Serialize)]
pub struct Bundled {
    /// The file.
    pub file: PathBuf,
    /// Its images.
    pub images: Vec<BundledImage>,
}

/// An image of a bundle.
#[derive(Clone, Debug, Serialize)]
pub struct BundledImage {
    /// The image.
    pub image: Digest,
    /// What it runs on.
    pub platform: Platform,
    /// `name:version` of the environment that it is the image of, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// How many files it is made of.
    pub artifacts: usize,
    /// How many proofs go with it.
    pub proofs: usize,
}

/// An image as the catalogue has it.
#[derive(Serialize, Deserialize)]
struct ImageFile {
    #[serde(flatten)]
    form: Form,
    image: Image,
}

/// A registered version.
#[derive(Serialize, Deserialize)]
struct EnvironmentFile {
    name: String,
    version: String,
    environment: Environment,
}

/// Why a file is not taken as a bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It holds no image of ours.
    #[error("`{}` is not a bundle: it holds no image with its record", .0.display())]
    Empty(PathBuf),
    /// A part of it is not what it should be.
    #[error("the bundle `{}` cannot be taken: {what}", file.display())]
    Unsound {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// What an image is made of is neither in the store nor anywhere else.
    #[error(
        "{what}, which the image of `{reference}` is made of, is no longer in the store, and was made here"
    )]
    Lost {
        /// The image.
        reference: String,
        /// The file.
        what: String,
    },
}

impl BundleError {
    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Empty(_) => "`provenv bundle export` writes one".into(),
            Self::Unsound { .. } => "export it anew, with the same version of provenv or an older one".into(),
            Self::Lost { .. } => "lock and build it again".into(),
        })
    }
}

impl Workspace {
    /// Writes the images of environments, files or digests to `file`, each with its lock, definition, receipt and proofs, and
    /// with every file that it is made of; those that are not here any more are fetched.
    pub async fn export_bundle(&self, references: &[String], folder: &Path, file: &Path) -> Result<Bundled> {
        let pin = self.store.pin()?;
        let (mut images, mut referrers, mut shown) = (Vec::new(), Vec::new(), Vec::new());
        for reference in references {
            let origin = self.origin(reference, folder).await?;
            let image = self.whole_image(&origin.image).await?;
            if images.iter().any(|(one, _): &(Image, String)| one.manifest == image.manifest) {
                continue;
            }
            let record = self.record_of(origin.clone()).await?;
            let lock = record.lock.platforms.get(&image.platform).ok_or(Error::NoPlatform(image.platform))?;
            self.distrust_indexes(&record.lock).await?;
            let mut layers = Vec::new();
            for (name, digest) in self.artifacts_of(lock, reference).await? {
                let size = self.store.size(&digest)?.unwrap_or_default();
                let title = ("org.opencontainers.image.title".to_owned(), name);
                let annotations = [title].into();
                layers.push(Descriptor { media_type: ARTIFACT_TYPE.to_owned(), digest, size, annotations });
            }
            let artifacts = layers.len();
            let registered = self.given(reference, folder).await.ok().and_then(|given| given.row);
            let environment = registered.as_ref().map(|row| format!("{}:{}", row.name, row.version));
            let known =
                ImageFile { form: origin.form.unwrap_or_else(|| Form::of_epoch(1)), image: image.clone() };
            let mut parts = record.parts()?;
            parts.push(json_part(IMAGE_TYPE, &known)?);
            if let Some(row) = registered {
                let registered =
                    EnvironmentFile { name: row.name, version: row.version, environment: row.environment };
                parts.push(json_part(ENVIRONMENT_TYPE, &registered)?);
            }
            for part in &parts {
                let (digest, size) = (self.store.put(&part.bytes)?, part.bytes.len() as u64);
                let media_type = part.media_type.clone();
                layers.push(Descriptor { media_type, digest, size, annotations: [].into() });
            }
            let subject = (image.manifest, image.manifest_size);
            let bundle = Referrer::of(&self.store, subject, BUNDLE_TYPE, [].into(), layers)?;
            let proofs = self.referrers_of(&image.manifest).await?;
            shown.push(BundledImage {
                image: image.manifest,
                platform: image.platform,
                environment: environment.clone(),
                artifacts,
                proofs: proofs.len(),
            });
            referrers.push(bundle);
            referrers.extend(proofs);
            let name = environment.unwrap_or_else(|| image.manifest.hex());
            images.push((image, name));
        }
        let (store, reporter, path) = (self.store.clone(), Arc::clone(&self.reporter), folder.join(file));
        let written = path.clone();
        tokio::task::spawn_blocking(move || {
            write_bundle(&store, &images, &referrers, &written, reporter.as_ref())
        })
        .await??;
        drop(pin);
        Ok(Bundled { file: path, images: shown })
    }

    /// Every file that the image of `lock` is made of, by name, all of them in the store.
    async fn artifacts_of(&self, lock: &PlatformLock, reference: &str) -> Result<Vec<(String, Digest)>> {
        let mut fetched: Vec<&Artifact> = lock.debian.iter().map(|package| &package.artifact).collect();
        fetched.extend(lock.conda.iter().map(|package| &package.artifact));
        let mut files = Vec::new();
        self.bring_base_of(lock).await?;
        if let Some(base) = lock.base.image() {
            let lost = || BundleError::Lost { reference: reference.to_owned(), what: base.reference.clone() };
            let manifest = Manifest::parse(&self.store.read(&base.manifest)?).map_err(|_| lost())?;
            files.push((base.reference.clone(), base.manifest));
            files.extend(manifest.blobs().map(|(digest, _)| (base.reference.clone(), digest)));
        }
        for package in &lock.pypi {
            match &package.source {
                PypiSource::Wheel(artifact) => fetched.push(artifact),
                PypiSource::Built { sha256, .. } => files.push((package.wheel.clone(), *sha256)),
            }
        }
        if let Some(PostLink::Run { layer: Some(layer) }) = &lock.post_link {
            files.push(("what scripts of conda packages left".to_owned(), layer.sha256));
        }
        if let Some((what, _)) = files.iter().find(|(_, digest)| !self.store.contains(digest)) {
            return Err(BundleError::Lost { reference: reference.to_owned(), what: what.clone() }.into());
        }
        for artifact in fetched {
            let size = (artifact.size > 0).then_some(artifact.size);
            if !self.store.contains(&artifact.sha256) {
                self.fetcher().await?.artifact(&artifact.url, &artifact.sha256, size).await?;
            }
            let name = artifact.url.file_name().unwrap_or("file").to_owned();
            files.push((name, artifact.sha256));
        }
        Ok(files)
    }

    /// Takes over what is in the bundle `file`: images, their records, proofs and files. Where the workspace has a current lock
    /// of a definition, that stays; a registered version is taken where there is none of its name.
    pub async fn import_bundle(&self, file: &Path) -> Result<Bundled> {
        let _pin = self.store.pin()?;
        let (store, reporter, path) = (self.store.clone(), Arc::clone(&self.reporter), file.to_owned());
        let read = tokio::task::spawn_blocking(move || read_bundle(&store, &path, reporter.as_ref())).await?;
        let digests = read.map_err(|error| match error {
            provenv_image::export::Error::Read { source, .. } => {
                Error::from(BundleError::Unsound { file: file.to_owned(), what: source.to_string() })
            }
            error => error.into(),
        })?;
        let mut referrers = Vec::new();
        for digest in digests.iter().filter(|digest| self.store.contains(digest)) {
            if let Ok(referrer) = Referrer::parse(&self.store.read(digest)?) {
                referrers.push(referrer);
            }
        }
        let mut images = Vec::new();
        for bundle in referrers.iter().filter(|referrer| referrer.artifact_type == BUNDLE_TYPE) {
            let others = || {
                let of_image = referrers.iter().filter(|one| one.subject == bundle.subject);
                of_image.filter(|one| one.artifact_type != BUNDLE_TYPE)
            };
            let mut image = self.import_image(bundle, file).await?;
            for referrer in others() {
                if referrer.blobs().iter().all(|(digest, _)| self.store.contains(digest)) {
                    self.catalogue.record_proof(referrer, None, &user_name()).await?;
                    image.proofs += 1;
                }
            }
            images.push(image);
        }
        if images.is_empty() {
            return Err(BundleError::Empty(file.to_owned()).into());
        }
        Ok(Bundled { file: file.to_owned(), images })
    }

    async fn import_image(&self, bundle: &Referrer, file: &Path) -> Result<BundledImage> {
        let unsound = |what: String| BundleError::Unsound { file: file.to_owned(), what };
        let part = |media_type: &str| -> Result<Option<Vec<u8>>> {
            let layer = bundle.layers.iter().find(|layer| layer.media_type == media_type);
            layer.map(|layer| Ok(self.store.read(&layer.digest)?)).transpose()
        };
        let needed = |media_type: &str| -> Result<Vec<u8>> {
            part(media_type)?.ok_or_else(|| unsound(format!("it has no {media_type}")).into())
        };
        let broken = |error: serde_json::Error| unsound(error.to_string());
        let missing = bundle.layers.iter().find(|layer| !self.store.contains(&layer.digest));
        if let Some(missing) = missing {
            return Err(unsound(format!("it has no {}", missing.digest)).into());
        }
        let lock_bytes = needed(LOCK_TYPE)?;
        let lock = Lock::from_bytes(&lock_bytes).map_err(broken)?;
        let definition: Definition = serde_json::from_slice(&needed(DEFINITION_TYPE)?).map_err(broken)?;
        let receipt_text = String::from_utf8(needed(RECEIPT_TYPE)?)
            .map_err(|error| unsound(format!("its receipt is no text: {error}")))?;
        let receipt: Receipt = serde_json::from_str(&receipt_text).map_err(broken)?;
        let ImageFile { form, image } = serde_json::from_slice(&needed(IMAGE_TYPE)?).map_err(broken)?;

        let digest = Digest::of(&lock_bytes);
        if lock.digest() != digest || receipt.lock != digest || receipt.definition != lock.definition {
            return Err(unsound("its lock, receipt and definition do not belong together".to_owned()).into());
        }
        if definition_digest(&definition) != lock.definition {
            return Err(unsound("its lock is of another definition".to_owned()).into());
        }
        self.usable(&definition, &lock, file).await?;
        self.is_as_said(&image, bundle).map_err(unsound)?;

        self.catalogue.import_resolution(&definition, &lock, &receipt, &receipt_text).await?;
        self.catalogue.record_image(&digest, form, &image).await?;
        let environment = match part(ENVIRONMENT_TYPE)? {
            Some(bytes) => {
                let registered: EnvironmentFile = serde_json::from_slice(&bytes).map_err(broken)?;
                if registered.environment.definition != definition {
                    return Err(unsound("its environment has another definition".to_owned()).into());
                }
                if crate::is_curated(&registered.name) {
                    None
                } else {
                    Some(self.import_environment(&registered, &receipt, &receipt_text).await?)
                }
            }
            None => None,
        };
        Ok(BundledImage {
            image: image.manifest,
            platform: image.platform,
            environment,
            artifacts: bundle.layers.iter().filter(|layer| layer.media_type == ARTIFACT_TYPE).count(),
            proofs: 0,
        })
    }

    async fn import_environment(
        &self,
        registered: &EnvironmentFile,
        receipt: &Receipt,
        receipt_text: &str,
    ) -> Result<String> {
        let new = NewEnvironment {
            name: &registered.name,
            version: Some(&registered.version),
            content: content_digest(&registered.environment),
            definition: receipt.definition,
            receipt: Digest::of(receipt_text.as_bytes()),
            lock: receipt.lock,
            environment: &registered.environment,
            created_by: &user_name(),
            same: Same::ContentAndLock,
        };
        let (row, _) = self.catalogue.register(&new).await?;
        Ok(format!("{}:{}", row.name, row.version))
    }

    /// Whether the manifest and the configuration, whose digests vouch for all else, say what `image` says.
    fn is_as_said(&self, image: &Image, bundle: &Referrer) -> Result<(), String> {
        #[derive(Deserialize)]
        struct Config {
            rootfs: RootFs,
        }
        #[derive(Deserialize)]
        struct RootFs {
            diff_ids: Vec<Digest>,
        }
        if image.manifest != bundle.subject || !is_whole(&self.store, image) {
            return Err("an image is not all there".to_owned());
        }
        let read = |digest: &Digest| self.store.read(digest).map_err(|error| error.to_string());
        let manifest = read(&image.manifest)?;
        let stated: ImageManifest = serde_json::from_slice(&manifest).map_err(|error| error.to_string())?;
        let config: Config =
            serde_json::from_slice(&read(&image.config)?).map_err(|error| error.to_string())?;
        let layers = image.layers.iter().map(|layer| (layer.digest, layer.size));
        let same = manifest.len() as u64 == image.manifest_size
            && (stated.config.digest, stated.config.size) == (image.config, image.config_size)
            && stated.layers.iter().map(|layer| (layer.digest, layer.size)).eq(layers)
            && config.rootfs.diff_ids.iter().eq(image.layers.iter().map(|layer| &layer.diff_id))
            && blobs_of(image).blobs.iter().all(|digest| self.store.contains(digest));
        if same { Ok(()) } else { Err("an image is not what its manifest says".to_owned()) }
    }
}

fn json_part(media_type: &str, value: &impl Serialize) -> Result<Part> {
    let bytes = serde_json::to_vec(value)
        .map_err(|error| Error::Io { what: "could not write the bundle".to_owned(), source: error.into() })?;
    Ok(Part { media_type: media_type.to_owned(), bytes, annotations: [].into() })
}

impl From<BundleError> for Error {
    fn from(error: BundleError) -> Self {
        Self::Bundle(Box::new(error))
    }
}
