//! What conda installs for the environment's Python: pip leaves it as it is.
//!
//! Names of conda packages say nothing of it: `pytorch` brings `torch`, and several packages bring none. So what counts is
//! what their distributions say of themselves, in the files that they lay down.

use std::collections::{BTreeMap, VecDeque};

use pep440_rs::{Version, VersionSpecifiers};
use provenv_definition::{
    CondaRequirements, CondaSpec, MarkerEnvironment, Platform, Requirement, normalise_name,
};

use super::metadata::foreign;
use crate::{CondaPackage, PythonLock};

/// A Python distribution as it lies in a conda package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// The name of the conda package.
    pub package: String,
    /// The text of its `METADATA` or `PKG-INFO`.
    pub metadata: String,
}

/// A Python distribution that conda installs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Its normalised name (PEP 503).
    pub name: String,
    /// Its version; an error holds the text of one that is none (PEP 440).
    pub version: Result<Version, String>,
    /// The conda package it lies in, with its version.
    pub package: String,
    /// Whose wish that package is, in words; empty where nobody can say.
    pub reason: String,
    /// What it says that it needs.
    requires: Vec<Requirement>,
    extras: Vec<String>,
}

/// What `distributions` install, sorted by name. `packages` are those they lie in, and `asked` is what these were chosen for.
///
/// A distribution without a name that pip could ask for is left out. Of two with one name the last counts: `distributions`
/// come in the order in which they are laid down.
pub fn installed(
    distributions: &[Distribution],
    packages: &[CondaPackage],
    asked: &CondaRequirements,
) -> Vec<Installed> {
    let origins = Origins::new(packages, asked);
    let all = distributions.iter().filter_map(|one| {
        let (package, reason) = origins.of(&one.package);
        let installed = Installed::read(&one.metadata, package, reason)?;
        Some((installed.name.clone(), installed))
    });
    all.collect::<BTreeMap<_, _>>().into_values().collect()
}

impl Installed {
    /// Reads what a distribution says. What cannot be read of it is left out: conda has installed it all the same.
    fn read(metadata: &str, package: String, reason: String) -> Option<Self> {
        let (mut name, mut version) = (None, None);
        let (mut requires, mut extras) = (Vec::new(), Vec::new());
        for line in metadata.lines().take_while(|line| !line.trim_end().is_empty()) {
            let Some((field, value)) = line.split_once(':').filter(|_| !line.starts_with([' ', '\t'])) else {
                continue;
            };
            let value = value.trim();
            match field.to_ascii_lowercase().as_str() {
                "name" => name = Some(value),
                "version" => version = Some(value),
                "requires-dist" => requires.extend(foreign(value)),
                "provides-extra" => extras.push(value.to_owned()),
                _ => {}
            }
        }
        let name = name.and_then(|name| name.parse::<Requirement>().ok())?;
        let bare = name.url.is_none() && name.specifiers.is_empty() && name.marker.is_none();
        let name = name.name.filter(|_| bare && name.extras.is_empty())?;
        let version = version.unwrap_or_default();
        Some(Self {
            name,
            version: version.parse().map_err(|_| version.to_owned()),
            package,
            reason,
            requires,
            extras,
        })
    }

    /// What it is and where it lies: `conda's numpy 1.26.4`, `torch 2.1.0 of conda's pytorch 2.1.0`.
    pub fn described(&self) -> String {
        let version = self.version.as_ref().map_or_else(Clone::clone, ToString::to_string);
        let it = format!("{} {version}", self.name);
        if it == self.package { format!("conda's {it}") } else { format!("{it} of conda's {}", self.package) }
    }

    /// The same, with whose wish that is.
    pub(super) fn explained(&self) -> String {
        if self.reason.is_empty() {
            return self.described();
        }
        format!("{}, which is {}", self.described(), self.reason)
    }

    /// Whether its version is within the bounds; one that is none is in no bounds, and in none at all.
    pub(super) fn satisfies(&self, requirement: &Requirement) -> bool {
        self.version.as_ref().is_ok_and(|version| is_within(version, requirement))
    }

    /// The core metadata for who resolves against it: what it needs without extras is left out, because conda has seen to
    /// that, and what conda's packagers changed of it stands in no metadata.
    pub(super) fn stub(&self, python: &PythonLock, platform: Platform) -> Option<String> {
        let version = self.version.as_ref().ok()?;
        let environment = MarkerEnvironment::new(&python.version, platform);
        let needs = |requirement: &&Requirement| {
            requirement.marker.as_ref().is_some_and(|marker| !marker.holds(&environment))
        };
        let mut text = format!("Metadata-Version: 2.1\nName: {}\nVersion: {version}\n", self.name);
        let extras = self.extras.iter().map(|extra| format!("Provides-Extra: {}\n", normalise_name(extra)));
        let requires = self.requires.iter().filter(needs).map(|one| format!("Requires-Dist: {one}\n"));
        text.extend(extras.chain(requires));
        Some(text)
    }

    /// What it needs of `name`, without extras, where `version` is not that.
    pub(super) fn refuses(
        &self,
        name: &str,
        version: &Version,
        environment: &MarkerEnvironment,
    ) -> Option<&Requirement> {
        self.requires.iter().find(|requirement| {
            requirement.name.as_deref() == Some(name)
                && requirement.marker.as_ref().is_none_or(|marker| marker.holds(environment))
                && !is_within(version, requirement)
        })
    }
}

fn is_within(version: &Version, requirement: &Requirement) -> bool {
    requirement.specifiers.iter().cloned().collect::<VersionSpecifiers>().contains(version)
}

/// Why each conda package is there: the shortest way from what was asked for.
struct Origins<'a> {
    /// For each package: whether it was asked for itself, and the words that say so or who needs it.
    reasons: BTreeMap<&'a str, String>,
    versions: BTreeMap<&'a str, &'a str>,
}

impl<'a> Origins<'a> {
    fn new(packages: &'a [CondaPackage], asked: &'a CondaRequirements) -> Self {
        let name_of = |spec: &str| spec.parse::<CondaSpec>().ok().map(|spec| spec.name);
        let specs: BTreeMap<String, &str> =
            asked.packages.iter().filter_map(|one| Some((name_of(&one.spec)?, &*one.spec))).collect();
        let by_name: BTreeMap<&str, &CondaPackage> =
            packages.iter().map(|package| (&*package.name, package)).collect();
        let mut reasons = BTreeMap::new();
        // Each with the spec that all of its way began with.
        let mut queue = VecDeque::new();
        for package in packages {
            if let Some(spec) = specs.get(&package.name) {
                reasons.insert(&*package.name, format!("asked for as `{spec}`"));
                queue.push_back((package, *spec));
            }
        }
        while let Some((package, spec)) = queue.pop_front() {
            for depend in &package.depends {
                let name = depend.split_whitespace().next().unwrap_or_default();
                let Some(needed) = by_name.get(name).filter(|needed| !reasons.contains_key(&*needed.name))
                else {
                    continue;
                };
                let root = if specs.contains_key(&package.name) {
                    format!("asked for as `{spec}`")
                } else {
                    format!("there for `{spec}`")
                };
                let reason = format!("needed as `{depend}` by {}, {root}", package.name);
                reasons.insert(&*needed.name, reason);
                queue.push_back((needed, spec));
            }
        }
        let versions = packages.iter().map(|package| (&*package.name, &*package.version)).collect();
        Self { reasons, versions }
    }

    /// The package with its version, and the reason.
    fn of(&self, package: &str) -> (String, String) {
        let version = self.versions.get(package).copied().unwrap_or_default();
        (format!("{package} {version}"), self.reasons.get(package).cloned().unwrap_or_default())
    }
}
