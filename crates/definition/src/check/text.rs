//! Checks of a file as it is written, whatever it says.

use std::collections::HashSet;

use crate::fix::{Fix, Position};
use crate::read::{Format, Origins};
use crate::secrets::{secret_range, shown};
use crate::{CondaSpec, Diagnostic, Remarks, Source, Span, codes};

/// Longer lines are searched in pieces: the search for secrets is quadratic where a text is made for it.
const PIECE: usize = 1 << 10;

/// Texts that look like secrets, but for those in `lines`, which have been remarked on.
pub(crate) fn secrets(source: &Source, lines: &HashSet<usize>) -> Remarks {
    let mut remarks = Remarks::default();
    for (i, line) in source.lines().enumerate().filter(|(i, _)| !lines.contains(&(i + 1))) {
        let mut start = 0;
        while start < line.len() {
            let end = line.floor_char_boundary((start + PIECE).min(line.len()));
            let cut = if end == line.len() { None } else { line[start..end].rfind([' ', ',', ';']) };
            let end = cut.filter(|cut| *cut > 0).map_or(end, |cut| start + cut);
            if let Some(range) = secret_range(&line[start..end]) {
                let column = line[..start + range.start].chars().count() + 1;
                let length = line[start..end][range].chars().count().max(1);
                let span = Span { line: i + 1, column, length };
                let remark = Diagnostic::new(codes::SECRET, "this looks like a secret")
                    .with_hint("take it out, and change it: whoever has the file has the secret");
                remarks.push(remark.at(source.place(span)));
                break;
            }
            start = end;
        }
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
        let remark = Diagnostic::new(codes::WILDCARD_EQUALITY, message)
            .with_hint(format!("write `={}`", shown(stem)))
            .at(place.clone());
        // The edit must leave what is asked for as it is.
        let spec = |text: &str| text.trim_matches(['"', '\'']).parse::<CondaSpec>().ok();
        let mended = format!("{}={stem}{}", &text[..at], &text[end..]);
        let same =
            spec(text).is_some_and(|old| spec(&mended).is_some_and(|new| old.canonical() == new.canonical()));
        let column = place.span.column + text[..at].chars().count();
        let start = Position { line: place.span.line, column };
        let length = 2 + version.chars().count();
        remarks.push(if same {
            remark.with_fix(Fix::replace(
                source,
                format!("write `={stem}`"),
                start,
                length,
                format!("={stem}"),
            ))
        } else {
            remark
        });
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
