//! Alternatives: generic names such as `/usr/bin/awk` that several packages can stand for. The one of the highest
//! priority wins, as in `update-alternatives --auto`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::segment::Alternative;

use super::{State, merged};

pub(super) fn fill(state: &mut State) {
    for (name, group) in groups(state) {
        // `max_by_key` takes the last of equals, dpkg the first that was installed: by name here.
        let Some(chosen) = group.iter().rev().max_by_key(|alternative| alternative.priority) else {
            continue;
        };
        let Some(chosen) = point(state, &chosen.link, &name, &chosen.path).then_some(*chosen) else {
            continue;
        };
        for (link, name, path) in &chosen.slaves {
            point(state, link, name, path);
        }
        if state.has("dpkg") {
            state.file(&format!("var/lib/dpkg/alternatives/{name}"), record(state, &group));
        }
    }
}

/// What can stand for each name, in the order of the packages.
fn groups<'a>(state: &State<'a>) -> BTreeMap<String, Vec<&'a Alternative>> {
    let mut groups: BTreeMap<String, Vec<&Alternative>> = BTreeMap::new();
    for alternative in state.debs.iter().flat_map(|(_, facts)| &facts.alternatives) {
        if is_name(&alternative.name) && state.stands(&alternative.path) {
            groups.entry(alternative.name.clone()).or_default().push(alternative);
        }
    }
    groups
}

/// Makes `link` → `/etc/alternatives/name` → `path`, unless a package ships a file at `link` or nothing at `path`.
fn point(state: &mut State, link: &str, name: &str, path: &str) -> bool {
    let link = merged(link);
    let possible =
        is_name(name) && is_plain(&link) && state.stands(path) && !state.shipped.contains(link.as_str());
    if possible {
        state.link(&format!("etc/alternatives/{name}"), path);
        state.link(&link, &format!("/etc/alternatives/{name}"));
    }
    possible
}

/// A name that can be a file's: it comes from a script's text.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\n', '\0'])
}

/// A path without `.`, `..` and empty parts.
fn is_plain(path: &str) -> bool {
    path.split('/').all(is_name)
}

/// The file in which `update-alternatives` keeps a group.
fn record(state: &State, group: &[&Alternative]) -> String {
    let link = &group[0].link;
    let slaves: BTreeMap<&str, &str> = group
        .iter()
        .flat_map(|choice| &choice.slaves)
        .map(|(link, name, _)| (name.as_str(), link.as_str()))
        .collect();
    let mut text = format!("auto\n{link}\n");
    for (name, link) in &slaves {
        let _ = writeln!(text, "{name}\n{link}");
    }
    text.push('\n');
    let choices: BTreeSet<&str> = group.iter().map(|choice| choice.path.as_str()).collect();
    for path in choices {
        let Some(choice) = group.iter().find(|choice| choice.path == path) else { continue };
        let _ = writeln!(text, "{path}\n{}", choice.priority);
        for name in slaves.keys() {
            let slave = choice.slaves.iter().find(|(_, slave, path)| slave == name && state.stands(path));
            let _ = writeln!(text, "{}", slave.map_or("", |(_, _, path)| path));
        }
    }
    text.push('\n');
    text
}
