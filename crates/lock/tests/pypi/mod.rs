//! The real uv against a real index on this machine: definitions in, golden locks out.

mod builds;
mod failures;
mod indexes;
mod locks;
mod on_conda;
mod secrets;
mod support;
mod tool;
mod upgrades;
