//! The index of a lock's images (OCI image specification, `image-index.md`).

use std::collections::BTreeMap;

use provenv_definition::{Digest, Platform};
use provenv_image::base_image::INDEX_TYPE;
use provenv_image::oci::{Image, MANIFEST_TYPE};
use serde::{Deserialize, Serialize};

use super::RECORD_TYPE;

/// The annotation of a record that names its image.
const IMAGE: &str = "dev.provenv.image";
/// The annotation of a record with the platform of its image.
const PLATFORM: &str = "dev.provenv.platform";
/// The annotation of the index with the definition.
const DEFINITION: &str = "dev.provenv.definition";
/// The annotation of the index with the lock.
const LOCK: &str = "dev.provenv.lock";
/// The annotation of the index with the time at which the lock was chosen.
const RESOLVED: &str = "dev.provenv.resolved";

/// An index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CacheIndex {
    schema_version: u32,
    media_type: String,
    manifests: Vec<Entry>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platform: Option<EntryPlatform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct EntryPlatform {
    architecture: String,
    os: String,
}

/// An image with its record, as an index names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    pub platform: Platform,
    /// The image's manifest, and its bytes.
    pub image: (Digest, u64),
    /// The record's.
    pub record: (Digest, u64),
}

impl CacheIndex {
    /// The index of one image.
    pub fn of(definition: &Digest, lock: &Digest, resolved: jiff::Timestamp, recorded: &[Recorded]) -> Self {
        let pairs = [(DEFINITION, definition.to_string()), (LOCK, lock.to_string())];
        let pairs = pairs.into_iter().chain([(RESOLVED, resolved.to_string())]);
        let mut recorded = recorded.to_vec();
        // Whoever adds, and in whichever order: the same images are the same index.
        recorded.sort_by_key(|one| one.platform.as_str());
        Self {
            schema_version: 2,
            media_type: INDEX_TYPE.to_owned(),
            manifests: recorded.iter().flat_map(entries).collect(),
            annotations: pairs.map(|(key, value)| (key.to_owned(), value)).collect(),
        }
    }

    /// Reads an index of anybody's making.
    pub fn parse(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes)
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an index is plain data")
    }

    /// The images that have a record.
    pub fn recorded(&self) -> Vec<Recorded> {
        let records = self.manifests.iter().filter(|one| one.artifact_type.as_deref() == Some(RECORD_TYPE));
        let recorded = records.filter_map(|record| {
            let platform = record.annotations.get(PLATFORM)?.parse().ok()?;
            let image: Digest = record.annotations.get(IMAGE)?.parse().ok()?;
            let image = self.manifests.iter().find(|one| one.digest == image)?;
            let (image, record) = ((image.digest, image.size), (record.digest, record.size));
            Some(Recorded { platform, image, record })
        });
        recorded.collect()
    }

    /// The image for a platform.
    pub fn for_platform(&self, platform: Platform) -> Option<Recorded> {
        self.recorded().into_iter().find(|one| one.platform == platform)
    }

    /// When its lock was chosen, by its own word.
    pub fn resolved(&self) -> Option<jiff::Timestamp> {
        self.annotations.get(RESOLVED)?.parse().ok()
    }

    /// Its lock, by its own word.
    pub fn lock(&self) -> Option<Digest> {
        self.annotations.get(LOCK)?.parse().ok()
    }
}

/// The bytes of an index of images alone: a function of these.
pub(crate) fn plain_index(images: &[&Image]) -> Vec<u8> {
    let mut manifests: Vec<Entry> = images
        .iter()
        .map(|image| image_entry(image.platform, (image.manifest, image.manifest_size)))
        .collect();
    manifests.sort_by_key(|entry| entry.platform.as_ref().map(|platform| platform.architecture.clone()));
    let (media_type, annotations) = (INDEX_TYPE.to_owned(), BTreeMap::new());
    CacheIndex { schema_version: 2, media_type, manifests, annotations }.to_bytes()
}

fn image_entry(platform: Platform, (digest, size): (Digest, u64)) -> Entry {
    let (architecture, os) = (platform.architecture().to_owned(), "linux".to_owned());
    Entry {
        media_type: MANIFEST_TYPE.to_owned(),
        digest,
        size,
        artifact_type: None,
        platform: Some(EntryPlatform { architecture, os }),
        annotations: BTreeMap::new(),
    }
}

/// The image, which clients find by its platform, and the record, which they leave alone, as they do with attestations.
fn entries(recorded: &Recorded) -> [Entry; 2] {
    let pairs = [(IMAGE, recorded.image.0.to_string()), (PLATFORM, recorded.platform.to_string())];
    let unknown = EntryPlatform { architecture: "unknown".to_owned(), os: "unknown".to_owned() };
    let record = Entry {
        media_type: MANIFEST_TYPE.to_owned(),
        digest: recorded.record.0,
        size: recorded.record.1,
        artifact_type: Some(RECORD_TYPE.to_owned()),
        platform: Some(unknown),
        annotations: pairs.map(|(key, value)| (key.to_owned(), value)).into(),
    };
    [image_entry(recorded.platform, recorded.image), record]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(platform: Platform, name: &str) -> Recorded {
        let part = |what: &str| (Digest::of(format!("{what} {name}").as_bytes()), 7);
        Recorded { platform, image: part("image"), record: part("record") }
    }

    #[test]
    fn an_index_is_read_as_it_was_written_in_whichever_order() {
        let (one, two) = (recorded(Platform::LinuxAmd64, "one"), recorded(Platform::LinuxArm64, "two"));
        let (definition, lock) = (Digest::of(b"definition"), Digest::of(b"lock"));
        let of = |all: &[Recorded]| CacheIndex::of(&definition, &lock, jiff::Timestamp::UNIX_EPOCH, all);
        let index = of(&[one.clone(), two.clone()]);
        assert_eq!(index.to_bytes(), of(&[two.clone(), one.clone()]).to_bytes());
        let read = CacheIndex::parse(&index.to_bytes()).unwrap();
        assert_eq!(read.recorded(), [one, two.clone()]);
        assert_eq!(read.for_platform(Platform::LinuxArm64), Some(two));
        assert_eq!((read.lock(), read.resolved()), (Some(lock), Some(jiff::Timestamp::UNIX_EPOCH)));
    }

    #[test]
    fn an_index_without_records_names_nothing() {
        let text = r#"{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}"#;
        assert_eq!(CacheIndex::parse(text.as_bytes()).unwrap().recorded(), []);
    }
}
