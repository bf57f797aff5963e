//! What clients send, taken apart; what is wrong with it is said as a problem.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use provenv_definition::Digest;
use provenv_workspace::has_nul;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::IntoParams;

use crate::problem::{Problem, Result};

/// A body in JSON.
pub struct Sent<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = Box<Problem>;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let is_json = kind
            .is_some_and(|kind| kind.split(';').next().is_some_and(|kind| kind.trim() == "application/json"));
        if !is_json {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not-json",
                "the body is not said to be application/json",
            ));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            let code = if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                "too-large"
            } else {
                "body-unreadable"
            };
            Problem::new(rejection.status(), code, rejection.body_text())
        })?;
        Ok(Self(json(&bytes)?))
    }
}

/// A body in JSON, taken apart.
pub fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let parsed = serde_json::from_slice(body);
    let parsed =
        parsed.map_err(|error| Problem::bad("body-invalid", format!("the body cannot be used: {error}")))?;
    if has_nul(body) {
        return Err(Problem::bad("body-invalid", "a text in the body has the character U+0000")
            .hint("take it out: not every database keeps it"));
    }
    Ok(parsed)
}

/// Parameters of the query.
pub struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Asked<T> {
    type Rejection = Box<Problem>;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        Ok(Self(Query::from_request_parts(parts, state).await?.0))
    }
}

/// Which parameters of a query may be there several times.
pub trait Repeated {
    /// Their names.
    const NAMES: &'static [&'static str];

    /// One of them.
    fn take(&mut self, name: &str, value: String);
}

/// Parameters of the query, some of which may be there several times.
pub struct Many<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Repeated> FromRequestParts<S> for Many<T> {
    type Rejection = Box<Problem>;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let query = parts.uri.query().unwrap_or_default();
        let (many, once): (Vec<_>, Vec<_>) =
            form_urlencoded::parse(query.as_bytes()).partition(|(name, _)| T::NAMES.contains(&&**name));
        let once = form_urlencoded::Serializer::new(String::from("/?")).extend_pairs(once).finish();
        let once: axum::http::Uri =
            once.parse().map_err(|_| Problem::bad("parameter-invalid", "the query is none"))?;
        let mut value = Query::<T>::try_from_uri(&once)?.0;
        many.into_iter().for_each(|(name, one)| value.take(&name, one.into_owned()));
        Ok(Self(value))
    }
}

/// Parameters of the path.
pub struct At<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for At<T> {
    type Rejection = Box<Problem>;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        Ok(Self(Path::from_request_parts(parts, state).await?.0))
    }
}

/// How much of a list is given where nobody says.
const USUAL: u32 = 50;
/// And at most.
const MOST: u32 = 500;

/// How much of a list was asked for.
pub fn limit(asked: Option<u32>) -> Result<u32> {
    match asked.unwrap_or(USUAL) {
        limit @ 1..=MOST => Ok(limit),
        other => Err(Problem::bad("limit-invalid", format!("`limit` is {other}, and can be 1 to {MOST}"))),
    }
}

/// A number or a place that databases and files can have: below 2^63. Descriptions say so with `maximum`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Whole(pub u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        if i64::try_from(number).is_err() {
            return Err(D::Error::custom(format!("{number} is more than {}", i64::MAX)));
        }
        Ok(Self(number))
    }
}

/// Where a part of a log begins.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct From {
    /// How many bytes come before; none, if not said.
    #[param(value_type = Option<u64>, maximum = 9_223_372_036_854_775_807_i64)]
    #[serde(default)]
    pub offset: Whole,
}

/// Text as it stands: a part of a log.
pub fn text(part: impl Into<Body>) -> Response {
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], part.into()).into_response()
}

/// The tag of a text.
pub fn tag_of(body: &[u8]) -> String {
    format!("\"{}\"", Digest::of(body).hex())
}

/// Whether a client says that it has what has this tag.
pub fn has_tag(headers: &HeaderMap, tag: &str) -> bool {
    let has = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut has = has.flat_map(|value| value.split(',')).map(|one| one.trim().trim_start_matches("W/"));
    has.any(|one| one == tag || one == "*")
}

/// Text that cannot change, or not without another tag: with its tag, and empty where the client has it.
pub fn tagged(headers: &HeaderMap, body: Vec<u8>, kind: &'static str, never_changes: bool) -> Response {
    let tag = tag_of(&body);
    let mut response = if has_tag(headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], body).into_response()
    };
    let control = if never_changes { "private, max-age=31536000, immutable" } else { "private, no-cache" };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(control));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// A value in JSON, with its tag.
pub fn tagged_json(headers: &HeaderMap, value: &impl Serialize) -> Result<Response> {
    Ok(tagged(headers, to_json(value)?, "application/json", false))
}

/// A value in JSON, as it is sent and as its tag is of.
pub fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Problem::fault(&error))
}
