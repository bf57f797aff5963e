//! What conda keeps of an installed package: `conda-meta/name-version-build.json`.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, de};
use url::Url;

use super::direct_url::without_credentials;
use crate::{CondaChannel, Digest, LockedConda, Platform, SafeUrl};

/// Those of packages with a hundred thousand files come near 30 MB.
const MAX_BYTES: u64 = 128 << 20;

/// One record. What conda writes as `"None"` or `null` is `None`.
#[derive(Debug, Deserialize)]
pub(super) struct Record {
    pub name: String,
    pub version: String,
    #[serde(alias = "build_string")]
    pub build: String,
    #[serde(default)]
    channel: Option<String>,
    #[serde(default)]
    pub subdir: Option<String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    sha256: Option<String>,
    #[serde(default)]
    md5: Option<String>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    pub depends: Vec<String>,
    #[serde(default)]
    constrains: Vec<String>,
    #[serde(default)]
    requested_spec: Option<String>,
    #[serde(default)]
    requested_specs: Vec<String>,
    /// Names of the metadata folders of Python packages among its files.
    #[serde(default, rename = "files", deserialize_with = "metadata_folders")]
    pub metadata: HashSet<String>,
    #[serde(skip)]
    pub file: PathBuf,
}

impl Record {
    /// Reads a record; `None` where it is none.
    pub(super) fn read(file: &Path) -> Option<Self> {
        if !fs_err::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MAX_BYTES) {
            return None;
        }
        let mut record: Self = serde_json::from_slice(&fs_err::read(file).ok()?).ok()?;
        let plain = |text: &str| {
            !text.is_empty()
                && text.len() < 256
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-+!".contains(c))
        };
        if ![&record.name, &record.version, &record.build].into_iter().all(|text| plain(text)) {
            return None;
        }
        record.name.make_ascii_lowercase();
        file.clone_into(&mut record.file);
        Some(record)
    }

    /// Specs that it was asked for by, as conda (one) and rattler (several) keep them.
    pub(super) fn requested(&self) -> impl Iterator<Item = &str> {
        let one = self.requested_spec.as_deref().into_iter();
        one.chain(self.requested_specs.iter().map(String::as_str))
            .filter(|spec| !spec.is_empty() && *spec != "None")
    }

    /// The system it was built for; `None` for any.
    pub(super) fn platform(&self) -> Option<Result<Platform, &str>> {
        match self.subdir.as_deref().unwrap_or("noarch") {
            "noarch" => None,
            "linux-64" => Some(Ok(Platform::LinuxAmd64)),
            "linux-aarch64" => Some(Ok(Platform::LinuxArm64)),
            other => Some(Err(other)),
        }
    }

    /// Its channel, and whether there were credentials in it.
    pub(super) fn channel(&self) -> Option<(CondaChannel, bool)> {
        let channel =
            self.channel.as_deref().filter(|channel| !channel.is_empty() && *channel != "<unknown>");
        // The URL says more than a name such as `pkgs/main`.
        channel_of(self.url.as_deref().unwrap_or_default()).or_else(|| channel_of(channel?))
    }

    /// What a lock says of it; `None` where that is not enough to fetch and check it.
    pub(super) fn locked(&self) -> Option<LockedConda> {
        let url = without_token(&without_credentials(self.url.as_deref()?)?.0)?;
        let sha256 = self.sha256.as_deref().and_then(|hash| Digest::from_hex(hash).ok());
        let md5 = self.md5.clone().filter(|hash| is_hex(hash, 32));
        if sha256.is_none() && md5.is_none() {
            return None;
        }
        Some(LockedConda {
            name: self.name.clone(),
            version: self.version.clone(),
            build: self.build.clone(),
            url,
            size: self.size,
            sha256,
            md5,
            depends: Some(self.depends.clone()),
            constrains: self.constrains.clone(),
        })
    }

    /// The package as it is: by version, build and hash in its channel, and by URL where it came from none.
    pub(super) fn exact_spec(&self) -> String {
        let Self { name, version, build, .. } = self;
        let mut brackets: Vec<String> = Vec::new();
        let channel = match self.channel() {
            Some((channel, _)) => format!("{channel}::"),
            None => String::new(),
        };
        let sha256 =
            self.sha256.as_deref().filter(|hash| is_hex(hash, 64)).map(|hash| format!("sha256={hash}"));
        let md5 = self.md5.as_deref().filter(|hash| is_hex(hash, 32)).map(|hash| format!("md5={hash}"));
        brackets.extend(sha256.or(md5));
        let brackets = if brackets.is_empty() { String::new() } else { format!("[{}]", brackets.join(",")) };
        format!("{channel}{name}=={version}={build}{brackets}")
    }
}

/// A channel by the URL of itself, of a folder in it or of a package in that; or by its name.
fn channel_of(text: &str) -> Option<(CondaChannel, bool)> {
    let text = text.trim_end_matches('/');
    if !text.contains("://") {
        let name = text.strip_suffix("/noarch").unwrap_or(text);
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
        return (!name.is_empty() && plain).then(|| (CondaChannel::Name(known_name(name)), false));
    }
    let (text, mut hidden) = without_credentials(text)?;
    let url = Url::parse(&text).ok()?;
    let mut path: Vec<&str> = url.path_segments()?.filter(|part| !part.is_empty()).collect();
    if path.last().is_some_and(|file| [".conda", ".tar.bz2"].iter().any(|ending| file.ends_with(ending))) {
        path.pop();
    }
    if path.last().is_some_and(|folder| is_subdir(folder)) {
        path.pop();
    }
    if path.first() == Some(&"t") && path.len() > 1 && url.scheme() != "file" {
        path.drain(..2);
        hidden = true;
    }
    let path = path.join("/");
    let host = url.host_str().unwrap_or_default();
    let name = match host {
        "conda.anaconda.org" if !path.is_empty() => Some(path.clone()),
        "repo.anaconda.com" => Some(path.clone()).filter(|path| path.starts_with("pkgs/")),
        _ => None,
    };
    if let Some(name) = name {
        return Some((CondaChannel::Name(known_name(&name)), hidden));
    }
    let mut url = url;
    url.set_path(&path);
    let url = SafeUrl::new(url);
    Some((CondaChannel::Url(url), hidden))
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// A URL without the token of `https://host/t/<token>/channel`.
fn without_token(text: &str) -> Option<SafeUrl> {
    let mut url = Url::parse(text).ok()?;
    let path: Vec<&str> = url.path_segments()?.collect();
    if let ["t", _, rest @ ..] = &path[..]
        && url.scheme() != "file"
    {
        let rest = rest.join("/");
        url.set_path(&rest);
    }
    Some(SafeUrl::new(url))
}

/// The channels that conda uses where nothing else is said have one name, as `conda env export` writes it.
fn known_name(name: &str) -> String {
    if ["pkgs/main", "pkgs/r", "pkgs/free", "pkgs/pro", "pkgs/msys2"].contains(&name) {
        "defaults".to_owned()
    } else {
        name.to_owned()
    }
}

fn is_subdir(text: &str) -> bool {
    text == "noarch"
        || text.split_once('-').is_some_and(|(system, _)| {
            matches!(system, "linux" | "osx" | "win" | "freebsd" | "zos" | "emscripten" | "wasi")
        })
}

/// `x.dist-info` of `lib/python3.11/site-packages/x.dist-info/METADATA`: all that is kept of a long list.
fn metadata_folders<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HashSet<String>, D::Error> {
    struct Folders;

    impl<'de> Visitor<'de> for Folders {
        type Value = HashSet<String>;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a list of paths")
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(HashSet::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut paths: A) -> Result<Self::Value, A::Error> {
            let mut folders = HashSet::new();
            while let Some(path) = paths.next_element::<String>()? {
                let Some((_, rest)) = path.split_once("site-packages/") else { continue };
                let folder = rest.split('/').next().unwrap_or_default();
                if [".dist-info", ".egg-info", ".egg", ".egg-link"]
                    .iter()
                    .any(|ending| folder.ends_with(ending))
                {
                    folders.insert(folder.to_owned());
                }
            }
            while paths.next_element::<IgnoredAny>()?.is_some() {}
            Ok(folders)
        }
    }

    deserializer.deserialize_any(Folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_named_as_people_name_them() {
        for (given, channel, hidden) in [
            ("https://conda.anaconda.org/conda-forge/linux-64/x-1-0.conda", "conda-forge", false),
            ("https://conda.anaconda.org/conda-forge/label/dev/noarch", "conda-forge/label/dev", false),
            ("https://repo.anaconda.com/pkgs/main/linux-64", "defaults", false),
            ("pkgs/main", "defaults", false),
            ("conda-forge", "conda-forge", false),
            (
                "https://host.test/team/channel/linux-64/x-1-0.tar.bz2",
                "https://host.test/team/channel",
                false,
            ),
            ("https://host.test/t/hunter2/channel/linux-64", "https://host.test/channel", true),
            ("https://user:hunter2@host.test/channel", "https://host.test/channel", true),
            ("https://conda.anaconda.org/t/hunter2/private/linux-64", "private", true),
            ("file:///srv/channel/", "file:///srv/channel", false),
        ] {
            let (found, was_hidden) = channel_of(given).unwrap();
            assert_eq!((&*found.to_string(), was_hidden), (channel, hidden), "{given}");
        }
    }
}
