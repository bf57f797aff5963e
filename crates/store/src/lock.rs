//! Locks between processes: `flock` on files below `locks/`, which the kernel releases when a process dies.

use std::fs::TryLockError;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use fs_err::File;

use crate::{Result, Store};

/// An exclusive lock on a name of one's choice. Released when dropped, or when the process dies.
#[derive(Debug)]
pub struct Lease {
    _file: File,
}

/// While it lives, garbage collection removes nothing: for the time in which something is found or made. What is used for
/// longer is named by a [`Hold`](crate::Hold).
#[derive(Debug)]
pub struct SharedPin {
    store: Store,
    _file: File,
}

impl SharedPin {
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Mode {
    Shared,
    Exclusive,
}

impl Store {
    /// Waits until nobody else, in any process, holds `kind`/`key`, and holds it.
    pub fn lock(&self, kind: &str, key: &str) -> Result<Lease> {
        let path = self.named("locks", kind, key)?;
        Ok(Lease { _file: wait(&path, Mode::Exclusive)? })
    }

    /// Holds `kind`/`key` if nobody else does.
    pub fn try_lock(&self, kind: &str, key: &str) -> Result<Option<Lease>> {
        let path = self.named("locks", kind, key)?;
        Ok(attempt(&path, Mode::Exclusive)?.map(|file| Lease { _file: file }))
    }

    /// Like [`Store::lock`] for asynchronous code: dropping the future gives up waiting.
    ///
    /// It asks again and again rather than block a thread of the pool: a blocked thread cannot be told to stop, and
    /// would keep the runtime from shutting down.
    pub async fn lock_async(&self, kind: &str, key: &str) -> Result<Lease> {
        let path = self.named("locks", kind, key)?;
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(file) = attempt(&path, Mode::Exclusive)? {
                return Ok(Lease { _file: file });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(32));
        }
    }

    /// Keeps garbage collection away; waits while one is running.
    pub fn pin(&self) -> Result<SharedPin> {
        Ok(SharedPin { store: self.clone(), _file: wait(&self.gc_lock(), Mode::Shared)? })
    }

    /// Does the same and lets the thread do something else meanwhile.
    pub async fn pin_async(&self) -> Result<SharedPin> {
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(file) = attempt(&self.gc_lock(), Mode::Shared)? {
                return Ok(SharedPin { store: self.clone(), _file: file });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(32));
        }
    }

    pub(crate) fn gc_lock(&self) -> std::path::PathBuf {
        // Kinds and keys cannot begin with a dot, so these never clash with a lease.
        self.root().join("locks/.gc")
    }
}

/// Waits for the lock on `path`.
pub(crate) fn wait(path: &Path, mode: Mode) -> io::Result<File> {
    loop {
        let file = open(path)?;
        match mode {
            Mode::Shared => file.lock_shared()?,
            Mode::Exclusive => file.lock()?,
        }
        if is_still_there(&file)? {
            return Ok(file);
        }
    }
}

/// Takes the lock on `path` unless somebody else has it.
pub(crate) fn attempt(path: &Path, mode: Mode) -> io::Result<Option<File>> {
    loop {
        let file = open(path)?;
        let result = match mode {
            Mode::Shared => file.try_lock_shared(),
            Mode::Exclusive => file.try_lock(),
        };
        match result {
            Ok(()) if is_still_there(&file)? => return Ok(Some(file)),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Garbage collection unlinks lock files while it holds them; a file opened before and locked after that locks
/// nothing, as the next comer makes another.
fn is_still_there(file: &File) -> io::Result<bool> {
    match fs_err::metadata(file.path()) {
        Ok(there) => {
            let held = file.metadata()?;
            Ok((there.dev(), there.ino()) == (held.dev(), held.ino()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn open(path: &Path) -> io::Result<File> {
    let open = || File::options().read(true).write(true).create(true).truncate(false).open(path);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs_err::create_dir_all(path.parent().unwrap_or(path))?;
            open()
        }
        result => result,
    }
}
