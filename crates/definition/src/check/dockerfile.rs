//! Checks of the commands in a Dockerfile, line by line as they are written.

use crate::source::MAX_QUOTED;
use crate::{Diagnostic, Remarks, Source, Span, codes};

/// A piece of an instruction that stands on one line.
struct Piece<'s> {
    /// In upper case.
    keyword: String,
    /// Whether the instruction begins here.
    first: bool,
    line: usize,
    /// Bytes of the line before `text`.
    offset: usize,
    text: &'s str,
}

/// The pieces of all instructions but for comments and the insides of here-documents.
fn pieces(source: &Source) -> Vec<Piece<'_>> {
    let escape = source
        .lines()
        .take_while(|line| line.starts_with('#'))
        .find_map(|line| {
            line[1..].trim().strip_prefix("escape")?.trim().strip_prefix('=')?.trim().chars().next()
        })
        .filter(|c| *c == '`')
        .unwrap_or('\\');
    let mut pieces = Vec::new();
    let mut keyword: Option<String> = None;
    let mut here: Option<String> = None;
    for (i, line) in source.lines().enumerate() {
        if let Some(end) = &here {
            if line.trim_start_matches('\t') == end {
                here = None;
            }
            continue;
        }
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let (text, continues) = match line.trim_end().strip_suffix(escape) {
            Some(text) => (text, true),
            None => (line, false),
        };
        let begin = text.len() - text.trim_start().len();
        let (name, offset, first) = if let Some(name) = keyword.take() {
            (name, begin, false)
        } else {
            let word = text[begin..].find(char::is_whitespace).map_or(text.len(), |end| begin + end);
            (text[begin..word].to_ascii_uppercase(), word, true)
        };
        let rest = &text[offset..];
        if matches!(name.as_str(), "RUN" | "COPY" | "ADD")
            && let Some((_, end)) = rest.split_once("<<")
        {
            let end = end.trim_start_matches('-').trim_matches(['"', '\'']);
            let word: String = end.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            here = (!word.is_empty()).then_some(word);
        }
        if continues {
            keyword = Some(name.clone());
        }
        pieces.push(Piece { keyword: name, first, line: i + 1, offset, text: rest });
    }
    pieces
}

/// Version bounds in the commands of the Dockerfile `source` that a shell takes for redirections.
pub(crate) fn redirects(source: &Source) -> Remarks {
    let mut remarks = Remarks::default();
    let mut shell = Shell::default();
    for piece in pieces(source).iter().filter(|piece| piece.keyword == "RUN") {
        // Counting columns in a line that nobody reads takes too long.
        if piece.offset + piece.text.len() > MAX_QUOTED {
            continue;
        }
        if piece.first {
            shell = Shell::default();
        }
        shell.line(source, piece, &mut remarks);
    }
    remarks
}

fn span(source: &Source, line: usize, start: usize, length: usize) -> Span {
    let text = source.line(line).unwrap_or_default();
    let count = |range: std::ops::Range<usize>| text.get(range).map_or(0, |part| part.chars().count());
    Span { line, column: count(0..start) + 1, length: count(start..start + length).max(1) }
}

/// What is known of the command of a `RUN` while its lines are read.
#[derive(Default)]
struct Shell {
    quote: Option<char>,
    /// A package manager was named.
    manager: bool,
    /// And told to install.
    installing: bool,
}

impl Shell {
    fn line(&mut self, source: &Source, piece: &Piece, remarks: &mut Remarks) {
        let mut start = None;
        let mut quoted = false;
        let mut previous = ' ';
        let ends = piece.text.char_indices().chain([(piece.text.len(), ' ')]);
        for (at, c) in ends {
            if let Some(quote) = self.quote {
                if c == quote {
                    self.quote = None;
                }
                quoted = true;
                continue;
            }
            if matches!(c, '"' | '\'') && previous != '\\' {
                self.quote = Some(c);
                quoted = true;
                start = start.or(Some(at));
            } else if c.is_whitespace() || matches!(c, ';' | '&' | '|' | '(' | ')') {
                if let Some(start) = start.take() {
                    self.word(source, piece, start, &piece.text[start..at], quoted, remarks);
                }
                quoted = false;
                if !c.is_whitespace() {
                    (self.manager, self.installing) = (false, false);
                }
            } else {
                start = start.or(Some(at));
            }
            previous = c;
        }
    }

    fn word(
        &mut self,
        source: &Source,
        piece: &Piece,
        start: usize,
        word: &str,
        quoted: bool,
        remarks: &mut Remarks,
    ) {
        let program = word.rsplit('/').next().unwrap_or(word);
        if matches!(program, "pip" | "pip2" | "pip3" | "conda" | "mamba" | "micromamba" | "uv") {
            self.manager = true;
        } else if self.manager && word == "install" {
            self.installing = true;
        } else if self.installing && !quoted && is_bound(word) {
            let span = span(source, piece.line, piece.offset + start, word.len());
            let message = format!("the shell takes a part of `{word}` for a redirection");
            let fix = super::quoted(source, span, word);
            let remark = Diagnostic::new(codes::SHELL_REDIRECT, message)
                .with_hint(format!("quote it: `\"{word}\"`"))
                .at(source.place(span));
            remarks.push(remark.with_fix(fix));
        }
    }
}

/// `numpy>=1.2`, `numpy[a]<2`.
fn is_bound(word: &str) -> bool {
    let Some(at) = word.find(['<', '>']) else { return false };
    let (name, bound) = word.split_at(at);
    let name = name.split('[').next().unwrap_or_default();
    let version = bound[1..].trim_start_matches('=');
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && version.starts_with(|c: char| c.is_ascii_digit())
        && version.chars().all(|c| c.is_ascii_alphanumeric() || "<>=!~,.*".contains(c))
}
