//! Ways in for `fuzz/`: what must hold of any bytes that an archive sends.

use fs_err::File;

use super::index::{self, Index};
use super::package::Package;
use super::{apt, relation, release::Release, signed};

/// A list of packages: it is kept, and what is kept can be asked.
pub fn packages(data: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    if index::build(data, &mut file).is_err() {
        return;
    }
    let index =
        Index::open(File::open(file.path()).expect("the file just written")).expect("as just written");
    let names: Vec<&str> = index.names().collect();
    for name in names.iter().take(16) {
        let paragraphs = index.named(name).expect("as just written");
        assert!(!paragraphs.is_empty(), "{name:?} is named and not found");
        for paragraph in &paragraphs {
            let _ = Package::parse(paragraph, 0).map(|package| (package.id(), package.upstream_version()));
        }
        let _ = index.providing(name).expect("as just written");
    }
}

/// A kept list that was damaged.
pub fn kept(data: &[u8]) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs_err::write(file.path(), data).expect("a temporary file");
    let Ok(index) = Index::open(File::open(file.path()).expect("the file just written")) else { return };
    for name in index.names().take(16) {
        let _ = index.named(name);
        let _ = index.providing(name);
    }
}

/// Relations: what was read reads back as it is written.
pub fn relations(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let _ = relation::parse_list(text);
    let Ok(field) = relation::parse_field(text) else { return };
    let written: Vec<String> = field.iter().map(ToString::to_string).collect();
    assert_eq!(relation::parse_field(&written.join(", ")).as_ref(), Ok(&field), "{written:?}");
}

/// The statement on a suite.
pub fn release(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(release) = Release::parse(text) {
        let _ = release.check("stable", jiff::Timestamp::UNIX_EPOCH, false);
        let _ = release.packages("main", "amd64").map(|file| file.by_hash());
    }
}

/// A message with its signatures.
pub fn signature(data: &[u8]) {
    let _ = signed::read_detached(data);
    if let Ok(text) = str::from_utf8(data) {
        let _ = signed::read_cleartext(text);
    }
}

/// apt's lists of sources.
pub fn sources(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        let _ = (apt::parse_list(text), apt::parse_deb822(text));
    }
}
