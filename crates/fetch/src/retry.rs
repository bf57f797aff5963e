//! When to try again.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::Error;

/// The first pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// A server may ask for more patience than that, and does not get it.
const LONGEST_WISH: Duration = Duration::from_mins(1);

/// How an attempt failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Trying again would not help.
    Final(Error),
    /// It may go well next time; the server may have said when.
    Transient(Error, Option<Duration>),
    /// The bytes are wrong. Once is a broken cache on the way, twice is the source.
    Distrust(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

/// The pause before attempt `failures + 1`: exponential, with jitter so that many clients do not come back at once.
pub(crate) fn pause(failures: u32) -> Duration {
    let longest =
        FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// Statuses that say "not now" (RFC 9110 section 15, RFC 6585 section 4).
pub(crate) fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// What `Retry-After` (RFC 9110 section 10.2.3) says: seconds, or a date.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wish = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        Duration::try_from(date.duration_since(Timestamp::now())).unwrap_or_default()
    };
    Some(wish.min(LONGEST_WISH))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())])
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after(&HeaderMap::new()), None);
        assert_eq!(retry_after(&headers("7")), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(&headers("100000")), Some(LONGEST_WISH));
        assert_eq!(retry_after(&headers("Sun, 06 Nov 1994 08:49:37 GMT")), Some(Duration::ZERO));
        assert_eq!(retry_after(&headers("Tue, 31 Dec 2199 23:59:59 GMT")), Some(LONGEST_WISH));
        assert_eq!(retry_after(&headers("soon")), None);
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        for failures in 1..40 {
            let pause = pause(failures);
            assert!(pause >= FIRST_PAUSE / 2 && pause <= LONGEST_PAUSE, "{failures}: {pause:?}");
        }
        assert!(pause(1) < pause(4));
    }
}
