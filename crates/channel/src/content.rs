//! What a package lays into the prefix.

/// How the placeholder of the prefix stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prefix {
    Text,
    Binary,
}

impl Prefix {
    /// As `paths.json` and `has_prefix` say it.
    pub(crate) fn mode(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Binary => "binary",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    File { bytes: Vec<u8>, executable: bool, prefix: Option<Prefix> },
    Symlink(String),
    Hardlink(String),
    Directory,
}

/// A path of a package and what is there.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) path: String,
    pub(crate) content: Content,
}

impl Entry {
    /// A file, executable where programs are.
    pub(crate) fn file(path: &str, bytes: Vec<u8>, prefix: Option<Prefix>) -> Self {
        let executable = path.starts_with("bin/") || path.starts_with("python-scripts/");
        Self { path: path.to_owned(), content: Content::File { bytes, executable, prefix } }
    }
}
