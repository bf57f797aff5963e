//! OCI distribution: images to registries, and a store served as one.

mod credentials;
mod error;
mod push;
mod reference;
mod referrers;
pub mod server;

pub use credentials::Keychain;
pub use error::Error;
pub use push::{Options, Pushed, push, resolve};
pub use reference::{Reference, ReferenceError};
pub use referrers::{Attached, RemoteManifest, attach, attached, manifest, small_blob};
