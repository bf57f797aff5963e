//! Checks of a file as it is written, whatever it says.

use std::collections::HashSet;

use crate::fix::{Fix, Position};
use crate::read::{Format, Origins};
use crate::secrets::{Variables, in_line, secret_range, shown};
use crate::{CondaSpec, Diagnostic, Remarks, Source, Span, codes};

/// Texts that look like secrets, but for those in `lines`, which have been remarked on.
pub(crate) fn secrets(source: &Source, variables: Variables, lines: &HashSet<usize>) -> Remarks {
    let mut remarks = Remarks::default();
    for (i, line) in source.lines().enumerate().filter(|(i, _)| !lines.contains(&(i + 1))) {
        let Some(range) = in_line(line, |piece| secret_range(piece, variables)) else { continue };
        let column = line[..range.start].chars().count() + 1;
        let span = Span { line: i + 1, column, length: line[range].chars().count().max(1) };
        let remark = Diagnostic::new(codes::SECRET, "this looks like a secret")
            .with_hint("take it out, and change it: whoever has the file has the secret");
        remarks.push(remark.at(source.place(span)));
    }
    remarks
}

/// Spellings in a conda file that are clearer in another way.
pub(crate) fn conda(source: &Source, origins: &Origins) -> Remarks {
    let mut remarks = Remarks::default();
    for place in origins.conda.iter().filter(|place| place.file == source.path()) {
        let text = source.text_at(place.span);
        let Some(at) = text.find("==") else { continue };
        let end =
            text[at + 2..].find([',', '|', '=', ' ', '"', '\'', ']']).map_or(text.len(), |end| at + 2 + end);
        let version = &text[at + 2..end];
        let Some(stem) = version.strip_suffix(".*") else { continue };
        let message = format!("`=={}` asks for one version and for many", shown(version));
        // What is written instead must ask for the same: before a build string, conda takes `==1.2.*` for `==1.2`.
        let spec = |text: &str| text.trim_matches(['"', '\'']).parse::<CondaSpec>().ok();
        let old = spec(text).map(|spec| spec.canonical());
        let is_same = |instead: &String| {
            let new = spec(&format!("{}{instead}{}", &text[..at], &text[end..]));
            old.is_some() && new.map(|spec| spec.canonical()) == old
        };
        let instead =
            [format!("=={stem}"), format!("={stem}"), format!("={stem}.*")].into_iter().find(is_same);
        let remark = Diagnostic::new(codes::WILDCARD_EQUALITY, message).at(place.clone());
        let Some(instead) = instead else {
            remarks.push(remark.with_hint("write one `=`"));
            continue;
        };
        let column = place.span.column + text[..at].chars().count();
        let start = Position { line: place.span.line, column };
        let title = format!("write `{}`", shown(&instead));
        let fix = Fix::replace(source, title.clone(), start, 2 + version.chars().count(), instead);
        remarks.push(remark.with_hint(title).with_fix(fix));
    }
    remarks
}

/// `python: 3.10`, a number for most readers of YAML.
pub(crate) fn unquoted_version(source: &Source, format: Format, origins: &Origins) -> Option<Diagnostic> {
    if format != Format::Native {
        return None;
    }
    let place = [&origins.python, &origins.version]
        .into_iter()
        .flatten()
        .find(|place| place.file == source.path() && is_number_that_shrinks(source.text_at(place.span)))?;
    let text = source.text_at(place.span);
    let fix = super::quoted(source, place.span, text);
    let message = format!("most readers of YAML take `{text}` for the number {}", text.trim_end_matches('0'));
    let remark = Diagnostic::new(codes::UNQUOTED_VERSION, message).with_hint(format!("write `\"{text}\"`"));
    Some(remark.at(place.clone()).with_fix(fix))
}

fn is_number_that_shrinks(text: &str) -> bool {
    text.split_once('.').is_some_and(|(whole, part)| {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits(whole) && digits(part) && part.ends_with('0')
    })
}
