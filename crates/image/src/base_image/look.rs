//! Looking into an unpacked base: its links are followed as they are to be read inside it, and never out of it.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// So many links are followed on the way to a file (Linux's own limit).
const MOST_LINKS: usize = 40;

/// The root of an unpacked image that nobody writes to.
pub(crate) struct Look<'a> {
    root: &'a Path,
}

impl<'a> Look<'a> {
    pub fn new(root: &'a Path) -> Self {
        Self { root }
    }

    /// Where `path` leads in the end, from the image's root and without links on the way; `None` where it leads to nothing.
    pub fn real(&self, path: &str) -> Option<String> {
        let mut rest: Vec<String> = parts(path);
        let mut found: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = rest.pop() {
            if part == ".." {
                found.pop();
                continue;
            }
            found.push(part);
            let here = self.host(&found.join("/"));
            let kind = fs_err::symlink_metadata(&here).ok()?.file_type();
            if kind.is_symlink() {
                links += 1;
                let target = fs_err::read_link(&here).ok().filter(|_| links <= MOST_LINKS)?;
                let target = target.to_str()?;
                if target.starts_with('/') {
                    found.clear();
                } else {
                    found.pop();
                }
                rest.extend(parts(target));
            } else if !rest.is_empty() && !kind.is_dir() {
                return None;
            }
        }
        Some(found.join("/"))
    }

    /// The real path of a file; `None` where there is none.
    pub fn file(&self, path: &str) -> Option<String> {
        self.real(path).filter(|real| fs_err::symlink_metadata(self.host(real)).is_ok_and(|it| it.is_file()))
    }

    /// What a file holds, up to `most` bytes; nothing where there is none.
    pub fn bytes(&self, path: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(real) = self.file(path) else { return Ok(None) };
        let mut bytes = Vec::new();
        fs_err::File::open(self.host(&real))?.take(most).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// The names in a folder, sorted; none where there is none.
    pub fn names(&self, path: &str) -> Vec<String> {
        let Some(real) = self.real(path) else { return Vec::new() };
        let entries = fs_err::read_dir(self.host(&real)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        names
    }

    /// Whether something is at exactly this path, whatever it is.
    pub fn is_there(&self, path: &str) -> bool {
        fs_err::symlink_metadata(self.host(path)).is_ok()
    }

    /// Whether a symbolic link is at exactly this path.
    pub fn is_link(&self, path: &str) -> bool {
        fs_err::symlink_metadata(self.host(path)).is_ok_and(|metadata| metadata.is_symlink())
    }

    fn host(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

/// The parts of a path, the last first.
fn parts(path: &str) -> Vec<String> {
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    parts.rev().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use fs_err::os::unix::fs::symlink;

    use super::Look;

    #[test]
    fn links_lead_nowhere_but_inside() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs_err::create_dir_all(root.join("usr/bin")).unwrap();
        fs_err::write(folder.path().join("outside"), "secret").unwrap();
        fs_err::write(root.join("usr/bin/tool"), "tool").unwrap();
        for (target, link) in [
            ("usr/bin", "bin"),
            ("/usr/bin/tool", "absolute"),
            ("../../../../usr/bin/tool", "climbing"),
            ("../outside", "out"),
            ("loop", "loop"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        let look = Look::new(&root);
        for path in ["/bin/tool", "absolute", "climbing", "usr/../bin/tool", "usr/bin/./tool"] {
            assert_eq!(look.file(path).as_deref(), Some("usr/bin/tool"), "{path}");
        }
        for path in ["out", "loop", "bin", "bin/tool/x", "none", ""] {
            assert_eq!(look.file(path), None, "{path}");
        }
        assert_eq!(look.bytes("bin/tool", 2).unwrap().as_deref(), Some(&b"to"[..]));
        assert_eq!(look.names("/bin"), ["tool"]);
    }
}
