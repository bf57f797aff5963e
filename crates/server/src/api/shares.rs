//! Environments that workspaces share: in another workspace they are what they are here, read-only.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::changes::of_change;
use super::record::{contributes, named};
use super::sent::{At, Sent};
use crate::access::Caller;
use crate::database::{Share, Sharing};
use crate::problem::{Problem, Result};
use crate::state::Server;

/// An environment that is in two workspaces.
#[derive(Serialize, ToSchema)]
#[schema(as = Share)]
pub struct ShareBody {
    /// The environment.
    #[schema(example = "digits")]
    name: String,
    /// The workspace that it is of.
    #[schema(example = "platform")]
    from: String,
    /// The workspace that has it too, read-only.
    #[schema(example = "vision")]
    to: String,
    /// Its name there.
    #[schema(example = "digits")]
    name_there: String,
    /// Who shared it.
    shared_by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    shared_at: jiff::Timestamp,
}

impl From<Share> for ShareBody {
    fn from(share: Share) -> Self {
        let Share { source, name, target, there, by, at, .. } = share;
        Self { name, from: source, to: target, name_there: there, shared_by: by, shared_at: at }
    }
}

/// What a workspace shares with others, and others with it.
#[derive(Serialize, ToSchema)]
pub struct Shares {
    /// By workspace and name.
    shares: Vec<ShareBody>,
}

/// How an environment is to be shared.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewShare {
    /// Its name there, if another.
    name: Option<String>,
}

/// Lists what the workspace shares with others, and others with it.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/shares", tag = "environments",
    params(("workspace" = String, Path)),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = Shares),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn list(State(server): State<Arc<Server>>, At(workspace): At<String>) -> Result<Json<Shares>> {
    server.workspace(&workspace).await?;
    let shares = server.database.shares_of(&workspace).await?.into_iter();
    let shares = shares.filter(|share| share.ended_by.is_none()).map(Into::into).collect();
    Ok(Json(Shares { shares }))
}

/// Shares an environment with another workspace of the server: all its versions, those to come included, are there too, with their
/// labels and images, and nobody changes them there. Whoever shares owns here and contributes there.
#[utoipa::path(put, path = "/api/v1/workspaces/{workspace}/environments/{name}/shares/{target}", tag = "environments",
    params(("workspace" = String, Path), ("name" = String, Path), ("target" = String, Path)),
    request_body = NewShare,
    extensions(("x-provenv-role" = json!("owner"))),
    responses((status = 201, body = ShareBody), (status = 200, body = ShareBody, description = "It was shared so already"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn share(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At((workspace, name, target)): At<(String, String, String)>,
    Sent(new): Sent<NewShare>,
) -> Result<(StatusCode, Json<ShareBody>)> {
    let name = named(&name, None)?;
    let there = match &new.name {
        Some(there) => named(there, None).map_err(|_| {
            Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "change-invalid",
                format!("`{there}` cannot be the name of an environment"),
            )
        })?,
        None => name.clone(),
    };
    contributes(&server, &caller, &target).await?;
    if target == workspace {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "change-invalid",
            format!("`{name}` is of `{workspace}`, and cannot be shared with it"),
        ));
    }
    let opened = server.workspace(&workspace).await?;
    opened.workspace.must_be_shareable(&name).await.map_err(of_change)?;
    let (share, is_new) =
        match server.database.share(&workspace, &name, &target, &there, &caller.user).await? {
            Sharing::New(share) => (share, true),
            Sharing::Known(share) => (share, false),
            Sharing::Taken(other) => return Err(taken(&other)),
        };
    server.sources.add(&workspace);
    let place = format!("{target}/{there}");
    if is_new {
        opened.workspace.note_share(&name, &place, false, &caller.user).await?;
    }
    if let Err(problem) = server.settle(&share).await {
        if is_new && problem.code == "name-taken" {
            // Nothing of it is there.
            server.database.end_share(&workspace, &name, &target, &caller.user).await?;
            opened.workspace.note_share(&name, &place, true, &caller.user).await?;
            server.database.forget_share(&Share { ended_by: Some(caller.user), ..share }).await?;
        }
        return Err(problem);
    }
    if is_new {
        tracing::info!(by = caller.user, workspace, name, target, there, "shared an environment");
    }
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(share.into())))
}

/// Shares an environment no more. What the other workspace has of it goes, but for versions that something there refers to, such as
/// a run: those stay there, archived.
#[utoipa::path(delete, path = "/api/v1/workspaces/{workspace}/environments/{name}/shares/{target}", tag = "environments",
    params(("workspace" = String, Path), ("name" = String, Path), ("target" = String, Path)),
    extensions(("x-provenv-role" = json!("owner"))),
    responses((status = 204, description = "It is shared no more"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn unshare(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At((workspace, name, target)): At<(String, String, String)>,
) -> Result<StatusCode> {
    server.workspace(&workspace).await?;
    let missing = format!("`{name}` is not shared with a workspace `{target}`");
    end(&server, &caller, (&workspace, &name, &target), missing).await
}

/// Ends that another workspace shares an environment with this one, as whoever owns that one can. What is here of it goes, but for
/// versions that something here refers to, such as a run: those stay, archived.
#[utoipa::path(delete, path = "/api/v1/workspaces/{workspace}/shares/{name}", tag = "environments",
    params(("workspace" = String, Path), ("name" = String, Path, description = "The environment, as it is called here")),
    extensions(("x-provenv-role" = json!("owner"))),
    responses((status = 204, description = "It is shared no more"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn decline(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At((workspace, name)): At<(String, String)>,
) -> Result<StatusCode> {
    server.workspace(&workspace).await?;
    let missing = format!("`{name}` is not shared from another workspace");
    match server.database.share_into(&workspace, &name).await? {
        Some(share) => end(&server, &caller, (&share.source, &share.name, &workspace), missing).await,
        None => Err(not_shared(missing)),
    }
}

/// Ends what is shared: an environment of a workspace with another.
async fn end(
    server: &Server,
    caller: &Caller,
    (source, name, target): (&str, &str, &str),
    missing: String,
) -> Result<StatusCode> {
    let ended = server.database.end_share(source, name, target, &caller.user).await?;
    let share = ended.ok_or_else(|| not_shared(missing))?;
    let place = format!("{}/{}", share.target, share.there);
    server.workspace(source).await?.workspace.note_share(name, &place, true, &caller.user).await?;
    server.settle(&share).await?;
    tracing::info!(by = caller.user, source, name, target, "an environment is shared no more");
    Ok(StatusCode::NO_CONTENT)
}

fn not_shared(detail: String) -> Box<Problem> {
    Problem::missing("share-not-found", detail).hint("`provenv env shares`, or GET …/shares, lists what is")
}

/// Said where the name there is another's, or what is to be shared is there under another.
fn taken(other: &Share) -> Box<Problem> {
    let Share { source, name, target, there, ended_by, .. } = other;
    let detail = if ended_by.is_some() {
        format!("`{there}` in `{target}` is just being taken away")
    } else {
        format!("`{there}` in `{target}` is `{name}` of `{source}`, which is shared")
    };
    Problem::new(StatusCode::CONFLICT, "name-taken", detail)
        .hint("share it under another name, or end what is shared first")
}

/// Refuses to delete what other workspaces have.
pub async fn must_not_be_shared(server: &Server, workspace: &str, name: &str) -> Result<()> {
    let shares = server.database.shares_of(workspace).await?;
    let with: Vec<String> = shares
        .into_iter()
        .filter(|share| share.source == workspace && share.name == name)
        .map(|share| format!("shared with {}", share.target))
        .collect();
    if with.is_empty() {
        return Ok(());
    }
    let detail = format!("`{name}` is shared, and cannot be deleted");
    let mut problem = Problem::new(StatusCode::CONFLICT, "still-needed", detail)
        .hint("`provenv env unshare` ends that; `provenv env archive` hides it here and there");
    problem.causes = with;
    Err(problem)
}
