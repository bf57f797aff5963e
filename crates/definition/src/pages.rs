//! The page of each code, and the index of them: what the documentation holds and `env check --explain` prints.

use std::fmt::Write as _;

use crate::codes::{ALL, Code};
use crate::examples::example_of;
use crate::{Severity, codes};

/// Width of a page's lines.
const WIDTH: usize = 120;

/// The code of an identifier or a name, whatever its case.
pub fn find(name: &str) -> Option<&'static Code> {
    let is_it = |code: &&&Code| code.id.eq_ignore_ascii_case(name) || code.name.eq_ignore_ascii_case(name);
    ALL.iter().find(is_it).copied()
}

/// The page of `code` in Markdown.
pub fn page(code: &Code) -> String {
    let mut page = format!("# {} {}\n\n*{}: {}*\n\n", code.id, code.name, severity(code), code.title);
    page += &wrapped(code.explanation);
    if let Some(example) = example_of(code.id) {
        let _ = match example.text {
            Some(text) => write!(page, "\n## An example\n\n`{}`:\n\n{}", example.file, fenced(text)),
            None if code.id == codes::LARGE_DOCKERFILE.id => {
                write!(
                    page,
                    "\n## An example\n\nA `{}` with a hundred kilobytes of files in it.\n",
                    example.file
                )
            }
            None if example.is_folder() => {
                write!(page, "\n## An example\n\nThe folder `{}` as a whole.\n", example.file)
            }
            None => write!(page, "\n## An example\n\nThere is no `{}`.\n", example.file),
        };
        for (name, text) in example.beside {
            let place = if example.is_folder() { "In it" } else { "Beside it" };
            let _ = write!(page, "\n{place}, `{name}`:\n\n{}", fenced(text));
        }
        let _ = write!(page, "\n## Mended\n\n`{}`:\n\n{}", example.mended_file, fenced(example.mended));
    }
    page
}

/// The page that lists all codes.
pub fn index() -> String {
    let mut page = String::from(INTRODUCTION);
    for code in ALL {
        let _ = writeln!(
            page,
            "| [{}](codes/{}.md) | `{}` | {} | {} |",
            code.id,
            code.id,
            code.name,
            severity(code),
            code.title
        );
    }
    page
}

const INTRODUCTION: &str = "# Remarks on files

Every remark that Provenv makes about a file of yours has a code. A code never changes its meaning and is never given
again. `PV001` to `PV099` come from reading a file, `PV100` and up from the checks of `provenv env check`.

An *error* stops: the file cannot be used as it is. A *warning* says that something works and may not do what was
meant. An *info* is worth knowing. Each remark names the file, line and column where it can, and quotes the line with
secrets shown as `*`. With `--output json` a remark is an object with `code`, `severity`, `message`, `hint`, `file`,
`span` (`line`, `column`, `length`, counted in characters from 1), `line_text` and, where there is one, `fix`.

A remark is taken back by a comment on its line or on the line before: `# provenv: ignore[PV103]`, several codes with
commas, all without brackets; `# provenv: ignore-file[PV103]` counts for the whole file. Errors of reading cannot be
taken back. [Checking files](../how-to/check-files.md) says what else there is.

| code | name | level | |
|---|---|---|---|
";

/// The word for how bad it is.
fn severity(code: &Code) -> &'static str {
    match code.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}

fn fenced(text: &str) -> String {
    let line = if text.ends_with('\n') { "" } else { "\n" };
    format!("```\n{text}{line}```\n")
}

fn wrapped(text: &str) -> String {
    let mut wrapped = String::new();
    let mut width = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > WIDTH {
            wrapped.push('\n');
            width = 0;
        } else if width > 0 {
            wrapped.push(' ');
            width += 1;
        }
        wrapped.push_str(word);
        width += length;
    }
    wrapped + "\n"
}
