//! Choosing conda packages of channels that are made on the spot, through the crate's public API.

mod choosing;
mod oracle;
mod refusing;
mod registry;
mod serving;
mod support;
