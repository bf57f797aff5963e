//! A blob in the making.

use std::io::{self, Seek as _, Write};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fs_err::File;
use provenv_definition::{Digest, Hasher};
use serde::{Deserialize, Serialize};
use tempfile::TempPath;

use crate::scratch::file_in;
use crate::store::rename_into;
use crate::{Error, Result, Store};

/// Small writes are joined; hashing and system calls see at least this many bytes at once.
const BUFFER: usize = 128 * 1024;
/// The disk is set to work each time so many bytes were written, so that the flush at the end finds little to do.
const WRITE_BACK: u64 = 8 * 1024 * 1024;

/// Bytes in the store: their digest and how many they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Blob {
    /// Digest of the bytes.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
}

/// A blob in the making: takes bytes through [`Write`], hashes them on the way, and is gone when dropped without a
/// commit.
pub struct Staged {
    store: Store,
    file: File,
    path: TempPath,
    buffer: Vec<u8>,
    hasher: Hasher,
    /// Bytes taken, those in the buffer too.
    size: u64,
    /// Bytes that reached the file.
    written: u64,
    /// Of those, bytes for which the disk was set to work.
    written_back: u64,
}

impl Staged {
    pub(crate) fn new(store: &Store) -> Result<Self> {
        let named = file_in(store.own_tmp()?, "blob-")?;
        let (file, path) = named.into_parts();
        let file = File::from_parts(file, path.to_path_buf());
        Ok(Self::of(store, file, path, Hasher::new(), 0))
    }

    /// One whose file has `size` bytes, which were hashed, and is written to behind them.
    pub(crate) fn of(store: &Store, file: File, path: TempPath, hasher: Hasher, size: u64) -> Self {
        Self {
            store: store.clone(),
            file,
            path,
            buffer: Vec::with_capacity(BUFFER),
            hasher,
            size,
            written: size,
            written_back: size,
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves its file where it is.
    pub(crate) fn leave(self) {
        let _ = self.path.keep();
    }

    /// Bytes taken so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Forgets all bytes taken, to begin again.
    pub fn restart(&mut self) -> Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.buffer.clear();
        self.hasher = Hasher::new();
        self.size = 0;
        self.written = 0;
        self.written_back = 0;
        Ok(())
    }

    /// Makes it a blob: flushes it to disk, then gives it its name. Where the blob is there already, nothing is
    /// written.
    pub fn commit(mut self) -> Result<Blob> {
        self.drain()?;
        let digest = std::mem::take(&mut self.hasher).finish();
        self.place(digest)
    }

    /// Like [`Staged::commit`], but refuses bytes of another digest or, if given, size.
    pub fn commit_expecting(mut self, digest: &Digest, size: Option<u64>) -> Result<Blob> {
        self.drain()?;
        if let Some(expected) = size
            && expected != self.size
        {
            return Err(Error::Size { expected, actual: self.size });
        }
        let actual = std::mem::take(&mut self.hasher).finish();
        if actual != *digest {
            return Err(Error::Mismatch { expected: *digest, actual });
        }
        self.place(actual)
    }

    fn place(self, digest: Digest) -> Result<Blob> {
        // Somebody went on after a failed write, on a full disk for example.
        if self.written != self.size {
            return Err(Error::Size { expected: self.size, actual: self.written });
        }
        // One of another size is what a broken disk left: it is replaced.
        if let Some(blob) = self.store.blob(digest, self.size)? {
            return Ok(blob);
        }
        // Nobody writes to it any more; who may read it is for the umask to say.
        let mode = self.file.metadata()?.permissions().mode() & 0o444;
        self.file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        self.file.sync_all()?;
        rename_into(&self.path, &self.store.path(&digest))?;
        self.store.note_whole(digest);
        // The name in `tmp/` is gone; dropping the path would only fail to remove it.
        let _ = self.path.keep();
        Ok(Blob { digest, size: self.size })
    }

    fn drain(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let buffer = std::mem::take(&mut self.buffer);
        let result = self.write_through(&buffer);
        self.buffer = buffer;
        self.buffer.clear();
        result
    }

    fn write_through(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.file.write_all(bytes)?;
        self.written += bytes.len() as u64;
        if self.written - self.written_back >= WRITE_BACK {
            start_write_back(&self.file, self.written_back, self.written - self.written_back);
            self.written_back = self.written;
        }
        Ok(())
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.drain()?;
        }
        self.size += bytes.len() as u64;
        if bytes.len() >= BUFFER {
            self.write_through(bytes)?;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.drain()
    }
}

/// Asks the kernel to begin writing these bytes of `file` to disk, and does not wait. Left alone it would begin
/// after many seconds, and the flush at the end would have to wait for everything.
fn start_write_back(file: &File, from: u64, length: u64) {
    let (Ok(from), Ok(length)) = (i64::try_from(from), i64::try_from(length)) else { return };
    // SAFETY: the descriptor is open for as long as `file` lives, and the call takes no pointers. A failure is a
    // lost hint only. No maintained wrapper of this call exists in the crates we use.
    #[allow(unsafe_code)]
    unsafe {
        nix::libc::sync_file_range(file.as_raw_fd(), from, length, nix::libc::SYNC_FILE_RANGE_WRITE);
    }
}
