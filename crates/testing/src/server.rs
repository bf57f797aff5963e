//! A file server on the loopback that can be told to misbehave: HTTP/1.1 with ranges, validators, basic
//! authentication, a log of requests, and faults per path.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT_RANGES, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, LOCATION, RANGE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

/// What a server offers: bytes in memory, and at most one folder under them.
#[derive(Clone, Debug, Default)]
pub struct FileTree {
    files: BTreeMap<String, File>,
    folder: Option<PathBuf>,
}

#[derive(Clone, Debug)]
struct File {
    bytes: Bytes,
    content_type: String,
}

impl FileTree {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The files below `folder`, read anew at each request. `index.html` answers for its folder.
    pub fn folder(folder: impl Into<PathBuf>) -> Self {
        Self { files: BTreeMap::new(), folder: Some(folder.into()) }
    }

    /// Adds `bytes` at `path` (e.g. `/simple/numpy/`), its content type guessed from the name.
    #[must_use]
    pub fn with(mut self, path: &str, bytes: impl Into<Bytes>) -> Self {
        self.insert(path, guess_type(path), bytes);
        self
    }

    /// Adds `bytes` at `path` with this content type.
    pub fn insert(&mut self, path: &str, content_type: &str, bytes: impl Into<Bytes>) {
        self.files
            .insert(absolute(path), File { bytes: bytes.into(), content_type: content_type.to_owned() });
    }

    fn get(&self, path: &str) -> Option<File> {
        if let Some(file) = self.files.get(path) {
            return Some(file.clone());
        }
        let mut file = self.folder.as_ref()?.join(path.trim_start_matches('/'));
        if path.split('/').any(|part| part == "..") {
            return None;
        }
        if file.is_dir() {
            file.push("index.html");
        }
        let content_type = guess_type(file.to_str()?).to_owned();
        Some(File { bytes: fs_err::read(file).ok()?.into(), content_type })
    }
}

/// How one answer goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This status and no file.
    Status(u16),
    /// This status with a `Retry-After` header of so many seconds.
    RetryAfter(u16, u64),
    /// The connection breaks after so many bytes of the body.
    DropAfter(usize),
    /// Nothing more comes after so many bytes of the body, and the connection stays open.
    StallAfter(usize),
    /// The body ends after so many bytes, as though that were all: `Content-Length` agrees with it.
    Truncate(usize),
    /// Other bytes than the file's, with a length that agrees with them.
    Replace(Vec<u8>),
    /// Other bytes than the file's without a `Content-Length`.
    ReplaceChunked(Vec<u8>),
    /// A `Content-Length` of so many bytes, whatever is sent.
    LieAboutLength(u64),
    /// The right body in pieces of so many bytes with a pause after each.
    Slow(usize, Duration),
    /// A redirect (302) to this URL or path.
    Redirect(String),
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Logged {
    /// E.g. `GET`.
    pub method: String,
    /// Percent-decoded path.
    pub path: String,
    /// The query without `?`.
    pub query: Option<String>,
    /// All headers, credentials too: tests look at them.
    pub headers: HeaderMap,
    /// The status of the answer.
    pub status: u16,
}

impl Logged {
    /// The value of header `name`, if it was sent and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

#[derive(Default)]
struct Inner {
    tree: FileTree,
    log: Vec<Logged>,
    faults: HashMap<String, VecDeque<Fault>>,
    lasting_faults: HashMap<String, Fault>,
    authorization: Option<String>,
    without_ranges: bool,
    without_validators: bool,
}

type Shared = Arc<Mutex<Inner>>;

fn lock(shared: &Shared) -> MutexGuard<'_, Inner> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running server. It stops when dropped.
pub struct Server {
    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub url: String,
    address: SocketAddr,
    shared: Shared,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `tree` on a free port of 127.0.0.1, from a thread and runtime of its own.
    pub fn start(tree: FileTree) -> Self {
        let shared: Shared = Arc::new(Mutex::new(Inner { tree, ..Inner::default() }));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port on the loopback");
        listener.set_nonblocking(true).expect("a socket can be made non-blocking");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (stop, stopped) = oneshot::channel();
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listening socket");
                tokio::select! {
                    result = async { axum::serve(listener, app).await } => result.expect("the server runs"),
                    _ = stopped => {}
                }
            });
        });
        let url = format!("http://{address}");
        Self { url, address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// The URL of `path` here.
    pub fn at(&self, path: &str) -> String {
        format!("{}{}", self.url, absolute(path))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts `bytes` at `path`, its content type guessed from the name; replaces what was there.
    pub fn put(&self, path: &str, bytes: impl Into<Bytes>) {
        lock(&self.shared).tree.insert(path, guess_type(path), bytes);
    }

    /// Takes `path` away.
    pub fn remove(&self, path: &str) {
        lock(&self.shared).tree.files.remove(&absolute(path));
    }

    /// The next request of `path` that no earlier fault takes goes wrong like this.
    pub fn fault(&self, path: &str, fault: Fault) {
        lock(&self.shared).faults.entry(absolute(path)).or_default().push_back(fault);
    }

    /// Every request of `path` goes wrong like this.
    pub fn fault_always(&self, path: &str, fault: Fault) {
        lock(&self.shared).lasting_faults.insert(absolute(path), fault);
    }

    /// From now on all is well.
    pub fn clear_faults(&self) {
        let mut inner = lock(&self.shared);
        inner.faults.clear();
        inner.lasting_faults.clear();
    }

    /// Requests without these credentials get 401.
    pub fn require_auth(&self, user: &str, password: &str) {
        lock(&self.shared).authorization = Some(basic(user, password));
    }

    /// Whether `Range` requests are honoured (they are by default).
    pub fn ranges(&self, on: bool) {
        lock(&self.shared).without_ranges = !on;
    }

    /// Whether answers carry `ETag` and `Last-Modified` (they do by default).
    pub fn validators(&self, on: bool) {
        lock(&self.shared).without_validators = !on;
    }

    /// How many requests of `path` came, whatever their method and answer.
    pub fn hits(&self, path: &str) -> usize {
        let path = absolute(path);
        lock(&self.shared).log.iter().filter(|request| request.path == path).count()
    }

    /// How many requests came in all.
    pub fn total_hits(&self) -> usize {
        lock(&self.shared).log.len()
    }

    /// All requests, oldest first.
    pub fn requests(&self) -> Vec<Logged> {
        lock(&self.shared).log.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was printed already, and a second one while a test unwinds would abort.
            let _ = thread.join();
        }
    }
}

fn absolute(path: &str) -> String {
    format!("/{}", path.trim_start_matches('/'))
}

fn guess_type(path: &str) -> &'static str {
    match Path::new(path).extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("json") => "application/json",
        Some("txt" | "metadata") => "text/plain; charset=utf-8",
        None if path.ends_with('/') => "text/html; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {text}")
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response<Body> {
    let path = percent_decode(request.uri().path());
    let mut inner = lock(&shared);
    let authorization = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let response = if inner.authorization.as_deref().is_some_and(|expected| authorization != Some(expected)) {
        unauthorized()
    } else {
        let fault = inner.faults.get_mut(&path).and_then(VecDeque::pop_front);
        let fault = fault.or_else(|| inner.lasting_faults.get(&path).cloned());
        respond(&inner, &path, request.method(), request.headers(), fault.as_ref())
    };
    inner.log.push(Logged {
        method: request.method().to_string(),
        path,
        query: request.uri().query().map(str::to_owned),
        headers: request.headers().clone(),
        status: response.status().as_u16(),
    });
    response
}

/// The time of every file: `Last-Modified` must not depend on when a test runs.
const MODIFIED: &str = "Tue, 01 Jan 1980 00:00:00 GMT";

fn respond(
    inner: &Inner,
    path: &str,
    method: &Method,
    headers: &HeaderMap,
    fault: Option<&Fault>,
) -> Response<Body> {
    let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    match &fault {
        Some(Fault::Status(status)) => return plain(status_code(*status)),
        Some(Fault::RetryAfter(status, seconds)) => {
            let mut response = plain(status_code(*status));
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(*seconds));
            return response;
        }
        Some(Fault::Redirect(to)) => {
            let mut response = plain(StatusCode::FOUND);
            response
                .headers_mut()
                .insert(LOCATION, HeaderValue::from_str(to).expect("a URL is a header value"));
            return response;
        }
        _ => {}
    }
    let Some(file) = inner.tree.get(path) else { return plain(StatusCode::NOT_FOUND) };
    let etag = format!("\"{}\"", &hex::encode(Sha256::digest(&file.bytes))[..16]);
    let mut response = Response::new(Body::empty());
    let out = response.headers_mut();
    out.insert(
        CONTENT_TYPE,
        HeaderValue::from_str(&file.content_type).expect("a content type is a header value"),
    );
    if !inner.without_validators {
        out.insert(ETAG, HeaderValue::from_str(&etag).expect("hexadecimal is a header value"));
        out.insert(LAST_MODIFIED, HeaderValue::from_static(MODIFIED));
        let fresh = match header(IF_NONE_MATCH) {
            Some(tags) => tags.split(',').any(|tag| tag.trim() == etag || tag.trim() == "*"),
            None => header(IF_MODIFIED_SINCE) == Some(MODIFIED),
        };
        if fresh {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
    }

    let mut bytes = match &fault {
        Some(Fault::Replace(other) | Fault::ReplaceChunked(other)) => other.clone().into(),
        Some(Fault::Truncate(length)) => file.bytes.slice(..(*length).min(file.bytes.len())),
        _ => file.bytes,
    };
    if !inner.without_ranges {
        out.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let same = header(IF_RANGE).is_none_or(|validator| validator == etag || validator == MODIFIED);
        let range = header(RANGE).filter(|_| same);
        match range.map(|range| parse_range(range, bytes.len())) {
            None | Some(Range::Ignored) => {}
            Some(Range::Of(start, end)) => {
                let value = format!("bytes {start}-{}/{}", end - 1, bytes.len());
                out.insert(CONTENT_RANGE, HeaderValue::from_str(&value).expect("numbers are a header value"));
                bytes = bytes.slice(start..end);
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            }
            Some(Range::Unsatisfiable) => {
                let mut response = plain(StatusCode::RANGE_NOT_SATISFIABLE);
                let value = format!("bytes */{}", bytes.len());
                response.headers_mut().insert(
                    CONTENT_RANGE,
                    HeaderValue::from_str(&value).expect("numbers are a header value"),
                );
                return response;
            }
        }
    }
    let out = response.headers_mut();
    match &fault {
        Some(Fault::LieAboutLength(length)) => out.insert(CONTENT_LENGTH, HeaderValue::from(*length)),
        Some(Fault::ReplaceChunked(_)) => None,
        _ => out.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len())),
    };
    if method != Method::HEAD {
        *response.body_mut() = body(bytes, fault);
    }
    response
}

fn body(bytes: Bytes, fault: Option<&Fault>) -> Body {
    let broken = || stream::once(async { Err(io::Error::other("dropped on purpose")) });
    // The pause lets what was sent reach the client before the connection goes.
    let pause = || {
        stream::once(tokio::time::sleep(Duration::from_millis(20)))
            .filter_map(async |()| None::<io::Result<Bytes>>)
    };
    let ok = |bytes: Bytes| stream::once(async { Ok::<_, io::Error>(bytes) });
    let stream: BoxStream<'static, io::Result<Bytes>> = match fault {
        Some(Fault::DropAfter(length)) => {
            ok(bytes.slice(..(*length).min(bytes.len()))).chain(pause()).chain(broken()).boxed()
        }
        Some(Fault::StallAfter(length)) => {
            ok(bytes.slice(..(*length).min(bytes.len()))).chain(stream::pending()).boxed()
        }
        Some(&Fault::Slow(piece, delay)) => {
            let end = move |at: usize, length: usize| length.min(at + piece.max(1));
            let starts = (0..bytes.len()).step_by(piece.max(1));
            let pieces: Vec<Bytes> = starts.map(|at| bytes.slice(at..end(at, bytes.len()))).collect();
            stream::iter(pieces)
                .then(move |piece| async move {
                    tokio::time::sleep(delay).await;
                    Ok(piece)
                })
                .boxed()
        }
        Some(Fault::LieAboutLength(_) | Fault::ReplaceChunked(_)) => ok(bytes).chain(pause()).boxed(),
        _ => return Body::from(bytes),
    };
    Body::from_stream(stream)
}

enum Range {
    Of(usize, usize),
    Unsatisfiable,
    Ignored,
}

/// One range of `bytes=…`; several at once are ignored, as RFC 9110 section 14.2 allows.
fn parse_range(text: &str, length: usize) -> Range {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Range::Ignored;
    };
    let range = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) => (first, length.min(last.saturating_add(1))),
        (Ok(first), Err(_)) if last.is_empty() => (first, length),
        (Err(_), Ok(suffix)) if first.is_empty() => (length.saturating_sub(suffix), length),
        _ => return Range::Ignored,
    };
    if range.0 < range.1 { Range::Of(range.0, range.1) } else { Range::Unsatisfiable }
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("a status that HTTP knows")
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{status}\n")));
    *response.status_mut() = status;
    response
}

fn unauthorized() -> Response<Body> {
    let mut response = plain(StatusCode::UNAUTHORIZED);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"test\""));
    response
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%').then(|| tail.get(..2)).flatten();
        if let Some(byte) = escaped.and_then(|digits| hex::decode(digits).ok()) {
            bytes.extend(byte);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
