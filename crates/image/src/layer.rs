//! Segments joined to the layers of an image.

use provenv_definition::Digest;
use serde::{Deserialize, Serialize};

/// A layer of an image: a gzip-compressed tar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Digest of the compressed bytes.
    pub digest: Digest,
    /// Compressed bytes.
    pub size: u64,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Uncompressed bytes.
    pub tar_size: u64,
    /// What it is, for people: `scikit-learn 1.7.2`, `system packages (bucket 3)`.
    pub what: String,
    /// The packages in it, `name version`.
    pub packages: Vec<String>,
}
