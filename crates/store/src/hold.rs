//! Holds: what a living process uses for long, left alone by garbage collection while all else may go.
//!
//! A pin keeps every collection waiting, so it is for the time in which something is found or made. A hold names the few
//! things that are needed from then on, such as the unpacked layers of a run that trains for a week. It is a file in the
//! process's own folder below `tmp/`, whose lock the kernel releases when the process dies: no hold outlives its process.

use std::fmt;
use std::io::{self, Write as _};

use tempfile::TempPath;

use crate::gc::Roots;
use crate::lock::SharedPin;
use crate::scratch::{self, file_in};
use crate::{Result, Store};

/// How the files are called.
const PREFIX: &str = "hold-";

/// While it lives, garbage collection leaves what it names.
pub struct Hold {
    // Removed before the store's folder in `tmp/` goes.
    _file: TempPath,
    _store: Store,
}

impl SharedPin {
    /// Holds what `roots` names. The pin may go then: nothing can be removed between the two.
    pub fn hold(&self, roots: &Roots) -> Result<Hold> {
        let store = self.store().clone();
        let bytes = serde_json::to_vec(roots).expect("roots are plain data");
        let mut file = file_in(store.own_tmp()?, PREFIX)?;
        // Not flushed: it is of no use when the machine has gone down.
        file.write_all(&bytes)?;
        Ok(Hold { _file: file.into_temp_path(), _store: store })
    }
}

impl Store {
    /// What living processes hold. For whoever has the right to remove: nobody begins a hold meanwhile.
    pub(crate) fn held(&self) -> Result<Roots> {
        let mut roots = Roots::default();
        for folder in scratch::living(self.root())? {
            let entries = match fs_err::read_dir(&folder) {
                Ok(entries) => entries,
                // Its process has just ended.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            for entry in entries {
                let entry = entry?;
                if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
                    continue;
                }
                match fs_err::read(entry.path()) {
                    // One that does not read would let go of what is in use: better not to collect at all.
                    Ok(bytes) => roots.extend(serde_json::from_slice(&bytes).map_err(|error| {
                        let path = entry.path();
                        io::Error::other(format!("`{}` cannot be read: {error}", path.display()))
                    })?),
                    // Whoever held it has just ended.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(roots)
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").finish_non_exhaustive()
    }
}
