//! Selectors of conda-lock and conda-build: on which systems an entry counts.

use crate::document::Node;
use crate::{Platform, Source};

/// Longest line in which a selector is looked for; longest selector.
const MAX_LINE: usize = 2 << 10;
const MAX_SELECTOR: usize = 256;

/// Those of our platforms for which `expression` is true; `None` where it holds an unknown word.
pub(super) fn platforms(expression: &str) -> Option<Vec<Platform>> {
    if expression.len() > MAX_SELECTOR {
        return None;
    }
    let mut chosen = Vec::new();
    for platform in ALL {
        let mut tokens = Tokens { rest: expression.trim(), platform };
        let holds = tokens.either()?;
        if !tokens.rest.is_empty() {
            return None;
        }
        chosen.extend(holds.then_some(platform));
    }
    Some(chosen)
}

pub(super) const ALL: [Platform; 2] = [Platform::LinuxAmd64, Platform::LinuxArm64];

/// The expression of `# [expression]` after a scalar that ends its line.
pub(super) fn in_comment<'s>(source: &'s Source, node: &Node) -> Option<&'s str> {
    let line = source.line(node.span.line).filter(|line| line.len() <= MAX_LINE && !node.block)?;
    let scalar = node.scalar()?;
    let start = line.char_indices().nth(node.span.column.checked_sub(1)?)?.0;
    let end = if scalar.plain {
        start + line[start..].starts_with(&scalar.text).then_some(scalar.text.len())?
    } else {
        let quote = line[start..].chars().next().filter(|c| matches!(c, '"' | '\''))?;
        start + 2 + line[start + 1..].find(quote)?
    };
    let comment = line[end..].trim_start().strip_prefix('#')?;
    comment.trim_start_matches(['#', ' ']).strip_prefix('[')?.split_once(']').map(|(inside, _)| inside)
}

/// The expression of `sel(expression)`.
pub(super) fn in_key(key: &str) -> Option<&str> {
    key.trim().strip_prefix("sel(")?.strip_suffix(')')
}

fn is_true(word: &str, platform: Platform) -> Option<bool> {
    let amd64 = platform == Platform::LinuxAmd64;
    match word {
        "linux" | "unix" | "true" | "True" => Some(true),
        "linux64" | "linux-64" | "linux_64" | "x86" | "x86_64" | "amd64" => Some(amd64),
        "aarch64" | "linux-aarch64" | "linux_aarch64" => Some(!amd64),
        "osx" | "osx64" | "osx-64" | "osx-arm64" | "arm64" | "macos" | "win" | "win32" | "win64"
        | "win-64" | "win-32" | "win-arm64" | "windows" | "linux32" | "linux-32" | "ppc64le"
        | "linux-ppc64le" | "armv6l" | "armv7l" | "s390x" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// What is still to be read of an expression.
struct Tokens<'a> {
    rest: &'a str,
    platform: Platform,
}

impl<'a> Tokens<'a> {
    fn word(&mut self) -> Option<&'a str> {
        let end = match self.rest.chars().next()? {
            '(' | ')' => 1,
            _ => self.rest.find(|c: char| c.is_whitespace() || "()".contains(c)).unwrap_or(self.rest.len()),
        };
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        Some(word)
    }

    fn takes(&mut self, word: &str) -> bool {
        let mut ahead = Tokens { ..*self };
        let taken = ahead.word() == Some(word);
        if taken {
            self.rest = ahead.rest;
        }
        taken
    }

    fn either(&mut self) -> Option<bool> {
        let mut holds = self.both()?;
        while self.takes("or") {
            holds |= self.both()?;
        }
        Some(holds)
    }

    fn both(&mut self) -> Option<bool> {
        let mut holds = self.one()?;
        while self.takes("and") {
            holds &= self.one()?;
        }
        Some(holds)
    }

    fn one(&mut self) -> Option<bool> {
        match self.word()? {
            "not" => self.one().map(|holds| !holds),
            "(" => {
                let holds = self.either()?;
                self.takes(")").then_some(holds)
            }
            word => is_true(word, self.platform),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::platforms;

    #[test]
    fn expressions_say_where_an_entry_counts() {
        for (expression, chosen) in [
            ("linux", Some("linux/amd64 linux/arm64")),
            ("unix", Some("linux/amd64 linux/arm64")),
            ("linux64", Some("linux/amd64")),
            ("aarch64", Some("linux/arm64")),
            ("linux-aarch64", Some("linux/arm64")),
            ("osx", Some("")),
            ("not win", Some("linux/amd64 linux/arm64")),
            ("not linux", Some("")),
            ("linux and not aarch64", Some("linux/amd64")),
            ("osx or (linux and x86_64)", Some("linux/amd64")),
            ("py>=36", None),
            ("linux linux", None),
            ("(linux", None),
            ("", None),
        ] {
            let found = platforms(expression)
                .map(|platforms| platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
            assert_eq!(found.as_deref(), chosen, "{expression}");
        }
        assert_eq!(platforms(&"(".repeat(100_000)), None);
    }
}
