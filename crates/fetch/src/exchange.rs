//! Exchanges whose answers another reads: the reader of conda's indexes keeps copies and validators of its own.

use reqwest::header::HeaderMap;
use reqwest::{Method, Response};
use url::Url;

use crate::fetcher::Encoding;
use crate::request::{self, Question};
use crate::retry::{self, Failure};
use crate::{Error, Fetcher, Result};

impl Fetcher {
    /// Sends a request as for anything else that is fetched (credentials, mirrors, redirects, retries) and hands on what
    /// comes: a success, 304 to validators among `headers`, or 404, 410 or 501, which say that there is no such thing.
    /// `linked` as in [`Fetcher::linked_artifact`].
    pub async fn exchange(
        &self,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        linked: bool,
    ) -> Result<Response> {
        let question =
            Question { method, url, linked, encoding: Encoding::AsItIs, headers, or_nothing: true };
        let mut failures = 0;
        loop {
            let sent = {
                // Never closed, so this cannot fail.
                let _permit = self.permits().acquire().await;
                request::send(self, question).await
            };
            let (error, wish) = match sent {
                Ok(answer) => return Ok(answer.response),
                Err(Failure::Final(error) | Failure::Distrust(error)) => return Err(error),
                Err(Failure::Transient(error, wish)) => (error, wish),
            };
            failures += 1;
            if failures > self.options().retries {
                return Err(Error::GaveUp { attempts: failures, source: Box::new(error) });
            }
            let pause = wish.unwrap_or_else(|| retry::pause(failures));
            tracing::info!(%error, ?pause, "trying again");
            tokio::time::sleep(pause).await;
        }
    }
}
