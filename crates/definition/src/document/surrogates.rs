//! What JSON and YAML write differently: a character beyond U+FFFF, which JSON escapes as two halves (RFC 8259, 7), as
//! Python does unless it is told otherwise.

use std::borrow::Cow;
use std::fmt::Write as _;

/// `text` with the halves joined: `\ud83d\ude00` becomes YAML's `\U0001f600`. What follows on the line moves two columns.
pub(super) fn joined(text: &str) -> Cow<'_, str> {
    // YAML is never tried for it: only in JSON every text is in double quotes.
    if !text.trim_start().starts_with(['{', '[']) || !text.contains("\\u") {
        return Cow::Borrowed(text);
    }
    let mut joined = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        joined.push_str(&rest[..at]);
        rest = &rest[at..];
        let halves =
            half(rest, 0xD800..0xDC00).zip(rest.get(6..).and_then(|next| half(next, 0xDC00..0xE000)));
        if let Some((high, low)) = halves {
            let code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
            let _ = write!(joined, "\\U{code:08x}");
            rest = &rest[12..];
        } else {
            // With the character that is escaped: `\\u` is no escape of one.
            let length = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
            joined.push_str(&rest[..length]);
            rest = &rest[length..];
        }
    }
    joined.push_str(rest);
    Cow::Owned(joined)
}

/// The number of an escape that begins `text`, if it is in `range`.
fn half(text: &str, range: std::ops::Range<u32>) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4).filter(|digits| !digits.starts_with('+'))?;
    u32::from_str_radix(digits, 16).ok().filter(|number| range.contains(number))
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn halves_are_joined_in_json_alone() {
        for (text, expected) in [
            (r#"{"a": "\ud83d\uDE00b"}"#, r#"{"a": "\U0001f600b"}"#),
            (r#"{"a": "\\ud83d\ude00"}"#, r#"{"a": "\\ud83d\ude00"}"#),
            (r#"{"a": "\ud83d"}"#, r#"{"a": "\ud83d"}"#),
            (r#"["\ud83dé\"\u00e9\"#, r#"["\ud83dé\"\u00e9\"#),
            (r"a: \ud83d\ude00", r"a: \ud83d\ude00"),
        ] {
            assert_eq!(joined(text), expected);
        }
    }
}
