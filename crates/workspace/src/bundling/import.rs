//! A bundle is taken over: all of it is checked before the catalogue names any of it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use provenv_definition::{Definition, Digest, Environment, Platform, codes, definition_digest};
use provenv_image::about::ABOUTS_TYPE;
use provenv_image::export::{self, BundleContents, read_bundle};
use provenv_image::form::Form;
use provenv_image::oci::Image;
use provenv_image::proof::provenance::{DEFINITION_TYPE, LOCK_TYPE, RECEIPT_TYPE};
use provenv_image::proof::{Referrer, TakenFrom};
use provenv_lock::{Lock, Receipt};

use super::{
    ARTIFACT_TYPE, BUNDLE_TYPE, BundleError, Bundled, BundledImage, ENVIRONMENT_TYPE, EnvironmentFile,
};
use crate::catalogue::{NewEnvironment, Resolution, Same, Telling};
use crate::curated::Curated;
use crate::environments::content_digest;
use crate::image_file::{self, IMAGE_TYPE, ImageFile};
use crate::proof::{Check, Evidence, ImageManifest, Outcome, VerifyOptions};
use crate::{Error, Result, Workspace, user_name};

/// No manifest is larger (OCI distribution specification, "Pushing Manifests").
const MOST_MANIFEST: u64 = 4 << 20;
/// What a bundle's index lists is no larger together: it is in memory while the bundle is checked.
const MOST_MANIFESTS: u64 = 256 << 20;
/// No lock, statement or signature is larger.
const MOST_PART: u64 = 64 << 20;

/// How a bundle is taken.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Public keys, one of which must have signed each image's provenance: files, or names in this workspace.
    pub keys: Vec<String>,
    /// The file of a policy that each image must keep.
    pub policy: Option<PathBuf>,
    /// Make each image again from its lock, and compare.
    pub rebuild: bool,
    /// Register no environments.
    pub unregistered: bool,
}

/// A bundle whose bytes are in the store.
struct Opened<'a> {
    file: &'a Path,
    contents: BundleContents,
    referrers: Vec<Referrer>,
}

/// An image that may be taken.
struct Sound {
    lock: Lock,
    digest: Digest,
    definition: Definition,
    definition_bytes: Vec<u8>,
    receipt: Receipt,
    receipt_text: String,
    form: Form,
    image: Image,
    environment: Option<EnvironmentFile>,
    /// What is told of its packages.
    told: Option<Vec<u8>>,
    artifacts: usize,
    proofs: Vec<Referrer>,
    checks: Vec<Check>,
    /// The key that was asked for and has signed the receipt.
    signed_by: Option<Digest>,
}

impl Opened<'_> {
    fn unsound(&self, what: impl Into<String>) -> Error {
        BundleError::Unsound { file: self.file.to_owned(), what: what.into() }.into()
    }

    /// Whether all of these came with the bundle: what is in the store for other reasons is not the bundle's to name.
    fn has(&self, blobs: impl IntoIterator<Item = Digest>) -> bool {
        blobs.into_iter().all(|digest| self.contents.blobs.contains_key(&digest))
    }
}

impl Workspace {
    /// Takes over what is in the bundle `file`: images, their records, proofs and files. Where the workspace has a current lock
    /// of a definition, that stays; an image that was made here of the same lock must be the same. Paths in `options` count from
    /// `folder`.
    pub async fn import_bundle(
        &self,
        file: &Path,
        folder: &Path,
        options: &ImportOptions,
    ) -> Result<Bundled> {
        let _pin = self.store.pin()?;
        let opened = self.open_bundle(file).await?;
        let mut sound = Vec::new();
        for bundle in opened.referrers.iter().filter(|referrer| referrer.artifact_type == BUNDLE_TYPE) {
            let mut one = self.sound(&opened, bundle).await?;
            self.may_be_registered(&opened, &one, options).await?;
            if let Some(what) = sound.iter().find_map(|other| contradiction(&one, other)) {
                return Err(opened.unsound(what));
            }
            (one.checks, one.signed_by) = self.proven(&opened, &one, folder, options).await?;
            sound.push(one);
        }
        if sound.is_empty() {
            return Err(BundleError::Empty(file.to_owned()).into());
        }
        let mut images = Vec::new();
        for one in sound {
            images.push(self.take(&opened, one, options).await?);
        }
        Ok(Bundled { file: file.to_owned(), images })
    }

    async fn open_bundle<'a>(&self, file: &'a Path) -> Result<Opened<'a>> {
        let (store, reporter, path) = (self.store.clone(), Arc::clone(&self.reporter), file.to_owned());
        let read = tokio::task::spawn_blocking(move || read_bundle(&store, &path, reporter.as_ref())).await?;
        let contents = read.map_err(|error| match error {
            export::Error::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                BundleError::Missing(file.to_owned()).into()
            }
            export::Error::Read { source, .. } => {
                Error::from(BundleError::Unsound { file: file.to_owned(), what: source.to_string() })
            }
            error => error.into(),
        })?;
        let unsound = |what: String| Error::from(BundleError::Unsound { file: file.to_owned(), what });
        let sizes = contents.index.iter().filter_map(|digest| contents.blobs.get(digest));
        if sizes.filter(|size| **size <= MOST_MANIFEST).sum::<u64>() > MOST_MANIFESTS {
            let most = MOST_MANIFESTS >> 20;
            return Err(unsound(format!("the manifests that its index lists are larger than {most} MiB")));
        }
        let mut recorded = HashSet::new();
        let mut referrers = Vec::new();
        for digest in &contents.index {
            // Images and layers may be listed too.
            if contents.blobs.get(digest).is_some_and(|size| *size <= MOST_MANIFEST)
                && let Ok(referrer) = Referrer::parse(&self.store.read(digest)?)
            {
                // All that is checked of an image would be checked again for each.
                if referrer.artifact_type == BUNDLE_TYPE && !recorded.insert(referrer.subject) {
                    let image = referrer.subject;
                    return Err(unsound(format!("it holds two records of one image, {image}")));
                }
                referrers.push(referrer);
            }
        }
        Ok(Opened { file, contents, referrers })
    }

    /// The image that `bundle` is about, if everything in the bundle fits together.
    async fn sound(&self, opened: &Opened<'_>, bundle: &Referrer) -> Result<Sound> {
        let unsound = |what: String| opened.unsound(what);
        let broken = |error: serde_json::Error| opened.unsound(error.to_string());
        if let Some(missing) = bundle.layers.iter().find(|layer| !opened.has([layer.digest])) {
            return Err(unsound(format!("it has no {}", missing.digest)));
        }
        let part = |media_type: &str| -> Result<Option<Vec<u8>>> {
            let layer = bundle.layers.iter().find(|layer| layer.media_type == media_type);
            layer.map(|layer| self.part(opened, &layer.digest)).transpose()
        };
        let needed = |media_type: &str| -> Result<Vec<u8>> {
            part(media_type)?.ok_or_else(|| unsound(format!("it has no {media_type}")))
        };
        let lock_bytes = needed(LOCK_TYPE)?;
        let lock = Lock::from_bytes(&lock_bytes).map_err(broken)?;
        let definition_bytes = needed(DEFINITION_TYPE)?;
        let definition: Definition = serde_json::from_slice(&definition_bytes).map_err(broken)?;
        let receipt_text = String::from_utf8(needed(RECEIPT_TYPE)?)
            .map_err(|error| unsound(format!("its receipt is no text: {error}")))?;
        let receipt: Receipt = serde_json::from_str(&receipt_text).map_err(broken)?;
        let ImageFile { form, image } = serde_json::from_slice(&needed(IMAGE_TYPE)?).map_err(broken)?;
        let environment: Option<EnvironmentFile> = part(ENVIRONMENT_TYPE)?
            .map(|bytes| serde_json::from_slice(&bytes).map_err(broken))
            .transpose()?;

        let digest = Digest::of(&lock_bytes);
        if lock.digest() != digest || receipt.lock != digest || receipt.definition != lock.definition {
            return Err(unsound("its lock, receipt and definition do not belong together".to_owned()));
        }
        if definition_digest(&definition) != lock.definition {
            return Err(unsound("its lock is of another definition".to_owned()));
        }
        if let Some(environment) = &environment {
            has_sound_name(environment).map_err(unsound)?;
            if environment.environment.definition != definition {
                return Err(unsound("its environment has another definition".to_owned()));
            }
        }
        self.usable(&definition, &lock, opened.file).await?;
        self.is_as_said(&image, bundle, opened).map_err(unsound)?;
        let is_proof = |one: &&Referrer| {
            let parts = one.layers.iter().map(|layer| layer.digest);
            one.subject == bundle.subject
                && one.artifact_type != BUNDLE_TYPE
                && opened.has(one.blobs().into_iter().map(|(digest, _)| digest))
                && parts.into_iter().all(|digest| is_small(&opened.contents.blobs, &digest))
        };
        Ok(Sound {
            lock,
            digest,
            definition,
            definition_bytes,
            receipt,
            receipt_text,
            form,
            image,
            environment,
            told: part(ABOUTS_TYPE)?,
            artifacts: bundle.layers.iter().filter(|layer| layer.media_type == ARTIFACT_TYPE).count(),
            proofs: opened.referrers.iter().filter(is_proof).cloned().collect(),
            checks: Vec::new(),
            signed_by: None,
        })
    }

    /// A small file of the bundle.
    fn part(&self, opened: &Opened<'_>, digest: &Digest) -> Result<Vec<u8>> {
        if is_small(&opened.contents.blobs, digest) {
            Ok(self.store.read(digest)?)
        } else {
            Err(opened.unsound(format!("{digest} is larger than it can be")))
        }
    }

    /// Refuses a version that is something else here.
    async fn may_be_registered(
        &self,
        opened: &Opened<'_>,
        sound: &Sound,
        options: &ImportOptions,
    ) -> Result<()> {
        let Some(registered) = sound.environment.as_ref().filter(|_| !options.unregistered) else {
            return Ok(());
        };
        let there = self.catalogue.environment(&registered.name, Some(&registered.version)).await?;
        let content = content_digest(&registered.environment);
        let differs =
            there.is_some_and(|row| row.lock != sound.digest || content_digest(&row.environment) != content);
        if differs {
            let environment = format!("{}:{}", registered.name, registered.version);
            return Err(BundleError::Taken { file: opened.file.to_owned(), environment }.into());
        }
        Ok(())
    }

    /// What speaks for the image: what was asked for, and what is needed so that an image of this workspace's own lock is what
    /// that lock makes.
    async fn proven(
        &self,
        opened: &Opened<'_>,
        sound: &Sound,
        folder: &Path,
        options: &ImportOptions,
    ) -> Result<(Vec<Check>, Option<Digest>)> {
        let (image, platform) = (&sound.image, sound.image.platform);
        let file = || opened.file.to_owned();
        let signed = !options.keys.is_empty() || options.policy.is_some();
        let options = VerifyOptions {
            keys: options.keys.clone(),
            policy: options.policy.clone(),
            rebuild: options.rebuild,
            insecure: false,
        };
        let evidence = self.evidence_in(opened, sound)?;
        let shown = opened.file.display().to_string();
        let mut checks = Vec::new();
        let mut signed_by = None;
        if signed || options.rebuild {
            let verified = self.hold(&evidence, &shown, folder, &options).await?;
            if !verified.verified {
                let checks = verified.checks;
                return Err(BundleError::Refused { file: file(), image: image.manifest, checks }.into());
            }
            let signed_receipt = verified.receipt == Some(Digest::of(sound.receipt_text.as_bytes()));
            signed_by = verified.key.filter(|_| signed_receipt);
            checks = verified.checks;
        }
        if let Some(here) = self.catalogue.image(&sound.digest, platform, sound.form).await? {
            if here.manifest != image.manifest {
                let (image, here) = (image.manifest, here.manifest);
                return Err(BundleError::OtherImage { file: file(), image, here }.into());
            }
            return Ok((checks, signed_by));
        }
        let made_here = self.catalogue.was_made(&sound.digest, &image.manifest).await?;
        let is_known =
            self.catalogue.lock(&sound.digest).await?.is_some() || is_shipped(&sound.lock.definition)?;
        if !checks.is_empty() || made_here || !is_known {
            return Ok((checks, signed_by));
        }
        // Whoever locked this definition here, or has it from us, and builds it next, must get what its lock makes.
        if platform != Platform::host() || sound.form.check().is_err() {
            let (image, lock) = (image.manifest, sound.digest);
            return Err(BundleError::Unproven { file: file(), image, lock }.into());
        }
        let check = self.check_rebuild(&evidence, &shown, None, Some(sound.digest)).await?;
        if check.outcome == Outcome::Failed {
            let (image, checks) = (image.manifest, vec![check]);
            return Err(BundleError::Refused { file: file(), image, checks }.into());
        }
        Ok((vec![check], signed_by))
    }

    fn evidence_in(&self, opened: &Opened<'_>, sound: &Sound) -> Result<Evidence> {
        let mut attached = vec![
            (LOCK_TYPE.to_owned(), sound.lock.to_bytes()),
            (DEFINITION_TYPE.to_owned(), sound.definition_bytes.clone()),
        ];
        for layer in sound.proofs.iter().flat_map(|proof| &proof.layers) {
            if Evidence::wants(&layer.media_type) {
                attached.push((layer.media_type.clone(), self.part(opened, &layer.digest)?));
            }
        }
        let manifest = self.store.read(&sound.image.manifest)?;
        let manifest: ImageManifest =
            serde_json::from_slice(&manifest).map_err(|error| opened.unsound(error.to_string()))?;
        // Each of them was hashed on its way into the store.
        let contents = Some(Ok(sound.image.blobs().len()));
        let config = self.store.read(&sound.image.config)?;
        let shown = opened.file.display().to_string();
        let evidence = Evidence::new(sound.image.manifest, manifest, &config, attached, contents, &shown)?;
        // It would be on record as what it is not.
        if (evidence.form, evidence.platform) != (sound.form, sound.image.platform) {
            return Err(opened.unsound("an image is of another form or platform than its record says"));
        }
        Ok(evidence)
    }

    async fn take(&self, opened: &Opened<'_>, sound: Sound, options: &ImportOptions) -> Result<BundledImage> {
        let image = &sound.image;
        // The file's name, without the folders of this machine: it goes into provenance.
        let name = opened.file.file_name().unwrap_or_default().to_string_lossy();
        let from = TakenFrom { place: format!("the bundle {name}"), signed_by: sound.signed_by };
        self.catalogue
            .import_resolution(
                &sound.definition,
                &sound.lock,
                &sound.receipt,
                &sound.receipt_text,
                Some(&from),
            )
            .await?;
        // Somebody may have built it meanwhile.
        let here = self.catalogue.import_image(&sound.digest, sound.form, image).await?;
        if here != image.manifest {
            let (file, image) = (opened.file.to_owned(), image.manifest);
            return Err(BundleError::OtherImage { file, image, here }.into());
        }
        // No signature is about it: where signatures are demanded, it is known when the image is made again here.
        let believed = options.keys.is_empty() && options.policy.is_none();
        if let Some(told) = sound.told.as_ref().filter(|_| believed)
            && let Some(lock) = sound.lock.platforms.get(&image.platform)
            && let Err(why) = self.take_abouts(lock, told).await?
        {
            self.reporter.note(&format!("what the bundle tells of the image's packages is not taken: {why}"));
        }
        for proof in &sound.proofs {
            self.catalogue.record_proof(proof, None, &user_name()).await?;
        }
        let registered = sound.environment.as_ref().filter(|registered| {
            // Those are here already, or in a later release.
            !options.unregistered && !crate::is_curated(&registered.name)
        });
        let environment = match registered {
            Some(registered) => Some(self.import_environment(registered, &sound).await?),
            None => None,
        };
        Ok(BundledImage {
            image: image.manifest,
            platform: image.platform,
            environment,
            artifacts: sound.artifacts,
            proofs: sound.proofs.len(),
            checks: sound.checks,
        })
    }

    async fn import_environment(&self, registered: &EnvironmentFile, sound: &Sound) -> Result<String> {
        let new = NewEnvironment {
            name: &registered.name,
            version: Some(&registered.version),
            content: content_digest(&registered.environment),
            definition: sound.receipt.definition,
            resolution: Resolution::Given {
                receipt: Digest::of(sound.receipt_text.as_bytes()),
                lock: sound.receipt.lock,
            },
            environment: &registered.environment,
            created_by: &user_name(),
            from: None,
            same: Same::ContentAndLock,
            telling: Telling::Nobody,
        };
        let row = self.catalogue.register(&new).await?;
        Ok(format!("{}:{}", row.name, row.version))
    }

    /// Whether all of `image` is there, and is what it says.
    fn is_as_said(&self, image: &Image, bundle: &Referrer, opened: &Opened<'_>) -> Result<(), String> {
        if image.manifest != bundle.subject
            || !opened.has(image.blobs().into_iter().map(|(digest, _)| digest))
        {
            return Err("an image is not all there".to_owned());
        }
        let read = |digest: &Digest| {
            if opened.contents.blobs.get(digest).is_none_or(|size| *size > MOST_MANIFEST) {
                return Err(format!("{digest} is larger than it can be"));
            }
            self.store.read(digest).map_err(|error| error.to_string())
        };
        image_file::check(image, &read(&image.manifest)?, &read(&image.config)?)?;
        let sizes = image.blobs();
        let same = sizes.iter().all(|(digest, size)| opened.contents.blobs.get(digest) == Some(size));
        if same { Ok(()) } else { Err("an image is not what its manifest says".to_owned()) }
    }
}

fn is_small(blobs: &HashMap<Digest, u64>, digest: &Digest) -> bool {
    blobs.get(digest).is_some_and(|size| *size <= MOST_PART)
}

/// In what two images of one bundle cannot both be taken.
fn contradiction(one: &Sound, other: &Sound) -> Option<&'static str> {
    let made_of = |one: &Sound| (one.digest, one.image.platform, one.form);
    if made_of(one) == made_of(other) && one.image.manifest != other.image.manifest {
        return Some("it holds two images of one lock");
    }
    let (Some(name), Some(other_name)) = (&one.environment, &other.environment) else { return None };
    let same_name = (&name.name, &name.version) == (&other_name.name, &other_name.version);
    let same = one.digest == other.digest
        && content_digest(&name.environment) == content_digest(&other_name.environment);
    (same_name && !same).then_some("it holds two environments by one name")
}

/// Whether this is the definition of a curated environment.
fn is_shipped(definition: &Digest) -> Result<bool> {
    for curated in Curated::list(None, true) {
        if definition_digest(&curated.read()?.environment.definition) == *definition {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether it is called what an environment may be called that is registered here.
fn has_sound_name(registered: &EnvironmentFile) -> Result<(), String> {
    if crate::is_curated(&registered.name) {
        return Ok(());
    }
    let own = registered.environment.name.as_ref();
    if own.is_some_and(|name| *name != registered.name) {
        return Err("its environment has another name".to_owned());
    }
    let (name, version) = (Some(registered.name.clone()), Some(registered.version.clone()));
    let named = Environment { name, version, ..registered.environment.clone() };
    let of_names = [codes::INVALID_NAME.id, codes::RESERVED_NAME.id];
    let problem =
        provenv_definition::check(&named).into_iter().find(|remark| of_names.contains(&remark.code));
    problem.map_or(Ok(()), |remark| Err(remark.message))
}
