//! `requirements.txt`, with a `constraints.txt` where it needs one.

use std::fmt::Write as _;

use super::parts::{Part, Rest};
use super::{Written, WrittenFile};
use crate::{Base, Definition, Environment, PipRequirement, PipRequirements, SafeUrl};

/// A definition's Python part as pip's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequirementsFiles {
    /// The text of `requirements.txt`; begins with `-c constraints.txt` where there are constraints.
    pub requirements: String,
    /// The text of `constraints.txt` beside it.
    pub constraints: Option<String>,
}

pub(super) fn write(environment: &Environment) -> Written {
    let definition = &environment.definition;
    let mut rest = Rest::new(environment, "a requirements file");
    rest.all_but(&[Part::Pip, Part::Constraints]);
    if definition.base != Base::default() {
        rest.base("a requirements file has no place for it");
    }
    // What is not installed is not asked for.
    let nothing = Definition::default();
    let definition = if definition.user_managed { &nothing } else { definition };
    let written = write_requirements(definition);
    let mut files = vec![WrittenFile::new("requirements.txt", written.requirements)];
    files.extend(constraints_file(definition));
    Written { files, not_carried: rest.list() }
}

/// The `constraints.txt` that other files name.
pub(super) fn constraints_file(definition: &Definition) -> Option<WrittenFile> {
    let text = write_requirements(definition).constraints?;
    Some(WrittenFile::new("constraints.txt", text))
}

/// The `requirements.txt` of `definition`, with a `constraints.txt` where it needs one.
pub fn write_requirements(definition: &Definition) -> RequirementsFiles {
    let pip = &definition.pip;
    let constrained = (!pip.constraints.is_empty()).then(|| "-c constraints.txt".to_owned());
    let lines = constrained.into_iter().chain(options(pip)).chain(pip.requirements.iter().map(requirement));
    RequirementsFiles {
        requirements: join(lines),
        constraints: (!pip.constraints.is_empty()).then(|| join(pip.constraints.iter().map(requirement))),
    }
}

fn join(lines: impl Iterator<Item = String>) -> String {
    lines.fold(String::new(), |text, line| text + &line + "\n")
}

/// A URL as a word of a line, which pip takes apart as a shell would.
fn word(url: &SafeUrl) -> String {
    let text = url.to_string();
    if text.contains('\'') { format!("\"{text}\"") } else { text }
}

pub(super) fn options(pip: &PipRequirements) -> impl Iterator<Item = String> {
    let flag = |flag: bool, name: &str| flag.then(|| name.to_owned());
    let mut options: Vec<String> = Vec::new();
    options.extend(pip.index_url.as_ref().map(|url| format!("--index-url {}", word(url))));
    options.extend(pip.extra_index_urls.iter().map(|url| format!("--extra-index-url {}", word(url))));
    options.extend(pip.find_links.iter().map(|url| format!("--find-links {}", word(url))));
    options.extend(flag(pip.no_index, "--no-index"));
    options.extend(flag(pip.pre, "--pre"));
    options.extend(flag(pip.require_hashes, "--require-hashes"));
    // `:all:` empties the other list, so it goes first.
    let mut binary: Vec<(&str, &[String])> =
        vec![("--no-binary", &pip.no_binary), ("--only-binary", &pip.only_binary)];
    binary.sort_by_key(|(_, names)| !names.iter().any(|name| name == ":all:"));
    for (name, names) in binary.into_iter().filter(|(_, names)| !names.is_empty()) {
        options.push(format!("{name} {}", names.join(",")));
    }
    options.into_iter()
}

/// One line of a requirements file.
pub(super) fn requirement(requirement: &PipRequirement) -> String {
    let editable = if requirement.editable { "-e " } else { "" };
    let mut line = format!("{editable}{}", requirement.requirement);
    for hash in &requirement.hashes {
        let _ = write!(line, " --hash={hash}");
    }
    line
}
