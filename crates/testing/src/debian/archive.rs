//! Suites of packages, their lists and their signed releases (the layout of `dists` and `pool`).

use std::collections::BTreeMap;
use std::io::Write as _;

use jiff::{Timestamp, ToSpan as _};
use sha2::{Digest as _, Sha256};

use super::deb::Deb;
use super::key::{Hash, Key};
use crate::server::FileTree;

/// A suite in the making.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The folder under `dists`.
    pub folder: String,
    /// What the release says of itself.
    pub codename: String,
    /// Its class, e.g. `stable`.
    pub class: String,
    /// Whose it is.
    pub origin: String,
    /// When it was made.
    pub date: Timestamp,
    /// When its time is over.
    pub valid_until: Option<Timestamp>,
    /// Whether lists are offered under their digests.
    pub by_hash: bool,
    /// How its release is hashed for the signature.
    pub hash: Hash,
    /// Whether the release is signed in itself (`InRelease`); a detached signature is always there.
    pub inline: bool,
    packages: Vec<Deb>,
    universe: Vec<Deb>,
}

impl Suite {
    /// An empty suite, made an hour ago and valid for a week.
    pub fn new(codename: &str) -> Self {
        let now = Timestamp::now();
        Self {
            folder: codename.to_owned(),
            codename: codename.to_owned(),
            class: format!("class-of-{codename}"),
            origin: "Debian".to_owned(),
            date: now - 1.hour(),
            valid_until: Some(now + 168.hours()),
            by_hash: true,
            hash: Hash::Sha256,
            inline: true,
            packages: Vec::new(),
            universe: Vec::new(),
        }
    }

    /// Adds a package.
    #[must_use]
    pub fn with(mut self, deb: Deb) -> Self {
        self.packages.push(deb);
        self
    }

    /// Adds a package in the component `universe`, as Ubuntu has it.
    #[must_use]
    pub fn with_universe(mut self, deb: Deb) -> Self {
        self.universe.push(deb);
        self
    }

    /// Adds tiny stand-ins for the packages `base` and what they need, with this Python (e.g. `3.11.2`) and a glibc 2.36.
    #[must_use]
    pub fn with_base(mut self, base: &[&str], python: &str) -> Self {
        let minor = python.rsplit_once('.').map_or(python, |(minor, _)| minor);
        for &name in base {
            let deb = Deb::new(name, "1.0-1").field("Priority", "required");
            self.packages.push(match name {
                "base-files" => deb.architecture("all"),
                "bash" => deb.field("Pre-Depends", "libc6 (>= 2.36)").depends("base-files (>= 0.5)"),
                "ca-certificates" => deb.architecture("all").depends("debconf (>= 0.5) | debconf-2.0"),
                _ => deb.depends("libc6"),
            });
        }
        let library = format!("libpython{minor}-minimal");
        let default = format!("{python}-1+b1");
        let real = format!("{python}-6+deb12u1");
        self.packages.extend([
            Deb::new("libc6", "2.36-9+deb12u1").field("Multi-Arch", "same").depends("libgcc-s1"),
            Deb::new("libgcc-s1", "12.2.0-14").depends("libc6 (>= 2.35)"),
            Deb::new("debconf", "1.5.82").architecture("all").field("Provides", "debconf-2.0"),
            Deb::new("python3", &default)
                .field("Multi-Arch", "allowed")
                .depends(&format!("python{minor} (>= {python}-1~), libpython3-stdlib (= {default})")),
            Deb::new("libpython3-stdlib", &default).depends(&format!("libpython{minor}-stdlib")),
            Deb::new(&format!("python{minor}"), &real)
                .field("Multi-Arch", "allowed")
                .depends(&format!("libpython{minor}-stdlib (= {real})")),
            Deb::new(&format!("libpython{minor}-stdlib"), &real).depends(&format!("{library} (= {real})")),
            Deb::new(&library, &real).depends("libc6 (>= 2.14)"),
            Deb::new("python3-distutils", &default).architecture("all").depends("python3:any"),
        ]);
        self
    }
}

/// An archive in the making.
#[derive(Clone, Debug)]
pub struct DebianArchive {
    key: Key,
    suites: Vec<Suite>,
}

impl DebianArchive {
    /// An empty archive whose suites `key` signs.
    pub fn new(key: Key) -> Self {
        Self { key, suites: Vec::new() }
    }

    /// Adds a suite.
    pub fn add(&mut self, suite: Suite) {
        self.suites.push(suite);
    }

    /// The key that signs.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// All files by their paths.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for suite in &self.suites {
            self.write(suite, &mut files);
        }
        files
    }

    /// All files, for a server.
    pub fn tree(&self) -> FileTree {
        let mut tree = FileTree::new();
        for (path, bytes) in self.files() {
            tree.insert(&path, "application/octet-stream", bytes);
        }
        tree
    }

    fn write(&self, suite: &Suite, files: &mut BTreeMap<String, Vec<u8>>) {
        let folder = format!("dists/{}", suite.folder);
        let mut sums = String::new();
        let components: &[(&str, &Vec<Deb>)] = match &suite.universe[..] {
            [] => &[("main", &suite.packages)],
            _ => &[("main", &suite.packages), ("universe", &suite.universe)],
        };
        let lists = components.iter().flat_map(|component| ["amd64", "arm64"].map(|one| (*component, one)));
        for ((component, packages), architecture) in lists {
            let mut list = String::new();
            for deb in packages {
                if deb.architecture != architecture && deb.architecture != "all" {
                    continue;
                }
                let bytes = deb.build();
                let path = format!("pool/{component}/{}/{}", deb.name, deb.file_name());
                list.push_str(&deb.control());
                list.extend([
                    format!("Filename: {path}\n"),
                    format!("Size: {}\nSHA256: {}\n\n", bytes.len(), sha256(&bytes)),
                ]);
                files.insert(path, bytes);
            }
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(list.as_bytes()).expect("memory takes all bytes");
            let compressed = encoder.finish().expect("memory takes all bytes");
            for (name, bytes) in [("Packages", list.into_bytes()), ("Packages.xz", compressed)] {
                let place = format!("{component}/binary-{architecture}");
                let digest = sha256(&bytes);
                sums.extend([format!(" {digest} {:>8} {place}/{name}\n", bytes.len())]);
                if suite.by_hash {
                    files.insert(format!("{folder}/{place}/by-hash/SHA256/{digest}"), bytes.clone());
                }
                files.insert(format!("{folder}/{place}/{name}"), bytes);
            }
        }
        let mut release = format!(
            "Origin: {}\nLabel: Test\nSuite: {}\nCodename: {}\nDate: {}\n",
            suite.origin,
            suite.class,
            suite.codename,
            date(suite.date)
        );
        if let Some(until) = suite.valid_until {
            release.extend([format!("Valid-Until: {}\n", date(until))]);
        }
        if suite.by_hash {
            release.push_str("Acquire-By-Hash: yes\n");
        }
        // The line with a dash at its beginning shows whether escapes are undone.
        release.push_str("Architectures: all amd64 arm64\nComponents: main\n-- not a field\nSHA256:\n");
        release.push_str(&sums);
        if suite.inline {
            let signed = self.key.sign_cleartext(&release, suite.hash);
            files.insert(format!("{folder}/InRelease"), signed.into_bytes());
        }
        files
            .insert(format!("{folder}/Release.gpg"), self.key.sign_detached(release.as_bytes()).into_bytes());
        files.insert(format!("{folder}/Release"), release.into_bytes());
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// `Sat, 11 Jul 2026 10:16:37 UTC`
fn date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()
}
