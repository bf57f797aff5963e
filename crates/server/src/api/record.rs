//! What is on record: what something is used by and made of, what images there are, what may be deleted.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use futures::StreamExt as _;
use provenv_definition::Digest;
use provenv_workspace::{
    Archived, Copied, CopyOptions, DeleteOptions, Deleted, Error, ImageSummary, ImportSoFar, Imported,
    Lineage, Registered, ToldImage, Uses,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::changes::of_change;
use super::environments::{not_locked, record as record_registration};
use super::sent::{Asked, At, Sent, tagged_json};
use super::shares::must_not_be_shared;
use crate::access::Caller;
use crate::database::{Action, Deed, Role, unguessable};
use crate::problem::{Problem, Result};
use crate::state::{Server, no_workspace};
use crate::telling::of_import;

/// Whether it is only asked for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DryRun {
    /// Say what would be deleted and what refers to it, and delete nothing.
    #[serde(default)]
    dry_run: bool,
}

/// What a lineage is of.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Of {
    /// A run's identifier (or `latest`), `NAME`, `NAME:VERSION`, `NAME@LABEL`, or the digest of a receipt, lock, image or artifact.
    #[param(example = "digits:2")]
    of: String,
}

/// Where a version is copied.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CopyTo {
    /// The workspace.
    #[schema(example = "vision")]
    to: String,
    /// Its name there, if another.
    name: Option<String>,
    /// Its version there, if another.
    version: Option<String>,
}

/// The images of a workspace.
#[derive(Serialize, ToSchema)]
pub struct Images {
    /// The newest first.
    #[schema(value_type = Vec<Object>)]
    images: Vec<ImageSummary>,
}

/// The images of a version, for a workspace elsewhere.
#[derive(Serialize, ToSchema)]
pub struct ToldImages {
    /// In every form, for every platform.
    #[schema(value_type = Vec<Object>)]
    images: Vec<ToldImage>,
}

/// What a definition resolves to.
#[derive(Serialize, ToSchema)]
pub struct ResolvedDefinition {
    /// Its digest.
    #[schema(value_type = String)]
    definition: Digest,
    /// The receipt of it.
    #[schema(value_type = String)]
    receipt: Digest,
    /// The lock of that.
    #[schema(value_type = String)]
    lock: Digest,
    /// The images that this became, by platform.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    images: std::collections::BTreeMap<String, Digest>,
}

/// A name and perhaps a version as use cases name them. What could be taken for something else is nothing that is registered.
pub fn named(name: &str, version: Option<&str>) -> Result<String> {
    let is_plain = |text: &str| {
        let word = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
        text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && text.chars().all(word)
    };
    let missing = || Box::<Problem>::from(Error::NoEnvironment(name.to_owned(), None));
    if !is_plain(name) {
        return Err(missing());
    }
    match version {
        None => Ok(name.to_owned()),
        Some(version) => match version.strip_prefix('@') {
            Some(label) if is_plain(label) => Ok(format!("{name}@{label}")),
            None if is_plain(version) => Ok(format!("{name}:{version}")),
            _ => Err(Problem::missing("version-not-found", format!("`{name}` has no version `{version}`"))),
        },
    }
}

/// Deletes a version that nothing refers to. Its number is never given again.
#[utoipa::path(delete, path = "/api/v1/workspaces/{workspace}/environments/{name}/versions/{version}",
    tag = "environments",
    params(("workspace" = String, Path), ("name" = String, Path), ("version" = String, Path), DryRun),
    extensions(("x-provenv-role" = json!("owner"))),
    responses((status = 200, body = Object, description = "What was deleted, or would be, and what refers to it"),
        (status = 409, description = "Something refers to it", body = Problem,
            content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn delete(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At((workspace, name, version)): At<(String, String, String)>,
    Asked(options): Asked<DryRun>,
) -> Result<Json<Deleted>> {
    gone(&server, &caller, &workspace, &named(&name, Some(&version))?, &options).await
}

/// Deletes all versions of an environment, if nothing refers to any of them.
#[utoipa::path(delete, path = "/api/v1/workspaces/{workspace}/environments/{name}", tag = "environments",
    params(("workspace" = String, Path), ("name" = String, Path), DryRun),
    extensions(("x-provenv-role" = json!("owner"))),
    responses((status = 200, body = Object, description = "What was deleted, or would be, and what refers to it"),
        (status = 409, description = "Something refers to one of them", body = Problem,
            content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn delete_all(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At((workspace, name)): At<(String, String)>,
    Asked(options): Asked<DryRun>,
) -> Result<Json<Deleted>> {
    gone(&server, &caller, &workspace, &named(&name, None)?, &options).await
}

async fn gone(
    server: &Server,
    caller: &Caller,
    workspace: &str,
    reference: &str,
    options: &DryRun,
) -> Result<Json<Deleted>> {
    let opened = server.workspace(workspace).await?;
    let name = reference.split([':', '@']).next().unwrap_or(reference);
    must_not_be_shared(server, workspace, name).await?;
    let options = DeleteOptions { dry_run: options.dry_run, yes: true };
    let deleted = opened.workspace.delete_environment(reference, options, &caller.user).await;
    let deleted = deleted.map_err(of_change)?;
    if !deleted.dry_run {
        for gone in &deleted.versions {
            let subject = format!("{}:{}", gone.name, gone.version);
            server.record(&Deed::new(&caller.user, Action::Delete, subject).within(workspace)).await?;
        }
        tracing::info!(by = caller.user, workspace, reference, versions = deleted.versions.len(), "deleted");
    }
    Ok(Json(deleted))
}

/// Copies a version into another workspace of the server: definition, lock and receipt are the same, and so are the images, whose
/// bytes are not written again. Whoever asks reads here and contributes there.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/environments/{name}/versions/{version}/copy",
    tag = "environments",
    params(("workspace" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    request_body = CopyTo,
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 201, body = Object, description = "The version is new there"),
        (status = 200, body = Object, description = "It was there already"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn copy(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At((workspace, name, version)): At<(String, String, String)>,
    Sent(CopyTo { to, name: new_name, version: new_version }): Sent<CopyTo>,
) -> Result<(StatusCode, Json<Copied>)> {
    let reference = named(&name, Some(&version))?;
    contributes(&server, &caller, &to).await?;
    let (from, into) = (server.workspace(&workspace).await?, server.workspace(&to).await?);
    let options =
        CopyOptions { name: new_name, version: new_version, places: (workspace.clone(), to.clone()) };
    let copied = from.workspace.copy_to(&into.workspace, &reference, &options, &caller.user).await;
    let copied = copied.map_err(of_change)?;
    write_down(&server, &caller, &to, &copied).await?;
    server.follow_changes(&to).await;
    tracing::info!(by = caller.user, workspace, reference, to, created = copied.created, "copied a version");
    Ok((if copied.created { StatusCode::CREATED } else { StatusCode::OK }, Json(copied)))
}

/// Writes a copy down, in both workspaces and once. Of one that was there before it is written down that it is there, where nobody
/// did so before a crash.
async fn write_down(server: &Server, caller: &Caller, to: &str, copied: &Copied) -> Result<()> {
    let Copied { name, version, created, definition, receipt, lock, .. } = copied.clone();
    let registered = Registered { name, version, created, definition, receipt, lock, untold: None };
    let into = server.workspace(to).await?;
    record_registration(server, &caller.user, (to, &into), &registered).await
}

/// Fails unless whoever calls is at least a contributor in another workspace than the one that they call.
pub async fn contributes(server: &Server, caller: &Caller, workspace: &str) -> Result<()> {
    match server.database.role_of(&caller.identity, Some(workspace)).await? {
        None => Err(no_workspace(workspace)),
        Some(Role::Reader) => {
            let detail =
                format!("`{}` is a reader in `{workspace}`, and this needs a contributor", caller.user);
            Err(Problem::new(StatusCode::FORBIDDEN, "role-too-low", detail)
                .hint("an owner can give another role"))
        }
        Some(Role::Contributor | Role::Owner) => Ok(()),
    }
}

/// Takes in many versions at once, from lines of JSON: `{"lock": …}`, and `{"environment": …, "receipt": …}`. A thousand lines
/// are one transaction; the same lines may be sent again.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/import", tag = "environments",
    params(("workspace" = String, Path)),
    request_body(content = String, content_type = "application/x-ndjson"),
    extensions(("x-provenv-role" = json!("owner"))),
    responses((status = 200, body = Object, description = "How many lines, locks and versions"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn import(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At(workspace): At<String>,
    body: Body,
) -> Result<Json<Imported>> {
    let opened = server.workspace(&workspace).await?;
    // Before anything is in: whatever stops this, nothing is there that the log says nothing of.
    let id = unguessable::<16>()?;
    let begun =
        Deed::new(&caller.user, Action::ImportBegin, &workspace).within(&workspace).with("import", &id);
    server.record(&begun).await?;
    let mut importer = opened.workspace.importer_of_sent(&caller.user, &id);
    let mut parts = body.into_data_stream();
    let mut ended = Ok(());
    while let Some(part) = parts.next().await {
        let taken = match part {
            Ok(part) => importer.take(&part).await.map_err(of_change),
            Err(error) => Err(Problem::bad("body-unreadable", error.to_string())),
        };
        if taken.is_err() {
            ended = taken;
            break;
        }
    }
    if ended.is_ok() {
        ended = importer.finish().await.map_err(of_change);
    }
    // What is in is in, whatever became of the rest.
    let imported = importer.imported().clone();
    if ended.is_ok() || imported.created > 0 {
        let (by, id, versions, created) =
            (caller.user.clone(), id.clone(), imported.versions, imported.created);
        server.database.tell(vec![of_import(&workspace, &ImportSoFar { id, by, versions, created })]).await?;
    }
    opened.workspace.is_told(&id);
    ended?;
    tracing::info!(
        by = caller.user,
        workspace,
        versions = imported.versions,
        created = imported.created,
        "imported"
    );
    Ok(Json(imported))
}

/// Archives an environment with all its versions, those to come included.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/environments/{name}/archive", tag = "environments",
    params(("workspace" = String, Path), ("name" = String, Path)),
    extensions(("x-provenv-role" = json!("contributor"))),
    responses((status = 200, body = Object, description = "What is archived, and whether that is a change"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn archive_all(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At((workspace, name)): At<(String, String)>,
) -> Result<Json<Archived>> {
    set_archived(&server, &caller, &workspace, &named(&name, None)?, true).await
}

/// Brings an archived environment back. Versions that were archived themselves stay so.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/environments/{name}/restore", tag = "environments",
    params(("workspace" = String, Path), ("name" = String, Path)),
    extensions(("x-provenv-role" = json!("contributor"))),
    responses((status = 200, body = Object, description = "What is back, and whether that is a change"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn restore_all(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At((workspace, name)): At<(String, String)>,
) -> Result<Json<Archived>> {
    set_archived(&server, &caller, &workspace, &named(&name, None)?, false).await
}

/// Archives what a reference names, or brings it back.
pub async fn set_archived(
    server: &Server,
    caller: &Caller,
    workspace: &str,
    reference: &str,
    is_archived: bool,
) -> Result<Json<Archived>> {
    let opened = server.workspace(workspace).await?;
    let (action, done) = if is_archived {
        (Action::Archive, opened.workspace.archive_environment(reference, &caller.user).await)
    } else {
        (Action::Restore, opened.workspace.restore_environment(reference, &caller.user).await)
    };
    let archived = done.map_err(of_change)?;
    server.record(&Deed::new(&caller.user, action, reference).within(workspace)).await?;
    tracing::info!(by = caller.user, workspace, reference, is_archived, "archived or restored");
    Ok(Json(archived))
}

/// Where a version is used: labels, runs, images, versions made from it, versions with the same lock.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/environments/{name}/versions/{version}/uses",
    tag = "environments",
    params(("workspace" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = Object),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn uses(
    State(server): State<Arc<Server>>,
    At((workspace, name, version)): At<(String, String, String)>,
) -> Result<Json<Uses>> {
    let opened = server.workspace(&workspace).await?;
    Ok(Json(opened.workspace.uses(&named(&name, Some(&version))?).await.map_err(of_change)?))
}

/// From a run to the files that it ran with, and back.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/lineage", tag = "environments",
    params(("workspace" = String, Path), Of),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = Object),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn lineage(
    State(server): State<Arc<Server>>,
    At(workspace): At<String>,
    Asked(Of { of }): Asked<Of>,
) -> Result<Json<Lineage>> {
    let opened = server.workspace(&workspace).await?;
    if of.parse::<Digest>().is_err() {
        // What may be a path is nothing that is on record.
        let (name, version) = match (of.rsplit_once(':'), of.rsplit_once('@')) {
            (Some((name, version)), _) => (name, Some(version.to_owned())),
            (None, Some((name, label))) => (name, Some(format!("@{label}"))),
            (None, None) => (&*of, None),
        };
        named(name, version.as_deref()).map_err(|_| Box::<Problem>::from(Error::NoLineage(of.clone())))?;
    }
    Ok(Json(opened.workspace.lineage(&of).await.map_err(of_change)?))
}

/// Lists the images of a workspace.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/images", tag = "images",
    params(("workspace" = String, Path)),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = Images),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn images(State(server): State<Arc<Server>>, At(workspace): At<String>) -> Result<Json<Images>> {
    let opened = server.workspace(&workspace).await?;
    Ok(Json(Images { images: opened.workspace.images().await? }))
}

/// All about an image, by its digest; the first digits will do.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/images/{id}", tag = "images",
    params(("workspace" = String, Path), ("id" = String, Path)),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = Object), (status = 304, description = "The client has it"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn image(
    State(server): State<Arc<Server>>,
    At((workspace, id)): At<(String, String)>,
    headers: HeaderMap,
) -> Result<Response> {
    let opened = server.workspace(&workspace).await?;
    tagged_json(&headers, &opened.workspace.image_with_digest(&id).await?)
}

/// The images of a version as another workspace needs them: it knows them by this, and fetches their bytes from `/v2/`.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/environments/{name}/versions/{version}/images", tag = "images",
    params(("workspace" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = ToldImages),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn told_images(
    State(server): State<Arc<Server>>,
    At((workspace, name, version)): At<(String, String, String)>,
) -> Result<Json<ToldImages>> {
    let opened = server.workspace(&workspace).await?;
    let found = opened.workspace.version_details(&name, &version).await?;
    let lock = found.lock.ok_or_else(|| not_locked(&name))?;
    Ok(Json(ToldImages { images: opened.workspace.told_images(&lock).await? }))
}

/// What a definition resolves to, by its digest: the receipt that is current, its lock, and the images.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/definitions/{id}", tag = "environments",
    params(("workspace" = String, Path), ("id" = String, Path)),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = ResolvedDefinition), (status = 304, description = "The client has it"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn definition(
    State(server): State<Arc<Server>>,
    At((workspace, id)): At<(String, String)>,
    headers: HeaderMap,
) -> Result<Response> {
    let opened = server.workspace(&workspace).await?;
    let missing = || {
        Problem::missing("definition-not-found", format!("no definition `{id}` was locked in this workspace"))
    };
    let digest: Digest = id.parse().map_err(|_| missing())?;
    let found = opened.workspace.resolved(&digest).await?.ok_or_else(missing)?;
    let (receipt, lock) = (found.receipt, found.lock);
    tagged_json(&headers, &ResolvedDefinition { definition: digest, receipt, lock, images: found.images })
}
