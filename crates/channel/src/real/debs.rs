//! Packages of Debian's bookworm, fetched as provenv itself fetches them, on a machine of any suite.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use provenv_definition::{Platform, Suite};
use provenv_fetch::{Fetcher, Options, Silent};
use provenv_lock::DebPackage;
use provenv_lock::debian::{Archive, DebianConfig, Error};
use provenv_store::Store;
use sha2::{Digest as _, Sha256};

use super::Failure;

/// What is at a path.
#[derive(Clone, Debug)]
pub(super) enum Node {
    File { bytes: Vec<u8>, executable: bool },
    Link(String),
}

/// A package's files by their paths, which begin without `/`, and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Deb {
    pub(super) version: String,
    pub(super) sha256: String,
    pub(super) nodes: BTreeMap<String, Node>,
    /// The time of its newest file, in seconds of Unix time.
    pub(super) built: u64,
}

impl Deb {
    /// Upstream's version as conda writes it: no epoch, no revision, no repackaging.
    pub(super) fn upstream(&self) -> &str {
        let version = self.version.split_once(':').map_or(&*self.version, |(_, version)| version);
        let end = version.find(['-', '+', '~']).unwrap_or(version.len());
        let version = &version[..end];
        version.split_once(".dfsg").map_or(version, |(version, _)| version)
    }
}

/// The packages `names`, by name.
pub(super) fn fetch(
    store: &Path,
    platform: Platform,
    names: &[&str],
) -> Result<BTreeMap<String, Deb>, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let downloads = runtime.map_err(broken)?.block_on(download(store, platform, names))?;
    let mut debs = BTreeMap::new();
    for (package, path) in downloads {
        let bytes = fs_err::read(path).map_err(broken)?;
        let (nodes, built) = unpack(&bytes).map_err(|error| format!("{}: {error}", package.name))?;
        let sha256 = hex::encode(Sha256::digest(&bytes));
        debs.insert(package.name, Deb { version: package.version, sha256, nodes, built });
    }
    Ok(debs)
}

async fn download(
    store: &Path,
    platform: Platform,
    names: &[&str],
) -> Result<Vec<(DebPackage, PathBuf)>, Failure> {
    let fetcher = Fetcher::new(Store::open(store).map_err(broken)?, Arc::new(Silent), Options::default());
    let fetcher = fetcher.map_err(broken)?;
    let config = DebianConfig::default().with_environment().map_err(broken)?;
    let archive = Archive::new(fetcher.clone(), config);
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let closure = archive.closure(&Suite("bookworm".to_owned()), platform, &[], &names).await;
    let closure = closure.map_err(|error| match &error {
        Error::NoMirror(_) | Error::NoKeyring(_) | Error::Fetch { .. } | Error::Release { .. } => {
            unreachable(&error)
        }
        _ => broken(error),
    })?;
    let mut downloads = Vec::new();
    for package in closure.into_iter().filter(|package| names.contains(&package.name)) {
        let artifact = &package.artifact;
        let path = fetcher.artifact(&artifact.url, &artifact.sha256, Some(artifact.size)).await;
        downloads.push((package, path.map_err(|error| unreachable(&error))?));
    }
    Ok(downloads)
}

fn broken(error: impl std::fmt::Display) -> Failure {
    Failure::Broken(error.to_string())
}

/// With all that led to it.
fn unreachable(error: &dyn std::error::Error) -> Failure {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    Failure::Unreachable(text)
}

fn unpack(deb: &[u8]) -> io::Result<(BTreeMap<String, Node>, u64)> {
    let data = data_of(deb).ok_or_else(|| io::Error::other("has no data.tar.xz"))?;
    let mut archive = tar::Archive::new(liblzma::read::XzDecoder::new(data));
    let mut nodes = BTreeMap::new();
    let mut built = 0;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().trim_start_matches("./").trim_end_matches('/').to_owned();
        built = built.max(entry.header().mtime()?);
        let link = entry.link_name()?.map(|link| link.to_string_lossy().into_owned());
        let node = match (entry.header().entry_type(), link) {
            (tar::EntryType::Regular, _) => {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes)?;
                Node::File { bytes, executable: entry.header().mode()? & 0o111 != 0 }
            }
            (tar::EntryType::Symlink, Some(link)) => Node::Link(link),
            (tar::EntryType::Link, Some(link)) => {
                let same = nodes.get(link.trim_start_matches("./"));
                same.cloned().ok_or_else(|| io::Error::other(format!("{path} leads nowhere")))?
            }
            _ => continue,
        };
        nodes.insert(path, node);
    }
    Ok((nodes, built))
}

/// The member `data.tar.xz` of the `ar` that a package is (deb(5)).
fn data_of(deb: &[u8]) -> Option<&[u8]> {
    let mut rest = deb.strip_prefix(b"!<arch>\n")?;
    loop {
        let (header, behind) = rest.split_at_checked(60)?;
        let text = |from: usize, to: usize| Some(str::from_utf8(&header[from..to]).ok()?.trim_end());
        let size: usize = text(48, 58)?.parse().ok()?;
        if text(0, 16)?.trim_end_matches('/') == "data.tar.xz" {
            return behind.get(..size);
        }
        rest = behind.get(size + size % 2..)?;
    }
}
