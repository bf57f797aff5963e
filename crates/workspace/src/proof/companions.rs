//! What goes to a registry beside an image, whether it is signed or not: the record that it was made from, and its bills of
//! materials.

use provenv_definition::Digest;
use provenv_image::oci::Image;
use provenv_image::proof::{Part, Referrer, provenance};
use provenv_image::sbom::Format;
use serde::Serialize;

use super::ProofError;
use crate::{Result, Workspace};

/// SPDX's media type, as IANA knows it.
const SPDX: &str = "application/spdx+json";
/// `CycloneDX`'s media type, as IANA knows it.
const CYCLONEDX: &str = "application/vnd.cyclonedx+json";

/// Something that is attached to an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Companion {
    /// The digest of its manifest.
    pub digest: Digest,
    /// What it is: its artifact type.
    #[serde(rename = "type")]
    pub kind: String,
}

impl From<&Referrer> for Companion {
    fn from(referrer: &Referrer) -> Self {
        Self { digest: referrer.manifest, kind: referrer.artifact_type.clone() }
    }
}

impl Workspace {
    /// All that goes along with an image: its record and bills of materials, made now, and what was signed. The same image has
    /// the same; no bills of materials where they would lack what is not known here. Hold a pin on the store.
    pub(crate) async fn companions(&self, image: &Image) -> Result<Vec<Referrer>> {
        let mut companions = self.referrers_of(&image.manifest).await?;
        let origins = self.catalogue.origins().await?;
        let origin = origins.into_iter().find(|origin| origin.image == image.manifest);
        let origin = origin.ok_or(ProofError::NoRecord { image: image.manifest, what: "build" })?;
        let subject = (image.manifest, image.manifest_size);
        let parts = self.record_of(origin.clone()).await?.parts()?;
        let mut made =
            vec![Referrer::write(&self.store, subject, provenance::RECORD_TYPE, [].into(), &parts)?];
        let bill = self.bill(&self.made_of(origin).await?)?;
        // One that knows less is no second one of the same image.
        let formats = [(SPDX, Format::Spdx), (CYCLONEDX, Format::CycloneDx)];
        for (media_type, format) in formats.into_iter().filter(|_| bill.unread() == 0) {
            let part =
                Part { media_type: media_type.to_owned(), bytes: bill.write(format), annotations: [].into() };
            made.push(Referrer::write(&self.store, subject, media_type, [].into(), &[part])?);
        }
        for one in made {
            if !companions.iter().any(|there| there.manifest == one.manifest) {
                companions.push(one);
            }
        }
        Ok(companions)
    }
}
