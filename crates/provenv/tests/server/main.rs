//! `provenv serve`: the real binary, in the eyes of clients.

#[path = "../registry/client.rs"]
#[allow(dead_code, reason = "the registry's tests use the rest")]
mod client;
#[path = "../support/mod.rs"]
mod support;

mod audit;
mod backup;
mod builds;
mod command_line;
mod copies;
mod environments;
mod fresh;
mod kinds;
mod limits;
mod made_up;
mod once;
mod parity;
mod people;
mod plain;
mod plan;
mod pulls;
mod registry;
mod roles;
mod running;
mod runs;
mod scopes;
mod secrets;
mod several;
mod sharing;
mod sign_in;
mod stopping;
mod team;
mod traces;
mod upgrades;
mod workers;
