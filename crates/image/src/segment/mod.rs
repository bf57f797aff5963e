//! One artifact turned into compressed tar bytes for a fixed prefix: made once, kept for ever.

mod model;

pub use model::{Alternative, DebFacts, DebSegment, Index, Item, ItemKind, Library, Segment, Whole};

/// Version of the rules that turn a lock into an image. A change of any byte of any segment or layer takes a new one.
pub const EPOCH: u32 = 1;

/// Where Python packages live inside every image, laid out as a virtualenv over the base's Python.
pub const PREFIX: &str = "opt/provenv";
