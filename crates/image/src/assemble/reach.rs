//! What of the store a lock's image stands on: what garbage collection must leave.

use provenv_definition::{Digest, Platform};
use provenv_lock::{PlatformLock, PostLink, PypiSource};
use provenv_store::{Roots, Store};
use serde_json::Value;

use super::conda::for_pythons;
use super::{Error, IMAGES, Kept, base_key, image_key, interpreter, source_of};
use crate::base_image::{BaseImage, FACTS, Manifest};
use crate::form::Form;
use crate::segment::{self, RECORDS};
use crate::unpack;

/// Adds to `roots` all that `lock` needs to be built again without the network, and all that was made for its images in `forms`.
pub fn reach(
    store: &Store,
    lock: &PlatformLock,
    platform: Platform,
    forms: &[Form],
    roots: &mut Roots,
) -> Result<(), Error> {
    let mut segments = Vec::new();
    let mut compiled = Vec::new();
    let mut interpreters: Vec<Digest> = interpreter(lock).into_iter().collect();
    for package in &lock.debian {
        let sha256 = &package.artifact.sha256;
        roots.blobs.insert(*sha256);
        segments.push(segment::deb_key(sha256));
        compiled.push(*sha256);
    }
    for package in &lock.conda {
        let sha256 = &package.artifact.sha256;
        roots.blobs.insert(*sha256);
        let pythons = for_pythons(package, lock.python.as_ref());
        segments.extend(pythons.into_iter().map(|python| segment::conda_key(sha256, python)));
        compiled.push(*sha256);
    }
    for package in &lock.pypi {
        let sha256 = source_of(package).0;
        roots.blobs.insert(sha256);
        if let PypiSource::Built { sdist: Some(sdist), .. } = &package.source {
            roots.blobs.insert(sdist.sha256);
        }
        if let Some(python) = &lock.python {
            segments.push(segment::wheel_key(&sha256, python.minor()));
        }
        compiled.push(sha256);
    }
    if let Some(manifest) = lock.base.manifest() {
        base(store, manifest, platform, roots)?;
    }
    if let Some(PostLink::Run { layer: Some(layer) }) = &lock.post_link {
        roots.blobs.insert(layer.sha256);
    }
    let images = forms.iter().map(|form| image_key(lock, platform, *form));
    for key in images.chain([base_key(lock, platform)]) {
        if let Some(kept) = store.record::<Kept>(IMAGES, &key)? {
            segments.extend(kept.joined.iter().cloned());
            interpreters.extend(kept.interpreter);
            roots.trees.extend(unpack::trees(&kept.layers));
            record(store, IMAGES, key, roots)?;
        }
    }
    for python in &interpreters {
        segments.extend(compiled.iter().map(|sha256| segment::bytecode_key(sha256, python)));
    }
    for key in segments {
        record(store, RECORDS, key, roots)?;
    }
    Ok(())
}

/// Adds the image of a base, as far as it is there.
fn base(store: &Store, manifest: &Digest, platform: Platform, roots: &mut Roots) -> Result<(), Error> {
    roots.blobs.insert(*manifest);
    if !store.contains(manifest) {
        return Ok(());
    }
    if let Ok(manifest) = Manifest::parse(&store.read(manifest)?) {
        roots.blobs.extend(manifest.blobs().map(|(digest, _)| digest));
    }
    if let Ok(base) = BaseImage::open(store, manifest, platform) {
        roots.trees.extend(unpack::trees(&base.layers));
        roots.records.insert((FACTS.to_owned(), base.facts_key()));
    }
    Ok(())
}

/// Adds a record and every blob it names: digests are written the same way in all of them.
fn record(store: &Store, kind: &str, key: String, roots: &mut Roots) -> Result<(), Error> {
    let Some(value) = store.record::<Value>(kind, &key)? else { return Ok(()) };
    let mut values = vec![value];
    while let Some(value) = values.pop() {
        match value {
            Value::String(text) => roots.blobs.extend(text.parse::<Digest>()),
            Value::Array(inner) => values.extend(inner),
            Value::Object(inner) => values.extend(inner.into_iter().map(|(_, value)| value)),
            _ => {}
        }
    }
    roots.records.insert((kind.to_owned(), key));
    Ok(())
}
