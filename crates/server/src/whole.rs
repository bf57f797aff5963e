//! Files that are there as a whole or not at all, whoever reads them and whatever stops who writes them. Each has a name of its
//! own until then: two servers of one folder, in containers, may have one process number.

use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

/// What the names of those that are being written end in: a back-up leaves these out.
const ENDING: &str = ".new";

/// Makes a file for its owner alone; says whether it did. Whoever comes second leaves what is there.
pub(crate) fn make(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let (folder, file) = written(path, bytes)?;
    match file.persist_noclobber(path) {
        Ok(_) => synced(&folder).map(|()| true),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.error),
    }
}

/// Puts a file in the place of another at once.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (folder, file) = written(path, bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    synced(&folder)
}

/// The file beside its place, on disk.
fn written(path: &Path, bytes: &[u8]) -> io::Result<(std::path::PathBuf, NamedTempFile)> {
    let folder = std::path::absolute(path)?;
    let folder = folder.parent().ok_or_else(|| io::Error::from(ErrorKind::InvalidInput))?.to_owned();
    // It has the mode 0600 from the beginning.
    let mut file = tempfile::Builder::new().prefix(".").suffix(ENDING).tempfile_in(&folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok((folder, file))
}

/// So that the name, too, outlives a power cut.
fn synced(folder: &Path) -> io::Result<()> {
    fs_err::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{make, replace};

    #[test]
    fn of_many_who_make_a_file_one_does_and_all_read_the_whole_of_it() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..50 {
            let path = folder.path().join(format!("key-{round}"));
            let made = std::thread::scope(|scope| {
                let one = |number: u8| {
                    let path = path.clone();
                    scope.spawn(move || {
                        let text = vec![b'a' + number; 4096];
                        let made = make(&path, &text).unwrap();
                        let there = fs_err::read(&path).unwrap();
                        assert!(there.len() == 4096 && there.iter().all(|byte| *byte == there[0]));
                        assert!(!made || there == text, "who made it finds it");
                        made
                    })
                };
                let all: Vec<_> = (0..8).map(one).collect();
                all.into_iter().map(|one| one.join().unwrap()).filter(|made| *made).count()
            });
            assert_eq!(made, 1);
            assert_eq!(fs_err::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 50, "nothing is left beside them");
    }

    #[test]
    fn who_reads_what_is_replaced_reads_one_or_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        make(&path, &[b'a'; 4096]).unwrap();
        std::thread::scope(|scope| {
            for number in 0..4_u8 {
                let path = &path;
                scope.spawn(move || (0..25).for_each(|_| replace(path, &[b'a' + number; 4096]).unwrap()));
            }
            for _ in 0..200 {
                let there = fs_err::read(&path).unwrap();
                assert!(there.len() == 4096 && there.iter().all(|byte| *byte == there[0]));
            }
        });
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
    }
}
