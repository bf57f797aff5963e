//! Edits that mend a user's file.

use std::path::PathBuf;

use serde::Serialize;

use crate::Source;

/// How a file is mended: edits that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fix {
    /// What it does, e.g. "remove the line".
    pub title: String,
    /// The file that it changes.
    pub file: PathBuf,
    /// The changes; they do not overlap.
    pub edits: Vec<Edit>,
}

/// A part of a file and what stands there afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Edit {
    /// The first character that goes.
    pub start: Position,
    /// The first character after `start` that stays.
    pub end: Position,
    /// What takes the place.
    pub replacement: String,
}

/// Between two characters of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Fix {
    /// `length` characters at `start` of the file are replaced.
    pub(crate) fn replace(
        source: &Source,
        title: impl Into<String>,
        start: Position,
        length: usize,
        replacement: impl Into<String>,
    ) -> Self {
        let end = Position { column: start.column + length, ..start };
        let edit = Edit { start, end, replacement: replacement.into() };
        Self { title: title.into(), file: source.path().to_owned(), edits: vec![edit] }
    }

    /// Line `line` goes, with its line break.
    pub(crate) fn remove_line(source: &Source, line: usize) -> Self {
        let edit = Edit {
            start: Position { line, column: 1 },
            end: Position { line: line + 1, column: 1 },
            replacement: String::new(),
        };
        Self { title: "remove the line".to_owned(), file: source.path().to_owned(), edits: vec![edit] }
    }
}

/// The text of `source` after `fixes`, and how many of them were done. One that overlaps an earlier one is left for the
/// next round, as its ground has moved.
pub fn apply<'a>(source: &Source, fixes: impl IntoIterator<Item = &'a Fix>) -> (String, usize) {
    let mut taken: Vec<(usize, usize, &str)> = Vec::new();
    let mut done = 0;
    for fix in fixes.into_iter().filter(|fix| fix.file == source.path()) {
        let edits: Option<Vec<(usize, usize, &str)>> = fix
            .edits
            .iter()
            .map(|edit| {
                let (start, end) = (source.offset_of(edit.start)?, source.offset_of(edit.end)?);
                (start <= end).then_some((start, end, edit.replacement.as_str()))
            })
            .collect();
        let Some(edits) = edits.filter(|edits| !edits.is_empty()) else { continue };
        let free = |(start, end, _): &(usize, usize, &str)| {
            // Those taken are sorted and apart, so one neighbour on each side is all that can be in the way.
            let after = taken.partition_point(|(other, ..)| other <= end);
            after == 0 || taken[after - 1].1 <= *start && taken[after - 1].0 != *start
        };
        if !edits.iter().all(free) {
            continue;
        }
        for edit in edits {
            taken.insert(taken.partition_point(|(start, ..)| *start < edit.0), edit);
        }
        done += 1;
    }
    let mut text = String::with_capacity(source.text().len());
    let mut at = 0;
    for (start, end, replacement) in taken {
        text.push_str(&source.text()[at..start]);
        text.push_str(replacement);
        at = end;
    }
    text.push_str(&source.text()[at..]);
    (text, done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_keep_line_ends_and_leave_overlaps_for_later() {
        let source = Source::new("f", "é one\r\ntwo\r\nthree");
        let replace =
            |line, column, length, text| Fix::replace(&source, "t", Position { line, column }, length, text);
        for (fixes, expected, count) in [
            (vec![replace(1, 3, 3, "1")], "é 1\r\ntwo\r\nthree", 1),
            (vec![replace(3, 1, 5, "3"), replace(1, 1, 1, "e")], "e one\r\ntwo\r\n3", 2),
            (vec![Fix::remove_line(&source, 2)], "é one\r\nthree", 1),
            (vec![Fix::remove_line(&source, 2), replace(2, 1, 1, "T")], "é one\r\nthree", 1),
            (vec![replace(1, 3, 2, "x"), replace(1, 4, 2, "y")], "é xe\r\ntwo\r\nthree", 1),
            (vec![replace(1, 3, 3, "x"), replace(1, 3, 3, "x")], "é x\r\ntwo\r\nthree", 1),
            (vec![Fix::remove_line(&source, 3)], "é one\r\ntwo\r\n", 1),
            (vec![Fix::remove_line(&source, 9)], "é one\r\ntwo\r\nthree", 0),
        ] {
            assert_eq!(apply(&source, &fixes), (expected.to_owned(), count), "{fixes:?}");
        }
    }
}
