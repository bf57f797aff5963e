//! A package index: tiny wheels and sdists made on the spot, and the pages of PEP 503 or PEP 691 that lead to them.
//!
//! ```
//! use provenv_testing::pypi::{Index, Sdist, Wheel};
//! use provenv_testing::server::{FileTree, Server};
//!
//! let index = Index::new().add(Wheel::new("left-pad", "1.0").requires("right-pad>=2")).add(Sdist::new("right-pad", "2.1"));
//! let server = Server::start(index.serve(FileTree::new()));
//! let index_url = server.at("/simple/");
//! # let _ = index_url;
//! ```

mod project;
mod sdist;
mod wheel;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use project::Project;
pub use sdist::Sdist;
pub use wheel::Wheel;

use crate::server::FileTree;

/// A file of an index.
#[derive(Clone, Debug)]
pub struct Release {
    /// Its file name.
    pub file_name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    project: Project,
    metadata: Option<String>,
}

impl From<Wheel> for Release {
    fn from(wheel: Wheel) -> Self {
        Self {
            file_name: wheel.file_name(),
            bytes: wheel.build(),
            project: wheel.project().clone(),
            metadata: Some(wheel.metadata()),
        }
    }
}

impl From<Sdist> for Release {
    fn from(sdist: Sdist) -> Self {
        Self {
            file_name: sdist.file_name(),
            bytes: sdist.build(),
            project: sdist.project().clone(),
            metadata: None,
        }
    }
}

/// How the pages of an index are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pages {
    /// PEP 691: digests, sizes and upload times.
    #[default]
    Json,
    /// PEP 503: digests only.
    Html,
}

/// What an index offers. Its pages are at `/simple/` and its files at `/files/`, below a prefix.
#[derive(Clone, Debug, Default)]
pub struct Index {
    releases: Vec<Release>,
    pages: Pages,
    prefix: String,
    without_hashes: bool,
    yanked: BTreeMap<(String, String), String>,
}

impl Index {
    /// An index with nothing in it, which writes JSON.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a wheel or an sdist.
    #[must_use]
    #[allow(clippy::should_implement_trait, reason = "it adds to a list, as a builder does")]
    pub fn add(mut self, release: impl Into<Release>) -> Self {
        self.releases.push(release.into());
        self
    }

    /// How the pages are written.
    #[must_use]
    pub fn pages(mut self, pages: Pages) -> Self {
        self.pages = pages;
        self
    }

    /// Puts all of it below `/prefix`, so that one server can hold several.
    #[must_use]
    pub fn below(mut self, prefix: &str) -> Self {
        self.prefix = format!("/{}", prefix.trim_matches('/'));
        self
    }

    /// Leaves the digests out of the pages.
    #[must_use]
    pub fn without_hashes(mut self) -> Self {
        self.without_hashes = true;
        self
    }

    /// Marks a version as yanked (PEP 592).
    #[must_use]
    pub fn yank(mut self, name: &str, version: &str, reason: &str) -> Self {
        self.yanked.insert((normalise(name), version.to_owned()), reason.to_owned());
        self
    }

    /// Adds the pages and files to what a server offers.
    #[must_use]
    pub fn serve(&self, mut tree: FileTree) -> FileTree {
        let names = self.names();
        let content_type = match self.pages {
            Pages::Json => "application/vnd.pypi.simple.v1+json",
            Pages::Html => "text/html; charset=utf-8",
        };
        for name in names.keys() {
            tree.insert(&format!("{}/simple/{name}/", self.prefix), content_type, self.page(name));
        }
        let root = match self.pages {
            Pages::Json => {
                let projects: Vec<Value> = names.values().map(|name| json!({ "name": name })).collect();
                json!({ "meta": { "api-version": "1.1" }, "projects": projects }).to_string()
            }
            Pages::Html => {
                let mut page = "<!DOCTYPE html><html><body>\n".to_owned();
                for (path, name) in &names {
                    let _ = writeln!(page, "<a href=\"{path}/\">{name}</a>");
                }
                page + "</body></html>\n"
            }
        };
        tree.insert(&format!("{}/simple/", self.prefix), content_type, root);
        for release in &self.releases {
            let path = self.path(release);
            if let Some(metadata) = &release.metadata {
                tree.insert(&format!("{path}.metadata"), "text/plain", metadata.clone());
            }
            tree.insert(&path, "application/octet-stream", release.bytes.clone());
        }
        tree
    }

    /// Writes the files into `folder`, as `--find-links` wants them.
    pub fn write_to(&self, folder: &Path) -> io::Result<()> {
        fs_err::create_dir_all(folder)?;
        for release in &self.releases {
            fs_err::write(folder.join(&release.file_name), &release.bytes)?;
        }
        Ok(())
    }

    /// Normalised names and the names as they were given.
    fn names(&self) -> BTreeMap<String, &str> {
        self.releases
            .iter()
            .map(|release| (normalise(&release.project.name), release.project.name.as_str()))
            .collect()
    }

    fn path(&self, release: &Release) -> String {
        format!("{}/files/{}", self.prefix, release.file_name)
    }

    fn page(&self, name: &str) -> String {
        let releases = self.releases.iter().filter(|release| normalise(&release.project.name) == name);
        match self.pages {
            Pages::Json => {
                let files: Vec<Value> = releases.clone().map(|release| self.json(release)).collect();
                let mut versions: Vec<&str> =
                    releases.map(|release| release.project.version.as_str()).collect();
                versions.dedup();
                json!({
                    "meta": { "api-version": "1.1" }, "name": name, "files": files, "versions": versions,
                })
                .to_string()
            }
            Pages::Html => {
                let mut page = "<!DOCTYPE html><html><body>\n".to_owned();
                for release in releases {
                    let _ = writeln!(page, "{}", self.html(release));
                }
                page + "</body></html>\n"
            }
        }
    }

    fn json(&self, release: &Release) -> Value {
        let digest = |bytes: &[u8]| json!({ "sha256": hex::encode(Sha256::digest(bytes)) });
        let mut file = json!({
            "filename": release.file_name,
            "url": self.path(release),
            "size": release.bytes.len(),
            "upload-time": release.project.uploaded,
            "hashes": if self.without_hashes { json!({}) } else { digest(&release.bytes) },
            "yanked": self.yanked(release).map_or(json!(false), |reason| json!(reason)),
        });
        if let Some(python) = &release.project.requires_python {
            file["requires-python"] = json!(python);
        }
        if let Some(metadata) = &release.metadata {
            file["core-metadata"] = digest(metadata.as_bytes());
        }
        file
    }

    fn html(&self, release: &Release) -> String {
        let mut link = format!("<a href=\"{}", self.path(release));
        if !self.without_hashes {
            let _ = write!(link, "#sha256={}", hex::encode(Sha256::digest(&release.bytes)));
        }
        link.push('"');
        if let Some(python) = &release.project.requires_python {
            let _ = write!(
                link,
                " data-requires-python=\"{}\"",
                python.replace('<', "&lt;").replace('>', "&gt;")
            );
        }
        if let Some(reason) = self.yanked(release) {
            let _ = write!(link, " data-yanked=\"{reason}\"");
        }
        format!("{link}>{}</a>", release.file_name)
    }

    fn yanked(&self, release: &Release) -> Option<&str> {
        let key = (normalise(&release.project.name), release.project.version.clone());
        self.yanked.get(&key).map(String::as_str)
    }
}

/// A name as PEP 503 compares it.
fn normalise(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for c in name.chars() {
        let c = if matches!(c, '-' | '_' | '.') { '-' } else { c.to_ascii_lowercase() };
        if c != '-' || !normal.ends_with('-') {
            normal.push(c);
        }
    }
    normal
}
