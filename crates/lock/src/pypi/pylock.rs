//! `pylock.toml` (PEP 751): what uv chose, and how it is told what it chose before.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::{Error, Result};
use crate::{PypiPackage, PypiSource};

/// The parts of the file that we use.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Pylock {
    lock_version: String,
    created_by: String,
    #[serde(default)]
    pub packages: Vec<Package>,
    /// What uv said besides.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

/// One package.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Package {
    pub name: String,
    /// Missing where building it would tell.
    pub version: Option<String>,
    pub vcs: Option<Vcs>,
    pub directory: Option<Directory>,
    pub archive: Option<File>,
    pub sdist: Option<File>,
    #[serde(default)]
    pub wheels: Vec<File>,
}

/// A repository at a commit.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Vcs {
    #[serde(rename = "type")]
    pub kind: String,
    pub url: String,
    /// The branch or tag asked for: the commit is preferred only to what the same one means now.
    pub requested_revision: Option<String>,
    pub commit_id: String,
    pub subdirectory: Option<String>,
}

/// A local folder.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Directory {
    pub path: String,
    pub subdirectory: Option<String>,
}

/// A wheel or an sdist.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct File {
    pub name: Option<String>,
    pub url: Option<String>,
    pub path: Option<String>,
    pub size: Option<u64>,
    #[serde(default)]
    pub hashes: BTreeMap<String, String>,
    pub subdirectory: Option<String>,
}

impl Pylock {
    /// Reads what uv wrote.
    pub(super) fn parse(text: &str) -> Result<Self> {
        Ok(toml::from_str(text)?)
    }

    /// A file that makes uv prefer the versions and commits of `packages`: it reads its own output before it resolves.
    pub(super) fn preferring<'a>(packages: impl Iterator<Item = &'a PypiPackage>) -> Self {
        let package = |package: &PypiPackage| {
            let repository = match &package.source {
                PypiSource::Built { repository, .. } => repository.as_deref(),
                PypiSource::Wheel(_) => None,
            };
            Package {
                name: package.name.clone(),
                version: Some(package.version.clone()),
                vcs: repository.and_then(Vcs::parse),
                ..Package::default()
            }
        };
        Self::of(packages.map(package).collect())
    }

    /// A file of `packages`.
    pub(super) fn of(packages: Vec<Package>) -> Self {
        Self { lock_version: "1.0".into(), created_by: "provenv".into(), packages, warnings: Vec::new() }
    }

    /// The file's text.
    pub(super) fn to_text(&self) -> String {
        toml::to_string(self).expect("names, versions and commits are plain data")
    }
}

impl Vcs {
    /// `git+https://host/path@commit#revision=main&subdirectory=sub`, as a lock keeps it.
    pub(super) fn repository(&self) -> String {
        let fields = [("revision", &self.requested_revision), ("subdirectory", &self.subdirectory)];
        let mut text = format!("git+{}@{}", self.url, self.commit_id);
        for (name, value) in fields {
            if let Some(value) = value {
                let separator = if text.contains('#') { '&' } else { '#' };
                let _ = write!(text, "{separator}{name}={}", percent_encode(value, b"-._~/"));
            }
        }
        text
    }

    /// Reads what [`Vcs::repository`] wrote.
    pub(crate) fn parse(repository: &str) -> Option<Self> {
        let (location, fragment) = repository.split_once('#').unwrap_or((repository, ""));
        let (url, commit_id) = location.strip_prefix("git+")?.rsplit_once('@')?;
        let field = |name: &str| {
            let fields = fragment.split('&').filter_map(|field| field.split_once('='));
            fields.filter(|(known, _)| *known == name).map(|(_, value)| percent_decode(value)).next()
        };
        Some(Self {
            kind: "git".into(),
            url: url.to_owned(),
            requested_revision: field("revision"),
            commit_id: commit_id.to_owned(),
            subdirectory: field("subdirectory"),
        })
    }
}

impl File {
    /// Its URL; a path becomes a `file:` one.
    pub(super) fn location(&self, package: &str) -> Result<url::Url> {
        match (&self.url, &self.path) {
            (Some(url), _) => url.parse().map_err(|source| Error::url(url, source)),
            (None, Some(path)) => {
                url::Url::from_file_path(path).map_err(|()| Error::NoSource { package: package.to_owned() })
            }
            (None, None) => Err(Error::NoSource { package: package.to_owned() }),
        }
    }

    /// Its file name, empty where its location has none. No slash is in it, not even an escaped one.
    pub(super) fn file_name(&self) -> String {
        let last = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
        match (&self.name, &self.path, &self.url) {
            (Some(name), _, _) => last(name),
            (None, Some(path), _) => last(path),
            (None, None, Some(url)) => {
                let path = url.split(['?', '#']).next().unwrap_or_default();
                last(&percent_decode(&last(path)))
            }
            (None, None, None) => String::new(),
        }
    }
}

/// Escapes all but letters, digits and the characters of `plain` (RFC 3986, 2.1).
pub(super) fn percent_encode(text: &str, plain: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Index pages escape `+` and `!` of versions in URLs.
fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let decoded =
            (first == b'%').then(|| tail.get(..2)).flatten().and_then(|digits| hex::decode(digits).ok());
        if let Some(decoded) = decoded {
            bytes.extend(decoded);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_survives_the_way_through_a_lock() {
        for repository in [
            "git+https://h.test/a/b@0123456789abcdef",
            "git+ssh://git@h.test/a@0123#subdirectory=python/sub",
            "git+file:///a@0123#revision=feature/%23%261&subdirectory=b",
        ] {
            assert_eq!(Vcs::parse(repository).unwrap().repository(), repository);
        }
    }

    #[test]
    fn file_names_are_decoded() {
        let text = r#"
            lock-version = "1.0"
            created-by = "uv"
            [[packages]]
            name = "torch"
            version = "2.1.0+cpu"
            wheels = [{ url = "https://h.test/a/torch-2.1.0%2Bcpu-py3-none-any.whl#x", hashes = {} }]
        "#;
        let lock = Pylock::parse(text).unwrap();
        assert_eq!(lock.packages[0].wheels[0].file_name(), "torch-2.1.0+cpu-py3-none-any.whl");
        let lock = Pylock::parse(&text.replace("a/torch", "..%2f..%2Fetc%2Ftorch")).unwrap();
        assert_eq!(lock.packages[0].wheels[0].file_name(), "torch-2.1.0+cpu-py3-none-any.whl");
    }

    #[test]
    fn what_is_not_a_lock_is_refused() {
        assert!(Pylock::parse("packages = 1").is_err());
        let file = File {
            name: None,
            url: None,
            path: None,
            size: None,
            hashes: BTreeMap::new(),
            subdirectory: None,
        };
        assert!(matches!(file.location("a"), Err(Error::NoSource { .. })));
    }
}
