//! How far a resolution may move from the lock it starts from.

use std::collections::BTreeSet;

/// Which packages may change their version although the old one would still do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Upgrade {
    /// None: what the previous lock holds stays where the definition still admits it.
    #[default]
    None,
    /// All: the previous lock does not count.
    All,
    /// These, by name; all others stay where they can.
    Packages(BTreeSet<String>),
}
