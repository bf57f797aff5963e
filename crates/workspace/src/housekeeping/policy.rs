//! What a collection leaves besides what must stay: images that were used of late.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use provenv_definition::Digest;

use crate::catalogue::{EnvironmentRow, ImageRow};

/// What a collection leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeepPolicy {
    /// The newest versions of each environment, and so many of the images that are of none, those used last.
    pub last: Option<usize>,
    /// What was used within this time.
    pub used_within: Option<Duration>,
    /// Registered versions and runs are no reason to keep anything: only the two above are.
    pub include_registered: bool,
}

impl KeepPolicy {
    /// Whether anything is to be left by it.
    pub fn says_something(&self) -> bool {
        self.last.is_some() || self.used_within.is_some()
    }

    /// Of `images` and `environments`, newest versions first within a name, the locks that it leaves. `uses` says when each was
    /// last used.
    pub(super) fn keeps(
        &self,
        images: &[ImageRow],
        environments: &[EnvironmentRow],
        uses: &HashMap<Digest, jiff::Timestamp>,
        now: jiff::Timestamp,
    ) -> BTreeSet<Digest> {
        let locks: BTreeSet<Digest> =
            images.iter().map(|row| row.lock).chain(environments.iter().map(|row| row.lock)).collect();
        let mut kept = BTreeSet::new();
        if let Some(within) = self.used_within {
            // A time before all times leaves everything.
            let since = now.checked_sub(within).unwrap_or(jiff::Timestamp::MIN);
            kept.extend(locks.iter().filter(|lock| uses.get(lock).is_some_and(|at| *at > since)));
        }
        if let Some(last) = self.last {
            let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
            for row in environments {
                let seen = versions.entry(&row.name).or_default();
                *seen += 1;
                if *seen <= last {
                    kept.insert(row.lock);
                }
            }
            let registered: BTreeSet<Digest> = environments.iter().map(|row| row.lock).collect();
            let mut others: Vec<&Digest> = locks.difference(&registered).collect();
            others.sort_by_key(|lock| std::cmp::Reverse(uses.get(lock)));
            kept.extend(others.into_iter().take(last));
        }
        kept
    }
}

/// A time such as `30d`, `12h` or `4w`; a number alone is days.
pub fn parse_age(text: &str) -> Result<Duration, String> {
    let error = || format!("`{text}` is not a time such as 30d, 12h or 4w (a number alone is days)");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let hours: u64 = match &text[digits.len()..] {
        "h" => 1,
        "" | "d" => 24,
        "w" => 24 * 7,
        _ => return Err(error()),
    };
    let number: u64 = digits.parse().map_err(|_| error())?;
    let seconds = number.checked_mul(hours * 60 * 60).filter(|seconds| i64::try_from(*seconds).is_ok());
    seconds.map(Duration::from_secs).ok_or_else(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read_in_hours_days_and_weeks() {
        let hours = |number| Ok(Duration::from_hours(number));
        assert_eq!(parse_age("12h"), hours(12));
        assert_eq!(parse_age("30"), hours(720));
        assert_eq!(parse_age("30d"), hours(720));
        assert_eq!(parse_age("2w"), hours(336));
        assert_eq!(parse_age("0"), hours(0));
        for wrong in ["", "d", "-1d", "1.5d", "3m", "99999999999999999999d", "999999999999999999w"] {
            assert!(parse_age(wrong).is_err(), "{wrong}");
        }
    }
}
