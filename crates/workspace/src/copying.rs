//! Versions go from one workspace to another: the same definition, lock and receipt, the same images, and no byte twice.

use provenv_definition::Digest;
use serde::{Deserialize, Serialize};

use crate::building::is_whole;
use crate::catalogue::{EnvironmentRow, NewEnvironment, Resolution, Same, Telling};
use crate::environments::content_digest;
use crate::lifecycle::Subject;
use crate::{Error, Registered, Remote, Result, Workspace};

/// What copying a version came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Copied {
    /// The environment's name where it is now.
    pub name: String,
    /// Its version there.
    pub version: String,
    /// Whether it is new there.
    pub created: bool,
    /// The version that it was copied from.
    pub from: String,
    /// Digest of its definition.
    pub definition: Digest,
    /// The receipt it points to, which is the same.
    pub receipt: Digest,
    /// The lock of that.
    pub lock: Digest,
    /// The images that are there with it.
    pub images: Vec<Digest>,
}

/// How a version is called where it goes.
#[derive(Clone, Debug, Default)]
pub struct CopyOptions {
    /// Its name there, if another.
    pub name: Option<String>,
    /// Its version there, if another.
    pub version: Option<String>,
    /// What this workspace is called in the other's history, and the other in this one's.
    pub places: (String, String),
}

impl Workspace {
    /// The version that is to be copied: of a name alone the newest.
    async fn to_copy(&self, reference: &str) -> Result<EnvironmentRow> {
        let Some(remote) = &self.upstream else { return self.registered(reference).await };
        let Subject { name, version } = Subject::parse(reference)?;
        self.mirrored(remote, &name, version.as_deref().unwrap_or("@latest")).await
    }

    /// Registers the version that `reference` names in a workspace on a server, with its lock. Images are made there, and come out
    /// the same.
    pub async fn send_to(&self, remote: &Remote, reference: &str, options: &CopyOptions) -> Result<Copied> {
        let row = self.to_copy(reference).await?;
        let from = format!("{}:{}", row.name, row.version);
        let lock =
            self.catalogue.lock_text(&row.lock).await?.ok_or_else(|| Error::NoReceipt(from.clone()))?;
        let mut environment = row.environment;
        environment.name = Some(options.name.clone().unwrap_or(row.name));
        environment.version = Some(options.version.clone().unwrap_or(row.version));
        crate::refuse_local(&environment)?;
        let sent = serde_json::json!({ "environment": environment, "lock": lock });
        let Registered { name, version, created, definition, receipt, lock, .. } =
            remote.register_as(&sent).await?;
        Ok(Copied { name, version, created, from, definition, receipt, lock, images: Vec::new() })
    }

    /// Copies the version that `reference` names into another workspace on this machine. A version that is the same there already
    /// stays as it is.
    pub async fn copy_to(
        &self,
        other: &Self,
        reference: &str,
        options: &CopyOptions,
        who: &str,
    ) -> Result<Copied> {
        let row = self.to_copy(reference).await?;
        let from = format!("{}:{}", row.name, row.version);
        let pins = (self.store.pin_async().await?, other.store.pin_async().await?);
        other.take_resolution(self, &row).await?;
        let images = other.take_images(self, &row.lock).await?;
        let name = options.name.as_deref().unwrap_or(&row.name);
        let version = options.version.as_deref().unwrap_or(&row.version);
        let mut environment = row.environment.clone();
        (environment.name, environment.version) = (Some(name.to_owned()), Some(version.to_owned()));
        crate::hosting::refuse_names(&environment)?;
        let (here, place) = &options.places;
        let there = other
            .catalogue
            .register(&NewEnvironment {
                name,
                version: Some(version),
                content: content_digest(&environment),
                definition: row.definition,
                resolution: Resolution::Given { receipt: row.receipt, lock: row.lock },
                environment: &environment,
                created_by: who,
                from: None,
                same: Same::ContentAndLock,
                telling: Telling::Copied(&format!("{here}/{from}")),
            })
            .await?;
        drop(pins);
        let to = format!("{}:{}", there.name, there.version);
        if there.created {
            let (before, after) = (format!("{here}/{from}"), format!("{place}/{to}"));
            other.catalogue.note_copy(&there.name, &there.version, Some(&before), None, who).await?;
            // What only stands for a workspace on a server has no history.
            if self.upstream.is_none() {
                self.catalogue.note_copy(&row.name, &row.version, None, Some(&after), who).await?;
            }
        }
        Ok(Copied {
            name: there.name,
            version: there.version,
            created: there.created,
            from,
            definition: row.definition,
            receipt: row.receipt,
            lock: row.lock,
            images,
        })
    }

    /// Takes what a version of another workspace on this machine resolved to: its definition, its lock, its receipt, and the files
    /// that the lock names and no index has. Both stores are pinned.
    pub(crate) async fn take_resolution(&self, other: &Self, row: &EnvironmentRow) -> Result<()> {
        let missing = || Error::NoReceipt(format!("{}:{}", row.name, row.version));
        let lock = other.catalogue.lock(&row.lock).await?.ok_or_else(missing)?;
        let receipt = other.catalogue.receipt(&row.receipt).await?.ok_or_else(missing)?;
        let text = other.catalogue.receipt_text(&row.receipt).await?.ok_or_else(missing)?;
        // Files that no index has come first: without them the lock is of no use here.
        for digest in crate::cache::built(&lock) {
            if other.store.contains(&digest) {
                self.store.take_from(&other.store, &digest)?;
            }
        }
        // What was written there was written on the same machine; what was taken from elsewhere stays so.
        let taken = other.catalogue.taken_from(&row.receipt).await?;
        self.catalogue
            .import_resolution(&row.environment.definition, &lock, &receipt, &text, taken.as_ref())
            .await?;
        Ok(())
    }

    /// Takes the images that a lock has in another workspace on this machine; the lock is here already. Gives all that are there.
    pub async fn take_images(&self, other: &Self, lock: &Digest) -> Result<Vec<Digest>> {
        let Some(whole) = self.catalogue.lock(lock).await? else { return Ok(Vec::new()) };
        let _pins = (other.store.pin_async().await?, self.store.pin_async().await?);
        let mut images = Vec::new();
        for image in other.catalogue.images_by_lock(lock).await? {
            if !is_whole(&other.store, &image.image) {
                continue;
            }
            for (digest, _) in image.image.blobs() {
                self.store.take_from(&other.store, &digest)?;
            }
            self.catalogue.import_image(lock, image.form, &image.image).await?;
            if let Some(packages) = whole.platforms.get(&image.platform)
                && let Some(told) = other.told_abouts(packages, image.platform).await?
                && let Err(why) = self.take_abouts(packages, &told.bytes).await?
            {
                self.reporter.note(&format!("what is known of the image's packages is not copied: {why}"));
            }
            images.push(image.image.manifest);
        }
        Ok(images)
    }
}
