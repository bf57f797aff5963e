//! The page: as a program sees it, and as people do, in Debian's Chromium.

#[path = "../registry/client.rs"]
#[allow(dead_code, reason = "the registry's tests use the rest")]
mod client;
#[path = "../support/mod.rs"]
mod support;
#[path = "../server/team.rs"]
#[allow(dead_code, reason = "the server's tests use the rest")]
mod team;

mod browser;
mod flows;
mod keyboard;
mod look;
mod plain;
