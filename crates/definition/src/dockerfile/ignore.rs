//! `.dockerignore`: patterns of Go's `filepath.Match` with `**` for any folders and `!` for exceptions; the last that
//! matches decides. What matches a folder matches all that is in it.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, RegexBuilder};

/// More patterns than these are not made by hand.
const MAX_PATTERNS: usize = 4096;
const MAX_PATTERN: usize = 4096;

/// The patterns of one file.
#[derive(Default)]
pub(super) struct Ignore {
    patterns: Vec<Pattern>,
}

struct Pattern {
    keeps: bool,
    regex: Regex,
}

/// Which patterns matched a folder.
#[derive(Clone, Default)]
pub(super) struct Matched(Vec<bool>);

impl Ignore {
    /// Reads the text of a `.dockerignore`; the error says which line is wrong and why.
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut patterns = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let error = |message: &str| (index + 1, message.to_owned());
            let line = line.trim();
            let (keeps, pattern) = match line.strip_prefix('!') {
                Some(pattern) => (true, pattern.trim()),
                None => (false, line),
            };
            if pattern.is_empty() {
                return Err(error("`!` needs a pattern"));
            }
            if patterns.len() == MAX_PATTERNS || pattern.len() > MAX_PATTERN {
                return Err(error("more or longer patterns than any real file has"));
            }
            let cleaned = clean(pattern);
            let expression = expression(&cleaned).ok_or_else(|| error("a malformed pattern"))?;
            let regex = RegexBuilder::new(&expression).size_limit(1 << 20).dfa_size_limit(1 << 18).build();
            let regex = regex.map_err(|_| error("a malformed pattern"))?;
            patterns.push(Pattern { keeps, regex });
        }
        Ok(Self { patterns })
    }

    /// Whether some pattern is an exception, so that folders which are left out may hold what is not.
    pub fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.keeps)
    }

    /// How many patterns there are.
    pub fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Whether `path`, relative and with `/`, is left out, where `parent` is what its folder matched.
    pub fn leaves_out(&self, path: &str, parent: &Matched) -> (bool, Matched) {
        let mut left_out = false;
        let mut matched = vec![false; self.patterns.len()];
        for (index, pattern) in self.patterns.iter().enumerate() {
            // A pattern that could change nothing is not tried, and an exception that is not tried here is tried anew
            // on what the folder holds.
            let inherited = parent.0.get(index).copied().unwrap_or(false);
            matched[index] = inherited || (pattern.keeps == left_out && pattern.regex.is_match(path));
            if matched[index] {
                left_out = !pattern.keeps;
            }
        }
        (left_out, Matched(matched))
    }
}

/// Tries the patterns of all lines but the last on the path that the last line is, folder by folder.
#[cfg(fuzzing)]
pub fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (patterns, path) = text.rsplit_once('\n').unwrap_or((&text, "a/b/c"));
    let ignore = match Ignore::parse(patterns) {
        Ok(ignore) => ignore,
        Err((line, reason)) => {
            assert!((1..=patterns.lines().count()).contains(&line) && !reason.is_empty());
            return;
        }
    };
    let (mut above, mut outer) = (false, Matched::default());
    for (at, _) in path.match_indices('/').chain([(path.len(), "")]).filter(|(at, _)| *at > 0).take(16) {
        let (left_out, matched) = ignore.leaves_out(&path[..at], &outer);
        assert_eq!(matched.0.len(), ignore.len());
        // Without an exception, what is in a folder that is left out is left out.
        assert!(left_out || !above || ignore.has_exceptions(), "{path} of {patterns}");
        (above, outer) = (left_out, matched);
    }
}

/// Go's `filepath.Clean`, without a slash in front.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if pattern.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

/// The pattern as a regular expression, whose matching takes linear time; `None` where it is malformed.
fn expression(pattern: &str) -> Option<String> {
    let mut expression = String::from("(?s)^");
    let mut rest = pattern.chars().peekable();
    let mut at_start = true;
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.next_if_eq(&'*').is_some() => {
                let folders = rest.next_if_eq(&'/').is_some();
                let plain = rest.clone().all(|c| !"*?[]\\".contains(c));
                // In moby, `**name` alone means all that ends so.
                let all = rest.peek().is_none() || (at_start && !folders && plain);
                expression.push_str(if all { ".*" } else { "(?:.*/)?" });
            }
            '*' => expression.push_str("[^/]*"),
            '?' => expression.push_str("[^/]"),
            '\\' => push_literal(rest.next()?, &mut expression),
            '[' => class(&mut rest, &mut expression)?,
            c => push_literal(c, &mut expression),
        }
        at_start = false;
    }
    expression.push('$');
    Some(expression)
}

fn push_literal(c: char, expression: &mut String) {
    expression.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
}

/// `[a-z]`, `[^abc]` after its bracket.
fn class(rest: &mut Peekable<Chars<'_>>, expression: &mut String) -> Option<()> {
    let member = |rest: &mut Peekable<Chars<'_>>| match rest.next()? {
        '\\' => rest.next(),
        ']' | '-' => None,
        c => Some(c),
    };
    expression.push_str(if rest.next_if_eq(&'^').is_some() { "[^" } else { "[" });
    loop {
        let first = member(rest)?;
        let last = if rest.next_if_eq(&'-').is_some() { member(rest)? } else { first };
        if first > last {
            return None;
        }
        let _ = write!(expression, "\\x{{{:x}}}-\\x{{{:x}}}", u32::from(first), u32::from(last));
        if rest.next_if_eq(&']').is_some() {
            expression.push(']');
            return Some(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out(text: &str, path: &str) -> bool {
        let ignore = Ignore::parse(text).unwrap();
        let mut matched = Matched::default();
        let mut left_out = false;
        for (at, _) in path.match_indices('/').chain([(path.len(), "")]) {
            (left_out, matched) = ignore.leaves_out(&path[..at], &matched);
        }
        left_out
    }

    /// What moby's own `patternmatcher` says of the same patterns and paths.
    #[test]
    fn patterns_match_as_in_moby() {
        for (patterns, path, expected) in [
            ("**", "file", true),
            ("**", "dir/file", true),
            ("**/", "dir/file", true),
            ("**/**", "dir/file", true),
            ("dir/**", "dir/file", true),
            ("dir/**", "dir/dir2/file", true),
            ("**/dir", "dir", true),
            ("**/dir2/*", "dir/dir2/file", true),
            ("**/dir2/*", "dir/dir2/dir2/file", true),
            ("**file", "file", true),
            ("**file", "dir/file", true),
            ("**/file", "dir/dir/file", true),
            ("**/file*", "dir/dir/file.txt", true),
            ("**/file*txt", "dir/dir/file.txt", true),
            ("**/file*.txt*", "dir/dir/file.txt", true),
            ("**/**/*.txt", "dir/dir/file.txt", true),
            ("**/**/*.txt2", "dir/dir/file.txt", false),
            ("**/*.txt", "file.txt", true),
            ("a**/*.txt", "a/file.txt", true),
            ("a**/*.txt", "a/dir/dir/file.txt", true),
            ("a/*.txt", "a/dir/file.txt", false),
            ("a/*.txt", "a/file.txt", true),
            ("a/*.txt**", "a/file.txt", true),
            ("a[b-d]e", "ae", false),
            ("a[b-d]e", "ace", true),
            ("a[^b-d]e", "aze", true),
            (".*", ".foo", true),
            (".*", "foo", false),
            ("abc.def", "abcdef", false),
            ("abc.?ef", "abc.def", true),
            ("**/foo/bar", "dir/foo/bar", true),
            ("abc/**", "abc", false),
            ("abc/**", "abc/def/ghi", true),
            ("*/.gitignore", "a/.gitignore", true),
            ("a(b)c/def", "a(b)c/def", true),
            ("a.|)$(}+{bc", "a.|)$(}+{bc", true),
            ("/foo", "foo", true),
            ("foo/", "foo/x", true),
            ("./foo", "foo", true),
            ("a/../foo", "foo", true),
            ("*\n!README.md", "README.md", false),
            ("*\n!README.md\nREADME*", "README.md", true),
            ("docs\n!docs/README.md", "docs/README.md", false),
            ("docs\n!docs/README.md", "docs/other", true),
            ("*\n!src/**", "src/a/b.py", false),
            ("# comment\n \n*.pyc", "a.pyc", true),
            ("é?", "éé", true),
            ("[à-ý]x", "éx", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
        ] {
            assert_eq!(left_out(patterns, path), expected, "{patterns:?} {path}");
        }
        for bad in ["[", "[]a]", "a[", "[-]", "[x-]", "a\\", "!", "[a-]"] {
            assert!(Ignore::parse(bad).is_err(), "{bad}");
        }
    }
}
