//! Installed Python packages as requirements.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::str::FromStr as _;

use pep440_rs::Version;

use super::direct_url::Origin;
use super::distribution::Distribution;
use super::{Capture, Extent, git};
use crate::pip::Role;
use crate::secrets::shown;
use crate::{Source, codes};

/// Tools that put packages where they are managed by another system than pip's.
const OTHER_SYSTEMS: &[&str] = &["debian", "rpm", "apk", "conda"];

/// What makes a virtual environment usable, in it before anybody asks for anything.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seeds {
    /// Packages whose mark as requested comes from the tool that made the environment.
    pub marked: &'static [&'static str],
}

const TOOLS: &[&str] = &["pip", "setuptools", "wheel", "distribute"];

/// Writes down what of `installed` is wanted.
pub(super) fn take(capture: &mut Capture<'_>, installed: Vec<Distribution>, seeds: Seeds) {
    let mut seen = HashSet::new();
    let (foreign, installed): (Vec<_>, Vec<_>) = installed
        .into_iter()
        .filter(|distribution| seen.insert(distribution.name.clone()))
        .partition(|distribution| {
            distribution
                .installer
                .as_deref()
                .is_some_and(|tool| OTHER_SYSTEMS.contains(&&*tool.to_lowercase()))
        });
    for distribution in foreign {
        let tool = distribution.installer.unwrap_or_default();
        let message = format!(
            "`{}` {} was installed by `{}` and not from an index: it is left out",
            distribution.name,
            shown(&distribution.version),
            shown(&tool)
        );
        capture.remark(codes::NOT_REPRODUCIBLE, message, None, distribution.place);
    }
    let wanted = match capture.extent {
        Extent::Exact => all_but_tools(&installed, seeds),
        Extent::History => asked_for(capture, &installed, seeds),
    };
    for distribution in installed.into_iter().zip(wanted).filter_map(|(one, wanted)| wanted.then_some(one)) {
        write(capture, &distribution);
    }
}

/// Whether somebody asked for it.
fn requested(distribution: &Distribution, seeds: Seeds) -> bool {
    distribution.requested && !seeds.marked.contains(&&*distribution.name)
}

fn is_tool(distribution: &Distribution) -> bool {
    TOOLS.contains(&&*distribution.name)
}

/// Everything; the installer's own tools only where somebody asked for them or another package needs them.
fn all_but_tools(installed: &[Distribution], seeds: Seeds) -> Vec<bool> {
    let needed: HashSet<&str> = installed
        .iter()
        .filter(|one| !is_tool(one))
        .flat_map(|one| &one.requires)
        .map(String::as_str)
        .collect();
    installed
        .iter()
        .map(|one| !is_tool(one) || requested(one, seeds) || needed.contains(&*one.name))
        .collect()
}

/// What is marked as requested; where nothing is, what nothing else needs.
fn asked_for(capture: &mut Capture<'_>, installed: &[Distribution], seeds: Seeds) -> Vec<bool> {
    let marked: Vec<bool> = installed.iter().map(|one| requested(one, seeds)).collect();
    if marked.contains(&true) || installed.iter().all(is_tool) {
        return marked;
    }
    let file = capture.prefix.to_owned();
    let message =
        "nothing marks which Python packages were asked for: those that no other one needs were taken";
    let hint = "look through them, or capture all with `--exact`";
    capture.remark_on(codes::NOT_ON_RECORD, message.to_owned(), Some(hint), &file);
    roots(installed)
}

/// Packages that no other package needs, and one of each circle that nothing else leads to.
fn roots(installed: &[Distribution]) -> Vec<bool> {
    let numbers: HashMap<&str, usize> =
        installed.iter().enumerate().map(|(number, one)| (&*one.name, number)).collect();
    let needs =
        |number: usize| installed[number].requires.iter().filter_map(|name| numbers.get(&**name).copied());
    let mut needed = vec![false; installed.len()];
    for number in 0..installed.len() {
        for other in needs(number).filter(|other| *other != number) {
            needed[other] = true;
        }
    }
    let mut reached: Vec<bool> = installed.iter().map(is_tool).collect();
    let mut roots = vec![false; installed.len()];
    let circles = 0..installed.len();
    for number in (0..installed.len()).filter(|number| !needed[*number]).chain(circles) {
        if reached[number] {
            continue;
        }
        roots[number] = true;
        let mut open = vec![number];
        while let Some(number) = open.pop() {
            if !std::mem::replace(&mut reached[number], true) {
                open.extend(needs(number));
            }
        }
    }
    roots
}

/// A line of a requirements file, and what is to be said of it.
struct Line {
    text: String,
    remarks: Vec<(String, Option<&'static str>)>,
}

/// Adds one package as pip would read it from a line; what cannot be read is left out, and said.
fn write(capture: &mut Capture<'_>, distribution: &Distribution) {
    let place = &distribution.place;
    let line = match line(distribution, capture.extent) {
        Ok(line) => line,
        Err((message, hint)) => {
            return capture.remark(codes::NOT_REPRODUCIBLE, message, hint, place.clone());
        }
    };
    for (message, hint) in line.remarks {
        capture.remark(codes::NOT_REPRODUCIBLE, message, hint, place.clone());
    }
    let source = Source::new(&place.file, "");
    let before = capture.pip.requirements.len();
    let told = std::mem::take(&mut capture.pip.diagnostics);
    capture.pip.read_entry(&source, &line.text, place.span, Role::Requirement);
    if let Some(own) = capture.pip.requirements.get_mut(before) {
        own.clone_from(place);
    }
    // A path that is gone was said already.
    for problem in std::mem::replace(&mut capture.pip.diagnostics, told) {
        if problem.is_error() {
            let message = format!(
                "`{}` {} is left out: {}",
                distribution.name,
                shown(&distribution.version),
                problem.message
            );
            capture.remark(codes::NOT_REPRODUCIBLE, message, None, place.clone());
        }
    }
}

fn line(distribution: &Distribution, extent: Extent) -> Result<Line, (String, Option<&'static str>)> {
    let name = &distribution.name;
    if let Some(folder) = &distribution.editable {
        return Ok(local(name, folder, true));
    }
    let Some(direct) = &distribution.direct_url else { return Ok(from_index(distribution)) };
    let mut remarks = Vec::new();
    let mut say = |message: String, hint: Option<&'static str>| remarks.push((message, hint));
    let text = match direct.origin() {
        Origin::Folder { path, editable } => return Ok(local(name, &path, editable)),
        Origin::Repository { url, asked, commit, subdirectory, hidden } => {
            let revision = match extent {
                Extent::History => asked,
                Extent::Exact => commit.or(asked),
            };
            let revision = revision.map_or(String::new(), |revision| format!("@{revision}"));
            let subdirectory = subdirectory.map_or(String::new(), |path| format!("#subdirectory={path}"));
            if url.starts_with("git+file:") {
                say(format!("`{name}` comes from a repository of this machine"), Some(PUBLISH));
            }
            if hidden {
                say(
                    format!("`{name}` comes from a URL with credentials, which were left out"),
                    Some(VARIABLE),
                );
            }
            format!("{name} @ {url}{revision}{subdirectory}")
        }
        Origin::Archive { url, hidden } => {
            if url.starts_with("file:") {
                say(format!("`{name}` comes from a file of this machine"), Some(PUBLISH));
            }
            if hidden {
                say(
                    format!("`{name}` comes from a URL with credentials, which were left out"),
                    Some(VARIABLE),
                );
            }
            format!("{name} @ {url}")
        }
        Origin::Unsupported(kind) => {
            let message =
                format!("`{name}` comes from a `{kind}` repository, which cannot be fetched: it is left out");
            return Err((message, Some(PUBLISH)));
        }
        Origin::Unknown => {
            let message = format!(
                "`{name}` does not come from an index, and where it comes from cannot be read: it is left out"
            );
            return Err((message, Some("add it by hand")));
        }
    };
    Ok(Line { text, remarks })
}

const PUBLISH: &str = "publish it to an index, or name a repository and a commit";
const VARIABLE: &str = "write a variable, `https://${TOKEN}@host/…`, or keep them in netrc or the keyring";

/// A folder of this machine: the commit that is checked out there, where others can reach its repository.
fn local(name: &str, folder: &Path, editable: bool) -> Line {
    let kind = if editable { "is installed in place from" } else { "comes from" };
    let text = folder.to_string_lossy();
    if let Some(git::Checkout { url, commit, subdirectory }) = git::checkout(folder) {
        let subdirectory = subdirectory.map_or(String::new(), |path| format!("#subdirectory={path}"));
        let message = format!(
            "`{name}` {kind} `{}`: the commit that is checked out there was taken of `{}`",
            shown(&text),
            shown(&url)
        );
        let hint = "changes that are not committed and pushed are not part of it";
        return Line {
            text: format!("{name} @ git+{url}@{commit}{subdirectory}"),
            remarks: vec![(message, Some(hint))],
        };
    }
    let gone = if folder.is_dir() { "" } else { ", where nothing is any more" };
    let message = format!("`{name}` {kind} a folder of this machine{gone}: `{}`", shown(&text));
    let url = url::Url::from_file_path(folder).map(|url| url.to_string()).unwrap_or_default();
    let text = if editable { format!("-e {url}") } else { format!("{name} @ {url}") };
    Line { text, remarks: vec![(message, Some(PUBLISH))] }
}

/// A package at its version, as an index has it.
fn from_index(distribution: &Distribution) -> Line {
    let Distribution { name, version, recorded, .. } = distribution;
    let mut remarks = Vec::new();
    if !recorded {
        let message = format!(
            "no list of files of `{name}` {} was kept, so it may be none that an index has",
            shown(version)
        );
        remarks.push((message, Some("take it out if no index has it")));
    }
    let text = if let Ok(parsed) = Version::from_str(version) {
        if parsed.is_local() {
            let message =
                format!("`{name}` {version} is a build of its own, which the usual index does not have");
            let hint = "add the index that has it with `--extra-index-url`";
            remarks.push((message, Some(hint)));
        }
        format!("{name}=={version}")
    } else {
        let message = format!("`{name}` has no version that can be asked for: `{}`", shown(version));
        remarks.push((message, Some("add its version by hand")));
        name.clone()
    };
    Line { text, remarks }
}
