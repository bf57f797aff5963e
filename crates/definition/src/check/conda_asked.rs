//! What a conda spec asks for, as far as checks need it.

use std::str::FromStr as _;

use rattler_conda_types::version_spec::{EqualityOperator, StrictRangeOperator};
use rattler_conda_types::{ParseStrictness, Version, VersionSpec};

use super::range::Range;
use crate::read::Origins;
use crate::secrets::shown;
use crate::{CondaSpec, Environment, Place, Platform};

/// A conda package asked for.
pub(super) struct Asked<'a> {
    pub spec: &'a str,
    pub platforms: &'a [Platform],
    pub place: Option<&'a Place>,
    pub name: String,
    pub has_channel: bool,
    version: Option<VersionSpec>,
    /// The one version that it allows.
    pin: Option<Version>,
    /// Of `=1.2` the 1.2.
    stem: Option<Version>,
    /// The whole artifact is named.
    artifact: bool,
    version_text: String,
}

/// All conda packages of `environment`.
pub(super) fn asked<'a>(environment: &'a Environment, origins: &'a Origins) -> Vec<Asked<'a>> {
    let read = |(i, package): (usize, &'a crate::CondaRequirement)| {
        let mut asked = Asked::read(&package.spec)?;
        asked.platforms = &package.platforms;
        asked.place = origins.conda.get(i);
        Some(asked)
    };
    environment.definition.conda.packages.iter().enumerate().filter_map(read).collect()
}

impl<'a> Asked<'a> {
    fn read(spec: &'a str) -> Option<Self> {
        let read: CondaSpec = spec.parse().ok()?;
        let text = read.version().unwrap_or_default();
        let version = (!text.is_empty() && text.len() < 256)
            .then(|| VersionSpec::from_str(&text, ParseStrictness::Lenient).ok())
            .flatten();
        let pin = match &version {
            Some(VersionSpec::Exact(EqualityOperator::Equals, pin)) => Some(pin.clone()),
            _ => None,
        };
        let stem = match &version {
            Some(VersionSpec::StrictRange(StrictRangeOperator::StartsWith, stem)) => {
                Version::from_str(&stem.to_string()).ok()
            }
            _ => None,
        };
        let artifact = read.build.as_ref().is_some_and(|build| !build.contains('*'))
            || read.url.is_some()
            || read.sha256.is_some()
            || read.md5.is_some();
        Some(Self {
            spec,
            platforms: &[],
            place: None,
            name: read.name,
            has_channel: read.channel.is_some() || read.url.is_some(),
            version,
            pin,
            stem,
            artifact,
            version_text: text,
        })
    }

    /// The spec for messages.
    pub fn shown(&self) -> String {
        shown(self.spec)
    }

    /// Whether any version is asked for at all.
    pub fn has_version(&self) -> bool {
        self.version.is_some() || self.artifact
    }

    /// Whether one version is left; `=1.2` counts, as that is what conda's users call pinned.
    pub fn is_pinned(&self) -> bool {
        self.pin.is_some() || self.artifact || self.stem.is_some()
    }

    /// Whether no version that `pin` allows is left by this one.
    pub fn excludes(&self, pin: &Asked) -> bool {
        let Some(version) = &self.version else { return false };
        match (&pin.pin, &self.stem, &pin.stem) {
            (Some(pin), ..) => !version.matches(pin),
            // Of `=1.2` and `=1.2.3` the second is part of the first.
            (None, Some(own), Some(other)) => {
                !version.matches(other) && pin.version.as_ref().is_some_and(|version| !version.matches(own))
            }
            _ => false,
        }
    }

    /// Whether every version that it allows is above all that `other` allows; of itself, whether it allows none.
    pub fn is_above(&self, other: &Asked) -> bool {
        let (Some(own), Some(version)) = (&self.version, &other.version) else { return false };
        Range::of_conda(own).is_above(&Range::of_conda(version))
    }

    /// Of a version such as `=3.8` or `==3.8.1` or `3.8.*` its first two numbers.
    pub fn minor(&self) -> Option<(u32, u32)> {
        let text = self.version_text.trim_start_matches('=');
        let mut numbers = text.split('.').map(|part| part.trim_end_matches('*').parse::<u32>());
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
            _ => None,
        }
    }
}
