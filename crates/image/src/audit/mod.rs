//! Known vulnerabilities of what is in an image, from a database in OSV's format (ossf.github.io/osv-schema).
//!
//! What is in the image is known from its bill of materials; no byte of it is looked at. Versions are compared by the rules of
//! each ecosystem: PEP 440 for Python, Debian's policy for Debian, where vulnerabilities are recorded by source package.

mod database;
mod finding;
mod osv;
mod severity;
mod version;

use std::collections::{BTreeMap, BTreeSet};

use crate::sbom::{Bill, Component, Kind};

pub use database::{Database, Error};
pub use finding::{Doubt, Finding};
pub use severity::{Rating, Severity};

/// A package as a database knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// In which ecosystem.
    pub ecosystem: Ecosystem,
    /// Its name there: of Debian's, that of the source package.
    pub name: String,
    /// Its version there.
    pub version: String,
}

/// An ecosystem of OSV's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ecosystem {
    /// `PyPI`.
    Pypi,
    /// `Debian:12`, by the release.
    Debian(String),
}

impl std::fmt::Display for Ecosystem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pypi => f.write_str("PyPI"),
            Self::Debian(release) => write!(f, "Debian:{release}"),
        }
    }
}

/// The packages of an image that a database can be asked for, and the others.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Each with what it is in the image: `libssl3`, `numpy 1.26.4 of conda`.
    pub packages: BTreeMap<Package, BTreeSet<String>>,
    /// What no database can be asked for.
    pub unchecked: Vec<Unasked>,
}

/// Something of an image that no database can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unasked {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Nothing is known of it but its name: what it was built from, and what lies in it, may be affected.
    pub unread: bool,
}

impl Inventory {
    /// What is in an image, by its bill of materials.
    pub fn of(bill: &Bill) -> Self {
        // They are looked for by the names that they have, and that is not all there is to look for.
        let unchecked = bill.unread_components().map(|one| Unasked::of(one, true)).collect();
        let mut inventory = Self { unchecked, ..Self::default() };
        let is_unread = |one: &Component| bill.unread_components().any(|other| std::ptr::eq(one, other));
        let release =
            bill.components().find(|(one, _)| one.kind == Kind::System).map(|(one, _)| &one.version);
        // A conda package counts as asked for where a Python distribution lies in it, and not otherwise.
        let python: BTreeSet<&str> = bill
            .components()
            .filter(|(one, _)| one.kind == Kind::Pypi)
            .filter_map(|(_, outer)| outer.filter(|outer| outer.kind == Kind::Conda))
            .map(|outer| &*outer.name)
            .collect();
        for (one, outer) in bill.components() {
            match one.kind {
                Kind::Conda if is_unread(one) => {}
                Kind::Deb if release.is_none() && is_unread(one) => {}
                Kind::Deb if release.is_none() => inventory.leave(one),
                Kind::Deb => {
                    let (name, version) =
                        one.source.clone().unwrap_or((one.name.clone(), one.version.clone()));
                    let ecosystem = Ecosystem::Debian(release.cloned().unwrap_or_default());
                    inventory.add(Package { ecosystem, name, version }, one.name.clone());
                }
                // Debian mends what it ships, and its own records tell of it.
                Kind::Pypi if outer.is_some_and(|outer| outer.kind == Kind::Deb) => {}
                Kind::Pypi => {
                    let version = one.version.clone();
                    let package = Package { ecosystem: Ecosystem::Pypi, name: one.name.clone(), version };
                    inventory.add(package, place(one, outer));
                }
                Kind::Conda if python.contains(&*one.name) => {}
                Kind::Conda | Kind::Npm => inventory.leave(one),
                // What it began from is part of it.
                Kind::Base if outer.is_some_and(|outer| outer.kind == Kind::Base) => {}
                // Of what is in it, only the packages of its system are known.
                Kind::Base => inventory.leave(one),
                Kind::Image | Kind::System | Kind::Layer => {}
            }
        }
        inventory
    }

    fn leave(&mut self, one: &Component) {
        self.unchecked.push(Unasked::of(one, false));
    }

    fn add(&mut self, package: Package, place: String) {
        self.packages.entry(package).or_default().insert(place);
    }

    /// The ecosystems that its packages are of.
    pub fn ecosystems(&self) -> BTreeSet<Ecosystem> {
        self.packages.keys().map(|package| package.ecosystem.clone()).collect()
    }
}

impl Unasked {
    fn of(one: &Component, unread: bool) -> Self {
        Self { kind: one.kind, name: one.name.clone(), version: one.version.clone(), unread }
    }
}

/// What a Python package is in the image.
fn place(one: &Component, outer: Option<&Component>) -> String {
    match outer {
        Some(outer) if outer.kind != Kind::Image => {
            format!("{} in {} {}", one.name, outer.name, outer.version)
        }
        _ => one.name.clone(),
    }
}
