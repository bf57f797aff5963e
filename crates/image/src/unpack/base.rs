//! The layers of a base from a registry, laid out together.

use std::io::{self, BufRead as _, BufReader, Read};
use std::path::PathBuf;

use flate2::bufread::MultiGzDecoder;
use provenv_definition::{Digest, Hasher};
use provenv_fetch::{Phase, Reporter};
use provenv_store::Store;

use super::{Error, tree};
use crate::layer::{Compression, Layer};

/// Kind of the store's trees that hold bases; their key is the digest of the chain in hexadecimal.
pub(super) const TREE: &str = "base";

/// A layer may unpack to this many bytes, and so many more for each byte it has. Files with holes, such as logs of users with
/// large numbers, are honest, and shrink to nothing.
const BOMB_FLOOR: u64 = 2 << 30;
const BOMB_RATIO: u64 = 200;
/// Of zstd's window, as a power of two: what its highest level takes.
const ZSTD_WINDOW: u32 = 27;

/// The digest of these layers, one over the other (OCI image specification, `config.md`, "Layer ChainID").
pub fn chain(layers: &[Layer]) -> Digest {
    let mut diff_ids = layers.iter().map(|layer| layer.diff_id);
    let first = diff_ids.next().unwrap_or_else(|| Digest::of(b""));
    diff_ids.fold(first, |chain, diff_id| Digest::of(format!("{chain} {diff_id}").as_bytes()))
}

/// The folder with the files of a base of these layers, if somebody has unpacked it.
pub(crate) fn unpacked_base(store: &Store, layers: &[Layer]) -> Option<PathBuf> {
    store.tree(TREE, &chain(layers).hex())
}

/// The folder with the files of a base of these layers, unpacked now if nobody has done it yet. Each tar's digest is checked
/// before the folder can be seen.
pub fn base(store: &Store, layers: &[Layer], reporter: &dyn Reporter) -> Result<PathBuf, Error> {
    let key = chain(layers).hex();
    if let Some(path) = store.tree(TREE, &key) {
        return Ok(path);
    }
    let _lease = store.lock(TREE, &key)?;
    if let Some(path) = store.tree(TREE, &key) {
        return Ok(path);
    }
    reporter.expect(Phase::Unpacking, layers.len() as u64, layers.iter().map(|layer| layer.size).sum());
    let staged = store.stage_tree(TREE, &key)?;
    let last = layers.last().map_or_else(|| Digest::of(b""), |layer| layer.digest);
    let failed = |layer: Digest, error| match error {
        tree::Error::Io(source) => Error::Io { layer, source },
        tree::Error::Refused { path, reason } => Error::Refused { layer, path, reason },
    };
    let mut tree = tree::Tree::new(staged.path(), true).map_err(|error| failed(last, error))?;
    for layer in layers {
        reporter.begin(Phase::Unpacking, &layer.what);
        let read = |source| Error::Io { layer: layer.digest, source };
        let blob = store.open_blob(&layer.digest)?;
        let counted = Counted { inner: blob, reporter };
        let mut tar = Checked {
            inner: decoder(layer.compression, BufReader::with_capacity(1 << 18, counted)).map_err(read)?,
            hasher: Hasher::new(),
            left: BOMB_FLOOR + layer.size.saturating_mul(BOMB_RATIO),
        };
        tree.lay(&mut tar).map_err(|error| failed(layer.digest, error))?;
        let actual = tar.hasher.finish();
        if actual != layer.diff_id {
            return Err(Error::Mismatch { layer: layer.digest, expected: layer.diff_id, actual });
        }
        reporter.end(Phase::Unpacking, &layer.what);
    }
    tree.finish().map_err(|error| failed(last, error))?;
    Ok(staged.commit()?)
}

/// What the bytes are counts, and not what the manifest calls them: clients look too.
pub(crate) fn decoder<'r>(
    said: Compression,
    mut blob: BufReader<impl Read + 'r>,
) -> io::Result<Box<dyn Read + 'r>> {
    let compression = match blob.fill_buf()? {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        [] => said,
        _ => Compression::None,
    };
    Ok(match compression {
        Compression::None => Box::new(blob),
        Compression::Gzip => Box::new(MultiGzDecoder::new(blob)),
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(blob)?;
            decoder.window_log_max(ZSTD_WINDOW)?;
            Box::new(decoder)
        }
    })
}

/// Says how much of the blob has been read.
struct Counted<'a, R> {
    inner: R,
    reporter: &'a dyn Reporter,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.reporter.advance(Phase::Unpacking, read as u64);
        Ok(read)
    }
}

/// The tar as it is read: digested, and not without end.
struct Checked<R> {
    inner: R,
    hasher: Hasher,
    left: u64,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let bomb = || io::Error::new(io::ErrorKind::InvalidData, "it unpacks to more than any layer does");
        self.left = self.left.checked_sub(read as u64).ok_or_else(bomb)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}
