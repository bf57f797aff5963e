//! Pulls of what is not built yet: a contributor's asks for the build and waits for it, a reader's waits for one that was asked for.
//!
//! HTTP has no way to say "still at it" that clients of registries heed, and whatever stands between cuts what is silent for
//! a minute. So a pull waits in legs: after each it is sent to the same place again (307), which clients follow, ten times at
//! most. Then it hears 503 and when to come back; the build goes on.

use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use provenv_workspace::{UnbuiltVersion, Visitor};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::database::{Job, JobStatus, NewJob};
use crate::problem::Result;
use crate::state::{Opened, Server, told_to_stop};

/// The longest leg: what stands between waits for at least half a minute.
const LEG: Duration = Duration::from_secs(25);
/// How many legs there are: clients follow ten redirections.
const LEGS: u32 = 10;
/// How often a job is looked at.
const PACE: Duration = Duration::from_millis(300);
/// A pull is in no more of a hurry than whoever asks for a build.
const PRIORITY: i64 = 0;
/// How long a failure is told before a pull asks for the build anew.
const REMEMBERED: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);
/// When those who were told to come back are to do so, in seconds.
const COME_BACK: u16 = 15;

/// Answers a request for a manifest that the registry does not have, where it is the image of a version that is registered and
/// not built.
pub(crate) async fn answer(
    server: &Server,
    workspace: &str,
    opened: &Opened,
    visitor: &Visitor,
    asked: &Parts,
) -> Result<Option<Response>> {
    if !matches!(asked.method, Method::GET | Method::HEAD) {
        return Ok(None);
    }
    let Some((repository, tag)) = of_path(workspace, asked.uri.path()) else { return Ok(None) };
    let Some(version) = opened.workspace.unbuilt_version(repository, tag).await? else { return Ok(None) };
    let UnbuiltVersion { name, version, lock, platform } = version;
    let last = server.database.last_job(workspace, &lock, platform).await?;
    let is_fresh =
        |job: &Job| job.ended_at.is_some_and(|at| jiff::Timestamp::now().duration_since(at) < REMEMBERED);
    if let Some(job) = last.as_ref().filter(|job| job.status == JobStatus::Failed && is_fresh(job)) {
        return Ok(Some(failed(job)));
    }
    // Builds are for contributors to ask for; whoever reads waits for one that somebody asked for.
    let mut job = if visitor.pushes {
        let new = NewJob {
            workspace,
            environment: &name,
            version: &version,
            lock,
            platform,
            priority: PRIORITY,
            created_by: &visitor.name,
            image: None,
        };
        let (job, is_new) = server.database.ask_job(&new).await?;
        server.queued.notify_one();
        if is_new {
            tracing::info!(
                by = visitor.name,
                workspace,
                name,
                version,
                job = job.id,
                "a pull asked for a build"
            );
        }
        job
    } else {
        match last.filter(|job| !job.status.is_end()) {
            Some(job) => job,
            None => return Ok(Some(not_asked_for(&name, &version))),
        }
    };
    let leg = (server.times.pull / LEGS).min(LEG);
    let until = Instant::now() + leg;
    let mut stopping = server.stopping.clone();
    while !job.status.is_end() {
        if Instant::now() >= until || *stopping.borrow() {
            return Ok(Some(waiting(asked, &job, server.times.pull)));
        }
        tokio::select! {
            () = sleep(PACE.min(leg)) => {}
            () = told_to_stop(&mut stopping) => {}
        }
        match server.database.job(workspace, &job.id).await? {
            Some(now) => job = now,
            None => break,
        }
    }
    if job.status == JobStatus::Failed {
        return Ok(Some(failed(&job)));
    }
    // What somebody did not want any more is not there, and the registry says so.
    let mut request = Request::new(Body::empty());
    request.method_mut().clone_from(&asked.method);
    request.uri_mut().clone_from(&asked.uri);
    request.headers_mut().clone_from(&asked.headers);
    Ok(Some(opened.registry.answer(request, visitor).await))
}

/// The repository within the workspace, and the tag.
fn of_path<'a>(workspace: &str, path: &'a str) -> Option<(&'a str, &'a str)> {
    let rest = path.strip_prefix("/v2/")?.strip_prefix(workspace)?.strip_prefix('/')?;
    let (repository, tag) = rest.rsplit_once("/manifests/")?;
    (!tag.contains(':')).then_some((repository, tag))
}

/// Sends a client to the same place again, or tells it to come back later.
fn waiting(asked: &Parts, job: &Job, patience: Duration) -> Response {
    let legs =
        asked.uri.query().and_then(|query| query.strip_prefix("leg=")).and_then(|leg| leg.parse().ok());
    let done: u32 = legs.unwrap_or(0) + 1;
    if done < LEGS && !patience.is_zero() {
        let place = format!("{}?leg={done}", asked.uri.path());
        if let Ok(place) = HeaderValue::try_from(place) {
            return (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, place)]).into_response();
        }
    }
    let message = format!("it is being built, as {}: come back later", job.id);
    let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", &message, &of_job(job));
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(COME_BACK));
    response
}

/// Says that there is no image, and why.
fn failed(job: &Job) -> Response {
    let why = job.error.as_ref().map(|error| error.message.as_str()).unwrap_or_default();
    let message = format!("its build {} failed: {why}", job.id);
    refusal(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", &message, &of_job(job))
}

/// Says to whoever only reads that nobody has asked for the build.
fn not_asked_for(name: &str, version: &str) -> Response {
    let message = format!("{name}:{version} is registered and not built, and a reader's pull builds nothing");
    let hint = "a contributor asks for it: `provenv build`, or a pull of theirs";
    refusal(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", &message, &json!({ "reason": hint }))
}

fn of_job(job: &Job) -> Value {
    json!({ "job": job.id, "status": job.status })
}

fn refusal(status: StatusCode, code: &str, message: &str, detail: &Value) -> Response {
    let body = json!({ "errors": [{ "code": code, "message": message, "detail": detail }] }).to_string();
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}
