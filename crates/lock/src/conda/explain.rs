//! Why packages cannot be installed together, in words that a user can act on.

use std::collections::BTreeSet;
use std::fmt;

/// The solver's explanation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// Lines that lead from what was asked for to what is in its way.
    pub text: String,
    /// The packages asked for that have a part in it.
    pub names: BTreeSet<String>,
    /// Virtual packages that some package needs and the target does not have.
    pub missing: Vec<String>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Explanation {
    /// Reads what the solver says; `asked` are the names that the user asked for.
    pub(super) fn new(text: &str, asked: &BTreeSet<String>) -> Self {
        let names = asked.iter().filter(|name| mentions(text, name)).cloned().collect();
        Self { text: text.trim_end().to_owned(), names, missing: Vec::new() }
    }

    pub(super) fn hint(&self) -> Option<String> {
        let missing = self.missing.first()?;
        Some(format!("the target is not said to have `{missing}`"))
    }
}

/// Whether `text` holds `name` as a word of its own.
fn mentions(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}
