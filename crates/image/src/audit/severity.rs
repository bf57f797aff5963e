//! How bad it is: a CVSS score where there is one, and otherwise the word of whoever recorded it.

use std::str::FromStr as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::osv::{Affected, Record, Score};

/// How bad a vulnerability is (CVSS 3.1, 5; the words are those of CVSS 4.0 too).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Not at all.
    None,
    /// 0.1 to 3.9.
    Low,
    /// 4.0 to 6.9.
    Medium,
    /// 7.0 to 8.9.
    High,
    /// 9.0 and more.
    Critical,
}

impl Severity {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// A severity and, where it is known, the score.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Rating {
    /// In a word.
    pub severity: Severity,
    /// CVSS's base score.
    pub score: Option<f64>,
}

/// What a record says of it, by the worst of its scores, or by its words.
pub(super) fn of(record: &Record, affected: &Affected) -> Option<Rating> {
    let scores = affected.severity().iter().chain(record.severity());
    let rated = scores.clone().filter_map(scored);
    let worst = rated.max_by(|one, other| one.score.unwrap_or(0.0).total_cmp(&other.score.unwrap_or(0.0)));
    let words = || {
        let of = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).and_then(word);
        let said = scores.clone().find_map(|score| word(&score.score));
        said.or_else(|| of(&affected.ecosystem_specific, "severity"))
            .or_else(|| of(&affected.database_specific, "severity"))
            .or_else(|| of(&record.database_specific, "severity"))
            .or_else(|| of(&affected.ecosystem_specific, "urgency"))
    };
    worst.or_else(|| words().map(|severity| Rating { severity, score: None }))
}

fn scored(score: &Score) -> Option<Rating> {
    if !score.kind.starts_with("CVSS") {
        return None;
    }
    let vector = cvss::Cvss::from_str(&score.score).ok()?;
    let severity = match vector.severity() {
        cvss::Severity::None => Severity::None,
        cvss::Severity::Low => Severity::Low,
        cvss::Severity::Medium => Severity::Medium,
        cvss::Severity::High => Severity::High,
        cvss::Severity::Critical => Severity::Critical,
    };
    Some(Rating { severity, score: Some(vector.score()) })
}

/// Words of databases; Debian's "not yet assigned" and the like are none.
fn word(text: &str) -> Option<Severity> {
    Some(match text.to_ascii_lowercase().as_str() {
        "unimportant" | "negligible" | "low" => Severity::Low,
        "medium" | "moderate" => Severity::Medium,
        "high" | "important" => Severity::High,
        "critical" => Severity::Critical,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn rated(record: &str, affected: &str) -> Option<(Severity, Option<f64>)> {
        let record: Record = serde_json::from_str(record).unwrap();
        let affected: Affected = serde_json::from_str(affected).unwrap();
        of(&record, &affected).map(|rating| (rating.severity, rating.score))
    }

    #[test]
    fn scores_come_before_words() {
        let cvss = r#"{"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
                       "database_specific": {"severity": "LOW"}}"#;
        assert_eq!(rated(cvss, "{}"), Some((Severity::Critical, Some(9.8))));
        let word = r#"{"database_specific": {"severity": "MODERATE"}}"#;
        assert_eq!(rated(word, "{}"), Some((Severity::Medium, None)));
        let debian = r#"{"ecosystem_specific": {"urgency": "unimportant"}}"#;
        assert_eq!(rated("{}", debian), Some((Severity::Low, None)));
        assert_eq!(rated("{}", r#"{"ecosystem_specific": {"urgency": "not yet assigned"}}"#), None);
        assert_eq!(rated(r#"{"severity": [{"type": "CVSS_V3", "score": "nonsense"}]}"#, "{}"), None);
    }
}
