//! Licences as packages name them, as SPDX names them.
//!
//! What is not certain is not guessed: "BSD" and "GPL" stay the names that they are.

use spdx::{Expression, ParseMode};

use crate::about::LicenseName;

/// A licence of a package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum License {
    /// An identifier of SPDX's list.
    Id(&'static str),
    /// Several identifiers, or one with an exception: an SPDX expression.
    Expression(String),
    /// The package's own name for it.
    Name(String),
}

/// What SPDX allows besides its list of today: what was on it.
const MODE: ParseMode =
    ParseMode { allow_deprecated: true, allow_postfix_plus_on_gpl: true, ..ParseMode::STRICT };

/// Names that stand for one licence and no other, in lower case.
const ALIASES: &[(&str, &str)] = &[
    ("3-clause bsd", "BSD-3-Clause"),
    ("3-clause bsd license", "BSD-3-Clause"),
    ("apache 2", "Apache-2.0"),
    ("apache 2.0", "Apache-2.0"),
    ("apache 2.0 license", "Apache-2.0"),
    ("apache license 2.0", "Apache-2.0"),
    ("apache license, version 2.0", "Apache-2.0"),
    ("apache license version 2.0", "Apache-2.0"),
    ("apache software license 2.0", "Apache-2.0"),
    ("apache-2", "Apache-2.0"),
    ("apache2", "Apache-2.0"),
    ("apache2.0", "Apache-2.0"),
    ("asl 2.0", "Apache-2.0"),
    ("boost software license 1.0", "BSL-1.0"),
    ("bsd 2-clause", "BSD-2-Clause"),
    ("bsd 2-clause license", "BSD-2-Clause"),
    ("bsd 3 clause", "BSD-3-Clause"),
    ("bsd 3-clause", "BSD-3-Clause"),
    ("bsd 3-clause license", "BSD-3-Clause"),
    ("bsd three-clause", "BSD-3-Clause"),
    ("bsd-2-clauses", "BSD-2-Clause"),
    ("bsd-3-clauses", "BSD-3-Clause"),
    ("bsd_2_clause", "BSD-2-Clause"),
    ("bsd_3_clause", "BSD-3-Clause"),
    ("expat", "MIT"),
    ("gnu gplv3", "GPL-3.0-only"),
    ("gpl v2", "GPL-2.0-only"),
    ("gpl v3", "GPL-3.0-only"),
    ("gplv2", "GPL-2.0-only"),
    ("gplv2+", "GPL-2.0-or-later"),
    ("gplv3", "GPL-3.0-only"),
    ("gplv3+", "GPL-3.0-or-later"),
    ("isc license", "ISC"),
    ("lgplv2+", "LGPL-2.0-or-later"),
    ("lgplv3", "LGPL-3.0-only"),
    ("lgplv3+", "LGPL-3.0-or-later"),
    ("mit license", "MIT"),
    ("mozilla public license 2.0", "MPL-2.0"),
    ("mpl 2.0", "MPL-2.0"),
    ("mpl2", "MPL-2.0"),
    ("new bsd", "BSD-3-Clause"),
    ("new bsd license", "BSD-3-Clause"),
    ("psf-2", "PSF-2.0"),
    ("simplified bsd", "BSD-2-Clause"),
    ("the mit license", "MIT"),
    ("the mit license (mit)", "MIT"),
    ("the unlicense", "Unlicense"),
    ("zlib license", "Zlib"),
];

/// Trove classifiers that stand for one licence, without their `License ::`.
const CLASSIFIERS: &[(&str, &str)] = &[
    ("CC0 1.0 Universal (CC0 1.0) Public Domain Dedication", "CC0-1.0"),
    ("OSI Approved :: Boost Software License 1.0 (BSL-1.0)", "BSL-1.0"),
    ("OSI Approved :: Eclipse Public License 1.0 (EPL-1.0)", "EPL-1.0"),
    ("OSI Approved :: Eclipse Public License 2.0 (EPL-2.0)", "EPL-2.0"),
    ("OSI Approved :: European Union Public Licence 1.2 (EUPL 1.2)", "EUPL-1.2"),
    ("OSI Approved :: GNU Affero General Public License v3", "AGPL-3.0-only"),
    ("OSI Approved :: GNU Affero General Public License v3 or later (AGPLv3+)", "AGPL-3.0-or-later"),
    ("OSI Approved :: GNU General Public License v2 (GPLv2)", "GPL-2.0-only"),
    ("OSI Approved :: GNU General Public License v2 or later (GPLv2+)", "GPL-2.0-or-later"),
    ("OSI Approved :: GNU General Public License v3 (GPLv3)", "GPL-3.0-only"),
    ("OSI Approved :: GNU General Public License v3 or later (GPLv3+)", "GPL-3.0-or-later"),
    ("OSI Approved :: GNU Lesser General Public License v2 (LGPLv2)", "LGPL-2.0-only"),
    ("OSI Approved :: GNU Lesser General Public License v2 or later (LGPLv2+)", "LGPL-2.0-or-later"),
    ("OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)", "LGPL-3.0-only"),
    ("OSI Approved :: GNU Lesser General Public License v3 or later (LGPLv3+)", "LGPL-3.0-or-later"),
    ("OSI Approved :: ISC License (ISCL)", "ISC"),
    ("OSI Approved :: MIT License", "MIT"),
    ("OSI Approved :: MIT No Attribution License (MIT-0)", "MIT-0"),
    ("OSI Approved :: Mozilla Public License 1.1 (MPL 1.1)", "MPL-1.1"),
    ("OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
    ("OSI Approved :: The Unlicense (Unlicense)", "Unlicense"),
    ("OSI Approved :: Universal Permissive License (UPL)", "UPL-1.0"),
    ("OSI Approved :: zlib/libpng License", "Zlib"),
];

/// The licences that `names` stand for, sorted, all of which hold.
///
/// Of Python's three ways to name one the first that is certain is taken: the expression, the field of free text, the
/// classifiers. If none is, the words of the field, or those of the classifiers.
pub fn of(names: &[LicenseName]) -> Vec<License> {
    let pick = |pick: fn(&LicenseName) -> Option<License>| -> Vec<License> {
        names.iter().filter_map(pick).collect()
    };
    let certain = |license: Option<License>| license.filter(|license| !matches!(license, License::Name(_)));
    let ways = [
        pick(|name| match name {
            LicenseName::Expression(text) => Some(free(text)),
            _ => None,
        }),
        pick(|name| match name {
            LicenseName::Debian(text) => Some(debian(text)),
            LicenseName::Common(text) => Some(common(text)),
            _ => None,
        }),
        pick(|name| match name {
            LicenseName::Text(text) => Some(free(text)),
            _ => None,
        }),
        pick(|name| match name {
            LicenseName::Classifier(text) => Some(classifier(text)),
            _ => None,
        }),
    ];
    let sure =
        ways.iter().find(|way| !way.is_empty() && way.iter().all(|one| certain(Some(one.clone())).is_some()));
    let chosen = sure.or_else(|| ways.iter().find(|way| !way.is_empty()));
    let mut licenses = chosen.cloned().unwrap_or_default();
    licenses.sort();
    licenses.dedup();
    licenses
}

/// The identifier, written as on the list.
fn id(text: &str) -> Option<&'static str> {
    if let Some(id) = spdx::license_id(text) {
        return Some(id.name);
    }
    let listed = spdx::identifiers::LICENSES.iter().find(|license| license.name.eq_ignore_ascii_case(text));
    listed.map(|license| license.name)
}

/// Of a field in which an expression may stand, or other words.
fn free(text: &str) -> License {
    if let Some(id) = id(text).or_else(|| alias(text)) {
        return License::Id(id);
    }
    let words = text.replace('(', " ( ").replace(')', " ) ");
    let words = words.split_whitespace().map(|word| match word.to_ascii_uppercase().as_str() {
        operator @ ("AND" | "OR" | "WITH") => operator.to_owned(),
        _ => match word.strip_suffix('+') {
            Some(bare) => id(bare).map_or_else(|| word.to_owned(), or_later),
            None => id(word).map_or_else(|| word.to_owned(), str::to_owned),
        },
    });
    let candidate = words.collect::<Vec<_>>().join(" ").replace("( ", "(").replace(" )", ")");
    match Expression::parse_mode(&candidate, MODE) {
        Ok(_) if !candidate.contains("DocumentRef-") && !candidate.contains("AdditionRef-") => {
            License::Expression(candidate)
        }
        _ => License::Name(text.to_owned()),
    }
}

/// `X+`: of GNU's licences that is an identifier of its own.
fn or_later(id: &'static str) -> String {
    let base = id.strip_suffix("-only").unwrap_or(id);
    let later = format!("{base}-or-later");
    if spdx::license_id(&later).is_some() { later } else { format!("{id}+") }
}

fn alias(text: &str) -> Option<&'static str> {
    let text = text.to_ascii_lowercase();
    ALIASES.iter().find(|(name, _)| *name == text).map(|(_, id)| *id)
}

fn classifier(text: &str) -> License {
    let known = CLASSIFIERS.iter().find(|(name, _)| *name == text);
    // What is left says as much: `BSD License`.
    let rest = text.strip_prefix("OSI Approved :: ").unwrap_or(text);
    known.map_or_else(|| License::Name(rest.to_owned()), |(_, id)| License::Id(id))
}

/// A file of `/usr/share/common-licenses`: prose that refers to one of GNU's may mean later ones too.
fn common(text: &str) -> License {
    let is_gnu = ["GPL", "LGPL", "GFDL"].iter().any(|family| text.starts_with(family));
    id(text).filter(|_| !is_gnu).map_or_else(|| License::Name(text.to_owned()), License::Id)
}

/// A short name of Debian's machine-readable copyright files (DEP 5), or several with `and` and `or`.
fn debian(text: &str) -> License {
    if let Some(license) = short_name(text) {
        return license;
    }
    let name = || License::Name(text.to_owned());
    // A comma changes what binds first.
    if text.contains(',') {
        return name();
    }
    let mut expression = String::new();
    for word in text.split(' ') {
        let word = match word {
            "and" => "AND".to_owned(),
            "or" | "and/or" => "OR".to_owned(),
            _ => match short_name(word) {
                Some(License::Id(id)) => id.to_owned(),
                Some(License::Expression(expression)) => expression,
                _ => return name(),
            },
        };
        if !expression.is_empty() {
            expression.push(' ');
        }
        expression.push_str(&word);
    }
    if Expression::parse_mode(&expression, MODE).is_ok() { License::Expression(expression) } else { name() }
}

/// `GPL-2+`, `Expat`, `BSD-3-clause`.
fn short_name(text: &str) -> Option<License> {
    if let Some(id) = id(text) {
        // `GPL-2.0` and its like were on the list, and do not say whether later ones will do.
        let exact = spdx::license_id(&format!("{id}-only")).map_or(id, |only| only.name);
        return Some(License::Id(exact));
    }
    match text.to_ascii_lowercase().as_str() {
        "expat" => return Some(License::Id("MIT")),
        "psf-2" | "python-psf" => return Some(License::Id("PSF-2.0")),
        "boost-1.0" => return Some(License::Id("BSL-1.0")),
        "artistic-1" => return Some(License::Id("Artistic-1.0")),
        _ => {}
    }
    let (base, later) = match text.strip_suffix('+') {
        Some(base) => (base, true),
        None => (text, false),
    };
    let (family, version) = base.rsplit_once('-')?;
    let version = if version.contains('.') { version.to_owned() } else { format!("{version}.0") };
    let is_gnu =
        ["GPL", "LGPL", "AGPL", "GFDL", "GFDL-NIV"].iter().any(|one| family.eq_ignore_ascii_case(one));
    if !is_gnu {
        return id(&format!("{family}-{version}")).filter(|_| !later).map(License::Id);
    }
    let (family, invariants) = match family.to_ascii_uppercase().as_str() {
        "GFDL-NIV" => ("GFDL".to_owned(), "-no-invariants"),
        family => (family.to_owned(), ""),
    };
    let which = if later { "or-later" } else { "only" };
    id(&format!("{family}-{version}{invariants}-{which}")).map(License::Id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn is(license: License, expected: &str) {
        let shown = match license {
            License::Id(id) => format!("id {id}"),
            License::Expression(text) => format!("expression {text}"),
            License::Name(name) => format!("name {name}"),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn debians_short_names_are_translated() {
        for (text, expected) in [
            ("GPL-2+", "id GPL-2.0-or-later"),
            ("GPL-2", "id GPL-2.0-only"),
            ("GPL-2.0", "id GPL-2.0-only"),
            ("LGPL-2.1+", "id LGPL-2.1-or-later"),
            ("lgpl-2.1", "id LGPL-2.1-only"),
            ("GFDL-1.3+", "id GFDL-1.3-or-later"),
            ("GFDL-NIV-1.3+", "id GFDL-1.3-no-invariants-or-later"),
            ("Expat", "id MIT"),
            ("BSD-3-clause", "id BSD-3-Clause"),
            ("Apache-2", "id Apache-2.0"),
            ("zlib", "id Zlib"),
            ("GPL-2+ or Expat", "expression GPL-2.0-or-later OR MIT"),
            ("GPL-3+ with autoconf exception", "name GPL-3+ with autoconf exception"),
            ("BSD-3-clause, and GPL-2+ or Expat", "name BSD-3-clause, and GPL-2+ or Expat"),
            ("public-domain", "name public-domain"),
            ("BSD", "name BSD"),
            ("GPL", "name GPL"),
        ] {
            is(debian(text), expected);
        }
    }

    #[test]
    fn free_words_are_taken_for_what_they_say_and_no_more() {
        for (text, expected) in [
            ("MIT", "id MIT"),
            ("bsd-3-clause", "id BSD-3-Clause"),
            ("BSD 3-Clause License", "id BSD-3-Clause"),
            ("MIT or apache-2.0", "expression MIT OR Apache-2.0"),
            ("(MIT AND BSD-3-Clause) OR ISC", "expression (MIT AND BSD-3-Clause) OR ISC"),
            ("GPL-3.0-only WITH GCC-exception-3.1", "expression GPL-3.0-only WITH GCC-exception-3.1"),
            ("GPL-2.0+", "expression GPL-2.0-or-later"),
            ("LicenseRef-Ours", "expression LicenseRef-Ours"),
            ("BSD", "name BSD"),
            ("Dual License", "name Dual License"),
            ("MIT OR", "name MIT OR"),
        ] {
            is(free(text), expected);
        }
    }

    #[test]
    fn references_to_gnus_licences_stay_what_they_are() {
        is(common("Apache-2.0"), "id Apache-2.0");
        is(common("LGPL-2.1"), "name LGPL-2.1");
        is(common("BSD"), "name BSD");
    }

    #[test]
    fn every_alias_and_classifier_is_on_the_list() {
        for (_, known) in ALIASES.iter().chain(CLASSIFIERS) {
            assert_eq!(id(known), Some(*known));
        }
    }

    #[test]
    fn the_first_certain_way_counts() {
        let text = |text: &str| LicenseName::Text(text.into());
        let classifier = |text: &str| LicenseName::Classifier(format!("OSI Approved :: {text}"));
        assert_eq!(of(&[text("BSD"), classifier("MIT License")]), [License::Id("MIT")]);
        assert_eq!(of(&[text("BSD-3-Clause"), classifier("BSD License")]), [License::Id("BSD-3-Clause")]);
        assert_eq!(of(&[text("BSD"), classifier("BSD License")]), [License::Name("BSD".into())]);
        assert_eq!(of(&[classifier("BSD License")]), [License::Name("BSD License".into())]);
        assert_eq!(of(&[]), []);
    }
}
