//! Pixi: manifest and lock.

pub(crate) mod lock;
pub(crate) mod manifest;
