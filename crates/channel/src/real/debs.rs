//! Packages of Debian's bookworm, fetched as provenv itself fetches them, on a machine of any suite.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use provenv_definition::{Platform, Suite};
use provenv_fetch::{Fetcher, Options, Silent};
use provenv_lock::debian::{Archive, DebianConfig};
use provenv_store::Store;
use sha2::{Digest as _, Sha256};

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
) -> Result<BTreeMap<String, Deb>, String> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let downloads = runtime.block_on(async {
        let store = Store::open(store).map_err(|error| error.to_string())?;
        let fetcher =
            Fetcher::new(store, Arc::new(Silent), Options::default()).map_err(|error| error.to_string())?;
        let config = DebianConfig::default().with_environment().map_err(|error| error.to_string())?;
        let archive = Archive::new(fetcher.clone(), config);
        let suite = Suite("bookworm".to_owned());
        let closure =
            archive.closure(&suite, platform, &[], &names).await.map_err(|error| error.to_string())?;
        let mut downloads = Vec::new();
        for package in closure.into_iter().filter(|package| names.contains(&package.name)) {
            let artifact = &package.artifact;
            let path = fetcher
                .artifact(&artifact.url, &artifact.sha256, Some(artifact.size))
                .await
                .map_err(|error| error.to_string())?;
            downloads.push((package, path));
        }
        Ok::<_, String>(downloads)
    })?;
    let mut debs = BTreeMap::new();
    for (package, path) in downloads {
        let bytes = fs_err::read(path).map_err(|error| error.to_string())?;
        let (nodes, built) = unpack(&bytes).map_err(|error| format!("{}: {error}", package.name))?;
        let sha256 = hex::encode(Sha256::digest(&bytes));
        debs.insert(package.name, Deb { version: package.version, sha256, nodes, built });
    }
    Ok(debs)
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
