//! Makes wheels and Debian packages bit by bit, so that each bit can be wrong, and reads layers back.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libdeflater::{CompressionLvl, Compressor, crc32};
use provenv_definition::Digest;
use provenv_store::Store;
use sha2::{Digest as _, Sha256};

use crate::layer::{Compression, Layer, Part, join};
use crate::segment::{Error, Segment};

/// A store in a folder that goes away.
pub struct Fixture {
    pub store: Store,
    pub folder: tempfile::TempDir,
}

impl Default for Fixture {
    fn default() -> Self {
        Self::new()
    }
}

impl Fixture {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { store: Store::open(folder.path().join("store")).unwrap(), folder }
    }

    /// A file with these bytes, and their digest.
    pub fn artifact(&self, bytes: &[u8]) -> (PathBuf, Digest) {
        let digest = Digest::of(bytes);
        let path = self.folder.path().join(digest.hex());
        fs_err::write(&path, bytes).unwrap();
        (path, digest)
    }

    pub fn wheel(&self, name: &str, bytes: &[u8]) -> Result<Segment, Error> {
        Ok(self.whole_wheel(name, bytes)?.segment)
    }

    /// With what is known of it beyond its files.
    pub fn whole_wheel(&self, name: &str, bytes: &[u8]) -> Result<crate::segment::WheelSegment, Error> {
        let (path, digest) = self.artifact(bytes);
        crate::segment::wheel(&self.store, &path, &digest, name, (3, 11))
    }

    pub fn deb(&self, bytes: &[u8]) -> Result<crate::segment::DebSegment, Error> {
        let (path, digest) = self.artifact(bytes);
        crate::segment::deb(&self.store, &path, &digest, "demo_1_amd64.deb")
    }

    /// A layer of one segment.
    pub fn layer(&self, segment: &Segment) -> Layer {
        let folders =
            segment.directories.iter().map(|folder| (folder.path.clone(), folder.clone())).collect();
        let part = Part { segment, without: &BTreeSet::new() };
        join(&self.store, "test".to_owned(), Vec::new(), &[part], &folders).unwrap().0
    }

    /// What other tools see in a layer. Checks its digests and that no path occurs twice.
    pub fn contents(&self, layer: &Layer) -> BTreeMap<String, Seen> {
        let blob = self.store.read(&layer.digest).unwrap();
        assert_eq!(Digest::of(&blob), layer.digest);
        assert_eq!(blob.len() as u64, layer.size);
        let mut tar = Vec::new();
        match layer.compression {
            Compression::Zstd => tar = ::zstd::decode_all(&blob[..]).unwrap(),
            _ => drop(flate2::read::MultiGzDecoder::new(&blob[..]).read_to_end(&mut tar).unwrap()),
        }
        assert_eq!(Digest::of(&tar), layer.diff_id);
        assert_eq!(tar.len() as u64, layer.tar_size);
        let mut seen = BTreeMap::new();
        let mut archive = tar::Archive::new(&tar[..]);
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            let header = entry.header();
            assert_eq!(header.mtime().unwrap(), crate::tarball::MTIME, "{path}");
            let link = entry.link_name_bytes().map(|link| String::from_utf8(link.into_owned()).unwrap());
            let kind = header.entry_type();
            let mode = header.mode().unwrap();
            let owner = (header.uid().unwrap(), header.gid().unwrap());
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            let path = path.trim_end_matches('/').to_owned();
            for parent in crate::path::parents(&path) {
                assert!(seen.contains_key(parent), "{parent} comes before {path}");
            }
            let before = seen.insert(path.clone(), Seen { kind, mode, owner, link, bytes });
            assert!(before.is_none(), "{path} occurs twice");
        }
        seen
    }
}

/// An entry of a layer.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub kind: tar::EntryType,
    pub mode: u32,
    pub owner: (u64, u64),
    pub link: Option<String>,
    pub bytes: Vec<u8>,
}

/// A member of a zip archive, each field of which can be made to lie.
#[derive(Clone)]
pub struct ZipMember {
    pub name: Vec<u8>,
    /// The name in the member's own header.
    pub local_name: Vec<u8>,
    pub data: Vec<u8>,
    pub method: u16,
    pub local_method: u16,
    pub flags: u16,
    pub crc: u32,
    pub local_crc: u32,
    pub size: u64,
    pub mode: u32,
    pub made_by: u8,
    /// Where the directory says it is, if not where it is.
    pub offset: Option<u32>,
    /// Sizes stand in zip64 fields.
    pub zip64: bool,
}

pub fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::default());
    let mut raw = vec![0; compressor.deflate_compress_bound(bytes.len())];
    let length = compressor.deflate_compress(bytes, &mut raw).unwrap();
    raw.truncate(length);
    raw
}

impl ZipMember {
    pub fn new(name: &str, bytes: &[u8]) -> Self {
        let crc = crc32(bytes);
        Self {
            name: name.as_bytes().to_vec(),
            local_name: name.as_bytes().to_vec(),
            data: deflate(bytes),
            method: 8,
            local_method: 8,
            flags: 0,
            crc,
            local_crc: crc,
            size: bytes.len() as u64,
            mode: 0o100_644,
            made_by: 3,
            offset: None,
            zip64: false,
        }
    }

    pub fn stored(name: &str, bytes: &[u8]) -> Self {
        Self { data: bytes.to_vec(), method: 0, local_method: 0, ..Self::new(name, bytes) }
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// The bytes of a zip archive.
#[expect(clippy::cast_possible_truncation, reason = "tests' archives are small")]
pub fn zip(members: &[ZipMember]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    let u16 = |out: &mut Vec<u8>, value: u16| out.extend_from_slice(&value.to_le_bytes());
    let u32 = |out: &mut Vec<u8>, value: u32| out.extend_from_slice(&value.to_le_bytes());
    for member in members {
        let offset = member.offset.unwrap_or(out.len() as u32);
        let descriptor = member.flags & 8 != 0;
        let compressed = member.data.len() as u64;
        let extra = if member.zip64 {
            let mut extra = Vec::new();
            u16(&mut extra, 1);
            u16(&mut extra, 16);
            extra.extend_from_slice(&member.size.to_le_bytes());
            extra.extend_from_slice(&compressed.to_le_bytes());
            extra
        } else {
            Vec::new()
        };
        let narrow = |value: u64| if member.zip64 { u32::MAX } else { value as u32 };
        out.extend_from_slice(b"PK\x03\x04");
        for value in [20, member.flags, member.local_method, 0, 33] {
            u16(&mut out, value);
        }
        for value in [member.local_crc, narrow(compressed), narrow(member.size)] {
            u32(&mut out, if descriptor { 0 } else { value });
        }
        u16(&mut out, member.local_name.len() as u16);
        u16(&mut out, extra.len() as u16);
        out.extend_from_slice(&member.local_name);
        out.extend_from_slice(&extra);
        out.extend_from_slice(&member.data);
        if descriptor {
            out.extend_from_slice(b"PK\x07\x08");
            for value in [member.crc, compressed as u32, member.size as u32] {
                u32(&mut out, value);
            }
        }
        directory.extend_from_slice(b"PK\x01\x02");
        directory.extend_from_slice(&[20, member.made_by]);
        for value in [20, member.flags, member.method, 0, 33] {
            u16(&mut directory, value);
        }
        for value in [member.crc, narrow(compressed), narrow(member.size)] {
            u32(&mut directory, value);
        }
        u16(&mut directory, member.name.len() as u16);
        u16(&mut directory, extra.len() as u16);
        for value in [0, 0, 0] {
            u16(&mut directory, value);
        }
        u32(&mut directory, member.mode << 16);
        u32(&mut directory, offset);
        directory.extend_from_slice(&member.name);
        directory.extend_from_slice(&extra);
    }
    let at = out.len() as u32;
    out.extend_from_slice(&directory);
    out.extend_from_slice(b"PK\x05\x06");
    for value in [0, 0, members.len() as u16, members.len() as u16] {
        u16(&mut out, value);
    }
    u32(&mut out, directory.len() as u32);
    u32(&mut out, at);
    u16(&mut out, 0);
    out
}

pub const WHEEL: &str = "demo-1.0-py3-none-any.whl";
pub const SITE: &str = "opt/provenv/lib/python3.11/site-packages";

/// The row of `RECORD` for a file.
pub fn row(name: &str, bytes: &[u8]) -> String {
    format!("{name},sha256={},{}\n", URL_SAFE_NO_PAD.encode(Sha256::digest(bytes)), bytes.len())
}

/// The members of a right wheel with these files besides its own.
pub fn wheel_members(files: &[(&str, &[u8])]) -> Vec<ZipMember> {
    let metadata = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n";
    let wheel = b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    let own: [(&str, &[u8]); 2] =
        [("demo-1.0.dist-info/METADATA", metadata), ("demo-1.0.dist-info/WHEEL", wheel)];
    let all = files.iter().chain(&own);
    let mut record: String = all.clone().map(|(name, bytes)| row(name, bytes)).collect();
    record += "demo-1.0.dist-info/RECORD,,\n";
    let mut members: Vec<ZipMember> = all.map(|(name, bytes)| ZipMember::new(name, bytes)).collect();
    members.push(ZipMember::new("demo-1.0.dist-info/RECORD", record.as_bytes()));
    members
}

/// A member of a Debian package's archives.
pub struct TarMember {
    pub name: Vec<u8>,
    pub kind: tar::EntryType,
    pub mode: u32,
    pub owner: (u64, u64),
    pub link: String,
    pub bytes: Vec<u8>,
    /// The size that the header claims.
    pub size: u64,
}

impl TarMember {
    pub fn file(name: &str, bytes: &[u8]) -> Self {
        Self {
            name: name.as_bytes().to_vec(),
            kind: tar::EntryType::Regular,
            mode: 0o644,
            owner: (0, 0),
            link: String::new(),
            bytes: bytes.to_vec(),
            size: bytes.len() as u64,
        }
    }

    pub fn of(name: &str, kind: tar::EntryType, link: &str) -> Self {
        Self { kind, link: link.to_owned(), mode: 0o755, ..Self::file(name, b"") }
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

pub fn tar(members: &[TarMember]) -> Vec<u8> {
    let mut out = Vec::new();
    for member in members {
        let mut header = tar::Header::new_ustar();
        // Not the library's setters: they refuse what hostile archives hold.
        let fields = header.as_old_mut();
        fields.name[..member.name.len()].copy_from_slice(&member.name);
        fields.linkname[..member.link.len()].copy_from_slice(member.link.as_bytes());
        header.set_entry_type(member.kind);
        header.set_mode(member.mode);
        header.set_uid(member.owner.0);
        header.set_gid(member.owner.1);
        header.set_mtime(1_700_000_000);
        header.set_size(member.size);
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(&member.bytes);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.extend_from_slice(&[0; 1024]);
    out
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

pub fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        writeln!(out, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, "100644", bytes.len()).unwrap();
        out.extend_from_slice(bytes);
        if bytes.len() % 2 == 1 {
            out.push(b'\n');
        }
    }
    out
}

/// A Debian package with these data members and control files besides `control`.
pub fn deb(data: &[TarMember], control: &[(&str, &str)]) -> Vec<u8> {
    deb_of("demo", data, control)
}

/// A `.deb` of the package `name`.
pub fn deb_of(name: &str, data: &[TarMember], control: &[(&str, &str)]) -> Vec<u8> {
    let paragraph = format!("Package: {name}\nVersion: 1\nArchitecture: amd64\n");
    let mut members = vec![TarMember::file("./control", paragraph.as_bytes())];
    members.extend(control.iter().map(|(name, text)| TarMember::file(name, text.as_bytes())));
    ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", &xz(&tar(&members))),
        ("data.tar.xz", &xz(&tar(data))),
    ])
}

/// Bytes that do not compress away.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(length)
    .collect()
}
