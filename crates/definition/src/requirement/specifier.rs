//! Bounds on a version (PEP 440).

use pep440_rs::{Operator, Version, VersionSpecifier};

use super::error::RequirementError;
use crate::secrets::shown;

/// `>=1.4,<2` or `(>=1.4, <2)` at `at`, possibly nothing, and where it ends. Sorted by version, each once.
pub(super) fn parse(text: &str, at: usize) -> Result<(Vec<VersionSpecifier>, usize), RequirementError> {
    let (start, end, after) = if text[at..].starts_with('(') {
        let Some(length) = text[at..].find(')') else {
            return Err(RequirementError::invalid("`)` is missing after the version bounds", at, 1));
        };
        (at + 1, at + length, at + length + 1)
    } else {
        let end = at + text[at..].find(';').unwrap_or(text.len() - at);
        (at, end, end)
    };
    if !text[start..end].trim_start().starts_with(['<', '>', '=', '!', '~']) {
        // Nothing, or something that the caller reports.
        let after = if text[start..end].trim().is_empty() { after } else { start };
        return Ok((Vec::new(), after));
    }
    let mut specifiers = Vec::new();
    let mut offset = start;
    for piece in text[start..end].split(',') {
        let lead = piece.len() - piece.trim_start().len();
        let trimmed = piece.trim();
        if trimmed.is_empty() {
            // `>=1,` is legal, `>=1,,<2` is not.
            if specifiers.is_empty() || offset + piece.len() != end {
                return Err(RequirementError::invalid("a version bound is missing", offset, 1));
            }
        } else {
            specifiers.push(parse_one(trimmed).map_err(|error| error.shift(offset + lead))?);
        }
        offset += piece.len() + 1;
    }
    specifiers.sort_by_cached_key(|specifier: &VersionSpecifier| {
        (specifier.version().clone(), specifier.operator().to_string(), specifier.to_string())
    });
    specifiers.dedup_by_key(|specifier| specifier.to_string());
    Ok((specifiers, after))
}

fn parse_one(text: &str) -> Result<VersionSpecifier, RequirementError> {
    let operator_length = text.find(|c: char| !"<>=!~".contains(c)).unwrap_or(text.len());
    let operator = &text[..operator_length];
    let version = text[operator_length..].trim();
    let version_at = text.len() - version.len();
    let invalid = |message: String, offset, length| RequirementError::invalid(message, offset, length);
    let Ok(parsed) = operator.parse::<Operator>() else {
        let error = match operator {
            "" => invalid(format!("expected a version bound, found `{}`", shown(text)), 0, text.len()),
            operator => invalid(format!("`{operator}` is not an operator"), 0, operator.len()),
        };
        return Err(match operator {
            "" => error.with_hint("write an operator such as `==` before the version"),
            "=" if version.contains('=') => {
                error.with_hint("this looks like a conda package; for pip write `name==version`")
            }
            "=" => error.with_hint("a version is pinned with two equals signs: `==`"),
            "=>" => error.with_hint("did you mean `>=`?"),
            "=<" => error.with_hint("did you mean `<=`?"),
            "<>" => error.with_hint("did you mean `!=`?"),
            _ => error.with_hint("the operators are ==, !=, <=, >=, <, >, ~= and ==="),
        });
    };
    if version.is_empty() {
        return Err(invalid(format!("a version is missing after `{operator}`"), operator_length, 1));
    }
    if let Some((_, rest)) = version.split_once(char::is_whitespace) {
        return Err(RequirementError::unexpected(text, text.len() - rest.trim_start().len()));
    }
    text.parse::<VersionSpecifier>().map_err(|_| {
        let starred = version.strip_suffix(".*").is_some_and(|version| version.parse::<Version>().is_ok());
        let valid = version.parse::<Version>().ok();
        let (message, hint) = match (&valid, parsed) {
            _ if starred && !matches!(parsed, Operator::Equal | Operator::NotEqual) => (
                format!("`.*` cannot follow `{operator}`, only `==` and `!=`"),
                Some(format!("write `{operator}{}`", version.trim_end_matches(".*"))),
            ),
            (Some(_), Operator::TildeEqual) => (
                format!("`~=` needs a version of two numbers or more, found `{}`", shown(version)),
                Some(format!("write `~={version}.0`")),
            ),
            (Some(version), _) if version.is_local() => (
                format!("`{operator}` cannot compare the local version `{}`", shown(&version.to_string())),
                None,
            ),
            _ => (format!("`{}` is not a version", shown(version)), None),
        };
        let error = invalid(message, version_at, version.len());
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    })
}

/// The one text that stands for all spellings of a bound: the version in PEP 440's normal form without trailing
/// zeros in its release, except after `~=`, `===` and in `==1.0.*`, where they mean something.
pub(crate) fn canonical(specifier: &VersionSpecifier) -> String {
    match specifier.operator() {
        Operator::TildeEqual | Operator::ExactEqual | Operator::EqualStar | Operator::NotEqualStar => {
            specifier.to_string()
        }
        operator => format!("{operator}{}", canonical_version(specifier.version())),
    }
}

fn canonical_version(version: &Version) -> Version {
    let release = version.release();
    let significant = release.iter().rposition(|number| *number != 0).map_or(1, |last| last + 1);
    version.clone().with_release(release[..significant].iter().copied())
}
