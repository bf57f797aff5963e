//! Answers that were given before, kept as bytes: given again as long as nobody committed anything since.
//!
//! Whether that is so the database says each time, before it is answered (`Moment`): what is changed, through whichever server or
//! process, is seen at once. So this is for what is answered from the catalogue alone, by whom ever it is asked who may.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use provenv_workspace::Moment;

use crate::access::Caller;
use crate::api::has_tag;
use crate::problem::Problem;
use crate::state::Server;

/// What is answered from the catalogue alone.
const PATHS: &[&str] = &[
    "/api/v1/workspaces/{workspace}/definitions/{id}",
    "/api/v1/workspaces/{workspace}/environments",
    "/api/v1/workspaces/{workspace}/environments/{name}",
    "/api/v1/workspaces/{workspace}/environments/{name}/versions/{version}",
    "/api/v1/workspaces/{workspace}/environments/{name}/versions/{version}/history",
    "/api/v1/workspaces/{workspace}/environments/{name}/versions/{version}/lock",
    "/api/v1/workspaces/{workspace}/environments/{name}/versions/{version}/receipt",
];

/// How many bytes are kept, about.
const MOST: usize = 32 * 1024 * 1024;
/// The largest answer that is kept.
const LARGEST: usize = 512 * 1024;
/// What an answer takes besides its bytes.
const BESIDES: usize = 512;

/// An answer, and until when it holds.
struct Kept {
    moment: Moment,
    headers: HeaderMap,
    body: Bytes,
}

/// The answers of a server.
#[derive(Default)]
pub(crate) struct Remembered(Mutex<Generations>);

/// What was asked for lately, and before that: what nobody asks for again is forgotten with its generation.
#[derive(Default)]
struct Generations {
    young: HashMap<String, Arc<Kept>>,
    bytes: usize,
    old: HashMap<String, Arc<Kept>>,
}

impl Remembered {
    fn get(&self, place: &str, moment: &Moment) -> Option<Arc<Kept>> {
        let mut all = self.all();
        let kept = match all.young.get(place) {
            Some(kept) => Arc::clone(kept),
            None => {
                let kept = all.old.remove(place)?;
                all.add(place, Arc::clone(&kept));
                kept
            }
        };
        (kept.moment == *moment).then_some(kept)
    }

    fn keep(&self, place: &str, kept: Kept) {
        self.all().add(place, Arc::new(kept));
    }

    fn all(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn add(&mut self, place: &str, kept: Arc<Kept>) {
        let size = |kept: &Kept| place.len() + kept.body.len() + BESIDES;
        self.bytes += size(&kept);
        if let Some(before) = self.young.insert(place.to_owned(), kept) {
            self.bytes -= size(&before);
        }
        if self.bytes > MOST / 2 {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
    }
}

/// Answers as before where that still holds.
pub(crate) async fn again(
    State(server): State<Arc<Server>>,
    path: Option<MatchedPath>,
    parameters: Option<Path<HashMap<String, String>>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let is_kept = request.method() == Method::GET && path.is_some_and(|path| PATHS.contains(&path.as_str()));
    let workspace = parameters.as_ref().and_then(|parameters| parameters.get("workspace"));
    let Some(workspace) = workspace.filter(|_| is_kept) else { return next.run(request).await };
    let place = request.uri().path_and_query().map(|place| place.as_str().to_owned()).unwrap_or_default();
    let known = request.extensions().get::<Caller>().and_then(|caller| caller.moment.clone());
    let Some(moment) = server.moment(workspace, known).await else { return next.run(request).await };
    if let Some(kept) = server.remembered.get(&place, &moment) {
        let is_known = kept.headers.get(header::ETAG).and_then(|tag| tag.to_str().ok());
        let is_known = is_known.is_some_and(|tag| has_tag(request.headers(), tag));
        let mut headers = kept.headers.clone();
        if is_known {
            headers.remove(header::CONTENT_TYPE);
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        return (headers, kept.body.clone()).into_response();
    }
    let (parts, body) = next.run(request).await.into_parts();
    // What is empty because the client has it is nothing for another.
    if parts.status != StatusCode::OK {
        return Response::from_parts(parts, body);
    }
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return Problem::fault(&error).into_response(),
    };
    // Read in between, it may be of a moment that began since: then it is of none that can be told.
    if body.len() <= LARGEST && server.moment(workspace, None).await.as_ref() == Some(&moment) {
        let kept = Kept { moment, headers: parts.headers.clone(), body: body.clone() };
        server.remembered.keep(&place, kept);
    }
    Response::from_parts(parts, Body::from(body))
}
