//! Conda packages of both kinds, made for the tests.

use std::io::Write as _;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::support::{TarMember, ZipMember, tar, zip, zstd};

/// Where packages say they were built.
pub const OLD: &str = "/home/builder/work/placeholder_placeholder_placeholder";

/// What a package holds, and what it says of itself.
pub struct Conda {
    pub index: serde_json::Value,
    pub link: Option<serde_json::Value>,
    pub paths: Vec<serde_json::Value>,
    pub members: Vec<TarMember>,
}

impl Conda {
    pub fn new() -> Self {
        Self::named("demo", "1.0")
    }

    pub fn named(name: &str, version: &str) -> Self {
        Self {
            index: json!({ "name": name, "version": version, "build": "h0_0", "build_number": 0 }),
            link: None,
            paths: Vec::new(),
            members: Vec::new(),
        }
    }

    pub fn noarch_python(entry_points: &[&str]) -> Self {
        let mut package = Self::new();
        package.index["noarch"] = "python".into();
        package.link = Some(json!({ "noarch": { "type": "python", "entry_points": entry_points } }));
        package
    }

    pub fn file(mut self, path: &str, bytes: &[u8], mode: Option<&str>) -> Self {
        let mut listed = json!({
            "_path": path, "path_type": "hardlink", "size_in_bytes": bytes.len(),
            "sha256": hex::encode(Sha256::digest(bytes)),
        });
        if let Some(mode) = mode {
            listed["prefix_placeholder"] = OLD.into();
            listed["file_mode"] = mode.into();
        }
        self.paths.push(listed);
        self.members.push(TarMember::file(path, bytes));
        self
    }

    pub fn member(mut self, path_type: &str, member: TarMember) -> Self {
        let path = String::from_utf8(member.name.clone()).unwrap();
        self.paths.push(json!({ "_path": path, "path_type": path_type }));
        self.members.push(member);
        self
    }

    fn info(&self) -> Vec<TarMember> {
        let text =
            |name: &str, value: &serde_json::Value| TarMember::file(name, value.to_string().as_bytes());
        let mut members = vec![
            text("info/index.json", &self.index),
            text("info/paths.json", &json!({ "paths": self.paths, "paths_version": 1 })),
        ];
        members.extend(self.link.as_ref().map(|link| text("info/link.json", link)));
        members
    }

    pub fn conda(&self) -> Vec<u8> {
        let text = |field: &str| self.index[field].as_str().unwrap();
        let stem = format!("{}-{}-{}", text("name"), text("version"), text("build"));
        zip(&[
            ZipMember::stored("metadata.json", b"{\"conda_pkg_format_version\": 2}"),
            ZipMember::stored(&format!("pkg-{stem}.tar.zst"), &zstd(&tar(&self.members))),
            ZipMember::stored(&format!("info-{stem}.tar.zst"), &zstd(&tar(&self.info()))),
        ])
    }

    /// What is in a `.tar.bz2`.
    pub fn tar(self) -> Vec<u8> {
        // What a package says of itself may stand behind its files.
        let info = self.info();
        let all: Vec<TarMember> = self.members.into_iter().chain(info).collect();
        tar(&all)
    }

    pub fn tar_bz2(self) -> Vec<u8> {
        bz2(&self.tar())
    }
}

pub fn bz2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
