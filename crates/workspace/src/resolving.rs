//! What a resolution is told beside the definition: for which moment, and for what machines.

use jiff::Timestamp;
use jiff::civil::Date;
use provenv_definition::VirtualPackage;

/// What is kept in the receipt of a resolution, because it changes what is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolving {
    /// Only what indexes had at that time.
    pub as_of: Option<Timestamp>,
    /// What the target has, beside what the definition declares or in its place.
    pub virtual_packages: Vec<VirtualPackage>,
}

impl Resolving {
    /// Whether it says anything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A time as RFC 3339 writes it, or a date, which is the last millisecond of that day in UTC: indexes count no finer.
pub fn parse_as_of(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let end = |date: Date| date.at(23, 59, 59, 999_000_000).in_tz("UTC").ok();
    // A time without its offset would be read as a date too.
    let date = Some(text).filter(|text| text.len() == "2026-03-31".len());
    match date.and_then(|text| text.parse().ok()).and_then(end) {
        Some(end) => Ok(end.timestamp()),
        None => Err(format!(
            "`{text}` is neither a date such as 2026-03-31 nor a time such as 2026-03-31T12:00:00Z"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_as_of;

    #[test]
    fn a_date_is_the_whole_day() {
        let parsed = |text: &str| parse_as_of(text).map(|time| time.to_string());
        assert_eq!(parsed("2026-03-31").as_deref(), Ok("2026-03-31T23:59:59.999Z"));
        assert_eq!(parsed("2026-03-31T12:00:00+02:00").as_deref(), Ok("2026-03-31T10:00:00Z"));
        for text in ["", "yesterday", "2026-02-30", "2026-03-31T12:00:00", "2026"] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}
