//! How locks spell where things are.

use std::path::Path;

use crate::locked::LockedFile;
use crate::secrets::shown;
use crate::{Digest, SafeUrl};

/// A file of an index that has nothing but a URL.
pub(crate) fn file_at(url: SafeUrl, size: Option<u64>, sha256: Option<Digest>) -> LockedFile {
    let name = url.file_name().unwrap_or_default().replace("%2B", "+").replace("%2b", "+");
    LockedFile { name, url: Some(url), size, sha256 }
}

/// The index `url`; PyPI is the default and needs no word.
pub(crate) fn index(url: SafeUrl) -> Option<SafeUrl> {
    let is_default = matches!(url.as_url().host_str(), Some("pypi.org" | "pypi.python.org"))
        && url.as_url().path().trim_end_matches('/') == "/simple";
    (!is_default).then_some(url)
}

/// A repository in the spelling of uv and pixi: `https://host/repository?tag=v1&subdirectory=a#COMMIT`, or with
/// `@COMMIT` behind the path. Gives back the URL, the commit and the folder.
pub(crate) fn split_git(text: &str) -> (String, Option<String>, Option<String>) {
    let text = text.strip_prefix("git+").unwrap_or(text);
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (target, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut commit = None;
    let mut subdirectory = None;
    for part in query.split('&').chain(fragment.split('&')).filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some(("subdirectory", folder)) => subdirectory = Some(folder.replace("%2F", "/")),
            Some(_) => {}
            None => commit = Some(part.to_owned()),
        }
    }
    let path_at = target.find("://").map_or(0, |at| at + 3);
    let path_at = target[path_at..].find('/').map_or(target.len(), |at| path_at + at);
    let (url, reference) = match target[path_at..].rfind('@') {
        Some(at) => (&target[..path_at + at], Some(&target[path_at + at + 1..])),
        None => (target, None),
    };
    (url.to_owned(), commit.or_else(|| reference.map(str::to_owned)), subdirectory)
}

/// Whether a text is all digits of a commit.
pub(crate) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// A few names for a message.
pub(crate) fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let text =
        names.iter().take(SHOWN).map(|name| format!("`{}`", shown(name))).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// Whether a file is a wheel, by its name.
pub(crate) fn is_wheel(name: &str) -> bool {
    has_extension(name, "whl")
}

/// Whether a file is a conda package, by its name.
pub(crate) fn is_conda_package(name: &str) -> bool {
    has_extension(name, "conda") || name.ends_with(".tar.bz2")
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}
