//! What a database says of the packages of an image: one finding for each vulnerability of each package, whatever the number
//! of records that tell of it.

use std::collections::{BTreeMap, BTreeSet};

use provenv_definition::normalise_name;
use serde::{Deserialize, Serialize};

use super::osv::{Affected, Record};
use super::severity::{self, Rating, Severity};
use super::{Database, Inventory, Package, version};

/// A known vulnerability of a package.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Its name: of CVE, where it has one.
    pub id: String,
    /// Its other names, and those of advisories that tell of it.
    pub aliases: Vec<String>,
    /// OSV's word for the ecosystem.
    pub ecosystem: String,
    /// The package: of Debian's, the source package.
    pub package: String,
    /// Its version.
    pub version: String,
    /// What it is in the image.
    pub found_as: Vec<String>,
    /// Versions in which it is fixed, the lowest first; none if there are none yet.
    pub fixed: Vec<String>,
    /// How bad it is.
    pub severity: Option<Severity>,
    /// CVSS's base score.
    pub score: Option<f64>,
    /// What it is, in a line.
    pub summary: Option<String>,
}

impl Finding {
    /// Whether `id` is one of its names.
    pub fn is_called(&self, id: &str) -> bool {
        self.id.eq_ignore_ascii_case(id) || self.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(id))
    }
}

/// A vulnerability of which a record does not say, in words that can be read, whether a package has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Its names, that of the record first.
    pub names: Vec<String>,
    /// OSV's word for the ecosystem.
    pub ecosystem: String,
    /// The package, as [`Finding::package`].
    pub package: String,
    /// Its version.
    pub version: String,
    /// Why.
    pub why: String,
}

impl Doubt {
    /// Whether `id` is one of its names.
    pub fn is_called(&self, id: &str) -> bool {
        self.names.iter().any(|name| name.eq_ignore_ascii_case(id))
    }
}

impl Database {
    /// Records on packages in `inventory` that cannot be held against their versions, besides what `found` has already.
    pub fn doubts(&self, inventory: &Inventory, found: &[Finding]) -> Vec<Doubt> {
        let mut by_name: BTreeMap<&str, Vec<&Package>> = BTreeMap::new();
        for package in inventory.packages.keys() {
            by_name.entry(&package.name).or_default().push(package);
        }
        let is_found = |package: &Package, record: &Record| {
            found.iter().any(|finding| {
                (&finding.package, &finding.version) == (&package.name, &package.version)
                    && finding.is_called(&record.id)
            })
        };
        let mut doubts = Vec::new();
        for record in &self.records {
            for affected in record.affected() {
                let Some(named) = affected.package() else { continue };
                let spellings = BTreeSet::from([named.name.clone(), normalise_name(&named.name)]);
                let packages = spellings.iter().filter_map(|name| by_name.get(&**name)).flatten();
                for package in packages {
                    let ecosystem = &package.ecosystem;
                    let is_of = ecosystem.is(&named.ecosystem) && ecosystem.name(&named.name) == package.name;
                    if !is_of || is_found(package, record) {
                        continue;
                    }
                    if let Some(why) = version::doubt(ecosystem, &package.version, affected) {
                        doubts.push(Doubt {
                            names: [std::slice::from_ref(&record.id), record.aliases(), record.upstream()]
                                .concat(),
                            ecosystem: ecosystem.to_string(),
                            package: package.name.clone(),
                            version: package.version.clone(),
                            why,
                        });
                    }
                }
            }
        }
        doubts.dedup();
        doubts
    }

    /// What it knows of the packages in `inventory`, the worst first.
    pub fn findings(&self, inventory: &Inventory) -> Vec<Finding> {
        let mut by_name: BTreeMap<String, Vec<(&Record, &Affected)>> = BTreeMap::new();
        for record in &self.records {
            for affected in record.affected() {
                let Some(named) = affected.package() else { continue };
                // The word before the colon is what names are written by.
                let name = inventory
                    .packages
                    .keys()
                    .map(|package| &package.ecosystem)
                    .find(|one| one.is(&named.ecosystem));
                let Some(name) = name.map(|ecosystem| ecosystem.name(&named.name)) else { continue };
                by_name.entry(name).or_default().push((record, affected));
            }
        }
        let mut findings = Vec::new();
        for (package, places) in &inventory.packages {
            let told = by_name.get(&package.name).map(Vec::as_slice).unwrap_or_default();
            let hits: Vec<Hit> =
                told.iter().filter_map(|(record, affected)| hit(package, record, affected)).collect();
            findings.extend(merge(hits).into_iter().map(|hit| hit.finding(package, places)));
        }
        findings.sort_by(|one, other| {
            let rank = |finding: &Finding| (finding.severity, finding.score.unwrap_or(0.0));
            let (a, b) = (rank(one), rank(other));
            b.0.cmp(&a.0).then(b.1.total_cmp(&a.1)).then_with(|| {
                (&one.ecosystem, &one.package, &one.id).cmp(&(&other.ecosystem, &other.package, &other.id))
            })
        });
        findings
    }
}

/// One or several records that tell of one vulnerability of a package.
#[derive(Debug)]
struct Hit {
    names: BTreeSet<String>,
    /// Of an advisory on several vulnerabilities: which.
    several: BTreeSet<String>,
    fixed: Vec<String>,
    rating: Option<Rating>,
    summary: Option<String>,
}

fn hit(package: &Package, record: &Record, affected: &Affected) -> Option<Hit> {
    if !package.ecosystem.is(&affected.package()?.ecosystem) {
        return None;
    }
    let fixed = version::fixes(&package.ecosystem, &package.version, affected)?;
    let mut names: BTreeSet<String> = std::iter::once(record.id.clone()).collect();
    let mut several = BTreeSet::new();
    let is_advisory = ["DSA-", "DLA-", "DTSA-"].iter().any(|kind| record.id.starts_with(kind));
    if is_advisory {
        let told = [record.aliases(), record.upstream(), record.related()].concat();
        several.extend(told.into_iter().filter(|name| name.starts_with("CVE-")));
    } else {
        names.extend(record.aliases().iter().cloned());
        match record.upstream() {
            [one] => {
                names.insert(one.clone());
            }
            more => several.extend(more.iter().cloned()),
        }
    }
    if several.len() == 1 {
        names.append(&mut several);
    }
    let summary = record.summary.clone().filter(|summary| !summary.trim().is_empty());
    Some(Hit { names, several, fixed, rating: severity::of(record, affected), summary })
}

/// Those that share a name become one; an advisory on several goes to each of these.
fn merge(hits: Vec<Hit>) -> Vec<Hit> {
    let (advisories, single): (Vec<Hit>, Vec<Hit>) =
        hits.into_iter().partition(|hit| !hit.several.is_empty());
    let mut merged: Vec<Hit> = Vec::new();
    for mut hit in single {
        let mut rest = Vec::new();
        for other in merged {
            if other.names.is_disjoint(&hit.names) { rest.push(other) } else { hit.take(other) }
        }
        rest.push(hit);
        merged = rest;
    }
    for advisory in advisories {
        let mut left = advisory.several.clone();
        for hit in &mut merged {
            if !hit.names.is_disjoint(&advisory.several) {
                left.retain(|name| !hit.names.contains(name));
                hit.names.extend(advisory.names.iter().cloned());
                hit.fixed.extend(advisory.fixed.iter().cloned());
                hit.rating = worse(hit.rating, advisory.rating);
            }
        }
        // Nothing else tells of these.
        if !left.is_empty() {
            let Hit { mut names, fixed, rating, summary, .. } = advisory;
            names.extend(left);
            merged.push(Hit { names, several: BTreeSet::new(), fixed, rating, summary });
        }
    }
    merged
}

fn worse(one: Option<Rating>, other: Option<Rating>) -> Option<Rating> {
    match (one, other) {
        // A score says more than a word.
        (Some(a), Some(b)) if a.score.is_some() != b.score.is_some() => {
            Some(if a.score.is_some() { a } else { b })
        }
        (Some(a), Some(b)) => Some(if b > a { b } else { a }),
        (one, other) => one.or(other),
    }
}

impl Hit {
    fn take(&mut self, other: Self) {
        self.names.extend(other.names);
        self.fixed.extend(other.fixed);
        self.rating = worse(self.rating, other.rating);
        self.summary = other.summary.or(self.summary.take());
    }

    fn finding(mut self, package: &Package, places: &BTreeSet<String>) -> Finding {
        version::sort(&package.ecosystem, &mut self.fixed);
        let mut names: Vec<String> = self.names.into_iter().collect();
        names.sort_by_key(|name| (rank(name), name.clone()));
        let id = names.remove(0);
        Finding {
            id,
            aliases: names,
            ecosystem: package.ecosystem.to_string(),
            package: package.name.clone(),
            version: package.version.clone(),
            found_as: places.iter().cloned().collect(),
            fixed: self.fixed,
            severity: self.rating.map(|rating| rating.severity),
            score: self.rating.and_then(|rating| rating.score),
            summary: self.summary,
        }
    }
}

/// Which name people know it by.
fn rank(name: &str) -> u8 {
    match name.split('-').next() {
        Some("CVE") => 0,
        Some("GHSA") => 1,
        Some("PYSEC") => 2,
        _ => 3,
    }
}
