//! OCI distribution: images to registries.

mod credentials;
mod error;
mod push;
mod reference;

pub use credentials::Keychain;
pub use error::Error;
pub use push::{Options, Pushed, push, resolve};
pub use reference::{Reference, ReferenceError};
