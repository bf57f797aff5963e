//! Every exchange of the index's reader goes through our fetcher: its credentials, mirrors, certificates, retries and
//! progress are those of all other downloads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use provenv_definition::SafeUrl;
use provenv_fetch::{Exchange, Fetcher, Phase};
use rattler_repodata_gateway::DownloadReporter;
use reqwest::header::{
    AGE, CACHE_CONTROL, ETAG, EXPIRES, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use reqwest::{Request, Response, StatusCode};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use url::Url;

use super::limited::limited;
use crate::validate::has_variables;

/// How much longer than other documents the index of a whole channel may be.
const LONGER: u64 = 4;

/// Answers in place of the network.
pub(super) struct Through {
    fetcher: Fetcher,
    /// The channels that the user named: what lies elsewhere a server named.
    channels: Vec<Url>,
    seen: Arc<Seen>,
}

/// What was learnt of indexes on the way.
#[derive(Default)]
pub(super) struct Seen {
    /// When they say that they were last changed, by their URL.
    dates: Mutex<BTreeMap<SafeUrl, Option<String>>>,
    /// Those that are longer than they may be, and how long they may be.
    too_long: Mutex<BTreeMap<SafeUrl, u64>>,
}

impl Seen {
    pub fn indexes(&self) -> BTreeMap<SafeUrl, Option<String>> {
        self.dates.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why an index was not read to its end: it is too long.
    pub fn too_long(&self) -> Option<provenv_fetch::Error> {
        let too_long = self.too_long.lock().unwrap_or_else(PoisonError::into_inner);
        let (url, limit) = too_long.first_key_value()?;
        Some(provenv_fetch::Error::TooLong { url: url.clone().into(), limit: *limit, from: None })
    }

    fn was_too_long(&self, url: &SafeUrl) -> Option<u64> {
        self.too_long.lock().unwrap_or_else(PoisonError::into_inner).get(url).copied()
    }

    pub(super) fn is_too_long(&self, url: &SafeUrl, limit: u64) {
        self.too_long.lock().unwrap_or_else(PoisonError::into_inner).insert(url.clone(), limit);
    }

    fn note(&self, url: &Url, date: Option<&HeaderValue>) {
        let is_index = url
            .path_segments()
            .and_then(|mut parts| parts.next_back())
            .is_some_and(|file| file == "repodata_shards.msgpack.zst" || file.starts_with("repodata.json"));
        if is_index {
            let date = date.and_then(|date| date.to_str().ok()).map(str::to_owned);
            let mut seen = self.dates.lock().unwrap_or_else(PoisonError::into_inner);
            seen.insert(SafeUrl::new(url.clone()), date);
        }
    }
}

/// A client whose exchanges are the fetcher's.
pub(super) fn client(fetcher: &Fetcher, channels: Vec<Url>, seen: Arc<Seen>) -> ClientWithMiddleware {
    let through = Through { fetcher: fetcher.clone(), channels, seen };
    // It is never asked itself.
    ClientBuilder::new(reqwest::Client::new()).with(through).build()
}

#[async_trait]
impl Middleware for Through {
    async fn handle(
        &self,
        request: Request,
        _: &mut http::Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let url = request.url();
        let linked = !self.channels.iter().any(|channel| is_plainly_under(url, channel));
        if self.fetcher.options().offline {
            let offline = provenv_fetch::Error::Offline(SafeUrl::new(url.clone()).into());
            return Err(reqwest_middleware::Error::middleware(offline));
        }
        let safe = SafeUrl::new(url.clone());
        // The reader asks again for what breaks off, and this would again.
        if let Some(limit) = self.seen.was_too_long(&safe) {
            let too_long = provenv_fetch::Error::TooLong { url: safe.into(), limit, from: None };
            return Err(reqwest_middleware::Error::middleware(too_long));
        }
        let exchange = Exchange {
            method: request.method(),
            url,
            headers: request.headers(),
            linked,
            // The reader asks again where `repodata.json` breaks off, and nothing else.
            whole: url.path().ends_with(".msgpack.zst"),
        };
        let answer = self.fetcher.exchange(exchange).await;
        let mut response = answer.map_err(reqwest_middleware::Error::middleware)?;
        let status = response.status();
        if request.method() == reqwest::Method::GET
            && (status.is_success() || status == StatusCode::NOT_MODIFIED)
        {
            let date =
                response.headers().get(LAST_MODIFIED).or_else(|| request.headers().get(IF_MODIFIED_SINCE));
            self.seen.note(url, date);
        }
        // Whoever locks anew wants what there is now: what is kept is asked after each time, however long a server lets it
        // be kept.
        let headers = response.headers_mut();
        headers.remove(EXPIRES);
        headers.remove(AGE);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if status == StatusCode::NOT_MODIFIED {
            // It is about what was asked for, and the reader believes it only if it says so: many servers leave that out
            // (RFC 9110 section 15.4.5 lets them).
            for (said, asked) in [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)] {
                if let Some(value) = request.headers().get(asked) {
                    headers.insert(said, value.clone());
                }
            }
        }
        // Of indexes that are read as they come there are long ones, and they go to the disk.
        let times = if exchange.whole { 1 } else { LONGER };
        let limit = self.fetcher.options().document_limit.saturating_mul(times);
        Ok(limited(response, safe, limit, &self.seen))
    }
}

/// Whether `url` is under `channel`, with nothing in the rest that looks like a variable, however it is escaped: only the
/// user may name those.
pub(super) fn is_plainly_under(url: &Url, channel: &Url) -> bool {
    let rest = url.as_str().strip_prefix(channel.as_str().trim_end_matches('/'));
    rest.is_some_and(|rest| rest.starts_with('/') && !has_variables(rest))
}

/// Tells our reporter of what is fetched of indexes.
pub(super) struct Progress {
    fetcher: Fetcher,
    /// How far each download is, and whether its size was told.
    reached: Mutex<Vec<(u64, bool)>>,
}

impl Progress {
    pub fn new(fetcher: &Fetcher) -> Self {
        Self { fetcher: fetcher.clone(), reached: Mutex::default() }
    }
}

impl rattler_repodata_gateway::Reporter for Progress {
    fn download_reporter(&self) -> Option<&dyn DownloadReporter> {
        Some(self)
    }
}

impl DownloadReporter for Progress {
    fn on_download_start(&self, url: &Url) -> usize {
        self.fetcher.reporter().expect(Phase::Fetching, 1, 0);
        self.fetcher.reporter().begin(Phase::Fetching, &item(url));
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        reached.push((0, false));
        reached.len() - 1
    }

    fn on_download_progress(&self, _: &Url, index: usize, bytes: usize, total: Option<usize>) {
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((before, told)) = reached.get_mut(index) else { return };
        if let Some(total) = total.filter(|_| !*told) {
            self.fetcher.reporter().expect(Phase::Fetching, 0, total as u64);
            *told = true;
        }
        let bytes = bytes as u64;
        // A download may begin again.
        if bytes > *before {
            self.fetcher.reporter().advance(Phase::Fetching, bytes - *before);
            *before = bytes;
        }
    }

    fn on_download_complete(&self, url: &Url, _: usize) {
        self.fetcher.reporter().end(Phase::Fetching, &item(url));
    }
}

/// What a user calls it: `conda-forge/noarch/repodata.json.zst`.
fn item(url: &Url) -> String {
    let parts: Vec<&str> = url.path_segments().map(Iterator::collect).unwrap_or_default();
    let from = parts.len().saturating_sub(3);
    parts[from..].join("/")
}
