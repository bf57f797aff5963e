//! A store as a registry: the OCI distribution specification 1.1, served.
//!
//! The bytes are in the store. Which repository has which of them is the business of an [`Index`], kept by whoever has the
//! server. What is pushed is staged in the store; it has a name once it is whole and its digest is right, and is in the
//! index after that. Nothing large is ever in memory.

mod access;
mod answer;
mod blobs;
mod document;
mod door;
mod failure;
mod htpasswd;
mod index;
mod lists;
mod manifests;
mod mounted;
mod name;
mod range;
mod route;
mod sessions;
mod tls;
mod token;
mod uploads;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::BodyDataStream;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::StreamExt as _;
use provenv_definition::Digest;
use provenv_fetch::Reporter;
use provenv_store::Store;

pub use access::Anonymous;
pub use door::Door;
pub use htpasswd::{Htpasswd, HtpasswdError};
pub use index::{Index, IndexError, IndexResult, ManifestEntry, NewManifest, Page, tag_order};
pub use mounted::{Mounted, Visitor};
pub use name::{RepositoryName, Tag, TagOrDigest};
pub use tls::TlsError;

use self::access::{Access, Right};
use self::failure::{Code, Failure};
use self::route::Route;
use self::sessions::Sessions;

/// How long requests may take to end after the server was told to stop.
const GRACE: Duration = Duration::from_secs(8);
/// How often uploads are looked for that nobody goes on with.
const SWEEP: Duration = Duration::from_mins(1);
/// How many bytes of a refused request are read, and for how long.
const UNREAD: usize = 64 * 1024 * 1024;
/// See `UNREAD`.
const UNREAD_FOR: Duration = Duration::from_secs(10);
/// How many bytes of manifests are kept in memory, for those who ask for the same again.
const REMEMBERED: usize = 16 * 1024 * 1024;

/// How a registry is served.
#[derive(Debug)]
pub struct ServerOptions {
    /// Where: `ADDRESS:PORT`; a port of 0 takes a free one.
    pub listen: String,
    /// Who may push, and pull where that is not open to anybody.
    pub users: Option<Htpasswd>,
    /// Who may pull and no more.
    pub readers: Option<Htpasswd>,
    /// What those may who give no name.
    pub anonymous: Anonymous,
    /// Files with a certificate and its key, in PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// Why a registry is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Its address cannot be had.
    #[error("could not listen at `{address}`")]
    Listen {
        /// As it was given.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The address is open to others, and nobody said who may do what.
    #[error("others can reach `{0}`, and it was not said who may pull")]
    Open(String),
    /// The certificate or its key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server ended by itself.
    #[error("the server ended")]
    Serve(#[source] io::Error),
}

impl ServerError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                "something else listens there: choose another port with --listen ADDRESS:PORT".to_owned()
            }
            Self::Listen { .. } => {
                "write --listen ADDRESS:PORT, such as 127.0.0.1:5000, with an address of this machine"
                    .to_owned()
            }
            Self::Open(_) => {
                "name the users with --htpasswd FILE or --readers FILE, or let anybody pull with --anonymous-pull".to_owned()
            }
            Self::Tls(_) => {
                "give files in PEM: the certificate with those that stand behind it, and its key".to_owned()
            }
            Self::Serve(_) => return None,
        })
    }
}

/// A registry that listens and does not yet serve.
pub struct Bound {
    server: Arc<Server>,
    door: Door,
}

/// What requests share.
struct Server {
    store: Store,
    index: Arc<dyn Index>,
    access: Access,
    sessions: Sessions,
    remembered: Mutex<HashMap<Digest, Bytes>>,
    reporter: Arc<dyn Reporter>,
}

/// Takes the address. Nothing is answered before [`Bound::serve`], but clients may connect.
pub async fn bind(
    store: Store,
    index: Arc<dyn Index>,
    reporter: Arc<dyn Reporter>,
    options: ServerOptions,
) -> Result<Bound, ServerError> {
    let door = Door::open(&options.listen, options.tls.as_ref()).await?;
    let address = door.address();
    let has_names = options.users.is_some() || options.readers.is_some();
    if !address.ip().is_loopback() && !has_names && options.anonymous == Anonymous::Nothing {
        return Err(ServerError::Open(options.listen));
    }
    // Without users, nobody could pull.
    let anonymous = if has_names { options.anonymous } else { options.anonymous.max(Anonymous::Pull) };
    let server = Server {
        store,
        index,
        access: Access::new(options.users, options.readers, anonymous, door.is_secure()),
        sessions: Sessions::default(),
        remembered: Mutex::default(),
        reporter,
    };
    Ok(Bound { server: Arc::new(server), door })
}

impl Bound {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.door.address()
    }

    /// Whether clients speak TLS with it.
    pub fn is_secure(&self) -> bool {
        self.door.is_secure()
    }

    /// Serves until `stop` comes about; then requests that have begun may end, for a few seconds.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), ServerError> {
        let app = Router::new().fallback(answer).with_state(Arc::clone(&self.server));
        let served = tokio::select! {
            served = self.door.serve(app, GRACE, stop) => served,
            () = self.server.sweep() => Ok(()),
        };
        self.server.sessions.keep().await;
        served
    }
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound").field("address", &self.address()).finish_non_exhaustive()
    }
}

/// The parameters of a request.
struct Query(HashMap<String, String>);

impl Query {
    /// Of each name the first.
    fn parse(uri: &Uri) -> Self {
        let mut parameters = HashMap::new();
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            parameters.entry(name.into_owned()).or_insert_with(|| value.into_owned());
        }
        Self(parameters)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// The value of a header, if it is text.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Answers a request, and says what came of it.
async fn answer(State(server): State<Arc<Server>>, request: Request) -> Response {
    respond(&server, request, None).await
}

/// The same for whoever was let in by somebody else, who is `visitor`.
async fn respond(server: &Server, request: Request, visitor: Option<&Visitor>) -> Response {
    let begun = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (parts, body) = request.into_parts();
    let mut body = body.into_data_stream();
    let mut response = match server.answer(&parts, &mut body, visitor).await {
        Ok(response) => response,
        Err(failure) => {
            if let Some(fault) = failure.to_say() {
                server.reporter.note(&format!("{method} {path} failed: {fault}"));
            }
            // A client that waits before it sends has not been told to.
            if !parts.headers.contains_key(header::EXPECT) {
                read_rest(body).await;
            }
            failure.into_response()
        }
    };
    let version = HeaderValue::from_static("registry/2.0");
    response.headers_mut().insert("docker-distribution-api-version", version);
    if method == Method::HEAD {
        *response.body_mut() = axum::body::Body::empty();
    }
    tracing::debug!(%method, path, status = response.status().as_u16(), took = ?begun.elapsed());
    response
}

/// Reads what is left of a request that is refused, if it is not too much: many clients send all before they listen, and a
/// connection that is closed before would take the answer with it.
async fn read_rest(mut body: BodyDataStream) {
    let reading = async {
        let mut left = UNREAD;
        while let Some(Ok(bytes)) = body.next().await {
            match left.checked_sub(bytes.len()) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    let _ = tokio::time::timeout(UNREAD_FOR, reading).await;
}

impl Server {
    async fn answer(
        &self,
        parts: &Parts,
        body: &mut BodyDataStream,
        visitor: Option<&Visitor>,
    ) -> Result<Response, Failure> {
        let route = Route::parse(parts.uri.path())?;
        let query = Query::parse(&parts.uri);
        let (method, headers) = (&parts.method, &parts.headers);
        if route == Route::Token {
            return match *method {
                Method::GET => self.access.token(headers).await,
                _ => Err(not_allowed(method, "GET")),
            };
        }
        let reads = matches!(*method, Method::GET | Method::HEAD);
        // How far somebody's upload is, is for those who push.
        let right = if reads && !matches!(route, Route::Upload(..)) { Right::Pull } else { Right::Push };
        let who = match visitor {
            Some(visitor) => visitor.admit(right)?,
            None => self.access.admit(headers, &route, right).await?,
        };
        let only_headers = *method == Method::HEAD;
        match (&route, method) {
            (Route::Base, _) if reads => Ok(answer::json(&serde_json::json!({}))),
            (Route::Catalog, &Method::GET) => self.catalog(&query).await,
            (Route::Tags(name), &Method::GET) => self.tags(name, &query).await,
            (Route::Referrers(name, subject), &Method::GET) => self.referrers(name, subject, &query).await,
            (Route::Manifest(name, wanted), _) if reads => self.manifest(name, wanted, only_headers).await,
            (Route::Manifest(name, wanted), &Method::PUT) => {
                self.put_manifest(name, wanted, &who, headers, body).await
            }
            (Route::Manifest(name, wanted), &Method::DELETE) => self.remove_manifest(name, wanted).await,
            (Route::Blob(name, digest), _) if reads => self.blob(name, digest, headers, only_headers).await,
            (Route::Blob(name, digest), &Method::DELETE) => self.remove_blob(name, digest).await,
            (Route::Uploads(name), &Method::POST) => self.begin_upload(name, &query, headers, body).await,
            (Route::Upload(name, id), &Method::GET) => self.upload_status(name, id).await,
            (Route::Upload(name, id), &Method::PATCH) => self.add_to_upload(name, id, headers, body).await,
            (Route::Upload(name, id), &Method::PUT) => {
                self.finish_upload(name, id, &query, headers, body).await
            }
            (Route::Upload(name, id), &Method::DELETE) => self.cancel_upload(name, id).await,
            (route, method) => Err(not_allowed(method, allowed(route))),
        }
    }

    /// Lets uploads go that nobody goes on with, for ever.
    async fn sweep(&self) {
        loop {
            tokio::time::sleep(SWEEP).await;
            self.sessions.sweep(&self.store).await;
        }
    }

    /// The bytes of a small blob, checked.
    async fn small(&self, digest: &Digest) -> provenv_store::Result<Bytes> {
        let remembered = || self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = remembered().get(digest) {
            return Ok(bytes.clone());
        }
        let (store, wanted) = (self.store.clone(), *digest);
        let read = tokio::task::spawn_blocking(move || store.read(&wanted)).await;
        let bytes = Bytes::from(read.map_err(io::Error::other)??);
        let mut remembered = remembered();
        if remembered.values().map(Bytes::len).sum::<usize>() + bytes.len() > REMEMBERED {
            remembered.clear();
        }
        remembered.insert(*digest, bytes.clone());
        Ok(bytes)
    }
}

fn allowed(route: &Route) -> &'static str {
    match route {
        Route::Base => "GET, HEAD",
        Route::Token | Route::Catalog | Route::Tags(_) | Route::Referrers(..) => "GET",
        Route::Manifest(..) => "GET, HEAD, PUT, DELETE",
        Route::Blob(..) => "GET, HEAD, DELETE",
        Route::Uploads(_) => "POST",
        Route::Upload(..) => "GET, PATCH, PUT, DELETE",
    }
}

fn not_allowed(method: &Method, allowed: &'static str) -> Failure {
    let status = StatusCode::METHOD_NOT_ALLOWED.as_u16();
    Failure::new(status, Code::Unsupported, format!("{method} is not for this path"))
        .header(header::ALLOW, allowed)
}

impl From<IndexError> for Failure {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Denied(reason) => Self::new(403, Code::Denied, reason),
            IndexError::InUse(reason) => Self::new(405, Code::Unsupported, reason),
            IndexError::Missing(_) => Self::new(404, Code::ManifestBlobUnknown, error.to_string()),
            IndexError::Other(error) => Self::fault(&*error),
        }
    }
}
