//! Channels as people write them.

use std::path::{Path, PathBuf};

use rattler_conda_types::ChannelConfig;

use crate::requirement::{RequirementError, links_url};
use crate::secrets::{path_tokens, shown, template_start, url_credentials};
use crate::{CondaChannel, SafeUrl, codes};

/// The folders of a channel that hold packages (CEP 26 and what conda knew before).
const SUBDIRS: &[&str] = &[
    "noarch",
    "linux-32",
    "linux-64",
    "linux-aarch64",
    "linux-armv6l",
    "linux-armv7l",
    "linux-ppc64",
    "linux-ppc64le",
    "linux-riscv32",
    "linux-riscv64",
    "linux-s390x",
    "osx-64",
    "osx-arm64",
    "win-32",
    "win-64",
    "win-arm64",
    "freebsd-64",
    "emscripten-wasm32",
    "wasi-wasm32",
    "zos-z",
];

/// What a channel's name stands behind, unless somebody's own settings say otherwise: conda's default, by way of rattler.
pub(crate) fn default_alias() -> SafeUrl {
    SafeUrl::new(ChannelConfig::default_with_root_dir(PathBuf::new()).channel_alias)
}

/// `channel` by its name, where its URL is that of a name. Names that conda keeps for other places have none here, nor have
/// URLs with tokens.
pub(crate) fn by_name(channel: CondaChannel) -> CondaChannel {
    let CondaChannel::Url(url) = &channel else { return channel };
    let text = url.to_string();
    let is_own = |name: &str| {
        let kept = ["defaults", "local", "nodefaults"].contains(&name) || name.starts_with("pkgs/");
        // What begins like a path is read as one.
        let reads_back = parse(name, Path::new("/")).is_ok_and(|read| {
            read.subdir.is_none() && read.channel == Some(CondaChannel::Name(name.to_owned()))
        });
        !kept && !name.starts_with("t/") && !name.contains('$') && reads_back
    };
    match text.strip_prefix(&default_alias().to_string()).map(|name| name.trim_end_matches('/')) {
        Some(name) if is_own(name) => CondaChannel::Name(name.to_owned()),
        _ => channel,
    }
}

/// A channel with the folder of it that was named.
#[derive(Debug)]
pub(super) struct Given {
    /// `None` for `nodefaults`, which is no channel.
    pub channel: Option<CondaChannel>,
    /// `linux-64` of `conda-forge/linux-64`.
    pub subdir: Option<String>,
}

/// Whether a file of this name is a package; conda minds the case.
pub(crate) fn is_package_file(name: &str) -> bool {
    [".conda", ".tar.bz2"].iter().any(|extension| name.ends_with(extension))
}

/// Whether a folder of this name in a channel holds packages.
pub(crate) fn is_subdir(text: &str) -> bool {
    SUBDIRS.contains(&text)
}

/// Reads a channel. Relative paths start from `folder`, which is absolute.
pub(super) fn parse(text: &str, folder: &Path) -> Result<Given, RequirementError> {
    let text = text.trim();
    if let Some(at) = template_start(text) {
        return Err(RequirementError::template(text, at));
    }
    refuse_credentials(text)?;
    let text = &*braced(text);
    let (channel, subdir) = if !is_numbered(text) && (text.contains("::") || text.contains(['[', ']'])) {
        return Err(invalid(format!("`{}` is not a channel", shown(text)), text)
            .with_hint("`channel::package` is a package, and belongs to the dependencies"));
    } else if (has_scheme(text) && text.contains("://")) || text.starts_with(['/', '.', '~']) {
        let (url, subdir) = without_subdir(url(text, folder)?);
        // What looks like a token in the normal form alone, or is half a variable: it must pass wherever it is read again.
        refuse_credentials(&url.to_string()).map_err(|_| credentials(0, text.len()))?;
        (Some(CondaChannel::Url(url)), subdir)
    } else if text.contains('\\') || is_drive(text) {
        return Err(invalid("a path of Windows is no channel here", text)
            .with_hint("write the URL of the channel, or a path with `/`"));
    } else {
        let name = name(text)?;
        let (name, subdir) = match name.rsplit_once('/').filter(|(_, subdir)| is_subdir(subdir)) {
            Some((channel, subdir)) => (self::name(channel)?, Some(subdir.to_owned())),
            None => (name, None),
        };
        ((name != "nodefaults").then_some(CondaChannel::Name(name)), subdir)
    };
    // A root is none, and has no text without its slash.
    if let Some(CondaChannel::Url(url)) = &channel
        && !url.as_url().has_host()
        && url.as_url().path().len() < 2
    {
        return Err(invalid("the root of the file system is no channel", text));
    }
    Ok(Given { channel, subdir })
}

/// Whether `text` is a URL whose host is an address in brackets.
fn is_numbered(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, host)| host.starts_with('['))
}

/// Refuses `https://user:password@host`, `?sig=…` and the literal token of `https://host/t/<token>/channel`.
pub(super) fn refuse_credentials(text: &str) -> Result<(), RequirementError> {
    let braced = braced(text);
    if let Some(range) = url_credentials(&braced) {
        // Where variables were put in braces, offsets do not fit.
        let range = if braced.len() == text.len() { range } else { 0..text.len() };
        return Err(credentials(range.start, range.len()));
    }
    match path_tokens(text).into_iter().next() {
        Some(range) => Err(credentials(range.start, range.len())),
        None => Ok(()),
    }
}

fn credentials(offset: usize, length: usize) -> RequirementError {
    RequirementError::new(codes::CREDENTIALS, "credentials in a URL", offset, length)
        .with_hint("write a variable, `https://host/t/${TOKEN}/…`, or keep them in netrc or the keyring")
}

/// `$NAME` as `${NAME}`, which means the same.
fn braced(text: &str) -> String {
    let mut braced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let name = &rest[at + 1..];
        let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
        braced.push_str(&rest[..=at]);
        if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            braced.push('{');
            braced.push_str(&name[..end]);
            braced.push('}');
            rest = &name[end..];
        } else {
            rest = name;
        }
    }
    braced.push_str(rest);
    braced
}

pub(super) fn has_scheme(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, _)| {
        scheme.len() > 1
            && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c))
    })
}

/// `C:\` and `C:/`.
pub(super) fn is_drive(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && characters.next() == Some(':')
        && matches!(characters.next(), Some('\\' | '/'))
}

fn invalid(message: impl Into<String>, text: &str) -> RequirementError {
    RequirementError::new(codes::INVALID_CHANNEL, message, 0, text.len())
}

/// The URL of a channel or package. Besides what pip can fetch, conda knows `s3:`, `oci:` and `ftp:`.
pub(super) fn url(text: &str, folder: &Path) -> Result<SafeUrl, RequirementError> {
    let scheme = text.split(':').next().unwrap_or_default().to_ascii_lowercase();
    if !matches!(&*scheme, "s3" | "oci" | "ftp" | "gcs") {
        return links_url(text, folder).map(|url| without_slash(&url));
    }
    match text.parse::<SafeUrl>() {
        Ok(url) if url.as_url().has_host() && !text.contains(['?', ' ']) => Ok(without_slash(&url)),
        _ => Err(invalid("not the URL of a channel", text)),
    }
}

/// The channel of `https://host/channel/linux-64`, and the folder.
fn without_subdir(url: SafeUrl) -> (SafeUrl, Option<String>) {
    let path = url.as_url().path();
    let Some((channel, subdir)) = path.rsplit_once('/').filter(|(_, subdir)| is_subdir(subdir)) else {
        return (url, None);
    };
    let (channel, subdir) = (channel.to_owned(), subdir.to_owned());
    let mut url = url.as_url().clone();
    url.set_path(channel.trim_end_matches('/'));
    (SafeUrl::new(url), Some(subdir))
}

/// Slashes at the end mean nothing.
fn without_slash(url: &SafeUrl) -> SafeUrl {
    let mut url = url.as_url().clone();
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    url.set_fragment(None);
    SafeUrl::new(url)
}

/// `conda-forge`, `conda-forge/label/dev`, `${CHANNEL}`.
fn name(text: &str) -> Result<String, RequirementError> {
    let text = text.trim_end_matches('/');
    if text.is_empty() {
        return Err(invalid("a channel without a name", text));
    }
    if text.starts_with('-') {
        return Err(invalid("an option is no channel", text));
    }
    let bad = |c: char| !(c.is_alphanumeric() || "._-/${}+@".contains(c));
    match text.char_indices().find(|(_, c)| bad(*c)) {
        None => Ok(text.to_owned()),
        Some((at, c)) => {
            let mut error = invalid(format!("`{}` is not the name of a channel", shown(text)), text);
            (error.offset, error.length) = (at, c.len_utf8());
            Err(error.with_hint("write a name such as `conda-forge`, or a URL"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown_as(text: &str) -> String {
        match parse(text, Path::new("/project")) {
            Ok(Given { channel, subdir }) => {
                let channel = channel.map_or("-".to_owned(), |channel| channel.to_string());
                subdir.map_or(channel.clone(), |subdir| format!("{channel} {subdir}"))
            }
            Err(error) => error.code.id.to_owned(),
        }
    }

    #[test]
    fn channels_are_read_in_every_spelling() {
        for (text, channel) in [
            ("conda-forge", "conda-forge"),
            ("conda-forge/", "conda-forge"),
            ("conda-forge/label/dev", "conda-forge/label/dev"),
            ("conda-forge/linux-64", "conda-forge linux-64"),
            ("nodefaults", "-"),
            ("nodefaults/", "-"),
            ("nodefaults/linux-64", "- linux-64"),
            ("https://conda.anaconda.org/conda-forge/", "https://conda.anaconda.org/conda-forge"),
            ("https://h.test/c/noarch", "https://h.test/c noarch"),
            ("https://h.test/t/$TOKEN/c", "https://h.test/t/${TOKEN}/c"),
            ("https://h.test/t/${TOKEN}/c", "https://h.test/t/${TOKEN}/c"),
            ("https://${USER}:$PASS@h.test/c", "https://${USER}:${PASS}@h.test/c"),
            ("https://h.test/t/abc-123/c", "PV015"),
            ("https://user:hunter2@h.test/c", "PV015"),
            ("file:///opt/channel", "file:///opt/channel"),
            ("./channel", "file:///project/channel"),
            ("../channel/", "file:///channel"),
            ("/opt/channel", "file:///opt/channel"),
            ("s3://bucket/channel", "s3://bucket/channel"),
            ("C:\\channel", "PV026"),
            ("conda forge", "PV026"),
            ("", "PV026"),
            ("conda-forge::numpy", "PV026"),
            ("-c", "PV026"),
            ("https://h.test://[t/c", "PV026"),
            ("file:///srv/t/stable/channel", "file:///srv/t/stable/channel"),
            ("conda-forge:numpy", "PV026"),
            ("http://[::1]:80/c", "http://[::1]/c"),
            ("{{ channel }}", "PV023"),
            ("https://", "PV014"),
        ] {
            assert_eq!(shown_as(text), channel, "{text}");
        }
    }
}
