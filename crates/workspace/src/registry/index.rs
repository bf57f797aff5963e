//! What the registry has: the workspace's own images, and what was pushed, as the catalogue says.

use std::collections::HashSet;

use async_trait::async_trait;
use provenv_definition::Digest;
use provenv_image::form::Form;
use provenv_registry::server::{
    Index, IndexError, IndexResult, ManifestEntry, NewManifest, Page, RepositoryName, Tag, TagOrDigest,
    tag_order,
};
use provenv_store::Blob;
use tokio::sync::Mutex;

use super::images::{OwnImages, OwnTag};
use crate::Error;
use crate::catalogue::{Catalogue, CatalogueError, Refused};

/// The index of a workspace.
pub(super) struct WorkspaceIndex {
    catalogue: Catalogue,
    own: OwnImages,
    /// Held by whoever writes: SQLite lets one write at a time, and those who wait for it in the database would have the
    /// connections that readers need.
    writing: Mutex<()>,
}

impl WorkspaceIndex {
    pub fn new(catalogue: Catalogue, form: Form) -> Self {
        Self { own: OwnImages::new(catalogue.clone(), form), catalogue, writing: Mutex::default() }
    }
}

#[async_trait]
impl Index for WorkspaceIndex {
    async fn manifest(
        &self,
        repository: &RepositoryName,
        wanted: &TagOrDigest,
    ) -> IndexResult<Option<ManifestEntry>> {
        let name = repository.as_str();
        match wanted {
            // A registered version is what it is, whatever was pushed by its name before it was registered.
            TagOrDigest::Tag(tag) => match self.own.tag(name, tag.as_str()).await.map_err(other)? {
                OwnTag::Image(entry) => Ok(Some(entry)),
                OwnTag::NotBuilt(_) => Ok(None),
                OwnTag::NotOurs => self.catalogue.pushed_tag(name, tag.as_str()).await.map_err(wrong),
            },
            TagOrDigest::Digest(digest) => {
                match self.catalogue.pushed_manifest(name, digest).await.map_err(wrong)? {
                    Some(entry) => Ok(Some(entry)),
                    None => self.own.manifest(name, digest).await.map_err(other),
                }
            }
        }
    }

    async fn why_no_manifest(&self, repository: &RepositoryName, wanted: &TagOrDigest) -> Option<String> {
        let TagOrDigest::Tag(tag) = wanted else { return None };
        let OwnTag::NotBuilt(version) = self.own.tag(repository.as_str(), tag.as_str()).await.ok()? else {
            return None;
        };
        let (name, version) = (version.name, version.version);
        Some(format!("it is registered and not built: `provenv build {name}:{version}` builds it"))
    }

    async fn has_blob(&self, repository: &RepositoryName, digest: &Digest) -> IndexResult<bool> {
        Ok(self.catalogue.has_pushed_blob(Some(repository.as_str()), digest).await.map_err(wrong)?
            || self.own.has_blob(repository.as_str(), digest).await.map_err(other)?)
    }

    async fn tags(&self, repository: &RepositoryName, page: &Page) -> IndexResult<Option<Vec<Tag>>> {
        let name = repository.as_str();
        let after = page.after.as_deref().unwrap_or_default();
        let own = self.own.tags(name).await.map_err(other)?;
        if own.is_none() && !self.catalogue.is_pushed_repository(name).await.map_err(wrong)? {
            return Ok(None);
        }
        let pushed = self.catalogue.pushed_tags(name, after, page.limit).await.map_err(wrong)?;
        let mut tags: Vec<Tag> = own.unwrap_or_default();
        tags.extend(pushed.into_iter().filter_map(Tag::new));
        tags.retain(|tag| tag_order(tag.as_str()) > tag_order(after));
        tags.sort_by(|a, b| tag_order(a.as_str()).cmp(&tag_order(b.as_str())));
        tags.dedup();
        tags.truncate(page.limit);
        Ok(Some(tags))
    }

    async fn repositories(&self, page: &Page) -> IndexResult<Vec<RepositoryName>> {
        let after = page.after.as_deref().unwrap_or_default();
        let mut names = self.catalogue.pushed_repositories(after, page.limit).await.map_err(wrong)?;
        names.extend(self.own.repositories(after, page.limit).await.map_err(other)?);
        names.sort_unstable();
        names.dedup();
        names.truncate(page.limit);
        // The name of an environment may be none of a repository.
        Ok(names.into_iter().filter_map(RepositoryName::new).collect())
    }

    async fn referrers(&self, repository: &RepositoryName, subject: &Digest) -> IndexResult<Vec<String>> {
        let name = repository.as_str();
        let mut referrers = self.catalogue.pushed_referrers(name, subject).await.map_err(wrong)?;
        for own in self.own.referrers(name, subject).await.map_err(other)? {
            let digest = own.manifest.to_string();
            // It may have been pushed here too.
            if !referrers.iter().any(|pushed| pushed.contains(&digest)) {
                referrers.push(own.to_entry().to_string());
            }
        }
        referrers.sort_by_cached_key(|descriptor| {
            let descriptor: serde_json::Value = serde_json::from_str(descriptor).unwrap_or_default();
            descriptor["digest"].as_str().map(str::to_owned)
        });
        Ok(referrers)
    }

    async fn add_blob(&self, repository: &RepositoryName, blob: &Blob) -> IndexResult<()> {
        let _writing = self.writing.lock().await;
        self.catalogue.push_blob(repository.as_str(), &blob.digest, blob.size).await.map_err(wrong)
    }

    async fn mount(
        &self,
        repository: &RepositoryName,
        blob: &Blob,
        from: Option<&RepositoryName>,
    ) -> IndexResult<bool> {
        let is_there = match from {
            Some(from) => self.has_blob(from, &blob.digest).await?,
            None => {
                self.catalogue.has_pushed_blob(None, &blob.digest).await.map_err(wrong)?
                    || self.own.has_blob_anywhere(&blob.digest).await.map_err(other)?
            }
        };
        if is_there {
            self.add_blob(repository, blob).await?;
        }
        Ok(is_there)
    }

    async fn add_manifest(
        &self,
        repository: &RepositoryName,
        manifest: &NewManifest,
        tag: Option<&Tag>,
    ) -> IndexResult<()> {
        let name = repository.as_str();
        if let Some(tag) = tag
            && let Some(reason) = self.own.owns_tag(name, tag.as_str()).await.map_err(other)?
        {
            return Err(IndexError::Denied(reason));
        }
        let manifests = self.own.manifests(name).await.map_err(other)?;
        let mut own: HashSet<Digest> = HashSet::new();
        for part in &manifest.blobs {
            if self.own.has_blob(name, part).await.map_err(other)? {
                own.insert(*part);
            }
        }
        own.extend(manifest.manifests.iter().filter(|part| manifests.contains(part)));
        let _writing = self.writing.lock().await;
        let pushed =
            self.catalogue.push_manifest(name, manifest, tag.map(Tag::as_str), &own).await.map_err(wrong)?;
        pushed.map_err(refused)
    }

    async fn remove_tag(&self, repository: &RepositoryName, tag: &Tag) -> IndexResult<bool> {
        let name = repository.as_str();
        if let Some(reason) = self.own.owns_tag(name, tag.as_str()).await.map_err(other)? {
            return Err(IndexError::Denied(reason));
        }
        let _writing = self.writing.lock().await;
        self.catalogue.remove_pushed_tag(name, tag.as_str()).await.map_err(wrong)
    }

    async fn remove_manifest(&self, repository: &RepositoryName, digest: &Digest) -> IndexResult<bool> {
        let name = repository.as_str();
        let writing = self.writing.lock().await;
        let removed = self.catalogue.remove_pushed_manifest(name, digest).await.map_err(wrong)?;
        drop(writing);
        if removed.map_err(refused)? {
            return Ok(true);
        }
        if self.own.manifests(name).await.map_err(other)?.contains(digest) {
            return Err(IndexError::Denied(format!("{digest} is an image of the workspace")));
        }
        Ok(false)
    }

    async fn remove_blob(&self, repository: &RepositoryName, digest: &Digest) -> IndexResult<bool> {
        let name = repository.as_str();
        let writing = self.writing.lock().await;
        let removed = self.catalogue.remove_pushed_blob(name, digest).await.map_err(wrong)?;
        drop(writing);
        if removed.map_err(refused)? {
            return Ok(true);
        }
        if self.own.has_blob(name, digest).await.map_err(other)? {
            return Err(IndexError::Denied(format!("{digest} is part of an image of the workspace")));
        }
        Ok(false)
    }
}

fn refused(refused: Refused) -> IndexError {
    match refused {
        Refused::Missing(digests) => IndexError::Missing(digests),
        Refused::InUse(by) => IndexError::InUse(format!("the manifest {by} names it: remove that first")),
    }
}

fn wrong(error: CatalogueError) -> IndexError {
    IndexError::Other(Box::new(error))
}

fn other(error: Error) -> IndexError {
    IndexError::Other(Box::new(error))
}
