//! Checks of what is asked of pip and apt.

use std::collections::BTreeMap;

use super::placed;
use crate::read::Origins;
use crate::requirement::canonical_specifier;
use crate::{Diagnostic, Environment, PipRequirement, Place, Requirement, codes};

pub(super) fn system_packages(environment: &Environment, origins: &Origins, remarks: &mut Vec<Diagnostic>) {
    let packages = &environment.definition.system_packages;
    for (i, package) in packages.iter().enumerate() {
        if packages[..i].iter().any(|earlier| earlier.name == package.name) {
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

pub(super) fn requirements(environment: &Environment, origins: &Origins, remarks: &mut Vec<Diagnostic>) {
    let pip = &environment.definition.pip;
    let requirements = asked(&pip.requirements, &origins.requirements);
    let constraints = asked(&pip.constraints, &origins.constraints);
    let mut seen: Vec<&PipRequirement> = Vec::new();
    for asked in &requirements {
        let duplicate = seen.iter().any(|entry| entry.requirement == asked.entry.requirement);
        if duplicate {
            let message = format!("`{}` is given twice", asked.requirement);
            remarks.push(placed(Diagnostic::new(codes::DUPLICATE_REQUIREMENT, message), asked.place));
        } else {
            seen.push(asked.entry);
            remarks.extend(source(asked).map(|remark| placed(remark, asked.place)));
        }
    }

    let mut packages: BTreeMap<&str, Vec<&Asked>> = BTreeMap::new();
    for asked in requirements.iter().chain(&constraints) {
        if let Some(name) = &asked.requirement.name {
            packages.entry(name).or_default().push(asked);
        }
    }
    for (name, group) in packages {
        let pinned =
            group.iter().any(|asked| asked.requirement.pin().is_some() || asked.requirement.url.is_some());
        // Only constrained: nothing asks for it.
        let first = requirements.iter().find(|asked| asked.requirement.name.as_deref() == Some(name));
        if let (false, Some(first)) = (pinned, first) {
            let message = format!("`{name}` is not pinned: the lock decides its version");
            remarks.push(placed(Diagnostic::new(codes::UNPINNED, message), first.place));
        }
        remarks.extend(conflict(name, &group));
    }
}

/// A pin that another bound on the same package, under the same marker, excludes.
fn conflict(name: &str, group: &[&Asked]) -> Option<Diagnostic> {
    for pin in group {
        let Some(version) = pin.requirement.pin() else { continue };
        for other in group.iter().filter(|other| other.requirement.marker == pin.requirement.marker) {
            let excluding = other.requirement.specifiers.iter().find(|bound| !bound.contains(version));
            if let Some(bound) = excluding {
                let lines = match other.place.map(|place| place.span.line) {
                    Some(line) if !std::ptr::eq(*pin, *other) => format!(" of line {line}"),
                    _ => String::new(),
                };
                let message = format!(
                    "`{name}=={version}` is excluded by `{name}{}`{lines}",
                    canonical_specifier(bound)
                );
                let remark = Diagnostic::new(codes::CONFLICTING_PINS, message).with_hint("keep one of them");
                return Some(placed(remark, pin.place));
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
