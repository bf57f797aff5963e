//! Specs of conda packages in normal form.

/// What a spec asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CondaSpec {}
