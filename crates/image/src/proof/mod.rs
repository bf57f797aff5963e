//! Proof of where an image comes from: provenance in SLSA's form, signed in DSSE's envelope, attached as OCI referrers.
//!
//! Nothing here looks at an image's bytes. A statement is made of what is on record, names the image by its manifest's
//! digest, and whoever trusts the key that signed it can hold image, lock and artifacts against it.

pub mod artifact;
pub mod dsse;
pub mod key;
pub mod provenance;
pub mod simple_signing;
pub mod statement;

pub use artifact::{Part, Referrer};
pub use dsse::Envelope;
pub use key::{KeyError, KeyType, PublicKey, SigningKey};
pub use provenance::{Disagreement, Recorded};
pub use statement::{Provenance, Resource, Statement, TakenFrom};
