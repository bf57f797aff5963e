//! OCI distribution: images to registries, bases from them, and a store served as one.

mod challenge;
mod client;
mod credentials;
mod error;
mod pull;
mod push;
mod reference;
mod referrers;
pub mod server;

pub use credentials::Keychain;
pub use error::Error;
pub use pull::{Named, PullOptions, is_here, look_up, pull};
pub use push::{Options, Pushed, push, resolve};
pub use reference::{Reference, ReferenceError};
pub use referrers::{Attached, RemoteManifest, attach, attached, manifest, small_blob};
