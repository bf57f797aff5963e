//! A blob on its way to a registry (OCI distribution specification, "Pushing blobs").
//!
//! A small one goes in one request. A large one is sent as a chunk that begins where the registry's own word says that it has
//! come to: where the connection breaks, the upload is asked how far it is, and goes on from there. A registry that has
//! forgotten it, or does not want to go on, gets it from the beginning.

use std::io::{Seek as _, SeekFrom};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use provenv_definition::Digest;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RANGE};
use reqwest::{Body, Method, Response, StatusCode};
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;
use url::Url;

use crate::client::{Call, Client, NOTHING, patient, silent};
use crate::error::Failure;

/// Bytes read and sent at once, per blob; a push holds a few of these for each blob on its way.
const PIECE: usize = 1 << 18;
/// Blobs up to here are not worth the requests of a chunked upload: they are begun again.
const SMALL: u64 = 4 << 20;
/// How often progress is looked at.
const TICK: Duration = Duration::from_millis(100);
/// The longest time without a byte of a blob going out, and for the registry to make sure of the blob once it has all.
const STALL: Duration = Duration::from_mins(5);

/// What came of asking for a blob of another repository.
pub(crate) enum Begun {
    /// It is in ours now.
    Mounted,
    /// It must be sent: here.
    Upload(Url),
}

/// Begins an upload, or takes the blob over from the repository `from`.
pub(crate) async fn begin(client: &Client, digest: &Digest, from: Option<&str>) -> Result<Begun, Failure> {
    let mut url = client.url("blobs/uploads/");
    if let Some(from) = from {
        url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", from);
    }
    let call = Call { method: Method::POST, url: url.clone(), headers: no_bytes(), body: NOTHING };
    let response = patient(client.call(&call)).await?;
    if response.status() == StatusCode::CREATED && from.is_some() {
        return Ok(Begun::Mounted);
    }
    Ok(Begun::Upload(location(client, &url, &response)?))
}

/// A blob of the store on its way.
pub(crate) struct Upload<'a> {
    pub client: &'a Client,
    /// The file with its bytes.
    pub path: &'a Path,
    pub digest: Digest,
    pub size: u64,
    /// Hears how many bytes more went out.
    pub report: &'a (dyn Fn(u64) + Send + Sync),
}

/// Where an upload goes on.
struct Place {
    url: Url,
    /// What the registry has.
    at: u64,
}

impl Upload<'_> {
    /// Sends the blob to `begun`, an upload that was begun. Gives back how many bytes went out.
    pub(crate) async fn send(&self, begun: Option<Url>) -> Result<u64, Failure> {
        let mut place = begun.map(|url| Place { url, at: 0 });
        let (mut attempt, mut farthest) = (1, 0);
        let (sent, shown) = (Arc::default(), AtomicU64::new(0));
        let progress = Progress { sent, shown, size: self.size, report: self.report };
        loop {
            let failure = match self.attempt(&mut place, &progress).await {
                Ok(()) => {
                    progress.show(self.size);
                    return Ok(progress.sent.load(Ordering::Relaxed));
                }
                Err(failure) => failure,
            };
            if !failure.passes() {
                return Err(failure);
            }
            let before = place.take();
            if let Some(Place { url, .. }) = before {
                place = self.how_far(&url).await;
            }
            let at = place.as_ref().map_or(0, |place| place.at);
            // As long as there is more each time, it is worth another try.
            attempt = if at > farthest { 1 } else { attempt + 1 };
            farthest = farthest.max(at);
            if attempt > self.client.tries() {
                return Err(failure);
            }
            tracing::debug!(digest = %self.digest, attempt, at, reason = failure.reason(), "going on");
            failure.pause(attempt).await;
        }
    }

    /// Sends what is missing and ends the upload.
    async fn attempt(&self, place: &mut Option<Place>, progress: &Progress<'_>) -> Result<(), Failure> {
        let Place { url, at } = match place {
            Some(place) => place,
            None => match begin(self.client, &self.digest, None).await? {
                Begun::Upload(url) => place.insert(Place { url, at: 0 }),
                Begun::Mounted => return Ok(()),
            },
        };
        if self.size <= SMALL {
            let url = self.ending(url);
            let call =
                Call { method: Method::PUT, url, headers: self.headers(0), body: &|| self.body(0, progress) };
            // What came of it when the answer is lost, another upload tells.
            let done = watched(self.client.call(&call), progress).await;
            *place = None;
            return done.and_then(|response| ended(&response));
        }
        if *at < self.size {
            let mut headers = self.headers(*at);
            if *at > 0
                && let Ok(range) = HeaderValue::from_str(&format!("{at}-{}", self.size - 1))
            {
                headers.insert(CONTENT_RANGE, range);
            }
            let from = *at;
            let call = Call {
                method: Method::PATCH,
                url: url.clone(),
                headers,
                body: &|| self.body(from, progress),
            };
            let response = watched(self.client.call(&call), progress).await?;
            if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
                // The request before this one may have brought more meanwhile.
                return Err(Failure::Passing("it has come to another byte than it said".to_owned()));
            }
            *url = location(self.client, url, &response)?;
            *at = self.size;
        }
        let url = self.ending(url);
        let call = Call { method: Method::PUT, url, headers: no_bytes(), body: NOTHING };
        watched(self.client.call(&call), progress).await.and_then(|response| ended(&response))
    }

    /// How far an upload is; `None` where it is to be begun again.
    async fn how_far(&self, url: &Url) -> Option<Place> {
        if self.size <= SMALL {
            return None;
        }
        let asked = self.client.get_at(url.clone(), HeaderMap::new());
        let response = patient(asked).await.ok().filter(|response| response.status().is_success())?;
        let range = response.headers().get(RANGE)?.to_str().ok()?;
        let range = range.strip_prefix("bytes=").unwrap_or(range);
        let last: u64 = range.strip_prefix("0-")?.parse().ok()?;
        // `0-0` is what is said of one byte and of none.
        let at = if last == 0 { return None } else { last + 1 };
        let url = location(self.client, url, &response).unwrap_or_else(|_| url.clone());
        (at <= self.size).then_some(Place { url, at })
    }

    fn headers(&self, from: u64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(self.size - from));
        headers
    }

    fn body(&self, from: u64, progress: &Progress<'_>) -> std::io::Result<Body> {
        let mut file = fs_err::File::open(self.path)?;
        file.seek(SeekFrom::Start(from))?;
        let file = tokio::fs::File::from_std(file.into_parts().0).take(self.size - from);
        let sent = Arc::clone(&progress.sent);
        let pieces = ReaderStream::with_capacity(file, PIECE);
        let pieces = pieces.inspect_ok(move |piece| {
            sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        });
        Ok(Body::wrap_stream(pieces))
    }

    /// The URL that ends the upload at `url`.
    fn ending(&self, url: &Url) -> Url {
        let mut url = url.clone();
        url.query_pairs_mut().append_pair("digest", &self.digest.to_string());
        url
    }
}

/// How many bytes went out, and how many of those were reported: no more than the blob has, however often it is sent.
struct Progress<'a> {
    sent: Arc<AtomicU64>,
    shown: AtomicU64,
    size: u64,
    report: &'a (dyn Fn(u64) + Send + Sync),
}

impl Progress<'_> {
    fn show(&self, now: u64) {
        let now = now.min(self.size);
        let before = self.shown.fetch_max(now, Ordering::Relaxed);
        if now > before {
            (self.report)(now - before);
        }
    }
}

/// An upload, which may take as long as it likes while bytes go out; says again and again how many did.
async fn watched<T>(
    request: impl Future<Output = Result<T, Failure>>,
    progress: &Progress<'_>,
) -> Result<T, Failure> {
    let mut request = pin!(request);
    let (mut last, mut since) = (progress.sent.load(Ordering::Relaxed), Instant::now());
    loop {
        match tokio::time::timeout(TICK, &mut request).await {
            Ok(result) => return result,
            Err(_) if since.elapsed() > STALL => return Err(silent(STALL)),
            Err(_) => {
                let now = progress.sent.load(Ordering::Relaxed);
                if now != last {
                    (last, since) = (now, Instant::now());
                    progress.show(now);
                }
            }
        }
    }
}

fn ended(response: &Response) -> Result<(), Failure> {
    if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
        return Err(Failure::Passing("it has come to another byte than it said".to_owned()));
    }
    Ok(())
}

fn location(client: &Client, asked: &Url, response: &Response) -> Result<Url, Failure> {
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let location = location.ok_or_else(|| Failure::Final("it does not say where to upload to".to_owned()))?;
    client.place(asked, location)
}

fn no_bytes() -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static("0"))])
}
