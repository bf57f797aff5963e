//! Whether a version is affected, by OSV's evaluation and each ecosystem's order of versions.

use std::cmp::Ordering;
use std::str::FromStr as _;

use super::Ecosystem;
use super::osv::{Affected, Range};

/// A version in the order of its ecosystem.
#[derive(Clone, Debug)]
enum Version {
    /// Before all others: OSV's `0`.
    First,
    Python(Box<pep440_rs::Version>),
    Debian(debversion::Version),
}

impl Version {
    /// A version of that ecosystem, if it is one.
    fn parse(ecosystem: &Ecosystem, text: &str) -> Option<Self> {
        match ecosystem {
            Ecosystem::Pypi => Some(Self::Python(Box::new(pep440_rs::Version::from_str(text).ok()?))),
            Ecosystem::Debian(_) => Some(Self::Debian(text.parse().ok()?)),
        }
    }

    /// The same in an event, where `0` stands for the beginning.
    fn in_event(ecosystem: &Ecosystem, text: &str) -> Option<Self> {
        if text == "0" { Some(Self::First) } else { Self::parse(ecosystem, text) }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Python(one), Self::Python(other)) => one.cmp(other),
            (Self::Debian(one), Self::Debian(other)) => one.cmp(other),
            (Self::First, Self::First) => Ordering::Equal,
            (Self::First, _) => Ordering::Less,
            // Versions of two ecosystems never meet.
            (_, Self::First) | (Self::Python(_), Self::Debian(_)) | (Self::Debian(_), Self::Python(_)) => {
                Ordering::Greater
            }
        }
    }
}

/// The versions in which it is fixed for whoever has `version`, if `affected` holds of it.
pub(super) fn fixes(ecosystem: &Ecosystem, version: &str, affected: &Affected) -> Option<Vec<String>> {
    let own = Version::parse(ecosystem, version);
    let mut is_affected = affected.versions().iter().any(|listed| {
        listed == version
            || own
                .as_ref()
                .zip(Version::parse(ecosystem, listed))
                .is_some_and(|(own, listed)| own.compare(&listed) == Ordering::Equal)
    });
    let mut fixes = Vec::new();
    if let Some(own) = &own {
        for range in affected.ranges().iter().filter(|range| is_ordered(range)) {
            let events = Events::of(ecosystem, range);
            if events.hold(own) {
                is_affected = true;
                fixes.extend(events.fixed_after(own));
            }
        }
        // It is listed by name alone: where it is fixed, the ranges may still say.
        if is_affected && fixes.is_empty() {
            let ranges = affected.ranges().iter().filter(|range| is_ordered(range));
            fixes.extend(ranges.filter_map(|range| Events::of(ecosystem, range).fixed_after(own)));
        }
    }
    is_affected.then_some(fixes)
}

/// Why it cannot be told whether `affected` holds of who has `version`, where [`fixes`] does not say that it does.
pub(super) fn doubt(ecosystem: &Ecosystem, version: &str, affected: &Affected) -> Option<String> {
    let mut ranges = affected.ranges().iter().filter(|range| is_ordered(range) && !range.events().is_empty());
    if Version::parse(ecosystem, version).is_none() {
        return ranges
            .next()
            .map(|_| format!("`{version}` is no version of {ecosystem}, so that it is in no range"));
    }
    // A fix that cannot be read leaves a range open, and so finds more than there is, and not less.
    let mut introduced = ranges.flat_map(Range::events).filter_map(|event| event.introduced.as_deref());
    let unread = introduced.find(|text| Version::in_event(ecosystem, text).is_none())?;
    Some(format!("the record says that it was introduced in `{unread}`, which is no version of {ecosystem}"))
}

/// Whether a range is of versions, and not of commits.
fn is_ordered(range: &Range) -> bool {
    matches!(&*range.kind, "ECOSYSTEM" | "SEMVER")
}

/// What happens at a version. In this order where several do at one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Introduced,
    Fixed,
    LastAffected,
}

/// The events of a range, the earliest first.
struct Events<'r> {
    events: Vec<(Version, What, &'r str)>,
    limits: Vec<Version>,
}

impl<'r> Events<'r> {
    /// A version that cannot be read is left out; [`doubt`] says so.
    fn of(ecosystem: &Ecosystem, range: &'r Range) -> Self {
        let mut events = Vec::new();
        let mut limits = Vec::new();
        for event in range.events() {
            let kinds = [
                (event.introduced.as_deref(), What::Introduced),
                (event.fixed.as_deref(), What::Fixed),
                (event.last_affected.as_deref(), What::LastAffected),
            ];
            for (text, what) in kinds {
                let Some(text) = text else { continue };
                events.extend(Version::in_event(ecosystem, text).map(|version| (version, what, text)));
            }
            // `*` is no limit.
            let limit = event.limit.as_deref().filter(|limit| *limit != "*");
            limits.extend(limit.and_then(|limit| Version::parse(ecosystem, limit)));
        }
        events.sort_by(|one, other| one.0.compare(&other.0).then(one.1.cmp(&other.1)));
        Self { events, limits }
    }

    /// OSV's evaluation algorithm.
    fn hold(&self, own: &Version) -> bool {
        let is_within =
            self.limits.is_empty() || self.limits.iter().any(|limit| own.compare(limit) == Ordering::Less);
        let mut is_affected = false;
        for (version, what, _) in &self.events {
            let order = own.compare(version);
            match what {
                What::Introduced if order != Ordering::Less => is_affected = true,
                What::Fixed if order != Ordering::Less => is_affected = false,
                What::LastAffected if order == Ordering::Greater => is_affected = false,
                _ => {}
            }
        }
        is_within && is_affected
    }

    /// The first fix behind `own`.
    fn fixed_after(&self, own: &Version) -> Option<String> {
        let behind = self
            .events
            .iter()
            .find(|(version, what, _)| *what == What::Fixed && own.compare(version) == Ordering::Less);
        behind.map(|(_, _, text)| (*text).to_owned())
    }
}

/// Sorts versions of an ecosystem, and leaves each once.
pub(super) fn sort(ecosystem: &Ecosystem, versions: &mut Vec<String>) {
    let read = |text: &String| Version::in_event(ecosystem, text).unwrap_or(Version::First);
    versions.sort_by(|one, other| read(one).compare(&read(other)).then_with(|| one.cmp(other)));
    versions.dedup();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn affected(json: &str) -> Affected {
        serde_json::from_str(json).unwrap()
    }

    #[track_caller]
    fn is(ecosystem: &Ecosystem, json: &str, cases: &[(&str, Option<&[&str]>)]) {
        for (version, expected) in cases {
            let expected = expected.map(|fixes| fixes.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(fixes(ecosystem, version, &affected(json)), expected, "{version}");
        }
    }

    #[test]
    fn pythons_versions_are_compared_by_pep_440() {
        let ranges = r#"{"ranges": [{"type": "ECOSYSTEM", "events": [
            {"introduced": "2.0.0"}, {"fixed": "2.0.7"}, {"introduced": "0"}, {"fixed": "1.26.18"}]}]}"#;
        is(
            &Ecosystem::Pypi,
            ranges,
            &[
                ("1.26.4", Some(&["1.26.18"])),
                ("1.26.18", None),
                ("1.27", None),
                ("2.0.0rc1", None),
                ("2.0", Some(&["2.0.7"])),
                ("2.0.7rc1", Some(&["2.0.7"])),
                ("2.0.7.post1", None),
                ("1.10", Some(&["1.26.18"])),
                ("1!0", None),
                ("no version", None),
            ],
        );
    }

    #[test]
    fn where_a_version_cannot_be_read_there_is_doubt() {
        let told = |version: &str, events: &str| {
            let json = format!(r#"{{"ranges": [{{"type": "ECOSYSTEM", "events": {events}}}]}}"#);
            doubt(&Ecosystem::Pypi, version, &affected(&json))
        };
        let garbage = r#"[{"introduced": "first of all"}, {"fixed": "2.0"}]"#;
        assert!(told("1.0", garbage).unwrap().contains("`first of all`"));
        assert!(told("best", r#"[{"introduced": "0"}]"#).unwrap().contains("`best`"));
        assert_eq!(told("1.0", r#"[{"introduced": "0"}, {"fixed": "whenever"}]"#), None);
        assert_eq!(told("1.0", "null"), None);
        let commits = r#"{"ranges": [{"type": "GIT", "events": [{"introduced": "abcdef"}]}]}"#;
        assert_eq!(doubt(&Ecosystem::Pypi, "1.0", &affected(commits)), None);
    }

    #[test]
    fn debians_versions_are_compared_by_policy() {
        let debian = Ecosystem::Debian("12".into());
        let ranges = r#"{"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2:3.0.11-1~deb12u2"}]}]}"#;
        is(
            &debian,
            ranges,
            &[
                ("2:3.0.11-1~deb12u1", Some(&["2:3.0.11-1~deb12u2"])),
                ("2:3.0.11-1", None),
                ("3.0.12-1", Some(&["2:3.0.11-1~deb12u2"])),
                ("2:3.0.9-1+b10", Some(&["2:3.0.11-1~deb12u2"])),
            ],
        );
        let unfixed = r#"{"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}"#;
        is(&debian, unfixed, &[("1", Some(&[]))]);
    }

    #[test]
    fn lists_last_affected_versions_and_limits_count() {
        let listed =
            r#"{"versions": ["1.0", "1.2"], "ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}"#;
        is(&Ecosystem::Pypi, listed, &[("1.0.0", Some(&[])), ("1.1", None)]);
        let up_to = r#"{"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "1.1"}, {"last_affected": "1.3"}]}]}"#;
        is(&Ecosystem::Pypi, up_to, &[("1.0", None), ("1.3", Some(&[])), ("1.3.1", None)]);
        let limit = r#"{"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"limit": "2"}]}]}"#;
        is(&Ecosystem::Pypi, limit, &[("1.0", Some(&[])), ("2", None)]);
        is(&Ecosystem::Pypi, r#"{"ranges": null, "versions": null}"#, &[("1.0", None)]);
    }
}
