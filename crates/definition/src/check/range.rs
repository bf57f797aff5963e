//! Which versions bounds leave, as far as two of them may exclude each other.

use pep440_rs::{Operator, Version, VersionSpecifier};
use rattler_conda_types::version_spec::{
    EqualityOperator, LogicalOperator, RangeOperator, StrictRangeOperator,
};
use rattler_conda_types::{VersionBumpType, VersionSpec};

/// All versions between two, each with whether it belongs to them. Wider than what is meant where versions before or
/// after a release count apart, so that nothing possible is called impossible.
#[derive(Clone, Debug)]
pub(super) struct Range<V = Version> {
    low: Option<(V, bool)>,
    high: Option<(V, bool)>,
}

impl<V: Ord> Range<V> {
    const ALL: Self = Self { low: None, high: None };

    /// Whether every version of it is above every version of `other`; of itself, whether none is left, as of `>=2,<1`.
    pub fn is_above(&self, other: &Self) -> bool {
        match (&self.low, &other.high) {
            (Some((low, with_low)), Some((high, with_high))) => {
                low > high || (low == high && !(*with_low && *with_high))
            }
            _ => false,
        }
    }

    /// What is left by both.
    fn and(self, other: Self) -> Self {
        let low = match (self.low, other.low) {
            (Some(one), Some(other)) => {
                Some(if (&one.0, !one.1) >= (&other.0, !other.1) { one } else { other })
            }
            (one, other) => one.or(other),
        };
        let high = match (self.high, other.high) {
            (Some(one), Some(other)) => {
                Some(if (&one.0, one.1) <= (&other.0, other.1) { one } else { other })
            }
            (one, other) => one.or(other),
        };
        Self { low, high }
    }
}

impl Range<Version> {
    /// Of a bound of pip's (PEP 440).
    pub fn of(bound: &VersionSpecifier) -> Self {
        // Where a bound has no local part, that of a version does not count.
        let version = &bound.version().clone().without_local();
        let at = |with: bool| Some((version.clone(), with));
        match bound.operator() {
            Operator::GreaterThan => Self { low: at(false), high: None },
            Operator::GreaterThanEqual => Self { low: at(true), high: None },
            Operator::LessThan => Self { low: None, high: at(false) },
            Operator::LessThanEqual => Self { low: None, high: at(true) },
            Operator::Equal | Operator::ExactEqual => Self { low: at(true), high: at(true) },
            // `1.4.*` and `~=1.4.2` leave all that is below 1.5.
            Operator::EqualStar => {
                Self { low: Some((first_of(version.release()), true)), high: next(version.release()) }
            }
            Operator::TildeEqual => {
                let kept = version.release().len().saturating_sub(1).max(1);
                Self { low: at(true), high: next(&version.release()[..kept]) }
            }
            Operator::NotEqual | Operator::NotEqualStar => Self::ALL,
        }
        .with_epoch(version.epoch())
    }

    fn with_epoch(self, epoch: u64) -> Self {
        let put =
            |side: Option<(Version, bool)>| side.map(|(version, with)| (version.with_epoch(epoch), with));
        Self { low: put(self.low), high: put(self.high) }
    }
}

/// The first version that begins with `release`, which is a development one.
fn first_of(release: &[u64]) -> Version {
    Version::new(release).with_dev(Some(0))
}

/// The first version behind all that begin with `release`; itself, it does not belong to them.
fn next(release: &[u64]) -> Option<(Version, bool)> {
    let (last, before) = release.split_last()?;
    let last = last.checked_add(1)?;
    let release: Vec<u64> = before.iter().copied().chain([last]).collect();
    Some((first_of(&release), false))
}

impl Range<rattler_conda_types::Version> {
    /// Of conda's conditions on a version; all versions where one of several will do.
    pub fn of_conda(spec: &VersionSpec) -> Self {
        match spec {
            VersionSpec::Range(operator, version) => {
                let at = |with: bool| Some((version.clone(), with));
                match operator {
                    RangeOperator::Greater => Self { low: at(false), high: None },
                    RangeOperator::GreaterEquals => Self { low: at(true), high: None },
                    RangeOperator::Less => Self { low: None, high: at(false) },
                    RangeOperator::LessEquals => Self { low: None, high: at(true) },
                }
            }
            VersionSpec::Exact(EqualityOperator::Equals, version) => {
                Self { low: Some((version.clone(), true)), high: Some((version.clone(), true)) }
            }
            VersionSpec::StrictRange(StrictRangeOperator::StartsWith, stem) => {
                // Of a stem with letters the neighbours are not known.
                let text = stem.to_string();
                let is_plain = text.chars().all(|c| c.is_ascii_digit() || c == '.');
                let stem = text.parse::<rattler_conda_types::Version>().ok().filter(|_| is_plain);
                let next = stem.as_ref().and_then(|stem| stem.bump(VersionBumpType::Last).ok());
                Self {
                    low: stem.and_then(|stem| first_of_conda(&stem)).map(|low| (low, true)),
                    high: next.and_then(|next| first_of_conda(&next)).map(|high| (high, false)),
                }
            }
            VersionSpec::StrictRange(StrictRangeOperator::Compatible, version) => {
                Self { low: version.to_string().parse().ok().map(|low| (low, true)), high: None }
            }
            VersionSpec::Group(LogicalOperator::And, all) => {
                all.iter().map(Self::of_conda).fold(Self::ALL, Self::and)
            }
            _ => Self::ALL,
        }
    }
}

/// The first version that begins with `stem`: nothing sorts before `dev`.
fn first_of_conda(stem: &rattler_conda_types::Version) -> Option<rattler_conda_types::Version> {
    format!("{stem}dev").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rattler_conda_types::ParseStrictness;

    #[test]
    fn bounds_of_pip_exclude_each_other_only_where_nothing_is_left() {
        let range = |text: &str| Range::of(&text.parse::<VersionSpecifier>().unwrap());
        for (one, other, excluded) in [
            (">=2", "<1", true),
            (">=2", "<2", true),
            (">2", "<=2", true),
            (">=2", "<=2", false),
            (">=1", "<2", false),
            ("==1.4.*", ">=1.5", true),
            ("==1.4.*", "<1.4", false),
            ("==1.4.*", "<1.3", true),
            ("~=1.4.2", ">=1.5", true),
            ("~=1.4.2", "<1.4.2", true),
            ("~=1.4", ">=1.5", false),
            ("~=1.4", ">=2", true),
            ("!=1", ">=1", false),
            (">=1!1", "<2", true),
            (">=2.0.dev1", "<2.0", false),
            ("==1.0", ">=1.0.0", false),
            ("==2.1.0+cpu", "<=2.1.0", false),
        ] {
            let (one_range, other_range) = (range(one), range(other));
            let found = one_range.is_above(&other_range) || other_range.is_above(&one_range);
            assert_eq!(found, excluded, "{one} and {other}");
        }
    }

    #[test]
    fn bounds_of_conda_exclude_each_other_only_where_nothing_is_left() {
        let range =
            |text: &str| Range::of_conda(&VersionSpec::from_str(text, ParseStrictness::Lenient).unwrap());
        for (one, other, excluded) in [
            (">=2", "<1", true),
            (">=2", "<2", true),
            (">=2", "<=2", false),
            ("1.2.*", ">=1.3a1", true),
            ("1.2.*", "<1.2", false),
            ("1.2.*", "<1.1", true),
            ("1.2.*", "1.3.*", true),
            ("1.2.*", "1.2.3", false),
            ("1.2.*|3.*", ">=2", false),
            (">=1,<2", ">=2", true),
            ("~=1.2", "<1.2", true),
            ("0.3_r179.*", "0.3_r179", false),
            ("0.3_r179.*", ">=9", false),
        ] {
            let (one_range, other_range) = (range(one), range(other));
            let found = one_range.is_above(&other_range) || other_range.is_above(&one_range);
            assert_eq!(found, excluded, "{one} and {other}");
        }
        assert!(!range("0.3_r179.*").is_above(&range("0.3_r179.*")));
        assert!(range(">=2,<1").is_above(&range(">=2,<1")));
        assert!(!range(">=1,<2").is_above(&range(">=1,<2")));
    }
}
