//! Where a folder's git checkout came from, read from the files of the repository.

use std::path::{Path, PathBuf};

use super::direct_url::{is_commit, without_credentials};
use super::small_file;

/// A commit of a repository that others can reach.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Checkout {
    /// The URL of `origin`, without credentials.
    pub url: String,
    /// The commit that is checked out.
    pub commit: String,
    /// Where in the repository the folder is.
    pub subdirectory: Option<String>,
}

/// The checkout that `folder` is in, if its repository has a remote `origin` that is not on this machine.
pub(super) fn checkout(folder: &Path) -> Option<Checkout> {
    let root = folder.ancestors().take(32).find(|folder| folder.join(".git").exists())?;
    let git = git_folder(root)?;
    // A linked working tree shares all but its head.
    let common = match small_file(&git.join("commondir")) {
        Some(path) => git.join(path.trim()),
        None => git.clone(),
    };
    let url = remote_url(&small_file(&common.join("config"))?)?;
    let commit = head(&git, &common)?;
    let subdirectory = folder.strip_prefix(root).ok()?.to_str()?.to_owned();
    let plain = |path: &str| path.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    let subdirectory = Some(subdirectory).filter(|path| !path.is_empty());
    if !subdirectory.as_deref().is_none_or(plain) {
        return None;
    }
    Some(Checkout { url, commit, subdirectory })
}

/// `.git`, or what the file `.git` of a submodule or linked working tree names.
fn git_folder(root: &Path) -> Option<PathBuf> {
    let git = root.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    let text = small_file(&git)?;
    Some(root.join(text.lines().next()?.strip_prefix("gitdir:")?.trim()))
}

fn head(git: &Path, common: &Path) -> Option<String> {
    let head = small_file(&git.join("HEAD"))?;
    let head = head.trim();
    let Some(name) = head.strip_prefix("ref:").map(str::trim) else {
        return is_commit(head).then(|| head.to_owned());
    };
    if !name.starts_with("refs/") || name.split('/').any(|part| part == "..") {
        return None;
    }
    let loose = [git, common].into_iter().find_map(|folder| small_file(&folder.join(name)));
    let packed = || {
        let refs = small_file(&common.join("packed-refs"))?;
        let line = refs.lines().find(|line| line.split_once(' ').is_some_and(|(_, known)| known == name))?;
        Some(line.split(' ').next()?.to_owned())
    };
    loose.map(|text| text.trim().to_owned()).or_else(packed).filter(|commit| is_commit(commit))
}

/// The URL of `origin` in a repository's configuration, as pip can fetch it.
fn remote_url(config: &str) -> Option<String> {
    let mut in_origin = false;
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            in_origin = line == "[remote \"origin\"]";
        } else if in_origin
            && let Some((key, value)) = line.split_once('=')
            && key.trim() == "url"
        {
            return fetchable(value.trim());
        }
    }
    None
}

fn fetchable(text: &str) -> Option<String> {
    let url = match text.split_once("://") {
        Some(("https" | "http" | "ssh", _)) => text.to_owned(),
        Some(_) => return None,
        // `git@host:team/project`
        None => {
            let (host, path) =
                text.split_once(':').filter(|(host, _)| !host.contains('/') && host.contains('.'))?;
            format!("ssh://{host}/{}", path.trim_start_matches('/'))
        }
    };
    without_credentials(&url).map(|(url, _)| url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_are_written_as_pip_fetches_them() {
        let config = |url: &str| {
            format!(
                "[core]\n\tbare = false\n[remote \"up\"]\n\turl = no\n[remote \"origin\"]\n\turl = {url}\n"
            )
        };
        for (given, url) in [
            ("https://host.test/a/b.git", Some("https://host.test/a/b.git")),
            ("https://user:hunter2@host.test/a/b.git", Some("https://host.test/a/b.git")),
            ("git@host.test:a/b.git", Some("ssh://git@host.test/a/b.git")),
            ("/srv/repositories/b", None),
            ("file:///srv/b", None),
            ("../b", None),
        ] {
            assert_eq!(remote_url(&config(given)).as_deref(), url, "{given}");
        }
    }
}
