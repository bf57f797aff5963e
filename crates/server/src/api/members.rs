//! Who has which role in a workspace.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::sent::{At, Sent};
use crate::access::Caller;
use crate::database::Role;
use crate::problem::{Problem, Result};
use crate::state::Server;

/// Somebody with a role.
#[derive(Serialize, ToSchema)]
pub struct Member {
    /// The user.
    #[schema(example = "ann")]
    user: String,
    /// Their role.
    role: Role,
}

/// Those with a role.
#[derive(Serialize, ToSchema)]
pub struct Members {
    /// By name.
    members: Vec<Member>,
}

/// A role to be given.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRole {
    /// The role.
    role: Role,
}

/// Lists who has a role in a workspace. Owners of the server have one in each, and are not listed.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/members", tag = "workspaces",
    params(("workspace" = String, Path)),
    extensions(("x-provenv-role" = json!("owner"))),
    responses((status = 200, body = Members),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn list(State(server): State<Arc<Server>>, At(workspace): At<String>) -> Result<Json<Members>> {
    server.workspace(&workspace).await?;
    let members = server.database.members(&workspace).await?;
    let members = members.into_iter().map(|(user, role)| Member { user, role }).collect();
    Ok(Json(Members { members }))
}

/// Gives somebody a role in a workspace, in place of the one they have.
#[utoipa::path(put, path = "/api/v1/workspaces/{workspace}/members/{user}", tag = "workspaces",
    params(("workspace" = String, Path), ("user" = String, Path)), request_body = NewRole,
    extensions(("x-provenv-role" = json!("owner"))),
    responses((status = 200, body = Member),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn set(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At((workspace, user)): At<(String, String)>,
    Sent(new): Sent<NewRole>,
) -> Result<Json<Member>> {
    server.workspace(&workspace).await?;
    check_user(&user)?;
    server.database.set_role(&user, Some(&workspace), Some(new.role), &caller.user).await?;
    Ok(Json(Member { user, role: new.role }))
}

/// Takes somebody's role in a workspace away.
#[utoipa::path(delete, path = "/api/v1/workspaces/{workspace}/members/{user}", tag = "workspaces",
    params(("workspace" = String, Path), ("user" = String, Path)),
    extensions(("x-provenv-role" = json!("owner"))),
    responses((status = 204),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn remove(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At((workspace, user)): At<(String, String)>,
) -> Result<StatusCode> {
    server.workspace(&workspace).await?;
    server.database.set_role(&user, Some(&workspace), None, &caller.user).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A name that people and records can have.
pub fn check_user(name: &str) -> Result<()> {
    let is_word = |c: char| c.is_alphanumeric() || "._-@+".contains(c);
    if name.is_empty() || name.chars().count() > 128 || !name.chars().all(is_word) {
        return Err(Problem::bad("user-name-invalid", "that is no name of a user")
            .hint("take letters, digits and `.`, `_`, `-`, `@`, `+`, at most 128"));
    }
    Ok(())
}
