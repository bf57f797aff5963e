//! Exchanges whose answers another reads: the reader of conda's indexes keeps copies and validators of its own.

use bytes::BytesMut;
use reqwest::header::HeaderMap;
use reqwest::{Method, Response, ResponseBuilderExt as _};
use url::Url;

use crate::fetcher::Encoding;
use crate::request::{self, Answer, Question};
use crate::retry::{self, Failure};
use crate::{Error, Fetcher, Result};

/// What is asked for, and how the answer is to come.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// `GET` or `HEAD`.
    pub method: &'a Method,
    /// Where.
    pub url: &'a Url,
    /// Sent besides.
    pub headers: &'a HeaderMap,
    /// Whether a server gave the URL, as in [`Fetcher::linked_artifact`].
    pub linked: bool,
    /// Whether the body is read here, and again where it breaks off. It must fit into memory, then.
    pub whole: bool,
}

impl Fetcher {
    /// Sends a request as for anything else that is fetched (credentials, mirrors, redirects, retries) and hands on what
    /// comes: a success, 304 to validators among the headers, or 404, 410 or 501, which say that there is no such thing.
    pub async fn exchange(&self, exchange: Exchange<'_>) -> Result<Response> {
        let (mut failures, mut is_distrusted) = (0, false);
        loop {
            let (error, wish) = match self.once(exchange, failures as usize).await {
                Ok(response) => return Ok(response),
                Err(Failure::Distrust(error)) if !is_distrusted => {
                    is_distrusted = true;
                    (error, None)
                }
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

    async fn once(&self, exchange: Exchange<'_>, after: usize) -> Result<Response, Failure> {
        let Exchange { method, url, headers, linked, whole } = exchange;
        if !linked {
            self.trust(url);
        }
        let (encoding, linked) = (Encoding::AsItIs, linked.then_some(0));
        let question = Question { method, url, linked, encoding, headers, or_nothing: true, after };
        // Never closed, so this cannot fail.
        let _permit = self.permits().acquire().await;
        let Answer { response, .. } = request::send(self, question).await?;
        if whole { self.whole(url, response).await } else { Ok(as_asked(url, response)) }
    }

    /// The same answer with its body in memory.
    async fn whole(&self, url: &Url, mut response: Response) -> Result<Response, Failure> {
        let safe = || provenv_definition::SafeUrl::new(url.clone());
        let limit = self.options().document_limit;
        let mut body = BytesMut::new();
        loop {
            let chunk = response.chunk().await.map_err(|error| {
                let stall = self.options().stall_timeout.as_secs();
                Failure::Transient(Error::of_exchange(&safe(), body.len() as u64, stall, error), None)
            })?;
            let Some(chunk) = chunk else { break };
            if (body.len() + chunk.len()) as u64 > limit {
                let from = None;
                return Err(Failure::Final(Error::TooLong { url: safe().into(), limit, from }));
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = http::Response::new(reqwest::Body::from(body.freeze()));
        *answer.status_mut() = response.status();
        answer.headers_mut().clone_from(response.headers());
        Ok(as_asked(url, answer.into()))
    }
}

/// The same answer as one to what its reader asked: where it came from in the end may hold a secret.
fn as_asked(url: &Url, response: Response) -> Response {
    let mut answer = http::Response::<reqwest::Body>::from(response);
    if let Ok(asked) = http::Response::builder().url(url.clone()).body(()) {
        *answer.extensions_mut() = asked.into_parts().0.extensions;
    }
    answer.into()
}
