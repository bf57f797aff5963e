//! A text with its file name, from which places are quoted.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::columns::Columns;
use crate::secrets::mask_secrets;
use crate::{Diagnostic, Place, Position, ReadError, Span, codes};

/// No definition written by people comes near this; a lock or data file given by mistake does.
pub(crate) const MAX_BYTES: u64 = 8 << 20;

/// Longer lines are not quoted: nobody reads them.
pub(crate) const MAX_QUOTED: usize = 2 << 10;

/// The text of a file and where it came from.
#[derive(Clone, Debug)]
pub struct Source {
    path: PathBuf,
    text: String,
    /// Bytes where lines begin and end, line breaks excluded.
    lines: Vec<(usize, usize)>,
    columns: Columns,
}

impl Source {
    /// `text` as if it stood in the file `path`; a byte order mark is taken off.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        let lines = line_ranges(&text);
        let columns = Columns::new(&text);
        Self { path: path.into(), text, lines, columns }
    }

    /// Reads a file: UTF-8, or UTF-16 with a byte order mark, or Latin-1 where a coding comment (PEP 263) says so.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let unreadable = |reason: String| Diagnostic::new(codes::UNREADABLE, reason).in_file(path);
        // The path is the diagnostic's own; `fs_err` would name it a second time.
        let io = |error: &std::io::Error| {
            let text = error.to_string();
            let reason =
                text.split_once(&format!("`{}`: ", path.display())).map_or(&*text, |(_, reason)| reason);
            let diagnostic = unreadable(format!("cannot read the file: {reason}"));
            match error.kind() {
                std::io::ErrorKind::NotFound => diagnostic.with_hint("check the path and the working folder"),
                std::io::ErrorKind::PermissionDenied => {
                    diagnostic.with_hint("make it readable for your user")
                }
                _ => diagnostic,
            }
        };
        let metadata = fs_err::metadata(path).map_err(|error| io(&error))?;
        if metadata.is_dir() {
            return Err(unreadable("cannot read the file: it is a folder".to_owned())
                .with_hint("name the file in it, e.g. `requirements.txt`")
                .into());
        }
        if metadata.len() > MAX_BYTES {
            return Err(too_large(path).into());
        }
        // Pipes and devices tell no size.
        let mut bytes = Vec::new();
        let file = fs_err::File::open(path).map_err(|error| io(&error))?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| io(&error))?;
        Self::decode(path, &bytes)
    }

    /// Reads a file that another one names: a plain one only, because a pipe would be waited for without end.
    pub(crate) fn read_named(path: &Path) -> Result<Self, ReadError> {
        if fs_err::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            return Err(Diagnostic::new(codes::UNREADABLE, "it is no plain file").in_file(path).into());
        }
        Self::read(path)
    }

    /// The text that `bytes` stand for.
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<Self, ReadError> {
        if bytes.len() as u64 > MAX_BYTES {
            return Err(too_large(path).into());
        }
        let text = match bytes {
            [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
            [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
            _ if declares_latin1(bytes) => Some(bytes.iter().map(|byte| char::from(*byte)).collect()),
            _ => match std::str::from_utf8(bytes) {
                Ok(text) => Some(text.to_owned()),
                Err(error) => {
                    let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
                    let line = line_ranges(&good).len();
                    return Err(Diagnostic::new(codes::UNREADABLE, format!("line {line} is not UTF-8 text"))
                        .with_hint("save the file as UTF-8")
                        .in_file(path)
                        .into());
                }
            },
        };
        match text {
            Some(text) if !text.contains('\0') => Ok(Self::new(path, text)),
            _ => Err(Diagnostic::new(codes::UNREADABLE, "the file is not text").in_file(path).into()),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that relative paths in the file start from.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// The whole text, without byte order mark.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The lines without their line breaks.
    pub fn lines(&self) -> impl Iterator<Item = &str> + Clone {
        self.lines.iter().map(|(start, end)| &self.text[*start..*end])
    }

    /// Line `number`, from 1.
    pub fn line(&self, number: usize) -> Option<&str> {
        let (start, end) = self.lines.get(number.checked_sub(1)?)?;
        Some(&self.text[*start..*end])
    }

    /// Where the bytes `range` of the text stand; what goes on in later lines is left out.
    pub(crate) fn span_of(&self, range: std::ops::Range<usize>) -> Span {
        let index = self.lines.partition_point(|(start, _)| *start <= range.start).saturating_sub(1);
        let (line_start, line_end) = self.lines[index];
        let start = self.text.floor_char_boundary(range.start.clamp(line_start, line_end));
        let end = self.text.floor_char_boundary(range.end.clamp(start, line_end));
        Span {
            line: index + 1,
            column: self.characters(line_start..start) + 1,
            length: self.characters(start..end).max(1),
        }
    }

    /// The byte where the character at `position` begins; the end of the text stands in the line after the last one, too.
    pub(crate) fn offset_of(&self, position: Position) -> Option<usize> {
        if position.line == self.lines.len() + 1 {
            return (position.column == 1).then_some(self.text.len());
        }
        let (start, end) = *self.lines.get(position.line.checked_sub(1)?)?;
        let before = position.column.checked_sub(1)?;
        self.offset_in(start, before).filter(|offset| *offset <= end)
    }

    /// How many characters stand in `range`.
    fn characters(&self, range: std::ops::Range<usize>) -> usize {
        self.columns.before(&self.text, range.end) - self.columns.before(&self.text, range.start)
    }

    /// The byte where the character begins that has `number` characters between it and the one at `start`.
    fn offset_in(&self, start: usize, number: usize) -> Option<usize> {
        let before = self.columns.before(&self.text, start);
        self.columns.offset(&self.text, before.checked_add(number)?)
    }

    /// What stands at `span`.
    pub(crate) fn text_at(&self, span: Span) -> &str {
        let Some((start, end)) = span.line.checked_sub(1).and_then(|index| self.lines.get(index)) else {
            return "";
        };
        let offset = |column| self.offset_in(*start, column).map_or(*end, |offset| offset.min(*end));
        &self.text[offset(span.column - 1)..offset(span.column - 1 + span.length)]
    }

    /// The place `span` with its line quoted, secrets masked.
    pub fn place(&self, span: Span) -> Place {
        // The end of a text may be said to be on a line that it does not have.
        let beyond = span.line > self.lines.len();
        let span = if beyond { Span { line: self.lines.len(), column: usize::MAX, length: 1 } } else { span };
        let line = self.line(span.line).unwrap_or_default();
        let quoted = line.len() <= MAX_QUOTED;
        // Some of the YAML parser's columns lie beyond the line's end.
        let start = self.lines[span.line.max(1) - 1].0;
        let characters = self.characters(start..start + line.len());
        let column = span.column.min(characters + 1);
        let span = Span { column, length: span.length.min(characters + 1 - column).max(1), ..span };
        Place { file: self.path.clone(), span, line_text: quoted.then(|| mask_secrets(line)) }
    }

    /// The place `span` with its line quoted up to there only; the rest is masked.
    pub(crate) fn place_hidden(&self, span: Span) -> Place {
        let mut place = self.place(span);
        if let Some(line) = &mut place.line_text {
            *line =
                line.chars().enumerate().map(|(i, c)| if i + 1 < span.column { c } else { '*' }).collect();
        }
        place
    }
}

fn too_large(path: &Path) -> Diagnostic {
    Diagnostic::new(codes::TOO_LARGE, format!("the file is larger than {} MiB", MAX_BYTES >> 20))
        .in_file(path)
}

/// Lines end at `\n`, `\r\n` and `\r`, as editors count them.
fn line_ranges(text: &str) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut lines = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\n' => lines.push((start, at)),
            b'\r' => {
                lines.push((start, at));
                at += usize::from(bytes.get(at + 1) == Some(&b'\n'));
            }
            _ => {
                at += 1;
                continue;
            }
        }
        at += 1;
        start = at;
    }
    lines.push((start, bytes.len()));
    lines
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).collect::<Result<_, _>>().ok()
}

/// PEP 263: `# -*- coding: latin-1 -*-` in the first two lines.
fn declares_latin1(bytes: &[u8]) -> bool {
    bytes.split(|byte| *byte == b'\n').take(2).any(|line| {
        let line = String::from_utf8_lossy(line).to_lowercase();
        let name = line.split_once('#').and_then(|(_, comment)| comment.split_once("coding"));
        name.is_some_and(|(_, name)| {
            let name = name.trim_start_matches([':', '=', ' ']);
            ["latin-1", "latin1", "iso-8859-1", "iso8859-1"].iter().any(|known| name.starts_with(known))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_as_editors_count_them() {
        let source = Source::new("f", "\u{feff}a\r\nb\rc\n\nd");
        assert_eq!(source.lines().collect::<Vec<_>>(), ["a", "b", "c", "", "d"]);
        assert_eq!(source.line(3), Some("c"));
        assert_eq!(source.line(0), None);
        assert_eq!(source.line(6), None);
    }

    #[test]
    fn encodings_that_pip_knows_are_read() {
        let text =
            |bytes: &[u8]| Source::decode(Path::new("f"), bytes).map(|source| source.text().to_owned());
        assert_eq!(text(b"\xef\xbb\xbfnumpy").unwrap(), "numpy");
        assert_eq!(text(b"\xff\xfen\0u\0").unwrap(), "nu");
        assert_eq!(text(b"\xfe\xff\0n\0u").unwrap(), "nu");
        assert_eq!(text(b"# -*- coding: latin-1 -*-\n# \xe9").unwrap(), "# -*- coding: latin-1 -*-\n# é");
        assert!(text(b"ok\nbad \xe9").unwrap_err().0[0].message.contains("line 2"));
        assert!(text(b"\x7fELF\0\0").is_err());
    }
}
