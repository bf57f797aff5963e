//! Workspaces: which there are for somebody, and new ones.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::sent::Sent;
use crate::access::Caller;
use crate::database::Role;
use crate::problem::{Problem, Result};
use crate::state::Server;

/// A workspace, to somebody.
#[derive(Serialize, ToSchema)]
pub struct WorkspaceSummary {
    /// Its name.
    #[schema(example = "default")]
    name: String,
    /// The role of whoever asks.
    role: Role,
}

/// Workspaces.
#[derive(Serialize, ToSchema)]
pub struct Workspaces {
    /// By name.
    workspaces: Vec<WorkspaceSummary>,
}

/// A workspace to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWorkspace {
    /// Lower-case letters, digits and `-`.
    #[schema(example = "vision", max_length = 40, pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
    name: String,
}

/// Lists the workspaces in which whoever asks has a role.
#[utoipa::path(get, path = "/api/v1/workspaces", tag = "workspaces",
    extensions(("x-provenv-role" = json!("user"))),
    responses((status = 200, body = Workspaces),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn list(State(server): State<Arc<Server>>, caller: Caller) -> Result<Json<Workspaces>> {
    let mut workspaces = Vec::new();
    for name in server.database.workspaces().await? {
        if let Some(role) = server.database.role_of(&caller.identity, Some(&name)).await? {
            workspaces.push(WorkspaceSummary { name, role });
        }
    }
    Ok(Json(Workspaces { workspaces }))
}

/// Makes a workspace. Owners of the server do.
#[utoipa::path(post, path = "/api/v1/workspaces", tag = "workspaces", request_body = NewWorkspace,
    extensions(("x-provenv-role" = json!("owner"))),
    responses((status = 201, body = WorkspaceSummary),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn make(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Sent(new): Sent<NewWorkspace>,
) -> Result<(StatusCode, Json<WorkspaceSummary>)> {
    if !server.make_workspace(&new.name, &caller.user).await? {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "workspace-exists",
            format!("there is a workspace `{}` already", new.name),
        ));
    }
    Ok((StatusCode::CREATED, Json(WorkspaceSummary { name: new.name, role: Role::Owner })))
}
