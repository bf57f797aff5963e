//! Lock to segments, layers and a bit-identical image.

pub mod about;
mod assemble;
pub mod audit;
pub mod base_image;
pub mod base_state;
mod conda_meta;
pub mod entry;
pub mod export;
pub mod form;
pub mod layer;
pub mod linking;
mod links;
mod marshal;
pub mod oci;
mod path;
pub mod post_link;
pub mod proof;
pub mod python;
pub mod sbom;
pub mod segment;
mod tarball;
pub mod unpack;

pub use assemble::{Assembler, BaseLayers, Error, LinkScript, missing, notes, reach};
pub use conda_meta::Asked;
pub use layer::Layer;
