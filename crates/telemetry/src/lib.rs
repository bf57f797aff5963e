//! Traces: which step of a command, a request or a build took how long, for a collector of OpenTelemetry, when one is named.
//!
//! The code above writes spans by `tracing` and knows of no collector. Here is where they go (OTLP over HTTP, in protobuf), what
//! is set for it (the standard `OTEL_*` variables, which come before our own settings), and how a trace goes on in another
//! process: by `traceparent` (W3C Trace Context), in a header or in the variable `TRACEPARENT`.
//!
//! Without a collector nothing of it runs. One that does not answer is told of once, and the work never waits for it.

mod sender;
mod settings;
mod spans;

use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

pub use settings::Options;
pub use spans::{adopt, adopt_from_environment, fail, handed_on, note, traceparent, variables};

use crate::sender::Sender;

/// The target of the spans that traces are made of. All others are the log's, and stand before each of its lines.
pub const TARGET: &str = "provenv_trace";

/// How long the end may wait for a collector that did not fail until now, where nobody said how long it has.
const LAST: Duration = Duration::from_secs(2);
/// The same for one that did not.
const LAST_IN_VAIN: Duration = Duration::from_millis(100);

/// Where traces go, once they go anywhere.
static ENDPOINT: OnceLock<String> = OnceLock::new();

/// Why no traces are sent, though they should be.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The place is no URL that can be asked.
    #[error("`{0}` is no URL of a collector: it begins with http:// or https://")]
    Endpoint(String),
    /// A variable asks for what is not there.
    #[error("{0}")]
    Variable(String),
    /// The certificates cannot be read.
    #[error("the certificates in OTEL_EXPORTER_OTLP_CERTIFICATE cannot be read")]
    Certificates(#[source] std::io::Error),
    /// The exporter cannot be made of what is set.
    #[error("what is set of the collector cannot be used: {0}")]
    Exporter(String),
}

/// Traces that are sent.
pub struct Telemetry {
    provider: SdkTracerProvider,
    sender: Sender,
}

/// Begins to send traces, if a collector is named.
///
/// `runtime` is what they are sent on. `tell` hears, once, that the collector does not take them.
pub fn begin(
    options: &Options,
    runtime: &tokio::runtime::Handle,
    tell: impl Fn(&str) + Send + Sync + 'static,
) -> Result<Option<Telemetry>, TelemetryError> {
    let Some(endpoint) = options.endpoint()? else { return Ok(None) };
    settings::check()?;
    let sender = Sender::new(&endpoint, runtime.clone(), Box::new(tell))?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(sender.clone())
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint.as_str())
        .build()
        .map_err(|error| TelemetryError::Exporter(error.to_string()))?;
    let mut resource = Resource::builder();
    // The resource has read it already where it is set.
    if let Some(name) = options.service_name() {
        resource = resource.with_service_name(name);
    }
    let resource = resource.with_attribute(KeyValue::new("service.version", options.version)).build();
    // Its sampler, and how much it sends at once and when, are those of the `OTEL_*` variables.
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let _ = ENDPOINT.set(endpoint.into());
    Ok(Some(Telemetry { provider, sender }))
}

/// Whether traces are sent.
pub fn is_on() -> bool {
    ENDPOINT.get().is_some()
}

impl Telemetry {
    /// What makes traces of spans.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let scope = InstrumentationScope::builder("provenv").with_version(env!("CARGO_PKG_VERSION")).build();
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer_with_scope(scope))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_level(false)
            .with_target(false)
            .with_filter(filter_fn(|of| of.is_span() && of.target() == TARGET))
    }

    /// Sends what is left. Spans that are still open are lost.
    pub fn end(self) {
        let longest =
            if self.sender.is_failing() { LAST_IN_VAIN } else { settings::timeout().unwrap_or(LAST) };
        // Whoever was not told of a collector that does not answer was told by the sender.
        let _ = self.provider.shutdown_with_timeout(longest);
    }
}
