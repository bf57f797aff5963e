//! Names that differ only in case: two on Linux, one on a file system that ignores case.

use std::collections::{HashMap, HashSet};

/// What a file system that ignores case takes `name` for: near enough to Unicode's full case folding, by way of capitals,
/// so that `ſ` and the Kelvin sign are caught too.
pub(crate) fn folded(name: &str) -> String {
    if name.is_ascii() { name.to_ascii_lowercase() } else { name.to_uppercase().to_lowercase() }
}

/// The first two of `paths`, folders above them included, that differ only in case.
pub(crate) fn first_pair<'p>(paths: impl Iterator<Item = &'p str>) -> Option<(String, String)> {
    let mut seen: HashMap<String, &str> = HashMap::new();
    let mut known = HashSet::new();
    for path in paths {
        // What lies above a folder that is known is known too.
        let parts = std::iter::once(path).chain(crate::path::parents(path).rev());
        let new: Vec<&str> = parts.take_while(|part| known.insert(*part)).collect();
        for part in new.into_iter().rev() {
            let before = *seen.entry(folded(part)).or_insert(part);
            if before != part {
                return Some((before.to_owned(), part.to_owned()));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folded_as_file_systems_do() {
        for (one, other) in [("a/B", "A/b"), ("größe", "GRÖSSE"), ("ſet", "Set"), ("\u{212a}", "k")] {
            assert_eq!(folded(one), folded(other));
        }
        assert_ne!(folded("a"), folded("b"));
    }

    #[test]
    fn folders_count_too() {
        let pair = |paths: &[&str]| first_pair(paths.iter().copied());
        assert_eq!(pair(&["a/b.py", "a/c.py"]), None);
        assert_eq!(pair(&["a/b.py", "A/c.py"]), Some(("a".into(), "A".into())));
        assert_eq!(pair(&["a/b.py", "a/B.py"]), Some(("a/b.py".into(), "a/B.py".into())));
    }
}
