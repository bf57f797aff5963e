//! The code of a run: copied as it was, so that the record stays true when the folder changes.

use std::io;
use std::path::Path;

use ignore::WalkBuilder;
use provenv_definition::{Digest, Hasher};

/// The folder in the working folder that a run's outputs are seen in.
pub(crate) const OUTPUTS: &str = "outputs";

/// Copies `from` into the empty folder `to`, leaving out what `.amlignore`, or else `.gitignore`, says, and `.git`.
/// A workspace that lies in it stays out too, and so does a folder `outputs`, in whose place are the run's own. Returns the digest of what was copied: paths, modes and contents.
pub(crate) fn copy(from: &Path, to: &Path, workspace: &Path) -> io::Result<Digest> {
    if !from.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotADirectory, "`code` names a folder, and this is none"));
    }
    let workspace = fs_err::canonicalize(workspace)?;
    let ignore_file = if from.join(".amlignore").is_file() { ".amlignore" } else { ".gitignore" };
    let walk = WalkBuilder::new(from)
        .standard_filters(false)
        .parents(false)
        .add_custom_ignore_filename(ignore_file)
        .filter_entry(move |entry| {
            let outputs = entry.depth() == 1
                && entry.file_name() == OUTPUTS
                && entry.file_type().is_some_and(|kind| kind.is_dir());
            !outputs
                && entry.file_name() != ".git"
                && !fs_err::canonicalize(entry.path()).is_ok_and(|path| path == workspace)
        })
        .sort_by_file_name(Ord::cmp)
        .build();
    let mut hasher = Hasher::new();
    for entry in walk {
        let entry = entry.map_err(io::Error::other)?;
        let Ok(path) = entry.path().strip_prefix(from) else { continue };
        if path.as_os_str().is_empty() {
            continue;
        }
        let target = to.join(path);
        let Some(kind) = entry.file_type() else { continue };
        let contents = if kind.is_dir() {
            fs_err::create_dir(&target)?;
            continue;
        } else if kind.is_symlink() {
            let link = fs_err::read_link(entry.path())?;
            fs_err::os::unix::fs::symlink(&link, &target)?;
            Digest::of(link.as_os_str().as_encoded_bytes())
        } else if kind.is_file() {
            fs_err::copy(entry.path(), &target)?;
            let mut file = Hasher::new();
            io::copy(&mut fs_err::File::open(&target)?, &mut file)?;
            file.finish()
        } else {
            // Sockets, pipes and devices are no code.
            continue;
        };
        let name = path.as_os_str().as_encoded_bytes();
        hasher.update(&(name.len() as u64).to_be_bytes());
        hasher.update(name);
        hasher.update(&[u8::from(kind.is_symlink()), u8::from(is_executable(&target)?)]);
        hasher.update(contents.as_bytes());
    }
    Ok(hasher.finish())
}

fn is_executable(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = fs_err::symlink_metadata(path)?;
    Ok(metadata.is_file() && metadata.permissions().mode() & 0o100 != 0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_ignored_stays_out_and_does_not_count() {
        let from = tempfile::tempdir().unwrap();
        fs_err::write(from.path().join("train.py"), "print(1)\n").unwrap();
        fs_err::write(from.path().join(".gitignore"), "data/\n").unwrap();
        let workspace = tempfile::tempdir().unwrap();
        let copy = |to: &std::path::Path| super::copy(from.path(), to, workspace.path()).unwrap();
        let first = copy(tempfile::tempdir().unwrap().path());
        fs_err::create_dir_all(from.path().join("data")).unwrap();
        fs_err::write(from.path().join("data/big.csv"), "1,2\n").unwrap();
        fs_err::create_dir_all(from.path().join("outputs")).unwrap();
        fs_err::write(from.path().join("outputs/of an earlier run"), "").unwrap();
        let to = tempfile::tempdir().unwrap();
        assert_eq!(copy(to.path()), first);
        assert!(to.path().join("train.py").exists() && !to.path().join("data").exists());
        assert!(!to.path().join("outputs").exists());
        fs_err::write(from.path().join("train.py"), "print(2)\n").unwrap();
        assert_ne!(copy(tempfile::tempdir().unwrap().path()), first);
    }
}
