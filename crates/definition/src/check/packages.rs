//! Checks of what is asked of pip and apt.

use std::collections::{BTreeMap, HashSet};

use pep440_rs::VersionSpecifier;

use super::names::{self, Manager};
use super::placed;
use super::range::Range;
use crate::read::Origins;
use crate::requirement::{canonical_specifier, is_pin};
use crate::{Diagnostic, Environment, PipRequirement, Place, Remarks, Requirement, codes};

pub(super) fn system_packages(environment: &Environment, origins: &Origins, remarks: &mut Remarks) {
    let mut seen = HashSet::new();
    for (i, package) in environment.definition.system_packages.iter().enumerate() {
        if !seen.insert(&package.name) {
            let message = format!("the system package `{}` is given twice", package.name);
            let remark = Diagnostic::new(codes::DUPLICATE_SYSTEM_PACKAGE, message);
            remarks.push(placed(remark, origins.system_packages.get(i)));
        }
    }
}

/// A requirement that could be read, with its place.
struct Asked<'a> {
    entry: &'a PipRequirement,
    requirement: Requirement,
    place: Option<&'a Place>,
}

fn asked<'a>(entries: &'a [PipRequirement], places: &'a [Place]) -> Vec<Asked<'a>> {
    let read = |(i, entry): (usize, &'a PipRequirement)| {
        let requirement = entry.requirement.parse().ok()?;
        Some(Asked { entry, requirement, place: places.get(i) })
    };
    entries.iter().enumerate().filter_map(read).collect()
}

pub(super) fn requirements(environment: &Environment, origins: &Origins, remarks: &mut Remarks) {
    let pip = &environment.definition.pip;
    let requirements = asked(&pip.requirements, &origins.requirements);
    let constraints = asked(&pip.constraints, &origins.constraints);
    let mut seen = HashSet::new();
    for asked in &requirements {
        if seen.insert(&asked.entry.requirement) {
            remarks.extend(source(asked).map(|remark| placed(remark, asked.place)));
            let named = asked.requirement.name.as_deref().filter(|_| asked.requirement.url.is_none());
            let remark = named.and_then(|name| names::name(name, Manager::Pip));
            remarks.extend(remark.map(|remark| placed(remark, asked.place)));
        } else {
            let message = format!("`{}` is given twice", asked.requirement);
            remarks.push(placed(Diagnostic::new(codes::DUPLICATE_REQUIREMENT, message), asked.place));
        }
    }

    let mut packages: BTreeMap<&str, Package> = BTreeMap::new();
    for asked in &requirements {
        if let Some(name) = &asked.requirement.name {
            packages.entry(name).or_default().requirements.push(asked);
        }
    }
    for asked in &constraints {
        if let Some(name) = &asked.requirement.name {
            packages.entry(name).or_default().constraints.push(asked);
        }
    }
    for (name, package) in packages {
        let mut all = package.requirements.iter().chain(&package.constraints);
        let pinned = all.any(|asked| asked.requirement.pin().is_some() || asked.requirement.url.is_some());
        // What is only constrained is asked for by nobody here.
        if let (false, Some(first)) = (pinned, package.requirements.first()) {
            let message = format!("`{name}` is not pinned: the lock decides its version");
            remarks.push(placed(Diagnostic::new(codes::UNPINNED, message), first.place));
        }
        remarks.extend(conflict(name, &package));
    }
}

/// All that is said of one package.
#[derive(Default)]
struct Package<'a> {
    requirements: Vec<&'a Asked<'a>>,
    constraints: Vec<&'a Asked<'a>>,
}

/// A pin that another bound on the same package, under the same marker, excludes.
fn conflict(name: &str, package: &Package) -> Option<Diagnostic> {
    let mut markers: BTreeMap<_, BTreeMap<String, (&VersionSpecifier, &Asked)>> = BTreeMap::new();
    for asked in package.requirements.iter().chain(&package.constraints) {
        let bounds = markers.entry(&asked.requirement.marker).or_default();
        for bound in &asked.requirement.specifiers {
            bounds.entry(canonical_specifier(bound)).or_insert((bound, asked));
        }
    }
    for bounds in markers.values() {
        for (pin, by) in bounds.values().filter(|(bound, _)| is_pin(bound)) {
            let excluding = bounds.iter().find(|(_, (bound, _))| !bound.contains(pin.version()));
            if let Some((text, (_, other))) = excluding {
                let line = match other.place.map(|place| place.span.line) {
                    Some(line) if !std::ptr::eq(*by, *other) => format!(" of line {line}"),
                    _ => String::new(),
                };
                let message = format!("`{name}{pin}` is excluded by `{name}{text}`{line}");
                let remark = Diagnostic::new(codes::CONFLICTING_PINS, message).with_hint("keep one of them");
                return Some(placed(remark, by.place));
            }
        }
        let ranges = bounds.values().map(|(bound, by)| (*bound, *by, Range::of(bound)));
        let ranges: Vec<_> = ranges.collect();
        for (at, (low, by, range)) in ranges.iter().enumerate() {
            let above = |other: &Range| range.is_above(other);
            let other = ranges.iter().enumerate().find(|(i, (.., other))| *i != at && above(other));
            if let Some((_, (high, other, _))) = other {
                let line = match other.place.map(|place| place.span.line) {
                    Some(line) if !std::ptr::eq(*by, *other) => format!(" of line {line}"),
                    _ => String::new(),
                };
                let message = format!("`{name}{low}` and `{name}{high}`{line} exclude each other");
                let remark = Diagnostic::new(codes::CONFLICTING_PINS, message).with_hint("keep one of them");
                return Some(placed(remark, by.place));
            }
        }
    }
    None
}

/// Where the package comes from, if that is not an index.
fn source(asked: &Asked) -> Option<Diagnostic> {
    let url = asked.requirement.url.as_deref()?;
    if url.starts_with("file:") || url.starts_with("git+file:") {
        let what = if asked.entry.editable { "an editable install" } else { "a local path" };
        let message = format!("{what} cannot be resolved again on another machine");
        let hint = "publish the package to an index, or name a repository and a commit";
        return Some(Diagnostic::new(codes::LOCAL_SOURCE, message).with_hint(hint));
    }
    let repository = url.strip_prefix("git+")?;
    let path = repository.split('#').next().unwrap_or_default().splitn(4, '/').nth(3).unwrap_or_default();
    let revision = path.rsplit_once('@').map(|(_, revision)| revision);
    let is_commit = revision.is_some_and(|revision| {
        revision.len() >= 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    (!is_commit).then(|| {
        Diagnostic::new(codes::MOVING_REPOSITORY, "the repository is named without a commit")
            .with_hint("append `@` and the commit's 40 digits")
    })
}
