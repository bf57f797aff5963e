//! An environment with every version that its lock chose, for formats that name versions and no files.

use std::collections::{BTreeMap, BTreeSet};

use provenv_definition::{
    Base, CondaRequirement, CondaSpec, Environment, NotCarried, PipRequirement, Platform, Requirement,
    SystemPackage,
};

use super::ExportError;
use crate::{BaseLock, CondaPackage, Lock, PlatformLock, PypiPackage, PypiSource};

/// `environment` as `lock` answers it on `platform`, and what of the answer it cannot say.
pub(super) fn environment(
    environment: &Environment,
    lock: &Lock,
    platform: Platform,
) -> Result<(Environment, Vec<NotCarried>), ExportError> {
    let chosen = lock.platforms.get(&platform).ok_or(ExportError::NoPlatform(platform))?;
    let mut pinned = environment.clone();
    let definition = &mut pinned.definition;
    let mut lost = Vec::new();
    match (&mut definition.base, &chosen.base) {
        (base @ Base::Debian { .. }, BaseLock::Debian { suite }) => {
            *base = Base::Debian { suite: Some(suite.clone()) };
        }
        (Base::Image { reference }, BaseLock::Image(image)) => *reference = image.pinned(),
        (Base::Dockerfile { .. } | Base::Context(_), BaseLock::Dockerfile(made)) => {
            lost.push(NotCarried {
                what: format!("what the Dockerfile made ({})", made.manifest),
                why: "it is in the lock alone: whoever reads this runs the Dockerfile again".to_owned(),
                counts: true,
            });
        }
        _ => {}
    }
    // Where conda brings the Python, it is one of its packages.
    if let Some(python) = chosen.python.as_ref().filter(|_| chosen.conda.is_empty()) {
        definition.python = python.version.parse().ok().or(definition.python.take());
    }
    if lock.platforms.len() > 1 {
        definition.platforms = vec![platform];
    }
    pin_debian(&mut definition.system_packages, chosen, &mut lost);
    if !chosen.conda.is_empty() {
        definition.conda.packages = chosen.conda.iter().map(conda_requirement).collect();
    }
    let named = named_by_url(&definition.pip.requirements);
    let mut requirements: Vec<PipRequirement> = Vec::new();
    for package in &chosen.pypi {
        match requirement(package, &named) {
            Some(requirement) => requirements.push(requirement),
            None => lost.push(NotCarried {
                what: format!("the package `{}`", package.name),
                why: "it was built here from a folder".to_owned(),
                counts: true,
            }),
        }
    }
    let unhashed = requirements.iter().find(|requirement| requirement.hashes.is_empty()).cloned();
    definition.pip.require_hashes = unhashed.is_none() && !requirements.is_empty();
    if let Some(unhashed) = unhashed {
        for requirement in &mut requirements {
            requirement.hashes.clear();
        }
        lost.push(NotCarried {
            what: "the hashes".to_owned(),
            why: format!("pip takes them for all packages or none, and `{}` has none", unhashed.requirement),
            counts: true,
        });
    }
    definition.pip.requirements = requirements;
    // There is nothing left that they could bound.
    definition.pip.constraints.clear();
    Ok((pinned, lost))
}

fn pin_debian(packages: &mut [SystemPackage], chosen: &PlatformLock, lost: &mut Vec<NotCarried>) {
    let versions: BTreeMap<&str, &str> =
        chosen.debian.iter().map(|package| (&*package.name, &*package.version)).collect();
    let mut pinned = BTreeSet::new();
    for package in packages {
        if let Some((name, version)) = versions.get_key_value(&*package.name) {
            package.version = Some((*version).to_owned());
            pinned.insert(*name);
        }
    }
    let others = versions.len() - pinned.len();
    if others > 0 {
        lost.push(NotCarried {
            what: format!("{others} Debian packages that came along"),
            why: "their versions are in the lock alone".to_owned(),
            counts: true,
        });
    }
}

fn conda_requirement(package: &CondaPackage) -> CondaRequirement {
    let text = format!("{}=={}={}", package.name, package.version, package.build);
    let spec = text.parse::<CondaSpec>().map_or(text, |spec| spec.to_string());
    CondaRequirement { spec, platforms: Vec::new() }
}

/// The packages that the definition does not leave to an index.
fn named_by_url(requirements: &[PipRequirement]) -> BTreeSet<String> {
    let parsed = requirements.iter().filter_map(|one| one.requirement.parse::<Requirement>().ok());
    let urls = parsed.filter_map(|requirement| requirement.url);
    urls.map(|url| url.split('#').next().unwrap_or_default().to_owned()).collect()
}

/// The one version of `package`; `None` where it has no place that can be named.
fn requirement(package: &PypiPackage, named: &BTreeSet<String>) -> Option<PipRequirement> {
    let pin = format!("{}=={}", package.name, package.version);
    let (requirement, hashes) = match &package.source {
        PypiSource::Wheel(artifact) | PypiSource::Built { sdist: Some(artifact), .. } => {
            let url = artifact.url.to_string();
            let requirement = if named.contains(&url) { format!("{} @ {url}", package.name) } else { pin };
            (requirement, vec![artifact.sha256])
        }
        PypiSource::Built { repository, .. } => {
            let repository = repository.as_deref()?;
            let (url, fragment) = repository.split_once('#').unwrap_or((repository, ""));
            let folder = fragment.split('&').find(|part| part.starts_with("subdirectory="));
            let folder = folder.map(|folder| format!("#{folder}")).unwrap_or_default();
            (format!("{} @ {url}{folder}", package.name), Vec::new())
        }
    };
    Some(PipRequirement { requirement, hashes, editable: false })
}
