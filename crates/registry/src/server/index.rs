//! Which repository has what: kept by whoever has the server, who may have images of their own to show.

use async_trait::async_trait;
use provenv_definition::Digest;
use provenv_store::Blob;

use super::name::{RepositoryName, Tag, TagOrDigest};

/// A manifest of a repository, whose bytes are in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestEntry {
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
}

/// A manifest that is pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewManifest {
    /// Itself.
    pub entry: ManifestEntry,
    /// The blobs that it names, which must be in the repository.
    pub blobs: Vec<Digest>,
    /// The manifests that it names, which must be in the repository.
    pub manifests: Vec<Digest>,
    /// What it is about, which need not be there.
    pub subject: Option<Digest>,
    /// How the referrers of its subject are listed with it: a descriptor in JSON.
    pub descriptor: String,
    /// Who pushed it.
    pub pushed_by: Option<String>,
}

/// Which part of a list is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Only what comes after this.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// Why a request of an index is not done.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// It is not for clients to change.
    #[error("{0}")]
    Denied(String),
    /// A manifest names it.
    #[error("{0}")]
    InUse(String),
    /// Blobs and manifests that a new manifest names are not in the repository.
    #[error("parts of the manifest are not in the repository")]
    Missing(Vec<Digest>),
    /// It cannot be read or written.
    #[error(transparent)]
    Other(#[from] Box<dyn std::error::Error + Send + Sync>),
}

/// What an index gives back.
pub type IndexResult<T> = Result<T, IndexError>;

/// Which repository has what.
///
/// A change is durable when its call returns. The caller of [`add_blob`](Index::add_blob), [`mount`](Index::mount) and
/// [`add_manifest`](Index::add_manifest) has a pin on the store, so that no collection comes between the bytes and their
/// entry.
#[async_trait]
pub trait Index: Send + Sync + 'static {
    /// The manifest that `wanted` is in the repository.
    async fn manifest(
        &self,
        repository: &RepositoryName,
        wanted: &TagOrDigest,
    ) -> IndexResult<Option<ManifestEntry>>;

    /// Why there is no such manifest, where that can be said better than by its absence.
    async fn why_no_manifest(&self, repository: &RepositoryName, wanted: &TagOrDigest) -> Option<String>;

    /// Whether the blob is in the repository.
    async fn has_blob(&self, repository: &RepositoryName, digest: &Digest) -> IndexResult<bool>;

    /// Tags, in the specification's order (whatever their case, see [`tag_order`]); `None` where there is no such repository.
    async fn tags(&self, repository: &RepositoryName, page: &Page) -> IndexResult<Option<Vec<Tag>>>;

    /// Repositories by name.
    async fn repositories(&self, page: &Page) -> IndexResult<Vec<RepositoryName>>;

    /// The descriptors (JSON) of the manifests whose subject this is, by digest.
    async fn referrers(&self, repository: &RepositoryName, subject: &Digest) -> IndexResult<Vec<String>>;

    /// Adds a blob that is in the store.
    async fn add_blob(&self, repository: &RepositoryName, blob: &Blob) -> IndexResult<()>;

    /// Adds a blob of another repository, of any one if none is given; says whether it is there.
    async fn mount(
        &self,
        repository: &RepositoryName,
        blob: &Blob,
        from: Option<&RepositoryName>,
    ) -> IndexResult<bool>;

    /// Adds a manifest that is in the store, and makes the tag name it; both or neither.
    async fn add_manifest(
        &self,
        repository: &RepositoryName,
        manifest: &NewManifest,
        tag: Option<&Tag>,
    ) -> IndexResult<()>;

    /// Removes a tag; says whether it was there.
    async fn remove_tag(&self, repository: &RepositoryName, tag: &Tag) -> IndexResult<bool>;

    /// Removes a manifest and the tags that name it; says whether it was there.
    async fn remove_manifest(&self, repository: &RepositoryName, digest: &Digest) -> IndexResult<bool>;

    /// Removes a blob; says whether it was there.
    async fn remove_blob(&self, repository: &RepositoryName, digest: &Digest) -> IndexResult<bool>;
}

/// What tags are sorted by: lexically, whatever their case ("Listing Tags").
pub fn tag_order(tag: &str) -> (String, &str) {
    (tag.to_ascii_lowercase(), tag)
}
