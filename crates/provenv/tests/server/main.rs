//! `provenv serve`: the real binary, in the eyes of clients.

#[path = "../registry/client.rs"]
#[allow(dead_code, reason = "the registry's tests use the rest")]
mod client;
#[path = "../support/mod.rs"]
mod support;

mod audit;
mod builds;
mod command_line;
mod copies;
mod environments;
mod parity;
mod registry;
mod roles;
mod running;
mod several;
mod team;
