//! Where a package is, if the user says so himself: a URL, a local path, a repository.

use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use url::Url;

use super::error::RequirementError;
use super::name::{is_name, normalise_name, parse_extras};
use crate::safe_url::restore_templates;
use crate::secrets::{is_public_password, shown, template_start, url_credentials};
use crate::{SafeUrl, codes};

const ARCHIVES: &[&str] = &[
    ".whl",
    ".zip",
    ".tar",
    ".tar.gz",
    ".tgz",
    ".tar.bz2",
    ".tbz",
    ".tar.xz",
    ".txz",
    ".tlz",
    ".tar.lz",
    ".tar.lzma",
];

/// A URL in normal form with what it says about the package.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Location {
    /// The package, where a wheel's file name or `#egg=` tells it.
    pub name: Option<String>,
    /// Extras of `#egg=name[extra]`.
    pub extras: Vec<String>,
    /// Absolute, without credentials; `${NAME}` stays as it was written.
    pub url: String,
}

/// Whether a requirement begins with a URL or a path rather than with a name.
pub(crate) fn looks_bare(text: &str) -> bool {
    let head_end = text.find(|c: char| c.is_whitespace() || "@;<>=!~[(".contains(c)).unwrap_or(text.len());
    let head = &text[..head_end];
    is_url(text)
        || text.starts_with("~/")
        || text.starts_with("git+")
        || head.starts_with('.')
        || head.contains(['/', '\\'])
        || (is_archive(head) && !text[head_end..].trim_start().starts_with('@'))
}

/// Whether `text` begins with a scheme.
pub(super) fn is_url(text: &str) -> bool {
    scheme(text)
        .is_some_and(|(scheme, rest)| rest.starts_with("//") || scheme == "file" || scheme.contains('+'))
}

/// The scheme in lower case and what follows its colon. One letter is a Windows drive.
fn scheme(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let valid = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c));
    valid.then(|| (scheme.to_ascii_lowercase(), rest))
}

fn is_archive(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ARCHIVES.iter().any(|extension| text.ends_with(extension))
}

/// What is taken for a path without asking the disk.
fn is_path(text: &str) -> bool {
    text.starts_with(['.', '~', '$']) || text.contains(['/', '\\']) || is_archive(text)
}

fn invalid(message: impl Into<String>, text: &str) -> RequirementError {
    RequirementError::new(codes::INVALID_URL, message, 0, text.len())
}

impl Location {
    /// Reads a URL or path that stands alone. Relative paths start from `folder`, which is absolute.
    pub(super) fn parse(text: &str, folder: &Path) -> Result<Self, RequirementError> {
        refuse_credentials(text)?;
        let (target, fragment) = match text.split_once('#') {
            Some((target, fragment)) => (target, Some(fragment)),
            None => (text, None),
        };
        if fragment.is_some_and(|fragment| fragment.contains(char::is_whitespace)) {
            return Err(invalid("a space in the URL's fragment", text)
                .with_hint("a comment needs a space before its `#`"));
        }
        let mut url = if let Some((scheme, rest)) = scheme(target).filter(|_| is_url(target)) {
            match &*scheme {
                "file" => file_url(target, rest, folder)?,
                "http" | "https" => normal_url(target)?,
                "git+http" | "git+https" | "git+ssh" | "git+git" => {
                    format!("git+{}", normal_url(&target["git+".len()..])?)
                }
                "git+file" => format!("git+{}", file_url(target, rest, folder)?),
                scheme if scheme.starts_with("git+") => {
                    return Err(invalid("not the URL of a repository", text)
                        .with_hint("write `git+https://host/path` or `git+ssh://git@host/path`"));
                }
                scheme if ["hg+", "svn+", "bzr+"].iter().any(|vcs| scheme.starts_with(vcs)) => {
                    let message = format!("`{scheme}` repositories are not supported, only git");
                    return Err(RequirementError::new(codes::NOT_SUPPORTED, message, 0, text.len()));
                }
                scheme => {
                    return Err(invalid(format!("`{scheme}` URLs cannot be fetched"), text)
                        .with_hint("use http, https, file or git+https"));
                }
            }
        } else if !target.starts_with(['.', '/']) && (target.contains(['@', ':']) || !is_path(target)) {
            return Err(invalid(format!("`{}` is not a URL", shown(target)), text)
                .with_hint("write a repository as `git+ssh://git@host/path` or `git+https://host/path`"));
        } else {
            local_path(target, folder)?
        };

        let mut location = Self { name: wheel_name(&url, text)?, extras: Vec::new(), url: String::new() };
        let mut rest = Vec::new();
        for part in fragment.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
            match part.strip_prefix("egg=") {
                Some(egg) => location.take_egg(egg),
                None => rest.push(encode_fragment(part)),
            }
        }
        rest.sort_unstable();
        rest.dedup();
        for (i, part) in rest.iter().enumerate() {
            url.push(if i == 0 { '#' } else { '&' });
            url.push_str(part);
        }
        refuse_hidden_credentials(&url, text)?;
        location.url = url;
        Ok(location)
    }

    /// `#egg=name[extra]` says what the package is called, unless a wheel's file name says it already.
    fn take_egg(&mut self, egg: &str) {
        let end = egg.find(['[', '=', '<', '>', '!', '~']).unwrap_or(egg.len());
        if is_name(&egg[..end]) && self.name.is_none() {
            self.name = Some(normalise_name(&egg[..end]));
        }
        if let Ok((extras, _)) = parse_extras(egg, end) {
            self.extras = extras;
        }
    }
}

/// `fragment` as a URL writes it: without spaces or characters that end it, and without a bracket that would be taken
/// for the end of extras behind it.
fn encode_fragment(fragment: &str) -> String {
    let mut url = Url::parse("file:///").ok();
    if let Some(url) = &mut url {
        url.set_fragment(Some(fragment));
    }
    url.as_ref().and_then(Url::fragment).unwrap_or_default().replace(']', "%5D")
}

/// The URL of an index, or a folder that serves as one: a host without `https://` before it is neither, and must not be
/// taken for a folder that may come.
pub(crate) fn index_url(text: &str, folder: &Path) -> Result<SafeUrl, RequirementError> {
    let url = links_url(text, folder)?;
    let is_path = is_url(text) || text.starts_with(['.', '/', '~', '$']);
    if !is_path && !url.as_url().to_file_path().is_ok_and(|path| path.exists()) {
        return Err(invalid(format!("`{}` is neither a URL nor a folder that exists", shown(text)), text)
            .with_hint(format!(
                "is `https://` missing? `https://{0}`; a folder is written `./{0}`",
                shown(text)
            )));
    }
    Ok(url)
}

/// The URL of one artifact, or the path of a file or folder.
pub(crate) fn artifact_url(text: &str, folder: &Path) -> Result<SafeUrl, RequirementError> {
    // A hash or folder behind `#` is said elsewhere too.
    let target = text.split('#').next().unwrap_or_default();
    if target.contains('?') {
        let message = "a URL with a query is not supported";
        refuse_credentials(text)?;
        return Err(RequirementError::new(codes::NOT_SUPPORTED, message, 0, text.len()));
    }
    links_url(target, folder)
}

/// The URL of a page of links, or a folder that serves as one.
pub(crate) fn links_url(text: &str, folder: &Path) -> Result<SafeUrl, RequirementError> {
    refuse_credentials(text)?;
    if let Some(at) = template_start(text) {
        return Err(RequirementError::template(text, at));
    }
    let url = match scheme(text).filter(|_| is_url(text)) {
        Some((scheme, rest)) if scheme == "file" => file_url(text, rest, folder)?,
        Some((scheme, _)) if scheme == "http" || scheme == "https" => normal_url(text)?,
        Some((scheme, _)) => {
            return Err(
                invalid(format!("`{scheme}` URLs cannot be fetched"), text).with_hint("use https or file")
            );
        }
        None => local_path(text, folder)?,
    };
    refuse_hidden_credentials(&url, text)?;
    let url = Url::parse(&url).map_err(|error| invalid(format!("not a URL: {error}"), text))?;
    if url.query().is_some() {
        let message = "an index URL with a query is not supported";
        return Err(RequirementError::new(codes::NOT_SUPPORTED, message, 0, text.len())
            .with_hint("keep credentials in netrc, the keyring or `${NAME}` before the host"));
    }
    Ok(SafeUrl::new(url))
}

fn refuse_credentials(text: &str) -> Result<(), RequirementError> {
    url_credentials(text).map_or(Ok(()), |range| Err(credentials(range)))
}

/// What looks like credentials in the normal form alone: what is kept must pass wherever it is read again.
fn refuse_hidden_credentials(url: &str, text: &str) -> Result<(), RequirementError> {
    url_credentials(url).map_or(Ok(()), |_| Err(credentials(0..text.len())))
}

fn credentials(range: Range<usize>) -> RequirementError {
    RequirementError::new(codes::CREDENTIALS, "credentials in a URL", range.start, range.len())
        .with_hint("write a variable, `https://${TOKEN}@host/…`, or keep them in netrc or the keyring")
}

/// `http:` and `https:` URLs, and those of repositories without their `git+`.
fn normal_url(text: &str) -> Result<String, RequirementError> {
    if text.contains(char::is_whitespace) {
        let error = invalid("a space in a URL", text);
        return Err(if text.contains(';') { error.with_hint("put a space before the `;`") } else { error });
    }
    let url = Url::parse(text).map_err(|error| invalid(format!("not a URL: {error}"), text))?;
    // The standard forgives `https:///host`; pip does not.
    let no_host = text.split_once("://").is_some_and(|(_, rest)| rest.starts_with(['/', '\\']));
    if no_host || url.host_str().is_none_or(str::is_empty) {
        return Err(invalid("the URL names no host", text));
    }
    // What the text hid from the search for credentials, the parser may still have found.
    if url.password().is_some_and(|password| !is_public_password(password)) {
        return Err(credentials(0..text.len()));
    }
    Ok(restore_templates(url.as_str()))
}

/// `file:` URLs, which pip lets be relative (`file:./a`).
fn file_url(text: &str, rest: &str, folder: &Path) -> Result<String, RequirementError> {
    let Some(authority) = rest.strip_prefix("//") else {
        let decoded = percent_decode(rest);
        return local_path(&decoded, folder);
    };
    let path_at = authority.find('/').unwrap_or(authority.len());
    match &authority[..path_at] {
        "" | "localhost" => {}
        // `file://./a` and `file://a` are slips that pip takes as paths or refuses, depending on its version.
        _ => {
            return Err(invalid("a `file:` URL cannot name another machine", text)
                .with_hint("write `file:///absolute/path` or a relative path"));
        }
    }
    let path = percent_decode(&authority[path_at..]);
    local_path(&path, folder)
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes.get(at + 1..at + 3).and_then(|digits| hex::decode(digits).ok());
        match (bytes[at], escape) {
            (b'%', Some(byte)) => {
                decoded.extend(byte);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

/// The `file:` URL of a path, which starts from `folder` if it is relative.
fn local_path(text: &str, folder: &Path) -> Result<String, RequirementError> {
    if text.is_empty() {
        return Err(invalid("a path is missing", " "));
    }
    if text.starts_with('~') {
        return Err(
            invalid("`~` is not expanded here", text).with_hint("write the whole path or a relative one")
        );
    }
    if text.starts_with("${") {
        let message = "a local path cannot begin with a variable";
        return Err(RequirementError::new(codes::NOT_SUPPORTED, message, 0, text.len())
            .with_hint("write a path relative to this file"));
    }
    if text.as_bytes().get(1) == Some(&b':') && text.as_bytes()[0].is_ascii_alphabetic()
        || text.contains('\\')
    {
        return Err(invalid("a Windows path", text).with_hint("write a relative path with `/`"));
    }
    if text.contains('\0') {
        return Err(invalid("a path cannot hold a zero byte", text));
    }
    let path = Path::new(text);
    if path.is_relative() && !folder.is_absolute() {
        return Err(invalid("a relative path, and no folder to start from", text));
    }
    let mut absolute = PathBuf::from("/");
    for component in folder.join(path).components() {
        match component {
            Component::Normal(part) => absolute.push(part),
            Component::ParentDir => {
                absolute.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    let url = Url::from_file_path(&absolute).map_err(|()| invalid("not a path", text))?;
    Ok(restore_templates(url.as_str()))
}

/// The package a wheel's file name tells (binary distribution format, "File name convention").
fn wheel_name(url: &str, text: &str) -> Result<Option<String>, RequirementError> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    let Some(stem) =
        file.strip_suffix(".whl").filter(|stem| !stem.contains("${") && !url.starts_with("git+"))
    else {
        return Ok(None);
    };
    let parts: Vec<&str> = stem.split('-').collect();
    if matches!(parts.len(), 5 | 6) && is_name(parts[0]) {
        Ok(Some(normalise_name(parts[0])))
    } else {
        Err(invalid(format!("`{}` is not the file name of a wheel", shown(file)), text)
            .with_hint("a wheel is called `name-version-python-abi-platform.whl`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_have_one_normal_form() {
        for (given, name, url) in [
            ("./a b", None, "file:///project/a%20b"),
            ("../x/./y.tar.gz", None, "file:///x/y.tar.gz"),
            ("file:../x", None, "file:///x"),
            ("file:///a/b", None, "file:///a/b"),
            ("file://localhost/a%20b", None, "file:///a%20b"),
            ("pkg/foo-1.0-py3-none-any.whl", Some("foo"), "file:///project/pkg/foo-1.0-py3-none-any.whl"),
            ("https://HOST.test/A.zip", None, "https://host.test/A.zip"),
            ("https://${TOKEN}@host.test/a.zip", None, "https://${TOKEN}@host.test/a.zip"),
            (
                "git+https://${U}:${P}@Host.test/a/b@v1#egg=B_c",
                Some("b-c"),
                "git+https://${U}:${P}@host.test/a/b@v1",
            ),
            (
                "git+ssh://git@host.test/a#subdirectory=x&egg=b",
                Some("b"),
                "git+ssh://git@host.test/a#subdirectory=x",
            ),
            (
                "https://h.test/foo-1.0-py3-none-any.whl#sha256=aa",
                Some("foo"),
                "https://h.test/foo-1.0-py3-none-any.whl#sha256=aa",
            ),
        ] {
            let location =
                Location::parse(given, Path::new("/project")).unwrap_or_else(|e| panic!("{given}: {e}"));
            assert_eq!((location.name.as_deref(), &*location.url), (name, url), "{given}");
            let again = Location::parse(&location.url, Path::new("")).unwrap();
            assert_eq!(again.url, url);
        }
    }

    #[test]
    fn what_cannot_be_fetched_is_refused() {
        for (given, code) in [
            ("https://user:hunter2@host.test/a.zip", "PV015"),
            ("git+https://hunter2@host.test/a", "PV015"),
            ("https://host.test/a.zip?sig=hunter2", "PV015"),
            ("https://host.test/a.zip?key=hunter2", "PV015"),
            ("https://host.test/a.zip?x=1&%6Bey=hunter2#sha256=aa", "PV015"),
            ("git+https://host.test/a?access_token=hunter2", "PV015"),
            ("git+git@host.test:a/b", "PV014"),
            ("git@host.test:a/b", "PV014"),
            ("hg+https://host.test/a", "PV007"),
            ("ftp://host.test/a", "PV014"),
            ("https:///a", "PV014"),
            ("file://host.test/a", "PV014"),
            ("C:\\a", "PV014"),
            ("~/a", "PV014"),
            ("${HERE}/a", "PV007"),
            ("a.whl", "PV014"),
        ] {
            let error = Location::parse(given, Path::new("/project")).unwrap_err();
            assert_eq!(error.code.id, code, "{given}: {error}");
            assert!(!format!("{error:?}").contains("hunter2"));
        }
    }
}
