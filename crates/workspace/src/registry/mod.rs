//! The workspace as a registry: its own images, and a place for others.

mod images;
mod index;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use provenv_registry::server::{self, Htpasswd, Mounted, ServerOptions};
use serde::Serialize;

use crate::error::IoContext as _;
use crate::supervise::Signals;
use crate::{Result, Workspace};
use images::{OwnImages, OwnTag};
use index::WorkspaceIndex;

pub use provenv_registry::server::Anonymous;

/// How the workspace is served as a registry.
#[derive(Clone, Debug)]
pub struct RegistryOptions {
    /// Where: `ADDRESS:PORT`.
    pub listen: String,
    /// The file of the users, as `htpasswd -B` writes it.
    pub htpasswd: Option<PathBuf>,
    /// The file of those who may pull and no more.
    pub readers: Option<PathBuf>,
    /// What those may who give no name.
    pub anonymous: Anonymous,
    /// Files with a certificate and its key, in PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// A registry that is served.
#[derive(Clone, Debug, Serialize)]
pub struct RegistryServed {
    /// Its URL.
    pub url: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// The workspace.
    pub workspace: PathBuf,
    /// Who may pull, and who may push: `anybody`, `users`, `readers`, `users and readers` or `nobody`.
    pub pull: &'static str,
    /// See `pull`.
    pub push: &'static str,
}

impl Workspace {
    /// The workspace as the repositories `PREFIX/…` of a server that has other workspaces too.
    pub fn mounted(&self, prefix: &str) -> Mounted {
        let index = Arc::new(WorkspaceIndex::new(self.catalogue.clone(), self.form()));
        Mounted::new(self.store.clone(), index, Arc::clone(&self.reporter), prefix)
    }

    /// The name and version that a tag means, where that is registered and not built.
    pub(crate) async fn not_built(&self, repository: &str, tag: &str) -> Result<Option<(String, String)>> {
        let own = OwnImages::new(self.catalogue.clone(), self.form());
        Ok(match own.tag(repository, tag).await? {
            OwnTag::NotBuilt(version) => Some((version.name, version.version)),
            OwnTag::Image(_) | OwnTag::NotOurs => None,
        })
    }

    /// Serves the workspace as a registry until this process is told to stop. `ready` is called once clients may connect.
    pub async fn serve_registry(
        &self,
        options: &RegistryOptions,
        ready: impl FnOnce(&RegistryServed) -> std::io::Result<()>,
    ) -> Result<()> {
        allow_many_files();
        // From here on, so that nothing is lost between the address and the first request.
        let mut signals = Signals::listen_only()?;
        let open = |path| Htpasswd::open(path, Arc::clone(&self.reporter));
        let users = options.htpasswd.as_deref().map(open).transpose()?;
        let readers = options.readers.as_deref().map(open).transpose()?;
        let (has_users, has_readers) = (users.is_some(), readers.is_some());
        let index = Arc::new(WorkspaceIndex::new(self.catalogue.clone(), self.form()));
        let bound = server::bind(
            self.store.clone(),
            index,
            Arc::clone(&self.reporter),
            ServerOptions {
                listen: options.listen.clone(),
                users,
                readers,
                anonymous: options.anonymous,
                tls: options.tls.clone(),
            },
        )
        .await?;
        let named = |anybody: bool, readers: bool| match (anybody, has_users, readers) {
            (true, _, _) => "anybody",
            (false, true, true) => "users and readers",
            (false, true, false) => "users",
            (false, false, true) => "readers",
            (false, false, false) => "nobody",
        };
        let has_names = has_users || has_readers;
        let address = bound.address();
        let scheme = if bound.is_secure() { "https" } else { "http" };
        let served = RegistryServed {
            url: format!("{scheme}://{address}"),
            address,
            workspace: self.root.clone(),
            pull: named(!has_names || options.anonymous >= Anonymous::Pull, has_readers),
            push: named(options.anonymous >= Anonymous::Push, false),
        };
        ready(&served).doing(|| "could not say where the registry is".to_owned())?;
        bound
            .serve(async move {
                signals.next().await;
            })
            .await?;
        Ok(())
    }
}

/// As many open files as this process may have: each connection is one, and each upload another.
pub(crate) fn allow_many_files() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // With fewer, the server does its work all the same.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
