//! OCI's image layout: a folder of blobs with an index of the images in it (OCI image specification,
//! `image-layout.md`).

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fs_err::File;
use provenv_definition::Digest;
use provenv_fetch::{Phase, Reporter, Silent};
use provenv_store::Store;
use rayon::prelude::*;
use serde_json::{Value, json};

use super::archive::{Content, CopyError, Member};
use super::{Error, writing};
use crate::oci::{Image, MANIFEST_TYPE};
use crate::proof::Referrer;

pub(super) const LAYOUT_FILE: &str = "oci-layout";
pub(super) const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
pub(super) const INDEX_FILE: &str = "index.json";
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Files in the making begin so; what a killed process left is taken away by the next.
const STAGED: &str = ".provenv-";

/// Adds `image` to the layout at `folder`, which is made if it is not there. An image of the same tag gives way.
pub(super) fn write(
    store: &Store,
    image: &Image,
    folder: &Path,
    tag: Option<&str>,
    reporter: &dyn Reporter,
) -> Result<(), Error> {
    let failed = writing(folder);
    let blobs = folder.join("blobs/sha256");
    let fresh = is_absent_or_empty(folder).map_err(&failed)?;
    if !fresh && !folder.join(LAYOUT_FILE).exists() && !only_ours(folder).map_err(&failed)? {
        return Err(Error::NotALayout(folder.to_owned()));
    }
    fs_err::create_dir_all(&blobs).map_err(&failed)?;

    // One writer at a time; the lock is on the folder itself and ends with the process.
    let lock = File::open(folder).map_err(&failed)?;
    lock.file().lock().map_err(&failed)?;
    for place in [folder, &blobs] {
        remove_staged(place).map_err(&failed)?;
    }

    let index = merged(&folder.join(INDEX_FILE), image, tag)?;
    put(&folder.join(LAYOUT_FILE), LAYOUT.as_bytes()).map_err(&failed)?;
    image.blobs().par_iter().try_for_each(|(digest, size)| {
        copy(store, digest, *size, &blobs, reporter).map_err(|error| match error {
            CopyError::Store(error) => Error::Store(error),
            CopyError::Io(error) => failed(error),
        })
    })?;
    File::open(&blobs).and_then(|folder| folder.sync_all()).map_err(&failed)?;
    // Last: the index names only what is there.
    put(&folder.join(INDEX_FILE), &index).map_err(&failed)?;
    lock.sync_all().map_err(&failed)
}

/// Adds what refers to images to the layout at `folder`, which an export has made. What is there stays.
pub(super) fn attach(store: &Store, referrers: &[Referrer], folder: &Path) -> Result<(), Error> {
    let failed = writing(folder);
    let blobs = folder.join("blobs/sha256");
    let lock = File::open(folder).map_err(&failed)?;
    lock.file().lock().map_err(&failed)?;
    let index = folder.join(INDEX_FILE);
    let (mut fields, mut manifests) = read(&index)?;
    for referrer in referrers {
        for (digest, size) in referrer.blobs() {
            copy(store, &digest, size, &blobs, &Silent).map_err(|error| match error {
                CopyError::Store(error) => Error::Store(error),
                CopyError::Io(error) => failed(error),
            })?;
        }
        let entry = referrer.to_entry();
        if !manifests.iter().any(|manifest| manifest["digest"] == entry["digest"]) {
            manifests.push(entry);
        }
    }
    File::open(&blobs).and_then(|folder| folder.sync_all()).map_err(&failed)?;
    fields.insert("manifests".to_owned(), Value::Array(manifests));
    put(&index, Value::Object(fields).to_string().as_bytes()).map_err(&failed)?;
    lock.sync_all().map_err(&failed)
}

/// The members of an archive that holds a layout of `image` alone.
pub(super) fn archive(image: &Image, tag: Option<&str>) -> Vec<Member> {
    let index = json!({ "schemaVersion": 2, "manifests": [descriptor(image, tag)] });
    let mut members = vec![
        Member { name: LAYOUT_FILE.to_owned(), content: Content::Bytes(LAYOUT.into()) },
        Member { name: INDEX_FILE.to_owned(), content: Content::Bytes(index.to_string().into()) },
        Member { name: "blobs".to_owned(), content: Content::Folder },
        Member { name: "blobs/sha256".to_owned(), content: Content::Folder },
    ];
    for (digest, size) in image.blobs() {
        let name = format!("blobs/sha256/{}", digest.hex());
        members.push(Member { name, content: Content::Blob(digest, size) });
    }
    members
}

/// An image in an index.
pub(super) fn descriptor(image: &Image, tag: Option<&str>) -> Value {
    let mut descriptor = json!({
        "mediaType": MANIFEST_TYPE,
        "digest": image.manifest,
        "size": image.manifest_size,
        "platform": { "architecture": image.platform.architecture(), "os": "linux" },
    });
    if let Some(tag) = tag {
        descriptor["annotations"] = json!({ REF_NAME: tag });
    }
    descriptor
}

/// The index at `path`, if there is one, with `image` in the place of what had its tag.
fn merged(path: &Path, image: &Image, tag: Option<&str>) -> Result<Vec<u8>, Error> {
    let (mut fields, mut manifests) = read(path)?;
    // What refers to an image has no tag, and is no image.
    let gives_way = |manifest: &Value| {
        manifest["annotations"][REF_NAME].as_str() == tag && manifest.get("artifactType").is_none()
    };
    manifests.retain(|manifest| !gives_way(manifest));
    manifests.push(descriptor(image, tag));
    fields.insert("manifests".to_owned(), Value::Array(manifests));
    Ok(Value::Object(fields).to_string().into_bytes())
}

/// The fields of the index at `path`, its manifests taken out of them; those of a new one where there is none.
fn read(path: &Path) -> Result<(serde_json::Map<String, Value>, Vec<Value>), Error> {
    let wrong = |source| Error::Index { path: path.to_owned(), source };
    let index = match fs_err::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(wrong)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => json!({ "schemaVersion": 2 }),
        Err(error) => return Err(writing(path)(error)),
    };
    let Value::Object(mut fields) = index else {
        return Err(wrong(serde::de::Error::custom("it is not a JSON object")));
    };
    let manifests = fields.remove("manifests").unwrap_or_else(|| json!([]));
    Ok((fields, serde_json::from_value(manifests).map_err(wrong)?))
}

/// Copies a blob into `folder`, unless it is there with the right size.
fn copy(
    store: &Store,
    digest: &Digest,
    size: u64,
    folder: &Path,
    reporter: &dyn Reporter,
) -> Result<(), CopyError> {
    let target = folder.join(digest.hex());
    if fs_err::metadata(&target).is_ok_and(|there| there.len() == size) {
        reporter.advance(Phase::Publishing, size);
        return Ok(());
    }
    let mut staged = staged(folder)?;
    super::archive::copy(store, (digest, size), staged.as_file_mut(), reporter)?;
    staged.as_file().sync_all()?;
    staged.persist(&target).map_err(|error| error.error)?;
    Ok(())
}

/// Writes a small file whole or not at all.
fn put(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut staged = staged(path.parent().unwrap_or(Path::new(".")))?;
    staged.write_all(bytes)?;
    staged.as_file().sync_all()?;
    staged.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// A file in the making in `folder`, with the mode that the user's umask gives to any file.
pub(super) fn staged(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let permissions = std::fs::Permissions::from_mode(0o666);
    tempfile::Builder::new().prefix(STAGED).permissions(permissions).tempfile_in(folder)
}

fn is_absent_or_empty(folder: &Path) -> std::io::Result<bool> {
    match fs_err::read_dir(folder) {
        Ok(mut files) => Ok(files.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Whether `folder` holds only what an export begins with, before it has written `oci-layout`.
fn only_ours(folder: &Path) -> std::io::Result<bool> {
    for entry in fs_err::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if name != "blobs" && !name.starts_with(STAGED) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes away what killed processes left. The caller holds the lock, so nobody is at work on these files.
fn remove_staged(folder: &Path) -> std::io::Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(STAGED) {
            fs_err::remove_file(entry.path())?;
        }
    }
    Ok(())
}
