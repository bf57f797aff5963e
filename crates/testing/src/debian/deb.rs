//! Binary packages: an `ar` of `debian-binary`, `control.tar.*` and `data.tar.*` (deb(5)).

use std::io::Write as _;

/// How the two tars inside are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// `.tar.gz`
    Gzip,
    /// `.tar.xz`, as Debian does.
    #[default]
    Xz,
    /// `.tar.zst`, as Ubuntu does.
    Zstd,
    /// `.tar`
    None,
}

impl Compression {
    fn extension(self) -> &'static str {
        match self {
            Self::Gzip => ".gz",
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
            Self::None => "",
        }
    }

    fn compress(self, bytes: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&bytes).and_then(|()| encoder.finish()).expect("memory takes all bytes")
            }
            Self::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
                encoder.write_all(&bytes).and_then(|()| encoder.finish()).expect("memory takes all bytes")
            }
            Self::Zstd => zstd::encode_all(&bytes[..], 1).expect("memory takes all bytes"),
            Self::None => bytes,
        }
    }
}

#[derive(Clone, Debug)]
enum Content {
    Directory,
    File(Vec<u8>),
    Symlink(String),
    Hardlink(String),
}

#[derive(Clone, Debug)]
struct Entry {
    path: String,
    mode: u32,
    content: Content,
}

/// A package in the making.
#[derive(Clone, Debug)]
pub struct Deb {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) architecture: String,
    fields: Vec<(String, String)>,
    entries: Vec<Entry>,
    control_files: Vec<(String, u32, Vec<u8>)>,
    compression: Compression,
}

impl Deb {
    /// An empty package for `amd64`.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: "amd64".to_owned(),
            fields: Vec::new(),
            entries: Vec::new(),
            control_files: Vec::new(),
            compression: Compression::default(),
        }
    }

    /// For this architecture, or `all`.
    #[must_use]
    pub fn architecture(mut self, architecture: &str) -> Self {
        architecture.clone_into(&mut self.architecture);
        self
    }

    /// Adds a control field such as `Provides`.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds `Depends`.
    #[must_use]
    pub fn depends(self, relations: &str) -> Self {
        self.field("Depends", relations)
    }

    /// Adds a folder.
    #[must_use]
    pub fn directory(self, path: &str, mode: u32) -> Self {
        self.entry(path, mode, Content::Directory)
    }

    /// Adds a file; its parent folders are added where they are missing.
    #[must_use]
    pub fn file(self, path: &str, mode: u32, content: impl Into<Vec<u8>>) -> Self {
        self.entry(path, mode, Content::File(content.into()))
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(path, 0o777, Content::Symlink(target.to_owned()))
    }

    /// Adds a hard link to a file added before.
    #[must_use]
    pub fn hardlink(self, path: &str, target: &str) -> Self {
        self.entry(path, 0o644, Content::Hardlink(format!("./{target}")))
    }

    /// Adds a maintainer script such as `postinst`.
    #[must_use]
    pub fn script(mut self, name: &str, text: &str) -> Self {
        self.control_files.push((name.to_owned(), 0o755, text.as_bytes().to_vec()));
        self
    }

    /// Adds any other file beside `control`, such as `conffiles` or `md5sums`.
    #[must_use]
    pub fn control_file(mut self, name: &str, text: &str) -> Self {
        self.control_files.push((name.to_owned(), 0o644, text.as_bytes().to_vec()));
        self
    }

    /// Compresses with this.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// `name_version_architecture.deb`, the epoch left out as archives do.
    pub fn file_name(&self) -> String {
        let version = self.version.split_once(':').map_or(self.version.as_str(), |(_, rest)| rest);
        format!("{}_{version}_{}.deb", self.name, self.architecture)
    }

    /// The control paragraph.
    pub fn control(&self) -> String {
        let mut text = format!(
            "Package: {}\nVersion: {}\nArchitecture: {}\nMaintainer: Nobody <nobody@example.invalid>\n",
            self.name, self.version, self.architecture
        );
        text.extend(self.fields.iter().map(|(name, value)| format!("{name}: {value}\n")));
        text.push_str("Description: made for a test\n");
        text
    }

    /// The package's bytes.
    pub fn build(&self) -> Vec<u8> {
        let mut control = Tar::default();
        control.add("", 0o755, &Content::Directory);
        control.add("control", 0o644, &Content::File(self.control().into_bytes()));
        for (name, mode, content) in &self.control_files {
            control.add(name, *mode, &Content::File(content.clone()));
        }
        let mut data = Tar::default();
        data.add("", 0o755, &Content::Directory);
        for entry in &self.entries {
            data.add(&entry.path, entry.mode, &entry.content);
        }
        let extension = self.compression.extension();
        let mut deb = b"!<arch>\n".to_vec();
        member(&mut deb, "debian-binary", b"2.0\n");
        member(&mut deb, &format!("control.tar{extension}"), &self.compression.compress(control.finish()));
        member(&mut deb, &format!("data.tar{extension}"), &self.compression.compress(data.finish()));
        deb
    }

    fn entry(mut self, path: &str, mode: u32, content: Content) -> Self {
        for (end, _) in path.match_indices('/') {
            let parent = &path[..end];
            if self.entries.iter().all(|entry| entry.path != parent) {
                self.entries.push(Entry {
                    path: parent.to_owned(),
                    mode: 0o755,
                    content: Content::Directory,
                });
            }
        }
        self.entries.push(Entry { path: path.to_owned(), mode, content });
        self
    }
}

/// Adds a member to an `ar` archive.
fn member(ar: &mut Vec<u8>, name: &str, content: &[u8]) {
    writeln!(ar, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, "100644", content.len())
        .expect("memory takes all bytes");
    ar.extend_from_slice(content);
    if !content.len().is_multiple_of(2) {
        ar.push(b'\n');
    }
}

struct Tar(tar::Builder<Vec<u8>>);

impl Default for Tar {
    fn default() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }
}

impl Tar {
    fn add(&mut self, path: &str, mode: u32, content: &Content) {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_mtime(1_600_000_000);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        let path = format!("./{path}");
        let result = match content {
            Content::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                let path = if path == "./" { path } else { format!("{path}/") };
                self.0.append_data(&mut header, path, std::io::empty())
            }
            Content::File(bytes) => {
                header.set_size(bytes.len() as u64);
                self.0.append_data(&mut header, path, &bytes[..])
            }
            Content::Symlink(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                self.0.append_link(&mut header, path, target)
            }
            Content::Hardlink(target) => {
                header.set_entry_type(tar::EntryType::Link);
                self.0.append_link(&mut header, path, target)
            }
        };
        result.expect("memory takes all bytes");
    }

    fn finish(self) -> Vec<u8> {
        self.0.into_inner().expect("memory takes all bytes")
    }
}
