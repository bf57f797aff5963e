//! Whether somebody who is trusted stands for an image that is to be taken over from a registry.

use std::path::PathBuf;
use std::slice;

use provenv_definition::Digest;
use provenv_image::proof::dsse::{self, Envelope};
use provenv_registry::{Options, Reference};

use super::evidence::in_registry;
use super::keys::public_in;
use super::signing::attestation;
use super::verifying::believe;
use crate::{Result, Workspace, user_name};

/// What a trusted key has signed of an image.
pub(crate) struct Vouched {
    /// The key.
    pub key: Digest,
    /// Digest of the receipt that it names, if it stands for when and from what the lock was chosen.
    receipt: Option<Digest>,
    envelopes: Vec<Vec<u8>>,
}

impl Vouched {
    /// Whether this is the receipt that was signed.
    pub(crate) fn is_of(&self, receipt: &str) -> bool {
        self.receipt == Some(Digest::of(receipt.as_bytes()))
    }
}

impl Workspace {
    /// Whether one of the keys in the files `keys` has signed that the image in the repository of `reference` was made from
    /// `lock`; if not, why.
    pub(crate) async fn vouched_for(
        &self,
        reference: &Reference,
        image: &Digest,
        lock: &Digest,
        keys: &[PathBuf],
        options: &Options,
    ) -> Result<Result<Vouched, String>> {
        let keys = keys.iter().map(|key| public_in(key)).collect::<Result<Vec<_>>>()?;
        let shown = reference.with_digest(image);
        let evidence = in_registry(reference, Some(image), &shown, options).await?;
        let (statement, key) = match believe(&evidence, &keys) {
            Ok(believed) => believed,
            Err(check) => return Ok(Err(format!("no trusted key vouches for it: {}", check.detail))),
        };
        if statement.lock() != Some(*lock) {
            return Ok(Err("a trusted key vouches for it as the image of another lock".to_owned()));
        }
        if statement.predicate.build_definition.external_parameters.platform != evidence.platform {
            return Ok(Err("a trusted key vouches for it on another platform".to_owned()));
        }
        let is_its = |bytes: &&[u8]| {
            Envelope::from_bytes(bytes).is_ok_and(|envelope| envelope.verify(slice::from_ref(key)).is_ok())
        };
        let envelopes = evidence.of_type(dsse::ENVELOPE_TYPE).filter(is_its).map(<[u8]>::to_vec).collect();
        Ok(Ok(Vouched { key: key.id(), receipt: statement.receipt(), envelopes }))
    }

    /// Keeps what was signed with the image, so that it can be verified here and handed on.
    pub(crate) async fn keep_vouched(&self, image: (Digest, u64), vouched: Vouched) -> Result<()> {
        for envelope in vouched.envelopes {
            let attestation = attestation(&self.store, image, envelope)?;
            self.catalogue.record_proof(&attestation, Some(&vouched.key), &user_name()).await?;
        }
        Ok(())
    }
}
