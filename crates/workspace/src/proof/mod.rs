//! Keys, provenance, signatures, and the check of all of them.

mod companions;
mod error;
mod evidence;
mod keys;
mod place;
mod policy;
mod record;
mod remote;
mod signing;
mod verifying;
mod vouching;

pub use companions::Companion;
pub use error::ProofError;
pub(crate) use evidence::{Evidence, ImageManifest};
pub use keys::{KeyDetails, NewKey};
pub use policy::{Policy, PolicyError};
pub use provenv_image::proof::KeyType;
pub use remote::{RemoteDetails, RemoteReferrer};
pub(crate) use signing::registry_options;
pub use signing::{Pushed, Signed};
pub use verifying::{Check, Outcome, Verified, VerifyOptions};
pub(crate) use vouching::Vouched;
