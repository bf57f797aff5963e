//! Comments that take remarks back: `# provenv: ignore[PV103]`.

use std::collections::HashMap;

use crate::secrets::shown;
use crate::{Diagnostic, Remarks, Source, Span, codes, nearest};

/// What the comments of one file take back.
#[derive(Debug, Default)]
pub(super) struct Ignored {
    /// In the whole file, comment by comment.
    file: Vec<Codes>,
    /// By line, comment by comment.
    lines: HashMap<usize, Vec<Codes>>,
    /// Words in the comments that are no code, which most often are misspelt ones.
    pub unknown: Remarks,
}

/// The codes or names in brackets; none means all.
#[derive(Clone, Debug, Default)]
struct Codes(Vec<String>);

impl Codes {
    fn hold(&self, remark: &Diagnostic) -> bool {
        let name = codes::ALL.iter().find(|code| code.id == remark.code).map_or("", |code| code.name);
        let is_it = |code: &String| code.eq_ignore_ascii_case(remark.code) || code.eq_ignore_ascii_case(name);
        self.0.is_empty() || self.0.iter().any(is_it)
    }
}

impl Ignored {
    /// Reads the comments. One on a line of its own counts for the next line.
    pub fn read(source: &Source) -> Self {
        let mut ignored = Self::default();
        if !source.text().contains("provenv:") {
            return ignored;
        }
        // Several comments above a line count together.
        let mut above = Vec::new();
        for (i, line) in source.lines().enumerate() {
            let found = comment(line);
            if let Some((.., codes)) = &found {
                let unknown = codes.0.iter().filter(|code| !is_known(code));
                ignored.unknown.extend(unknown.map(|code| unknown_code(source, i + 1, line, code)));
            }
            match found {
                Some((_, true, codes)) => ignored.file.push(codes),
                Some((before, false, codes)) if before.trim().is_empty() => above.push(codes),
                found => {
                    above.extend(found.map(|(.., codes)| codes));
                    if !above.is_empty() {
                        ignored.lines.insert(i + 1, std::mem::take(&mut above));
                    }
                }
            }
        }
        ignored
    }

    /// Whether `remark` is taken back. What makes a file unusable cannot be.
    pub fn takes_back(&self, remark: &Diagnostic) -> bool {
        if remark.is_error() && remark.code < "PV100" {
            return false;
        }
        let line = remark.span.and_then(|span| self.lines.get(&span.line));
        self.file.iter().chain(line.into_iter().flatten()).any(|codes| codes.hold(remark))
    }
}

fn is_known(code: &str) -> bool {
    let is_it =
        |known: &&codes::Code| code.eq_ignore_ascii_case(known.id) || code.eq_ignore_ascii_case(known.name);
    codes::ALL.iter().any(is_it)
}

fn unknown_code(source: &Source, number: usize, line: &str, code: &str) -> Diagnostic {
    let at = line.rfind(code).unwrap_or_default();
    let span = Span { line: number, column: line[..at].chars().count() + 1, length: code.chars().count() };
    let message = format!("`{}` is no code, so the comment takes nothing back by it", shown(code));
    let known = codes::ALL.iter().flat_map(|known| [known.id, known.name]);
    let hint = match nearest(code, known) {
        Some(known) => format!("did you mean `{known}`?"),
        None => "`provenv env check --explain CODE` tells what a code means".to_owned(),
    };
    Diagnostic::new(codes::NOT_HONOURED, message).with_hint(hint).at(source.place(span))
}

/// What stands before the comment, whether it counts for the whole file, and its codes.
fn comment(line: &str) -> Option<(&str, bool, Codes)> {
    let at = line.find("provenv:")?;
    let before = line[..at].trim_end().strip_suffix('#')?;
    let rest = line[at + "provenv:".len()..].trim_start().strip_prefix("ignore")?;
    let (rest, whole) = match rest.strip_prefix("-file") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let codes = match rest.strip_prefix('[') {
        Some(inner) => {
            let (inner, _) = inner.split_once(']')?;
            let codes: Vec<String> =
                inner.split(',').map(|code| code.trim().to_owned()).filter(|code| !code.is_empty()).collect();
            // None named is none taken back: without brackets it is all.
            if codes.is_empty() {
                return None;
            }
            codes
        }
        None if rest.is_empty() || rest.starts_with(char::is_whitespace) => Vec::new(),
        None => return None,
    };
    Some((before, whole, Codes(codes)))
}
