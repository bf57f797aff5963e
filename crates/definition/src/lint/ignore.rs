//! Comments that take remarks back: `# provenv: ignore[PV103]`.

use std::collections::HashMap;

use crate::{Diagnostic, Source, codes};

/// What the comments of one file take back.
#[derive(Debug, Default)]
pub(super) struct Ignored {
    /// In the whole file, comment by comment.
    file: Vec<Codes>,
    /// By line, comment by comment.
    lines: HashMap<usize, Vec<Codes>>,
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
            match comment(line) {
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
