//! Lock to segments, layers and a bit-identical image.

pub mod base_state;
pub mod entry;
pub mod layer;
pub mod python;
pub mod segment;
