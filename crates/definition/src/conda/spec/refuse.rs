//! What is no spec, in words that say what to do.

use std::ops::Range;

use rattler_conda_types::ParseMatchSpecError;

use super::parse::OPERATORS;
use crate::codes;
use crate::conda::channel;
use crate::requirement::RequirementError;
use crate::secrets::shown;

const MAX_DEPTH: usize = 16;

pub(super) fn invalid(message: impl Into<String>, range: Range<usize>) -> RequirementError {
    RequirementError::new(codes::INVALID_CONDA_SPEC, message, range.start, range.len().max(1))
}

/// What pip, YAML or Windows make of a text, with the way out.
pub(super) fn refuse_other_tools(text: &str) -> Result<(), RequirementError> {
    let pip_list = "what pip installs stands in a `pip:` list among the dependencies";
    let at = |needle: &str| text.find(needle).map(|at| at..at + needle.len());
    let head = &text[..text.find('[').unwrap_or(text.len())];
    let variable = |at: &usize| text[at + 1..].starts_with(|c: char| c == '{' || c.is_ascii_alphabetic());
    let name_at = head.rfind("::").map_or(0, |at| at + 2);
    if let Some(at) = head[name_at..].find('$').map(|at| name_at + at).filter(variable) {
        return Err(RequirementError::new(
            codes::TEMPLATE,
            "a variable that was not filled in",
            at,
            text.len() - at,
        )
        .with_hint("conda does not fill in variables in packages: do it first"));
    }
    if text.starts_with('^') {
        return Err(invalid("a pattern is no name of a package", 0..head.len()));
    }
    if text.starts_with(OPERATORS) {
        return Err(invalid("the name of a package is missing", 0..1)
            .with_hint("quote the whole item: YAML takes a `>` at its beginning for something else"));
    }
    if let Some(range) = at("===") {
        return Err(invalid("`===` is not an operator of conda", range)
            .with_hint("an exact version is written with two equals signs: `==`"));
    }
    if head.contains('\\') || channel::is_drive(head) {
        return Err(invalid("a path of Windows", 0..head.len()).with_hint("write a relative path with `/`"));
    }
    if let Some(at) = head.find(';') {
        return Err(invalid("markers after `;` are pip's", at..text.len()).with_hint(pip_list));
    }
    if let Some(range) = at(" @ ").filter(|range| range.end <= head.len()) {
        return Err(invalid("`@` and a URL are pip's", range).with_hint(pip_list));
    }
    if head.ends_with(['=', ',', '|']) {
        return Err(invalid("a version is missing at the end", head.len() - 1..head.len()));
    }
    if text.starts_with('-') {
        return Err(invalid("an option is no package", 0..head.len()).with_hint(pip_list));
    }
    Ok(())
}

pub(super) fn refuse_depth(text: &str) -> Result<(), RequirementError> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(RequirementError::new(codes::TOO_LARGE, "nested too deeply", at, 1));
        }
    }
    Ok(())
}

/// The parser's words in ours, with a place.
pub(super) fn refusal(error: &ParseMatchSpecError, text: &str) -> RequirementError {
    let head = text.find('[').unwrap_or(text.len());
    let from = text[..head].rfind("::").map_or(0, |at| at + 2);
    let name_end = text[from..].find(|c: char| c.is_whitespace() || OPERATORS.contains(&c) || c == '[');
    let name_end = name_end.map_or(text.len(), |end| from + end);
    let after = &text[name_end..];
    let after_at = name_end + (after.len() - after.trim_start().len());
    let after = after.trim_start();
    match error {
        ParseMatchSpecError::MissingPackageName => invalid("the name of a package is missing", 0..text.len()),
        ParseMatchSpecError::InvalidPackageNameMatcher(_)
        | ParseMatchSpecError::OnlyExactPackageNameMatchersAllowedGlob(_)
        | ParseMatchSpecError::OnlyExactPackageNameMatchersAllowedRegex(_) => {
            let name = &text[from..name_end];
            invalid(format!("`{}` is not the name of a conda package", shown(name)), from..name_end)
                .with_hint("a name holds letters, digits, `-`, `_` and `.`")
        }
        ParseMatchSpecError::InvalidBracketKey(key) => {
            invalid(format!("`{}` is not a key that conda knows in brackets", shown(key)), head..text.len())
        }
        ParseMatchSpecError::InvalidBracket => invalid("brackets that conda cannot read", head..text.len())
            .with_hint("write them `[key='value',key='value']`"),
        ParseMatchSpecError::InvalidVersionAndBuild(_) => {
            invalid(format!("`{}` is not a version of conda", shown(after)), after_at..text.len())
        }
        ParseMatchSpecError::InvalidVersionSpec(error) => {
            let message =
                format!("`{}` is not a version of conda: {}", shown(after), shown(&error.to_string()));
            invalid(message, after_at..text.len())
        }
        other => invalid(shown(&other.to_string()), 0..text.len()),
    }
}
