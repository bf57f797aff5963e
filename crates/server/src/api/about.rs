//! The server itself: whether it is well, what it counts, what it can.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Caller;
use crate::database::Role;
use crate::problem::{Problem, Result};
use crate::state::Server;

/// That it is well.
#[derive(Serialize, ToSchema)]
pub struct Well {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
    /// The version that runs.
    version: &'static str,
}

const WELL: Well = Well { status: "ok", version: env!("CARGO_PKG_VERSION") };

/// Says that the process answers.
#[utoipa::path(get, path = "/healthz", tag = "server", security(()),
    extensions(("x-provenv-role" = json!("anybody"))),
    responses((status = 200, body = Well)))]
pub async fn healthz() -> Json<Well> {
    Json(WELL)
}

/// Says whether requests can be answered: the database is there, and the server is not about to stop.
#[utoipa::path(get, path = "/readyz", tag = "server", security(()),
    extensions(("x-provenv-role" = json!("anybody"))),
    responses((status = 200, body = Well),
        (status = 503, description = "It cannot", body = Problem, content_type = "application/problem+json")))]
pub async fn readyz(State(server): State<Arc<Server>>) -> Result<Json<Well>> {
    let unready = |detail: &str| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", detail);
    if *server.stopping.borrow() {
        return Err(unready("the server is about to stop"));
    }
    if !server.database.is_well().await {
        return Err(unready("the database does not answer"));
    }
    Ok(Json(WELL))
}

/// What is counted, in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "server",
    extensions(("x-provenv-role" = json!("user"))),
    responses((status = 200, body = String, content_type = "application/openmetrics-text"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn metrics(State(server): State<Arc<Server>>) -> Result<Response> {
    server.metrics.look(&server.database).await?;
    server.metrics.catalogues(server.catalogue_connections().await);
    let text = server.metrics.text().map_err(|error| Problem::fault(&error))?;
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// The description of this API (OpenAPI 3.1).
#[utoipa::path(get, path = "/openapi.json", tag = "server", security(()),
    extensions(("x-provenv-role" = json!("anybody"))),
    responses((status = 200, body = Object)))]
pub async fn description(State(server): State<Arc<Server>>) -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], server.description.clone()).into_response()
}

/// Whose token it is.
#[derive(Serialize, ToSchema)]
pub struct Whoami {
    /// The user.
    #[schema(example = "ann")]
    user: String,
    /// Their role on the server as a whole, if they have one.
    role: Option<Role>,
}

/// Says whose token it is.
#[utoipa::path(get, path = "/api/v1/whoami", tag = "tokens",
    extensions(("x-provenv-role" = json!("user"))),
    responses((status = 200, body = Whoami),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn whoami(caller: Caller) -> Json<Whoami> {
    Json(Whoami { user: caller.user, role: caller.role })
}
