//! The index of a subdir in each form that clients ask for: `repodata.json`, the same under zstd, and in shards (CEP 16).

use std::collections::BTreeMap;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::archive::zstd;
use crate::package::OLD_FORMAT;

/// What the index of a subdir lists.
#[derive(Debug, Default)]
pub(crate) struct Index<'a> {
    /// Records by file name.
    pub(crate) records: BTreeMap<&'a str, Record>,
    /// Files that were in it once.
    pub(crate) removed: Vec<&'a str>,
}

/// What an index says of a package.
#[derive(Clone, Debug)]
pub(crate) struct Record(pub(crate) Map<String, Value>);

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let binary = !serializer.is_human_readable();
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (field, value) in &self.0 {
            let digest = || hex::decode(value.as_str()?).ok();
            match digest().filter(|_| binary && matches!(field.as_str(), "sha256" | "md5")) {
                Some(digest) => map.serialize_entry(field, &Bytes(&digest))?,
                None => map.serialize_entry(field, value)?,
            }
        }
        map.end()
    }
}

/// Bytes as MessagePack's own type, not as a list of numbers.
struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

#[derive(Serialize)]
struct Packages<'a> {
    #[serde(rename = "packages")]
    old: BTreeMap<&'a str, &'a Record>,
    #[serde(rename = "packages.conda")]
    conda: BTreeMap<&'a str, &'a Record>,
    removed: Vec<&'a str>,
}

impl<'a> Packages<'a> {
    fn new(records: impl Iterator<Item = (&'a str, &'a Record)>, removed: Vec<&'a str>) -> Self {
        let (old, conda) = records.partition(|(file, _)| file.ends_with(OLD_FORMAT));
        Self { old, conda, removed }
    }
}

#[derive(Serialize)]
struct Repodata<'a> {
    info: Value,
    #[serde(flatten)]
    packages: Packages<'a>,
    #[serde(rename = "repodata_version")]
    version: u8,
}

#[derive(Serialize)]
struct Shards<'a> {
    version: u8,
    info: Value,
    #[serde(rename = "shards")]
    digests: BTreeMap<&'a str, Bytes<'a>>,
}

impl<'a> Index<'a> {
    fn packages(&'a self) -> impl Iterator<Item = (&'a str, &'a Record)> {
        self.records.iter().map(|(file, record)| (*file, record))
    }

    /// `repodata.json`.
    pub(crate) fn json(&self, subdir: &str) -> Vec<u8> {
        let repodata = Repodata {
            info: json!({ "subdir": subdir }),
            packages: Packages::new(self.packages(), self.removed.clone()),
            version: 1,
        };
        serde_json::to_vec_pretty(&repodata).expect("JSON values can be written")
    }

    /// `repodata_shards.msgpack.zst` and the shards that it names, by their paths in the subdir.
    pub(crate) fn shards(&self, subdir: &str) -> Vec<(String, Vec<u8>)> {
        let mut names: BTreeMap<&str, (Vec<_>, Vec<&str>)> = BTreeMap::new();
        for (file, record) in self.packages() {
            names.entry(record.0["name"].as_str().unwrap_or_default()).or_default().0.push((file, record));
        }
        for &file in &self.removed {
            names.entry(name_of(file)).or_default().1.push(file);
        }
        let mut files = Vec::new();
        let mut digests = BTreeMap::new();
        for (name, (records, removed)) in names {
            let shard = zstd(&packed(&Packages::new(records.into_iter(), removed)));
            let digest = Sha256::digest(&shard);
            files.push((format!("shards/{}.msgpack.zst", hex::encode(digest)), shard));
            digests.insert(name, digest);
        }
        let shards = Shards {
            version: 1,
            info: json!({ "subdir": subdir, "base_url": "./", "shards_base_url": "./shards/" }),
            digests: digests.iter().map(|(name, digest)| (*name, Bytes(digest))).collect(),
        };
        files.push(("repodata_shards.msgpack.zst".to_owned(), zstd(&packed(&shards))));
        files
    }
}

fn packed(value: &impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("memory takes all")
}

/// The package's name in a file name: neither version nor build has a dash.
fn name_of(file: &str) -> &str {
    file.rsplitn(3, '-').nth(2).unwrap_or(file)
}
