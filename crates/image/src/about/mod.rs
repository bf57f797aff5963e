//! What packages say of themselves: under which licence they are, what they were built from, what they need, and what else
//! is in them. A lock does not say it, and bills of materials and audits have to know.
//!
//! It is read from segments, once for each artifact. It is small, so that it can be kept when the bytes are gone.

mod base;
mod copyright;
mod fields;
mod part;
mod told;

use std::collections::BTreeMap;

use provenv_definition::{Digest, Platform, normalise_name};
use provenv_lock::{CondaPackage, DebPackage, PlatformLock, PypiPackage, PythonLock};
use provenv_store::Store;
use serde::{Deserialize, Serialize};

use crate::assemble::{for_pythons, is_metadata};
use crate::segment::{self, Error, ItemKind, Reader, Segment};
pub(crate) use fields::Fields;
pub use part::{Part, PartKind};
pub use told::{ABOUTS_TYPE, MOST_TOLD, parse_told, tell};

/// Version of the rules by which packages are read: what an older version found out is found out again where the bytes are there.
pub const FORMAT: u32 = 1;

/// What is read of a file that describes a package. What counts stands before descriptions.
const MOST: u64 = 1 << 20;
/// Longer words than these say nothing that is to be shown on one line.
const LONGEST: usize = 500;

/// What a package says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The [`FORMAT`] by which it was read.
    pub format: u32,
    /// Somebody else read it, and said so beside an image: it holds until it is read here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
    /// Its licences, as it names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<LicenseName>,
    /// Of a Debian package: the one in whose folder its `copyright` file is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copyright_of: Option<String>,
    /// Who made it, as it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maker: Option<String>,
    /// Its page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// What it is, in a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Of a Debian package: name and version of the source package, which vulnerabilities are recorded by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<(String, String)>,
    /// Of a base from a registry: what its system calls itself, and the version: `debian`, `12`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<(String, String)>,
    /// What it needs, as its ecosystem writes it: an element of `Depends`, a `Requires-Dist`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// What it stands for besides its own name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provides: Vec<String>,
    /// Packages of other ecosystems that lie in it, or copies of others that it brings along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

/// A licence, as a package names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LicenseName {
    /// In a field that holds an SPDX expression.
    Expression(String),
    /// In a field that holds whatever people write.
    Text(String),
    /// As a trove classifier.
    Classifier(String),
    /// By a short name of Debian's machine-readable copyright files.
    Debian(String),
    /// By its file in `/usr/share/common-licenses`.
    Common(String),
}

/// What is known of packages, by the digest of their artifact.
pub type Known = BTreeMap<Digest, About>;

/// Reads what the packages of `lock` say of themselves, where `known` has it not and their bytes are in the store.
pub fn read(store: &Store, lock: &PlatformLock, platform: Platform, known: &Known) -> Result<Known, Error> {
    let mut found = Known::new();
    let is_new = |digest: &Digest| known.get(digest).is_none_or(|about| about.told || about.format < FORMAT);
    if let Some(manifest) = lock.base.manifest().filter(|manifest| is_new(manifest)) {
        found.extend(base::read(store, manifest, platform).map(|about| (*manifest, about)));
    }
    for package in &lock.debian {
        let sha256 = package.artifact.sha256;
        if is_new(&sha256)
            && let Some(about) = deb(store, package)?
        {
            found.insert(sha256, about);
        }
    }
    for package in &lock.conda {
        let sha256 = package.artifact.sha256;
        if is_new(&sha256)
            && let Some(about) = conda(store, package, lock.python.as_ref())?
        {
            found.insert(sha256, about);
        }
    }
    for package in &lock.pypi {
        let sha256 = *package.digest();
        if is_new(&sha256)
            && let Some(python) = &lock.python
            && let Some(about) = wheel(store, package, python)?
        {
            found.insert(sha256, about);
        }
    }
    Ok(found)
}

/// Of a `.deb`: the control paragraph and the `copyright` file.
fn deb(store: &Store, package: &DebPackage) -> Result<Option<About>, Error> {
    let Some(kept) = segment::kept_deb(store, &package.artifact.sha256)? else { return Ok(None) };
    let control = Fields::parse(&kept.facts.control);
    let field = |name: &str| control.get(name).map(short);
    let mut about = About {
        format: FORMAT,
        maker: field("Maintainer"),
        homepage: field("Homepage"),
        summary: control.get("Description").and_then(|text| text.lines().next()).map(short),
        source: Some(source(
            &control.get("Source").map(short).unwrap_or_default(),
            &package.name,
            &package.version,
        )),
        ..About::default()
    };
    let list = |name: &str| {
        let elements = control.get(name).unwrap_or_default().split(',').map(short);
        elements.filter(|element| !element.is_empty()).collect::<Vec<_>>()
    };
    about.needs = [list("Pre-Depends"), list("Depends")].concat();
    let name = |element: String| element.split([' ', '(']).next().unwrap_or_default().to_owned();
    about.provides = list("Provides").into_iter().map(name).collect();
    let (texts, of) = copyright::find(store, &kept.segment, &package.name)?;
    about.licenses = texts.iter().flat_map(|text| copyright::licences(text)).collect();
    about.licenses.sort();
    about.licenses.dedup();
    about.copyright_of = of;
    about.parts = part::find(store, &kept.segment)?;
    Ok(Some(about))
}

/// `Source: name (version)`, whose parts are the package's own where it leaves them out.
fn source(said: &str, own_name: &str, own_version: &str) -> (String, String) {
    let (name, version) = said.split_once('(').unwrap_or((said, ""));
    let or = |text: &str, own: &str| if text.is_empty() { own.to_owned() } else { text.to_owned() };
    (or(name.trim(), own_name), or(version.trim_end_matches(')').trim(), own_version))
}

/// Of a wheel: its core metadata.
fn wheel(store: &Store, package: &PypiPackage, python: &PythonLock) -> Result<Option<About>, Error> {
    let Some(kept) = segment::kept_wheel(store, package.digest(), python.minor())? else { return Ok(None) };
    let parts = part::find(store, &kept.segment)?;
    // Its own description is a part like others until it is told from them by its place.
    let (own, parts): (Vec<Part>, Vec<Part>) = parts.into_iter().partition(|part| {
        part.kind == PartKind::Pypi
            && normalise_name(&part.name) == package.name
            && is_distribution(part, python)
    });
    let about = About { format: FORMAT, parts, ..About::default() };
    let Some(own) = own.into_iter().next() else { return Ok(Some(about)) };
    let Part { licenses, needs, summary, homepage, maker, .. } = own;
    Ok(Some(About { licenses, maker, homepage, summary, needs, ..about }))
}

/// Of a conda package: `info/index.json`, and the Python distributions that lie in it.
fn conda(store: &Store, package: &CondaPackage, python: Option<&PythonLock>) -> Result<Option<About>, Error> {
    let kept = segment::kept_conda(store, &package.artifact.sha256, &for_pythons(package, python))?;
    let Some(kept) = kept else { return Ok(None) };
    let index: serde_json::Value = serde_json::from_str(&kept.facts.index).unwrap_or_default();
    let text = |name: &str| index[name].as_str().map(short).filter(|text| !text.is_empty());
    let parts = part::find(store, &kept.segment)?;
    Ok(Some(About {
        format: FORMAT,
        licenses: text("license").map(LicenseName::Text).into_iter().collect(),
        parts,
        ..About::default()
    }))
}

/// Whether a part of a conda package is what Python finds as a distribution, and pip would replace.
pub fn is_distribution(part: &Part, python: &PythonLock) -> bool {
    part.kind == PartKind::Pypi && is_metadata(part.path.trim_start_matches('/'), python.minor())
}

/// The files of a segment for which `wanted` says so, read as far as [`MOST`].
fn files(
    store: &Store,
    segment: &Segment,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let found = segment.index.entries.iter().filter(|item| item.kind == ItemKind::File && wanted(&item.path));
    let found: Vec<_> = found.collect();
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader::open(store, segment)?;
    found.into_iter().map(|item| Ok((item.path.clone(), reader.read_part(item, 0, MOST)?))).collect()
}

/// On one line, and not long.
fn short(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let printable = words.chars().filter(|c| !c.is_control());
    printable.take(LONGEST).collect()
}
