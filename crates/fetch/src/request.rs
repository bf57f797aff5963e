//! One exchange: redirects followed by hand, each hop with its own credentials.

use provenv_definition::SafeUrl;
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use url::Url;

use crate::credentials::Authentication;
use crate::fetcher::Encoding;
use crate::oci::Located;
use crate::retry::{Failure, is_transient, retry_after};
use crate::{Credentials, Error, Fetcher, oci};

const MOST_REDIRECTS: usize = 10;

/// An answer with a status of success, or 304 or 416 where the headers can bring those about.
pub(crate) struct Answer {
    pub response: Response,
    pub source: Source,
}

/// Where an answer came from.
pub(crate) struct Source {
    /// After redirects, with the user's variables where the URL that was asked has them.
    pub url: Url,
    /// The same for messages. Of where a redirect leads to it is the host alone: whoever may follow a redirect often finds
    /// the secret that lets him in its path.
    pub shown: SafeUrl,
}

impl Source {
    /// `at`, which was come to from `url`, whose variables had been filled in as `filled`.
    fn new(url: &Url, filled: &Url, at: &Url) -> Self {
        if at == filled {
            return Self { url: url.clone(), shown: SafeUrl::new(url.clone()) };
        }
        let mut shown = at.clone();
        shown.set_path("");
        Self { url: with_variables_again(url, filled, at), shown: SafeUrl::new(shown) }
    }
}

/// `at` with the parts of its path that `filled` has in the same place as `url` has them.
fn with_variables_again(url: &Url, filled: &Url, at: &Url) -> Url {
    let mut again = at.clone();
    if at.origin() != filled.origin() {
        return again;
    }
    let segments =
        |url: &Url| -> Vec<String> { url.path_segments().into_iter().flatten().map(str::to_owned).collect() };
    let (asked, filled) = (segments(url), segments(filled));
    let path = segments(at).into_iter().enumerate().map(|(position, segment)| {
        let is_filled = filled.get(position) == Some(&segment);
        asked.get(position).filter(|_| is_filled).cloned().unwrap_or(segment)
    });
    // Joined by hand: they are escaped already.
    again.set_path(&path.collect::<Vec<_>>().join("/"));
    again
}

/// What is asked.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub method: &'a Method,
    pub url: &'a Url,
    /// Whether a server named the URL, not the user, and of how many parts of its path the user did.
    pub linked: Option<usize>,
    pub encoding: Encoding,
    pub headers: &'a HeaderMap,
    /// Whether "there is no such thing" is an answer too.
    pub or_nothing: bool,
    /// How many mirrors are left for the last: their answers were of no use.
    pub after: usize,
}

/// Asks for it, of the mirrors where it has some: the next one where one fails.
pub(crate) async fn send(fetcher: &Fetcher, question: Question<'_>) -> Result<Answer, Failure> {
    let own = question.linked.unwrap_or(usize::MAX);
    let Some(mut mirrors) = fetcher.mirrors(question.url) else {
        return exchange(fetcher, question, own).await;
    };
    if !mirrors.is_empty() {
        let first = question.after % mirrors.len();
        mirrors.rotate_left(first);
    }
    let mut last = None;
    for (url, prefix) in &mirrors {
        // The user named it, though not what a server says is below it.
        let own = if question.linked.is_some() { *prefix } else { own };
        let answer = exchange(fetcher, Question { url, linked: None, ..question }, own).await;
        match answer {
            Ok(answer) if !is_nothing(answer.response.status()) => return Ok(answer),
            Ok(_) if last.is_none() => last = Some(answer),
            Ok(_) => {}
            Err(Failure::Final(error)) if error.is_local() => return Err(Failure::Final(error)),
            Err(ref failure) => {
                tracing::info!(url = %SafeUrl::new(url.clone()), ?failure, "the mirror failed");
                last = Some(answer);
            }
        }
    }
    match last {
        Some(answer) => answer,
        None => exchange(fetcher, question, own).await,
    }
}

/// Asks for it at its URL, in whose path the variables of the first `own` segments count.
async fn exchange(fetcher: &Fetcher, question: Question<'_>, own: usize) -> Result<Answer, Failure> {
    let Question { method, url, linked, encoding, headers, or_nothing, .. } = question;
    let linked = linked.is_some();
    let client = fetcher.client(encoding)?;
    let safe = Box::new(SafeUrl::new(url.clone()));
    let filled = fetcher.with_variables(url, own)?;
    let mut hop = filled.clone();
    let source = |hop: &Url| Source::new(url, &filled, hop);
    let in_registry = (hop.scheme() == "oci").then(|| hop.clone());
    let mut credentials;
    // Where a registry's token that was kept is still to be tried.
    let mut tried = None;
    if let Some(layer) = &in_registry {
        match oci::locate(fetcher, &client, layer, &safe, linked, None).await? {
            Some(Located { blob, authentication, is_kept }) => {
                (hop, credentials) = (blob, authentication);
                tried = is_kept.then(|| hop.clone());
            }
            None if or_nothing => return Ok(Answer { response: nothing(), source: source(&hop) }),
            None => return Err(Error::NotFound { url: safe, status: 404 }.into()),
        }
    } else {
        credentials = fetcher.credentials_for(url, linked).await?;
    }
    for _ in 0..=MOST_REDIRECTS {
        if !matches!(hop.scheme(), "http" | "https") {
            return Err(Error::Scheme(source(&hop).shown.into()).into());
        }
        let mut bare = hop.clone();
        // Fail only for URLs without a host, which http has not.
        let _ = bare.set_username("");
        let _ = bare.set_password(None);
        if let Some(Authentication::PathToken(token)) = &credentials {
            put_token(&mut bare, token);
        }
        let request = client.request(method.clone(), bare).headers(headers.clone());
        let request = authenticated(request, credentials.as_ref());
        let response = request.send().await.map_err(|error| failed(fetcher, &safe, 0, error))?;
        match response.status() {
            StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT => {
                let next = next_hop(&safe, &hop, &response)?;
                // The same origin keeps what the URL brought; another one gets what is its own.
                if next.origin() != hop.origin() {
                    credentials = fetcher.credentials_for(&next, true).await?;
                }
                hop = next;
            }
            StatusCode::NOT_MODIFIED | StatusCode::RANGE_NOT_SATISFIABLE => {
                return Ok(Answer { response, source: source(&hop) });
            }
            status if status.is_success() || or_nothing && is_nothing(status) => {
                return Ok(Answer { response, source: source(&hop) });
            }
            // The token was good for the manifest, and is over: once more with another one.
            StatusCode::UNAUTHORIZED if tried.take().is_some_and(|blob| blob == hop) => {
                let again = match &in_registry {
                    Some(layer) => {
                        oci::locate(fetcher, &client, layer, &safe, linked, credentials.as_ref()).await?
                    }
                    None => None,
                };
                let Some(again) = again else {
                    return Err(Error::NotFound { url: safe, status: 404 }.into());
                };
                (hop, credentials) = (again.blob, again.authentication);
            }
            status => return Err(refused(safe, status.as_u16(), credentials.is_some(), response.headers())),
        }
    }
    Err(Error::Redirect { url: safe, why: "too often" }.into())
}

/// What it means that no answer came, or that it broke off after `received` bytes.
pub(crate) fn failed(fetcher: &Fetcher, url: &SafeUrl, received: u64, error: reqwest::Error) -> Failure {
    let stall_seconds = fetcher.options().stall_timeout.as_secs();
    match Error::of_exchange(url, received, stall_seconds, error) {
        error @ Error::Certificate { .. } => Failure::Final(error),
        error => Failure::Transient(error, None),
    }
}

/// The request with what a header can carry of `credentials`.
pub(crate) fn authenticated(request: RequestBuilder, credentials: Option<&Authentication>) -> RequestBuilder {
    match credentials {
        Some(Authentication::Basic(Credentials { username, password })) => {
            request.basic_auth(username, Some(password))
        }
        Some(Authentication::Bearer(token)) => request.bearer_auth(token),
        Some(Authentication::PathToken(_)) | None => request,
    }
}

/// The answer of a server that has no such thing.
fn nothing() -> Response {
    let mut response = http::Response::new("");
    *response.status_mut() = StatusCode::NOT_FOUND;
    response.into()
}

/// Statuses that say that there is no such thing, or no such service.
fn is_nothing(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::NOT_IMPLEMENTED)
}

/// Puts a token before the path, as the servers of conda channels take it: `/t/TOKEN/channel`. A URL that has one keeps it.
fn put_token(url: &mut Url, token: &str) {
    if url.path().starts_with("/t/") {
        return;
    }
    let path = format!("/t/{token}{}", url.path());
    url.set_path(&path);
}

fn next_hop(asked: &SafeUrl, hop: &Url, response: &Response) -> Result<Url, Error> {
    let error = |why| Error::Redirect { url: asked.clone().into(), why };
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let next = location.and_then(|location| hop.join(location).ok()).ok_or_else(|| error("to nowhere"))?;
    if hop.scheme() == "https" && next.scheme() != "https" {
        return Err(error("from https to something unprotected"));
    }
    Ok(next)
}

pub(crate) fn refused(
    url: Box<SafeUrl>,
    status: u16,
    with_credentials: bool,
    headers: &HeaderMap,
) -> Failure {
    match status {
        401 | 403 | 407 => Failure::Final(Error::Unauthorized { url, status, with_credentials }),
        404 | 410 => Failure::Final(Error::NotFound { url, status }),
        _ if is_transient(status) => Failure::Transient(Error::Status { url, status }, retry_after(headers)),
        _ => Failure::Final(Error::Status { url, status }),
    }
}
