//! Ways in for `fuzz/`: what must hold of any bytes that call themselves a package.

use std::io::{Read as _, Write as _};

use fs_err::File;
use libdeflater::Decompressor;
use provenv_store::Store;

use super::ar::Ar;
use super::record::Record;
use super::zip::Zip;
use crate::marshal;

/// Small enough that a member read as a whole is no finding.
const LIMIT: u64 = 1 << 20;

fn file(data: &[u8]) -> (tempfile::NamedTempFile, File) {
    let temporary = tempfile::NamedTempFile::new().expect("a temporary file");
    fs_err::write(temporary.path(), data).expect("a temporary file");
    let file = File::open(temporary.path()).expect("the file just written");
    (temporary, file)
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path().join("store")).expect("a new store");
    (folder, store)
}

/// A zip archive: each member is read, or refused.
pub fn zip(data: &[u8]) {
    let (_temporary, file) = file(data);
    let Ok(zip) = Zip::open(file) else { return };
    let mut inflater = Decompressor::new();
    for member in zip.members.iter().take(64) {
        assert!(zip.find(&member.name).is_some());
        if let Ok(bytes) = zip.read(member, LIMIT, &mut inflater) {
            assert_eq!(bytes.len() as u64, member.size, "{}", member.name);
        }
    }
}

/// A wheel becomes a segment, or is refused.
pub fn wheel(data: &[u8]) {
    let ((_temporary, file), (_folder, store)) = (file(data), store());
    let _ = super::wheel::make(&store, file, "package-1.0-py3-none-any.whl", (3, 11));
}

/// The tar in a conda package becomes a segment, or is refused; nothing lies outside of the prefix, and the record says so.
///
/// The tar as it stands: behind a checksum no input would get far.
pub fn conda_package(data: &[u8]) {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    let packed = encoder.write_all(data).and_then(|()| encoder.finish()).expect("memory takes all");
    let ((_temporary, file), (_folder, store)) = (file(&packed), store());
    let Ok(made) = super::conda::make(&store, file, "package-1.0-0.tar.bz2", Some((3, 11))) else { return };
    for item in &made.segment.index.entries {
        let below = item.path.strip_prefix(super::PREFIX).and_then(|path| path.strip_prefix('/'));
        assert!(crate::path::problem(&item.path).is_none(), "{}", item.path);
        assert!(below.is_some_and(|path| made.facts.paths.contains_key(path)), "{}", item.path);
    }
    let package = provenv_lock::CondaPackage {
        name: "package".to_owned(),
        version: "1.0".to_owned(),
        build: "0".to_owned(),
        build_number: 0,
        subdir: "noarch".to_owned(),
        artifact: provenv_lock::Artifact {
            url: "https://conda.example.org/noarch/package-1.0-0.tar.bz2".parse().expect("a URL"),
            size: 0,
            sha256: provenv_definition::Digest::of(&packed),
        },
        md5: None,
        depends: Vec::new(),
        constrains: Vec::new(),
        requested: false,
    };
    let record = crate::conda_meta::record(&package, &made.facts, &Default::default()).text;
    let record: serde_json::Value = serde_json::from_str(&record).expect("a record is JSON");
    assert_eq!(record["name"], "package");
}

/// A Debian package becomes a segment, or is refused.
pub fn deb(data: &[u8]) {
    let ((_temporary, file), (_folder, store)) = (file(data), store());
    let _ = super::deb::make(&store, file, "package_1.0_all.deb");
}

/// An `ar` archive gives no more bytes than it has.
pub fn ar(data: &[u8]) {
    let Ok(mut ar) = Ar::open(data) else { return };
    let mut total = 0;
    while let Ok(Some(_)) = ar.next() {
        let mut bytes = Vec::new();
        let _ = (&mut ar).take(LIMIT).read_to_end(&mut bytes);
        total += bytes.len();
    }
    assert!(total <= data.len());
}

/// `RECORD`.
pub fn record(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        let _ = Record::parse(text, |_| true).map(|record| {
            let mut check = record.check("package/__init__.py");
            check.update(data);
            check.finish(data.len() as u64).is_ok()
        });
    }
}

/// `entry_points.txt`, and a script's first line.
pub fn entry_points(data: &[u8]) {
    let _ = super::scripts::rewritten(data);
    if let Ok(text) = str::from_utf8(data) {
        let _ = super::scripts::entry_points(text, (3, 11));
    }
}

/// A shared object.
pub fn elf(data: &[u8]) {
    let part = |from: u64, length: u64| {
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(data.len());
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        data[from..from.saturating_add(length).min(data.len())].to_vec()
    };
    let read = super::elf::read::<()>(&mut |parts| {
        Ok(parts.iter().map(|&(from, length)| part(from, length)).collect())
    });
    assert!(read.is_ok());
}

/// Python's bytecode: its one form is its own one form.
pub fn bytecode(data: &[u8]) {
    let Some((minor, data)) = data.split_first() else { return };
    let minor = 8 + u32::from(minor % 7);
    if let Ok(once) = marshal::canonical(data, minor) {
        let again = marshal::canonical(&once, minor).expect("its own output");
        assert_eq!(again, once, "{minor}");
    }
}
