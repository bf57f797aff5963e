//! The image that an engine made of a Dockerfile: taken from the engine's OCI layout into the store, in a form that is ours.
//!
//! The layers of the image that it begins from stay the blobs that they are. The others are brought to normal form and compressed
//! anew, and configuration and manifest are written as those of our own images: what an engine notes of itself, its host and the
//! time is no part of what was made.

use std::collections::BTreeSet;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use provenv_definition::{Digest, Hasher, Platform};
use provenv_fetch::{Phase, Reporter};
use provenv_store::Store;
use serde_json::Value;

use super::config::Config;
use super::manifest::{Manifest, ManifestError, ManifestLayer};
use super::{BaseImage, HistoryLine, INDEX_TYPE, normal};
use crate::layer::{Compression, Layer};
use crate::oci::{self, CREATED, ImageConfig};
use crate::segment::GzipWriter;
use crate::unpack::decoder;

/// No index or configuration of an engine is larger.
const MOST: u64 = 16 << 20;
/// What buildah says of itself.
const OF_ENGINES: [&str; 1] = ["io.buildah.version"];

/// Why what an engine made cannot be taken up.
#[derive(Debug, thiserror::Error)]
pub enum MadeError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] provenv_store::Error),
    /// A layer could not be written.
    #[error(transparent)]
    Segment(#[from] crate::segment::Error),
    /// What it wrote cannot be read; the source names the file.
    #[error("failed to read what the engine made")]
    Read(#[from] io::Error),
    /// It is no image that runs.
    #[error("what the engine made cannot be used")]
    Manifest(#[from] ManifestError),
    /// It is not what an engine hands over.
    #[error("what the engine made cannot be used: {0}")]
    Layout(String),
    /// The image that it begins from.
    #[error(transparent)]
    Base(Box<super::Error>),
}

impl MadeError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Segment(error) => error.hint(),
            Self::Manifest(error) => error.hint(),
            Self::Base(error) => error.hint(),
            Self::Read(_) | Self::Layout(_) => None,
        }
    }
}

/// Takes the one image of the OCI layout `folder` into the store; `from` are the manifests of the images that it may begin from.
/// Digest and size of its manifest there.
pub fn take_up(
    store: &Store,
    folder: &Path,
    platform: Platform,
    from: &[Digest],
    reporter: &dyn Reporter,
) -> Result<(Digest, u64), MadeError> {
    let layout = Layout { folder };
    let manifest = Manifest::parse(&layout.manifest()?)?;
    let config = layout.small(&manifest.config.0, manifest.config.1)?;
    let config = Config::parse(&config, manifest.layers.len(), platform)?;
    let (base, base_history) = base_of(store, from, platform, &config.diff_ids)?;

    let new: Vec<(&ManifestLayer, Digest)> =
        manifest.layers.iter().zip(config.diff_ids.iter().copied()).skip(base.len()).collect();
    let mut sources = BTreeSet::new();
    for (layer, _) in &new {
        sources.append(&mut normal::sources(&mut layout.tar(layer)?)?);
    }
    let count = manifest.layers.len();
    let mut layers = base;
    for (layer, diff_id) in new {
        let what = format!("base image ({} of {count})", layers.len() + 1);
        reporter.begin(Phase::Assembling, &what);
        let mut tar = Digested { inner: layout.tar(layer)?, hasher: Hasher::new() };
        let mut out = GzipWriter::new(store, true)?;
        normal::rewrite(&mut tar, &sources, |bytes| {
            reporter.advance(Phase::Assembling, bytes.len() as u64);
            Ok::<_, MadeError>(out.push(bytes)?)
        })?;
        let actual = tar.hasher.finish();
        if actual != diff_id {
            return Err(MadeError::Layout(format!(
                "a layer is {actual}, and its configuration says {diff_id}"
            )));
        }
        let (blob, plain) = out.finish()?;
        let plain = plain.ok_or_else(|| MadeError::Layout("a layer has no digest".to_owned()))?;
        reporter.end(Phase::Assembling, &what);
        layers.push(Layer {
            digest: blob.digest,
            size: blob.size,
            diff_id: plain,
            tar_size: 0,
            compression: Compression::Gzip,
            toc: None,
            foreign: true,
            what,
            packages: Vec::new(),
        });
    }

    let mut runtime = config.runtime;
    let env = runtime.variables();
    let mut labels = runtime.labels.take().unwrap_or_default();
    labels.retain(|name, _| !OF_ENGINES.contains(&name.as_str()));
    let command = runtime.cmd.take().unwrap_or_default();
    runtime.env = None;
    let history = config.history.into_iter().enumerate().map(|(n, line)| {
        let is_bases = base_history.get(n) == Some(&line);
        if is_bases { line } else { plain_line(line) }
    });
    let history = history.collect();
    let config = ImageConfig { env, command, labels, inherited: runtime, history, ..ImageConfig::default() };
    let image = oci::write(store, platform, &layers, &config)?;
    Ok((image.manifest, image.manifest_size))
}

/// A line of history as we would have written it.
fn plain_line(line: HistoryLine) -> HistoryLine {
    HistoryLine {
        created: Some(CREATED.to_owned()),
        created_by: line.created_by,
        empty_layer: line.empty_layer,
        ..HistoryLine::default()
    }
}

/// The layers of the one of `from` that the image begins with, and its history; none where it begins with nothing. Of several,
/// the one that is most of it.
fn base_of(
    store: &Store,
    from: &[Digest],
    platform: Platform,
    diff_ids: &[Digest],
) -> Result<(Vec<Layer>, Vec<HistoryLine>), MadeError> {
    let mut found: (Vec<Layer>, Vec<HistoryLine>) = Default::default();
    for manifest in from {
        let base =
            BaseImage::open(store, manifest, platform).map_err(|error| MadeError::Base(Box::new(error)))?;
        let begins = base.layers.len() <= diff_ids.len()
            && base.layers.iter().zip(diff_ids).all(|(layer, diff_id)| layer.diff_id == *diff_id);
        if begins && base.layers.len() > found.0.len() {
            found = (base.layers, base.history);
        }
    }
    Ok(found)
}

/// A folder in which an engine wrote one image (OCI image specification, `image-layout.md`).
struct Layout<'a> {
    folder: &'a Path,
}

impl Layout<'_> {
    /// The bytes of the one manifest.
    fn manifest(&self) -> Result<Vec<u8>, MadeError> {
        let mut index = Vec::new();
        fs_err::File::open(self.folder.join("index.json"))?.take(MOST).read_to_end(&mut index)?;
        // An index may hold another one, with attestations beside the image.
        for _ in 0..3 {
            let (digest, size, is_index) = the_one(&index)?;
            let bytes = self.small(&digest, size)?;
            if !is_index {
                return Ok(bytes);
            }
            index = bytes;
        }
        Err(MadeError::Layout("its index names nothing but indexes".to_owned()))
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join("blobs/sha256").join(digest.hex())
    }

    /// A blob that is read as a whole.
    fn small(&self, digest: &Digest, size: u64) -> Result<Vec<u8>, MadeError> {
        let mut bytes = Vec::new();
        fs_err::File::open(self.path(digest))?.take(size.min(MOST)).read_to_end(&mut bytes)?;
        if Digest::of(&bytes) == *digest {
            Ok(bytes)
        } else {
            Err(MadeError::Layout(format!("the blob {digest} has other bytes")))
        }
    }

    /// What a layer unpacks to.
    fn tar(&self, layer: &ManifestLayer) -> io::Result<Box<dyn Read>> {
        let file = fs_err::File::open(self.path(&layer.digest))?;
        decoder(layer.compression, BufReader::with_capacity(1 << 18, file))
    }
}

/// The one image, or index, that an index names.
fn the_one(index: &[u8]) -> Result<(Digest, u64, bool), MadeError> {
    let wrong = |what: &str| MadeError::Layout(what.to_owned());
    let index: Value = serde_json::from_slice(index).map_err(|_| wrong("its index is no JSON"))?;
    let entries = index["manifests"].as_array().ok_or_else(|| wrong("its index names nothing"))?;
    // Attestations are for the platform "unknown".
    let images: Vec<&Value> =
        entries.iter().filter(|entry| entry["platform"]["os"].as_str() != Some("unknown")).collect();
    let [image] = images[..] else { return Err(wrong("its index does not name one image")) };
    let digest = image["digest"].as_str().and_then(|text| text.parse().ok());
    let digest = digest.ok_or_else(|| wrong("its index has no sha256 digest"))?;
    let size = image["size"].as_u64().ok_or_else(|| wrong("its index has no size"))?;
    Ok((digest, size, image["mediaType"].as_str() == Some(INDEX_TYPE)))
}

/// A stream that is digested as it is read.
struct Digested<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Read for Digested<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}
