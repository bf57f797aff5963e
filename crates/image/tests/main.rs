//! Images in the eyes of others.

mod base;
mod conda_peer;
mod peers;
