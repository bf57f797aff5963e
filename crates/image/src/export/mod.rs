//! Images out of the store, as files that other tools read.

mod archive;
mod bundle;
mod destination;
mod docker;
mod identify;
mod layout;
mod opened;
pub mod prefix;

use std::io;
use std::path::{Path, PathBuf};

use provenv_fetch::{Phase, Reporter};
use provenv_store::Store;

pub use bundle::{BundleContents, read_bundle, write_bundle};
pub use destination::{Destination, DestinationError};
pub use identify::identify;
pub use opened::{OpenedLayout, open, problem};

use crate::oci::Image;
use crate::proof::Referrer;

/// Why an image could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A blob of the image cannot be read.
    #[error("failed to read the image from the store")]
    Store(#[from] provenv_store::Error),
    /// The destination cannot be written; the source names the file.
    #[error("failed to export the image to `{}`", .path.display())]
    Write {
        /// The destination.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What should be an export cannot be read; the source names the file.
    #[error("failed to read the image at `{}`", .path.display())]
    Read {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder holds something else.
    #[error("`{}` is neither empty nor an OCI image layout", .0.display())]
    NotALayout(PathBuf),
    /// The folder's `index.json` cannot be read, so it cannot be added to.
    #[error("`{}` is not the index of an OCI image layout", .path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Write { source, .. } if provenv_store::is_no_space(source) => {
                Some("free some space on that file system, or export to another one".to_owned())
            }
            Self::Write { source, .. } => Some(match source.kind() {
                io::ErrorKind::UnexpectedEof => provenv_store::SCRUB_HINT.to_owned(),
                io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
                    "name a new or empty folder for `oci:`, a file for the archives".to_owned()
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "name a place where your user may write".to_owned()
                }
                _ => return None,
            }),
            Self::Read { .. } => Some(
                "write oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:NAME:TAG] of what was exported"
                    .to_owned(),
            ),
            Self::NotALayout(_) => Some("name a new or empty folder".to_owned()),
            Self::Index { .. } => Some("name a new folder, or take the broken layout away".to_owned()),
        }
    }
}

/// Writes `image` to `destination`. Files appear there under their names only when they are whole; blobs that a layout
/// has already are not written again.
///
/// The store's files are copied, never linked: whoever owns the destination may change what is in it.
pub fn to(
    store: &Store,
    image: &Image,
    destination: &Destination,
    reporter: &dyn Reporter,
) -> Result<(), Error> {
    reporter.expect(Phase::Publishing, 1, image.size());
    let item = destination.to_string();
    if let Destination::OciArchive { path, .. } | Destination::DockerArchive { path, .. } = destination
        && path.is_file()
    {
        reporter.note(&format!("{} was there and is replaced: an archive holds one image", path.display()));
    }
    reporter.begin(Phase::Publishing, &item);
    match destination {
        Destination::OciLayout { path, tag } => layout::write(store, image, path, tag.as_deref(), reporter)?,
        Destination::OciArchive { path, tag } => {
            archive::write(store, path, layout::archive(image, tag.as_deref()), reporter)?;
        }
        Destination::DockerArchive { path, reference } => {
            archive::write(store, path, docker::archive(image, reference.as_deref()), reporter)?;
        }
    }
    reporter.end(Phase::Publishing, &item);
    Ok(())
}

/// Adds what refers to images to an OCI layout that they were exported to.
pub fn attach(store: &Store, referrers: &[Referrer], folder: &Path) -> Result<(), Error> {
    layout::attach(store, referrers, folder)
}

/// Names `path` in an error of writing it.
fn writing(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    move |source| Error::Write { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
