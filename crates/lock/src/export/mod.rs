//! A lock in the words of other tools: their lock files, or their lists of packages with every version pinned.

mod artifacts;
mod pinned;

use provenv_definition::{
    Environment, NotCarried, Platform, WriteError, WriteFormat, Written, write, write_lock,
};

use crate::Lock;

/// Why a lock cannot be written in a format.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The lock is not for this platform.
    #[error("the lock has nothing for {0}")]
    NoPlatform(Platform),
    /// The format is at fault.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl ExportError {
    /// What to do next.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoPlatform(_) => Some("name it under `platforms` in the definition and lock that"),
            Self::Write(error) => error.hint(),
        }
    }
}

/// What `lock` chose for `environment`, in `format`: for `platform`, or else for all platforms where the format has room for
/// them, and for the first where not.
pub fn export(
    environment: &Environment,
    lock: &Lock,
    platform: Option<Platform>,
    format: WriteFormat,
) -> Result<Written, ExportError> {
    if let Some(missing) = platform.filter(|platform| !lock.platforms.contains_key(platform)) {
        return Err(ExportError::NoPlatform(missing));
    }
    if format.is_lock() {
        let (artifacts, platforms, lost) = artifacts::of(lock, platform);
        let mut written = write_lock(environment, &artifacts, &platforms, format)?;
        written.not_carried.extend(lost);
        return Ok(written);
    }
    let first = lock.platforms.keys().next().copied().unwrap_or_default();
    let platform = platform.unwrap_or(first);
    let (pinned, mut lost) = pinned::environment(environment, lock, platform)?;
    let mut written = write(&pinned, format)?;
    for other in lock.platforms.keys().filter(|other| **other != platform) {
        let why = "this format is for one platform: --platform says which".to_owned();
        lost.push(NotCarried { what: format!("what was chosen for {other}"), why, counts: true });
    }
    if format == WriteFormat::Requirements
        && let Some(file) = written.files.first_mut()
    {
        file.text.insert_str(0, "# All packages: `pip install --no-deps --requirement requirements.txt`\n");
    }
    written.not_carried.splice(0..0, lost);
    Ok(written)
}
