//! What refers to an image: an OCI manifest with a `subject` (image specification 1.1, `manifest.md`).

use std::collections::BTreeMap;

use provenv_definition::Digest;
use provenv_store::Store;
use serde::{Deserialize, Serialize};

use crate::oci::MANIFEST_TYPE;

/// Image specification, "Guidance for an empty descriptor".
pub const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
const EMPTY: &[u8] = b"{}";

/// One file of a referrer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub media_type: String,
    /// It.
    pub bytes: Vec<u8>,
    /// What its descriptor says besides.
    pub annotations: BTreeMap<String, String>,
}

/// A referrer whose blobs are all in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referrer {
    /// The image it is about.
    pub subject: Digest,
    /// Digest of its manifest.
    pub manifest: Digest,
    /// Bytes of its manifest.
    pub size: u64,
    /// What it is.
    pub artifact_type: String,
    /// What its manifest says besides.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Its configuration, which is empty.
    pub config: Descriptor,
    /// Its files.
    pub layers: Vec<Descriptor>,
}

/// OCI image specification, `descriptor.md`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Its name.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
    /// What there is to say besides.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    schema_version: u32,
    media_type: &'static str,
    artifact_type: &'a str,
    config: &'a Descriptor,
    layers: &'a [Descriptor],
    subject: Descriptor,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

impl Referrer {
    /// Writes a referrer of the image with manifest `subject` (and its size) to the store. It carries no time: the same
    /// parts are the same referrer.
    pub fn write(
        store: &Store,
        subject: (Digest, u64),
        artifact_type: &str,
        annotations: BTreeMap<String, String>,
        parts: &[Part],
    ) -> provenv_store::Result<Self> {
        let put = |part: &Part| {
            let (media_type, annotations) = (part.media_type.clone(), part.annotations.clone());
            let size = part.bytes.len() as u64;
            store.put(&part.bytes).map(|digest| Descriptor { media_type, digest, size, annotations })
        };
        let layers = parts.iter().map(put).collect::<Result<Vec<_>, _>>()?;
        Self::of(store, subject, artifact_type, annotations, layers)
    }

    /// The same of files that are in the store already.
    pub fn of(
        store: &Store,
        subject: (Digest, u64),
        artifact_type: &str,
        annotations: BTreeMap<String, String>,
        layers: Vec<Descriptor>,
    ) -> provenv_store::Result<Self> {
        let descriptor = |media_type: &str, digest, size| Descriptor {
            media_type: media_type.to_owned(),
            digest,
            size,
            annotations: BTreeMap::new(),
        };
        let config = descriptor(EMPTY_TYPE, store.put(EMPTY)?, EMPTY.len() as u64);
        let manifest = Manifest {
            schema_version: 2,
            media_type: MANIFEST_TYPE,
            artifact_type,
            config: &config,
            layers: &layers,
            subject: descriptor(MANIFEST_TYPE, subject.0, subject.1),
            annotations: &annotations,
        };
        let bytes = serde_json::to_vec(&manifest).expect("a manifest is plain data");
        Ok(Self {
            subject: subject.0,
            manifest: store.put(&bytes)?,
            size: bytes.len() as u64,
            artifact_type: artifact_type.to_owned(),
            annotations,
            config,
            layers,
        })
    }

    /// Reads a referrer's manifest, of anybody's making.
    pub fn parse(bytes: &[u8]) -> serde_json::Result<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Read {
            artifact_type: String,
            config: Descriptor,
            layers: Vec<Descriptor>,
            subject: Descriptor,
            #[serde(default)]
            annotations: BTreeMap<String, String>,
        }
        let read: Read = serde_json::from_slice(bytes)?;
        Ok(Self {
            subject: read.subject.digest,
            manifest: Digest::of(bytes),
            size: bytes.len() as u64,
            artifact_type: read.artifact_type,
            annotations: read.annotations,
            config: read.config,
            layers: read.layers,
        })
    }

    /// How it is listed in an index of referrers: a descriptor in JSON.
    pub fn to_entry(&self) -> serde_json::Value {
        let mut entry = serde_json::json!({
            "mediaType": MANIFEST_TYPE,
            "digest": self.manifest,
            "size": self.size,
            "artifactType": self.artifact_type,
        });
        if !self.annotations.is_empty() {
            entry["annotations"] = serde_json::json!(self.annotations);
        }
        entry
    }

    /// Every blob of it, the manifest first.
    pub fn blobs(&self) -> Vec<(Digest, u64)> {
        let files = [&self.config].into_iter().chain(&self.layers);
        let files = files.map(|descriptor| (descriptor.digest, descriptor.size));
        [(self.manifest, self.size)].into_iter().chain(files).collect()
    }
}
