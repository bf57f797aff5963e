//! Where pip asks for another version than the one that conda installs: uv knows of no conda, so its words are read for who
//! wants what.

use std::fmt;

use pep440_rs::VersionSpecifiers;

use super::stub::Stubs;
use super::{Error, Installed};

/// One of pip's wishes that conda's choice does not fulfil.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// The package of pip's that has the wish; `None` where the definition itself has it.
    pub by: Option<String>,
    /// The wish, e.g. `numpy>=2`.
    pub wish: String,
    /// The distribution's name.
    pub name: String,
    /// What conda installs of it, and why, e.g. `numpy 1.26.4 of conda's numpy 1.26.4, asked for as numpy=1.26`.
    pub conda: String,
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by, wish, conda, .. } = self;
        match by {
            Some(by) => write!(f, "pip's {by} needs `{wish}`, and there is {conda}"),
            None => write!(f, "pip is asked for `{wish}`, and there is {conda}"),
        }
    }
}

impl Clash {
    pub(super) fn new(by: Option<String>, wish: String, installed: &Installed) -> Self {
        let conda = format!("{} {} of conda's {}", installed.name, installed.shown_version(), installed.origin);
        Self { by, wish, name: installed.name.clone(), conda }
    }
}

/// The same error, with conda's side named where that is what it is about.
pub(super) fn blame(error: Error, stubs: &Stubs<'_>) -> Error {
    let (Error::Conflict { explanation } | Error::Uv { explanation, .. }) = &error else { return error };
    let clashes = clashes(&explanation.text, stubs);
    if clashes.is_empty() {
        return error;
    }
    Error::Clash { clashes, explanation: explanation.clone() }
}

/// Every wish in `text`, as uv words it, that conda's versions do not fulfil.
fn clashes(text: &str, stubs: &Stubs<'_>) -> Vec<Clash> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut clashes = Vec::new();
    // A sentence says what one package needs, or what is required.
    for sentence in text.split(", we can conclude that ").flat_map(|part| part.split("And because ")) {
        let mut by = None;
        let mut rest = sentence;
        while let Some((at, verb)) = VERBS.iter().filter_map(|verb| Some((rest.find(verb)?, *verb))).min() {
            by = (verb != REQUIRE).then(|| subject(&rest[..at]));
            rest = &rest[at + verb.len()..];
            let end = VERBS.iter().filter_map(|verb| rest.find(verb)).min().unwrap_or(rest.len());
            for word in rest[..end].split(' ') {
                let found = wish(word).and_then(|(name, bounds)| Some((stubs.get(name)?, bounds)));
                let Some((installed, bounds)) = found else { continue };
                let Ok(parsed) = bounds.parse::<VersionSpecifiers>() else { continue };
                if installed.version.as_ref().is_ok_and(|version| !parsed.contains(version)) {
                    let clash = Clash::new(by.clone(), format!("{}{bounds}", installed.name), installed);
                    if !clashes.contains(&clash) {
                        clashes.push(clash);
                    }
                }
            }
        }
        let _ = by;
    }
    clashes
}

const REQUIRE: &str = "you require ";
const VERBS: [&str; 3] = [" depends on ", " depend on ", REQUIRE];

/// Who needs it: `need2` of `all versions of need2`, `need2==1.0`.
fn subject(before: &str) -> String {
    let start = ["Because ", "because ", " and ", "that "].iter().filter_map(|word| Some(before.rfind(word)? + word.len()));
    let subject = &before[start.max().unwrap_or(0)..];
    subject.trim_start_matches("all versions of ").trim_start_matches("only ").to_owned()
}

/// Name and bounds of `numpy[extra]>=1.20,<2`; `None` where there are no bounds.
fn wish(word: &str) -> Option<(&str, &str)> {
    let word = word.trim_end_matches([',', '.', ';', ':']);
    let name_end = word.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)))?;
    let bounds = word.find(['<', '>', '=', '~', '!'])?;
    Some((&word[..name_end], &word[bounds..]))
}
