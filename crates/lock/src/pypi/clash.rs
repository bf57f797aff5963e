//! Where pip asks for another version than the one that conda installs: uv knows of no conda, so its words are read for who
//! wants what.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use pep440_rs::{Version, VersionSpecifiers};

use super::explain::{quoted, two_places};
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
    /// The name of the conda package that it lies in, where that has its version, so that bounds mean the same for both.
    pub package: Option<String>,
    /// What conda installs of it, and why: "conda's numpy 1.26.4, which is asked for as `numpy=1.26`".
    pub conda: String,
}

impl Clash {
    pub(super) fn new(by: Option<String>, wish: String, installed: &Installed) -> Self {
        let package = installed.package.split_once(' ').filter(|(_, version)| {
            let version = version.parse::<Version>();
            version.is_ok_and(|version| {
                installed.version.as_ref().is_ok_and(|own| own.clone().without_local() == version)
            })
        });
        let package = package.map(|(name, _)| name.to_owned());
        Self { by, wish, name: installed.name.clone(), package, conda: installed.explained() }
    }
}

/// How many wishes for one distribution are shown.
const MOST: usize = 4;

/// All of them, by distribution.
pub(super) fn text(clashes: &[Clash]) -> String {
    let names = names(clashes);
    let mut text = format!("pip and conda do not agree on {}", names.join(" and "));
    for name in names {
        let of: Vec<&Clash> = clashes.iter().filter(|clash| clash.name == name).collect();
        for Clash { by, wish, .. } in of.iter().take(MOST) {
            let _ = match by {
                Some(by) => write!(text, "\n  pip's {by} needs `{wish}`"),
                None => write!(text, "\n  pip is asked for `{wish}`"),
            };
        }
        if of.len() > MOST {
            let _ = write!(text, "\n  and {} more of pip's need others than what is there", of.len() - MOST);
        }
        let _ = write!(text, "\n  there is {}", of[0].conda);
    }
    text
}

/// What the user can do.
pub(super) fn hint(clashes: &[Clash]) -> String {
    let names = names(clashes);
    // conda writes bounds as pip does, with these exceptions; several wishes may contradict each other.
    let specs = names.iter().map(|name| {
        let mut of = clashes.iter().filter(|clash| clash.name == *name);
        let (clash, None) = (of.next()?, of.next()) else { return None };
        let bounds = &clash.wish[clash.wish.find(['<', '>', '=', '~', '!'])?..];
        let plain = !bounds.contains("===") && !bounds.contains([' ', ';', '@', '+']);
        clash.package.as_ref().filter(|_| plain).map(|package| format!("`{package} {bounds}`"))
    });
    let conda = match specs.collect::<Option<Vec<String>>>() {
        Some(specs) => format!("ask conda for {} too", specs.join(" and ")),
        None => "ask conda for a version that they can take".to_owned(),
    };
    let names = names.join(" or ");
    format!(
        "pip leaves what conda installs as it is: {conda}, ask pip for other versions, or name a URL of {names} for pip, which \
         then takes the place of conda's"
    )
}

/// The distributions that they are about.
pub(super) fn names(clashes: &[Clash]) -> Vec<&str> {
    let mut names: Vec<&str> = clashes.iter().map(|clash| &*clash.name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The same error, with conda's side named where that is what it is about. What is `shadowed` has no side.
pub(super) fn blame(error: Error, stubs: &Stubs<'_>, shadowed: &BTreeSet<String>) -> Error {
    let (Error::Conflict { explanation } | Error::Uv { explanation, .. }) = &error else { return error };
    let has = |name: &str| stubs.get(name).filter(|_| !shadowed.contains(name));
    let text = &explanation.text;
    let placed = two_places(text).and_then(has).map(|installed| placed(text, installed));
    let clashes = placed.map_or_else(|| clashes(text, has), |clash| vec![clash]);
    if clashes.is_empty() {
        return error;
    }
    Error::Clash { clashes, explanation: explanation.clone() }
}

/// The wish for a package at a place of its own, which uv lists in the last line.
fn placed(text: &str, installed: &Installed) -> Clash {
    let by = text.lines().next().filter(|line| line.contains("dependencies for package")).and_then(quoted);
    let place = text.lines().last().unwrap_or_default().trim().trim_start_matches("- ");
    Clash::new(by.map(str::to_owned), format!("{} @ {place}", installed.name), installed)
}

/// Every wish in `text`, as uv words it, that conda's versions do not fulfil.
fn clashes<'i>(text: &str, has: impl Fn(&str) -> Option<&'i Installed>) -> Vec<Clash> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut clashes = Vec::new();
    for premise in premises(&text) {
        let mut rest = premise;
        while let Some((at, verb)) = VERBS.iter().filter_map(|verb| Some((rest.find(verb)?, *verb))).min() {
            let by = (verb != REQUIRE).then(|| subject(&rest[..at]));
            rest = &rest[at + verb.len()..];
            let end = VERBS.iter().filter_map(|verb| rest.find(verb)).min().unwrap_or(rest.len());
            // Of several wishes for one package, one of which is enough, any that is fulfilled counts.
            let mut wishes: Vec<(&Installed, Vec<&str>)> = Vec::new();
            for (name, bounds) in rest[..end].split(' ').filter_map(wish) {
                let Some(installed) = has(name) else { continue };
                match wishes.iter_mut().find(|(known, _)| known.name == installed.name) {
                    Some((_, all)) => all.push(bounds),
                    None => wishes.push((installed, vec![bounds])),
                }
            }
            for (installed, all) in wishes {
                let fulfilled = all.iter().any(|bounds| {
                    let bounds = bounds.parse::<VersionSpecifiers>();
                    let version = installed.version.as_ref();
                    bounds.ok().zip(version.ok()).is_none_or(|(bounds, version)| bounds.contains(version))
                });
                let all: Vec<String> =
                    all.iter().map(|bounds| format!("{}{bounds}", installed.name)).collect();
                let clash = Clash::new(by.clone(), all.join(" or "), installed);
                if !fulfilled && !clashes.contains(&clash) {
                    clashes.push(clash);
                }
            }
        }
    }
    clashes
}

/// What uv starts from, without what it concludes: who needs what, and what is required.
fn premises(text: &str) -> impl Iterator<Item = &str> {
    text.split("we can conclude that ").enumerate().map(|(n, part)| {
        let begin = if n == 0 { Some(0) } else { part.find("ecause ") };
        begin.map_or("", |begin| &part[begin..])
    })
}

const REQUIRE: &str = "you require ";
const VERBS: [&str; 3] = [" depends on ", " depend on ", REQUIRE];

/// Who needs it: `need2` of `all versions of need2`, `need2==1.0`.
fn subject(before: &str) -> String {
    let start =
        ["ecause ", " and ", "that "].iter().filter_map(|word| Some(before.rfind(word)? + word.len()));
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
