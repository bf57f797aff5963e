//! Containers through the public API, run by root, by a user, and by nobody.

mod container;
mod fallbacks;
mod lifecycle;
mod limits;
mod support;
