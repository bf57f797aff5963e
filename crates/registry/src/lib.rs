//! OCI distribution: images to registries, bases from them, and a store served as one.

mod challenge;
mod client;
mod credentials;
mod error;
mod pull;
mod push;
mod reference;
mod referrers;
mod repository;
pub mod server;
mod upload;

pub use credentials::Keychain;
pub use error::Error;
pub use pull::{Named, PullOptions, fetch, is_here, look_up, pull};
pub use push::{Elsewhere, Options, Pushed, push, push_untagged, resolve};
pub use reference::{Reference, ReferenceError};
pub use referrers::{Attached, Listed, attach, attached};
pub use repository::{RemoteManifest, Repository, manifest, short_pause, small_blob};
