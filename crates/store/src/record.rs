//! Records: small facts in JSON, such as "this artifact became that segment".
//!
//! A record says its own digest, because a flipped bit may well leave it readable and wrong: `{"sha256":"…","value":…}`. Those
//! that earlier versions have written are the value alone.

use std::io::{self, Write as _};

use provenv_definition::Digest;
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
            Ok(bytes) => Ok(value(&bytes).and_then(|value| serde_json::from_slice(value).ok())),
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
        file.write_all(&sealed(&bytes))?;
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

const HEAD: &[u8] = br#"{"sha256":""#;
const MIDDLE: &[u8] = br#"","value":"#;
const TAIL: &[u8] = b"}";

/// A value with its digest.
fn sealed(value: &[u8]) -> Vec<u8> {
    [HEAD, Digest::of(value).hex().as_bytes(), MIDDLE, value, TAIL].concat()
}

/// The value of a record, if it is what was written.
pub(crate) fn value(bytes: &[u8]) -> Option<&[u8]> {
    let sealed = bytes.strip_prefix(HEAD).and_then(|rest| rest.split_at_checked(64));
    let parts = sealed.and_then(|(hex, rest)| Some((hex, rest.strip_prefix(MIDDLE)?)));
    let Some((hex, rest)) = parts else { return Some(bytes) };
    let value = rest.strip_suffix(TAIL)?;
    (Digest::of(value).hex().as_bytes() == hex).then_some(value)
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
