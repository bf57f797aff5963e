//! A bundle: images in one tar file, with all that refers to them and the files that they are made of. It is an OCI image
//! layout, so that other tools read the images in it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::{self, Read, Write as _};
use std::path::Path;

use provenv_definition::{Digest, Hasher};
use provenv_fetch::{Phase, Reporter};
use provenv_store::Store;
use serde_json::{Value, json};

use super::Error;
use super::archive::{self, Content, Member};
use super::layout::{INDEX_FILE, LAYOUT, LAYOUT_FILE, descriptor};
use crate::oci::Image;
use crate::proof::Referrer;

/// No index of a bundle comes near.
const MOST_INDEX: u64 = 64 << 20;
/// Nobody has so many images, signatures and bills of materials in one file; each costs work.
const MOST_LISTED: usize = 10_000;

/// What was in a bundle.
#[derive(Clone, Debug, Default)]
pub struct BundleContents {
    /// Digests of what its index lists, each once, in that order, as far as they came with it.
    pub index: Vec<Digest>,
    /// Every blob that it holds, whether the store had it or not, with its size. All of them have the digests that they are
    /// named by.
    pub blobs: HashMap<Digest, u64>,
}

/// Writes `images`, by the names that they get, and `referrers` to a tar file at `path`.
pub fn write_bundle(
    store: &Store,
    images: &[(Image, String)],
    referrers: &[Referrer],
    path: &Path,
    reporter: &dyn Reporter,
) -> Result<(), Error> {
    let entries = images.iter().map(|(image, name)| descriptor(image, Some(name)));
    let entries: Vec<Value> = entries.chain(referrers.iter().map(Referrer::to_entry)).collect();
    let index = json!({ "schemaVersion": 2, "manifests": entries });
    let mut members = vec![
        Member { name: LAYOUT_FILE.to_owned(), content: Content::Bytes(LAYOUT.into()) },
        Member { name: INDEX_FILE.to_owned(), content: Content::Bytes(index.to_string().into()) },
        Member { name: "blobs".to_owned(), content: Content::Folder },
        Member { name: "blobs/sha256".to_owned(), content: Content::Folder },
    ];
    let blobs = images.iter().flat_map(|(image, _)| image.blobs());
    // In the order of their digests: the same images are the same file.
    let blobs: BTreeSet<(String, u64)> = blobs
        .chain(referrers.iter().flat_map(Referrer::blobs))
        .map(|(digest, size)| (digest.hex(), size))
        .collect();
    reporter.expect(Phase::Publishing, 1, blobs.iter().map(|(_, size)| size).sum());
    let item = path.display().to_string();
    reporter.begin(Phase::Publishing, &item);
    for (hex, size) in blobs {
        let Ok(digest) = Digest::from_hex(&hex) else { continue };
        members.push(Member { name: format!("blobs/sha256/{hex}"), content: Content::Blob(digest, size) });
    }
    archive::write(store, path, members, reporter)?;
    reporter.end(Phase::Publishing, &item);
    Ok(())
}

/// Brings every blob of the bundle at `path` into the store, if it is what its name says, and says what came. Nothing else in
/// the file is looked at. Hold a pin on the store until something names what came.
///
/// A blob that the store has is read and hashed all the same: who names the digest of a private file need not have the file.
pub fn read_bundle(store: &Store, path: &Path, reporter: &dyn Reporter) -> Result<BundleContents, Error> {
    let reading = |source| Error::Read { path: path.to_owned(), source };
    let file = fs_err::File::open(path).map_err(reading)?;
    let size = file.metadata().map_err(reading)?.len();
    reporter.expect(Phase::Fetching, 1, size);
    let item = path.display().to_string();
    reporter.begin(Phase::Fetching, &item);
    let mut archive = tar::Archive::new(io::BufReader::with_capacity(1 << 20, file));
    let (mut index, mut blobs) = (None, HashMap::new());
    for entry in archive.entries().map_err(reading)? {
        let mut entry = entry.map_err(reading)?;
        // Links, devices and the like stand for nothing here.
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = name.strip_prefix("./").unwrap_or(&name);
        if name == INDEX_FILE {
            let mut bytes = Vec::new();
            entry.by_ref().take(MOST_INDEX).read_to_end(&mut bytes).map_err(reading)?;
            index = Some(bytes);
        } else if let Some(digest) =
            name.strip_prefix("blobs/sha256/").and_then(|hex| Digest::from_hex(hex).ok())
        {
            let size = entry.size();
            let wrong = |error: provenv_store::Error| match error {
                provenv_store::Error::Size { .. } | provenv_store::Error::Mismatch { .. } => {
                    reading(io::Error::new(io::ErrorKind::InvalidData, format!("{name}: {error}")))
                }
                error => error.into(),
            };
            if store.contains(&digest) {
                let mut hasher = Hasher::new();
                io::copy(&mut entry, &mut hasher).map_err(reading)?;
                let actual = hasher.finish();
                if actual != digest {
                    return Err(wrong(provenv_store::Error::Mismatch { expected: digest, actual }));
                }
            } else {
                let mut staged = store.stage()?;
                io::copy(&mut entry, &mut staged).map_err(reading)?;
                staged.flush().map_err(reading)?;
                staged.commit_expecting(&digest, Some(size)).map_err(wrong)?;
            }
            blobs.insert(digest, size);
            reporter.advance(Phase::Fetching, size);
        }
    }
    let none = || reading(io::Error::new(io::ErrorKind::InvalidData, "it holds no index.json"));
    let index: Value = serde_json::from_slice(&index.ok_or_else(none)?)
        .map_err(|source| Error::Index { path: path.to_owned(), source })?;
    reporter.end(Phase::Fetching, &item);
    let mut listed = HashSet::new();
    let manifests = index["manifests"].as_array().into_iter().flatten();
    let mut index: Vec<Digest> = manifests
        .filter_map(|manifest| manifest["digest"].as_str()?.parse().ok())
        .filter(|digest| listed.insert(*digest))
        .collect();
    if index.len() > MOST_LISTED {
        let message = format!("its index lists more than {MOST_LISTED} manifests");
        return Err(reading(io::Error::new(io::ErrorKind::InvalidData, message)));
    }
    index.retain(|digest| blobs.contains_key(digest));
    Ok(BundleContents { index, blobs })
}
