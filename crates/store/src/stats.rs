//! How much there is.

use std::io;

use provenv_definition::Digest;
use serde::Serialize;

use crate::gc::folder_bytes;
use crate::record::names;
use crate::{Result, Store};

/// How many things, and how many bytes they take together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// How many.
    pub count: u64,
    /// Their sizes added up.
    pub bytes: u64,
}

impl Usage {
    fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

/// How much there is in a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Blobs.
    pub blobs: Usage,
    /// Unpacked folders of this user's.
    pub trees: Usage,
    /// Records.
    pub records: Usage,
    /// Corrupt blobs moved aside.
    pub quarantine: Usage,
    /// Bytes that living processes have in the making.
    pub tmp_bytes: u64,
}

impl Store {
    /// How much there is. Others may add and remove meanwhile.
    pub fn stats(&self) -> Result<Stats> {
        let mut stats = Stats {
            tmp_bytes: folder_bytes(&self.root().join("tmp"))
                + folder_bytes(&self.root().join(crate::kept::UPLOADS)),
            ..Stats::default()
        };
        for (_, bytes) in self.blobs()? {
            stats.blobs.add(bytes);
        }
        let records = self.root().join("records");
        for (folder, usage) in [(self.trees(), &mut stats.trees), (records, &mut stats.records)] {
            for kind in names(&folder)? {
                let folder = folder.join(kind?);
                for key in names(&folder)? {
                    usage.add(folder_bytes(&folder.join(key?)));
                }
            }
        }
        let quarantine = self.quarantine();
        for name in names(&quarantine)? {
            stats.quarantine.add(folder_bytes(&quarantine.join(name?)));
        }
        Ok(stats)
    }

    /// All blobs with their sizes, sorted by digest. Files whose name is not a digest's are not the store's.
    pub(crate) fn blobs(&self) -> Result<Vec<(Digest, u64)>> {
        let folder = self.root().join("blobs/sha256");
        let mut blobs = Vec::new();
        for shard in names(&folder)? {
            let shard = shard?;
            for rest in names(&folder.join(&shard))? {
                let Ok(digest) = Digest::from_hex(&format!("{shard}{}", rest?)) else { continue };
                match fs_err::metadata(self.path(&digest)) {
                    Ok(metadata) => blobs.push((digest, metadata.len())),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        blobs.sort_unstable();
        Ok(blobs)
    }
}
