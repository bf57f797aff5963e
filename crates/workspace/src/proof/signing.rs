//! Provenance is signed, kept with its image, and goes where the image goes.

use std::path::Path;

use provenv_definition::Digest;
use provenv_image::oci::Image;
use provenv_image::proof::statement::{PAYLOAD_TYPE, PREDICATE_TYPE};
use provenv_image::proof::{Envelope, Part, Referrer, SigningKey, dsse, provenance, simple_signing};
use provenv_registry::{Elsewhere, Options, Reference};
use provenv_store::{Roots, Store};
use serde::Serialize;

use super::{Companion, ProofError};
use crate::building::{Target, is_whole};
use crate::cache::Need;
use crate::catalogue::Which;
use crate::config::Config;
use crate::{Error, Result, Workspace, user_name};

/// A signed image.
#[derive(Clone, Debug, Serialize)]
pub struct Signed {
    /// The image.
    pub image: Digest,
    /// The key that signed.
    pub key: Digest,
    /// The same, with its name in this workspace if it has one.
    #[serde(skip)]
    pub signer: String,
    /// What was signed.
    pub predicate_type: String,
    /// Digest of the envelope.
    pub envelope: Digest,
    /// Digest of the manifest by which the envelope is attached to the image.
    pub referrer: Digest,
    /// What the image may be called, where that was signed too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Whether the key had signed the very same before.
    pub was_signed: bool,
}

/// A pushed image.
#[derive(Clone, Debug, Serialize)]
pub struct Pushed {
    /// The image.
    pub image: Digest,
    /// `HOST/NAME@DIGEST`.
    pub reference: String,
    /// Bytes that were sent.
    pub sent: u64,
    /// Bytes that the repository had already.
    pub skipped: u64,
    /// Bytes that the registry took over from another of its repositories.
    pub mounted: u64,
    /// What was signed and is attached to it there.
    pub proofs: Vec<Digest>,
    /// All that is attached to it there from here: proofs, its record, bills of materials.
    pub attached: Vec<Companion>,
}

/// The annotation that says what an envelope is about, as cosign writes it.
const PREDICATE_ANNOTATION: &str = "predicateType";

impl Workspace {
    /// Signs the provenance of the image of an environment, a file or a digest, and keeps it with the image. With an
    /// `identity` (`HOST/NAME`) also that the image is what is called so, as cosign does it.
    pub async fn sign(
        &self,
        reference: &str,
        folder: &Path,
        key: &str,
        identity: Option<&str>,
    ) -> Result<Signed> {
        let key = self.signing_key(key, folder)?;
        let origin = self.origin(reference, folder).await?;
        let image = self.whole_image(&origin.image).await?;
        let lock = origin.lock;
        self.sign_image(&image, &lock, &key, identity).await
    }

    /// The same of an image whose lock is known.
    pub(crate) async fn sign_image(
        &self,
        image: &Image,
        lock: &Digest,
        key: &SigningKey,
        identity: Option<&str>,
    ) -> Result<Signed> {
        let identity = identity.map(identity_of).transpose()?;
        let _pin = self.store.pin()?;
        let origins = self.catalogue.origins().await?;
        let is_it = |one: &&crate::catalogue::Origin| one.image == image.manifest && one.lock == *lock;
        let origin = origins.iter().find(is_it).cloned();
        let origin = origin.ok_or(ProofError::NoRecord { image: image.manifest, what: "build" })?;
        // Provenance says who built: that was somebody else, who may have signed.
        if !self.catalogue.was_made(lock, &image.manifest).await? {
            return Err(ProofError::MadeElsewhere(image.manifest).into());
        }
        let record = self.record_of(origin).await?;
        let payload = record.statement().to_bytes();
        let id = key.public().id();
        let subject = (image.manifest, image.manifest_size);
        let failed = |source| ProofError::Key { file: id.to_string(), source };

        let there = self.signed_by(image, &id, &payload).await?;
        let was_signed = there.is_some();
        let referrer = if let Some(there) = there {
            there
        } else {
            let record =
                Referrer::write(&self.store, subject, provenance::RECORD_TYPE, [].into(), &record.parts()?)?;
            let envelope = Envelope::sign(key, PAYLOAD_TYPE, &payload).map_err(failed)?;
            let attestation = attestation(&self.store, subject, envelope.to_bytes())?;
            self.catalogue.record_proof(&record, None, &user_name()).await?;
            self.catalogue.record_proof(&attestation, Some(&id), &user_name()).await?;
            attestation
        };
        if let Some(identity) = &identity {
            let part = simple_signing::sign(key, &image.manifest, identity).map_err(failed)?;
            let signature =
                Referrer::write(&self.store, subject, simple_signing::ARTIFACT_TYPE, [].into(), &[part])?;
            self.catalogue.record_proof(&signature, Some(&id), &user_name()).await?;
        }
        Ok(Signed {
            image: image.manifest,
            signer: self.called(&id),
            key: id,
            predicate_type: PREDICATE_TYPE.to_owned(),
            envelope: referrer.layers[0].digest,
            referrer: referrer.manifest,
            identity,
            was_signed,
        })
    }

    /// The attestation that holds this payload with a signature by this key, if there is one.
    async fn signed_by(&self, image: &Image, key: &Digest, payload: &[u8]) -> Result<Option<Referrer>> {
        for row in self.catalogue.proofs(&image.manifest).await? {
            if row.key.as_ref() != Some(key) || row.referrer.artifact_type != PAYLOAD_TYPE {
                continue;
            }
            let Some(layer) = row.referrer.layers.first() else { continue };
            if !self.store.contains(&layer.digest) {
                continue;
            }
            let envelope = Envelope::from_bytes(&self.store.read(&layer.digest)?);
            if envelope.is_ok_and(|envelope| envelope.unverified_payload().is_ok_and(|one| one == payload)) {
                return Ok(Some(row.referrer));
            }
        }
        Ok(None)
    }

    /// What is attached to an image here.
    pub(crate) async fn referrers_of(&self, image: &Digest) -> Result<Vec<Referrer>> {
        let rows = self.catalogue.proofs(image).await?;
        let whole =
            |referrer: &Referrer| referrer.blobs().iter().all(|(digest, _)| self.store.contains(digest));
        Ok(rows.into_iter().map(|row| row.referrer).filter(whole).collect())
    }

    /// The image with this manifest, all of whose bytes are here; those that only a registry has are brought.
    pub(crate) async fn whole_image(&self, manifest: &Digest) -> Result<Image> {
        let rows = self.catalogue.known_images(Which::Digits(&manifest.hex())).await?;
        let row = rows.into_iter().next().ok_or(ProofError::Collected(*manifest))?;
        if !is_whole(&self.store, &row.image) {
            if !self.is_remote(&row.image).await? {
                return Err(ProofError::Collected(*manifest).into());
            }
            self.bring(&row.image, &row.lock, Need::All).await?;
        }
        self.catalogue.note_use(&row.lock).await?;
        Ok(row.image)
    }

    /// Pushes the image of an environment, a file or a digest to `HOST/NAME[:TAG]`, and all that is attached to it. Builds
    /// nothing.
    pub async fn push_image(
        &self,
        reference: &str,
        folder: &Path,
        destination: &str,
        insecure: bool,
    ) -> Result<Pushed> {
        let Target::Registry(destination) = Target::parse(destination)? else {
            return Err(Error::Arguments {
                message: format!("`{destination}` is no place in a registry"),
                hint: "write HOST/NAME:TAG; `provenv build --to` writes files and folders".to_owned(),
            });
        };
        let origin = self.origin(reference, folder).await?;
        let pin = self.store.pin()?;
        let image = self.whole_image(&origin.image).await?;
        let _hold = pin.hold(&crate::building::blobs_of(&image))?;
        drop(pin);
        self.push(&image, &destination, insecure).await
    }

    /// Pushes `image` with all that is attached to it.
    pub(crate) async fn push(
        &self,
        image: &Image,
        destination: &Reference,
        insecure: bool,
    ) -> Result<Pushed> {
        self.push_as(image, destination, false, insecure).await
    }

    /// The same; `untagged` where something else gives it a name.
    #[tracing::instrument(target = "provenv_trace", skip_all, name = "push")]
    pub(crate) async fn push_as(
        &self,
        image: &Image,
        destination: &Reference,
        untagged: bool,
        insecure: bool,
    ) -> Result<Pushed> {
        let options = registry_options(&self.config, insecure);
        let (registry, name) = (destination.registry(), destination.repository());
        let elsewhere = self.elsewhere(image, destination).await?;
        let (store, reporter) = (&self.store, self.reporter.as_ref());
        let pushed = if untagged {
            provenv_registry::push_untagged(store, image, destination, &elsewhere, &options, reporter).await?
        } else {
            provenv_registry::push(store, image, destination, &elsewhere, &options, reporter).await?
        };
        self.catalogue.record_remote_blobs(registry, name, &image.blobs()).await?;
        let pin = self.store.pin()?;
        let proofs = self.referrers_of(&image.manifest).await?;
        let companions = self.companions(image).await?;
        let blobs = companions.iter().flat_map(Referrer::blobs).map(|(digest, _)| digest);
        let _hold = pin.hold(&Roots { blobs: blobs.collect(), ..Roots::default() })?;
        drop(pin);
        let attached = provenv_registry::attach(store, &companions, destination, &options).await?;
        Ok(Pushed {
            image: image.manifest,
            reference: pushed.reference,
            sent: pushed.sent + attached,
            skipped: pushed.skipped,
            mounted: pushed.mounted,
            proofs: proofs.iter().map(|referrer| referrer.manifest).collect(),
            attached: companions.iter().map(Companion::from).collect(),
        })
    }

    /// In which other repositories of the registry that it goes to the blobs of an image were last seen.
    async fn elsewhere(&self, image: &Image, destination: &Reference) -> Result<Elsewhere> {
        let mut elsewhere = Elsewhere::new();
        for (digest, _) in image.blobs() {
            let places = self.catalogue.remote_blob(&digest).await?.into_iter();
            let mut places = places.filter(|(registry, _, _)| registry == destination.registry());
            // One that is in the repository itself needs no other.
            if let Some((_, name, _)) = places.next()
                && name != destination.repository()
            {
                elsewhere.insert(digest, name);
            }
        }
        Ok(elsewhere)
    }
}

/// What attaches signed provenance to an image.
pub(super) fn attestation(store: &Store, image: (Digest, u64), envelope: Vec<u8>) -> Result<Referrer> {
    let about = [(PREDICATE_ANNOTATION.to_owned(), PREDICATE_TYPE.to_owned())];
    let part = Part {
        media_type: dsse::ENVELOPE_TYPE.to_owned(),
        bytes: envelope,
        annotations: about.clone().into(),
    };
    Ok(Referrer::write(store, image, PAYLOAD_TYPE, about.into(), &[part])?)
}

/// How registries are spoken to.
pub(crate) fn registry_options(config: &Config, insecure: bool) -> Options {
    let mut options = Options::new(provenv_registry::Keychain::of_user());
    options.insecure = insecure;
    options.certificates = provenv_lock::pypi::Host::default().named_ca_bundle();
    if let Some(parallel) = config.registry.parallel {
        options.parallel = parallel.get();
    }
    options
}

/// `HOST/NAME`, if `text` is that and no more.
fn identity_of(text: &str) -> Result<String> {
    let reference: Reference = text.parse()?;
    let name = format!("{}/{}", reference.registry(), reference.repository());
    if name == text {
        Ok(name)
    } else {
        Err(Error::Arguments {
            message: format!("`{text}` has a tag, and a signature is of what is called HOST/NAME"),
            hint: format!("write --as {name}"),
        })
    }
}
