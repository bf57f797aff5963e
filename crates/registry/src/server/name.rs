//! Names as the OCI distribution specification has them: repositories, tags, digests.

use std::fmt;

use provenv_definition::Digest;

/// The longest name of a repository: some clients count the registry's host too, and stop at 255.
const LONGEST_REPOSITORY: usize = 255;
/// The longest tag.
const LONGEST_TAG: usize = 128;

/// The name of a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName(String);

impl RepositoryName {
    /// The name, if it is one.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let valid = text.len() <= LONGEST_REPOSITORY && text.split('/').all(is_component);
        valid.then_some(Self(text))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(is_word)
        && text.ends_with(is_word)
        && text.split(is_word).all(|between| {
            matches!(between, "" | "." | "_" | "__") || between.bytes().all(|byte| byte == b'-')
        })
}

/// The name of a tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

impl Tag {
    /// The tag, if it is one: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let valid = text.len() <= LONGEST_TAG
            && text.bytes().next().is_some_and(is_word)
            && text.bytes().all(|byte| is_word(byte) || b".-".contains(&byte));
        valid.then_some(Self(text))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// By what a manifest is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagOrDigest {
    /// What the tag names now.
    Tag(Tag),
    /// This very manifest.
    Digest(Digest),
}

impl fmt::Display for TagOrDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// The digest, if it is one of sha256 in the one form that there is of it: a second one would be a second name.
pub(super) fn digest(text: &str) -> Option<Digest> {
    text.parse().ok().filter(|digest: &Digest| digest.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::{RepositoryName, Tag, digest};

    #[test]
    fn repositories_are_named_by_the_specification_s_grammar() {
        for name in ["a", "0", "a/b", "a.b_c__d-e---f/g1", "team/digits"] {
            assert!(RepositoryName::new(name).is_some(), "{name}");
        }
        let long = "a".repeat(256);
        for name in
            ["", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "-a", "a-", "a._b", "a/.b", "a b", "ä", &long]
        {
            assert!(RepositoryName::new(name).is_none(), "{name}");
        }
    }

    #[test]
    fn tags_are_named_by_the_specification_s_grammar() {
        for name in ["1", "v1.0-rc_1", "_a", "A", &"a".repeat(128)] {
            assert!(Tag::new(name).is_some(), "{name}");
        }
        for name in ["", ".a", "-a", "a b", "a/b", "a:b", "a+b", "ä", &"a".repeat(129)] {
            assert!(Tag::new(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_digest_has_one_form() {
        let text = format!("sha256:{}", "ab".repeat(32));
        assert_eq!(digest(&text).unwrap().to_string(), text);
        for text in [text.to_uppercase(), text.replace('a', "A"), text.replace("256", "512"), text + "0"] {
            assert_eq!(digest(&text), None, "{text}");
        }
    }
}
