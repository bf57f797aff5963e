//! Keys, provenance, signatures, and the check of all of them.

mod error;
mod evidence;
mod keys;
mod place;
mod policy;
mod record;
mod signing;
mod verifying;

pub use error::ProofError;
pub(crate) use evidence::{Evidence, ImageManifest};
pub use keys::{KeyDetails, NewKey};
pub use policy::{Policy, PolicyError};
pub use provenv_image::proof::KeyType;
pub use signing::{Pushed, Signed};
pub use verifying::{Check, Outcome, Verified, VerifyOptions};
