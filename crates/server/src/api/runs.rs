//! Runs: they run on the machines of those who begin them, and are on record here.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use provenv_workspace::{RemoteRun, ReportedRun, RunNow, RunStatus};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::changes::of_change;
use super::sent::{Asked, At, From, Sent, limit, text};
use crate::access::Caller;
use crate::database::Action;
use crate::problem::{Problem, Result};
use crate::state::Server;

/// A part of a list of runs.
#[derive(Serialize, ToSchema)]
pub struct Runs {
    /// The newest first.
    #[schema(value_type = Vec<Object>)]
    runs: Vec<RemoteRun>,
    /// What to give as `after` for the next part, if there is one.
    next: Option<String>,
}

/// Which part of a list is wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The `next` of the part before.
    after: Option<String>,
    /// At most so many, 1 to 500; 50 if not said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Lists runs, newest first.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/runs", tag = "runs",
    params(("workspace" = String, Path), Part),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = Runs),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn list(
    State(server): State<Arc<Server>>,
    At(workspace): At<String>,
    Asked(part): Asked<Part>,
) -> Result<Json<Runs>> {
    let opened = server.workspace(&workspace).await?;
    let limit = limit(part.limit)?;
    let (runs, next) = opened.workspace.runs_page(limit, part.after.as_deref()).await?;
    Ok(Json(Runs { runs, next }))
}

/// Shows a run.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/runs/{id}", tag = "runs",
    params(("workspace" = String, Path), ("id" = String, Path)),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = Object),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn run(
    State(server): State<Arc<Server>>,
    At((workspace, id)): At<(String, String)>,
) -> Result<Json<RemoteRun>> {
    let opened = server.workspace(&workspace).await?;
    Ok(Json(opened.workspace.run_details(&id).await?.into()))
}

/// Says that a run begins on a machine elsewhere. The same may be said again, where the answer was not heard.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/runs", tag = "runs",
    params(("workspace" = String, Path)), request_body = Object,
    extensions(("x-provenv-role" = json!("contributor"))),
    responses((status = 201, body = Object),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn begin(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At(workspace): At<String>,
    Sent(run): Sent<ReportedRun>,
) -> Result<(StatusCode, Json<RemoteRun>)> {
    let opened = server.workspace(&workspace).await?;
    let is_new = opened.workspace.report_run(&run, &caller.user).await.map_err(of_change)?;
    let (id, environment) = (&run.id, &run.environment);
    let begun = (&*workspace, Action::RunBegin, &**id);
    server.database.record_first(&caller.user, begun, ("environment", environment)).await?;
    tracing::info!(by = caller.user, workspace, run = id, environment, is_new, "a run began");
    Ok((StatusCode::CREATED, Json(opened.workspace.run_details(&run.id).await?.into())))
}

/// Says that a run goes on, at least every five minutes, or how it ended, which it does once. Only whoever began it does.
#[utoipa::path(patch, path = "/api/v1/workspaces/{workspace}/runs/{id}", tag = "runs",
    params(("workspace" = String, Path), ("id" = String, Path)), request_body = Object,
    extensions(("x-provenv-role" = json!("contributor"))),
    responses((status = 200, body = Object),
        (status = 409, description = "It ended, and otherwise than is told now", body = Problem,
            content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn tell(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At((workspace, id)): At<(String, String)>,
    Sent(now): Sent<RunNow>,
) -> Result<Json<RemoteRun>> {
    let opened = server.workspace(&workspace).await?;
    opened.workspace.hear_of_run(&id, &now, &caller.user).await.map_err(of_change)?;
    if now.status != RunStatus::Running {
        let ended = (&*workspace, Action::RunEnd, &*id);
        server.database.record_first(&caller.user, ended, ("status", now.status.as_str())).await?;
    }
    Ok(Json(opened.workspace.run_details(&id).await?.into()))
}

/// A part of a run's log, of 1 MiB at the most; nothing at its end.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/runs/{id}/log", tag = "runs",
    params(("workspace" = String, Path), ("id" = String, Path), From),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = String, content_type = "text/plain"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn log(
    State(server): State<Arc<Server>>,
    At((workspace, id)): At<(String, String)>,
    Asked(from): Asked<From>,
) -> Result<Response> {
    let opened = server.workspace(&workspace).await?;
    Ok(text(opened.workspace.run_log_part(&id, from.offset.0).await?))
}

/// Keeps a part of a run's log, while it runs. Only whoever began the run does.
#[utoipa::path(put, path = "/api/v1/workspaces/{workspace}/runs/{id}/log", tag = "runs",
    params(("workspace" = String, Path), ("id" = String, Path), From),
    request_body(content = String, content_type = "application/octet-stream"),
    extensions(("x-provenv-role" = json!("contributor"))),
    responses((status = 204),
        (status = 409, description = "It ended", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn keep_log(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At((workspace, id)): At<(String, String)>,
    Asked(from): Asked<From>,
    part: Bytes,
) -> Result<StatusCode> {
    let opened = server.workspace(&workspace).await?;
    opened.workspace.keep_run_log(&id, from.offset.0, &part, &caller.user).await.map_err(of_change)?;
    Ok(StatusCode::NO_CONTENT)
}
