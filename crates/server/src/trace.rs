//! What a request is called, in logs and by those who trace it.
//!
//! Each has an identifier, `X-Request-Id`: the client's, or a new one. It is in the answer and in every line of the log that
//! is about the request. `traceparent` (W3C Trace Context) of a client is handed on to the build that it asked for.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tracing::{Instrument as _, Span};

use crate::database::{Claimed, random};

tokio::task_local! {
    /// The trace that the request is part of.
    static PARENT: Option<String>;
}

/// The header with the identifier.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
/// The longest identifier that is taken from a client.
const LONGEST: usize = 128;

/// The trace of the request that is being answered: our own part of it, where traces are sent.
pub(crate) fn parent() -> Option<String> {
    provenv_telemetry::traceparent(&Span::current()).or_else(|| PARENT.try_with(Clone::clone).ok().flatten())
}

/// The span of a request in the trace of whoever asks; none where no traces are sent. It goes inside of the log's.
pub(crate) fn span(headers: &HeaderMap, id: &HeaderValue, method: &Method, route: Option<&str>) -> Span {
    if !provenv_telemetry::is_on() {
        return Span::none();
    }
    // Named by the route: by the path there would be as many names as there are environments.
    let name = route.map_or_else(|| method.to_string(), |route| format!("{method} {route}"));
    let span = tracing::info_span!(
        target: provenv_telemetry::TARGET, "request", otel.name = name, otel.kind = "server",
        http.request.method = %method, http.route = route, provenv.request_id = id.to_str().unwrap_or_default()
    );
    if let Some(parent) = headers.get(TRACE_PARENT).and_then(|value| value.to_str().ok()) {
        provenv_telemetry::adopt(&span, parent);
    }
    span
}

/// What came of a request.
pub(crate) fn answered(span: &Span, status: StatusCode) {
    provenv_telemetry::note(span, "http.response.status_code", i64::from(status.as_u16()));
    // What a client did wrong is no failure of the server.
    if status.is_server_error() {
        provenv_telemetry::fail(span, status.canonical_reason().unwrap_or_default());
    }
}

/// A part of what is traced here; none where nothing is, so that what the server does by itself is no trace of its own.
pub(crate) fn part(name: &'static str) -> Span {
    match provenv_telemetry::traceparent(&Span::current()) {
        Some(_) => tracing::info_span!(target: provenv_telemetry::TARGET, "part", otel.name = name),
        None => Span::none(),
    }
}

/// The span of one attempt at a job, in the trace of whoever asked for it.
pub(crate) fn job(claimed: &Claimed) -> Span {
    let job = &claimed.job;
    let span = tracing::info_span!(
        target: provenv_telemetry::TARGET, "job", otel.name = "build job", otel.kind = "consumer",
        provenv.job = job.id, provenv.attempt = job.attempts, provenv.workspace = job.workspace,
        provenv.environment = job.environment, provenv.version = job.version, provenv.platform = %job.platform,
        provenv.worker = job.worker
    );
    if let Some(parent) = &claimed.traceparent {
        provenv_telemetry::adopt(&span, parent);
    }
    span
}

/// What came of an attempt at a job.
pub(crate) fn job_ended(status: &'static str, error: Option<&str>) {
    let span = Span::current();
    provenv_telemetry::note(&span, "provenv.job.status", status);
    if let Some(error) = error {
        provenv_telemetry::fail(&span, error);
    }
}

/// What a caller came with: nobody learns from traces who it was.
pub(crate) fn caller(kind: &'static str) {
    provenv_telemetry::note(&Span::current(), "provenv.caller", kind);
}

/// The trace that a client says its request is part of.
pub(crate) fn named_in(headers: &HeaderMap) -> Option<String> {
    let parent = headers.get(TRACE_PARENT).and_then(|value| value.to_str().ok());
    parent.filter(|text| is_trace_parent(text)).map(str::to_owned)
}

/// Answers a request as part of the trace that it named.
pub(crate) fn within<T>(named: Option<String>, answer: impl Future<Output = T>) -> impl Future<Output = T> {
    PARENT.scope(named, answer)
}

/// Carries what a request is part of into another task.
pub(crate) fn carried<T>(answer: impl Future<Output = T>) -> impl Future<Output = T> {
    Carrier::here().carry(answer)
}

/// What a request is part of, on its way into another task or thread.
pub(crate) struct Carrier {
    parent: Option<String>,
    span: Span,
}

impl Carrier {
    /// Of the request that is being answered here.
    pub fn here() -> Self {
        Self { parent: parent(), span: Span::current() }
    }

    /// Does something as part of it.
    pub fn carry<T>(self, answer: impl Future<Output = T>) -> impl Future<Output = T> {
        PARENT.scope(self.parent, answer).instrument(self.span)
    }
}

/// The identifier of a request: what a client says goes into logs, and so only plain words are taken.
pub(crate) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    let said = headers.get(REQUEST_ID).filter(|value| {
        let bytes = value.as_bytes();
        !bytes.is_empty() && bytes.len() <= LONGEST && bytes.iter().all(is_plain)
    });
    said.cloned().unwrap_or_else(new_id)
}

/// An identifier that no other request has: nobody need fail to guess it, so it is what the server began with, and a number.
fn new_id() -> HeaderValue {
    static BEGINNING: LazyLock<[u8; 8]> = LazyLock::new(|| {
        let mut bytes = [0; 8];
        // Without randomness all servers have the same, and all else goes on.
        let _ = random(&mut bytes);
        bytes
    });
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&*BEGINNING);
    bytes[8..].copy_from_slice(&NUMBER.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    HeaderValue::try_from(hex::encode(bytes)).unwrap_or(HeaderValue::from_static("unknown"))
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
