//! Where a package came from, if not from an index: `direct_url.json` (PEP 610).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

use crate::secrets::{is_public_password, is_template, url_credentials};

/// The file as it is.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct DirectUrl {
    url: String,
    #[serde(default)]
    subdirectory: Option<String>,
    #[serde(default)]
    vcs_info: Option<VcsInfo>,
    #[serde(default)]
    archive_info: Option<ArchiveInfo>,
    #[serde(default)]
    dir_info: Option<DirInfo>,
}

#[derive(Clone, Debug, Deserialize)]
struct VcsInfo {
    vcs: String,
    #[serde(default)]
    requested_revision: Option<String>,
    #[serde(default)]
    commit_id: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ArchiveInfo {
    hash: Option<String>,
    hashes: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct DirInfo {
    editable: bool,
}

/// What a package came from, without credentials.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A git repository.
    Repository {
        /// With `git+`.
        url: String,
        /// The branch, tag or commit that was asked for.
        asked: Option<String>,
        /// The commit that was taken.
        commit: Option<String>,
        subdirectory: Option<String>,
        hidden: bool,
    },
    /// An archive: a URL with its hash as the fragment.
    Archive { url: String, hidden: bool },
    /// A folder of this machine.
    Folder { path: PathBuf, editable: bool },
    /// Another kind of repository, by its name.
    Unsupported(String),
    /// Nothing that can be understood.
    Unknown,
}

impl DirectUrl {
    /// What the file says.
    pub(super) fn origin(&self) -> Origin {
        let Some((url, hidden)) = without_credentials(&self.url) else { return Origin::Unknown };
        if let Some(vcs) = &self.vcs_info {
            if vcs.vcs != "git" {
                return Origin::Unsupported(
                    vcs.vcs.chars().filter(char::is_ascii_alphanumeric).take(20).collect(),
                );
            }
            let commit = Some(&vcs.commit_id).filter(|id| is_commit(id)).cloned();
            let asked = vcs.requested_revision.clone().filter(|name| is_revision(name));
            let subdirectory = self.subdirectory.clone().filter(|path| is_revision(path));
            return Origin::Repository { url: format!("git+{url}"), asked, commit, subdirectory, hidden };
        }
        if let Some(dir) = &self.dir_info {
            let path = Url::parse(&self.url).ok().and_then(|url| url.to_file_path().ok());
            return path.map_or(Origin::Unknown, |path| Origin::Folder { path, editable: dir.editable });
        }
        let mut fragment = Vec::new();
        fragment.extend(
            self.archive_info.as_ref().and_then(ArchiveInfo::sha256).map(|hash| format!("sha256={hash}")),
        );
        fragment.extend(
            self.subdirectory
                .iter()
                .filter(|path| is_revision(path))
                .map(|path| format!("subdirectory={path}")),
        );
        let url = if fragment.is_empty() { url } else { format!("{url}#{}", fragment.join("&")) };
        Origin::Archive { url, hidden }
    }
}

impl ArchiveInfo {
    fn sha256(&self) -> Option<&str> {
        let old = || self.hash.as_deref().and_then(|hash| hash.strip_prefix("sha256="));
        let hash = self.hashes.get("sha256").map(String::as_str).or_else(old)?;
        (hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit())).then_some(hash)
    }
}

pub(super) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// The name of a branch, or a path, that can stand in a URL as it is.
fn is_revision(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./+".contains(c))
}

/// `text` as a URL without credentials and fragment, and whether it had any. PEP 610 forbids them, and not every tool
/// obeys.
pub(super) fn without_credentials(text: &str) -> Option<(String, bool)> {
    let mut url = Url::parse(text).ok()?;
    let mut hidden = false;
    url.set_fragment(None);
    if url.query().is_some() {
        url.set_query(None);
        hidden = true;
    }
    let password = url.password().unwrap_or_default();
    let is_ssh_user = matches!(url.scheme(), "ssh" | "git") && password.is_empty();
    let is_public = is_ssh_user
        || if password.is_empty() {
            url.username().is_empty() || is_template(url.username())
        } else {
            is_public_password(password)
        };
    if !is_public {
        hidden = true;
        let _ = url.set_password(None);
        let _ = url.set_username("");
    }
    let text = crate::safe_url::restore_templates(url.as_str());
    // What still looks like one is not kept at all.
    url_credentials(&text).is_none().then_some((text, hidden))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(json: &str) -> Origin {
        serde_json::from_str::<DirectUrl>(json).unwrap().origin()
    }

    #[test]
    fn no_credentials_are_kept() {
        for url in [
            "https://user:hunter2@host.test/a.zip",
            "https://hunter2@host.test/a.zip",
            "https://host.test/a.zip?sig=hunter2",
            "https://user:hunter2@host.test/a.zip#hunter2",
            "ssh://git:hunter2@host.test/a",
        ] {
            for rest in [r#""archive_info": {}"#, r#""vcs_info": {"vcs": "git", "commit_id": "x"}"#] {
                let found = format!("{:?}", origin(&format!(r#"{{"url": "{url}", {rest}}}"#)));
                assert!(!found.contains("hunter2") && found.contains("hidden: true"), "{found}");
            }
        }
    }

    #[test]
    fn public_parts_are_kept() {
        for url in ["https://${TOKEN}@host.test/a", "ssh://git@host.test/a", "https://host.test/a"] {
            let found = origin(&format!(r#"{{"url": "{url}", "archive_info": {{}}}}"#));
            assert_eq!(found, Origin::Archive { url: url.to_owned(), hidden: false });
        }
    }
}
