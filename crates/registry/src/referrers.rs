//! What refers to an image in its registry: signed provenance, signatures, records (OCI distribution specification 1.1,
//! "Listing Referrers"), with the tag schema for registries that list none, and cosign's tags `sha256-….att` and `.sig` beside
//! them, which its releases before 3 look at alone.

use std::collections::BTreeMap;

use provenv_definition::Digest;
use provenv_image::base_image::INDEX_TYPE;
use provenv_image::oci::{CONFIG_TYPE, MANIFEST_TYPE};
use provenv_image::proof::artifact::Descriptor;
use provenv_image::proof::{Referrer, dsse, simple_signing};
use provenv_store::Store;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, LINK};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::client::{Client, whole};
use crate::error::Failure;
use crate::repository::{MOST_MANIFEST, Repository, short_pause};
use crate::{Error, Options, Reference};

/// All that is attached to an image is in memory while it is checked, and is no more than this.
const MOST_ATTACHED: u64 = 256 << 20;
/// More things that refer to one image are not looked at.
const MOST_REFERRERS: usize = 256;
/// Others may add to the same index at the same time: so often it is looked whether ours is in it.
pub(crate) const ROUNDS: u32 = 5;

/// A file that is attached to an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// What it is.
    pub media_type: String,
    /// It, with the digest that the registry's manifest gives it.
    pub bytes: Vec<u8>,
}

/// A manifest that refers to an image, as the registry lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    #[serde(default)]
    pub size: u64,
    /// What it is.
    #[serde(default)]
    pub artifact_type: Option<String>,
    /// What is said of it besides.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Attaches `referrers`, whose subjects are in the repository of `reference` already. What is attached already stays; what
/// others attached too. Gives back how many bytes were sent.
pub async fn attach(
    store: &Store,
    referrers: &[Referrer],
    reference: &Reference,
    options: &Options,
) -> Result<u64, Error> {
    if referrers.is_empty() {
        return Ok(0);
    }
    Repository::to_write(reference, options)?.attach(store, referrers).await
}

/// The files of one of the media types in `wanted` that are attached to the image with the manifest `subject`.
pub async fn attached(
    reference: &Reference,
    subject: &Digest,
    wanted: &[&str],
    options: &Options,
) -> Result<Vec<Attached>, Error> {
    Repository::to_read(reference, options)?.attached(subject, wanted).await
}

/// What is read of anybody's manifest.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Manifest {
    layers: Vec<Layer>,
}

#[derive(PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    media_type: String,
    digest: Digest,
    size: u64,
}

impl Repository {
    /// Attaches `referrers`, whose subject is in the repository already.
    pub async fn attach(&self, store: &Store, referrers: &[Referrer]) -> Result<u64, Error> {
        let Some(subject) = referrers.first().map(|referrer| referrer.subject) else { return Ok(0) };
        let mut sent = 0;
        let there = self.referrers(&subject).await?;
        let is_there = |referrer: &&Referrer| there.iter().any(|one| one.digest == referrer.manifest);
        let missing: Vec<Referrer> = referrers.iter().filter(|one| !is_there(one)).cloned().collect();
        for referrer in &missing {
            let name = referrer.manifest.to_string();
            let manifest = store.read(&referrer.manifest)?;
            let blobs = async || {
                let mut sent = 0;
                for (digest, size) in referrer.blobs().into_iter().skip(1) {
                    sent += self.send(&digest, size, || Ok(store.read(&digest)?)).await?;
                }
                Ok(sent)
            };
            sent += self.put_after(&name, MANIFEST_TYPE, &manifest, blobs).await?;
            sent += referrer.size;
        }
        if !missing.is_empty() {
            self.list(&subject, &missing).await?;
        }
        for (suffix, media_type) in [("att", dsse::ENVELOPE_TYPE), ("sig", simple_signing::PAYLOAD_TYPE)] {
            let layers = referrers.iter().flat_map(|referrer| &referrer.layers);
            let layers: Vec<&Descriptor> = layers.filter(|layer| layer.media_type == media_type).collect();
            if !layers.is_empty() {
                self.tag(&format!("sha256-{}.{suffix}", subject.hex()), &layers).await?;
            }
        }
        Ok(sent)
    }

    /// The files of one of the media types in `wanted` that are attached to the image with the manifest `subject`.
    pub async fn attached(&self, subject: &Digest, wanted: &[&str]) -> Result<Vec<Attached>, Error> {
        let mut manifests = Vec::new();
        for entry in self.referrers(subject).await? {
            manifests.extend(self.manifest(&entry.digest.to_string()).await?);
        }
        for suffix in ["att", "sig"] {
            manifests.extend(self.manifest(&format!("sha256-{}.{suffix}", subject.hex())).await?);
        }
        let mut layers: Vec<Layer> = Vec::new();
        for manifest in manifests {
            let manifest: Manifest = serde_json::from_slice(&manifest.bytes).unwrap_or_default();
            for layer in manifest.layers {
                if wanted.contains(&layer.media_type.as_str()) && !layers.contains(&layer) {
                    layers.push(layer);
                }
            }
        }
        layers.truncate(MOST_REFERRERS);
        if layers.iter().map(|layer| layer.size).fold(0, u64::saturating_add) > MOST_ATTACHED {
            let most = MOST_ATTACHED >> 20;
            return Err(self.wrong(format!("more than {most} MiB are attached to the image")));
        }
        let mut files = Vec::with_capacity(layers.len());
        for layer in layers {
            let bytes = self.blob(&layer.digest, layer.size).await?;
            files.push(Attached { media_type: layer.media_type, bytes });
        }
        Ok(files)
    }

    /// The manifests that refer to `subject`, by the registry's own list, or else by the index under the tag `sha256-…`.
    pub async fn referrers(&self, subject: &Digest) -> Result<Vec<Listed>, Error> {
        const ACT: &str = "list what refers to an image in";
        let mut listed: Vec<Listed> = Vec::new();
        let mut page = Some(self.client.url(&format!("referrers/{subject}")));
        let mut first = true;
        while let Some(url) = page.take().filter(|_| listed.len() < MOST_REFERRERS) {
            let ask = || one_page(&self.client, &url);
            match self.client.tried(ACT, ask).await {
                Ok((entries, next)) => {
                    listed.extend(entries);
                    page = next;
                }
                // A registry of before: each says so in its own way.
                Err(Failure::NotFound | Failure::Final(_) | Failure::BlobUnknown(_)) if first => {
                    let tag = format!("sha256-{}", subject.hex());
                    let index = self.manifest(&tag).await?;
                    listed = index.map(|index| entries_of(&index.bytes)).unwrap_or_default();
                }
                Err(failure) => return Err(self.client.error(ACT, failure)),
            }
            first = false;
        }
        listed.truncate(MOST_REFERRERS);
        Ok(listed)
    }

    /// Makes sure that `referrers` are found by who asks for what refers to `subject`: where the registry does not list them
    /// by itself, in the index under the tag `sha256-…` ("Referrers Tag Schema").
    async fn list(&self, subject: &Digest, referrers: &[Referrer]) -> Result<(), Error> {
        let place = format!("sha256-{}", subject.hex());
        let mut wrote = false;
        for round in 0..=ROUNDS {
            let there = self.referrers(subject).await?;
            let listed = |one: &Referrer| there.iter().any(|entry| entry.digest == one.manifest);
            if referrers.iter().all(listed) {
                if !wrote {
                    return Ok(());
                }
                // Who read the index before ours was in it writes it without: the second look is after that.
                wrote = false;
                short_pause(2).await;
                continue;
            }
            if round == ROUNDS {
                break;
            }
            short_pause(round).await;
            let index = self.manifest(&place).await?;
            let mut manifests = index.map(|index| list_of(&index.bytes, "manifests")).unwrap_or_default();
            for referrer in referrers {
                let same = |one: &Value| one["digest"].as_str() == Some(&referrer.manifest.to_string());
                if !manifests.iter().any(same) {
                    manifests.push(referrer.to_entry());
                }
            }
            let index = json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests });
            self.put(&place, INDEX_TYPE, index.to_string().as_bytes()).await?;
            wrote = true;
        }
        Err(self.wrong("it does not list what was attached to the image, though it took it".to_owned()))
    }

    /// Adds `layers` to the image that cosign keeps under `tag`: one layer for each statement or signature.
    async fn tag(&self, tag: &str, layers: &[&Descriptor]) -> Result<(), Error> {
        let mut wrote = false;
        for round in 0..=ROUNDS {
            let there = self.manifest(tag).await?;
            let mut all = there.map(|there| list_of(&there.bytes, "layers")).unwrap_or_default();
            if !add(&mut all, layers) {
                if !wrote {
                    return Ok(());
                }
                // As in a list: who read it before ours was in it writes it without.
                wrote = false;
                short_pause(2).await;
                continue;
            }
            if round == ROUNDS {
                break;
            }
            let diff_ids: Vec<&Value> = all.iter().map(|layer| &layer["digest"]).collect();
            let config = json!({
                "architecture": "", "created": "0001-01-01T00:00:00Z", "os": "",
                "history": diff_ids.iter().map(|_| json!({ "created": "0001-01-01T00:00:00Z" })).collect::<Vec<_>>(),
                "rootfs": { "type": "layers", "diff_ids": diff_ids }, "config": {},
            });
            let config = config.to_string().into_bytes();
            let (digest, size) = (Digest::of(&config), config.len() as u64);
            let manifest = json!({
                "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
                "config": { "mediaType": CONFIG_TYPE, "digest": digest, "size": size },
                "layers": all,
            });
            let send = async || self.send(&digest, size, || Ok(config.clone())).await;
            self.put_after(tag, MANIFEST_TYPE, manifest.to_string().as_bytes(), send).await?;
            wrote = true;
            short_pause(round).await;
        }
        Err(self.wrong("it does not keep what was signed beside the image, though it took it".to_owned()))
    }
}

/// Adds those of `layers` that are not in `all`; whether there were any.
fn add(all: &mut Vec<Value>, layers: &[&Descriptor]) -> bool {
    let before = all.len();
    for layer in layers {
        let same = |one: &Value| {
            // Of one payload there may be several signatures, which are annotations.
            one["digest"].as_str() == Some(&layer.digest.to_string())
                && one["annotations"][simple_signing::SIGNATURE].as_str().unwrap_or_default()
                    == layer.annotations.get(simple_signing::SIGNATURE).map_or("", String::as_str)
        };
        if !all.iter().any(same) {
            let mut layer = (*layer).clone();
            layer.annotations.entry(simple_signing::SIGNATURE.to_owned()).or_default();
            all.push(serde_json::to_value(layer).expect("a descriptor is plain data"));
        }
    }
    all.len() > before
}

/// A list in a manifest of anybody's making.
fn list_of(bytes: &[u8], what: &str) -> Vec<Value> {
    let mut manifest: Value = serde_json::from_slice(bytes).unwrap_or_default();
    match manifest[what].take() {
        Value::Array(list) => list,
        _ => Vec::new(),
    }
}

/// What an index lists, as far as it can be read.
fn entries_of(index: &[u8]) -> Vec<Listed> {
    list_of(index, "manifests").into_iter().filter_map(|entry| serde_json::from_value(entry).ok()).collect()
}

/// A page of a registry's list, and where the next one is.
async fn one_page(client: &Client, url: &Url) -> Result<(Vec<Listed>, Option<Url>), Failure> {
    let response = client.get_at(url.clone(), HeaderMap::new()).await?;
    if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
        return Err(Failure::NotFound);
    }
    let links = response.headers().get_all(LINK).iter().filter_map(|link| link.to_str().ok());
    let mut next = links.filter(|link| link.contains("rel=\"next\"") || link.contains("rel=next"));
    let next = next.find_map(|link| link.trim_start().strip_prefix('<')?.split_once('>'));
    let next = next.map(|(next, _)| client.place(url, next)).transpose()?;
    // Nobody is sent elsewhere for a list.
    let next = next.filter(|next| next.origin() == url.origin() && next != url);
    Ok((entries_of(&whole(response, MOST_MANIFEST).await?), next))
}
