//! Content-addressed bytes on disk: staging, leases, garbage collection, scrub.
//!
//! One folder, many processes. What is in it:
//!
//! | path | holds |
//! |---|---|
//! | `format` | the format of the folder; a newer one is refused |
//! | `blobs/sha256/<2 digits>/<62 digits>` | bytes, named by their digest, mode 0444 |
//! | `records/<kind>/<key>` | a small fact in JSON |
//! | `trees/<kind>/<key>/` | an unpacked folder, which can be made again from blobs |
//! | `trees/.of-<uid>/<kind>/<key>/` | the same of a user who does not own the store |
//! | `uploads/<key>` | blobs in the making that outlive their process |
//! | `tmp/<random>/` | what one living process has in the making |
//! | `locks/` | lock files |
//! | `quarantine/` | blobs found corrupt by [`Store::scrub`] |
//!
//! **What a crash can do.** Everything is made under `tmp/` and renamed into place, so a process killed at any
//! instruction leaves nothing half-made in sight. Blobs and records are flushed to disk before the rename, and
//! their folder after it: once [`Staged::commit`] or [`Store::set_record`] returns, a power cut does not undo it,
//! and a record never outlives the blobs committed before it. Trees are not flushed file by file (twelve thousand
//! flushes); until the file system has been flushed behind them they count only in the boot that made them.
//!
//! **What garbage collection can do.** It runs only while nobody has a [`SharedPin`]; keep one from the first look-up to
//! the moment that a root, or a [`Hold`] of this process, names what was found or made.
//!
//! **Who may use it.** Files and folders get the modes that the umask gives, like git's: a store is shared within a group
//! by a umask of 002 and the set-group-ID bit on its folder. Blobs and records are everybody's, unpacked folders each
//! user's own.

mod boot;
mod error;
mod gc;
mod hold;
mod kept;
mod linked;
mod lock;
mod outside;
mod record;
mod scratch;
mod scrub;
mod staged;
mod stats;
mod store;
mod tree;

pub use error::{Error, Result, SCRUB_HINT, is_damage, is_no_space};
pub use gc::{Collector, GcReport, Item, Roots};
pub use hold::Hold;
pub use lock::{Lease, SharedPin};
pub use outside::Outside;
pub use scrub::{Corrupt, ScrubReport};
pub use staged::{Blob, Staged};
pub use stats::{Stats, Usage};
pub use store::Store;
pub use tree::StagedTree;
