//! How a request is answered: with a file or a part of it, or wrongly on purpose.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

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

use super::{Fault, Inner, Logged, Shared, lock};

/// Answers a request, and writes it down.
pub(super) async fn answer(State(shared): State<Shared>, request: Request) -> Response<Body> {
    let path = percent_decode(request.uri().path());
    let mut inner = lock(&shared);
    let authorization = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    // Put in place each time, so that faults befall it as they do any file.
    if let Some(answer) = inner.access.give(&path) {
        inner.tree.insert(&path, "application/json", answer);
    }
    let response = if let Some(wanted) = inner.access.admit(&path, authorization) {
        let fault = inner.faults.get_mut(wanted).and_then(VecDeque::pop_front);
        let fault = fault.or_else(|| inner.lasting_faults.get(wanted).cloned());
        let fault = fault.or_else(|| redirect(&inner, wanted));
        respond(&inner, wanted, request.method(), request.headers(), fault.as_ref())
    } else {
        unauthorized(&inner.access.challenge())
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

fn redirect(inner: &Inner, path: &str) -> Option<Fault> {
    inner.redirects.iter().find_map(|(from, base)| {
        let rest = path.strip_prefix(from.as_str()).filter(|rest| rest.starts_with('/'))?;
        Some(Fault::Redirect(format!("{base}{rest}")))
    })
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
    let etag = format!("\"{}\"", file.version);
    let mut response = Response::new(Body::empty());
    let out = response.headers_mut();
    out.insert(
        CONTENT_TYPE,
        HeaderValue::from_str(&file.content_type).expect("a content type is a header value"),
    );
    if !inner.without_validators {
        if !inner.without_tags {
            out.insert(ETAG, HeaderValue::from_str(&etag).expect("hexadecimal is a header value"));
        }
        out.insert(LAST_MODIFIED, HeaderValue::from_static(MODIFIED));
        let fresh = match header(IF_NONE_MATCH) {
            Some(tags) => tags.split(',').any(|tag| tag.trim() == etag || tag.trim() == "*"),
            None => header(IF_MODIFIED_SINCE) == Some(MODIFIED),
        };
        if fresh {
            if inner.without_tags {
                response.headers_mut().remove(LAST_MODIFIED);
            }
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

fn unauthorized(challenge: &str) -> Response<Body> {
    let mut response = plain(StatusCode::UNAUTHORIZED);
    let challenge = HeaderValue::from_str(challenge).expect("a challenge is a header value");
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
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
