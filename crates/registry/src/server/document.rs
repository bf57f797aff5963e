//! What a manifest says, and whether it may be kept (image specification, `manifest.md` and `image-index.md`; docker's
//! schema 2, which clients still push).

use std::collections::BTreeMap;

use provenv_definition::Digest;
use serde::{Deserialize, Serialize};

use super::failure::{Code, Failure};
use super::index::{ManifestEntry, NewManifest};
use super::name;

/// The largest manifest that is taken: the specification asks for at least this.
pub(super) const LARGEST: usize = 4 * 1024 * 1024;

pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    urls: Vec<String>,
}

/// How a manifest is listed among the referrers of its subject ("Listing Referrers").
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Referrer<'a> {
    media_type: &'a str,
    digest: Digest,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<&'a BTreeMap<String, String>>,
}

/// A part of a manifest, and how many bytes it is said to have.
pub(super) struct Part {
    pub digest: Digest,
    pub size: u64,
}

/// A manifest that was read.
pub(super) struct Read {
    pub manifest: NewManifest,
    /// Its blobs and manifests, with their sizes.
    pub parts: Vec<Part>,
}

/// Reads a manifest that is pushed as `content_type`.
pub(super) fn read(bytes: &[u8], content_type: Option<&str>) -> Result<Read, Failure> {
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|error| invalid(format!("it is not the JSON of a manifest: {error}")))?;
    let content_type = content_type.map(|text| text.split(';').next().unwrap_or(text).trim());
    let media_type = match (content_type, document.media_type.as_deref()) {
        (Some(sent), Some(said)) if sent != said => {
            return Err(invalid(format!("it is sent as `{sent}`, and says that it is `{said}`")));
        }
        (Some(kind), _) | (None, Some(kind)) => kind.to_owned(),
        (None, None) => return Err(invalid("neither it nor its Content-Type says what it is")),
    };
    if document.schema_version != 2 {
        return Err(invalid(format!("it has schemaVersion {}, and 2 is known", document.schema_version)));
    }
    // One that can be read as either would be two things to two clients.
    let is_image = document.config.is_some() || document.layers.is_some();
    if is_image && document.manifests.is_some() {
        return Err(invalid("it is an image and an index at once"));
    }
    let (mut blobs, mut manifests) = (Vec::new(), Vec::new());
    match &*media_type {
        MANIFEST | DOCKER_MANIFEST => {
            let config = document.config.as_ref().ok_or_else(|| invalid("it has no `config`"))?;
            let layers = document.layers.as_ref().ok_or_else(|| invalid("it has no `layers`"))?;
            for descriptor in [config].into_iter().chain(layers) {
                let part = descriptor.part()?;
                if !descriptor.is_elsewhere() {
                    blobs.push(part);
                }
            }
        }
        INDEX | DOCKER_LIST => {
            let listed = document.manifests.as_ref().ok_or_else(|| invalid("it has no `manifests`"))?;
            for descriptor in listed {
                manifests.push(descriptor.part()?);
            }
        }
        other => {
            let failure = Failure::new(
                400,
                Code::ManifestInvalid,
                format!("`{other}` is no manifest that is kept here"),
            );
            return Err(failure.because("images and indexes of OCI and of docker's schema 2 are"));
        }
    }
    let subject = document.subject.as_ref().map(Descriptor::part).transpose()?.map(|part| part.digest);
    let (digest, size) = (Digest::of(bytes), bytes.len() as u64);
    let of_config = document.config.as_ref().map(|config| &*config.media_type);
    let referrer = Referrer {
        media_type: &media_type,
        digest,
        size,
        artifact_type: document.artifact_type.as_deref().filter(|kind| !kind.is_empty()).or(of_config),
        annotations: document.annotations.as_ref(),
    };
    let descriptor = serde_json::to_string(&referrer).map_err(|error| invalid(error.to_string()))?;
    let digests = |parts: &[Part]| {
        let mut digests: Vec<Digest> = parts.iter().map(|part| part.digest).collect();
        digests.sort_unstable();
        digests.dedup();
        digests
    };
    let manifest = NewManifest {
        blobs: digests(&blobs),
        manifests: digests(&manifests),
        subject,
        descriptor,
        entry: ManifestEntry { digest, media_type },
        pushed_by: None,
    };
    Ok(Read { manifest, parts: blobs.into_iter().chain(manifests).collect() })
}

impl Descriptor {
    fn part(&self) -> Result<Part, Failure> {
        let digest = name::digest(&self.digest).ok_or_else(|| {
            invalid(format!("`{}` is not a digest of sha256", self.digest))
                .detail(serde_json::json!({ "digest": self.digest }))
        })?;
        Ok(Part { digest, size: self.size })
    }

    /// Whether it is a layer that may only be had from its owner, and is not pushed.
    fn is_elsewhere(&self) -> bool {
        !self.urls.is_empty()
            && (self.media_type.contains(".nondistributable.") || self.media_type.contains(".foreign."))
    }
}

/// A manifest that may not be kept.
pub(super) fn invalid(reason: impl Into<String>) -> Failure {
    Failure::new(400, Code::ManifestInvalid, format!("the manifest cannot be kept: {}", reason.into()))
}
