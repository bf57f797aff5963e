//! From the text of a Dockerfile to its instructions, as BuildKit's parser splits it: directives, comments,
//! continued lines, here-documents.

use super::words::{flags, here_documents, json_list};

/// What is wrong with a Dockerfile, where.
#[derive(Debug)]
pub(super) struct Problem {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// In characters.
    pub length: usize,
    pub message: String,
    pub hint: Option<String>,
}

/// One instruction.
#[derive(Debug)]
pub(super) struct Instruction {
    /// As it was written.
    pub keyword: String,
    /// In lower case.
    pub name: String,
    /// From 1.
    pub line: usize,
    /// Of the keyword, in characters, from 1.
    pub column: usize,
    /// `--name=value` before the arguments.
    pub flags: Vec<String>,
    /// What follows, lines joined.
    pub arguments: String,
    /// The arguments where they are a JSON list of texts.
    pub json: Option<Vec<String>>,
}

/// The instructions of a Dockerfile, and what its first comments say of how to read it.
#[derive(Debug)]
pub(super) struct Instructions {
    pub list: Vec<Instruction>,
    /// `\` or a backtick.
    pub escape: char,
    /// `# syntax=`.
    pub syntax: Option<String>,
}

impl Instruction {
    /// Line, column and length of its keyword.
    pub fn place(&self) -> (usize, usize, usize) {
        (self.line, self.column, self.keyword.chars().count())
    }

    /// What is wrong with it.
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem {
            line: self.line,
            column: self.column,
            length: self.keyword.chars().count(),
            message: message.into(),
            hint: None,
        }
    }
}

/// Splits the lines of a Dockerfile.
pub(super) fn instructions<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Instructions, Problem> {
    let mut found = Instructions { list: Vec::new(), escape: '\\', syntax: None };
    let mut directives = Directives::default();
    let mut lines = lines.enumerate();
    while let Some((index, raw)) = lines.next() {
        let start = raw.trim_start();
        directives.look(start, index + 1, &mut found)?;
        if start.starts_with('#') || start.is_empty() {
            continue;
        }
        let (first, mut continues) = without_continuation(start, found.escape);
        let mut text = first.to_owned();
        while continues {
            let Some((_, next)) = lines.next() else { break };
            let stripped = next.trim_start();
            if stripped.starts_with('#') || stripped.is_empty() {
                continue;
            }
            let (piece, more) = without_continuation(next, found.escape);
            text.push_str(piece);
            continues = more;
        }
        let column = raw[..raw.len() - start.len()].chars().count() + 1;
        let Some(instruction) = split(&text, index + 1, column)? else { continue };
        for document in opened(&instruction, &text) {
            let ends = |line: &str| {
                let line = line.trim_end_matches('\r');
                let line = if document.chomp { line.trim_start_matches('\t') } else { line };
                line == document.end
            };
            if !lines.any(|(_, line)| ends(line)) {
                let name = crate::secrets::shown(&document.end);
                let mut problem = instruction.problem(format!("unterminated heredoc: no line is `{name}`"));
                problem.hint = Some(format!("end it by a line that holds `{name}` alone"));
                return Err(problem);
            }
        }
        found.list.push(instruction);
    }
    Ok(found)
}

/// Comments at the very top that say how the file is read.
#[derive(Default)]
struct Directives {
    done: bool,
    seen: Vec<String>,
}

impl Directives {
    fn look(&mut self, line: &str, number: usize, found: &mut Instructions) -> Result<(), Problem> {
        if self.done {
            return Ok(());
        }
        let directive = line.strip_prefix('#').and_then(|comment| comment.split_once('='));
        let directive = directive.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim()));
        let Some((name, value)) = directive.filter(|(name, value)| {
            matches!(name.as_str(), "escape" | "syntax" | "check") && !value.is_empty()
        }) else {
            self.done = true;
            return Ok(());
        };
        let problem = |message: String| Problem {
            line: number,
            column: 1,
            length: line.chars().count(),
            message,
            hint: None,
        };
        if self.seen.contains(&name) {
            return Err(problem(format!("only one `{name}` parser directive can be used")));
        }
        match (name.as_str(), value) {
            ("escape", "\\") => {}
            ("escape", "`") => found.escape = '`',
            ("escape", _) => {
                return Err(problem("the escape token must be a backslash or a backtick".to_owned()));
            }
            ("syntax", value) => found.syntax = Some(value.to_owned()),
            _ => {}
        }
        self.seen.push(name);
        Ok(())
    }
}

/// `line` without the escape at its end, and whether it had one that is not escaped itself.
fn without_continuation(line: &str, escape: char) -> (&str, bool) {
    match line.trim_end_matches([' ', '\t', '\r']).strip_suffix(escape) {
        Some(rest) if !rest.ends_with(escape) => (rest, true),
        _ => (line, false),
    }
}

fn split(text: &str, line: usize, column: usize) -> Result<Option<Instruction>, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let end = text.find(|c: char| "\t\u{b}\u{c}\r ".contains(c)).unwrap_or(text.len());
    let keyword = text[..end].to_owned();
    let (flags, arguments) = flags(&text[end..]);
    let mut instruction = Instruction {
        name: keyword.to_ascii_lowercase(),
        keyword,
        line,
        column,
        flags,
        arguments: arguments.trim().to_owned(),
        json: None,
    };
    if matches!(&*instruction.name, "add" | "cmd" | "copy" | "entrypoint" | "run" | "shell" | "volume") {
        instruction.json = json_list(&instruction.arguments)
            .map_err(|()| instruction.problem("a list in JSON must hold texts only"))?;
    }
    Ok(Some(instruction))
}

/// The here-documents whose lines follow an instruction.
fn opened(instruction: &Instruction, text: &str) -> Vec<super::words::HereDocument> {
    let takes = |name: &str| matches!(name, "add" | "copy" | "run");
    let inner = instruction.arguments.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    if instruction.json.is_none()
        && (takes(&instruction.name) || (instruction.name == "onbuild" && takes(&inner)))
    {
        here_documents(text)
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn split_text(text: &str) -> Vec<String> {
        let show = |instruction: &Instruction| {
            format!(
                "{}:{} {} {}",
                instruction.line, instruction.column, instruction.name, instruction.arguments
            )
        };
        instructions(text.lines()).unwrap().list.iter().map(show).collect()
    }

    #[test]
    fn lines_become_instructions() {
        for (text, expected) in [
            (
                "FROM a\n\n  RUN b \\\n# no\n\n    c\nCMD d",
                &["1:1 from a", "3:3 run b     c", "7:1 cmd d"][..],
            ),
            ("# escape=`\nFROM a\nRUN b `\nc\\\nCMD d", &["2:1 from a", "3:1 run b c\\", "5:1 cmd d"]),
            ("# why\n# escape=`\nFROM a `\nRUN b", &["3:1 from a `", "4:1 run b"]),
            (
                "FROM a\nRUN cat <<EOF > b\nX=1\nEOF\nCMD d",
                &["1:1 from a", "2:1 run cat <<EOF > b", "5:1 cmd d"],
            ),
            (
                "FROM a\nCOPY <<-\"A B\" <<C d/\n\tA B\nFROM x\nC\nCMD d",
                &["1:1 from a", "2:1 copy <<-\"A B\" <<C d/", "6:1 cmd d"],
            ),
            ("FROM a\nRUN echo $((1<<2)) \\\n\nCMD d", &["1:1 from a", "2:1 run echo $((1<<2)) CMD d"]),
            ("FROM a\nRUN a \\\\\nCMD d", &["1:1 from a", "2:1 run a \\\\", "3:1 cmd d"]),
            (
                "FROM a\nRUN [\"a\", \"<<B\"]\nONBUILD RUN <<E\nx\nE",
                &["1:1 from a", "2:1 run [\"a\", \"<<B\"]", "3:1 onbuild RUN <<E"],
            ),
        ] {
            assert_eq!(split_text(text), expected, "{text}");
        }
    }

    /// The instructions are split as BuildKit's own tests expect it of its parser.
    #[test]
    fn instructions_agree_with_buildkit() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
        let Ok(index) = fs_err::read_to_string(corpus.join("INDEX.tsv")) else {
            eprintln!("skipped: the corpus is not at ../shared/corpus of the repository's root");
            return;
        };
        let rows: Vec<Vec<&str>> = index.lines().map(|line| line.split('\t').collect()).collect();
        let mut compared = 0;
        for row in rows.iter().filter(|row| row[3].contains("/testfiles/") && row[3].ends_with("/result")) {
            let beside = row[3].replace("/result", "/Dockerfile");
            let Some(file) = rows.iter().find(|other| other[3] == beside) else { continue };
            let text = fs_err::read_to_string(corpus.join(file[0])).unwrap();
            let expected = fs_err::read_to_string(corpus.join(row[0])).unwrap();
            let found =
                instructions(text.lines()).unwrap_or_else(|problem| panic!("{}: {problem:?}", file[0]));
            let names: Vec<&str> = found.list.iter().map(|instruction| instruction.name.as_str()).collect();
            let words = |line: &str| {
                line.trim_start_matches('(').split([' ', ')']).next().unwrap_or_default().to_owned()
            };
            let lines: Vec<&str> = expected.lines().filter(|line| line.starts_with('(')).collect();
            assert_eq!(names, lines.iter().map(|line| words(line)).collect::<Vec<_>>(), "{}", file[0]);
            for (instruction, line) in found.list.iter().zip(lines) {
                let arguments = match (&*instruction.name, &instruction.json) {
                    (_, Some(list)) => list.clone(),
                    ("run" | "cmd" | "entrypoint" | "maintainer" | "user" | "workdir", None) => {
                        vec![instruction.arguments.clone()]
                    }
                    ("from" | "copy" | "add" | "volume" | "expose", None) => {
                        instruction.arguments.split_whitespace().map(str::to_owned).collect()
                    }
                    _ => continue,
                };
                let quoted = arguments.iter().fold(String::new(), |all, text| all + " " + &go_quoted(text));
                let flags: Vec<String> = instruction.flags.iter().map(|flag| go_quoted(flag)).collect();
                let flags = if flags.is_empty() { String::new() } else { format!(" [{}]", flags.join(" ")) };
                assert_eq!(format!("({}{flags}{quoted})", instruction.name), line, "{}", file[0]);
            }
            compared += 1;
        }
        println!("{compared} Dockerfiles compared");
        assert!(compared > 20);
    }

    /// As Go's `%q` writes it.
    fn go_quoted(text: &str) -> String {
        let escape = |c: char| match c {
            '\\' => "\\\\".to_owned(),
            '"' => "\\\"".to_owned(),
            '\t' => "\\t".to_owned(),
            '\n' => "\\n".to_owned(),
            '\r' => "\\r".to_owned(),
            '\u{8}' => "\\b".to_owned(),
            '\u{c}' => "\\f".to_owned(),
            '\0' => "\\x00".to_owned(),
            c => c.to_string(),
        };
        let escaped: String = text.chars().map(escape).collect();
        format!("\"{escaped}\"")
    }
}
