//! What a target does with its input. What must hold is shared with the tests that keep old findings.

#[path = "../../crates/definition/tests/support/invariants.rs"]
mod invariants;

pub use invariants::*;
