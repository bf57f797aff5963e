//! Images in one file, with all that they are made of, for a place without a network.

mod import;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use provenv_definition::{Digest, Environment, Platform};
use provenv_image::base_image::Manifest;
use provenv_image::export::write_bundle;
use provenv_image::form::Form;
use provenv_image::oci::Image;
use provenv_image::proof::artifact::Descriptor;
use provenv_image::proof::{Part, Referrer};
use provenv_lock::{Artifact, PlatformLock, PostLink, PypiSource};
use serde::{Deserialize, Serialize};

use crate::image_file::{IMAGE_TYPE, ImageFile};
use crate::proof::{Check, Outcome};
use crate::{Error, Result, Workspace};

pub use import::ImportOptions;

/// What a bundle holds besides an image: the record of it, and the files that it is made of.
const BUNDLE_TYPE: &str = "application/vnd.provenv.bundle.v1+json";
/// The environment that it is the image of, where it was exported by a registered name.
const ENVIRONMENT_TYPE: &str = "application/vnd.provenv.environment.v1+json";
/// A file that the image is made of.
pub(crate) const ARTIFACT_TYPE: &str = "application/octet-stream";

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
    /// What was checked before it was taken, where that was asked for or needed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
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
    /// There is no such file.
    #[error("there is no bundle `{}`", .0.display())]
    Missing(PathBuf),
    /// A part of it is not what it should be.
    #[error("the bundle `{}` cannot be taken: {what}", file.display())]
    Unsound {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// An image that is not what was asked of it.
    #[error("the image {image} in the bundle `{}` is refused: {}", file.display(), failed(checks))]
    Refused {
        /// The file.
        file: PathBuf,
        /// The image.
        image: Digest,
        /// What was checked.
        checks: Vec<Check>,
    },
    /// An image of a lock of which another is here.
    #[error("the bundle `{}` holds the image {image}, and what was made here of the same lock is {here}", file.display())]
    OtherImage {
        /// The file.
        file: PathBuf,
        /// The image in it.
        image: Digest,
        /// The image that is here.
        here: Digest,
    },
    /// An image of a lock that is known here, which cannot be made here.
    #[error(
        "the image {image} in the bundle `{}` cannot be made again here, and its lock {lock} is in use here already",
        file.display()
    )]
    Unproven {
        /// The file.
        file: PathBuf,
        /// The image.
        image: Digest,
        /// Its lock.
        lock: Digest,
    },
    /// A version that is something else here.
    #[error("the bundle `{}` holds `{environment}`, and something else is registered here by that name", file.display())]
    Taken {
        /// The file.
        file: PathBuf,
        /// `name:version`.
        environment: String,
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

/// What failed, and why.
fn failed(checks: &[Check]) -> String {
    let failed = checks.iter().filter(|check| check.outcome == Outcome::Failed);
    failed.map(|check| format!("{}: {}", check.name, check.detail)).collect::<Vec<_>>().join("; ")
}

impl BundleError {
    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Missing(_) => "check its path; `provenv bundle export ENVIRONMENT --to FILE` writes one".into(),
            Self::Empty(_) => "`provenv bundle export` writes one".into(),
            Self::Unsound { .. } => "export it anew, with the same version of provenv or an older one".into(),
            Self::Refused { .. } => "nothing of the bundle was taken; ask whoever made it".into(),
            Self::OtherImage { .. } => {
                "nothing of the bundle was taken: one of the two is not what the lock makes; `provenv image verify IMAGE \
                 --rebuild` says whether it is the one here"
                    .into()
            }
            Self::Unproven { .. } => {
                "let its signature vouch for it: `provenv bundle import FILE --key KEY`".into()
            }
            Self::Taken { .. } => "take its image without the name: `provenv bundle import FILE --no-register`".into(),
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
            self.bring_base_of(&record.lock, image.platform).await?;
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
            // Before it was noted there was but one.
            let form = origin.form.unwrap_or_else(|| Form::of_epoch(1));
            let known = ImageFile { form, image: image.clone() };
            let mut parts = record.parts()?;
            parts.push(json_part(IMAGE_TYPE, &known)?);
            parts.extend(self.told_abouts(lock, image.platform).await?);
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
                checks: Vec::new(),
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
        if let Some(digest) = lock.base.manifest() {
            let name = lock.base.image().map_or("what the Dockerfile made", |image| &image.reference);
            let lost = || BundleError::Lost { reference: reference.to_owned(), what: name.to_owned() };
            let manifest = Manifest::parse(&self.store.read(digest)?).map_err(|_| lost())?;
            files.push((name.to_owned(), *digest));
            files.extend(manifest.blobs().map(|(digest, _)| (name.to_owned(), digest)));
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
}

pub(crate) fn json_part(media_type: &str, value: &impl Serialize) -> Result<Part> {
    let bytes = serde_json::to_vec(value).map_err(|error| Error::Io {
        what: "could not write what is known of an image".to_owned(),
        source: error.into(),
    })?;
    Ok(Part { media_type: media_type.to_owned(), bytes, annotations: [].into() })
}

impl From<BundleError> for Error {
    fn from(error: BundleError) -> Self {
        Self::Bundle(Box::new(error))
    }
}
