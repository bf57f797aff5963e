//! Blobs in the making that outlive their process: what a client sends in many requests, to a server that may be killed between
//! two of them.

use std::io::{self, Seek as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use fs_err::{File, OpenOptions};
use provenv_definition::Hasher;
use tempfile::TempPath;

use crate::staged::Staged;
use crate::store::name;
use crate::{Result, Store};

/// Where they are.
pub(crate) const UPLOADS: &str = "uploads";

impl Store {
    /// A new blob in the making that [`Store::resume`] finds by `key` if this process dies, or [`Staged::keep`]s it. Dropped
    /// otherwise, it is gone.
    pub fn stage_as(&self, key: &str) -> Result<Staged> {
        let path = self.upload(key)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o666);
        let file = match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs_err::create_dir_all(self.root().join(UPLOADS))?;
                options.open(&path)?
            }
            opened => opened?,
        };
        // Held as long as this process lives and works on it.
        file.lock()?;
        Ok(Staged::of(self, file, TempPath::try_from_path(path)?, Hasher::new(), 0))
    }

    /// Goes on with what [`Store::stage_as`] began by this key, with the bytes that reached the file. `None` where there is no
    /// such thing, or where a living process has it. Reads what is there, to hash it.
    ///
    /// After a power cut there may be other bytes than were written; whoever commits with an expected digest will see.
    pub fn resume(&self, key: &str) -> Result<Option<Staged>> {
        let path = self.upload(key)?;
        let mut file = match OpenOptions::new().read(true).write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        // Another may have finished it, and removed its name, before it was locked here.
        if file.try_lock().is_err() || !path.exists() {
            return Ok(None);
        }
        let mut hasher = Hasher::new();
        let size = io::copy(&mut file, &mut hasher)?;
        file.seek(io::SeekFrom::Start(size))?;
        Ok(Some(Staged::of(self, file, TempPath::try_from_path(path)?, hasher, size)))
    }

    /// Removes what nobody has gone on with for so long.
    pub fn sweep_uploads(&self, older: Duration) -> Result<()> {
        let entries = match fs_err::read_dir(self.root().join(UPLOADS)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let Ok(changed) = entry.metadata().and_then(|metadata| metadata.modified()) else { continue };
            let age = SystemTime::now().duration_since(changed).unwrap_or_default();
            // What cannot be opened or removed is another user's to sweep, or was swept by another just now.
            if age >= older
                && let Ok(file) = File::open(entry.path())
                && file.try_lock().is_ok()
                && let Err(error) = fs_err::remove_file(entry.path())
            {
                tracing::debug!(%error, "an upload that nobody goes on with stays");
            }
        }
        Ok(())
    }

    fn upload(&self, key: &str) -> Result<PathBuf> {
        Ok(self.root().join(UPLOADS).join(name(key)?))
    }
}

impl Staged {
    /// Leaves it for [`Store::resume`], with every byte taken so far; of one without a key, nothing is left.
    pub fn keep(mut self) -> Result<()> {
        let is_named = self.path().parent() == Some(&self.store().root().join(UPLOADS));
        if is_named {
            io::Write::flush(&mut self)?;
            self.leave();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::Duration;

    use provenv_definition::Digest;

    use crate::Store;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        (folder, store)
    }

    #[test]
    fn what_is_kept_goes_on_where_it_was() {
        let (_folder, store) = store();
        let mut staged = store.stage_as("tea").unwrap();
        staged.write_all(b"green ").unwrap();
        assert!(store.resume("tea").unwrap().is_none(), "somebody has it");
        staged.keep().unwrap();
        let mut staged = store.resume("tea").unwrap().unwrap();
        assert_eq!(staged.size(), 6);
        staged.write_all(b"leaves").unwrap();
        let blob = staged.commit_expecting(&Digest::of(b"green leaves"), Some(12)).unwrap();
        assert_eq!(store.read(&blob.digest).unwrap(), b"green leaves");
        assert!(store.resume("tea").unwrap().is_none());
    }

    #[test]
    fn what_is_dropped_is_gone_and_what_is_left_is_swept() {
        let (folder, store) = store();
        drop(store.stage_as("dropped").unwrap());
        assert!(store.resume("dropped").unwrap().is_none());
        let living = store.stage_as("living").unwrap();
        store.stage_as("left").unwrap().keep().unwrap();
        store.sweep_uploads(Duration::from_hours(1)).unwrap();
        assert!(folder.path().join("store/uploads/left").exists());
        store.sweep_uploads(Duration::ZERO).unwrap();
        assert!(store.resume("left").unwrap().is_none());
        assert!(folder.path().join("store/uploads/living").exists());
        drop(living);
        assert!(store.stage_as("../tea").is_err() && store.resume("../format").is_err());
        store.stage().unwrap().keep().unwrap();
    }
}
