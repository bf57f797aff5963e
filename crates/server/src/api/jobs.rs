//! Builds: asked for, listed, canceled.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use provenv_definition::Platform;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::environments::not_locked;
use super::sent::{Asked, At, json, limit};
use crate::access::Caller;
use crate::database::{Job, JobStatus, NewJob};
use crate::problem::{Problem, Result};
use crate::state::Server;

/// How a build is wanted.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AskedBuild {
    /// What the image is for; the definition's first platform, if not said.
    #[schema(value_type = Option<String>, example = "linux/amd64")]
    platform: Option<Platform>,
    /// Those with more come first.
    #[schema(minimum = -100, maximum = 100)]
    priority: i64,
}

/// A part of a list of jobs.
#[derive(Serialize, ToSchema)]
pub struct Jobs {
    /// The jobs, newest first.
    jobs: Vec<Job>,
    /// What to give as `after` for the next part, if there may be one.
    next: Option<String>,
}

/// Which jobs are listed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only those that are so far.
    status: Option<JobStatus>,
    /// The `next` of the part before.
    after: Option<String>,
    /// At most so many, 1 to 500; 50 if not said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Asks for the image of a version. However many ask, it is built once: they are given the same job. Where the image is there
/// already, the job has succeeded.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/environments/{name}/versions/{version}/build",
    tag = "builds",
    params(("workspace" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    request_body = Option<AskedBuild>,
    extensions(("x-provenv-role" = json!("contributor"))),
    responses((status = 202, body = Job),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn build(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At((workspace, name, version)): At<(String, String, String)>,
    body: Bytes,
) -> Result<Response> {
    let asked: AskedBuild = if body.is_empty() { AskedBuild::default() } else { json(&body)? };
    if !(-100..=100).contains(&asked.priority) {
        return Err(Problem::bad("priority-invalid", "a priority is from -100 to 100"));
    }
    let opened = server.workspace(&workspace).await?;
    let found = opened.workspace.version_details(&name, &version).await?;
    let lock = found.lock.ok_or_else(|| not_locked(&name))?;
    let platforms = &found.environment.definition.platforms;
    let platform = asked.platform.or_else(|| platforms.first().copied()).unwrap_or_default();
    if !platforms.is_empty() && !platforms.contains(&platform) {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "platform-not-locked",
            format!("`{name}` has no lock for {platform}"),
        ));
    }
    let version = found.version.unwrap_or(version);
    server.borrow_image(&opened, &workspace, &name, &lock).await?;
    let (job, is_new) = server
        .database
        .ask_job(&NewJob {
            workspace: &workspace,
            environment: &name,
            version: &version,
            lock,
            platform,
            priority: asked.priority,
            created_by: &caller.user,
            image: opened.workspace.built_image(&lock, platform).await?,
        })
        .await?;
    server.queued.notify_one();
    tracing::info!(by = caller.user, workspace, name, version, job = job.id, is_new, "asked for a build");
    let place = HeaderValue::try_from(format!("/api/v1/workspaces/{workspace}/jobs/{}", job.id));
    let mut response = (StatusCode::ACCEPTED, Json(job)).into_response();
    if let Ok(place) = place {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// Lists builds, newest first.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/jobs", tag = "builds",
    params(("workspace" = String, Path), Filter),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = Jobs),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn list(
    State(server): State<Arc<Server>>,
    At(workspace): At<String>,
    Asked(filter): Asked<Filter>,
) -> Result<Json<Jobs>> {
    server.workspace(&workspace).await?;
    let limit = limit(filter.limit)?;
    let jobs = server.database.jobs(&workspace, filter.status, filter.after.as_deref(), limit).await?;
    let next = (jobs.len() == limit as usize).then(|| jobs.last().map(|job| job.id.clone())).flatten();
    Ok(Json(Jobs { jobs, next }))
}

/// Shows a build.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/jobs/{id}", tag = "builds",
    params(("workspace" = String, Path), ("id" = String, Path)),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = Job),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn job(
    State(server): State<Arc<Server>>,
    At((workspace, id)): At<(String, String)>,
) -> Result<Json<Job>> {
    Ok(Json(find_job(&server, &workspace, &id).await?))
}

/// Stops a build: one that waits at once, one that runs as soon as its worker hears of it. One that was asked to stop before is
/// given as it is; one that ended otherwise is `build-ended`.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/jobs/{id}/cancel", tag = "builds",
    params(("workspace" = String, Path), ("id" = String, Path)),
    extensions(("x-provenv-role" = json!("contributor"))),
    responses((status = 200, body = Job),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn cancel(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At((workspace, id)): At<(String, String)>,
) -> Result<Json<Job>> {
    server.workspace(&workspace).await?;
    let job = server.database.cancel_job(&workspace, &id, &caller.user).await?.ok_or_else(|| no_job(&id))?;
    if job.status.is_end() && !job.cancel_asked {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "build-ended",
            format!("the build `{id}` is not stopped: it ended before ({})", job.status),
        )
        .hint(format!("`provenv builds show {id}`, or GET …/jobs/{id}, says what came of it")));
    }
    tracing::info!(by = caller.user, workspace, job = id, "asked a build to stop");
    Ok(Json(job))
}

/// Asks once more for a build that ended: the same version, for the same platform. One that has not ended, and an image that is
/// there, are given as they are.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/jobs/{id}/retry", tag = "builds",
    params(("workspace" = String, Path), ("id" = String, Path)),
    extensions(("x-provenv-role" = json!("contributor"))),
    responses((status = 202, body = Job),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn retry(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At((workspace, id)): At<(String, String)>,
) -> Result<(StatusCode, Json<Job>)> {
    let opened = server.workspace(&workspace).await?;
    let old = find_job(&server, &workspace, &id).await?;
    server.borrow_image(&opened, &workspace, &old.environment, &old.lock).await?;
    let (job, _) = server
        .database
        .ask_job(&NewJob {
            workspace: &workspace,
            environment: &old.environment,
            version: &old.version,
            lock: old.lock,
            platform: old.platform,
            priority: old.priority,
            created_by: &caller.user,
            image: opened.workspace.built_image(&old.lock, old.platform).await?,
        })
        .await?;
    server.queued.notify_one();
    tracing::info!(by = caller.user, workspace, job = job.id, after = id, "asked for a build again");
    Ok((StatusCode::ACCEPTED, Json(job)))
}

/// A job that is there.
pub async fn find_job(server: &Server, workspace: &str, id: &str) -> Result<Job> {
    server.database.job(workspace, id).await?.ok_or_else(|| no_job(id))
}

fn no_job(id: &str) -> Box<Problem> {
    Problem::missing("job-not-found", format!("there is no build `{id}` in this workspace"))
        .hint("`provenv builds list`, or GET …/jobs, lists them")
}
