//! What is counted, in Prometheus' text format.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// What a request was.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: String,
    /// The pattern of the path, so that names do not make a series each.
    path: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: String,
}

/// What is counted.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    durations: Histogram,
    ended: Family<Status, Counter>,
    waiting: Family<Status, Gauge<i64>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("provenv");
        let requests = Family::default();
        registry.register("http_requests", "Requests that were answered", requests.clone());
        // From a half millisecond on: 0.5 ms to 16 s.
        let durations = Histogram::new(exponential_buckets(0.0005, 2.0, 16));
        registry.register("http_request_duration_seconds", "How long answers took", durations.clone());
        let ended = Family::default();
        registry.register("jobs_ended", "Builds that ended here", ended.clone());
        let waiting: Family<Status, Gauge<i64, std::sync::atomic::AtomicI64>> = Family::default();
        registry.register("jobs", "Builds that have not ended", waiting.clone());
        let info: Family<Vec<(String, String)>, Gauge<u64, AtomicU64>> = Family::default();
        info.get_or_create(&vec![("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]).set(1);
        registry.register("build_info", "The version that runs", info);
        Self { registry, requests, durations, ended, waiting }
    }
}

impl Metrics {
    /// A request was answered.
    pub fn answered(&self, method: &str, path: &str, status: u16, took: Duration) {
        let request = Request { method: method.to_owned(), path: path.to_owned(), status };
        self.requests.get_or_create(&request).inc();
        self.durations.observe(took.as_secs_f64());
    }

    /// A job ended.
    pub fn ended(&self, status: &str) {
        self.ended.get_or_create(&Status { status: status.to_owned() }).inc();
    }

    /// So many jobs have not ended.
    pub fn waiting(&self, status: &str, count: i64) {
        self.waiting.get_or_create(&Status { status: status.to_owned() }).set(count);
    }

    /// All of it.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
