//! What is set of the collector: the variables that OpenTelemetry names, and our own settings where those say nothing.

use std::time::Duration;

use url::Url;

use crate::TelemetryError;

/// Where traces go where no variable says so, and who sends them.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The collector, as in `OTEL_EXPORTER_OTLP_ENDPOINT`: `/v1/traces` is added.
    pub endpoint: Option<String>,
    /// What the settings call this service.
    pub service_name: Option<String>,
    /// What it is called otherwise.
    pub usual_name: &'static str,
    /// Its version.
    pub version: &'static str,
}

impl Options {
    /// Where traces go, if they go anywhere.
    pub(crate) fn endpoint(&self) -> Result<Option<Url>, TelemetryError> {
        let is_off = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || set("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
        if is_off {
            return Ok(None);
        }
        if let Some(whole) = set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
            return parse(&whole).map(Some);
        }
        let base = set("OTEL_EXPORTER_OTLP_ENDPOINT").or_else(|| self.endpoint.clone());
        base.map(|base| parse(&format!("{}/v1/traces", base.trim_end_matches('/')))).transpose()
    }

    /// What this service is called, where no variable says so.
    pub(crate) fn service_name(&self) -> Option<String> {
        let is_said = set("OTEL_SERVICE_NAME").is_some()
            || set("OTEL_RESOURCE_ATTRIBUTES")
                .is_some_and(|all| all.split(',').any(|one| one.trim_start().starts_with("service.name=")));
        (!is_said).then(|| self.service_name.clone().unwrap_or_else(|| self.usual_name.to_owned()))
    }
}

/// A variable that is set to something.
pub(crate) fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// One of traces, or of all that is sent by OTLP.
pub(crate) fn of_traces(what: &str) -> Option<String> {
    set(&format!("OTEL_EXPORTER_OTLP_TRACES_{what}")).or_else(|| set(&format!("OTEL_EXPORTER_OTLP_{what}")))
}

/// How long a collector has to take what is sent, where it is said.
pub(crate) fn timeout() -> Option<Duration> {
    of_traces("TIMEOUT").and_then(|value| value.trim().parse().ok()).map(Duration::from_millis)
}

/// Says of what this program does not have that it does not, rather than to do something else.
pub(crate) fn check() -> Result<(), TelemetryError> {
    let refused = |what: &str, value: &str, instead: &str| {
        Err(TelemetryError::Variable(format!(
            "OTEL_EXPORTER_OTLP_{what} is `{value}`, and provenv sends {instead}"
        )))
    };
    match of_traces("PROTOCOL") {
        Some(protocol) if protocol != "http/protobuf" => {
            return refused("PROTOCOL", &protocol, "http/protobuf alone");
        }
        _ => {}
    }
    match of_traces("COMPRESSION") {
        Some(compression) if compression != "none" => {
            refused("COMPRESSION", &compression, "what is not compressed")
        }
        _ => Ok(()),
    }
}

fn parse(text: &str) -> Result<Url, TelemetryError> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| TelemetryError::Endpoint(without_secrets(text)))
}

/// A text that should be a URL, without what may be a password.
fn without_secrets(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, rest)) => format!("…@{rest}"),
        None => text.to_owned(),
    }
}
