//! What may change about a version that itself never does: description, tags, labels, whether it is archived. Each change is in
//! the history, with whoever made it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use indexmap::IndexMap;
use provenv_workspace::{Archived, Change, Error, HistoryOptions, Label, VersionUpdate};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::environments::VersionBody;
use super::record::{named, set_archived};
use super::sent::{Asked, At, Sent, limit, tag_of, to_json};
use crate::access::Caller;
use crate::database::{Action, Deed};
use crate::problem::{Problem, Result};
use crate::state::{Opened, Server};

/// How a version's description and tags are to change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// The new description; an empty one takes it away.
    #[schema(example = "Trains the digits model")]
    description: Option<String>,
    /// Tags to set.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    #[serde(default)]
    tags: IndexMap<String, String>,
    /// Tags to take away.
    #[serde(default)]
    remove_tags: Vec<String>,
}

/// Where a label is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// The version that it is to name.
    #[schema(example = "2")]
    version: String,
}

/// The labels of an environment.
#[derive(Serialize, ToSchema)]
pub struct Labels {
    /// `latest` first.
    #[schema(value_type = Vec<Object>)]
    labels: Vec<Label>,
}

/// A part of a history.
#[derive(Serialize, ToSchema)]
pub struct History {
    /// The changes, the newest first.
    #[schema(value_type = Vec<Object>)]
    changes: Vec<Change>,
    /// What to give as `before` for the next part, if there may be one.
    next: Option<i64>,
}

/// Which part of a history is wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The `next` of the part before.
    before: Option<i64>,
    /// Only those that are about this version, or `@LABEL`.
    version: Option<String>,
    /// At most so many, 1 to 500; 50 if not said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// A version, and how much of it changed.
#[derive(Serialize, ToSchema)]
#[schema(as = UpdatedVersion)]
pub struct UpdatedBody {
    /// How many changes there were: none where all was so before.
    changes: usize,
    /// The version as it is now.
    #[serde(flatten)]
    version: VersionBody,
}

/// Changes description and tags. With `If-Match`, only where nobody else changed them since.
#[utoipa::path(patch, path = "/api/v1/workspaces/{workspace}/environments/{name}/versions/{version}",
    tag = "environments",
    params(("workspace" = String, Path), ("name" = String, Path), ("version" = String, Path),
        ("If-Match" = Option<String>, Header, description = "The `ETag` that the version was shown with")),
    request_body = Update,
    extensions(("x-provenv-role" = json!("contributor"))),
    responses((status = 200, body = UpdatedBody, description = "The `ETag` is that of the version"),
        (status = 412, description = "Somebody changed it meanwhile", body = Problem,
            content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn update(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At((workspace, name, version)): At<(String, String, String)>,
    headers: HeaderMap,
    Sent(update): Sent<Update>,
) -> Result<Response> {
    let opened = server.workspace(&workspace).await?;
    let reference = reference(&opened, &name, &version).await?;
    let mut deed = Deed::new(&caller.user, Action::Update, &reference).within(&workspace);
    for (name, value) in &update.tags {
        deed = deed.with(&format!("tag {name}"), value);
    }
    for name in &update.remove_tags {
        deed = deed.with(&format!("tag {name}"), "(removed)");
    }
    if let Some(description) = &update.description {
        deed = deed.with("description", description);
    }
    let update = VersionUpdate {
        description: update.description,
        tags: update.tags.into_iter().collect(),
        remove_tags: update.remove_tags,
    };
    let updated = match Wanted::of(&headers)? {
        None => opened.workspace.update_environment(&reference, &update, &caller.user).await,
        Some(wanted) => loop {
            // The number first: whatever changes after it is noticed by the catalogue, and compared again.
            let last_change = opened.workspace.last_change(&name).await?;
            let now = VersionBody::from(opened.workspace.version_details(&name, &version).await?);
            if !wanted.is(&tag_of(&to_json(&now)?)) {
                let detail = format!("`{reference}` was changed since it was shown with that tag");
                return Err(Problem::new(StatusCode::PRECONDITION_FAILED, "changed-meanwhile", detail)
                    .hint("GET it again, and decide anew"));
            }
            let (workspace, who) = (&opened.workspace, &caller.user);
            let done = workspace.update_environment_since(&reference, &update, last_change, who).await;
            if let Some(done) = done.transpose() {
                break done;
            }
        },
    };
    let updated = updated.map_err(of_change)?;
    server.record(&deed).await?;
    tracing::info!(by = caller.user, workspace, reference, changes = updated.changes, "updated a version");
    let body = UpdatedBody { changes: updated.changes, version: updated.environment.into() };
    let tag = tag_of(&to_json(&body.version)?);
    let mut response = Json(body).into_response();
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// Lists the labels of an environment.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/environments/{name}/labels", tag = "environments",
    params(("workspace" = String, Path), ("name" = String, Path)),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = Labels),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn labels(
    State(server): State<Arc<Server>>,
    At((workspace, name)): At<(String, String)>,
) -> Result<Json<Labels>> {
    let opened = server.workspace(&workspace).await?;
    known(&opened, &name).await?;
    Ok(Json(Labels { labels: opened.workspace.labels(&name).await.map_err(of_change)? }))
}

/// Puts a label on a version, and takes it from the one that it named before.
#[utoipa::path(put, path = "/api/v1/workspaces/{workspace}/environments/{name}/labels/{label}", tag = "environments",
    params(("workspace" = String, Path), ("name" = String, Path), ("label" = String, Path)), request_body = Move,
    extensions(("x-provenv-role" = json!("contributor"))),
    responses((status = 200, body = Object, description = "The label, and the version that it named before"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn label(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At((workspace, name, label)): At<(String, String, String)>,
    Sent(to): Sent<Move>,
) -> Result<Json<Label>> {
    let opened = server.workspace(&workspace).await?;
    let reference = reference(&opened, &name, &to.version).await?;
    let moved = opened.workspace.label(&reference, &label, &caller.user).await.map_err(of_change)?;
    let mut deed =
        Deed::new(&caller.user, Action::LabelSet, &reference).within(&workspace).with("label", &label);
    if let Some(previous) = &moved.previous {
        deed = deed.with("previous", previous);
    }
    server.record(&deed).await?;
    tracing::info!(by = caller.user, workspace, reference, label, "moved a label");
    Ok(Json(moved))
}

/// Takes a label away.
#[utoipa::path(delete, path = "/api/v1/workspaces/{workspace}/environments/{name}/labels/{label}",
    tag = "environments",
    params(("workspace" = String, Path), ("name" = String, Path), ("label" = String, Path)),
    extensions(("x-provenv-role" = json!("contributor"))),
    responses((status = 200, body = Object, description = "The label, and the version that it named"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn unlabel(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At((workspace, name, label)): At<(String, String, String)>,
) -> Result<Json<Label>> {
    let opened = server.workspace(&workspace).await?;
    known(&opened, &name).await?;
    let taken = opened.workspace.unlabel(&name, &label, &caller.user).await.map_err(of_change)?;
    let deed = Deed::new(&caller.user, Action::LabelRemove, &name).within(&workspace).with("label", &label);
    server.record(&deed).await?;
    tracing::info!(by = caller.user, workspace, name, label, "took a label away");
    Ok(Json(taken))
}

/// Archives a version: it is out of lists and of `@latest`, and there for what names it.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/environments/{name}/versions/{version}/archive",
    tag = "environments",
    params(("workspace" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    extensions(("x-provenv-role" = json!("contributor"))),
    responses((status = 200, body = Object, description = "What is archived, and whether that is a change"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn archive(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At((workspace, name, version)): At<(String, String, String)>,
) -> Result<Json<Archived>> {
    let opened = server.workspace(&workspace).await?;
    let reference = reference(&opened, &name, &version).await?;
    set_archived(&server, &caller, &workspace, &reference, true).await
}

/// Brings an archived version back.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/environments/{name}/versions/{version}/restore",
    tag = "environments",
    params(("workspace" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    extensions(("x-provenv-role" = json!("contributor"))),
    responses((status = 200, body = Object, description = "What is back, and whether that is a change"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn restore(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At((workspace, name, version)): At<(String, String, String)>,
) -> Result<Json<Archived>> {
    let opened = server.workspace(&workspace).await?;
    let reference = reference(&opened, &name, &version).await?;
    set_archived(&server, &caller, &workspace, &reference, false).await
}

/// Who changed what about an environment, and when, the newest first.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/environments/{name}/history", tag = "environments",
    params(("workspace" = String, Path), ("name" = String, Path), Part),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = History),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn history(
    State(server): State<Arc<Server>>,
    At((workspace, name)): At<(String, String)>,
    Asked(part): Asked<Part>,
) -> Result<Json<History>> {
    let opened = server.workspace(&workspace).await?;
    let limit = limit(part.limit)?;
    let options = HistoryOptions { limit, before: part.before };
    let subject = named(&name, part.version.as_deref())?;
    let changes = opened.workspace.history(&subject, options).await.map_err(of_change)?;
    let next =
        (changes.len() == limit as usize).then(|| changes.last().map(|change| change.number)).flatten();
    Ok(Json(History { changes, next }))
}

/// What `If-Match` says: any of these tags, or whatever there is.
struct Wanted(Vec<String>);

impl Wanted {
    fn of(headers: &HeaderMap) -> Result<Option<Self>> {
        let mut tags = Vec::new();
        for value in headers.get_all(header::IF_MATCH) {
            let text =
                value.to_str().map_err(|_| Problem::bad("if-match-invalid", "`If-Match` is no text"))?;
            tags.extend(text.split(',').map(|one| one.trim().to_owned()));
        }
        Ok((!tags.is_empty()).then_some(Self(tags)))
    }

    fn is(&self, tag: &str) -> bool {
        self.0.iter().any(|one| one == "*" || one == tag)
    }
}

/// A version as use cases name it. It is looked up first, by the catalogue's rules: what is not registered names nothing.
async fn reference(opened: &Opened, name: &str, version: &str) -> Result<String> {
    let found = opened.workspace.version_details(name, version).await?;
    let version = found.version.unwrap_or_default();
    Ok(format!("{name}:{version}"))
}

/// Fails unless something is registered under a name.
async fn known(opened: &Opened, name: &str) -> Result<()> {
    match opened.workspace.version_details(name, "@latest").await {
        // With all its versions, it has labels and a history.
        Ok(_) | Err(Error::AllArchived(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What is wrong with a change, in the words of its use case.
pub(super) fn of_change(error: Error) -> Box<Problem> {
    match error {
        Error::Arguments { message, hint } => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "change-invalid", message).hint(hint)
        }
        error => error.into(),
    }
}
