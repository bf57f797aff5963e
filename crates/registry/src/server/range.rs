//! Ranges of bytes, as requests name them (RFC 9110, 14.2) and as uploads do (specification, "Pushing a blob in chunks").

/// What a `Range` header asks of something of so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All of it: there is no range, or one that may be ignored.
    All,
    /// From the first byte to the second, which is part of it.
    Part(u64, u64),
    /// Nothing that is there.
    Nothing,
}

/// Reads a `Range` header. Several ranges are answered with everything, as a server may.
pub(super) fn asked(value: Option<&str>, size: u64) -> Asked {
    let Some(range) = value.and_then(|value| value.trim().strip_prefix("bytes=")) else { return Asked::All };
    if range.contains(',') {
        return Asked::All;
    }
    let Some((from, to)) = range.trim().split_once('-') else { return Asked::All };
    match (number(from), number(to)) {
        (Some(from), Some(to)) if from > to => Asked::All,
        (Some(from), _) if from >= size && (to.is_empty() || number(to).is_some()) => Asked::Nothing,
        (Some(from), Some(to)) => Asked::Part(from, to.min(size - 1)),
        (Some(from), None) if to.is_empty() => Asked::Part(from, size - 1),
        (None, Some(last)) if from.is_empty() => {
            if last == 0 || size == 0 {
                Asked::Nothing
            } else {
                Asked::Part(size.saturating_sub(last), size - 1)
            }
        }
        _ => Asked::All,
    }
}

/// Reads the `Content-Range` of a chunk: `FIRST-LAST`, with a unit and a total as RFC 9110 has them or without.
pub(super) fn chunk(value: &str) -> Option<(u64, u64)> {
    let range = value.trim();
    let range = range.strip_prefix("bytes").map_or(range, |rest| rest.trim_start_matches([' ', '=']));
    let range = range.split_once('/').map_or(range, |(range, _)| range);
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    (first <= last && last < u64::MAX).then_some((first, last))
}

/// Digits and nothing else: `parse` takes a sign too.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::{Asked, asked, chunk};

    #[test]
    fn ranges_are_read() {
        for (value, expected) in [
            ("bytes=0-0", Asked::Part(0, 0)),
            ("bytes=2-5", Asked::Part(2, 5)),
            ("bytes=2-", Asked::Part(2, 9)),
            ("bytes=2-100", Asked::Part(2, 9)),
            ("bytes=-3", Asked::Part(7, 9)),
            ("bytes=-100", Asked::Part(0, 9)),
            ("bytes=10-", Asked::Nothing),
            ("bytes=10-12", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=5-2", Asked::All),
            ("bytes=0-1,3-4", Asked::All),
            ("bytes=a-b", Asked::All),
            ("bytes=+1-2", Asked::All),
            ("bytes=-", Asked::All),
            ("items=0-1", Asked::All),
        ] {
            assert_eq!(asked(Some(value), 10), expected, "{value}");
        }
        assert_eq!(asked(None, 10), Asked::All);
        assert_eq!(asked(Some("bytes=0-"), 0), Asked::Nothing);
        assert_eq!(asked(Some("bytes=-1"), 0), Asked::Nothing);
    }

    #[test]
    fn chunks_are_read() {
        for (value, expected) in [
            ("0-9", Some((0, 9))),
            ("10-10", Some((10, 10))),
            ("bytes 0-9/100", Some((0, 9))),
            ("bytes=0-9", Some((0, 9))),
            ("9-0", None),
            ("0", None),
            ("-9", None),
            ("0-", None),
            ("a-b", None),
            ("0-18446744073709551615", None),
        ] {
            assert_eq!(chunk(value), expected, "{value}");
        }
    }
}
