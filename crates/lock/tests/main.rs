//! Choosing packages, through the public API.

mod conda;
mod debian;
mod debian_host;
mod export;
mod formats;
mod pypi;
