//! The two kinds of archives.

use std::io::{Cursor, Write as _};

use md5::Md5;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;

use crate::content::{Content, Entry};
use crate::info;
use crate::package::Package;

/// A package that is made.
#[derive(Clone, Debug)]
pub struct Archive {
    /// Its file name.
    pub file_name: String,
    /// The folder of the channel that it is in.
    pub subdir: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What the index of a channel says of it.
    pub record: Map<String, Value>,
}

impl Archive {
    /// sha256 of its bytes in hexadecimal.
    pub fn sha256(&self) -> &str {
        self.record["sha256"].as_str().expect("every record has a digest")
    }
}

impl From<Package> for Archive {
    fn from(package: Package) -> Self {
        package.make()
    }
}

/// What the record of a channel leaves out of `index.json`: the subdir says it.
const NOT_INDEXED: [&str; 2] = ["arch", "platform"];

pub(crate) fn make(package: &Package) -> Archive {
    let index = info::index(package);
    let entries = package.contents();
    let info = info::files(package, &index, &entries);
    let seconds = package.timestamp / 1000;
    let bytes = if package.old_format {
        tar_bz2(&info, &entries, seconds)
    } else {
        conda(package, &info, &entries, seconds)
    };
    let mut record = index;
    record.retain(|field, _| !NOT_INDEXED.contains(&field.as_str()));
    record.insert("md5".to_owned(), json!(hex::encode(Md5::digest(&bytes))));
    record.insert("sha256".to_owned(), json!(hex::encode(Sha256::digest(&bytes))));
    record.insert("size".to_owned(), json!(bytes.len()));
    Archive { file_name: package.file_name(), subdir: package.subdir.clone(), bytes, record }
}

fn conda(package: &Package, info: &[Entry], entries: &[Entry], seconds: u64) -> Vec<u8> {
    let stem = package.stem();
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let members = [
        ("metadata.json".to_owned(), br#"{"conda_pkg_format_version": 2}"#.to_vec()),
        (format!("pkg-{stem}.tar.zst"), zstd(&tar(entries, seconds))),
        // Last, so that readers find it with one request for the end of the file.
        (format!("info-{stem}.tar.zst"), zstd(&tar(info, seconds))),
    ];
    for (name, bytes) in members {
        let options = SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored)
            .last_modified_time(zip::DateTime::default());
        archive.start_file(name, options).expect("a fresh name");
        archive.write_all(&bytes).expect("memory takes all");
    }
    archive.finish().expect("memory takes all").into_inner()
}

fn tar_bz2(info: &[Entry], entries: &[Entry], seconds: u64) -> Vec<u8> {
    let all: Vec<Entry> = info.iter().chain(entries).cloned().collect();
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    encoder.write_all(&tar(&all, seconds)).and_then(|()| encoder.finish()).expect("memory takes all")
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("memory takes all")
}

fn tar(entries: &[Entry], seconds: u64) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    // A hard link comes behind what it leads to, wherever its name would put it.
    let is_link = |entry: &&Entry| matches!(entry.content, Content::Hardlink(_));
    for entry in entries.iter().filter(|entry| !is_link(entry)).chain(entries.iter().filter(is_link)) {
        let mut header = tar::Header::new_gnu();
        header.set_mtime(seconds);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        header.set_mode(0o664);
        let done = match &entry.content {
            Content::File { bytes, executable, .. } => {
                header.set_size(bytes.len() as u64);
                header.set_mode(if *executable { 0o775 } else { 0o664 });
                archive.append_data(&mut header, &entry.path, &bytes[..])
            }
            Content::Symlink(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_mode(0o777);
                archive.append_link(&mut header, &entry.path, target)
            }
            Content::Hardlink(target) => {
                header.set_entry_type(tar::EntryType::Link);
                archive.append_link(&mut header, &entry.path, target)
            }
            Content::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(0o775);
                archive.append_data(&mut header, format!("{}/", entry.path), std::io::empty())
            }
        };
        done.expect("memory takes all, and paths are relative");
    }
    archive.into_inner().expect("memory takes all")
}
