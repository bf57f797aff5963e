//! One transfer over HTTP into the store: attempts, resumption, checks.

use std::io::Write as _;

use bytes::Bytes;
use provenv_definition::{Digest, SafeUrl};
use provenv_store::{Blob, Staged};
use reqwest::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_RANGE, LAST_MODIFIED, RANGE,
};
use reqwest::{Method, Response, StatusCode};
use url::Url;

use crate::fetcher::{self, Encoding, Progress, blocking};
use crate::request::{self, Answer, Question};
use crate::retry::{self, Failure};
use crate::{Error, Fetcher, Result};

/// Bytes gathered before they are handed to a thread that may block.
const HAND_OVER: usize = 256 * 1024;
/// So much more than ever before makes an attempt worth another one.
const WORTH_IT: u64 = 1024 * 1024;

/// What is known of the bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub digest: Option<Digest>,
    pub size: Option<u64>,
    /// The most that is read.
    pub limit: u64,
}

/// What came of a transfer.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// `None`: not modified.
    pub blob: Option<Blob>,
    /// Where it came from, after redirects, with the user's variables.
    pub url: Url,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    pub content_type: Option<String>,
}

pub(crate) struct Transfer<'a> {
    fetcher: &'a Fetcher,
    url: &'a Url,
    safe: Box<SafeUrl>,
    expected: Expected,
    encoding: Encoding,
    headers: HeaderMap,
    progress: Option<&'a Progress>,
    /// Whether a server named the URL, and of how many parts of its path the user did.
    linked: Option<usize>,
    /// What has come so far.
    sink: Sink,
    /// What says whether a later answer is of the same bytes.
    validator: Option<HeaderValue>,
    /// Whether the bytes were wrong before: caches on the way are passed by.
    distrust: bool,
    /// How many answers were of no use: where there are mirrors, the next one is asked first.
    useless: usize,
    size_told: bool,
}

impl<'a> Transfer<'a> {
    pub(crate) fn new(
        fetcher: &'a Fetcher,
        url: &'a Url,
        expected: Expected,
        encoding: Encoding,
        progress: Option<&'a Progress>,
    ) -> Self {
        Self {
            fetcher,
            url,
            safe: SafeUrl::new(url.clone()).into(),
            expected,
            encoding,
            headers: HeaderMap::new(),
            progress,
            linked: None,
            sink: Sink::default(),
            validator: None,
            distrust: false,
            useless: 0,
            size_told: expected.size.is_some(),
        }
    }

    /// Says whether a server named the URL, and of how many parts of its path the user did.
    pub(crate) fn linked(mut self, linked: Option<usize>) -> Self {
        self.linked = linked;
        self
    }

    /// Sends these headers too.
    pub(crate) fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// Tries until it succeeds or there is no sense in trying.
    pub(crate) async fn run(mut self) -> Result<Outcome> {
        let (mut attempts, mut failures, mut furthest, mut wrong) = (0, 0, 0, 0);
        // Each of the mirrors may have other bytes.
        let sources = self.fetcher.mirrors(self.url).map_or(1, |mirrors| mirrors.len());
        loop {
            attempts += 1;
            let failure = match self.attempt().await {
                Ok(outcome) => return Ok(outcome),
                Err(failure) => failure,
            };
            self.useless += 1;
            match failure {
                Failure::Final(error) => return Err(error),
                Failure::Distrust(error) if wrong >= 1.max(sources.saturating_sub(1)) => return Err(error),
                Failure::Distrust(error) => {
                    wrong += 1;
                    self.fetcher.reporter().note(&format!("{error}; trying once more"));
                    self.distrust = true;
                    self.sink = Sink::default();
                }
                Failure::Transient(error, wish) => {
                    if self.sink.size >= furthest + WORTH_IT {
                        furthest = self.sink.size;
                        failures = 0;
                    }
                    failures += 1;
                    if failures > self.fetcher.options().retries {
                        return Err(Error::GaveUp { attempts, source: Box::new(error) });
                    }
                    let pause = wish.unwrap_or_else(|| retry::pause(failures));
                    tracing::info!(%error, ?pause, "trying again");
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn attempt(&mut self) -> Result<Outcome, Failure> {
        // Never closed, so this cannot fail.
        let _permit = self.fetcher.permits().acquire().await;
        let offset = self.prepare_to_resume().await?;
        let headers = self.request_headers(offset);
        let question = Question {
            method: &Method::GET,
            url: self.url,
            linked: self.linked,
            encoding: self.encoding,
            headers: &headers,
            or_nothing: false,
            after: self.useless,
        };
        let Answer { mut response, source } = request::send(self.fetcher, question).await?;
        let from = (source.shown != *self.safe).then(|| Box::new(source.shown));
        let url = source.url;
        match response.status() {
            StatusCode::NOT_MODIFIED => return Ok(outcome(None, url, &response)),
            StatusCode::PARTIAL_CONTENT if continues(&response, offset) => {}
            // A server that answers with another part than the one asked for.
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                self.sink = Sink::default();
                self.validator = None;
                let error = Error::Status { url: self.safe.clone(), status: response.status().as_u16() };
                return Err(Failure::Transient(error, None));
            }
            _ => {
                if offset > 0 {
                    self.sink.restart().await?;
                }
            }
        }
        if self.encoding == Encoding::AsItIs {
            self.check_announced(&response, from.as_deref())?;
            self.validator = validator(response.headers());
        }
        self.receive(&mut response, from.as_deref()).await?;
        let staged = self.sink.finish(self.fetcher).await?;
        let (safe, expected) = (self.safe.clone(), self.expected);
        let committed = blocking(move || fetcher::commit(staged, &safe, expected, from)).await;
        let blob = committed.map_err(|error| match error {
            Error::Digest { .. } => Failure::Distrust(error),
            error => Failure::Final(error),
        })?;
        Ok(outcome(Some(blob), url, &response))
    }

    /// How many bytes to go on after. Two answers are of the same bytes if an entity tag says so, or if a digest will
    /// tell afterwards; a date is too coarse to be believed alone.
    async fn prepare_to_resume(&mut self) -> Result<u64> {
        let tagged = self.validator.as_ref().is_some_and(|validator| validator.as_bytes().starts_with(b"\""));
        let possible = self.encoding == Encoding::AsItIs && (tagged || self.expected.digest.is_some());
        if self.sink.size > 0 && !possible {
            self.sink.restart().await?;
        }
        Ok(self.sink.size)
    }

    fn request_headers(&self, offset: u64) -> HeaderMap {
        let mut headers = self.headers.clone();
        if self.encoding == Encoding::AsItIs {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if self.distrust {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        if offset > 0
            && let Ok(range) = HeaderValue::try_from(format!("bytes={offset}-"))
        {
            headers.insert(RANGE, range);
            if let Some(validator) = &self.validator {
                headers.insert(IF_RANGE, validator.clone());
            }
        }
        headers
    }

    /// Refuses a body whose announced size is wrong before reading it.
    fn check_announced(&mut self, response: &Response, from: Option<&SafeUrl>) -> Result<(), Failure> {
        let Some(length) = response.content_length() else { return Ok(()) };
        let actual = self.sink.size.saturating_add(length);
        let (url, from) = (self.safe.clone(), from.cloned().map(Box::new));
        if let Some(expected) = self.expected.size.filter(|expected| *expected != actual) {
            return Err(Failure::Distrust(Error::Size { url, expected, actual, from }));
        }
        if actual > self.expected.limit {
            return Err(Failure::Final(Error::TooLong { url, limit: self.expected.limit, from }));
        }
        if let Some(progress) = self.progress
            && !std::mem::replace(&mut self.size_told, true)
        {
            progress.will_be(actual);
        }
        Ok(())
    }

    async fn receive(&mut self, response: &mut Response, from: Option<&SafeUrl>) -> Result<(), Failure> {
        let stall_seconds = self.fetcher.options().stall_timeout.as_secs();
        loop {
            let chunk = response.chunk().await.map_err(|error| {
                let error = Error::of_exchange(&self.safe, self.sink.size, stall_seconds, error);
                Failure::Transient(error, None)
            })?;
            let Some(chunk) = chunk else { break };
            let limit = self.expected.limit;
            if self.sink.size + chunk.len() as u64 > limit {
                let error =
                    Error::TooLong { url: self.safe.clone(), limit, from: from.cloned().map(Box::new) };
                return Err(Failure::Distrust(error));
            }
            self.sink.take(chunk, self.fetcher).await?;
            if let Some(progress) = self.progress {
                progress.reached(self.sink.size);
            }
        }
        match self.expected.size {
            // A body without an announced length just ends where the connection does.
            Some(expected) if self.sink.size < expected => {
                let error = Error::Incomplete { url: self.safe.clone(), received: self.sink.size, expected };
                Err(Failure::Transient(error, None))
            }
            _ => Ok(()),
        }
    }
}

fn outcome(blob: Option<Blob>, url: Url, response: &Response) -> Outcome {
    let text = |name: HeaderName| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
    Outcome {
        blob,
        url,
        etag: text(ETAG),
        last_modified: text(LAST_MODIFIED),
        content_type: text(CONTENT_TYPE),
    }
}

/// Whether a 206 begins where the bytes so far end (RFC 9110 section 14.4).
fn continues(response: &Response, offset: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let first = range.and_then(|range| range.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok());
    first == Some(offset)
}

/// A validator that `If-Range` may carry: a strong entity tag, or else a date (RFC 9110 section 13.1.5).
fn validator(headers: &HeaderMap) -> Option<HeaderValue> {
    let strong = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    strong.or_else(|| headers.get(LAST_MODIFIED)).cloned()
}

/// Bytes on their way into the store. Writing and hashing happen on threads that may block.
#[derive(Default)]
struct Sink {
    staged: Option<Staged>,
    gathered: Vec<Bytes>,
    gathered_size: usize,
    /// All bytes taken.
    size: u64,
}

impl Sink {
    async fn take(&mut self, chunk: Bytes, fetcher: &Fetcher) -> Result<()> {
        self.size += chunk.len() as u64;
        self.gathered_size += chunk.len();
        self.gathered.push(chunk);
        if self.gathered_size >= HAND_OVER { self.hand_over(fetcher).await } else { Ok(()) }
    }

    async fn hand_over(&mut self, fetcher: &Fetcher) -> Result<()> {
        let staged = self.staged.take();
        let chunks = std::mem::take(&mut self.gathered);
        self.gathered_size = 0;
        let store = fetcher.store().clone();
        let result = blocking(move || -> Result<Staged, provenv_store::Error> {
            let mut staged = staged.map_or_else(|| store.stage(), Ok)?;
            for chunk in chunks {
                staged.write_all(&chunk)?;
            }
            Ok(staged)
        });
        self.staged = Some(result.await?);
        Ok(())
    }

    /// All bytes, ready to be committed. The sink is empty after it.
    async fn finish(&mut self, fetcher: &Fetcher) -> Result<Staged> {
        self.hand_over(fetcher).await?;
        match std::mem::take(self).staged {
            Some(staged) => Ok(staged),
            None => Ok(fetcher.store().stage()?),
        }
    }

    async fn restart(&mut self) -> Result<()> {
        let Some(mut staged) = std::mem::take(self).staged else { return Ok(()) };
        self.staged = Some(blocking(move || staged.restart().map(|()| staged)).await?);
        Ok(())
    }
}
