//! Spans: what they are part of, what is noted of them, and how their trace goes on elsewhere.

use std::collections::HashMap;

use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{Status, TraceContextExt as _};
use opentelemetry::{Context, Value};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::{ENDPOINT, is_on, settings};

/// The name of the header, and in capitals of the variable.
const TRACEPARENT: &str = "traceparent";

/// Makes a span that was not entered yet part of the trace of whoever asked.
pub fn adopt(span: &Span, traceparent: &str) {
    if !is_on() {
        return;
    }
    let carried = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &carried);
    // What is no trace begins none: the span is the first of its own.
    if parent.span().span_context().is_valid() {
        // A span that no layer took has no parent either.
        let _ = span.set_parent(parent);
    }
}

/// The same for whoever began this process.
pub fn adopt_from_environment(span: &Span) {
    if let Some(parent) = settings::set("TRACEPARENT") {
        adopt(span, &parent);
    }
}

/// What says elsewhere that something is part of this span, if traces are sent and this is one of them.
pub fn traceparent(span: &Span) -> Option<String> {
    if !is_on() {
        return None;
    }
    let mut carried = HashMap::new();
    TraceContextPropagator::new().inject_context(&span.context(), &mut carried);
    carried.remove(TRACEPARENT)
}

/// The same; where no traces are sent from here, the trace that whoever began this process is part of.
pub fn handed_on(span: &Span) -> Option<String> {
    let is_one = |text: &String| {
        text.len() == "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".len()
            && text.bytes().all(|byte| byte == b'-' || matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    traceparent(span).or_else(|| settings::set("TRACEPARENT").filter(is_one))
}

/// The variables by which a process sends what it does as part of this span.
///
/// Those with the collector's credentials are among them: they are for processes of this program alone.
pub fn variables(span: &Span) -> Vec<(String, String)> {
    let Some(endpoint) = ENDPOINT.get() else { return Vec::new() };
    let mut variables: Vec<_> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("OTEL_"))
        .collect();
    variables.push(("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT".to_owned(), endpoint.clone()));
    variables.extend(traceparent(span).map(|parent| ("TRACEPARENT".to_owned(), parent)));
    variables
}

/// Notes something of a span.
pub fn note(span: &Span, what: &'static str, value: impl Into<Value>) {
    if is_on() {
        span.set_attribute(what, value);
    }
}

/// Says of a span that it ended badly.
pub fn fail(span: &Span, why: &str) {
    if is_on() {
        span.set_status(Status::error(why.to_owned()));
    }
}
