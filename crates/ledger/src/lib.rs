//! A log that can only be added to, so that nobody changes what is in it without being found out.
//!
//! Entries are the leaves of RFC 6962's Merkle tree. Whoever keeps a signed [`Checkpoint`] (a size and a root, C2SP
//! `tlog-checkpoint` in a `signed-note`) can tell later whether the log of then is a beginning of the log of now. Nothing here
//! reads a database or speaks HTTP: the server keeps hashes by [`Node`], clients check what they were given.

mod checkpoint;
mod entry;
mod hash;
mod note;
mod proof;
mod tile;
mod tree;
mod verify;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use entry::Entry;
pub use hash::Hash;
pub use note::{NoteError, PublicKey, SigningKey, open, sign};
pub use proof::{ProofError, check_consistency, check_inclusion};
pub use tile::{Tile, TileError, bundle, unbundle};
pub use tree::{Node, Range, consistency, hash_of, inclusion, nodes_of, siblings};
pub use verify::{Finding, Given, Logged, MOST_FINDINGS, Verdict, root, verify};
