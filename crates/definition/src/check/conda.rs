//! Checks of what is asked of conda.

use std::collections::{BTreeMap, HashSet};

use super::conda_asked::Asked;
use super::names::{self, Manager};
use super::placed;
use super::python::end_of_life;
use crate::read::Origins;
use crate::{CondaChannel, Diagnostic, Environment, Remarks, codes};

/// Channels under Anaconda's terms of service.
const ANACONDA: &[&str] = &["defaults", "anaconda", "main", "r", "msys2", "pkgs/main", "pkgs/r", "free"];

pub(super) fn conda(environment: &Environment, origins: &Origins, asked: &[Asked], remarks: &mut Remarks) {
    let definition = &environment.definition;
    channels(environment, origins, remarks);
    packages(asked, remarks);
    pythons(asked, remarks);
    // What is kept for the record alone is not installed.
    if definition.user_managed || definition.conda.packages.is_empty() {
        return;
    }
    let named = |name| asked.iter().find(|asked| asked.name == name);
    let wants_pip = !definition.pip.requirements.is_empty();
    if wants_pip && named("pip").is_none() {
        let remark =
            Diagnostic::new(codes::PIP_NOT_LISTED, "pip packages are asked for, and pip is not listed")
                .with_hint("add `pip` to `dependencies`");
        remarks.push(placed(remark, origins.requirements.first()));
    }
    if let Some(pip) = named("pip").filter(|pip| wants_pip && !pip.is_pinned()) {
        let remark = Diagnostic::new(codes::PIP_NOT_PINNED, "pip has no exact version")
            .with_hint("name one, e.g. `pip=24.2`");
        remarks.push(placed(remark, pip.place));
    }
    if wants_pip && named("python").is_none() && definition.python.is_none() {
        let remark = Diagnostic::new(codes::PYTHON_MISSING, "nothing says which Python the packages are for")
            .with_hint("add e.g. `python=3.11` to `dependencies`");
        remarks.push(placed(remark, origins.conda.first()));
    }
    if definition.conda.channels.is_empty() && asked.iter().any(|asked| !asked.has_channel) {
        let remark = Diagnostic::new(codes::NO_CHANNELS, "no channel says where packages are looked for")
            .with_hint("add `channels: [conda-forge]`");
        remarks.push(placed(remark, origins.conda.first()));
    }
}

fn channels(environment: &Environment, origins: &Origins, remarks: &mut Remarks) {
    let channels = &environment.definition.conda.channels;
    let name = |channel: &CondaChannel| match channel {
        CondaChannel::Name(name) => name.clone(),
        CondaChannel::Url(url) => match url.as_url().host_str() {
            Some("repo.anaconda.com" | "repo.continuum.io") => {
                url.as_url().path().trim_matches('/').to_owned()
            }
            Some("conda.anaconda.org") => url.as_url().path().trim_matches('/').to_owned(),
            _ => url.to_string(),
        },
    };
    let names: Vec<String> = channels.iter().map(name).collect();
    let is_anaconda = |name: &String| ANACONDA.contains(&name.as_str());
    let forge = names.iter().position(|name| name == "conda-forge");
    let anaconda = names.iter().position(is_anaconda);
    if let (Some(forge), Some(anaconda)) = (forge, anaconda)
        && anaconda < forge
    {
        let message = format!("`{}` stands before `conda-forge`", names[anaconda]);
        let remark =
            Diagnostic::new(codes::MIXED_CHANNELS, message).with_hint("name `conda-forge` first, or alone");
        remarks.push(placed(remark, origins.channels.get(anaconda)));
    }
    if let Some(anaconda) = anaconda {
        let message = format!("`{}` is served under Anaconda's terms of service", names[anaconda]);
        let remark = Diagnostic::new(codes::COMMERCIAL_CHANNEL, message)
            .with_hint("larger organisations need a licence; conda-forge has most of the packages");
        remarks.push(placed(remark, origins.channels.get(anaconda)));
    }
}

fn packages(asked: &[Asked], remarks: &mut Remarks) {
    let mut seen = HashSet::new();
    let mut by_name: BTreeMap<&str, Vec<&Asked>> = BTreeMap::new();
    for asked in asked {
        if !seen.insert((asked.spec, asked.platforms)) {
            let message = format!("`{}` is given twice", asked.shown());
            remarks.push(placed(Diagnostic::new(codes::DUPLICATE_REQUIREMENT, message), asked.place));
            continue;
        }
        remarks.extend(names::name(&asked.name, Manager::Conda).map(|remark| placed(remark, asked.place)));
        by_name.entry(&asked.name).or_default().push(asked);
    }
    for (name, all) in by_name {
        if name == "python" {
            continue;
        }
        if !all.iter().any(|asked| asked.is_pinned()) && name != "pip" {
            let message =
                format!("`{}` is not pinned: the lock decides its version", crate::secrets::shown(name));
            remarks.push(placed(Diagnostic::new(codes::UNPINNED, message), all[0].place));
        }
        remarks.extend(conflict(&all));
    }
}

/// A pin that another spec for the same platforms excludes.
fn conflict(all: &[&Asked]) -> Option<Diagnostic> {
    // One file says a handful of things about one package; a hostile one is not answered in full.
    let all = &all[..all.len().min(64)];
    for pin in all {
        let excluding = all.iter().find(|other| other.platforms == pin.platforms && other.excludes(pin));
        if let Some(other) = excluding {
            let line = other.place.map(|place| format!(" of line {}", place.span.line)).unwrap_or_default();
            let message = format!("`{}` is excluded by `{}`{line}", pin.shown(), other.shown());
            let remark = Diagnostic::new(codes::CONFLICTING_PINS, message).with_hint("keep one of them");
            return Some(placed(remark, pin.place));
        }
    }
    for one in all {
        let Some(other) = all.iter().find(|other| other.platforms == one.platforms && one.is_above(other))
        else {
            continue;
        };
        let message = if std::ptr::eq(*one, *other) {
            format!("no version meets `{}`", one.shown())
        } else {
            let line = other.place.map(|place| format!(" of line {}", place.span.line)).unwrap_or_default();
            format!("`{}` and `{}`{line} exclude each other", one.shown(), other.shown())
        };
        let remark = Diagnostic::new(codes::CONFLICTING_PINS, message).with_hint("keep one of them");
        return Some(placed(remark, one.place));
    }
    None
}

fn pythons(asked: &[Asked], remarks: &mut Remarks) {
    let pythons: Vec<&Asked> = asked.iter().filter(|asked| asked.name == "python").collect();
    if let Some(first) = pythons.first() {
        let message = match first.minor() {
            Some((major, minor)) => {
                remarks.extend(end_of_life(major, minor, first.place));
                None
            }
            None if first.has_version() => None,
            None => Some("`python` is not pinned: the lock decides its version"),
        };
        remarks.extend(message.map(|message| placed(Diagnostic::new(codes::UNPINNED, message), first.place)));
    }
    if let [first, second, ..] = &pythons[..]
        && first.platforms == second.platforms
        && first.spec != second.spec
    {
        let message = format!("Python is given twice: `{}` and `{}`", first.shown(), second.shown());
        let remark = Diagnostic::new(codes::SEVERAL_PYTHONS, message).with_hint("keep one of them");
        remarks.push(placed(remark, second.place));
    }
    remarks.extend(conflict(&pythons));
}
