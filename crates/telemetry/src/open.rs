//! How many spans are open: one is sent once nobody holds it, and other threads may hold it for a moment longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tracing::Subscriber;
use tracing::span::{Attributes, Id};
use tracing_subscriber::layer::{Context, Layer};

/// How often it is looked whether all are closed.
const PACE: Duration = Duration::from_millis(2);

/// Counts open spans.
#[derive(Clone, Default)]
pub(crate) struct Open(Arc<AtomicUsize>);

impl<S: Subscriber> Layer<S> for Open {
    fn on_new_span(&self, _: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    fn on_close(&self, _: Id, _: Context<'_, S>) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Open {
    /// Waits until all are closed, or for so long.
    pub fn wait(&self, longest: Duration) {
        let begun = Instant::now();
        while self.0.load(Ordering::Acquire) > 0 && begun.elapsed() < longest {
            thread::sleep(PACE);
        }
    }
}
