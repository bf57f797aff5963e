//! What refers to an image in its registry: signed provenance, signatures, records (OCI distribution specification 1.1,
//! "Listing Referrers"), with the tag schema for registries that list none, and cosign's tags `sha256-….att` and `.sig` beside
//! them, which its releases before 3 look at alone.

use std::time::Duration;

use bytes::Bytes;
use oci_client::{Reference as OciReference, RegistryOperation};
use provenv_definition::Digest;
use provenv_image::oci::{CONFIG_TYPE, MANIFEST_TYPE};
use provenv_image::proof::artifact::Descriptor;
use provenv_image::proof::{Referrer, dsse, simple_signing};
use provenv_store::Store;
use serde_json::{Value, json};

use crate::error::Failure;
use crate::push::{Session, patient};
use crate::{Error, Options, Reference};

/// `application/vnd.oci.image.index.v1+json`.
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// No manifest and no index of referrers is larger.
const MOST_MANIFEST: u64 = 4 << 20;
/// No lock, statement or signature is larger.
const MOST_PART: u64 = 64 << 20;
/// All that is attached to an image is in memory while it is checked, and is no more than this.
const MOST_ATTACHED: u64 = 256 << 20;
/// More things that refer to one image are not looked at.
const MOST_REFERRERS: usize = 256;
/// Others may add to the same index at the same time: so often it is looked whether ours is in it.
const ROUNDS: u32 = 5;

/// A manifest in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteManifest {
    /// Its digest, which its bytes have.
    pub digest: Digest,
    /// It.
    pub bytes: Vec<u8>,
}

/// A file that is attached to an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// What it is.
    pub media_type: String,
    /// It, with the digest that the registry's manifest gives it.
    pub bytes: Vec<u8>,
}

/// Attaches `referrers`, whose subjects are in the repository of `reference` already. What is attached already stays; what
/// others attached too. Gives back how many bytes were sent.
pub async fn attach(
    store: &Store,
    referrers: &[Referrer],
    reference: &Reference,
    options: &Options,
) -> Result<u64, Error> {
    let Some(subject) = referrers.first().map(|referrer| referrer.subject) else { return Ok(0) };
    let session = Session::open(reference, options, RegistryOperation::Push).await?;
    let remote = Remote { session: &session };
    let mut sent = 0;
    for referrer in referrers {
        for (digest, size) in referrer.blobs().into_iter().skip(1) {
            sent += remote.send(&digest, size, || Ok(store.read(&digest)?)).await?;
        }
        let place = remote.by_digest(&referrer.manifest);
        remote.put(&place, MANIFEST_TYPE, store.read(&referrer.manifest)?).await?;
        sent += referrer.size;
    }
    remote.list(&subject, referrers).await?;
    for (suffix, media_type) in [("att", dsse::ENVELOPE_TYPE), ("sig", simple_signing::PAYLOAD_TYPE)] {
        let layers = referrers.iter().flat_map(|referrer| &referrer.layers);
        let layers: Vec<&Descriptor> = layers.filter(|layer| layer.media_type == media_type).collect();
        if !layers.is_empty() {
            remote.tag(&format!("sha256-{}.{suffix}", subject.hex()), &layers).await?;
        }
    }
    Ok(sent)
}

/// The manifest that `reference` names, or the one with `digest` in its repository; `None` where there is none.
pub async fn manifest(
    reference: &Reference,
    digest: Option<&Digest>,
    options: &Options,
) -> Result<Option<RemoteManifest>, Error> {
    let session = Session::open(reference, options, RegistryOperation::Pull).await?;
    let remote = Remote { session: &session };
    let place = digest.map_or_else(|| session.reference.inner.clone(), |digest| remote.by_digest(digest));
    let Some(bytes) = remote.get(&place, &[MANIFEST_TYPE, INDEX_TYPE]).await? else { return Ok(None) };
    let actual = Digest::of(&bytes);
    match digest {
        Some(expected) if *expected != actual => {
            Err(remote.wrong(format!("it gives {actual} for {expected}")))
        }
        _ => Ok(Some(RemoteManifest { digest: actual, bytes })),
    }
}

/// The files of one of the media types in `wanted` that are attached to the image with the manifest `subject`.
pub async fn attached(
    reference: &Reference,
    subject: &Digest,
    wanted: &[&str],
    options: &Options,
) -> Result<Vec<Attached>, Error> {
    let session = Session::open(reference, options, RegistryOperation::Pull).await?;
    let remote = Remote { session: &session };
    let mut manifests = Vec::new();
    for entry in remote.referrers(subject).await?.into_iter().take(MOST_REFERRERS) {
        if let Some(bytes) = remote.get(&remote.by_digest(&entry), &[MANIFEST_TYPE]).await?
            && Digest::of(&bytes) == entry
        {
            manifests.push(bytes);
        }
    }
    for suffix in ["att", "sig"] {
        let place = remote.by_tag(&format!("sha256-{}.{suffix}", subject.hex()));
        manifests.extend(remote.get(&place, &[MANIFEST_TYPE]).await?);
    }
    let mut layers: Vec<Layer> = Vec::new();
    for manifest in manifests {
        let manifest: Manifest = serde_json::from_slice(&manifest).unwrap_or_default();
        for layer in manifest.layers {
            if wanted.contains(&layer.media_type.as_str()) && !layers.contains(&layer) {
                layers.push(layer);
            }
        }
    }
    layers.truncate(MOST_REFERRERS);
    if layers.iter().map(|layer| layer.size).fold(0, u64::saturating_add) > MOST_ATTACHED {
        let most = MOST_ATTACHED >> 20;
        return Err(remote.wrong(format!("more than {most} MiB are attached to the image")));
    }
    let mut files = Vec::with_capacity(layers.len());
    for layer in layers {
        let bytes = remote.blob(&layer.digest, layer.size).await?;
        files.push(Attached { media_type: layer.media_type, bytes });
    }
    Ok(files)
}

/// A blob of `reference`'s repository that is no larger than a manifest, such as an image's configuration.
pub async fn small_blob(
    reference: &Reference,
    digest: &Digest,
    size: u64,
    options: &Options,
) -> Result<Vec<u8>, Error> {
    let session = Session::open(reference, options, RegistryOperation::Pull).await?;
    Remote { session: &session }.blob(digest, size.min(MOST_MANIFEST)).await
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

/// A repository in its registry.
struct Remote<'a> {
    session: &'a Session<'a>,
}

impl Remote<'_> {
    fn by_digest(&self, digest: &Digest) -> OciReference {
        let inner = &self.session.reference.inner;
        OciReference::with_digest(
            inner.resolve_registry().to_owned(),
            inner.repository().to_owned(),
            digest.to_string(),
        )
    }

    fn by_tag(&self, tag: &str) -> OciReference {
        let inner = &self.session.reference.inner;
        OciReference::with_tag(
            inner.resolve_registry().to_owned(),
            inner.repository().to_owned(),
            tag.to_owned(),
        )
    }

    fn wrong(&self, reason: String) -> Error {
        let registry = self.session.reference.registry().to_owned();
        Error::Registry { act: "read from", registry, reason }
    }

    /// The manifest at `place`, if there is one of these kinds.
    async fn get(&self, place: &OciReference, accept: &[&str]) -> Result<Option<Vec<u8>>, Error> {
        let ask = || async {
            let request = self.session.client.pull_manifest_raw(place, &self.session.auth, accept);
            match patient(request).await {
                Ok((bytes, _)) if bytes.len() as u64 > MOST_MANIFEST => {
                    Err(Failure::Final("it gives a manifest that is larger than any may be".to_owned()))
                }
                Ok((bytes, _)) => Ok(Some(bytes.to_vec())),
                Err(Failure::NotFound) => Ok(None),
                Err(failure) => Err(failure),
            }
        };
        self.session.retry("read a manifest from", ask).await
    }

    async fn put(&self, place: &OciReference, media_type: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let bytes = Bytes::from(bytes);
        let send = || {
            let media_type = media_type.parse().expect("a media type is the value of a header");
            patient(self.session.client.push_manifest_raw(place, bytes.clone(), media_type))
        };
        self.session.retry("push what refers to an image to", send).await.map(drop)
    }

    /// A blob with this digest and at most this size.
    async fn blob(&self, digest: &Digest, size: u64) -> Result<Vec<u8>, Error> {
        if size > MOST_PART {
            return Err(self.wrong(format!("it gives {size} bytes for {digest}, more than there can be")));
        }
        let name = digest.to_string();
        let fetch = || async {
            let mut bytes = Bounded { bytes: Vec::new(), limit: size };
            let request =
                self.session.client.pull_blob(&self.session.reference.inner, name.as_str(), &mut bytes);
            patient(request).await.map(|()| bytes.bytes)
        };
        let bytes = self.session.retry("read what refers to an image from", fetch).await?;
        if Digest::of(&bytes) == *digest {
            Ok(bytes)
        } else {
            Err(self.wrong(format!("{digest} is something else there")))
        }
    }

    /// Sends a blob unless it is there; gives back the bytes sent.
    async fn send(
        &self,
        digest: &Digest,
        size: u64,
        bytes: impl FnOnce() -> Result<Vec<u8>, Error>,
    ) -> Result<u64, Error> {
        let (client, place, name) = (&self.session.client, &self.session.reference.inner, digest.to_string());
        if patient(client.blob_exists(place, &name)).await.unwrap_or(false) {
            return Ok(0);
        }
        let bytes = Bytes::from(bytes()?);
        let send = || patient(client.push_blob(place, bytes.clone(), &name));
        self.session.retry("push what refers to an image to", send).await?;
        Ok(size)
    }

    /// Digests of the manifests that refer to `subject`, by the registry's own list, or else by the index under the tag
    /// `sha256-…`.
    async fn referrers(&self, subject: &Digest) -> Result<Vec<Digest>, Error> {
        let place = self.by_digest(subject);
        let ask = || async {
            match patient(self.session.client.pull_referrers(&place, None)).await {
                Ok(index) => Ok(index.manifests),
                Err(Failure::NotFound) => Ok(Vec::new()),
                Err(failure) => Err(failure),
            }
        };
        let entries = self.session.retry("list what refers to an image in", ask).await?;
        Ok(entries.iter().filter_map(|entry| entry.digest.parse().ok()).collect())
    }

    /// Makes sure that `referrers` are found by who asks for what refers to `subject`: where the registry does not list them
    /// by itself, in the index under the tag `sha256-…` ("Referrers Tag Schema").
    async fn list(&self, subject: &Digest, referrers: &[Referrer]) -> Result<(), Error> {
        let place = self.by_tag(&format!("sha256-{}", subject.hex()));
        for round in 0..=ROUNDS {
            let there = self.referrers(subject).await?;
            if referrers.iter().all(|referrer| there.contains(&referrer.manifest)) {
                return Ok(());
            }
            if round == ROUNDS {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50) * round).await;
            let index = self.get(&place, &[INDEX_TYPE]).await?;
            let index = index.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
            let mut manifests = match index {
                Some(mut index) => match index["manifests"].take() {
                    Value::Array(manifests) => manifests,
                    _ => Vec::new(),
                },
                None => Vec::new(),
            };
            for referrer in referrers {
                let same = |one: &Value| one["digest"].as_str() == Some(&referrer.manifest.to_string());
                if !manifests.iter().any(same) {
                    manifests.push(referrer.to_entry());
                }
            }
            let index = json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests });
            self.put(&place, INDEX_TYPE, index.to_string().into_bytes()).await?;
        }
        Err(self.wrong("it does not list what was attached to the image, though it took it".to_owned()))
    }

    /// Adds `layers` to the image that cosign keeps under `tag`: one layer for each statement or signature.
    async fn tag(&self, tag: &str, layers: &[&Descriptor]) -> Result<(), Error> {
        let place = self.by_tag(tag);
        let there = self.get(&place, &[MANIFEST_TYPE]).await?;
        let there = there.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let mut all = match there {
            Some(mut manifest) => match manifest["layers"].take() {
                Value::Array(layers) => layers,
                _ => Vec::new(),
            },
            None => Vec::new(),
        };
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
        if all.len() == before {
            return Ok(());
        }
        let diff_ids: Vec<&Value> = all.iter().map(|layer| &layer["digest"]).collect();
        let config = json!({
            "architecture": "", "created": "0001-01-01T00:00:00Z", "os": "",
            "history": diff_ids.iter().map(|_| json!({ "created": "0001-01-01T00:00:00Z" })).collect::<Vec<_>>(),
            "rootfs": { "type": "layers", "diff_ids": diff_ids }, "config": {},
        });
        let config = config.to_string().into_bytes();
        let (digest, size) = (Digest::of(&config), config.len() as u64);
        self.send(&digest, size, || Ok(config)).await?;
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
            "config": { "mediaType": CONFIG_TYPE, "digest": digest, "size": size },
            "layers": all,
        });
        self.put(&place, MANIFEST_TYPE, manifest.to_string().into_bytes()).await
    }
}

/// Memory that takes no more than it was told.
struct Bounded {
    bytes: Vec<u8>,
    limit: u64,
}

impl tokio::io::AsyncWrite for Bounded {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        piece: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        let result = if (self.bytes.len() + piece.len()) as u64 > self.limit {
            Err(std::io::Error::other("it is longer than it says"))
        } else {
            self.bytes.extend_from_slice(piece);
            Ok(piece.len())
        };
        std::task::Poll::Ready(result)
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}
