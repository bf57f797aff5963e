//! Structured documents (YAML, JSON, TOML) as one tree, with the place of every value and the text of every scalar as it
//! was written.

mod bounds;
mod fields;
mod node;
mod surrogates;
mod toml;
mod yaml;

pub(crate) use bounds::unquoted_bound;
pub use fields::Fields;
pub use node::{Kind, Node, Scalar};
pub use toml::parse_toml;
pub use yaml::parse_yaml;
