//! What goes wrong in a store.

use std::io;
use std::path::PathBuf;

use provenv_definition::Digest;

/// The result of what a store does.
pub type Result<T> = std::result::Result<T, Error>;

/// What goes wrong in a store. The I/O errors inside name their file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk or the user's quota is full. What was being written is gone again.
    #[error("no space left for the store")]
    NoSpace(#[source] io::Error),
    /// A file or folder of the store may not be read or written.
    #[error("no permission to use the store")]
    Permission(#[source] io::Error),
    /// Any other failure of the file system.
    #[error("failed to read or write the store")]
    Io(#[source] io::Error),
    /// The folder was written by a later version.
    #[error("the store at `{}` has format {found}, and this version knows formats up to {known}", .path.display())]
    NewerFormat {
        /// The store's root.
        path: PathBuf,
        /// What its `format` file says.
        found: u64,
        /// The newest format known here.
        known: u64,
    },
    /// The folder's `format` file is not one.
    #[error("`{}` is not the format file of a store", .0.display())]
    NotAStore(PathBuf),
    /// A blob that is not there.
    #[error("the store has no blob {0}")]
    Missing(Digest),
    /// Bytes are not the ones that were announced.
    #[error("expected {expected}, got {actual}")]
    Mismatch {
        /// The digest announced.
        expected: Digest,
        /// The digest of the bytes.
        actual: Digest,
    },
    /// Bytes are more or fewer than announced.
    #[error("expected {expected} bytes, got {actual}")]
    Size {
        /// The number announced.
        expected: u64,
        /// The number of bytes.
        actual: u64,
    },
    /// A blob in the store no longer has its digest.
    #[error("blob {expected} is corrupt: its bytes are those of {actual}")]
    Corrupt {
        /// Its name.
        expected: Digest,
        /// The digest of its bytes.
        actual: Digest,
    },
    /// A kind or key that cannot be a file name in the store.
    #[error("`{0}` cannot name anything in the store: use a-z, 0-9, `.`, `_` and `-`")]
    Name(String),
    /// A value that JSON cannot hold.
    #[error("failed to write record {kind}/{key}")]
    Record {
        /// The record's kind.
        kind: String,
        /// The record's key.
        key: String,
        /// Why.
        source: serde_json::Error,
    },
}

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoSpace(_) => {
                "free some space on that file system, run `provenv store gc`, or keep the store elsewhere".into()
            }
            Self::Permission(_) => {
                "the store must be writable for the user who runs this, as its owner or by a group: check its owner and mode, or \
                 use another folder"
                    .into()
            }
            Self::NewerFormat { .. } => "use the newer version of provenv, or another folder for the store".into(),
            Self::NotAStore(_) => "choose an empty folder or an existing store".into(),
            Self::Corrupt { .. } => {
                "run `provenv store scrub`: corrupt blobs are moved aside and fetched or made again".into()
            }
            _ => return None,
        })
    }

    /// Whether the disk or the quota is full.
    pub fn is_no_space(&self) -> bool {
        match self {
            Self::NoSpace(_) => true,
            Self::Io(error) => is_no_space(error),
            _ => false,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            _ if is_no_space(&error) => Self::NoSpace(error),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::Permission(error),
            _ => Self::Io(error),
        }
    }
}

/// What to do about bytes in the store that have changed.
pub const SCRUB_HINT: &str =
    "run `provenv store scrub`, which moves aside what has changed in the store, then try again";

/// Whether an error in reading a blob says that its bytes are not those that were written.
pub fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof
    )
}

/// Whether an I/O error says that the disk or the quota is full.
pub fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
