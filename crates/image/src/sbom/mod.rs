//! The bill of materials of an image: every package in it, with licence, digest, origin and what it needs.
//!
//! It is made from the lock, and from what the packages say of themselves, and not by looking at files: nothing of it is guessed,
//! and it can be made when the image's bytes are gone. The same lock and image give the same bytes, on any machine and at any
//! time: times are those of the image, identifiers follow from digests.

mod collect;
mod cyclonedx;
mod license;
mod needs;
mod purl;
mod spdx;

use provenv_definition::{Digest, Platform};
use provenv_lock::PlatformLock;
use serde::Serialize;

use crate::about::{Known, LicenseName};
pub use license::License;

/// What a bill of materials is of.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'s> {
    /// The image.
    pub manifest: Digest,
    /// What it runs on.
    pub platform: Platform,
    /// The digest of the whole lock.
    pub lock_digest: Digest,
    /// What the image was assembled from.
    pub lock: &'s PlatformLock,
    /// What its packages say of themselves.
    pub known: &'s Known,
}

/// A format of bills of materials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// SPDX 2.3, in JSON.
    Spdx,
    /// CycloneDX 1.5, in JSON.
    CycloneDx,
}

/// A bill of materials, before it is written in a format.
#[derive(Clone, Debug)]
pub struct Bill {
    manifest: Digest,
    lock: Digest,
    /// The image first, then the operating system, then packages by ecosystem and name.
    components: Vec<Component>,
    /// Pairs of places in `components`: the first contains the second.
    contains: Vec<(usize, usize)>,
    /// The same: the first needs the second.
    needs: Vec<(usize, usize)>,
    /// Places of packages of which nothing is known but their names, because their bytes were not there to be read.
    unread: Vec<usize>,
}

/// What stands in a bill of materials.
#[derive(Clone, Debug)]
pub struct Component {
    /// Its name in the document: letters, digits, `.` and `-`, and unique.
    id: String,
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    purl: Option<String>,
    sha256: Option<Digest>,
    md5: Option<String>,
    /// Where it was fetched from: a URI without secrets, and no path of this machine.
    download: Option<String>,
    licenses: Vec<LicenseName>,
    maker: Option<String>,
    homepage: Option<String>,
    summary: Option<String>,
    /// Of a Debian package: name and version of its source package.
    pub source: Option<(String, String)>,
    /// What it was built from, if it was built here.
    built_from: Option<String>,
    /// The file in the image by which it is known, if it is a part of another.
    pub path: Option<String>,
    /// Named by the definition itself.
    requested: bool,
}

/// What a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The image as a whole.
    Image,
    /// The image of a registry that it stands on.
    Base,
    /// The distribution that system packages are of.
    System,
    /// A `.deb`.
    Deb,
    /// A conda package.
    Conda,
    /// A Python package.
    Pypi,
    /// A JavaScript package, in another package.
    Npm,
    /// What scripts of conda packages left.
    Layer,
}

impl Component {
    /// Whether Debian made it.
    fn is_debians(&self) -> bool {
        match self.kind {
            Kind::System => self.name == "debian",
            Kind::Deb => self.purl.as_deref().is_some_and(|purl| purl.starts_with("pkg:deb/debian/")),
            _ => false,
        }
    }
}

impl Kind {
    /// What it is called in properties.
    fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Base => "base",
            Self::System => "system",
            Self::Deb => "deb",
            Self::Conda => "conda",
            Self::Pypi => "pypi",
            Self::Npm => "npm",
            Self::Layer => "layer",
        }
    }
}

impl Bill {
    /// The bill of materials of `subject`.
    pub fn of(subject: &Subject<'_>) -> Self {
        collect::collect(subject)
    }

    /// It, in a format: JSON with a newline at the end.
    pub fn write(&self, format: Format) -> Vec<u8> {
        match format {
            Format::Spdx => spdx::write(self),
            Format::CycloneDx => cyclonedx::write(self),
        }
    }

    /// How many packages say nothing of themselves, because their bytes were not there to be read.
    pub fn unread(&self) -> usize {
        self.unread.len()
    }

    /// These packages.
    pub(crate) fn unread_components(&self) -> impl Iterator<Item = &Component> {
        self.unread.iter().map(|place| &self.components[*place])
    }

    /// Every component with the one that contains it, which the image itself has not.
    pub fn components(&self) -> impl Iterator<Item = (&Component, Option<&Component>)> {
        let mut above = vec![None; self.components.len()];
        for (outer, inner) in &self.contains {
            above[*inner] = Some(&self.components[*outer]);
        }
        self.components.iter().zip(above)
    }

    /// What stands for image and lock together, as a UUID of version 8 (RFC 9562).
    fn uuid(&self) -> String {
        let text = format!("provenv sbom 1\n{}\n{}", self.manifest.hex(), self.lock.hex());
        let mut digits: Vec<u8> = Digest::of(text.as_bytes()).hex().into_bytes();
        digits.truncate(32);
        (digits[12], digits[16]) = (b'8', b'8');
        let digits = String::from_utf8(digits).expect("hexadecimal digits");
        let (a, b, c) = (&digits[..8], &digits[8..12], &digits[12..16]);
        format!("{a}-{b}-{c}-{}-{}", &digits[16..20], &digits[20..])
    }
}

/// JSON as people can read it.
fn json(document: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(document).expect("a document is plain data");
    bytes.push(b'\n');
    bytes
}

/// The version of Debian that a suite is, where it has a number.
pub fn debian_release(suite: &str) -> Option<&'static str> {
    Some(match suite.split('-').next()? {
        "stretch" => "9",
        "buster" => "10",
        "bullseye" => "11",
        "bookworm" => "12",
        "trixie" => "13",
        "forky" => "14",
        "duke" => "15",
        _ => return None,
    })
}
