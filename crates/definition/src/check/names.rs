//! Names of packages that are probably not the ones that were meant.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::known::{GIVEN_UP, GOOD_IN_CONDA, MOST_USED, WELL_KNOWN};
use crate::requirement::normalise_name;
use crate::suggest::distance;
use crate::{Diagnostic, codes};

/// Of shorter names too many are one letter beside another.
const LEAST: usize = 6;
const MOST: usize = 64;

/// Names to compare with.
struct Known {
    names: HashSet<&'static str>,
    /// The most used ones by what is left when one letter is taken out: two names one slip apart have such a rest in common.
    rests: HashMap<String, Vec<&'static str>>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let names = WELL_KNOWN.split_whitespace().chain(MOST_USED.split_whitespace()).collect();
    let mut rests: HashMap<String, Vec<&str>> = HashMap::new();
    for name in MOST_USED.split_whitespace() {
        for rest in rests_of(name) {
            rests.entry(rest).or_default().push(name);
        }
    }
    Known { names, rests }
});

fn rests_of(name: &str) -> impl Iterator<Item = String> {
    let without = |(at, c): (usize, char)| format!("{}{}", &name[..at], &name[at + c.len_utf8()..]);
    name.char_indices().map(without).chain([name.to_owned()])
}

/// The well-known name that the normalised `name` is one slip beside.
pub(super) fn meant(name: &str) -> Option<&'static str> {
    if !(LEAST..=MOST).contains(&name.len()) || !name.is_ascii() || KNOWN.names.contains(name) {
        return None;
    }
    let given: Vec<char> = name.chars().collect();
    let mut candidates: Vec<&str> =
        rests_of(name).filter_map(|rest| KNOWN.rests.get(&rest)).flatten().copied().collect();
    candidates.sort_unstable();
    let is_slip = |candidate: &&str| {
        distance(&given, &candidate.chars().collect::<Vec<_>>()) == 1
            && !differ_in_digits(name, candidate)
            // Fingers slip in the middle of a word; another first letter is mostly another word.
            && name.as_bytes()[0] == candidate.as_bytes()[0]
    };
    candidates.into_iter().find(is_slip)
}

/// `opencv4` is a generation of `opencv`, no slip.
fn differ_in_digits(left: &str, right: &str) -> bool {
    let letters = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    letters(left) == letters(right)
}

/// Who installs a package.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Manager {
    Conda,
    Pip,
}

/// All there is to say about the name of a package.
pub(super) fn name(name: &str, manager: Manager) -> Option<Diagnostic> {
    let name = &*normalise_name(name);
    let given_up = GIVEN_UP.iter().find(|(old, ..)| *old == name);
    if let Some((_, instead, _)) =
        given_up.filter(|_| manager == Manager::Pip || !GOOD_IN_CONDA.contains(&name))
    {
        let (message, hint) = if instead.contains('`') {
            (format!("`{name}` is part of Python itself"), format!("leave it out for {instead}"))
        } else {
            (format!("`{name}` is not kept up any more"), format!("ask for `{instead}`"))
        };
        return Some(Diagnostic::new(codes::DEPRECATED_PACKAGE, message).with_hint(hint));
    }
    let meant = meant(name)?;
    let message = format!("`{name}` is nearly `{meant}`");
    let hint = format!("did you mean `{meant}`? else write `# provenv: ignore[PV121]` on the line");
    Some(Diagnostic::new(codes::MISSPELT_PACKAGE, message).with_hint(hint))
}

#[cfg(test)]
mod tests {
    use super::meant;

    #[test]
    fn slips_of_well_known_names_are_found_and_other_names_are_not() {
        for (given, expected) in [
            ("nunpy", None),
            ("scikit-lern", Some("scikit-learn")),
            ("scikitlearn", Some("scikit-learn")),
            ("tensorfow", Some("tensorflow")),
            ("reqeusts", Some("requests")),
            ("matplotlibb", Some("matplotlib")),
            ("matplolib", Some("matplotlib")),
            ("pandsa", Some("pandas")),
            ("opencv4", None),
            ("urllib2", None),
            ("requests", None),
            ("tensorboardx", None),
            ("internal-tools", None),
        ] {
            assert_eq!(meant(given), expected, "{given}");
        }
    }
}
