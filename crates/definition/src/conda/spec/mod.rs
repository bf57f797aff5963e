//! Specs of conda packages in a normal form that is ours.
//!
//! The parser is rattler's; what it found is kept in fields of our own and written as texts that `canonical.rs` defines,
//! so that no release of the parser can move a digest.

mod convert;
mod package;
mod parse;
mod refuse;
mod text;
mod version;

use std::str::FromStr;

use crate::requirement::RequirementError;
use crate::{CondaChannel, Digest, SafeUrl};
use version::{Form, Versions};

pub(super) use parse::Parsed;

/// What a conda package must be: a name, and conditions on it.
///
/// Its [`Display`](std::fmt::Display) is the normal form: conda, mamba and rattler read it as the same conditions, and so
/// does [`FromStr`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CondaSpec {
    /// The package's name in lower case.
    pub name: String,
    /// `None`: any version.
    versions: Option<Versions>,
    /// The build string, with `*` for any run of characters, or a regular expression from `^` to `$`.
    pub build: Option<String>,
    /// A number with an operator before it: `==1`, `>=2`.
    pub build_number: Option<String>,
    /// The channel it must come from.
    pub channel: Option<CondaChannel>,
    /// The folder of the channel, such as `linux-64` or `noarch`.
    pub subdir: Option<String>,
    /// The namespace between channel and name; nothing uses it today.
    pub namespace: Option<String>,
    /// The file name of the package.
    pub file_name: Option<String>,
    /// The one package that is meant.
    pub url: Option<SafeUrl>,
    /// 32 hexadecimal digits.
    pub md5: Option<String>,
    /// The package's sha256.
    pub sha256: Option<Digest>,
    /// The package's licence.
    pub license: Option<String>,
    /// The family of its licence.
    pub license_family: Option<String>,
    /// Sorted.
    pub track_features: Vec<String>,
}

impl CondaSpec {
    /// A spec of a name alone, which is put into lower case.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_lowercase(), ..Self::default() }
    }

    /// The conditions on its version, e.g. `>=1.2,<2`; `None` where any will do.
    pub fn version(&self) -> Option<String> {
        self.versions.as_ref().map(|versions| versions.text(Form::Written))
    }

    /// The one version that it allows.
    pub fn exact_version(&self) -> Option<String> {
        self.versions.as_ref()?.pin().map(|version| version.text(Form::Written, false))
    }

    /// The text that counts for the definition digest: specs that mean the same have the same one.
    pub fn canonical(&self) -> String {
        self.text(Form::Canonical)
    }
}

impl FromStr for CondaSpec {
    type Err = RequirementError;

    /// Reads every spelling that conda reads; relative paths start from `/`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Parsed::new(text, std::path::Path::new("/")).map(|parsed| parsed.spec)
    }
}
