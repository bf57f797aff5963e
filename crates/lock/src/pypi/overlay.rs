//! What is to be said of pip's packages on top of conda's.

use std::fmt::Write as _;

use provenv_definition::{MarkerEnvironment, PipRequirement, Requirement};

use super::{Installed, Target};
use crate::PypiPackage;

/// So many satisfied lines are said one by one: files that list an environment name all that conda has.
const MOST: usize = 5;

/// What of `asked` conda has satisfied, `satisfied` being what was chosen of what it installs, and what of it `packages`
/// shadow.
pub(super) fn notes(
    target: &Target<'_>,
    asked: &[PipRequirement],
    satisfied: &[&Installed],
    packages: &[PypiPackage],
) -> Vec<String> {
    let environment = MarkerEnvironment::new(&target.python.version, target.platform);
    let mut notes = Vec::new();
    let mut more = 0;
    for text in asked.iter().map(|asked| &asked.requirement) {
        let Ok(requirement) = text.parse::<Requirement>() else { continue };
        let counts = requirement.url.is_none()
            && requirement.marker.as_ref().is_none_or(|marker| marker.holds(&environment));
        let has = satisfied.iter().find(|one| counts && requirement.name.as_ref() == Some(&one.name));
        if let Some(has) = has {
            if notes.len() == MOST {
                more += 1;
                continue;
            }
            // What its extras need is pip's to install.
            notes.push(if requirement.extras.is_empty() {
                format!("pip installs nothing for `{text}`: there is {}", has.explained())
            } else {
                format!("pip does not install {} itself for `{text}`: there is {}", has.name, has.explained())
            });
        }
    }
    if more > 0 {
        let lines = if more == 1 { "line" } else { "lines" };
        notes.push(format!("pip installs nothing for {more} more {lines}: conda has what is asked for"));
    }
    for package in packages {
        let Some(under) = target.installed.iter().find(|installed| installed.name == package.name) else {
            continue;
        };
        let mut note = format!("pip's {} {} shadows {}", package.name, package.version, under.explained());
        if under.version.is_err() {
            note.push_str("; that version is none that pip could compare");
        }
        if let Ok(version) = package.version.parse() {
            for other in target.installed.iter().filter(|other| other.name != package.name) {
                if let Some(requirement) = other.refuses(&package.name, &version, &environment) {
                    let bounds: Vec<String> =
                        requirement.specifiers.iter().map(ToString::to_string).collect();
                    let bounds = bounds.join(",");
                    let _ = write!(note, "; conda's {} needs {}{bounds}", other.name, package.name);
                }
            }
        }
        notes.push(note);
    }
    notes
}
