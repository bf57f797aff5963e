//! How numbers, times and texts are written on pages.

use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but what a segment of a path may hold as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A text as one segment of a path, or as a value of a query.
pub(super) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// An amount of bytes.
pub(super) fn bytes(size: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut amount = size as f64;
    let mut unit = 0;
    while amount >= 999.5 && unit + 1 < UNITS.len() {
        amount /= 1000.0;
        unit += 1;
    }
    if unit == 0 || amount >= 99.95 {
        format!("{amount:.0} {}", UNITS[unit])
    } else {
        format!("{amount:.1} {}", UNITS[unit])
    }
}

/// A number with its noun.
pub(super) fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// A message of ours as a sentence: ours begin in lower case.
pub(super) fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    let Some(first) = rest.next() else { return String::new() };
    let end = if text.ends_with(['.', ':', '!', '?']) { "" } else { "." };
    format!("{}{}{end}", first.to_uppercase(), rest.as_str())
}

/// A time: how long ago, and when exactly where the pointer rests.
pub(super) fn time(at: jiff::Timestamp) -> Markup {
    let exact = at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    html! { time datetime=(at.strftime("%Y-%m-%dT%H:%M:%SZ")) title=(exact) { (ago(at, jiff::Timestamp::now())) } }
}

fn ago(at: jiff::Timestamp, now: jiff::Timestamp) -> String {
    let seconds = now.as_second() - at.as_second();
    match seconds {
        i64::MIN..0 => at.strftime("%-d %b %Y").to_string(),
        0..60 => "just now".to_owned(),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        86_400..2_592_000 => count(usize::try_from(seconds / 86_400).unwrap_or(1), "day") + " ago",
        _ => at.strftime("%-d %b %Y").to_string(),
    }
}

/// How long something took.
pub(super) fn took(from: jiff::Timestamp, to: jiff::Timestamp) -> String {
    let seconds = to.as_second() - from.as_second();
    match seconds {
        i64::MIN..60 => format!("{} s", seconds.max(0)),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// A digest, short, with all of it where the pointer rests.
pub(super) fn digest(digest: &provenv_definition::Digest) -> Markup {
    html! { code.digest title=(digest) { (&digest.hex()[..12]) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        let written =
            [0, 999, 1000, 1536, 99_940, 99_960, 999_499, 999_500, 38_000_000, 5_300_000_000].map(bytes);
        assert_eq!(
            written,
            [
                "0 B", "999 B", "1.0 kB", "1.5 kB", "99.9 kB", "100 kB", "999 kB", "1.0 MB", "38.0 MB",
                "5.3 GB"
            ]
        );
    }

    #[test]
    fn times_say_how_long_ago() {
        let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
        let now = at("2026-07-10T12:00:00Z");
        for (text, said) in [
            ("2026-07-10T11:59:30Z", "just now"),
            ("2026-07-10T11:10:00Z", "50 min ago"),
            ("2026-07-10T01:00:00Z", "11 h ago"),
            ("2026-07-09T01:00:00Z", "1 day ago"),
            ("2026-05-01T01:00:00Z", "1 May 2026"),
            ("2026-08-01T01:00:00Z", "1 Aug 2026"),
        ] {
            assert_eq!(ago(at(text), now), said);
        }
    }

    #[test]
    fn a_name_is_one_segment() {
        assert_eq!(segment("a/b?c d@é"), "a%2Fb%3Fc%20d%40%C3%A9");
    }

    #[test]
    fn messages_become_sentences() {
        assert_eq!(sentence("there is no image"), "There is no image.");
        assert_eq!(sentence("why?"), "Why?");
    }
}
