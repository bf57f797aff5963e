//! Which images an export holds, by what it says itself: no blob is read.

use std::io::{self, Read};
use std::path::Path;

use provenv_definition::Digest;
use serde_json::Value;

use super::layout::{INDEX_FILE, REF_NAME};
use super::{Destination, Error};

/// No index of a few images comes near.
const MAX_INDEX: u64 = 4 << 20;

/// The images at `place`, of the name that it gives if it gives one: digests of their manifests, or of their
/// configurations in a docker archive, which has no manifest.
pub fn identify(place: &Destination) -> Result<Vec<Digest>, Error> {
    match place {
        Destination::OciLayout { path, tag } => {
            let file = path.join(INDEX_FILE);
            let bytes = fs_err::File::open(&file).and_then(bounded).map_err(reading(path))?;
            of_layout(&file, &bytes, tag.as_deref())
        }
        Destination::OciArchive { path, tag } => {
            of_layout(path, &member(path, INDEX_FILE).map_err(reading(path))?, tag.as_deref())
        }
        Destination::DockerArchive { path, reference } => {
            let bytes = member(path, "manifest.json").map_err(reading(path))?;
            let images: Vec<Value> = serde_json::from_slice(&bytes).map_err(wrong(path))?;
            let named = |image: &&Value| match (reference, image["RepoTags"].as_array()) {
                (Some(wanted), Some(tags)) => tags.iter().any(|tag| tag.as_str() == Some(wanted)),
                (Some(_), None) => false,
                (None, _) => true,
            };
            let config = |image: &Value| {
                let name = image["Config"].as_str()?.trim_end_matches(".json");
                Digest::from_hex(name.rsplit('/').next()?).ok()
            };
            Ok(images.iter().filter(named).filter_map(config).collect())
        }
    }
}

fn of_layout(file: &Path, index: &[u8], tag: Option<&str>) -> Result<Vec<Digest>, Error> {
    let index: Value = serde_json::from_slice(index).map_err(wrong(file))?;
    let manifests = index["manifests"].as_array().into_iter().flatten();
    let named = |manifest: &&Value| tag.is_none() || manifest["annotations"][REF_NAME].as_str() == tag;
    // What refers to an image is none.
    let image = |manifest: &&Value| manifest.get("artifactType").is_none();
    Ok(manifests
        .filter(named)
        .filter(image)
        .filter_map(|manifest| manifest["digest"].as_str()?.parse().ok())
        .collect())
}

/// The bytes of a member of a tar file.
fn member(archive: &Path, name: &str) -> io::Result<Vec<u8>> {
    let mut archive = tar::Archive::new(io::BufReader::new(fs_err::File::open(archive)?));
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        if entry.path_bytes().strip_prefix(b"./").unwrap_or(&entry.path_bytes()) == name.as_bytes() {
            return bounded(entry);
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, format!("it holds no {name}")))
}

fn bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_INDEX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_INDEX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its index is larger than any"));
    }
    Ok(bytes)
}

fn reading(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    move |source| Error::Read { path: path.to_owned(), source }
}

fn wrong(path: &Path) -> impl Fn(serde_json::Error) -> Error + '_ {
    move |source| Error::Index { path: path.to_owned(), source }
}
