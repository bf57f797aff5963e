//! Why packages cannot be installed together, in words that a user can act on.
//!
//! The solver tells it as a tree that leads from what was asked for to what is in its way. The tree stays; its words become
//! ours, long lists of versions are shortened, and what the target lacks is told apart from what channels lack.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use jiff::Timestamp;
use provenv_definition::Format;

use crate::advice;

/// The most lines that are shown.
const MOST_LINES: usize = 40;
/// The most versions in a line.
const MOST_VERSIONS: usize = 4;

/// The solver's explanation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// Lines that lead from what was asked for to what is in its way.
    pub text: String,
    /// The packages asked for that have a part in it.
    pub names: BTreeSet<String>,
    /// Virtual packages that some package needs and the target does not have, or not in that version.
    pub missing: BTreeSet<String>,
    /// Names and versions that were asked for with `==`, where there are only longer ones: 3.11 and 3.11.2.
    pub too_exact: BTreeSet<(String, String)>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A version and a build of it.
pub(super) type Build = (String, String);

/// What is known beside what the solver says.
pub(super) struct Known<'a> {
    /// The names that the user asked for.
    pub asked: &'a BTreeSet<String>,
    /// The versions of a package that channels have, the newest last.
    pub versions: &'a dyn Fn(&str) -> Vec<String>,
    /// Versions and builds of a package that fit the version asked for, whatever their build.
    pub builds: &'a dyn Fn(&str, &str) -> Vec<Build>,
    /// When a version of a package was first made, as far as channels say it.
    pub made: &'a dyn Fn(&str, &str) -> Option<Timestamp>,
    /// Only what was there at that time.
    pub as_of: Option<Timestamp>,
    /// The version that the target has of a virtual package.
    pub target: &'a dyn Fn(&str) -> Option<String>,
}

impl Explanation {
    /// Reads what the solver says.
    pub(super) fn new(said: &str, known: &Known<'_>) -> Self {
        let mut explanation = Self::default();
        let lines: Vec<&str> =
            said.lines().filter(|line| *line != "The following packages are incompatible").collect();
        for line in &lines {
            let (indent, text) =
                line.split_at(line.find(|c: char| !"│├└─ ".contains(c)).unwrap_or(line.len()));
            let is_top = indent.chars().count() <= 3;
            let first = text.strip_prefix("No candidates were found for ").unwrap_or(text);
            let name = first.split([' ', ',']).next().unwrap_or_default();
            if is_top && known.asked.contains(name) {
                explanation.names.insert(name.to_owned());
            }
            let words = explanation.reworded(text, known);
            let _ = writeln!(explanation.text, "{indent}{words}");
        }
        if lines.len() > MOST_LINES {
            let kept: Vec<&str> = explanation.text.lines().take(MOST_LINES).collect();
            explanation.text = format!("{}\n… and {} lines more", kept.join("\n"), lines.len() - MOST_LINES);
        }
        explanation.text.truncate(explanation.text.trim_end().len());
        explanation
    }

    /// One line of the tree in our words.
    fn reworded(&mut self, text: &str, known: &Known<'_>) -> String {
        if let Some(spec) = text.strip_prefix("No candidates were found for ") {
            return self.lacking(spec.trim_end_matches('.'), known);
        }
        if let Some(spec) = text.strip_suffix(", for which no candidates were found.") {
            return self.lacking(spec, known);
        }
        let one_of = "can be installed with any of the following options:";
        if text.starts_with("__") && text.ends_with(one_of) {
            return "the target has".to_owned();
        }
        for (theirs, ours) in [
            (", which can be installed with any of the following options:", ", which can be one of"),
            (" can be installed with any of the following options:", " can be one of"),
            (
                ", which cannot be installed because there are no viable options:",
                ", which cannot be installed:",
            ),
            (" cannot be installed because there are no viable options:", " cannot be installed:"),
            (" would require", " needs"),
            (" would constrain", " allows only"),
            (", which conflicts with the versions reported above.", ", which is another one than above"),
            (
                ", which conflicts with any installable versions previously reported",
                ", which is none of those above",
            ),
        ] {
            if let Some(subject) = text.strip_suffix(theirs) {
                return format!("{}{ours}", subject_of(subject));
            }
        }
        match text.split_once(" is excluded because ") {
            Some((subject, reason)) => {
                format!("{} {}", subject_of(subject), excluded(subject, reason, known))
            }
            None => subject_of(text),
        }
    }

    /// What nobody has.
    fn lacking(&mut self, spec: &str, known: &Known<'_>) -> String {
        let spec = subject_of(spec);
        let name = spec.split(' ').next().unwrap_or_default();
        if name.starts_with("__") {
            self.missing.insert(spec.clone());
            return match (known.target)(name) {
                Some(version) => format!("{spec}, and the target has {version}"),
                None => format!("{spec}, which the target is not said to have"),
            };
        }
        let versions = (known.versions)(name);
        let asked = spec.split(' ').nth(1).unwrap_or_default();
        if spec.split(' ').count() == 3
            && let builds = (known.builds)(name, asked)
            && !builds.is_empty()
        {
            return format!("{spec}, and {}", listed_builds(&builds));
        }
        if let Some(asked) = asked.strip_prefix("==")
            && versions.iter().any(|version| version.starts_with(&format!("{asked}.")))
        {
            self.too_exact.insert((name.to_owned(), asked.to_owned()));
        }
        let newest: Vec<&str> = versions.iter().rev().take(MOST_VERSIONS).map(String::as_str).collect();
        match &newest[..] {
            [] => format!("{spec}, and no channel has `{name}`"),
            [only] if versions.len() == 1 => format!("{spec}, and the channels have {only} alone"),
            newest => {
                let more = versions.len() - newest.len();
                let more = if more > 0 { format!(" and {more} older ones") } else { String::new() };
                format!("{spec}, and the channels have {}{more}", newest.join(", "))
            }
        }
    }

    pub(super) fn hint(&self, format: Option<Format>) -> Option<String> {
        if let Some((name, version)) = self.too_exact.first() {
            return Some(format!(
                "`{name}={version}` is any {version}.x; `{name}=={version}` is {version} and nothing else"
            ));
        }
        let missing = self.missing.iter().map(|spec| spec.split(' ').next().unwrap_or_default());
        let missing: BTreeSet<&str> = missing.collect();
        if missing.contains("__glibc") {
            return Some(format!(
                "glibc comes from the base: a later suite of Debian has a newer one, e.g. {}",
                advice::own_key("base: debian/trixie", format)
            ));
        }
        let name = missing.first()?;
        let example = match *name {
            "__cuda" => "__cuda=12.4".to_owned(),
            "__archspec" => "__archspec=1=x86_64_v3".to_owned(),
            name => format!("{name}=VERSION"),
        };
        let key = advice::own_key(&format!("virtual_packages: [{example}]"), format);
        Some(match format {
            None | Some(Format::Native) => format!(
                "if the machines that run it have it, say so: {key}, or `provenv lock --virtual-package {example}`"
            ),
            Some(_) => format!(
                "if the machines that run it have it, say so: `provenv lock --virtual-package {example}`, or {key}"
            ),
        })
    }
}

/// `numpy *` without what says nothing, and long lists of versions without their middle.
fn subject_of(text: &str) -> String {
    let parts: Vec<&str> = text.split(" | ").collect();
    let text = if parts.len() > MOST_VERSIONS + 1 {
        let left_out = parts.len() - MOST_VERSIONS;
        let (first, last) = (parts[..2].join(" | "), parts[parts.len() - 2..].join(" | "));
        format!("{first} | … {left_out} more … | {last}")
    } else {
        text.to_owned()
    };
    text.strip_suffix(" *").map(str::to_owned).unwrap_or(text)
}

/// Builds that there are, where another was asked for.
fn listed_builds(builds: &[(String, String)]) -> String {
    let versions: BTreeSet<&str> = builds.iter().map(|(version, _)| version.as_str()).collect();
    let one = if versions.len() == 1 { versions.first() } else { None };
    let shown = builds.iter().rev().take(MOST_VERSIONS).map(|(version, build)| match one {
        Some(_) => build.clone(),
        None => format!("{version} {build}"),
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    let of = one.map(|version| format!(" of {version}")).unwrap_or_default();
    let more = builds.len().saturating_sub(MOST_VERSIONS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    match builds {
        [_] => format!("the channels have{of} the build {shown} alone"),
        _ => format!("the channels have{of} the builds {shown}{more}"),
    }
}

/// That versions of a package are newer than they may be, and from when they are.
fn too_new(subject: &str, known: &Known<'_>) -> String {
    let (name, versions) = subject.split_once(' ').unwrap_or((subject, ""));
    let versions: Vec<&str> = versions.split(" | ").collect();
    let oldest = versions.iter().filter_map(|version| (known.made)(name, version)).min();
    let asked = known.as_of.map(|time| format!(", {time}")).unwrap_or_default();
    match oldest {
        Some(made) if versions.len() > 1 => {
            format!("are newer than the time asked for{asked}: the first of them was made at {made}")
        }
        Some(made) => format!("is newer than the time asked for{asked}: it was made at {made}"),
        None => format!("is newer than the time asked for{asked}"),
    }
}

/// Why a package that is there is not taken.
fn excluded(subject: &str, reason: &str, known: &Known<'_>) -> String {
    let quoted = reason.split('\'').nth(1).map(|channel| channel.trim_end_matches('/'));
    match quoted {
        Some(channel) if reason.contains("strict channel priority") => {
            format!("is not taken from {channel}: a channel before it has this package too")
        }
        Some(channel) if reason.contains("not in requested channel") => format!("is not in {channel}"),
        _ if reason.contains("uploaded after the cutoff") => too_new(subject, known),
        _ if reason.contains("has no timestamp") => "does not say when it was made".to_owned(),
        _ => format!("is not taken: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_shortened() {
        assert_eq!(subject_of("a *"), "a");
        assert_eq!(subject_of("a 1 | 2 | 3 | 4 | 5"), "a 1 | 2 | 3 | 4 | 5");
        assert_eq!(subject_of("a 1 | 2 | 3 | 4 | 5 | 6 | 7"), "a 1 | 2 | … 3 more … | 6 | 7");
        let asked = BTreeSet::new();
        let known = Known {
            asked: &asked,
            versions: &|_| Vec::new(),
            builds: &|_, _| Vec::new(),
            made: &|_, _| None,
            as_of: None,
            target: &|_| None,
        };
        let said = "├─ a * can be\n".repeat(100);
        let text = Explanation::new(&said, &known).text;
        assert_eq!(text.lines().count(), MOST_LINES + 1);
        assert!(text.ends_with("… and 60 lines more"), "{text}");
    }
}
