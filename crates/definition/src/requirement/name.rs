//! Names of packages and extras.

use super::error::RequirementError;
use super::word_at;
use crate::secrets::shown;

/// Lower case, runs of `-`, `_` and `.` as one `-` (PEP 503).
pub fn normalise_name(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            c => normal.push(c.to_ascii_lowercase()),
        }
    }
    normal
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.".contains(c)
}

/// Letters, digits, `-`, `_` and `.`, a letter or digit first and last (PEP 508).
pub(crate) fn is_name(text: &str) -> bool {
    text.chars().all(is_name_char)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// The normalised name at the beginning of `text`, and where it ends.
pub(super) fn parse_name(text: &str) -> Result<(String, usize), RequirementError> {
    let end = text.find(|c: char| !is_name_char(c)).unwrap_or(text.len());
    let name = &text[..end];
    if is_name(name) {
        return Ok((normalise_name(name), end));
    }
    if name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        // The grammar wants a letter or digit last; pip's own reader takes `name_` as well.
        let trimmed = name.trim_end_matches(['.', '-', '_']);
        let message = format!("the name `{}` must end with a letter or digit", shown(name));
        return Err(RequirementError::invalid(message, trimmed.len(), name.len() - trimmed.len()));
    }
    let word = if text.is_empty() { "" } else { word_at(text, 0) };
    let message = match word {
        "" => "a package name is missing".to_owned(),
        word => format!("expected the name of a package, found `{}`", shown(word)),
    };
    let error = RequirementError::invalid(message, 0, word.len());
    Err(match word.chars().next() {
        Some('\'' | '"' | '`') => error.with_hint("take the quotes off: a requirements file has none"),
        Some('-') => error.with_hint("a requirements file is no YAML list: take the dash off"),
        _ => error,
    })
}

/// `[a,b]` at `at`, if it stands there, and where it ends.
pub(super) fn parse_extras(text: &str, at: usize) -> Result<(Vec<String>, usize), RequirementError> {
    if !text[at..].starts_with('[') {
        return Ok((Vec::new(), at));
    }
    let Some(length) = text[at..].find(']') else {
        return Err(RequirementError::invalid("`]` is missing after the extras", at, 1));
    };
    let inner = &text[at + 1..at + length];
    let mut extras = Vec::new();
    let mut offset = at + 1;
    for extra in inner.split(',') {
        let name = extra.trim();
        if !is_name(name) || name.is_empty() {
            if inner.trim().is_empty() {
                break;
            }
            let message = format!("`{}` is not the name of an extra", shown(name));
            return Err(RequirementError::invalid(message, offset, extra.len().max(1)));
        }
        extras.push(normalise_name(name));
        offset += extra.len() + 1;
    }
    Ok((extras, at + length + 1))
}
