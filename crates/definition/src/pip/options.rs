//! The options of a requirements file ("Requirements File Format" in pip's documentation).

use crate::suggest::nearest;

/// What an option does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OptionKind {
    IndexUrl,
    ExtraIndexUrl,
    NoIndex,
    FindLinks,
    Requirement,
    Constraint,
    Editable,
    NoBinary,
    OnlyBinary,
    Pre,
    RequireHashes,
    Hash,
    /// Read and without effect; the text says why.
    Ignored(&'static str),
}

struct Known {
    long: &'static str,
    short: Option<char>,
    takes_value: bool,
    kind: OptionKind,
}

const fn known(long: &'static str, short: Option<char>, takes_value: bool, kind: OptionKind) -> Known {
    Known { long, short, takes_value, kind }
}

const BUILD: OptionKind = OptionKind::Ignored("builds run in the sandbox with their own defaults");
const CHOICE: OptionKind =
    OptionKind::Ignored("the newest version is taken, as wheel or sdist; `--only-binary` insists on wheels");
const TRUST: OptionKind =
    OptionKind::Ignored("certificates are always checked; add the host's authority to the system's instead");
const FEATURE: OptionKind = OptionKind::Ignored("it switches a feature of pip, which does not run here");

const OPTIONS: &[Known] = &[
    known("--index-url", Some('i'), true, OptionKind::IndexUrl),
    known("--pypi-url", None, true, OptionKind::IndexUrl),
    known("--extra-index-url", None, true, OptionKind::ExtraIndexUrl),
    known("--no-index", None, false, OptionKind::NoIndex),
    known("--find-links", Some('f'), true, OptionKind::FindLinks),
    known("--requirement", Some('r'), true, OptionKind::Requirement),
    known("--constraint", Some('c'), true, OptionKind::Constraint),
    known("--editable", Some('e'), true, OptionKind::Editable),
    known("--no-binary", None, true, OptionKind::NoBinary),
    known("--only-binary", None, true, OptionKind::OnlyBinary),
    known("--pre", None, false, OptionKind::Pre),
    known("--require-hashes", None, false, OptionKind::RequireHashes),
    known("--hash", None, true, OptionKind::Hash),
    known("--prefer-binary", None, false, CHOICE),
    known("--trusted-host", None, true, TRUST),
    known("--use-feature", None, true, FEATURE),
    known("--config-settings", Some('C'), true, BUILD),
    known("--config-setting", None, true, BUILD),
    known("--global-option", None, true, BUILD),
    known("--install-option", None, true, BUILD),
    known("--no-use-wheel", None, false, FEATURE),
    known("--use-wheel", None, false, FEATURE),
    known("--always-unzip", Some('Z'), false, FEATURE),
    known("--process-dependency-links", None, false, FEATURE),
];

/// An option with its value, and where it stands in the line (bytes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    pub kind: OptionKind,
    pub name: &'static str,
    pub value: String,
    /// Of the option with its value.
    pub offset: usize,
    pub length: usize,
    pub value_offset: usize,
}

/// A line taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// What stands before the first option.
    pub requirement: String,
    pub options: Vec<Given>,
    /// Words that belong to no option, with their offsets.
    pub rest: Vec<(String, usize)>,
}

/// Why a line's options cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OptionError {
    pub message: String,
    pub hint: Option<String>,
    pub offset: usize,
    pub length: usize,
}

/// Takes a logical line apart: everything before the first word that begins with `-` is the requirement.
pub(crate) fn parse(line: &str) -> Result<Parsed, OptionError> {
    let start = line
        .char_indices()
        .find(|(at, c)| *c == '-' && line[..*at].chars().next_back().is_none_or(char::is_whitespace))
        .map_or(line.len(), |(at, _)| at);
    let mut parsed = Parsed { requirement: line[..start].trim_end().to_owned(), ..Parsed::default() };
    let mut words = split(line, start)?.into_iter().peekable();
    while let Some(word) = words.next() {
        if !word.text.starts_with('-') || word.text == "-" {
            parsed.rest.push((word.text, word.offset));
            continue;
        }
        let (known, inline) = lookup(&word)?;
        let (value, value_offset, end) = match inline {
            Some(at) if known.takes_value => (word.text[at..].to_owned(), word.offset + at, word.end),
            Some(_) => return Err(error(&word, format!("`{}` takes no value", known.long))),
            None if !known.takes_value => (String::new(), word.offset, word.end),
            None => match words.next() {
                Some(value) => (value.text, value.offset, value.end),
                None => return Err(error(&word, format!("a value is missing after `{}`", known.long))),
            },
        };
        parsed.options.push(Given {
            kind: known.kind,
            name: known.long,
            value,
            offset: word.offset,
            length: end - word.offset,
            value_offset,
        });
    }
    Ok(parsed)
}

/// The option a word names, and where in the word its value begins, if it holds one. Long names may be cut short,
/// as `optparse` allows.
fn lookup(word: &Word) -> Result<(&'static Known, Option<usize>), OptionError> {
    let Some(long) = word.text.strip_prefix("--") else {
        let letter = word.text[1..].chars().next();
        let known = OPTIONS.iter().find(|known| known.short.is_some() && known.short == letter);
        return match known {
            Some(known) => Ok((known, (word.text.len() > 2).then_some(2))),
            None => Err(unknown(word)),
        };
    };
    let (name, value) = match long.find('=') {
        Some(at) => (&word.text[..at + 2], Some(at + 3)),
        None => (&*word.text, None),
    };
    let mut candidates = OPTIONS.iter().filter(|known| known.long.starts_with(name));
    match (OPTIONS.iter().find(|known| known.long == name), candidates.next(), candidates.next()) {
        (Some(exact), ..) => Ok((exact, value)),
        (None, Some(only), None) if name.len() > 3 => Ok((only, value)),
        _ => Err(unknown(word)),
    }
}

fn error(word: &Word, message: String) -> OptionError {
    OptionError { message, hint: None, offset: word.offset, length: word.end - word.offset }
}

fn unknown(word: &Word) -> OptionError {
    // What follows a short option's letter may be a secret.
    let name = match word.text.split('=').next().unwrap_or_default() {
        long if long.starts_with("--") => long.to_owned(),
        short => short.chars().take(2).collect(),
    };
    let mut error = error(word, format!("unknown option `{}`", crate::secrets::shown(&name)));
    error.hint = nearest(&name, OPTIONS.iter().map(|known| known.long))
        .map(|known| format!("did you mean `{known}`?"));
    error
}

/// A word and where it stands in the line.
struct Word {
    text: String,
    offset: usize,
    end: usize,
}

/// Splits `line[start..]` into words as a shell does (Python's `shlex`): quotes group, backslashes escape.
fn split(line: &str, start: usize) -> Result<Vec<Word>, OptionError> {
    let mut words: Vec<Word> = Vec::new();
    let mut current: Option<Word> = None;
    let mut characters = line[start..].char_indices().map(|(at, c)| (start + at, c));
    while let Some((at, c)) = characters.next() {
        if c.is_whitespace() {
            words.extend(current.take());
            continue;
        }
        let word = current.get_or_insert_with(|| Word { text: String::new(), offset: at, end: at });
        match c {
            '\'' | '"' => loop {
                match characters.next() {
                    Some((_, next)) if next == c => break,
                    Some((_, '\\')) if c == '"' => word.text.extend(characters.next().map(|(_, next)| next)),
                    Some((_, next)) => word.text.push(next),
                    None => {
                        let message = "the quote is not closed".to_owned();
                        return Err(OptionError { message, hint: None, offset: at, length: 1 });
                    }
                }
            },
            '\\' => word.text.extend(characters.next().map(|(_, next)| next)),
            c => word.text.push(c),
        }
        word.end = characters.clone().next().map_or(line.len(), |(next, _)| next);
    }
    words.extend(current);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Vec<(&'static str, String)> {
        parse(line).unwrap().options.into_iter().map(|given| (given.name, given.value)).collect()
    }

    #[test]
    fn options_are_read_in_every_spelling() {
        for line in
            ["-i u", "-iu", "--index-url u", "--index-url=u", "--index u", "-i 'u'", "--index-url \"u\""]
        {
            assert_eq!(options(line), [("--index-url", "u".to_owned())], "{line}");
        }
        assert_eq!(options("--pre --no-index"), [("--pre", String::new()), ("--no-index", String::new())]);
        let parsed = parse("a==1 ; os_name == 'b'  --hash=sha256:c --hash sha256:d").unwrap();
        assert_eq!(parsed.requirement, "a==1 ; os_name == 'b'");
        assert_eq!(parsed.options.len(), 2);
        assert_eq!(parsed.options[0].value_offset, 30);
    }

    #[test]
    fn unknown_options_are_refused_with_a_suggestion() {
        for (line, message) in [
            ("--extra-idnex-url u", "unknown option `--extra-idnex-url`"),
            ("--no", "unknown option `--no`"),
            ("-x", "unknown option `-x`"),
            ("--index-url", "a value is missing after `--index-url`"),
            ("--pre=1", "`--pre` takes no value"),
            ("-r 'a", "the quote is not closed"),
        ] {
            assert_eq!(parse(line).unwrap_err().message, message);
        }
        assert_eq!(
            parse("--extra-idnex-url u").unwrap_err().hint.unwrap(),
            "did you mean `--extra-index-url`?"
        );
    }
}
