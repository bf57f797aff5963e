//! `~/.netrc`: machines with logins and passwords, in the format of ftp(1) as curl and Python read it.
//!
//! Parsed here because the crates for it are unmaintained, and it is one page.

/// One `machine` or `default` of the file.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Entry {
    /// `None` for `default`.
    pub machine: Option<String>,
    pub login: String,
    pub password: String,
}

/// The entries of a file. Words that mean nothing are passed over: the file is often shared with other programs.
pub(crate) fn parse(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut words = Words { rest: text };
    while let Some(word) = words.next() {
        match word.as_str() {
            "machine" => entries.push(Entry { machine: words.next(), ..Entry::default() }),
            "default" => entries.push(Entry::default()),
            "login" | "password" | "account" => {
                let value = words.next().unwrap_or_default();
                match (word.as_str(), entries.last_mut()) {
                    ("login", Some(entry)) => entry.login = value,
                    ("password", Some(entry)) => entry.password = value,
                    _ => {}
                }
            }
            "macdef" => words.skip_macro(),
            _ => {}
        }
    }
    entries
}

/// The entry for `host`, and for `login` if one is given; the default's only where `or_default`.
pub(crate) fn find<'a>(
    entries: &'a [Entry],
    host: &str,
    login: Option<&str>,
    or_default: bool,
) -> Option<&'a Entry> {
    let fits = |entry: &&Entry| login.is_none_or(|login| entry.login == login);
    let named =
        |entry: &&Entry| entry.machine.as_deref().is_some_and(|machine| machine.eq_ignore_ascii_case(host));
    entries
        .iter()
        .filter(named)
        .find(fits)
        .or_else(|| entries.iter().filter(|entry| or_default && entry.machine.is_none()).find(fits))
}

struct Words<'a> {
    rest: &'a str,
}

impl Words<'_> {
    /// A macro ends with an empty line.
    fn skip_macro(&mut self) {
        let end = self.rest.find("\n\n").map_or(self.rest.len(), |at| at + 2);
        self.rest = &self.rest[end..];
    }
}

impl Iterator for Words<'_> {
    type Item = String;

    /// Words stand between white space; a comment is a word that begins with `#`, to the end of its line; `"` quotes and
    /// `\` takes the next character as it is.
    fn next(&mut self) -> Option<String> {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                break;
            }
            self.rest = self.rest.find('\n').map_or("", |at| &self.rest[at..]);
        }
        if self.rest.is_empty() {
            return None;
        }
        let quoted = self.rest.starts_with('"');
        let mut word = String::new();
        let mut chars = self.rest.char_indices().skip(usize::from(quoted));
        let end = loop {
            match chars.next() {
                None => break self.rest.len(),
                Some((at, '"')) if quoted => break at + 1,
                Some((at, c)) if !quoted && c.is_whitespace() => break at,
                Some((_, '\\')) => word.extend(chars.next().map(|(_, c)| c)),
                Some((_, c)) => word.push(c),
            }
        };
        self.rest = &self.rest[end..];
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_curl_and_python_write() {
        let entries = parse(
            "# comment machine no\n\
             machine a.example login anna password \"two words \\\" quoted\"\n\
             machine b.example\n\tlogin bea\n\taccount x\n\tpassword back\\\\slash#5\n\
             macdef init\nmachine no login no password no\n\n\
             machine a.example login second password other\n\
             default login anonymous password guest",
        );
        let found = |host, login, default| {
            find(&entries, host, login, default).map(|e| (e.login.as_str(), e.password.as_str()))
        };
        assert_eq!(found("a.example", None, true), Some(("anna", "two words \" quoted")));
        assert_eq!(found("A.EXAMPLE", Some("second"), true), Some(("second", "other")));
        assert_eq!(found("b.example", None, true), Some(("bea", "back\\slash#5")));
        assert_eq!(found("no", None, true), Some(("anonymous", "guest")));
        assert_eq!(found("no", None, false), None);
        assert_eq!(found("b.example", Some("other"), false), None);
    }

    #[test]
    fn broken_files_are_read_as_far_as_they_go() {
        for text in [
            "",
            "machine",
            "machine a login",
            "login x password y",
            "\"",
            "machine \"a",
            "macdef x",
            "\\",
            "#",
        ] {
            parse(text);
        }
        assert_eq!(parse("machine a login").len(), 1);
    }
}
