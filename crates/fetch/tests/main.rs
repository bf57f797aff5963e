//! Bytes from servers that misbehave, through the public API.

mod artifacts;
mod common;
mod documents;
mod oci;
mod processes;
