//! Layers laid out as folders, to run from: each once, under the digest of its tar. Those of a base from a registry are laid out
//! together, under the digest of their chain: each may take away what the ones below have, and what is to be known of a base is
//! read from the whole of it.

mod archive;
mod base;
mod tree;

use std::io::{self, BufReader, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use archive::archive;
pub use base::{base, chain};
pub(crate) use base::{decoder, unpacked_base};
use provenv_definition::{Digest, Hasher};
use provenv_fetch::{Phase, Reporter};
use provenv_store::Store;

use crate::layer::Layer;

/// Kind of the store's trees that hold layers; their key is the diff_id in hexadecimal.
pub const TREE: &str = "layer";

/// Why a layer could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error("failed to unpack a layer in the store")]
    Store(#[from] provenv_store::Error),
    /// The blob cannot be read, or a file cannot be written.
    #[error("failed to unpack layer {layer}")]
    Io {
        /// The layer's digest.
        layer: Digest,
        /// Why; names the file where there is one.
        source: io::Error,
    },
    /// The tar holds what no image of ours can hold.
    #[error("refused to unpack layer {layer}: `{path}` {reason}")]
    Refused {
        /// The layer's digest.
        layer: Digest,
        /// The entry.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The tar is not the one that was announced.
    #[error("layer {layer} is corrupt: expected a tar with digest {expected}, got {actual}")]
    Mismatch {
        /// The layer's digest.
        layer: Digest,
        /// Its diff_id.
        expected: Digest,
        /// The digest of what was inflated.
        actual: Digest,
    },
}

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Io { source, .. } if provenv_store::is_no_space(source) => {
                Some("free some space on that file system, or run `provenv store gc`".to_owned())
            }
            Self::Mismatch { .. } => Some(provenv_store::SCRUB_HINT.to_owned()),
            // No stream that was in order when it was kept is like that.
            Self::Io { source, .. } if provenv_store::is_damage(source) => {
                Some(provenv_store::SCRUB_HINT.to_owned())
            }
            Self::Io { .. } | Self::Refused { .. } => None,
        }
    }
}

/// The store's trees that `layers` of an image are unpacked to, by kind and key.
pub fn trees(layers: &[Layer]) -> Vec<(String, String)> {
    let (foreign, own) = split(layers);
    let base = (!foreign.is_empty()).then(|| (base::TREE.to_owned(), chain(foreign).hex()));
    base.into_iter().chain(own.iter().map(|layer| (TREE.to_owned(), layer.diff_id.hex()))).collect()
}

/// The layers of the base, if it is one from a registry, and the others.
pub fn split(layers: &[Layer]) -> (&[Layer], &[Layer]) {
    let own = layers.iter().position(|layer| !layer.foreign).unwrap_or(layers.len());
    layers.split_at(own)
}

/// Unpacks `layers` that are not unpacked yet, several at a time, and gives their folders in the same order; those of a base
/// from a registry have one together.
pub fn layers(store: &Store, layers: &[Layer], reporter: &dyn Reporter) -> Result<Vec<PathBuf>, Error> {
    let (foreign, layers) = split(layers);
    let mut folders = Vec::new();
    if !foreign.is_empty() {
        folders.push(base(store, foreign, reporter)?);
    }
    folders.extend(own_layers(store, layers, reporter)?);
    Ok(folders)
}

fn own_layers(store: &Store, layers: &[Layer], reporter: &dyn Reporter) -> Result<Vec<PathBuf>, Error> {
    let missing: Vec<&Layer> =
        layers.iter().filter(|layer| store.tree(TREE, &layer.diff_id.hex()).is_none()).collect();
    reporter.expect(Phase::Unpacking, missing.len() as u64, missing.iter().map(|layer| layer.tar_size).sum());
    // The biggest first, so that none is begun last and worked on alone.
    let mut queue = missing;
    queue.sort_by_key(|layer| std::cmp::Reverse(layer.tar_size));
    let next = AtomicUsize::new(0);
    let work = || -> Result<(), Error> {
        while let Some(one) = queue.get(next.fetch_add(1, Ordering::Relaxed)) {
            layer(store, one, reporter)?;
        }
        Ok(())
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4).min(queue.len());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
    })?;
    layers.iter().map(|one| layer(store, one, reporter)).collect()
}

/// The folder of `layer`, which is unpacked now if nobody has done it yet.
///
/// As root the files get the owners that the layer says, otherwise they are the user's; modes and times are the layer's
/// in both cases. The tar's digest is checked before the folder can be seen.
pub fn layer(store: &Store, layer: &Layer, reporter: &dyn Reporter) -> Result<PathBuf, Error> {
    let key = layer.diff_id.hex();
    if let Some(path) = store.tree(TREE, &key) {
        return Ok(path);
    }
    let _lease = store.lock(TREE, &key)?;
    if let Some(path) = store.tree(TREE, &key) {
        return Ok(path);
    }
    reporter.begin(Phase::Unpacking, &layer.what);
    let staged = store.stage_tree(TREE, &key)?;
    let blob = store.open_blob(&layer.digest)?;
    let mut tar = Checked {
        // Nothing faster reads members whose lengths are not known.
        inner: decoder(layer.compression, BufReader::with_capacity(1 << 18, blob))
            .map_err(|source| Error::Io { layer: layer.digest, source })?,
        hasher: Hasher::new(),
        left: layer.tar_size,
        reporter,
    };
    let failed = |error| match error {
        tree::Error::Io(source) => Error::Io { layer: layer.digest, source },
        tree::Error::Refused { path, reason } => Error::Refused { layer: layer.digest, path, reason },
    };
    tree::fill(staged.path(), &mut tar).map_err(failed)?;
    let actual = tar.hasher.finish();
    if actual != layer.diff_id {
        return Err(Error::Mismatch { layer: layer.digest, expected: layer.diff_id, actual });
    }
    let path = staged.commit()?;
    reporter.end(Phase::Unpacking, &layer.what);
    Ok(path)
}

/// The tar as it is read: digested, counted, and no longer than announced.
struct Checked<'a, R> {
    inner: R,
    hasher: Hasher,
    left: u64,
    reporter: &'a dyn Reporter,
}

impl<R: Read> Read for Checked<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the tar is longer than announced"))?;
        self.hasher.update(&buffer[..read]);
        self.reporter.advance(Phase::Unpacking, read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
