//! Sends to the collector, by the client of HTTP that all else is asked with.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError};
use reqwest::{Certificate, Client};
use tokio::runtime::Handle;
use url::Url;

use crate::TelemetryError;
use crate::settings::{of_traces, timeout};

/// How long a collector may take to be there at all.
const CONNECT: Duration = Duration::from_secs(2);
/// How long it may take to answer, where nobody says otherwise.
const ANSWER: Duration = Duration::from_secs(10);

/// Sends to the collector.
#[derive(Clone)]
pub(crate) struct Sender(Arc<Inner>);

struct Inner {
    /// Made when something is sent: to read the system's certificates takes time.
    client: OnceLock<Client>,
    certificates: Vec<Certificate>,
    /// What is sent comes from a thread that no runtime has.
    runtime: Handle,
    /// Where to, for people.
    place: String,
    /// Whether the last was not taken.
    failing: AtomicBool,
    tell: Box<dyn Fn(&str) + Send + Sync>,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.0.place).finish()
    }
}

impl Sender {
    pub fn new(
        endpoint: &Url,
        runtime: Handle,
        tell: Box<dyn Fn(&str) + Send + Sync>,
    ) -> Result<Self, TelemetryError> {
        let certificates = match of_traces("CERTIFICATE") {
            Some(file) => {
                let text = fs_err::read(file).map_err(TelemetryError::Certificates)?;
                let read = Certificate::from_pem_bundle(&text);
                read.map_err(|error| TelemetryError::Certificates(std::io::Error::other(error)))?
            }
            None => Vec::new(),
        };
        let port = endpoint.port().map(|port| format!(":{port}")).unwrap_or_default();
        let place = format!("{}://{}{port}", endpoint.scheme(), endpoint.host_str().unwrap_or_default());
        let (client, failing) = (OnceLock::new(), AtomicBool::new(false));
        Ok(Self(Arc::new(Inner { client, certificates, runtime, place, failing, tell })))
    }

    /// Whether the collector did not take what it was sent last.
    pub fn is_failing(&self) -> bool {
        self.0.failing.load(Ordering::Relaxed)
    }

    fn client(&self) -> Result<Client, reqwest::Error> {
        if let Some(client) = self.0.client.get() {
            return Ok(client.clone());
        }
        let builder = || {
            Client::builder()
                .user_agent(concat!("provenv/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT)
                .timeout(timeout().unwrap_or(ANSWER))
                .redirect(reqwest::redirect::Policy::none())
        };
        let only = || builder().tls_certs_only(self.0.certificates.clone()).build();
        // To read whom the system trusts takes time, and where it trusts nobody plain http works all the same.
        let client = if self.0.place.starts_with("https:") {
            builder().tls_certs_merge(self.0.certificates.clone()).build().or_else(|_| only())?
        } else {
            only()?
        };
        Ok(self.0.client.get_or_init(|| client).clone())
    }

    /// Tells once, until it was taken again.
    fn taken(&self, why_not: Option<&str>) {
        let was_failing = self.0.failing.swap(why_not.is_some(), Ordering::Relaxed);
        if let Some(why) = why_not
            && !was_failing
        {
            (self.0.tell)(&format!("traces are lost: {} does not take them ({why})", self.0.place));
        }
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        let sent = async {
            let (client, request) = (self.client()?, reqwest::Request::try_from(request)?);
            let asked = self.0.runtime.spawn(async move { client.execute(request).await });
            // What it says beside its status is of no use here, and could be long.
            Ok::<_, HttpError>(asked.await??.status())
        };
        match sent.await {
            Ok(status) if status.is_success() => {
                self.taken(None);
                Ok(http::Response::builder().status(status).body(Bytes::new())?)
            }
            Ok(status) => {
                self.taken(Some(&status.to_string()));
                Err(status.to_string().into())
            }
            Err(error) => {
                self.taken(Some(&innermost(error.as_ref())));
                Err(error)
            }
        }
    }
}

/// The cause that says most; those above it may have the URL with what is secret in it.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    // Only what has no source may be one of the client's own.
    match last.downcast_ref::<reqwest::Error>() {
        Some(error) if error.is_timeout() => "no answer in time".to_owned(),
        Some(_) => "no connection".to_owned(),
        None => last.to_string(),
    }
}
