//! A folder on this machine that stands for a workspace on a server, so that what needs a lock, a store or a sandbox is the same
//! code for both: comparing, exporting, bills of materials, running.
//!
//! What is registered is asked of the server each time, and brought here with its lock and receipt as far as they are not here yet;
//! so are its images, by name and without their layers, which come when something needs them ([`crate::cache`]). Registrations and
//! runs are said to the server. Nothing but copies is in the folder: it may be removed at any time.

mod images;
mod registering;
mod reporting;

use std::path::{Path, PathBuf};

use provenv_definition::{Digest, Environment};
use provenv_image::proof::TakenFrom;
use provenv_lock::{Lock, Receipt};
use provenv_registry::Keychain;

use crate::catalogue::{EnvironmentRow, MirroredVersion};
use crate::config::{CatalogueSettings, Config, default_workspace};
use crate::environments::content_digest;
use crate::{EnvironmentDetails, Error, OpenOptions, Remote, RemoteError, Result, Workspace};

pub use images::ToldImage;
pub use reporting::{ReportedRun, RunNow};

/// Where servers' workspaces are, below the user's own.
const FOLDER: &str = "servers";

impl Remote {
    /// The folder on this machine that stands for it.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        let server = self.server();
        let host = server.host_str().unwrap_or_default().replace(['[', ']'], "").replace(':', "-");
        let place = match server.port() {
            Some(port) => format!("{host}-{port}"),
            None => host,
        };
        Some(default_workspace()?.join(FOLDER).join(place).join(self.name()))
    }

    /// Its host, as registries are called.
    pub(crate) fn registry(&self) -> String {
        let server = self.server();
        let host = server.host_str().unwrap_or_default();
        server.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

impl Workspace {
    /// Opens the folder that stands for a workspace on a server; its root is not the options' to say.
    pub async fn open_for(remote: Remote, options: OpenOptions) -> Result<Self> {
        let root = std::path::absolute(remote.folder().ok_or(Error::NoHome)?);
        let root = root
            .map_err(|source| Error::Io { what: "the working folder cannot be used".to_owned(), source })?;
        let mut config = Config::load()?;
        // Copies are this machine's, wherever else catalogues are.
        config.catalogue = CatalogueSettings::default();
        let options = OpenOptions { root, of_server: None, ..options };
        let mut workspace = Self::open_with(options, config).await?;
        workspace.upstream = Some(remote);
        Ok(workspace)
    }

    /// Who pulls where as whom. On a server nobody pulls as whoever runs it: with the credentials that it keeps, or as nobody.
    pub(crate) fn keychain(&self) -> Keychain {
        let keychain = self.credentials.clone().map_or_else(Keychain::of_user, Keychain::of_hosts);
        match &self.upstream {
            Some(remote) => keychain.with_login(&remote.registry(), "provenv", remote.token()),
            None => keychain,
        }
    }

    /// The version of an environment on the server, by its number or as `@LABEL`, brought here with all that it points to.
    pub(crate) async fn mirrored(&self, remote: &Remote, name: &str, wanted: &str) -> Result<EnvironmentRow> {
        let found = remote.version(name, wanted).await;
        // A folder of that name may be meant.
        let found = found.map_err(|error| Remote::no_environment(error, name))?;
        let version = found.version.clone().unwrap_or_default();
        let unsound = |what: String| -> Error {
            RemoteError::Answer { url: format!("{}: {name}:{version}", remote.url()), what }.into()
        };
        let (Some(lock), Some(receipt)) = (found.lock, found.receipt) else {
            return Err(Error::NoEnvironment(format!("{name}:{version}"), None));
        };
        if self.catalogue.receipt(&receipt).await?.is_none() || self.catalogue.lock(&lock).await?.is_none() {
            let lock_bytes = remote.part(&found, "lock").await?;
            let receipt_bytes = remote.part(&found, "receipt").await?;
            let from = TakenFrom { place: remote.url(), signed_by: None };
            self.take_in(&found.environment, &lock_bytes, receipt_bytes, &from).await?.map_err(&unsound)?;
        }
        let EnvironmentDetails { created_at, created_by, from, archived, environment, .. } = found;
        let content = content_digest(&environment);
        let row = EnvironmentRow {
            name: name.to_owned(),
            version: version.clone(),
            definition: found.definition_digest,
            receipt,
            lock,
            environment,
            created_at: created_at.unwrap_or(jiff::Timestamp::UNIX_EPOCH),
            created_by: created_by.unwrap_or_default(),
            archived,
            from: from
                .as_deref()
                .and_then(|from| from.rsplit_once(':'))
                .map(|(name, version)| (name.to_owned(), version.to_owned())),
        };
        self.catalogue.mirror(&MirroredVersion { row, content }).await?;
        self.mirror_images(remote, name, &version, &lock).await?;
        let gone = || Error::NoEnvironment(format!("{name}:{version}"), None);
        self.catalogue.environment(name, Some(&version)).await?.ok_or_else(gone)
    }

    /// Keeps a lock and its receipt, if they belong together and to the environment.
    async fn take_in(
        &self,
        environment: &Environment,
        lock_bytes: &[u8],
        receipt_bytes: Vec<u8>,
        from: &TakenFrom,
    ) -> Result<Result<(), String>> {
        let definition = &environment.definition;
        let digest = provenv_definition::definition_digest(definition);
        let lock = match Lock::from_bytes(lock_bytes) {
            Ok(lock) => lock,
            Err(error) => return Ok(Err(format!("its lock cannot be read: {error}"))),
        };
        let Ok(text) = String::from_utf8(receipt_bytes) else {
            return Ok(Err("its receipt is no text".to_owned()));
        };
        let receipt: Receipt = match serde_json::from_str(&text) {
            Ok(receipt) => receipt,
            Err(error) => return Ok(Err(format!("its receipt cannot be read: {error}"))),
        };
        let own = Digest::of(lock_bytes);
        let belongs = lock.digest() == own
            && receipt.lock == own
            && [lock.definition, receipt.definition].iter().all(|one| *one == digest);
        if !belongs {
            return Ok(Err("its lock, receipt and definition do not belong together".to_owned()));
        }
        if let Err(error) = lock.validate() {
            return Ok(Err(format!("its lock is not sound: {error}")));
        }
        // What it names that the definition does not is fetched as a stranger's.
        self.distrust_lock(definition, &lock).await?;
        self.catalogue.import_resolution(definition, &lock, &receipt, &text, Some(from)).await?;
        Ok(Ok(()))
    }

    /// Brings the version here that an image with this digest, or one that begins so, is of.
    pub(crate) async fn know_image(&self, reference: &str) -> Result<()> {
        let Some(remote) = &self.upstream else { return Ok(()) };
        let Some(digits) = crate::building::digits_of(reference) else { return Ok(()) };
        let images = crate::Record::images(remote).await?;
        let Some(image) = images.into_iter().find(|image| image.digest.hex().starts_with(digits)) else {
            return Ok(());
        };
        if let Some((name, version)) = image.environments.first().and_then(|name| name.rsplit_once(':')) {
            self.mirrored(remote, name, version).await?;
        }
        Ok(())
    }

    /// What a reference names on the server: name, and version or `@LABEL`.
    pub(crate) fn upstream_version(reference: &str, folder: &Path) -> Option<(String, String)> {
        match crate::Reference::parse(reference, folder) {
            crate::Reference::Registered { name, version: Some(version), .. } => Some((name, version)),
            crate::Reference::Registered { name, label: Some(label), .. } => {
                Some((name, format!("@{label}")))
            }
            crate::Reference::Registered { name, .. } => Some((name, "@latest".to_owned())),
            crate::Reference::Curated { .. } | crate::Reference::File(_) => None,
        }
    }
}
