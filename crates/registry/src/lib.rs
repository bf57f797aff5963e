//! OCI distribution: images to registries, and a store served as one.

mod credentials;
mod error;
mod push;
mod reference;
pub mod server;

pub use credentials::Keychain;
pub use error::Error;
pub use push::{Options, Pushed, push, resolve};
pub use reference::{Reference, ReferenceError};
