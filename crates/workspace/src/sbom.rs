//! Bills of materials of images.

use std::path::Path;

use provenv_definition::Digest;
use provenv_image::sbom::Format;

use crate::{Result, Workspace};

/// A bill of materials.
#[derive(Clone, Debug)]
pub struct Sbom {
    /// The image it is of.
    pub image: Digest,
    /// The lock that the image was assembled from.
    pub lock: Digest,
    /// The document.
    pub document: Vec<u8>,
    /// How many things are in it.
    pub components: usize,
    /// How many packages were never read here: where it is more than none, the document may say more later.
    pub unread: usize,
}

impl Workspace {
    /// The bill of materials of the image of an environment or a file, or with a digest: of any image ever made here.
    pub async fn sbom(&self, reference: &str, folder: &Path, format: Format) -> Result<Sbom> {
        let made = self.made(reference, folder).await?;
        let bill = self.bill(&made)?;
        Ok(Sbom {
            image: made.origin.image,
            lock: made.origin.lock,
            document: bill.write(format),
            components: bill.components().count(),
            unread: bill.unread(),
        })
    }
}
