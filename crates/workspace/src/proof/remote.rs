//! What a registry has of an image: its platforms, and what refers to it.

use std::collections::BTreeMap;
use std::path::Path;

use provenv_definition::Digest;
use provenv_image::base_image::Index;
use provenv_registry::{Listed, Repository};
use serde::Serialize;

use super::ProofError;
use super::place::ImagePlace;
use super::signing::registry_options;
use crate::{Error, Result, Workspace};

/// An image in a registry.
#[derive(Clone, Debug, Serialize)]
pub struct RemoteDetails {
    /// `HOST/NAME@DIGEST`.
    pub reference: String,
    /// What the name names: a manifest, or an index of several.
    pub digest: Digest,
    /// The images of an index by platform.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub platforms: BTreeMap<String, Digest>,
    /// What refers to it, or to one of its images.
    pub referrers: Vec<RemoteReferrer>,
}

/// What refers to an image.
#[derive(Clone, Debug, Serialize)]
pub struct RemoteReferrer {
    /// The image.
    pub subject: Digest,
    /// Digest of the manifest that refers to it.
    pub digest: Digest,
    /// Bytes of that.
    pub size: u64,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// What is said of it besides.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Workspace {
    /// What a registry has of the image that is called `reference` there, and of what refers to it.
    pub async fn remote_details(&self, reference: &str, insecure: bool) -> Result<RemoteDetails> {
        let bare = reference.strip_prefix("docker://").unwrap_or(reference);
        let place = ImagePlace::parse(&format!("docker://{bare}"), Path::new("/"))?;
        let ImagePlace::Registry(place, digest) = place else {
            return Err(Error::Arguments {
                message: format!("`{reference}` is no image in a registry"),
                hint: "write HOST/NAME:TAG or HOST/NAME@DIGEST".to_owned(),
            });
        };
        let repository = Repository::to_read(&place, &registry_options(&self.config, insecure))?;
        let name = digest.map_or_else(|| place.tag().to_owned(), |digest| digest.to_string());
        let found = repository.manifest(&name).await?;
        let found = found.ok_or_else(|| ProofError::NotInRegistry(reference.to_owned()))?;
        let mut platforms = BTreeMap::new();
        // What is no index has no images.
        if let Ok(Some(index)) = Index::parse(&found.bytes) {
            platforms.extend(index.images());
        }
        let mut referrers = Vec::new();
        for subject in [found.digest].into_iter().chain(platforms.values().copied()) {
            let listed = repository.referrers(&subject).await?;
            referrers.extend(listed.into_iter().map(|listed| {
                let Listed { digest, size, artifact_type: kind, annotations } = listed;
                RemoteReferrer { subject, digest, size, kind, annotations }
            }));
        }
        Ok(RemoteDetails {
            reference: place.with_digest(&found.digest),
            digest: found.digest,
            platforms,
            referrers,
        })
    }
}
