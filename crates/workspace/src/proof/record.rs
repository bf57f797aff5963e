//! What is on record of an image, however it is named.

use std::path::Path;

use provenv_definition::{Definition, Digest, Platform, definition_digest};
use provenv_image::proof::statement::LOCAL_BUILDER;
use provenv_image::proof::{Part, Recorded, Statement, TakenFrom, provenance};
use provenv_lock::{Lock, Receipt};

use super::ProofError;
use crate::building::digits_of;
use crate::catalogue::Origin;
use crate::{Error, Result, Workspace};

/// All that is on record of an image, with the bytes that digests are of.
pub(crate) struct Record {
    pub origin: Origin,
    pub definition: Definition,
    pub lock: Lock,
    lock_text: String,
    receipt: Receipt,
    receipt_digest: Digest,
    receipt_text: String,
    taken_from: Option<TakenFrom>,
    builder: String,
}

impl Record {
    /// Its provenance.
    pub(crate) fn statement(&self) -> Statement {
        let recorded = Recorded {
            image: self.origin.image,
            platform: self.origin.platform,
            form: self.origin.form,
            definition: &self.definition,
            lock: &self.lock,
            lock_digest: self.origin.lock,
            receipt: &self.receipt,
            receipt_digest: self.receipt_digest,
            taken_from: self.taken_from.as_ref(),
            builder: &self.builder,
        };
        recorded.statement()
    }

    /// Lock, definition and receipt, as they are attached to the image.
    pub(crate) fn parts(&self) -> Result<Vec<Part>> {
        let definition = serde_json::to_vec(&self.definition).map_err(|error| Error::Io {
            what: "could not write the definition".into(),
            source: error.into(),
        })?;
        let part = |media_type: &str, bytes: Vec<u8>| Part {
            media_type: media_type.to_owned(),
            bytes,
            annotations: [].into(),
        };
        Ok(vec![
            part(provenance::LOCK_TYPE, self.lock_text.clone().into_bytes()),
            part(provenance::DEFINITION_TYPE, definition),
            part(provenance::RECEIPT_TYPE, self.receipt_text.clone().into_bytes()),
        ])
    }
}

impl Workspace {
    /// The provenance of an image of this workspace, as it is signed: of an environment, a file or a digest. Works for every
    /// image that was ever built here.
    pub async fn provenance(&self, reference: &str, folder: &Path) -> Result<Vec<u8>> {
        let origin = self.origin(reference, folder).await?;
        Ok(self.record_of(origin).await?.statement().to_bytes())
    }

    /// What the image that `reference` names was made from.
    pub(crate) async fn origin(&self, reference: &str, folder: &Path) -> Result<Origin> {
        let missing = || Error::NoImage(reference.to_owned());
        self.know_image(reference).await?;
        let mut origins = self.catalogue.origins().await?;
        if let Some(digits) = digits_of(reference) {
            if let Some(origin) = origins.iter().find(|origin| origin.image.hex().starts_with(digits)) {
                return Ok(origin.clone());
            }
            if reference.starts_with("sha256:") {
                return Err(missing());
            }
        }
        let given = self.given(reference, folder).await.map_err(|error| match error {
            Error::NoEnvironment(..) if digits_of(reference).is_some() => missing(),
            error => error,
        })?;
        // What is on a server came only now.
        if self.upstream.is_some() {
            origins = self.catalogue.origins().await?;
        }
        let lock = if let Some(row) = &given.row {
            row.lock
        } else {
            let definition = definition_digest(&given.environment.definition);
            self.catalogue.current_receipt(&definition).await?.ok_or_else(missing)?.1.lock
        };
        // For this machine, in the form that the settings want, or else the one that was made last.
        let mut of_lock: Vec<&Origin> = origins.iter().rev().filter(|origin| origin.lock == lock).collect();
        let is_other = |origin: &&Origin| {
            (origin.platform != Platform::host(), origin.form != Some(self.form()), origin.form.is_none())
        };
        of_lock.sort_by_key(is_other);
        of_lock.first().copied().cloned().ok_or_else(missing)
    }

    pub(crate) async fn record_of(&self, origin: Origin) -> Result<Record> {
        let gap = |what| ProofError::NoRecord { image: origin.image, what };
        let lock = self.catalogue.lock(&origin.lock).await?.ok_or_else(|| gap("lock"))?;
        let lock_text = self.catalogue.lock_text(&origin.lock).await?.ok_or_else(|| gap("lock"))?;
        let definition =
            self.catalogue.definition(&lock.definition).await?.ok_or_else(|| gap("definition"))?;
        let (receipt_digest, receipt_text, receipt) =
            self.catalogue.first_receipt(&origin.lock).await?.ok_or_else(|| gap("receipt"))?;
        let taken_from = self.catalogue.taken_from(&receipt_digest).await?;
        let builder = self.config.provenance.builder.as_ref();
        let builder = builder.map_or_else(|| LOCAL_BUILDER.to_owned(), ToString::to_string);
        Ok(Record {
            origin,
            definition,
            lock,
            lock_text,
            receipt,
            receipt_digest,
            receipt_text,
            taken_from,
            builder,
        })
    }
}
