//! Requests to one repository of a registry: who we are, tries, and answers that are never longer than they may be.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use provenv_definition::Digest;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RANGE};
use reqwest::{Body, Certificate, Method, Response, StatusCode};
use url::Url;

use crate::challenge::{Challenge, Token};
use crate::credentials::Login;
use crate::error::{Failure, chain};
use crate::{Error, Keychain, Reference};

/// Tries before a broken connection is an error.
pub(crate) const TRIES: u32 = 5;
/// How many tries more a manifest gets whose blobs others push as well.
const SETTLING: u32 = 2;
/// The longest wait for a connection, and for more of an answer.
const CONNECT: Duration = Duration::from_secs(20);
pub(crate) const STALL: Duration = Duration::from_mins(1);
/// The most bytes of a token.
const LONGEST_TOKEN: usize = 1 << 20;
/// The most bytes of an error's text that are looked at.
const LONGEST_REFUSAL: usize = 64 << 10;
/// What a manifest is.
pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// What a token is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Pull,
    Push,
}

impl Access {
    fn scope(self, repository: &str) -> String {
        let actions = match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
        };
        format!("repository:{repository}:{actions}")
    }
}

/// How a registry is spoken to.
pub(crate) struct How<'a> {
    pub access: Access,
    /// By plain http, also where it is another machine.
    pub insecure: bool,
    pub keychain: &'a Keychain,
    /// A file with certificates (PEM) that are trusted besides the system's.
    pub certificates: Option<&'a Path>,
    /// Tries before a broken connection is an error.
    pub tries: u32,
    /// Repositories of the same registry that blobs are taken over from.
    pub others: &'a [String],
}

/// What says who we are.
#[derive(Clone, PartialEq, Eq)]
enum Authorization {
    Basic,
    Bearer(String),
}

/// One repository in its registry.
pub(crate) struct Client {
    http: reqwest::Client,
    origin: Url,
    /// As it is called in messages.
    registry: String,
    repository: String,
    login: Option<Login>,
    /// Whether it speaks plain http.
    plain: bool,
    /// What tokens are asked for.
    scopes: Vec<String>,
    tries: u32,
    /// What worked last.
    authorization: Mutex<Option<Authorization>>,
    /// Held by whoever asks for a token.
    asking: tokio::sync::Mutex<()>,
    /// Whether the registry ever answered.
    answered: AtomicBool,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({}{})", self.origin, self.repository)
    }
}

/// A request, which can be made more than once.
pub(crate) struct Call<'a> {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    /// What is sent; made anew for each attempt.
    pub body: &'a (dyn Fn() -> std::io::Result<Body> + Send + Sync),
}

/// The body of requests that have none.
pub(crate) const NOTHING: &(dyn Fn() -> std::io::Result<Body> + Send + Sync) = &|| Ok(Body::default());

impl Client {
    pub(crate) fn new(reference: &Reference, how: &How<'_>) -> Result<Self, Error> {
        let registry = reference.registry().to_owned();
        let plain = reference.is_local() || how.insecure;
        let scheme = if plain { "http" } else { "https" };
        let unreachable =
            |reason: String| Error::Connection { act: "speak to", registry: registry.clone(), reason, plain };
        let origin = Url::parse(&format!("{scheme}://{}/", reference.host()))
            .map_err(|error| unreachable(error.to_string()))?;
        let certificates = match how.certificates {
            Some(path) => certificates(path)?,
            None => Vec::new(),
        };
        let builder = || {
            let builder = reqwest::Client::builder()
                .tls_certs_merge(certificates.clone())
                .user_agent(concat!("provenv/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT)
                .referer(false);
            match how.access {
                Access::Pull => builder.read_timeout(STALL),
                // It would count from the first byte of a layer that is sent to the answer.
                Access::Push => builder,
            }
        };
        // Where there is not one trusted certificate on this system, plain http works all the same.
        let http = builder().build().or_else(|_| builder().tls_certs_only([]).build());
        let own = how.access.scope(reference.repository());
        let others = how.others.iter().map(|other| Access::Pull.scope(other));
        Ok(Self {
            http: http.map_err(|error| unreachable(chain(&error)))?,
            origin,
            login: how.keychain.login(reference, plain)?,
            repository: reference.repository().to_owned(),
            plain,
            scopes: [own].into_iter().chain(others).collect(),
            tries: how.tries.max(1),
            authorization: Mutex::new(None),
            asking: tokio::sync::Mutex::new(()),
            answered: AtomicBool::new(false),
            registry,
        })
    }

    /// As it is called in messages.
    pub(crate) fn registry(&self) -> &str {
        &self.registry
    }

    /// The address of `path` (`manifests/1`) in the repository.
    pub(crate) fn url(&self, path: &str) -> Url {
        let mut url = self.origin.clone();
        url.set_path(&format!("/v2/{}/{path}", self.repository));
        url
    }

    /// Where an answer to a request of `asked` says that it goes on.
    pub(crate) fn place(&self, asked: &Url, location: &str) -> Result<Url, Failure> {
        let url = asked.join(location);
        let url = url.map_err(|_| Failure::Final("it names a place that is no URL".to_owned()))?;
        match url.scheme() {
            "https" => Ok(url),
            "http" if self.plain => Ok(url),
            _ => Err(Failure::Final("it sends uploads to a place without TLS".to_owned())),
        }
    }

    /// Asks for `what` (`manifests`, `blobs`) with this name, from the byte `from` on.
    pub(crate) async fn get(
        &self,
        what: &str,
        name: &str,
        accept: &str,
        from: u64,
    ) -> Result<Response, Failure> {
        let mut headers = HeaderMap::new();
        if let Ok(accept) = HeaderValue::from_str(accept) {
            headers.insert(ACCEPT, accept);
        }
        if from > 0
            && let Ok(range) = HeaderValue::from_str(&format!("bytes={from}-"))
        {
            headers.insert(RANGE, range);
        }
        self.get_at(self.url(&format!("{what}/{name}")), headers).await
    }

    /// The same of a URL in the repository.
    pub(crate) async fn get_at(&self, url: Url, headers: HeaderMap) -> Result<Response, Failure> {
        self.call(&Call { method: Method::GET, url, headers, body: NOTHING }).await
    }

    /// Whether there is a blob.
    pub(crate) async fn has_blob(&self, digest: &Digest) -> Result<bool, Failure> {
        let (method, url) = (Method::HEAD, self.url(&format!("blobs/{digest}")));
        match patient(self.call(&Call { method, url, headers: HeaderMap::new(), body: NOTHING })).await {
            Ok(_) => Ok(true),
            Err(Failure::NotFound | Failure::BlobUnknown(_)) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Writes a manifest of this type under a tag or its digest.
    pub(crate) async fn put_manifest(
        &self,
        name: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<(), Failure> {
        let mut headers = HeaderMap::new();
        if let Ok(media_type) = HeaderValue::from_str(media_type) {
            headers.insert(CONTENT_TYPE, media_type);
        }
        let bytes = bytes::Bytes::copy_from_slice(bytes);
        let (method, url) = (Method::PUT, self.url(&format!("manifests/{name}")));
        let call = Call { method, url, headers, body: &|| Ok(bytes.clone().into()) };
        patient(self.call(&call)).await.map(drop)
    }

    /// Ends the upload at `url` with all its bytes.
    pub(crate) async fn put_blob(
        &self,
        url: &Url,
        digest: &Digest,
        bytes: &bytes::Bytes,
    ) -> Result<(), Failure> {
        let mut url = url.clone();
        url.query_pairs_mut().append_pair("digest", &digest.to_string());
        let octets = HeaderValue::from_static("application/octet-stream");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, octets)]);
        let call = Call { method: Method::PUT, url, headers, body: &|| Ok(bytes.clone().into()) };
        self.call(&call).await.map(drop)
    }

    /// Makes a request, with a token if it takes one. An answer is one that succeeded, or 416: what it means that there are no
    /// such bytes, who asked for a part of them knows.
    pub(crate) async fn call(&self, call: &Call<'_>) -> Result<Response, Failure> {
        let sent = self.authorization();
        let mut response = self.send(call, sent.as_ref()).await?;
        self.answered.store(true, Ordering::Relaxed);
        // A token may have run out.
        if response.status() == StatusCode::UNAUTHORIZED && self.is_ours(&call.url) {
            // Of several at once, one asks.
            let _asking = self.asking.lock().await;
            let mut authorization = self.authorization().filter(|now| sent.as_ref() != Some(now));
            if authorization.is_none() {
                authorization = Some(self.let_in(response.headers()).await?);
                self.set(authorization.clone());
            }
            response = self.send(call, authorization.as_ref()).await?;
        }
        let status = response.status();
        if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok(response);
        }
        if status == StatusCode::UNAUTHORIZED {
            self.set(None);
        }
        let wait = provenv_fetch::retry_after(response.headers());
        let text = whole(response, LONGEST_REFUSAL).await.unwrap_or_default();
        Err(Failure::of(status, &text, wait))
    }

    /// What an answer asks for, if we have it.
    async fn let_in(&self, headers: &HeaderMap) -> Result<Authorization, Failure> {
        match Challenge::of(headers, &self.scopes, self.plain) {
            Some(Challenge::Bearer(realm)) => Ok(Authorization::Bearer(self.token(&realm).await?)),
            Some(Challenge::Basic) if self.login.is_some() => Ok(Authorization::Basic),
            _ => Err(Failure::Denied(None)),
        }
    }

    async fn send(
        &self,
        call: &Call<'_>,
        authorization: Option<&Authorization>,
    ) -> Result<Response, Failure> {
        let body = (call.body)().map_err(|error| Failure::Final(format!("it cannot be read: {error}")))?;
        let mut request = self.http.request(call.method.clone(), call.url.clone());
        request = request.headers(call.headers.clone()).body(body);
        match (authorization, &self.login) {
            // Uploads may go elsewhere, where nobody is to learn who we are.
            _ if !self.is_ours(&call.url) => {}
            (Some(Authorization::Bearer(token)), _) => request = request.bearer_auth(token),
            (Some(Authorization::Basic), Some(login)) => {
                request = request.basic_auth(&login.username, Some(&login.password));
            }
            _ => {}
        }
        request.send().await.map_err(|error| Failure::Passing(chain(&error.without_url())))
    }

    fn is_ours(&self, url: &Url) -> bool {
        url.origin() == self.origin.origin()
    }

    fn authorization(&self) -> Option<Authorization> {
        self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, authorization: Option<Authorization>) {
        *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = authorization;
    }

    async fn token(&self, realm: &Url) -> Result<String, Failure> {
        let mut request = self.http.get(realm.clone());
        if let Some(login) = &self.login {
            request = request.basic_auth(&login.username, Some(&login.password));
        }
        let passing = |error: reqwest::Error| Failure::Passing(chain(&error.without_url()));
        let response = patient(async { request.send().await.map_err(passing) }).await?;
        match response.status() {
            status if status.is_success() => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(Failure::Denied(None)),
            status => return Err(Failure::Passing(format!("its token server says {status}"))),
        }
        let body = whole(response, LONGEST_TOKEN).await?;
        let given = serde_json::from_slice(&body).ok().and_then(Token::token);
        given.ok_or_else(|| Failure::Final("its token server gives no token".to_owned()))
    }

    /// Does `request` until it succeeds, the answer is final, or there were too many tries; waits longer each time, or as long as
    /// the registry wishes.
    pub(crate) async fn tried<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        act: &'static str,
        request: impl Fn() -> F,
    ) -> Result<T, Failure> {
        for attempt in 1..self.tries {
            match request().await {
                Err(failure) if failure.passes() => {
                    tracing::debug!(act, attempt, reason = failure.reason(), "trying again");
                    failure.pause(attempt).await;
                }
                settled => return settled,
            }
        }
        request().await
    }

    /// Whether a blob that the registry does not know may be known to it soon: others who push the same at this time are done with
    /// it within seconds. Longer than for a request that fails, because each of them has many blobs.
    pub(crate) fn may_settle(&self, failure: &Failure, attempt: u32) -> bool {
        matches!(failure, Failure::BlobUnknown(_)) && self.tries > 1 && attempt < self.tries + SETTLING
    }

    /// The same; `None` where there is no such thing.
    pub(crate) async fn retry<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        act: &'static str,
        request: impl Fn() -> F,
    ) -> Result<Option<T>, Error> {
        match self.tried(act, request).await {
            Ok(done) => Ok(Some(done)),
            Err(Failure::NotFound | Failure::BlobUnknown(_)) => Ok(None),
            Err(failure) => Err(self.error(act, failure)),
        }
    }

    /// The same of what has to be there.
    pub(crate) async fn must<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        act: &'static str,
        request: impl Fn() -> F,
    ) -> Result<T, Error> {
        self.tried(act, request).await.map_err(|failure| self.error(act, failure))
    }

    pub(crate) fn tries(&self) -> u32 {
        self.tries
    }

    /// What a failure that is not tried again means.
    pub(crate) fn error(&self, act: &'static str, failure: Failure) -> Error {
        let registry = self.registry.clone();
        match failure {
            Failure::Passing(reason) | Failure::Busy(reason, _) => {
                let act = if self.answered.load(Ordering::Relaxed) { act } else { "reach" };
                Error::Connection { act, registry, reason, plain: self.plain }
            }
            Failure::Denied(reason) => Error::Denied {
                registry,
                repository: self.repository.clone(),
                reason,
                authenticated: self.login.is_some(),
            },
            Failure::TooLarge(reason) => Error::TooLarge { act, registry, reason },
            Failure::BlobUnknown(reason) => Error::Incomplete { registry, reason },
            Failure::Final(reason) => Error::Registry { act, registry, reason },
            Failure::NotFound => {
                let reason = format!("there is no repository `{}`", self.repository);
                Error::Registry { act, registry, reason }
            }
        }
    }
}

/// A small request, which is not waited for without end.
pub(crate) async fn patient<T>(request: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    match tokio::time::timeout(STALL, request).await {
        Ok(result) => result,
        Err(_) => Err(silent(STALL)),
    }
}

/// Nothing came for this long.
pub(crate) fn silent(time: Duration) -> Failure {
    Failure::Passing(format!("nothing came back for {} seconds", time.as_secs()))
}

/// A body, which is refused where it is longer than `most`.
pub(crate) async fn whole(mut response: Response, most: usize) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    loop {
        let chunk =
            async { response.chunk().await.map_err(|error| Failure::Passing(chain(&error.without_url()))) };
        let Some(chunk) = patient(chunk).await? else { return Ok(body) };
        body.extend_from_slice(&chunk);
        if body.len() > most {
            return Err(Failure::Final(format!("its answer is longer than {most} bytes")));
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, Error> {
    let failed = |source| Error::Certificates { path: path.to_owned(), source };
    let text = fs_err::read(path).map_err(failed)?;
    Certificate::from_pem_bundle(&text).map_err(|error| failed(std::io::Error::other(error)))
}
