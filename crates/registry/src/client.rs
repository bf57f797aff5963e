//! Requests to one repository of a registry: who we are, tries, and answers that are never longer than they may be.

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue, RANGE};
use reqwest::{Certificate, Response, StatusCode};
use url::Url;

use crate::challenge::{Challenge, Token};
use crate::credentials::Login;
use crate::error::{Failure, chain};
use crate::{Error, PullOptions, Reference};

/// Tries before a broken connection is an error.
pub(crate) const TRIES: u32 = 5;
/// The longest wait for a connection, and for more of an answer.
const CONNECT: Duration = Duration::from_secs(20);
const STALL: Duration = Duration::from_mins(1);
/// The most bytes of a token.
const LONGEST_TOKEN: usize = 1 << 20;

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
    /// What worked last.
    authorization: Mutex<Option<Authorization>>,
    /// Held by whoever asks for a token.
    asking: tokio::sync::Mutex<()>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({}{})", self.origin, self.repository)
    }
}

impl Client {
    pub(crate) fn new(reference: &Reference, options: &PullOptions) -> Result<Self, Error> {
        let registry = reference.registry().to_owned();
        let plain = reference.is_local() || options.insecure.contains(&registry);
        let scheme = if plain { "http" } else { "https" };
        let unreachable =
            |reason: String| Error::Connection { act: "speak to", registry: registry.clone(), reason, plain };
        let origin = Url::parse(&format!("{scheme}://{}/", reference.host()))
            .map_err(|error| unreachable(error.to_string()))?;
        let certificates = match &options.certificates {
            Some(path) => certificates(path)?,
            None => Vec::new(),
        };
        let builder = || {
            reqwest::Client::builder()
                .tls_certs_merge(certificates.clone())
                .user_agent(concat!("provenv/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT)
                .read_timeout(STALL)
                .referer(false)
        };
        // Where there is not one trusted certificate on this system, plain http works all the same.
        let http = builder().build().or_else(|_| builder().tls_certs_only([]).build());
        Ok(Self {
            http: http.map_err(|error| unreachable(chain(&error)))?,
            origin,
            login: options.keychain.login(reference)?,
            repository: reference.repository().to_owned(),
            plain,
            authorization: Mutex::new(None),
            asking: tokio::sync::Mutex::new(()),
            registry,
        })
    }

    /// Asks for `what` (`manifests`, `blobs`) with this name, from the byte `from` on.
    pub(crate) async fn get(
        &self,
        what: &str,
        name: &str,
        accept: &str,
        from: u64,
    ) -> Result<Response, Failure> {
        let mut url = self.origin.clone();
        url.set_path(&format!("/v2/{}/{what}/{name}", self.repository));
        let mut headers = HeaderMap::new();
        if let Ok(accept) = HeaderValue::from_str(accept) {
            headers.insert(ACCEPT, accept);
        }
        if from > 0
            && let Ok(range) = HeaderValue::from_str(&format!("bytes={from}-"))
        {
            headers.insert(RANGE, range);
        }
        let sent = self.authorization();
        let mut response = self.send(&url, &headers, sent.as_ref()).await?;
        // A token may have run out.
        if response.status() == StatusCode::UNAUTHORIZED {
            // Of several at once, one asks.
            let _asking = self.asking.lock().await;
            let mut authorization = self.authorization().filter(|now| sent.as_ref() != Some(now));
            if authorization.is_none() {
                authorization = Some(self.let_in(response.headers()).await?);
                self.set(authorization.clone());
            }
            response = self.send(&url, &headers, authorization.as_ref()).await?;
        }
        match response.status() {
            // What it means that there are no such bytes, who asked for a part of them knows.
            StatusCode::RANGE_NOT_SATISFIABLE => Ok(response),
            status if status.is_success() => Ok(response),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                self.set(None);
                Err(Failure::Denied(None))
            }
            StatusCode::NOT_FOUND => Err(Failure::NotFound),
            status if status.is_server_error() || [408, 429].contains(&status.as_u16()) => {
                Err(Failure::Passing(format!("status {status}")))
            }
            status => Err(Failure::Final(format!("status {status}"))),
        }
    }

    /// What an answer asks for, if we have it.
    async fn let_in(&self, headers: &HeaderMap) -> Result<Authorization, Failure> {
        let scope = format!("repository:{}:pull", self.repository);
        match Challenge::of(headers, &scope, self.plain) {
            Some(Challenge::Bearer(realm)) => Ok(Authorization::Bearer(self.token(&realm).await?)),
            Some(Challenge::Basic) if self.login.is_some() => Ok(Authorization::Basic),
            _ => Err(Failure::Denied(None)),
        }
    }

    async fn send(
        &self,
        url: &Url,
        headers: &HeaderMap,
        authorization: Option<&Authorization>,
    ) -> Result<Response, Failure> {
        let mut request = self.http.get(url.clone()).headers(headers.clone());
        match (authorization, &self.login) {
            (Some(Authorization::Bearer(token)), _) => request = request.bearer_auth(token),
            (Some(Authorization::Basic), Some(login)) => {
                request = request.basic_auth(&login.username, Some(&login.password));
            }
            _ => {}
        }
        request.send().await.map_err(|error| Failure::Passing(chain(&error.without_url())))
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
        let response = request.send().await.map_err(passing)?;
        match response.status() {
            status if status.is_success() => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(Failure::Denied(None)),
            status => return Err(Failure::Passing(format!("its token server says {status}"))),
        }
        let body = whole(response, LONGEST_TOKEN).await?;
        let token: Token = serde_json::from_slice(&body)
            .map_err(|_| Failure::Final("its token server gives no token".to_owned()))?;
        Ok(token.token)
    }

    /// Does `request` until it succeeds, the answer is final, or there were too many tries; waits longer each time. `None`
    /// where there is no such thing.
    pub(crate) async fn retry<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        act: &'static str,
        request: impl Fn() -> F,
    ) -> Result<Option<T>, Error> {
        for attempt in 1.. {
            match request().await {
                Ok(done) => return Ok(Some(done)),
                Err(Failure::NotFound | Failure::BlobUnknown(_)) => return Ok(None),
                Err(Failure::Passing(reason)) if attempt < TRIES => {
                    tracing::debug!(act, attempt, reason, "trying again");
                    pause(attempt).await;
                }
                Err(failure) => return Err(self.error(act, failure)),
            }
        }
        unreachable!("the loop ends at the last try")
    }

    /// What a failure that is not tried again means.
    pub(crate) fn error(&self, act: &'static str, failure: Failure) -> Error {
        let registry = self.registry.clone();
        match failure {
            Failure::Passing(reason) => Error::Connection { act, registry, reason, plain: self.plain },
            Failure::Denied(reason) => Error::Denied {
                registry,
                repository: self.repository.clone(),
                reason,
                authenticated: self.login.is_some(),
            },
            Failure::Final(reason) | Failure::BlobUnknown(reason) => {
                Error::Registry { act, registry, reason }
            }
            Failure::NotFound => {
                Error::Registry { act, registry, reason: "there is no such thing".to_owned() }
            }
        }
    }
}

/// Waits before another try, longer each time.
pub(crate) async fn pause(attempt: u32) {
    tokio::time::sleep(Duration::from_millis(100) * 2u32.pow(attempt)).await;
}

/// A body, which is refused where it is longer than `most`.
pub(crate) async fn whole(mut response: Response, most: usize) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|error| Failure::Passing(chain(&error.without_url())))?
    {
        body.extend_from_slice(&chunk);
        if body.len() > most {
            return Err(Failure::Final(format!("its answer is longer than {most} bytes")));
        }
    }
    Ok(body)
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, Error> {
    let failed = |source| Error::Certificates { path: path.to_owned(), source };
    let text = fs_err::read(path).map_err(failed)?;
    Certificate::from_pem_bundle(&text).map_err(|error| failed(std::io::Error::other(error)))
}
