//! Fixes that are surely right, for remarks that do not bring their own.

use crate::check::{GIVEN_UP, quoted};
use crate::document::unquoted_bound;
use crate::fix::{Fix, Position};
use crate::requirement::normalise_name;
use crate::secrets::holds_secret;
use crate::{Diagnostic, Source, Span, codes};

/// Operators that pip does not know, and what was meant.
const OPERATORS: &[(&str, &str)] = &[("=", "=="), ("=>", ">="), ("=<", "<="), ("<>", "!=")];

/// Where `remark` on a thing that has kept no place of its own stands.
pub(super) fn place(source: &Source, remark: &mut Diagnostic) {
    if remark.span.is_some() || remark.file.as_deref().is_some_and(|file| file != source.path()) {
        return;
    }
    let needle = match remark.code {
        code if code == codes::DEPENDENCY_CONFUSION.id => "--extra-index-url",
        code if code == codes::PLAIN_HTTP.id => "http://",
        _ => "",
    };
    let found = source.lines().enumerate().find_map(|(i, line)| {
        let at = line.find(needle).filter(|_| !needle.is_empty() && !line.trim_start().starts_with('#'))?;
        Some(Span { line: i + 1, column: line[..at].chars().count() + 1, length: needle.len() })
    });
    let taken = std::mem::replace(remark, Diagnostic::new(codes::UNREADABLE, ""));
    *remark = match found {
        Some(span) => taken.at(source.place(span)),
        None => taken.in_file(source.path()),
    };
}

/// How `remark` is mended.
pub(super) fn fix(source: &Source, remark: &Diagnostic) -> Option<Fix> {
    let span = remark.span.filter(|_| remark.file.as_deref() == Some(source.path()))?;
    match remark.code {
        code if code == codes::DUPLICATE_REQUIREMENT.id || code == codes::DUPLICATE_SYSTEM_PACKAGE.id => {
            stands_alone(source, span).then(|| Fix::remove_line(source, span.line))
        }
        code if code == codes::DEPRECATED_PACKAGE.id => rename(source, span),
        code if code == codes::INVALID_REQUIREMENT.id => operator(source, span),
        code if code == codes::INVALID_YAML.id => {
            let line = source.line(span.line)?;
            let range = unquoted_bound(line)?;
            let column = line[..range.start].chars().count() + 1;
            Some(quoted(source, Span { column, ..span }, &line[range]))
        }
        _ => None,
    }
}

/// Whether nothing but what is at `span` stands on its line, and the line is no part of a longer one.
fn stands_alone(source: &Source, span: Span) -> bool {
    let continues = |line: usize| source.line(line).is_some_and(|line| line.trim_end().ends_with('\\'));
    let line = source.line(span.line).unwrap_or_default().trim();
    let item = line.strip_prefix("- ").unwrap_or(line).trim();
    let bare = |text: &str| text.trim_matches(['"', '\'']).to_owned();
    let whole = bare(item) == bare(source.text_at(span).trim());
    whole && !continues(span.line) && !continues(span.line - 1)
}

/// `sklearn` without a version becomes `scikit-learn`: their version numbers have nothing in common.
fn rename(source: &Source, span: Span) -> Option<Fix> {
    let text = source.text_at(span);
    let quote = text.starts_with(['"', '\'']);
    let inner = text.trim_matches(['"', '\'']);
    let end = inner.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(inner.len());
    let (name, rest) = inner.split_at(end);
    let (_, new, _) = GIVEN_UP.iter().find(|(old, _, same)| *same && *old == normalise_name(name))?;
    let versioned =
        rest.split(['#', ';']).next().unwrap_or_default().contains(['=', '<', '>', '~', '!', '@', '[']);
    let start = Position { line: span.line, column: span.column + usize::from(quote) };
    (!versioned).then(|| Fix::replace(source, format!("ask for `{new}`"), start, name.len(), *new))
}

/// `numpy = 1.2` in a list of pip.
fn operator(source: &Source, span: Span) -> Option<Fix> {
    let given = source.text_at(span);
    let (_, meant) = OPERATORS.iter().find(|(wrong, _)| *wrong == given)?;
    let line = source.line(span.line)?;
    // With another operator it would no longer be told from a version, and be shown.
    if holds_secret(line) {
        return None;
    }
    let after: String = line.chars().skip(span.column - 1 + span.length).collect();
    // `numpy=1.2=py39_0` is conda's.
    if after.split([',', ';', '#']).next().unwrap_or_default().contains('=') {
        return None;
    }
    let start = Position { line: span.line, column: span.column };
    Some(Fix::replace(source, format!("write `{meant}`"), start, span.length, *meant))
}
