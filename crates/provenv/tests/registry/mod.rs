//! `provenv registry serve` by the text of the OCI distribution specification 1.1, over plain sockets, and in the eyes of
//! others: skopeo, podman, buildah, umoci, containerd, docker, and our own push.
//!
//! A peer that is not installed is skipped, and the test says so; `PROVENV_TEST_PEERS=required` makes that a failure.

mod access;
pub mod client;
mod daemons;
mod discovery;
mod manage;
mod many;
mod own;
mod peers;
mod pull;
mod push;
pub mod server;
mod uploads;
