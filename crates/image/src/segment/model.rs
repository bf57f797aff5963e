//! What is known of a segment once it is made.

use std::collections::BTreeMap;

use provenv_definition::Digest;
use serde::{Deserialize, Serialize};

use super::conda::CondaPath;
use super::linkage::Linkage;
use crate::entry::Directory;

/// One artifact as compressed tar bytes: entries without their parent directories and without the end of the
/// archive, so that segments can be put one behind the other. Made once, kept for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The blob that holds the bytes.
    pub blob: Digest,
    /// Where they begin in it.
    pub offset: u64,
    /// How many they are, compressed.
    pub size: u64,
    /// How many they are, uncompressed: a multiple of 512.
    pub tar_size: u64,
    /// What is in it. Kept here and not as a blob: each blob costs two flushes of the disk.
    pub index: Index,
    /// Folders that the artifact has an opinion on, sorted by path.
    pub directories: Vec<Directory>,
    /// Set where the blob is also a whole layer (parents before, end of archive behind), so that a package alone
    /// in its layer is stored once.
    pub whole: Option<Whole>,
}

/// A blob that is a layer as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whole {
    /// Bytes of the blob.
    pub size: u64,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Bytes of the uncompressed tar.
    pub tar_size: u64,
}

/// What a segment holds and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Compressed and uncompressed length of each gzip member, in order.
    pub members: Vec<(u64, u64)>,
    /// The entries in the order of the archive.
    pub entries: Vec<Item>,
}

/// One entry of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Path from the image's root.
    pub path: String,
    /// What it is.
    pub kind: ItemKind,
    /// Permission bits.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Bytes of the file, 0 for links.
    pub size: u64,
    /// Where its first header begins in the segment's uncompressed bytes; it ends where the next one begins.
    pub at: u64,
    /// Bytes of its headers.
    pub header: u64,
}

/// What an entry of a segment is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// A file.
    File,
    /// A symbolic link with its target.
    Symlink(String),
    /// Another name of a file in the same segment.
    Hardlink(String),
}

/// A wheel as a segment, with what is to be known of it beyond its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WheelSegment {
    /// Its files.
    pub segment: Segment,
    /// What is known beyond them.
    pub facts: WheelFacts,
}

/// What is known of a wheel beyond the files it lays down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WheelFacts {
    /// What its objects link with.
    pub linkage: Linkage,
    /// Two of its paths that differ only in case, if there are such.
    pub case_pair: Option<(String, String)>,
}

/// A conda package as a segment, with what `conda-meta` needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CondaSegment {
    /// Its files.
    pub segment: Segment,
    /// What is known beyond them.
    pub facts: CondaFacts,
}

/// What is known of a conda package beyond the files it lays down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CondaFacts {
    /// `info/index.json` as it stands.
    pub index: String,
    /// What it lays down, by path under the prefix.
    pub paths: BTreeMap<String, CondaPath>,
    /// Scripts that conda would run when it links or unlinks it, by path: none is run here.
    pub scripts: Vec<String>,
    /// Two of its paths that differ only in case, if there are such.
    #[serde(default)]
    pub case_pair: Option<(String, String)>,
}

/// A `.deb` as a segment, with what the base state needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DebSegment {
    /// Its files.
    pub segment: Segment,
    /// What it says of itself.
    pub facts: DebFacts,
}

/// What a `.deb` says of itself, beyond the files it lays down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DebFacts {
    /// The control paragraph as it stands.
    pub control: String,
    /// The `md5sums` file, if there is one.
    pub md5sums: Option<String>,
    /// The paths in the `conffiles` file, as they stand there.
    pub conffiles: Vec<String>,
    /// Alternatives its `postinst` registers with literal words.
    pub alternatives: Vec<Alternative>,
    /// Which maintainer scripts it has: `preinst`, `postinst`, `prerm`, `postrm`, `config`.
    pub maintainer_scripts: Vec<String>,
    /// ELF shared objects among its files.
    pub libraries: Vec<Library>,
    /// Every path it lays down in the image, folders included, sorted: `usr/bin/awk`. dpkg's file lists and the
    /// choice of alternatives' slaves need them.
    pub paths: Vec<String>,
    /// Contents of the files that the base state is made from, by path: those for which
    /// [`crate::base_state::wants`] says so.
    #[serde(with = "hex_values")]
    pub files: BTreeMap<String, Vec<u8>>,
}

/// One `update-alternatives --install LINK NAME PATH PRIORITY [--slave LINK NAME PATH]…`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alternative {
    /// Generic name's link, e.g. `/usr/bin/awk`.
    pub link: String,
    /// Name of the group, e.g. `awk`.
    pub name: String,
    /// What stands for it, e.g. `/usr/bin/mawk`.
    pub path: String,
    /// The highest wins.
    pub priority: i32,
    /// Links that follow it: link, name, path.
    pub slaves: Vec<(String, String, String)>,
}

/// An ELF shared object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Library {
    /// Path from the image's root.
    pub path: String,
    /// `DT_SONAME`, if it has one.
    pub soname: Option<String>,
    /// 64 bits (`ELFCLASS64`), or 32.
    pub class64: bool,
    /// `e_machine`, e.g. 62 for x86-64.
    pub machine: u16,
    /// `e_flags`.
    pub flags: u32,
}

/// Bytes as hexadecimal text: JSON has no better.
mod hex_values {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(
        files: &BTreeMap<String, Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(files.iter().map(|(path, bytes)| (path, hex::encode(bytes))))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, Vec<u8>>, D::Error> {
        BTreeMap::<String, String>::deserialize(deserializer)?
            .into_iter()
            .map(|(path, text)| Ok((path, hex::decode(text).map_err(serde::de::Error::custom)?)))
            .collect()
    }
}
