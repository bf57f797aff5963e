//! Blobs of another store on the same machine, taken over without their bytes being written again.

use std::io;

use fs_err as fs;
use provenv_definition::Digest;

use crate::{Error, Result, Store};

impl Store {
    /// Makes a blob of `other` this store's too: the same file, as long as both are on one file system, else a checked copy.
    pub fn take_from(&self, other: &Self, digest: &Digest) -> Result<()> {
        if self.contains(digest) {
            return Ok(());
        }
        let (from, to) = (other.path(digest), self.path(digest));
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        match fs::hard_link(&from, &to) {
            Ok(()) => {
                // The name must outlive a power cut before anything says that it is there.
                if let Some(folder) = to.parent() {
                    fs::File::open(folder)?.sync_all()?;
                }
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::Missing(*digest)),
            // Another file system, or one without links.
            Err(_) => {
                let mut staged = self.stage()?;
                io::copy(&mut other.open_blob(digest)?, &mut staged)?;
                staged.commit_expecting(digest, None)?;
                Ok(())
            }
        }
    }
}
