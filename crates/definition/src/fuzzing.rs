//! Ways in for `fuzz/`: what must hold of any text.

pub use crate::dockerfile::fuzz_ignore as dockerignore;
