//! An OCI layout of anybody's, read to be checked: nothing in it is believed.

use std::collections::HashSet;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use provenv_definition::{Digest, Hasher};
use serde_json::Value;

use super::{Destination, Error, identify};
use crate::export::layout::INDEX_FILE;

/// No manifest is larger (OCI distribution specification, "Pushing Manifests").
const MOST_MANIFEST: u64 = 4 << 20;
/// No lock and no statement is larger.
const MOST_PART: u64 = 64 << 20;
/// All that is attached to an image is in memory while it is checked, and is no more than this.
const MOST_ATTACHED: usize = 256 << 20;

/// An OCI layout.
#[derive(Clone, Debug)]
pub struct OpenedLayout {
    folder: PathBuf,
    /// Digests of the images' manifests, of the tag that was asked for.
    pub images: Vec<Digest>,
}

/// Opens the layout at `folder`, of which images with `tag` are wanted.
pub fn open(folder: &Path, tag: Option<&str>) -> Result<OpenedLayout, Error> {
    let place = Destination::OciLayout { path: folder.to_owned(), tag: tag.map(str::to_owned) };
    let mut images = identify(&place)?;
    images.dedup();
    Ok(OpenedLayout { folder: folder.to_owned(), images })
}

impl OpenedLayout {
    /// A small blob, if it has the digest that it is named by.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        self.read_at_most(digest, MOST_MANIFEST)
    }

    fn read_at_most(&self, digest: &Digest, most: u64) -> Result<Vec<u8>, Error> {
        let path = self.path(digest);
        let read = || {
            let mut bytes = Vec::new();
            fs_err::File::open(&path)?.take(most + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 > most {
                return Err(io::Error::other(format!("{} is larger than it can be", path.display())));
            }
            if Digest::of(&bytes) != *digest {
                return Err(io::Error::other(format!("{} is not what its name says", path.display())));
            }
            Ok(bytes)
        };
        read().map_err(|source| Error::Read { path: self.folder.clone(), source })
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join("blobs/sha256").join(digest.hex())
    }

    /// What is wrong with the blob of this digest and size, if anything is.
    pub fn problem(&self, digest: &Digest, size: u64) -> Option<String> {
        problem(&self.path(digest), digest, size)
    }

    /// The files of one of the media types in `wanted` that are attached to images here, with their media types. What cannot
    /// be read is left out.
    pub fn attached(&self, wanted: &[&str]) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let file = self.folder.join(INDEX_FILE);
        let reading = |source| Error::Read { path: self.folder.clone(), source };
        let mut bytes = Vec::new();
        fs_err::File::open(&file)
            .and_then(|file| file.take(MOST_MANIFEST).read_to_end(&mut bytes))
            .map_err(reading)?;
        let index: Value =
            serde_json::from_slice(&bytes).map_err(|source| Error::Index { path: file.clone(), source })?;
        let (mut files, mut seen, mut sum) = (Vec::new(), HashSet::new(), 0);
        let entries = index["manifests"].as_array().into_iter().flatten();
        for manifest in entries.filter_map(|entry| entry["digest"].as_str()?.parse::<Digest>().ok()) {
            let Ok(manifest) = self.read(&manifest) else { continue };
            let Ok(manifest) = serde_json::from_slice::<Value>(&manifest) else { continue };
            for layer in manifest["layers"].as_array().into_iter().flatten() {
                let kind = layer["mediaType"].as_str().unwrap_or_default();
                if let Some(digest) = layer["digest"].as_str().and_then(|digest| digest.parse().ok())
                    && wanted.contains(&kind)
                    && seen.insert((kind.to_owned(), digest))
                    && let Ok(bytes) = self.read_at_most(&digest, MOST_PART)
                {
                    sum += bytes.len();
                    if sum > MOST_ATTACHED {
                        let most = MOST_ATTACHED >> 20;
                        let message = format!("more than {most} MiB are attached to its images");
                        return Err(reading(io::Error::other(message)));
                    }
                    files.push((kind.to_owned(), bytes));
                }
            }
        }
        Ok(files)
    }
}

/// What is wrong with the blob at `path`, if anything is: it is not there, or not what its digest and size say.
pub fn problem(path: &Path, digest: &Digest, size: u64) -> Option<String> {
    let hash = || {
        let mut hasher = Hasher::new();
        let read = io::copy(&mut fs_err::File::open(path)?, &mut hasher)?;
        Ok((hasher.finish(), read))
    };
    match hash() {
        Ok((actual, read)) if actual == *digest && read == size => None,
        Ok((actual, read)) if actual == *digest => Some(format!("{digest} has {read} bytes, not {size}")),
        Ok((actual, _)) => Some(format!("{digest} is in truth {actual}")),
        Err(error) => io::Error::to_string(&error).into(),
    }
}
