//! A registry that is part of another server, which lets people in by its own rules.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::extract::Request;
use axum::response::Response;
use provenv_definition::Digest;
use provenv_fetch::Reporter;
use provenv_store::{Blob, Store};

use super::access::{Access, Right, Who};
use super::failure::{Code, Failure};
use super::sessions::Sessions;
use super::{
    Anonymous, Index, IndexError, IndexResult, ManifestEntry, NewManifest, Page, RepositoryName, Server, Tag,
    TagOrDigest, respond,
};

/// Whoever was let in, and how far.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Their name.
    pub name: String,
    /// Whether they may push and delete, and not only pull.
    pub pushes: bool,
}

impl Visitor {
    pub(super) fn admit(&self, right: Right) -> Result<Who, Failure> {
        match right {
            _ if self.pushes => Ok(Who::User(self.name.clone())),
            Right::Pull => Ok(Who::Reader(self.name.clone())),
            Right::Push => {
                let message = format!("`{}` may pull and not push", self.name);
                Err(Failure::new(403, Code::Denied, message))
            }
        }
    }
}

/// A store as the repositories `PREFIX/…` of a server that has others too.
#[derive(Clone)]
pub struct Mounted(Arc<Server>);

impl Mounted {
    /// Makes one. Nobody is let in but by [`Mounted::answer`].
    pub fn new(store: Store, index: Arc<dyn Index>, reporter: Arc<dyn Reporter>, prefix: &str) -> Self {
        let index = Arc::new(Prefixed { prefix: format!("{prefix}/"), index });
        let access = Access::new(None, None, Anonymous::Nothing, false);
        let (sessions, remembered) = (Sessions::default(), Mutex::new(HashMap::new()));
        Self(Arc::new(Server { store, index, access, sessions, remembered, reporter }))
    }

    /// Answers a request, whose path begins with `/v2/`, of somebody who was let in.
    pub async fn answer(&self, request: Request, visitor: &Visitor) -> Response {
        respond(&self.0, request, Some(visitor)).await
    }

    /// The names of its repositories after `after`, in their order, so many at most.
    ///
    /// # Errors
    /// Where the index cannot be read.
    pub async fn repositories(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, Box<dyn std::error::Error + Send + Sync>> {
        let page = Page { after: after.map(str::to_owned), limit };
        let names = self.0.index.repositories(&page).await?;
        Ok(names.iter().map(ToString::to_string).collect())
    }

    /// Lets uploads go that nobody goes on with, until it is dropped.
    pub async fn sweep(&self) {
        self.0.sweep().await;
    }

    /// Keeps uploads that are on their way for whoever serves next.
    pub async fn keep(&self) {
        self.0.sessions.keep().await;
    }
}

/// An index whose repositories have a prefix to everybody else.
struct Prefixed {
    /// With the `/` at its end.
    prefix: String,
    index: Arc<dyn Index>,
}

impl Prefixed {
    fn own(&self, repository: &RepositoryName) -> IndexResult<RepositoryName> {
        let own = repository.as_str().strip_prefix(&self.prefix).and_then(RepositoryName::new);
        own.ok_or_else(|| IndexError::Denied(format!("{repository} is not of this workspace")))
    }
}

#[async_trait]
impl Index for Prefixed {
    async fn manifest(
        &self,
        repository: &RepositoryName,
        wanted: &TagOrDigest,
    ) -> IndexResult<Option<ManifestEntry>> {
        self.index.manifest(&self.own(repository)?, wanted).await
    }

    async fn why_no_manifest(&self, repository: &RepositoryName, wanted: &TagOrDigest) -> Option<String> {
        self.index.why_no_manifest(&self.own(repository).ok()?, wanted).await
    }

    async fn has_blob(&self, repository: &RepositoryName, digest: &Digest) -> IndexResult<bool> {
        self.index.has_blob(&self.own(repository)?, digest).await
    }

    async fn tags(&self, repository: &RepositoryName, page: &Page) -> IndexResult<Option<Vec<Tag>>> {
        self.index.tags(&self.own(repository)?, page).await
    }

    async fn repositories(&self, page: &Page) -> IndexResult<Vec<RepositoryName>> {
        let after = page.after.as_deref().and_then(|after| after.strip_prefix(&self.prefix));
        let page = Page { after: after.map(str::to_owned), limit: page.limit };
        let own = self.index.repositories(&page).await?;
        Ok(own.into_iter().filter_map(|name| RepositoryName::new(format!("{}{name}", self.prefix))).collect())
    }

    async fn referrers(&self, repository: &RepositoryName, subject: &Digest) -> IndexResult<Vec<String>> {
        self.index.referrers(&self.own(repository)?, subject).await
    }

    async fn add_blob(&self, repository: &RepositoryName, blob: &Blob) -> IndexResult<()> {
        self.index.add_blob(&self.own(repository)?, blob).await
    }

    async fn mount(
        &self,
        repository: &RepositoryName,
        blob: &Blob,
        from: Option<&RepositoryName>,
    ) -> IndexResult<bool> {
        let from = match from.map(|from| self.own(from)) {
            Some(Ok(from)) => Some(from),
            // It is another workspace's, whose bytes are not for this one to give: the client sends them.
            Some(Err(_)) => return Ok(false),
            None => None,
        };
        self.index.mount(&self.own(repository)?, blob, from.as_ref()).await
    }

    async fn add_manifest(
        &self,
        repository: &RepositoryName,
        manifest: &NewManifest,
        tag: Option<&Tag>,
    ) -> IndexResult<()> {
        self.index.add_manifest(&self.own(repository)?, manifest, tag).await
    }

    async fn remove_tag(&self, repository: &RepositoryName, tag: &Tag) -> IndexResult<bool> {
        self.index.remove_tag(&self.own(repository)?, tag).await
    }

    async fn remove_manifest(&self, repository: &RepositoryName, digest: &Digest) -> IndexResult<bool> {
        self.index.remove_manifest(&self.own(repository)?, digest).await
    }

    async fn remove_blob(&self, repository: &RepositoryName, digest: &Digest) -> IndexResult<bool> {
        self.index.remove_blob(&self.own(repository)?, digest).await
    }
}
