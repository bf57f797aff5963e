//! A file server on the loopback that can be told to misbehave: HTTP/1.1 with ranges, validators, credentials (basic,
//! bearer, conda's tokens), redirects, a log of requests, and faults per path.

mod answer;
mod tree;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use bytes::Bytes;
use tokio::sync::oneshot;

use self::answer::answer;
pub use self::tree::FileTree;
use self::tree::absolute;

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
    access: Access,
    redirects: Vec<(String, String)>,
    without_ranges: bool,
    without_validators: bool,
    without_tags: bool,
}

/// Who may ask.
#[derive(Default)]
enum Access {
    #[default]
    Anyone,
    /// Who sends this `Authorization`.
    Header(String),
    /// Who puts this before the path, as conda does with its tokens.
    Path(String),
    /// Who has a token that was given here, as registries do it.
    Tokens(Tokens),
}

/// What a registry's tokens are.
struct Tokens {
    /// Where they are given.
    realm: String,
    /// For how many seconds, as the registry says.
    lifetime: u64,
    /// How many were given.
    given: usize,
    /// Those that count, as `Authorization` carries them.
    good: Vec<String>,
}

/// Where tokens are given.
const TOKEN: &str = "/token";

impl Access {
    /// The path of what is asked for; `None` where these credentials are wrong.
    fn admit<'a>(&self, path: &'a str, authorization: Option<&str>) -> Option<&'a str> {
        match self {
            Self::Anyone => Some(path),
            Self::Header(expected) => (authorization == Some(expected)).then_some(path),
            Self::Path(prefix) => path.strip_prefix(prefix.as_str()).filter(|rest| rest.starts_with('/')),
            Self::Tokens(tokens) => {
                let is_good = authorization.is_some_and(|token| tokens.good.iter().any(|good| good == token));
                (path == TOKEN || is_good).then_some(path)
            }
        }
    }

    /// What a refusal asks for.
    fn challenge(&self) -> String {
        match self {
            Self::Tokens(tokens) => format!("Bearer realm=\"{}\",service=\"test\"", tokens.realm),
            Self::Header(expected) if expected.starts_with("Bearer ") => "Bearer realm=\"test\"".to_owned(),
            _ => "Basic realm=\"test\"".to_owned(),
        }
    }

    /// The answer to who asks for a token, as Docker's registry gives it: under both names.
    fn give(&mut self, path: &str) -> Option<String> {
        let Self::Tokens(tokens) = self else { return None };
        if path != TOKEN {
            return None;
        }
        tokens.given += 1;
        let (token, lifetime) = (format!("token-{}", tokens.given), tokens.lifetime);
        tokens.good.push(format!("Bearer {token}"));
        Some(format!(r#"{{"token": "{token}", "access_token": "{token}", "expires_in": {lifetime}}}"#))
    }
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
        lock(&self.shared).tree.put(path, bytes);
    }

    /// Takes `path` away.
    pub fn remove(&self, path: &str) {
        lock(&self.shared).tree.remove(path);
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
        lock(&self.shared).access = Access::Header(basic(user, password));
    }

    /// Requests without this bearer token get 401.
    pub fn require_bearer(&self, token: &str) {
        lock(&self.shared).access = Access::Header(format!("Bearer {token}"));
    }

    /// Requests get 401 unless `/t/TOKEN` stands before their path, as conda's clients put it. Files and faults are where they
    /// are without it; the log has the path as it came.
    pub fn require_token_path(&self, token: &str) {
        lock(&self.shared).access = Access::Path(format!("/t/{token}"));
    }

    /// Requests get 401 without a token, which is to be had at `/token` by everybody, and lasts so many seconds by its own word.
    pub fn require_tokens(&self, lifetime: u64) {
        let realm = self.at(TOKEN);
        lock(&self.shared).access = Access::Tokens(Tokens { realm, lifetime, given: 0, good: Vec::new() });
    }

    /// No token that was given counts any more.
    pub fn revoke_tokens(&self) {
        if let Access::Tokens(tokens) = &mut lock(&self.shared).access {
            tokens.good.clear();
        }
    }

    /// Requests need no credentials any more.
    pub fn require_nothing(&self) {
        lock(&self.shared).access = Access::Anyone;
    }

    /// Sends whoever asks for anything below `path` to the same below `base`, a URL or a path (302), as a mirror does that
    /// keeps its files elsewhere.
    pub fn redirect(&self, path: &str, base: &str) {
        let path = absolute(path).trim_end_matches('/').to_owned();
        lock(&self.shared).redirects.push((path, base.trim_end_matches('/').to_owned()));
    }

    /// Whether `Range` requests are honoured (they are by default).
    pub fn ranges(&self, on: bool) {
        lock(&self.shared).without_ranges = !on;
    }

    /// Whether answers carry `ETag` and `Last-Modified` (they do by default).
    pub fn validators(&self, on: bool) {
        lock(&self.shared).without_validators = !on;
    }

    /// Answers carry no `ETag` any more but only `Last-Modified`, and 304 neither, as with Python's `http.server`.
    pub fn only_dates(&self) {
        lock(&self.shared).without_tags = true;
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

fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {text}")
}
