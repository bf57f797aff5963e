//! Which component needs which: what packages say that they need, as far as it is in the image.

use std::collections::{BTreeMap, BTreeSet};

use provenv_definition::{MarkerEnvironment, Requirement, normalise_name};

use super::collect::by_name;
use super::{Component, Kind, Subject};

/// Pairs of places in `components`, sorted: the first needs the second.
pub(super) fn of(
    components: &[Component],
    contains: &[(usize, usize)],
    subject: &Subject<'_>,
) -> Vec<(usize, usize)> {
    let names = by_name(components);
    let above: BTreeMap<usize, usize> = contains.iter().map(|(outer, inner)| (*inner, *outer)).collect();
    // Of the image itself, or of the base that it stands on.
    let is_own = |place: &usize| {
        above.get(place).is_some_and(|outer| *outer == 0 || components[*outer].kind == Kind::Base)
    };
    let own = |kind: Kind, name: &str| names.get(&(kind, name))?.iter().copied().find(is_own);
    let mut needs = BTreeSet::new();
    debian(subject, &own, &mut needs);
    for package in &subject.lock.conda {
        let Some(from) = own(Kind::Conda, &package.name) else { continue };
        let wanted = package.depends.iter().filter_map(|spec| own(Kind::Conda, conda_name(spec)));
        needs.extend(wanted.map(|to| (from, to)));
    }
    // A Python package may need what conda brought: then it needs the conda package.
    let python = |name: &str| {
        own(Kind::Pypi, name).or_else(|| {
            let inner = names.get(&(Kind::Pypi, name))?.iter().copied();
            let mut outer = inner.filter_map(|inner| above.get(&inner).copied());
            outer.find(|outer| components[*outer].kind == Kind::Conda)
        })
    };
    if let Some(version) = subject.lock.python.as_ref().map(|python| &python.version) {
        let environment = MarkerEnvironment::new(version, subject.platform);
        for package in &subject.lock.pypi {
            let about = subject.known.get(package.digest());
            let Some((from, about)) = own(Kind::Pypi, &package.name).zip(about) else { continue };
            let required = about.needs.iter().filter_map(|text| text.parse::<Requirement>().ok());
            let counts =
                required.filter(|one| one.marker.as_ref().is_none_or(|marker| marker.holds(&environment)));
            let wanted = counts.filter_map(|one| python(&normalise_name(one.name.as_deref()?)));
            needs.extend(wanted.map(|to| (from, to)));
        }
    }
    needs.retain(|(from, to)| from != to);
    needs.into_iter().collect()
}

fn debian(
    subject: &Subject<'_>,
    own: &impl Fn(Kind, &str) -> Option<usize>,
    needs: &mut BTreeSet<(usize, usize)>,
) {
    let mut provided: BTreeMap<&str, &str> = BTreeMap::new();
    let packages = || {
        let known = |sha256| subject.known.get(sha256);
        subject
            .lock
            .debian
            .iter()
            .filter_map(move |package| Some((package, known(&package.artifact.sha256)?)))
    };
    for (package, about) in packages() {
        for name in &about.provides {
            provided.entry(name).or_insert(&package.name);
        }
    }
    for (package, about) in packages() {
        let Some(from) = own(Kind::Deb, &package.name) else { continue };
        for need in &about.needs {
            // The first of the alternatives that is there is the one that was chosen.
            let names = need.split('|').filter_map(|one| one.trim().split([' ', '(', ':', '[']).next());
            let there = names.filter_map(|name| {
                own(Kind::Deb, name).or_else(|| own(Kind::Deb, provided.get(name).copied()?))
            });
            needs.extend(there.take(1).map(|to| (from, to)));
        }
    }
}

/// The name in a match spec: `numpy >=1.2,<2`, `conda-forge::numpy`, `numpy=1`.
fn conda_name(spec: &str) -> &str {
    let spec = spec.rsplit_once("::").map_or(spec, |(_, spec)| spec);
    spec.split([' ', '=', '<', '>', '!', '~', '[']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::conda_name;

    #[test]
    fn match_specs_begin_with_a_name() {
        for spec in ["numpy >=1.2,<2", "conda-forge::numpy", "numpy=1", "numpy>=1", "numpy[version='>1']"] {
            assert_eq!(conda_name(spec), "numpy", "{spec}");
        }
    }
}
