//! Progress as spans of a trace: what was fetched, made, unpacked and handed on, each with the time that it took.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::Span;

use crate::{Phase, Reporter};

/// Begins and ends a span with each item, and hands on what it hears.
pub(crate) struct Traced {
    next: Arc<dyn Reporter>,
    /// What the items are part of that threads without a span of their own deal with.
    parent: Option<String>,
    /// Several may deal with items of one name at once.
    open: Mutex<HashMap<(Phase, String), Vec<Span>>>,
}

impl Traced {
    /// `next` with spans, where traces are sent.
    pub(crate) fn around(next: Arc<dyn Reporter>) -> Arc<dyn Reporter> {
        if !provenv_telemetry::is_on() {
            return next;
        }
        // The parent's name rather than the span itself, which would be held open by whoever reports last.
        let parent = provenv_telemetry::traceparent(&Span::current());
        Arc::new(Self { next, parent, open: Mutex::default() })
    }

    fn span(&self, phase: Phase, item: &str) -> Span {
        let name = phase.word();
        let span = tracing::info_span!(
            target: provenv_telemetry::TARGET, "item", otel.name = name, provenv.item = item
        );
        if Span::current().is_none()
            && let Some(parent) = &self.parent
        {
            provenv_telemetry::adopt(&span, parent);
        }
        // What is not entered has not begun.
        drop(span.enter());
        span
    }
}

impl Reporter for Traced {
    fn expect(&self, phase: Phase, items: u64, bytes: u64) {
        self.next.expect(phase, items, bytes);
    }

    fn begin(&self, phase: Phase, item: &str) {
        let span = self.span(phase, item);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.entry((phase, item.to_owned())).or_default().push(span);
        drop(open);
        self.next.begin(phase, item);
    }

    fn advance(&self, phase: Phase, bytes: u64) {
        self.next.advance(phase, bytes);
    }

    fn end(&self, phase: Phase, item: &str) {
        let key = (phase, item.to_owned());
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(spans) = open.get_mut(&key) {
            // Closed when it is dropped.
            spans.pop();
            if spans.is_empty() {
                open.remove(&key);
            }
        }
        drop(open);
        self.next.end(phase, item);
    }

    fn note(&self, message: &str) {
        self.next.note(message);
    }

    fn output(&self, line: &str) {
        self.next.output(line);
    }
}
