//! The ledger, by vectors and by properties.

mod properties;
mod vectors;
