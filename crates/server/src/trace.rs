//! What a request is called, in logs and by those who trace it.
//!
//! Each has an identifier, `X-Request-Id`: the client's, or a new one. It is in the answer and in every line of the log that
//! is about the request. `traceparent` (W3C Trace Context) of a client is handed on to the build that it asked for.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use tracing::Instrument as _;

use crate::database::random;

tokio::task_local! {
    /// The trace that the request is part of.
    static PARENT: Option<String>;
}

/// The header with the identifier.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
/// The longest identifier that is taken from a client.
const LONGEST: usize = 128;

/// The trace of the request that is being answered.
pub(crate) fn parent() -> Option<String> {
    PARENT.try_with(Clone::clone).ok().flatten()
}

/// Answers a request as part of its trace.
pub(crate) async fn within<T>(headers: &HeaderMap, answer: impl Future<Output = T>) -> T {
    let parent = headers.get(TRACE_PARENT).and_then(|value| value.to_str().ok());
    PARENT.scope(parent.filter(|text| is_trace_parent(text)).map(str::to_owned), answer).await
}

/// Carries what a request is part of into another task.
pub(crate) fn carried<T>(answer: impl Future<Output = T>) -> impl Future<Output = T> {
    PARENT.scope(parent(), answer).in_current_span()
}

/// The identifier of a request: what a client says goes into logs, and so only plain words are taken.
pub(crate) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    let said = headers.get(REQUEST_ID).filter(|value| {
        let bytes = value.as_bytes();
        !bytes.is_empty() && bytes.len() <= LONGEST && bytes.iter().all(is_plain)
    });
    said.cloned().unwrap_or_else(|| {
        let mut bytes = [0; 12];
        // Without randomness all have the same, and all else goes on.
        let _ = random(&mut bytes);
        HeaderValue::try_from(hex::encode(bytes)).unwrap_or(HeaderValue::from_static("unknown"))
    })
}

/// `VERSION-TRACE-SPAN-FLAGS`, of lower-case hexadecimal digits (Trace Context, section 3.2). Neither number is zero.
fn is_trace_parent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, span, flags] = parts[..] else { return false };
    let is_hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    is_hex(version, 2)
        && version != "ff"
        && is_hex(trace, 32)
        && is_hex(span, 16)
        && is_hex(flags, 2)
        && !is_zero(trace)
        && !is_zero(span)
}

#[cfg(test)]
mod tests {
    use super::is_trace_parent;

    #[test]
    fn only_what_is_one_is_handed_on() {
        // The examples of the recommendation, and what is none.
        assert!(is_trace_parent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        for text in [
            "",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert!(!is_trace_parent(text), "{text}");
        }
    }
}
