//! Pixi: manifest and lock.

mod dependencies;
pub(crate) mod lock;
pub(crate) mod manifest;
