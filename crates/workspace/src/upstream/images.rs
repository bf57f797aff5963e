//! The images that a server has of a version: known here by name, and fetched from its registry once their bytes are needed.

use std::path::Path;

use provenv_definition::{Digest, Platform};
use provenv_image::form::Form;
use provenv_image::oci::Image;
use provenv_registry::{Reference, Repository};
use serde::{Deserialize, Serialize};

use crate::building::digits_of;
use crate::environments::Given;
use crate::error::with_causes;
use crate::image_file;
use crate::proof::registry_options;
use crate::{Error, ImageDetails, Remote, RemoteError, Result, Workspace};

/// The repository of all images of a workspace.
const ALL: &str = "provenv/images";

/// An image as one workspace tells another of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToldImage {
    /// What it is like.
    #[serde(flatten)]
    form: Form,
    /// It.
    image: Image,
    /// What its packages say of themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    abouts: Option<serde_json::Value>,
}

impl Workspace {
    /// The images that a lock has here, for another workspace.
    pub async fn told_images(&self, lock: &Digest) -> Result<Vec<ToldImage>> {
        let whole = self.catalogue.lock(lock).await?.ok_or_else(|| Error::NoImage(lock.to_string()))?;
        let mut told = Vec::new();
        for row in self.catalogue.images_by_lock(lock).await? {
            let abouts = match whole.platforms.get(&row.platform) {
                Some(lock) => {
                    let _pin = self.store.pin()?;
                    self.told_abouts(lock, row.platform).await?
                }
                None => None,
            };
            let abouts = abouts.and_then(|part| serde_json::from_slice(&part.bytes).ok());
            told.push(ToldImage { form: row.form, image: row.image, abouts });
        }
        Ok(told)
    }

    /// Makes the images known here that the server has of a version.
    pub(super) async fn mirror_images(
        &self,
        remote: &Remote,
        name: &str,
        version: &str,
        lock: &Digest,
    ) -> Result<()> {
        for told in remote.told_images(name, version).await? {
            let ToldImage { form, image, abouts } = told;
            if self.known_image(lock, image.platform, form).await?.is_none() {
                self.mirror_image(remote, lock, form, &image).await?;
            }
            let whole = self.catalogue.lock(lock).await?;
            let packages = whole.as_ref().and_then(|lock| lock.platforms.get(&image.platform));
            if let (Some(packages), Some(abouts)) = (packages, abouts)
                && self.lacks_abouts(packages).await?
                && let Err(why) = self.take_abouts(packages, abouts.to_string().as_bytes()).await?
            {
                self.reporter
                    .note(&format!("what the server tells of the image's packages is not taken: {why}"));
            }
        }
        Ok(())
    }

    async fn mirror_image(&self, remote: &Remote, lock: &Digest, form: Form, image: &Image) -> Result<()> {
        let place = format!("{}/{}/{ALL}", remote.registry(), remote.name());
        let reference: Reference = place.parse()?;
        let mut options = registry_options(&self.config, false);
        options.keychain = self.keychain();
        let reader = Repository::to_read(&reference, &options)?;
        let unsound = |what: String| -> Error {
            RemoteError::Answer { url: format!("{}v2/", remote.server()), what }.into()
        };
        let manifest = reader.manifest(&image.manifest.to_string()).await?;
        // It was collected a moment ago: it is made again where it is needed.
        let Some(manifest) = manifest else { return Ok(()) };
        let config = reader.blob(&image.config, image.config_size).await?;
        image_file::check(image, &manifest.bytes, &config).map_err(unsound)?;
        if image_file::form(&manifest.bytes, &config) != form {
            return Err(unsound(format!("{} is of another form than it is said to be", image.manifest)));
        }
        self.store.put(&manifest.bytes)?;
        self.store.put(&config)?;
        self.catalogue.record_remote_image(lock, form, image, &place).await?;
        Ok(())
    }

    /// Whether a repository is the server's own.
    pub(crate) fn is_upstream(&self, repository: &str) -> bool {
        self.upstream
            .as_ref()
            .is_some_and(|remote| repository == format!("{}/{}/{ALL}", remote.registry(), remote.name()))
    }

    /// All about an image that the server has; `None` where it is not the server's to say.
    pub(crate) async fn upstream_image(
        &self,
        reference: &str,
        folder: &Path,
    ) -> Result<Option<ImageDetails>> {
        let Some(remote) = &self.upstream else { return Ok(None) };
        let known = |error: Error| match Remote::code(&error) {
            Some("image-not-built") => Error::NoImage(reference.to_owned()),
            _ => error,
        };
        if let Some(digits) = digits_of(reference) {
            match remote.image(&["images", digits]).await.map_err(known) {
                Err(Error::NoImage(_)) if !reference.starts_with("sha256:") => {}
                found => return found.map(Some),
            }
        }
        let Some((name, version)) = Self::upstream_version(reference, folder) else { return Ok(None) };
        match remote.image(&["environments", &name, "versions", &version, "image"]).await {
            // A folder of that name may be meant.
            Err(error) if Remote::code(&error) == Some("environment-not-found") => Ok(None),
            found => found.map(Some).map_err(known),
        }
    }

    /// Lets the server build what is to run here and has no image yet. Where it does not, the image is assembled here: it is the
    /// same.
    pub(crate) async fn build_upstream(&self, given: &Given, platform: Platform) -> Result<()> {
        let (Some(remote), Some(row)) = (&self.upstream, &given.row) else { return Ok(()) };
        if !self.catalogue.forms(&row.lock, platform).await?.is_empty()
            || self.known_image(&row.lock, platform, self.form()).await?.is_some()
            || self.offline
        {
            return Ok(());
        }
        let built = async {
            let job = remote.ask_build(&row.name, &row.version, Some(platform)).await?;
            if job.ended_at.is_none() {
                self.reporter
                    .note(&format!("build {} of {}:{} on the server", job.id, job.environment, job.version));
                return remote.follow(&job, |line| tracing::debug!(line, "the server builds")).await;
            }
            Ok(job)
        };
        match built.await {
            Ok(job) if job.status == "succeeded" => {
                self.mirror_images(remote, &row.name, &row.version, &row.lock).await
            }
            Ok(job) => {
                let why = job.error.map(|error| error.to_string()).unwrap_or(job.status);
                self.reporter.note(&format!("the image is assembled here, since the server did not: {why}"));
                Ok(())
            }
            Err(error) => {
                let why = with_causes(&error);
                self.reporter.note(&format!("the image is assembled here, since the server does not: {why}"));
                Ok(())
            }
        }
    }
}

impl Remote {
    async fn told_images(&self, name: &str, version: &str) -> Result<Vec<ToldImage>> {
        #[derive(Deserialize)]
        struct Told {
            images: Vec<ToldImage>,
        }
        let path = ["environments", name, "versions", version, "images"];
        Ok(self.json::<Told>(self.asking(&path, &[])).await?.images)
    }

    async fn image(&self, path: &[&str]) -> Result<ImageDetails> {
        self.json(self.asking(path, &[])).await
    }
}
