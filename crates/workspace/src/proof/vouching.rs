//! Whether somebody who is trusted stands for an image that is to be taken over from a registry.

use std::path::PathBuf;

use provenv_definition::Digest;
use provenv_registry::{Options, Reference};

use super::evidence::in_registry;
use super::keys::public_in;
use super::verifying::believe;
use crate::{Result, Workspace};

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
    ) -> Result<Result<(), String>> {
        let keys = keys.iter().map(|key| public_in(key)).collect::<Result<Vec<_>>>()?;
        let shown = reference.with_digest(image);
        let evidence = in_registry(reference, Some(image), &shown, options).await?;
        let (statement, _) = match believe(&evidence, &keys) {
            Ok(believed) => believed,
            Err(check) => return Ok(Err(format!("no trusted key vouches for it: {}", check.detail))),
        };
        if statement.lock() != Some(*lock) {
            return Ok(Err("a trusted key vouches for it as the image of another lock".to_owned()));
        }
        if statement.predicate.build_definition.external_parameters.platform != evidence.platform {
            return Ok(Err("a trusted key vouches for it on another platform".to_owned()));
        }
        Ok(Ok(()))
    }
}
