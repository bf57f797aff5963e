//! One exchange: redirects followed by hand, each hop with its own credentials.

use provenv_definition::SafeUrl;
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Response, StatusCode};
use url::Url;

use crate::fetcher::Encoding;
use crate::retry::{Failure, is_transient, retry_after};
use crate::{Credentials, Error, Fetcher};

const MOST_REDIRECTS: usize = 10;

/// An answer with a status of success, or 304 or 416 where the headers can bring those about.
pub(crate) struct Answer {
    pub response: Response,
    /// Where it came from, after redirects.
    pub url: Url,
}

/// Asks for `url`. `linked`: a server named it, not the user.
pub(crate) async fn get(
    fetcher: &Fetcher,
    url: &Url,
    linked: bool,
    encoding: Encoding,
    headers: &HeaderMap,
) -> Result<Answer, Failure> {
    let client = fetcher.client(encoding)?;
    let safe = Box::new(SafeUrl::new(url.clone()));
    let mut hop = if linked { url.clone() } else { fetcher.with_variables(url)? };
    let mut credentials = fetcher.credentials_for(&hop, linked).await?;
    for _ in 0..=MOST_REDIRECTS {
        if !matches!(hop.scheme(), "http" | "https") {
            return Err(Error::Scheme(SafeUrl::new(hop).into()).into());
        }
        let mut bare = hop.clone();
        // Fail only for URLs without a host, which http has not.
        let _ = bare.set_username("");
        let _ = bare.set_password(None);
        let mut request = client.get(bare).headers(headers.clone());
        if let Some(Credentials { username, password }) = &credentials {
            request = request.basic_auth(username, Some(password));
        }
        let response = request.send().await.map_err(|error| {
            let error = Error::of_exchange(&safe, 0, fetcher.options().stall_timeout.as_secs(), error);
            match error {
                Error::Certificate { .. } => Failure::Final(error),
                error => Failure::Transient(error, None),
            }
        })?;
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
                return Ok(Answer { response, url: hop });
            }
            status if status.is_success() => return Ok(Answer { response, url: hop }),
            status => return Err(refused(safe, status.as_u16(), credentials.is_some(), response.headers())),
        }
    }
    Err(Error::Redirect { url: safe, why: "too often" }.into())
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

fn refused(url: Box<SafeUrl>, status: u16, with_credentials: bool, headers: &HeaderMap) -> Failure {
    match status {
        401 | 403 | 407 => Failure::Final(Error::Unauthorized { url, status, with_credentials }),
        404 | 410 => Failure::Final(Error::NotFound { url, status }),
        _ if is_transient(status) => Failure::Transient(Error::Status { url, status }, retry_after(headers)),
        _ => Failure::Final(Error::Status { url, status }),
    }
}
