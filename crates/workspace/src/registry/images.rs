//! The workspace's own images as repositories, which nobody has to push.
//!
//! | repository | shows |
//! |---|---|
//! | `NAME` | the registered environments of that name (in lower case): a tag for each version that has an image, and for each label on one; `latest` for the newest that is not archived |
//! | `curated/NAME` | the same of those that are shipped |
//! | `provenv/images` | every image of the workspace, by its digest |

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use provenv_definition::{Digest, Platform, definition_digest};
use provenv_image::form::Form;
use provenv_image::oci::MANIFEST_TYPE;
use provenv_image::proof::Referrer;
use provenv_registry::server::{ManifestEntry, Tag};

use crate::Result;
use crate::catalogue::{Catalogue, CatalogueError, Origin, RepositoryVersion};
use crate::curated::{Curated, is_curated};
use crate::reference::LATEST;

/// The repository of all images.
const ALL: &str = "provenv/images";
/// What the names of repositories begin with that are ours.
const RESERVED: &str = "provenv/";
/// What tags begin with by which clients attach things to a manifest: signatures, referrers of old registries.
const ATTACHED: &str = "sha256-";

/// The images of a workspace.
pub(super) struct OwnImages {
    catalogue: Catalogue,
    /// The form that the settings want.
    form: Form,
    /// The blobs of images by their manifests. Images never change.
    blobs: Mutex<HashMap<Digest, Arc<HashSet<Digest>>>>,
}

/// What a tag is to the workspace.
pub(super) enum OwnTag {
    /// The image of a version.
    Image(ManifestEntry),
    /// A version that has no image.
    NotBuilt(RepositoryVersion),
    /// No version.
    NotOurs,
}

impl OwnImages {
    pub fn new(catalogue: Catalogue, form: Form) -> Self {
        Self { catalogue, form, blobs: Mutex::default() }
    }

    /// What a tag means, if it is one of ours.
    pub async fn tag(&self, repository: &str, tag: &str) -> Result<OwnTag> {
        let versions = self.versions(repository).await?;
        match self.meant(&versions, tag).await? {
            Some(version) => Ok(match self.image(&version.lock).await? {
                Some(digest) => {
                    self.note_use(&digest).await;
                    OwnTag::Image(entry(digest))
                }
                None => OwnTag::NotBuilt(version.clone()),
            }),
            None => Ok(OwnTag::NotOurs),
        }
    }

    /// The image with this digest, or what is attached to one.
    pub async fn manifest(&self, repository: &str, digest: &Digest) -> Result<Option<ManifestEntry>> {
        let manifests = self.manifests(repository).await?;
        let is_attached = |attached: Vec<Referrer>| attached.iter().any(|one| one.manifest == *digest);
        if manifests.contains(digest) {
            self.note_use(digest).await;
            return Ok(Some(entry(*digest)));
        }
        Ok(is_attached(self.attached(&manifests).await?).then(|| entry(*digest)))
    }

    /// Somebody pulls an image: collections by use leave it. A pull does not fail because this cannot be noted.
    async fn note_use(&self, manifest: &Digest) {
        let noted = async {
            for lock in self.catalogue.locks_of_image(manifest).await? {
                self.catalogue.note_use(&lock).await?;
            }
            Ok::<_, CatalogueError>(())
        };
        if let Err(error) = noted.await {
            tracing::debug!(%error, "failed to note the use of an image");
        }
    }

    /// Whether an image of the repository has this blob, or what is attached to one.
    pub async fn has_blob(&self, repository: &str, digest: &Digest) -> Result<bool> {
        let manifests = self.manifests(repository).await?;
        if self.any_has(&manifests, digest).await? {
            return Ok(true);
        }
        let attached = self.attached(&manifests).await?;
        Ok(attached.iter().flat_map(Referrer::blobs).any(|(blob, _)| blob == *digest))
    }

    /// What is attached to an image of the repository here: signed provenance and the like.
    pub async fn referrers(&self, repository: &str, subject: &Digest) -> Result<Vec<Referrer>> {
        if self.manifests(repository).await?.contains(subject) {
            self.attached(&[*subject]).await
        } else {
            Ok(Vec::new())
        }
    }

    async fn attached(&self, images: &[Digest]) -> Result<Vec<Referrer>> {
        let mut attached = Vec::new();
        for image in images {
            attached.extend(self.catalogue.proofs(image).await?.into_iter().map(|proof| proof.referrer));
        }
        Ok(attached)
    }

    /// Whether any image has this blob.
    pub async fn has_blob_anywhere(&self, digest: &Digest) -> Result<bool> {
        self.any_has(&self.catalogue.own_manifests(None).await?, digest).await
    }

    /// The tags of a repository; `None` where it is not one of these.
    pub async fn tags(&self, repository: &str) -> Result<Option<Vec<Tag>>> {
        if repository == ALL {
            return Ok(Some(Vec::new()));
        }
        let mut tags = Vec::new();
        let versions = self.versions(repository).await?;
        let mut built = HashSet::new();
        for version in &versions {
            if self.image(&version.lock).await?.is_some() {
                built.insert(&version.version);
                tags.extend(Tag::new(&*version.version));
            }
        }
        for (label, version) in self.labels(&versions).await? {
            if built.contains(&version) {
                tags.extend(Tag::new(label));
            }
        }
        Ok((!versions.is_empty()).then_some(tags))
    }

    /// The names of the repositories that have images, after `after`.
    pub async fn repositories(&self, after: &str, limit: usize) -> Result<Vec<String>> {
        let mut names = self.catalogue.repositories_with_images(after, limit).await?;
        if ALL > after && !self.catalogue.own_manifests(None).await?.is_empty() {
            names.push(ALL.to_owned());
        }
        Ok(names)
    }

    /// Why a tag is not for clients to move or remove; `None` where it is theirs.
    pub async fn owns_tag(&self, repository: &str, tag: &str) -> Result<Option<String>> {
        if tag.starts_with(ATTACHED) {
            return Ok(None);
        }
        if is_curated(repository) || repository.starts_with(RESERVED) {
            return Ok(Some(format!("the tags of `{repository}` are the workspace's own")));
        }
        let versions = self.versions(repository).await?;
        let Some(first) = versions.first() else { return Ok(None) };
        let name = &first.name;
        if let Some(shared) = self.catalogue.shared_name(name).await? {
            let place = shared.place;
            return Ok(Some(format!("`{name}` is shared from {place}, and read-only here")));
        }
        if tag == LATEST {
            return Ok(Some(format!("`{LATEST}` is the newest version of the environment `{name}`")));
        }
        if versions.iter().any(|version| version.version == tag) {
            return Ok(Some(format!(
                "`{tag}` is a registered version of the environment `{name}`, and never changes"
            )));
        }
        let is_label = self.labels(&versions).await?.iter().any(|(label, _)| label == tag);
        Ok(is_label
            .then(|| format!("`{tag}` is a label of the environment `{name}`, moved by `provenv env label`")))
    }

    /// The version that a tag means: that one, or the one that a label is on.
    async fn meant<'a>(
        &self,
        versions: &'a [RepositoryVersion],
        tag: &str,
    ) -> Result<Option<&'a RepositoryVersion>> {
        if let Some(version) = versions.iter().find(|version| version.version == tag) {
            return Ok(Some(version));
        }
        let labels = self.labels(versions).await?;
        let labelled = labels.into_iter().find(|(label, _)| label == tag);
        Ok(labelled.and_then(|(_, named)| versions.iter().find(|version| version.version == named)))
    }

    /// The labels of an environment and the versions that they are on, `latest` among them.
    async fn labels(&self, versions: &[RepositoryVersion]) -> Result<Vec<(String, String)>> {
        let Some(first) = versions.first() else { return Ok(Vec::new()) };
        let name = &first.name;
        // What is shipped is not archived, and need not be on record.
        let newest = if is_curated(name) {
            Some(first.version.clone())
        } else {
            self.catalogue.environment(name, None).await?.map(|row| row.version)
        };
        let mut labels: Vec<(String, String)> =
            newest.into_iter().map(|version| (LATEST.to_owned(), version)).collect();
        let rows = self.catalogue.labels(name).await?;
        labels.extend(rows.into_iter().map(|row| (row.label, row.version)));
        Ok(labels)
    }

    /// The manifests of a repository.
    pub async fn manifests(&self, repository: &str) -> Result<Vec<Digest>> {
        if repository == ALL {
            return Ok(self.catalogue.own_manifests(None).await?);
        }
        let mut manifests = if is_curated(repository) || !repository.contains('/') {
            self.catalogue.own_manifests(Some(repository)).await?
        } else {
            Vec::new()
        };
        if is_curated(repository) {
            for version in self.versions(repository).await? {
                let images = self.catalogue.images_of_lock(&version.lock).await?;
                manifests.extend(images.into_iter().map(|origin| origin.image));
            }
        }
        Ok(manifests)
    }

    /// The versions of a repository, the newest first. Of environments whose names differ in case alone, those of the one that
    /// is called exactly so, or else of the first.
    async fn versions(&self, repository: &str) -> Result<Vec<RepositoryVersion>> {
        if repository.contains('/') && !is_curated(repository) {
            return Ok(Vec::new());
        }
        let mut versions = self.catalogue.repository_versions(repository).await?;
        if is_curated(repository) {
            self.add_unregistered(repository, &mut versions).await?;
        }
        let exact = versions.iter().any(|version| version.name == repository);
        let name = if exact {
            repository.to_owned()
        } else {
            versions.first().map(|version| version.name.clone()).unwrap_or_default()
        };
        versions.retain(|version| version.name == name);
        Ok(versions)
    }

    /// Curated versions that are not on record, with the locks that they have here.
    async fn add_unregistered(&self, name: &str, versions: &mut Vec<RepositoryVersion>) -> Result<()> {
        for curated in Curated::list(Some(name), true) {
            if versions.iter().any(|version| version.version == curated.version) {
                continue;
            }
            let definition = definition_digest(&curated.read()?.environment.definition);
            if let Some((_, receipt)) = self.catalogue.current_receipt(&definition).await? {
                versions.push(RepositoryVersion {
                    name: name.to_owned(),
                    version: curated.version.to_owned(),
                    lock: receipt.lock,
                });
            }
        }
        let number = |version: &RepositoryVersion| version.version.parse::<u64>().unwrap_or(0);
        versions.sort_by_key(|version| std::cmp::Reverse(number(version)));
        Ok(())
    }

    /// The image of a lock that its tag means: the one for this machine's platform, or else another, in the form that the
    /// settings want, or else the first that was made. One that is made in another form later moves no tag.
    async fn image(&self, lock: &Digest) -> Result<Option<Digest>> {
        let images = self.catalogue.images_of_lock(lock).await?;
        let is_other = |origin: &&Origin| {
            (origin.platform != Platform::host(), origin.form != Some(self.form), origin.form.is_none())
        };
        Ok(images.iter().min_by_key(is_other).map(|origin| origin.image))
    }

    async fn any_has(&self, manifests: &[Digest], digest: &Digest) -> Result<bool> {
        for manifest in manifests {
            if self.blobs(manifest).await?.contains(digest) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The blobs of an image.
    async fn blobs(&self, manifest: &Digest) -> Result<Arc<HashSet<Digest>>> {
        let known = || self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(blobs) = known().get(manifest) {
            return Ok(Arc::clone(blobs));
        }
        let Some(image) = self.catalogue.image_of_manifest(manifest).await? else {
            return Ok(Arc::default());
        };
        let blobs: Arc<HashSet<Digest>> =
            Arc::new(image.blobs().into_iter().map(|(digest, _)| digest).collect());
        known().insert(*manifest, Arc::clone(&blobs));
        Ok(blobs)
    }
}

fn entry(digest: Digest) -> ManifestEntry {
    ManifestEntry { digest, media_type: MANIFEST_TYPE.to_owned() }
}
