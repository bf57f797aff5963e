//! Records: small facts in JSON, such as "this artifact became that segment".

use std::io::{self, Write as _};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::scratch::file_in;
use crate::store::{name, rename_into};
use crate::{Error, Result, Store};

impl Store {
    /// The record, or `None` where there is none. One that cannot be read as a `T` counts as none: every record is a
    /// fact that can be found out again.
    pub fn record<T: DeserializeOwned>(&self, kind: &str, key: &str) -> Result<Option<T>> {
        match fs_err::read(self.named("records", kind, key)?) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the record, durable when this returns. It replaces an earlier one in one step. Commit the blobs that
    /// it names first.
    pub fn set_record<T: Serialize + ?Sized>(&self, kind: &str, key: &str, value: &T) -> Result<()> {
        let path = self.named("records", kind, key)?;
        let bytes = serde_json::to_vec(value).map_err(|source| Error::Record {
            kind: kind.to_owned(),
            key: key.to_owned(),
            source,
        })?;
        let mut file = file_in(self.own_tmp()?, "record-")?;
        file.write_all(&bytes)?;
        file.as_file().sync_all()?;
        let file = file.into_temp_path();
        rename_into(&file, &path)?;
        let _ = file.keep();
        Ok(())
    }

    /// The keys of all records of a kind, sorted.
    pub fn record_keys(&self, kind: &str) -> Result<Vec<String>> {
        let folder = self.root().join("records").join(name(kind)?);
        let mut keys: Vec<String> = names(&folder)?.collect::<io::Result<_>>()?;
        keys.sort_unstable();
        Ok(keys)
    }
}

/// The names in `folder` that the store could have given; none where there is no such folder.
pub(crate) fn names(folder: &std::path::Path) -> io::Result<impl Iterator<Item = io::Result<String>>> {
    let entries = match fs_err::read_dir(folder) {
        Ok(entries) => Some(entries),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    Ok(entries.into_iter().flatten().filter_map(|entry| match entry {
        Ok(entry) => entry.file_name().into_string().ok().filter(|text| name(text).is_ok()).map(Ok),
        Err(error) => Some(Err(error)),
    }))
}
