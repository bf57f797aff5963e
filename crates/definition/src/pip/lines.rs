//! Logical lines of a requirements file: continuations joined, comments taken off, as pip's `req_file` does.

use crate::{Place, Source, Span};

/// Longest line in which the parts of an entry are looked for.
const MAX_SEARCHED: usize = 2 << 10;

/// A logical line and where each part of it stands in the file.
#[derive(Clone, Debug)]
pub(crate) struct LogicalLine<'s> {
    source: &'s Source,
    /// The text without comment and surrounding space.
    pub text: String,
    /// (offset in `text`, line, column) of each piece of an original line.
    pieces: Vec<(usize, usize, usize)>,
    /// The one place of all of it, where parts cannot be told apart.
    whole: Option<Span>,
}

impl<'s> LogicalLine<'s> {
    /// `text` as it stands at `span`, which is also its only place if it does not stand there verbatim.
    pub fn at(source: &'s Source, text: &str, span: Span) -> Self {
        let line = source.line(span.line).unwrap_or_default();
        // In a line that no editor shows, parts are not told apart: a list of thousands in one line stays linear.
        let line = if line.len() <= MAX_SEARCHED { line } else { "" };
        let found = (0..2).find(|quote| {
            let begin = line.char_indices().nth(span.column - 1 + quote);
            begin.is_some_and(|(offset, _)| line[offset..].starts_with(text))
        });
        let lead = text.len() - text.trim_start().len();
        Self {
            source,
            text: text.trim().to_owned(),
            pieces: vec![(0, span.line, span.column + found.unwrap_or(0) + text[..lead].chars().count())],
            whole: found.is_none().then_some(span),
        }
    }

    /// The place of `length` bytes at `offset` of the text.
    pub fn place(&self, offset: usize, length: usize) -> Place {
        self.source.place(self.span(offset, length))
    }

    fn span(&self, offset: usize, length: usize) -> Span {
        if let Some(whole) = self.whole {
            return whole;
        }
        let offset = self.boundary(offset);
        let index = self.pieces.iter().rposition(|(start, ..)| *start <= offset).unwrap_or(0);
        let (start, line, column) = self.pieces.get(index).copied().unwrap_or((0, 1, 1));
        // A span stays on its line.
        let piece_end = self.pieces.get(index + 1).map_or(self.text.len(), |(next, ..)| *next);
        let end = self.boundary((offset + length).min(piece_end)).max(offset);
        Span {
            line,
            column: column + self.text[start..offset].chars().count(),
            length: self.text[offset..end].chars().count().max(1),
        }
    }

    fn boundary(&self, offset: usize) -> usize {
        self.text.floor_char_boundary(offset)
    }

    /// The file.
    pub fn source(&self) -> &'s Source {
        self.source
    }
}

/// The logical lines of `source` that hold something.
pub(crate) fn logical_lines(source: &Source) -> Vec<LogicalLine<'_>> {
    let mut lines = Vec::new();
    let mut text = String::new();
    let mut pieces = Vec::new();
    for (i, line) in source.lines().enumerate() {
        // A comment line ends a continuation, whatever it ends with itself.
        let comment = line.trim_start().starts_with('#');
        let stripped = line.trim_end_matches('\\');
        let continues = !comment && stripped.len() < line.len();
        let begin = line.len() - line.trim_start_matches('\\').len();
        let piece = if continues { &line[begin.min(stripped.len())..stripped.len()] } else { line };
        if comment && !text.is_empty() {
            text.push(' ');
        }
        pieces.push((text.len(), i + 1, if continues { begin.min(stripped.len()) + 1 } else { 1 }));
        text.push_str(piece);
        if !continues {
            lines.extend(finish(source, std::mem::take(&mut text), std::mem::take(&mut pieces)));
        }
    }
    lines.extend(finish(source, text, pieces));
    lines
}

/// Takes comment and surrounding space off; `None` where nothing is left.
fn finish(
    source: &Source,
    mut text: String,
    mut pieces: Vec<(usize, usize, usize)>,
) -> Option<LogicalLine<'_>> {
    text.truncate(comment_start(&text));
    text.truncate(text.trim_end().len());
    let lead = text.len() - text.trim_start().len();
    if lead == text.len() {
        return None;
    }
    // The pieces that lie wholly in the leading space go; the first that remains begins later in its line.
    let first = pieces.iter().rposition(|(start, ..)| *start <= lead).unwrap_or(0);
    pieces.drain(..first);
    let skipped = text[pieces[0].0..lead].chars().count();
    for piece in &mut pieces {
        piece.0 = piece.0.saturating_sub(lead);
    }
    pieces[0].2 += skipped;
    text.drain(..lead);
    pieces.retain(|(start, ..)| *start < text.len());
    Some(LogicalLine { source, text, pieces, whole: None })
}

/// Where a comment begins: `#` at the start or after a space (pip's `(^|\s+)#.*$`).
pub(crate) fn comment_start(text: &str) -> usize {
    text.char_indices()
        .find(|(i, c)| *c == '#' && text[..*i].chars().next_back().is_none_or(char::is_whitespace))
        .map_or(text.len(), |(i, _)| i)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_and_keep_their_places() {
        let source = Source::new(
            "requirements.txt",
            "# top\n\n  numpy \\\r\n    >=1.0 # why\r\nfoo#egg  \npandas \\\n# comment \\\nscipy\\\n",
        );
        let lines = logical_lines(&source);
        let texts: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["numpy     >=1.0", "foo#egg", "pandas", "scipy"]);
        assert_eq!(lines[0].span(0, 5), Span { line: 3, column: 3, length: 5 });
        assert_eq!(lines[0].span(10, 5), Span { line: 4, column: 5, length: 5 });
        assert_eq!(lines[0].span(0, 500), Span { line: 3, column: 3, length: 6 });
        assert_eq!(lines[1].span(3, 1), Span { line: 5, column: 4, length: 1 });
    }

    #[test]
    fn a_text_of_another_file_is_found_at_its_place() {
        let source = Source::new("env.yaml", "pip: ['numpy =1']");
        let line = LogicalLine::at(&source, "numpy =1", Span { line: 1, column: 7, length: 10 });
        assert_eq!(line.span(6, 2), Span { line: 1, column: 14, length: 2 });
    }
}
