//! Images to and from registries, real ones and such as misbehave.

mod common;
mod pull;
mod push;
