//! Remarks as they are collected: no more of a kind than anybody reads.

use std::collections::HashMap;
use std::ops::Deref;

use crate::Diagnostic;

/// Of one code no more are kept: each takes memory, and whoever has a thousand of them mends the cause.
const MAX_OF_A_CODE: usize = 1000;
/// With so many errors nothing behind them need be read.
const MAX_ERRORS: usize = 1000;

/// What is to be said about a file, in the order of its finding. Of each code the first thousand are kept; that there are
/// more is said once.
#[derive(Clone, Debug, Default)]
pub struct Remarks {
    kept: Vec<Diagnostic>,
    counts: HashMap<&'static str, usize>,
    errors: usize,
}

impl Remarks {
    /// Adds a remark, unless there are enough of its code.
    pub fn push(&mut self, remark: Diagnostic) {
        self.errors += usize::from(remark.is_error());
        let count = self.counts.entry(remark.code).or_default();
        *count += 1;
        if *count <= MAX_OF_A_CODE {
            self.kept.push(remark);
        } else if *count == MAX_OF_A_CODE + 1 {
            let message = format!("more than {MAX_OF_A_CODE} of these: from here on they are not listed");
            self.kept.push(Diagnostic { message, hint: None, fix: None, ..remark });
        }
    }

    /// Whether so much is wrong that nothing more need be read.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.errors > MAX_ERRORS
    }

    /// Whether another remark of `code` would not be kept, so that what is costly to find out need not be.
    pub(crate) fn is_full_of(&self, code: &crate::codes::Code) -> bool {
        self.counts.get(code.id).is_some_and(|count| *count > MAX_OF_A_CODE)
    }

    /// The remarks.
    pub fn into_vec(self) -> Vec<Diagnostic> {
        self.kept
    }
}

impl Deref for Remarks {
    type Target = [Diagnostic];

    fn deref(&self) -> &[Diagnostic] {
        &self.kept
    }
}

impl Extend<Diagnostic> for Remarks {
    fn extend<T: IntoIterator<Item = Diagnostic>>(&mut self, remarks: T) {
        for remark in remarks {
            self.push(remark);
        }
    }
}

impl FromIterator<Diagnostic> for Remarks {
    fn from_iter<T: IntoIterator<Item = Diagnostic>>(remarks: T) -> Self {
        let mut collected = Self::default();
        collected.extend(remarks);
        collected
    }
}

impl IntoIterator for Remarks {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.kept.into_iter()
    }
}

impl<'a> IntoIterator for &'a Remarks {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.kept.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;

    #[test]
    fn of_each_code_a_thousand_are_kept_and_the_rest_is_said_once() {
        let mut remarks = Remarks::default();
        let missing = Diagnostic::new(codes::MISSING_PATH, "nothing is there");
        let error = Diagnostic::new(codes::INVALID_URL, "not a URL");
        remarks.extend(vec![missing.clone(); 999]);
        assert!(!remarks.is_full_of(codes::MISSING_PATH));
        remarks.extend(vec![missing; 2000]);
        remarks.push(error.clone());
        assert!(remarks.is_full_of(codes::MISSING_PATH));
        assert_eq!(remarks.len(), 1002, "a thousand, a word about the rest, and the error");
        assert!(remarks[1000].message.starts_with("more than 1000 of these"), "{}", remarks[1000]);
        // Warnings do not make a file hopeless; errors do.
        assert!(!remarks.is_hopeless());
        remarks.extend(vec![error; 1000]);
        assert!(remarks.is_hopeless());
    }
}
