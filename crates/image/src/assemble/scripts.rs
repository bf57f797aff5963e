//! Scripts of conda packages that conda would run when it installs them. None is run while an image is made: what they leave, if
//! they were run, is a layer that the lock names.

use std::io::{self, BufReader, Read as _};

use flate2::bufread::MultiGzDecoder;
use provenv_definition::{Hasher, Platform};
use provenv_lock::{CondaPackage, PinnedLayer, PlatformLock, PostLink};
use provenv_store::Store;

use super::build::Build;
use super::conda::Conda;
use super::{Assembler, Error};
use crate::layer::{Compression, Layer};
use crate::path;
use crate::post_link::is_protected;
use crate::segment::{self, CondaFacts, PREFIX};

/// A script that a conda package wants to be run when it is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkScript {
    /// Name and version of the package.
    pub what: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its build number.
    pub build_number: u64,
    /// The script's path under the prefix, `bin/.NAME-post-link.sh`.
    pub path: String,
}

impl LinkScript {
    /// Whether it runs when the package is there, and not before.
    pub fn is_post_link(&self) -> bool {
        self.path.ends_with("-post-link.sh")
    }
}

impl Assembler {
    /// The scripts that the conda packages of `lock` want to be run, in the order in which conda would run them. The packages
    /// are fetched for it, and made into segments, which an image needs as well.
    pub async fn link_scripts(
        &self,
        lock: &PlatformLock,
        platform: Platform,
    ) -> Result<Vec<LinkScript>, Error> {
        let lock = PlatformLock { post_link: Some(PostLink::Skip), ..lock.clone() };
        let conda = Build::new(self, &lock, platform).conda(&[]).await?;
        Ok(conda.map(|conda| conda.scripts).unwrap_or_default())
    }
}

impl Build<'_> {
    /// Refuses packages with scripts, as long as nobody has said what is to become of these.
    pub(super) fn refuse_scripts(&self, conda: Option<&Conda>) -> Result<(), Error> {
        match conda {
            Some(conda) if self.lock.post_link.is_none() && !conda.scripts.is_empty() => {
                Err(Error::Scripts(conda.scripts.clone()))
            }
            _ => Ok(()),
        }
    }

    /// The layer of what scripts left, if they were run and left something.
    pub(super) async fn post_link(&self) -> Result<Option<Layer>, Error> {
        let Some(PostLink::Run { layer: Some(layer) }) = &self.lock.post_link else { return Ok(None) };
        if !self.fetcher.store().contains(&layer.sha256) {
            return Err(Error::PostLinkGone);
        }
        // It is no artifact that could be made again: also a second assembly, in a store of its own, takes it from here.
        let (store, pinned) = (self.fetcher.store().clone(), layer.clone());
        let is_it = self.blocking(move || is_as_pinned(&store, &pinned)).await?;
        if !is_it {
            return Err(Error::PostLinkOther);
        }
        Ok(Some(Layer {
            digest: layer.sha256,
            size: layer.size,
            diff_id: layer.diff_id,
            tar_size: layer.tar_size,
            compression: Compression::Gzip,
            toc: None,
            foreign: false,
            what: "what scripts of conda packages left".to_owned(),
            packages: Vec::new(),
        }))
    }
}

/// Whether the blob of a layer has the sizes that the lock says, and holds the tar that it says: an image would carry them on. Refuses
/// one with what scripts may not leave, which only a lock that was tampered with names.
fn is_as_pinned(store: &Store, layer: &PinnedLayer) -> Result<bool, Error> {
    let blob = store.open_blob(&layer.sha256)?;
    let read = |source| segment::Error::Back { blob: layer.sha256, source };
    if blob.metadata().map_err(read)?.len() != layer.size {
        return Ok(false);
    }
    let tar = MultiGzDecoder::new(BufReader::new(blob)).take(layer.tar_size.saturating_add(1));
    let mut tar = Hashed { inner: tar, hasher: Hasher::new(), size: 0 };
    let found = first_refused(&mut tar);
    // What follows the end of the archive counts for the digest. Whatever cannot be read, it is no layer.
    let (Ok(found), Ok(_)) = (found, io::copy(&mut tar, &mut io::sink())) else { return Ok(false) };
    if tar.size != layer.tar_size || tar.hasher.finish() != layer.diff_id {
        return Ok(false);
    }
    found.map_or(Ok(true), |path| Err(Error::PostLinkPath(path.escape_debug().to_string())))
}

/// The first path in `tar` that scripts may not leave.
fn first_refused(tar: &mut impl io::Read) -> io::Result<Option<String>> {
    for entry in tar::Archive::new(tar).entries()? {
        let entry = entry?;
        let bytes = entry.path_bytes();
        let path = String::from_utf8_lossy(&bytes);
        let plain = path.trim_end_matches('/');
        let is_folder = entry.header().entry_type() == tar::EntryType::Directory;
        let is_inside = plain.strip_prefix(PREFIX).is_some_and(|below| below.starts_with('/'));
        let is_above = is_folder && (plain == PREFIX || path::parents(PREFIX).any(|above| above == plain));
        if path::problem(plain).is_some() || !(is_inside || is_above) || is_protected(plain, is_folder) {
            return Ok(Some(path.into_owned()));
        }
    }
    Ok(None)
}

/// A tar as it is read.
struct Hashed<R> {
    inner: R,
    hasher: Hasher,
    size: u64,
}

impl<R: io::Read> io::Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..length]);
        self.size += length as u64;
        Ok(length)
    }
}

/// The scripts of `package` that conda would run now: its own, and not what it wants to be run before it is taken away.
pub(super) fn of(package: &CondaPackage, facts: &CondaFacts) -> Vec<LinkScript> {
    let own = ["pre-link", "post-link"].map(|kind| format!("bin/.{}-{kind}.sh", package.name));
    let script = |path: &String| LinkScript {
        what: format!("{} {}", package.name, package.version),
        name: package.name.clone(),
        version: package.version.clone(),
        build_number: package.build_number,
        path: path.clone(),
    };
    facts.scripts.iter().filter(|path| own.contains(path)).map(script).collect()
}
