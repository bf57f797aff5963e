//! Where a requirement says that its package is: a URL, a repository or a local path, and how the sandbox gets there.

use std::path::{Path, PathBuf};

use provenv_definition::{Digest, Hasher};
use url::Url;

use super::{Error, Result};

/// Folders that no build reads and that may be large.
const LEFT_OUT: &[&str] =
    &["__pycache__", ".venv", ".tox", ".nox", ".mypy_cache", ".ruff_cache", "node_modules"];

/// A copy of a folder, because builds write into theirs, and the digest of all that is in it.
pub(super) struct Snapshot {
    /// Where the copy is; removed when dropped.
    pub folder: tempfile::TempDir,
    /// Of names, kinds, modes and contents.
    pub digest: Digest,
}

impl Snapshot {
    /// Copies `folder` into `into`.
    pub(super) fn take(folder: &Path, into: tempfile::TempDir) -> Result<Self> {
        let mut hasher = Hasher::new();
        copy(folder, into.path(), Path::new(""), &mut hasher)?;
        Ok(Self { folder: into, digest: hasher.finish() })
    }
}

fn copy(from: &Path, to: &Path, below: &Path, hasher: &mut Hasher) -> Result<()> {
    let mut entries = fs_err::read_dir(from)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs_err::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| LEFT_OUT.contains(&name)) {
            continue;
        }
        let (path, target, below) = (entry.path(), to.join(&name), below.join(&name));
        let kind = entry.file_type()?;
        let mut add = |kind: &str, content: &[u8]| {
            for field in [kind.as_bytes(), below.as_os_str().as_encoded_bytes(), content] {
                hasher.update(&(field.len() as u64).to_le_bytes());
                hasher.update(field);
            }
        };
        if kind.is_dir() {
            add("directory", b"");
            fs_err::create_dir(&target)?;
            copy(&path, &target, &below, hasher)?;
        } else if kind.is_symlink() {
            let link = fs_err::read_link(&path)?;
            add("link", link.as_os_str().as_encoded_bytes());
            fs_err::os::unix::fs::symlink(link, &target)?;
        } else if kind.is_file() {
            // Copies the mode too.
            fs_err::copy(&path, &target)?;
            let executable = {
                use std::os::unix::fs::PermissionsExt as _;
                fs_err::metadata(&path)?.permissions().mode() & 0o111 != 0
            };
            let mut content = Hasher::new();
            std::io::copy(&mut fs_err::File::open(&target)?, &mut content)?;
            add(if executable { "executable" } else { "file" }, content.finish().as_bytes());
        }
        // Sockets, pipes and devices are part of no source.
    }
    Ok(())
}

/// `${NAME}`s in a text, in order.
pub(super) fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
}

/// `url` without user, password, query and fragment.
pub(super) fn bare(url: &Url) -> Url {
    let mut url = url.clone();
    // Both fail only for URLs that cannot have credentials, such as `file:`.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// The local path of a `file:` URL, its fragment put aside.
pub(super) fn local_path(url: &Url) -> Result<PathBuf> {
    let path = bare(url).to_file_path().map_err(|()| Error::NoLocal { path: url.path().into() })?;
    if path.exists() { Ok(path) } else { Err(Error::NoLocal { path }) }
}

/// By what a location in a definition and one in uv's lock are known to be the same.
pub(super) fn same_place(location: &str) -> String {
    let location = location.strip_prefix("git+").unwrap_or(location);
    let Ok(url) = Url::parse(location) else { return location.trim_end_matches('/').to_owned() };
    let url = bare(&url);
    let text = url.to_file_path().map_or_else(|()| url.to_string(), |path| path.display().to_string());
    text.trim_end_matches('/').to_owned()
}

/// A repository's URL without `@revision`.
pub(super) fn without_revision(url: &str) -> &str {
    let path = url.find("://").map_or(0, |at| at + 3);
    let path = url[path..].find('/').map_or(url.len(), |at| path + at);
    let end = url[path..].find('#').map_or(url.len(), |at| path + at);
    url[path..end].rfind('@').map_or(&url[..end], |at| &url[..path + at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found() {
        let found = |text| variables(text).collect::<Vec<_>>();
        assert_eq!(found("https://${USER}:${PASS}@h.test/${TEAM}/x"), ["USER", "PASS", "TEAM"]);
        assert_eq!(found("https://h.test/$x/${open"), [""; 0]);
    }

    #[test]
    fn places_are_the_same_however_they_are_written() {
        for (one, other) in [
            ("file:///a%20b/c/", "/a b/c"),
            ("https://me:pw@h.test/a.whl#sha256=0", "https://h.test/a.whl"),
            ("git+https://${T}@h.test/a", "https://h.test/a"),
        ] {
            assert_eq!(same_place(one), same_place(other));
        }
        assert_eq!(
            without_revision("git+https://git@h.test/a/b@v1#subdirectory=c"),
            "git+https://git@h.test/a/b"
        );
        assert_eq!(without_revision("git+ssh://git@h.test/a/b"), "git+ssh://git@h.test/a/b");
    }

    #[test]
    fn a_snapshot_is_known_by_what_is_in_it() {
        let source = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(source.path().join("a/__pycache__")).unwrap();
        fs_err::write(source.path().join("a/b.py"), "x").unwrap();
        fs_err::os::unix::fs::symlink("a/b.py", source.path().join("link")).unwrap();
        let take = || Snapshot::take(source.path(), tempfile::tempdir().unwrap()).unwrap();
        let first = take();
        fs_err::write(source.path().join("a/__pycache__/b.pyc"), "made by running it").unwrap();
        let second = take();
        assert_eq!(first.digest, second.digest);
        assert!(!second.folder.path().join("a/__pycache__").exists());
        assert_eq!(fs_err::read_to_string(second.folder.path().join("link")).unwrap(), "x");
        fs_err::write(source.path().join("a/b.py"), "y").unwrap();
        assert_ne!(take().digest, first.digest);
    }
}
