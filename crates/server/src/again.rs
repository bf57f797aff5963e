//! `Idempotency-Key`: a request that is sent again, because its answer was not heard, is answered as it was.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use provenv_definition::Hasher;

use crate::access::Caller;
use crate::database::{Answered, secret};
use crate::problem::{MEDIA_TYPE, Problem, Result};
use crate::state::Server;

/// How long a turn lasts that nobody renews: after that, whoever had it is taken for dead.
const LASTS: jiff::SignedDuration = jiff::SignedDuration::from_secs(20);
/// How often it is renewed.
const RENEWED: Duration = Duration::from_secs(4);
/// How often somebody who waits for it looks.
const PACE: Duration = Duration::from_millis(50);

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The longest key.
const LONGEST: usize = 255;
/// The most bytes of a body, if nobody says.
pub(crate) const MOST: usize = 4 * 1024 * 1024;

/// Marks an answer that holds a secret: it is not kept.
#[derive(Clone, Copy)]
pub(crate) struct Secret;

/// Answers a POST with a key once.
pub(crate) async fn once(State(server): State<Arc<Server>>, request: Request<Body>, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>().cloned();
    let key = request.headers().get(KEY).cloned();
    let (Some(caller), Some(key), &Method::POST) = (caller, key, request.method()) else {
        return next.run(request).await;
    };
    match answer(&server, &caller, &key, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn answer(
    server: &Server,
    caller: &Caller,
    key: &HeaderValue,
    request: Request<Body>,
    next: Next,
) -> Result<Response> {
    let key = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= LONGEST);
    let key =
        key.ok_or_else(|| Problem::bad("idempotency-key-invalid", "the key is empty, too long or no text"))?;
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, server.body()).await.map_err(|_| {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            format!("the body has more than {} bytes", server.body()),
        )
    })?;
    let mut hasher = Hasher::new();
    for part in [parts.uri.to_string().as_bytes(), &body[..]] {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let digest = hasher.finish().hex();
    let turn = Turn::take(server, &caller.user, key).await?;
    let answered = match server.database.answered(&caller.user, key).await {
        Ok(Some(answered)) if answered.request == digest => Ok(replayed(answered)),
        Ok(Some(_)) => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency-key-reused",
            "this key was sent with another request",
        )
        .hint("take a new key for each request")),
        Ok(None) => {
            let request = Request::from_parts(parts, Body::from(body));
            let first = first(server, caller, key, digest, request, next);
            turn.keep_during(first).await
        }
        Err(error) => Err(error.into()),
    };
    turn.end().await;
    answered
}

/// The turn to answer a request: whoever asks again meanwhile, of whichever server, waits for it.
struct Turn<'a> {
    server: &'a Server,
    user: &'a str,
    key: &'a str,
    holder: String,
}

impl<'a> Turn<'a> {
    async fn take(server: &'a Server, user: &'a str, key: &'a str) -> Result<Self> {
        let turn = Self { server, user, key, holder: secret()? };
        while !turn.renew().await? {
            tokio::time::sleep(PACE).await;
        }
        Ok(turn)
    }

    async fn renew(&self) -> Result<bool> {
        Ok(self.server.database.take_turn(self.user, self.key, &self.holder, LASTS).await?)
    }

    /// Renews it until the answer is there.
    async fn keep_during<T>(&self, answer: impl Future<Output = Result<T>>) -> Result<T> {
        let mut answer = std::pin::pin!(answer);
        loop {
            tokio::select! {
                answer = &mut answer => return answer,
                () = tokio::time::sleep(RENEWED) => {
                    if let Err(problem) = self.renew().await {
                        tracing::warn!(why = problem.detail, "could not keep the turn of a request");
                    }
                }
            }
        }
    }

    async fn end(self) {
        if let Err(error) = self.server.database.end_turn(self.user, self.key, &self.holder).await {
            // It ends by itself.
            tracing::warn!(%error, "could not give back the turn of a request");
        }
    }
}

async fn first(
    server: &Server,
    caller: &Caller,
    key: &str,
    digest: String,
    request: Request<Body>,
    next: Next,
) -> Result<Response> {
    let (parts, body) = next.run(request).await.into_parts();
    if parts.extensions.get::<Secret>().is_some() {
        // That it was made is kept, and what it is is not: who did not hear it makes another.
        let told = Problem::new(
            StatusCode::CONFLICT,
            "answered-before",
            "this key was answered with a secret, which is kept nowhere",
        )
        .hint("look for what was made in the list, take it back, and ask with a new key");
        let answered = Answered {
            request: digest,
            status: told.status,
            media_type: MEDIA_TYPE.to_owned(),
            body: serde_json::to_vec(&*told).unwrap_or_default(),
        };
        server.database.keep_answer(&caller.user, key, &answered).await?;
        return Ok(Response::from_parts(parts, body));
    }
    let body: Bytes = body.collect().await.map_err(|error| Problem::fault(&error))?.to_bytes();
    // What failed here may go well another time.
    if !parts.status.is_server_error() {
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        server
            .database
            .keep_answer(
                &caller.user,
                key,
                &Answered {
                    request: digest,
                    status: parts.status.as_u16(),
                    media_type: kind.unwrap_or_default().to_owned(),
                    body: body.to_vec(),
                },
            )
            .await?;
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn replayed(answered: Answered) -> Response {
    let status = StatusCode::from_u16(answered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, answered.body).into_response();
    let headers = response.headers_mut();
    if let Ok(kind) = HeaderValue::try_from(answered.media_type) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
