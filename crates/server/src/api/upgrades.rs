//! Environments are moved to newer packages: what changes is shown, and the next version registered.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use provenv_definition::VirtualPackage;
use provenv_workspace::{Registered, Resolving, UpgradeOptions, Upgraded};
use serde::Deserialize;
use utoipa::ToSchema;

use super::changes::of_change;
use super::environments::record;
use super::record::named;
use super::sent::{At, Sent};
use crate::access::Caller;
use crate::apart::apart;
use crate::problem::{Problem, Result};
use crate::state::Server;

/// How an environment is to be moved.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Upgrade {
    /// Only these packages, and what they need; all of them, where none is named.
    #[schema(example = json!(["numpy"]))]
    #[serde(default)]
    packages: Vec<String>,
    /// Show what would change, and change nothing.
    #[serde(default)]
    dry_run: bool,
    /// Only what indexes had at that time; not together with `packages`.
    #[schema(value_type = Option<String>, format = DateTime)]
    as_of: Option<jiff::Timestamp>,
    /// What the target has, as conda names it, where that is to be something else than before.
    #[schema(value_type = Vec<String>, example = json!(["__cuda=12.4"]))]
    #[serde(default)]
    virtual_packages: Vec<VirtualPackage>,
}

/// Resolves the newest version again, and registers the next one where something changes. The version that was there, its lock
/// and its images stay what they are.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/environments/{name}/upgrade", tag = "environments",
    params(("workspace" = String, Path), ("name" = String, Path), ("Idempotency-Key" = Option<String>, Header,
        description = "Whoever asks again with the same key within a day gets the same answer, and nothing is done twice")),
    request_body = Upgrade,
    extensions(("x-provenv-role" = json!("contributor"))),
    responses((status = 201, body = Object, description = "The version is new; what changes, by platform"),
        (status = 200, body = Object, description = "Nothing was registered: nothing changes, or it was a dry run"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn upgrade(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At((workspace, name)): At<(String, String)>,
    Sent(sent): Sent<Upgrade>,
) -> Result<(StatusCode, Json<Upgraded>)> {
    let opened = server.workspace(&workspace).await?;
    let name = named(&name, None)?;
    let _turn = server.resolving.acquire().await.map_err(|error| Problem::fault(&error))?;
    server.hold_secrets(&workspace, &opened).await?;
    let Upgrade { packages, dry_run, as_of, virtual_packages } = sent;
    let resolving = Resolving { as_of, virtual_packages };
    let options = UpgradeOptions { packages, dry_run, resolving, who: Some(caller.user.clone()) };
    let (server, by, place) = (Arc::clone(&server), caller.user.clone(), workspace.clone());
    let upgraded = apart(move || async move {
        let upgraded = opened.workspace.upgrade_registered(&name, &options).await.map_err(of_change)?;
        if !options.dry_run {
            // Where nothing changed now, the version that is there may be one that an upgrade made before and that was not written down.
            let created = upgraded.to.is_some();
            let version = upgraded.to.clone().unwrap_or_else(|| upgraded.from.clone());
            let new = opened.workspace.version_details(&name, &version).await?;
            if let (Some(receipt), Some(lock)) = (new.receipt, new.lock) {
                let definition = new.definition_digest;
                let made = Registered { name, version, created, definition, receipt, lock, untold: None };
                record(&server, &by, (&place, &opened), &made).await?;
            }
        }
        Ok::<_, Box<Problem>>(upgraded)
    })
    .await??;
    tracing::info!(
        by = caller.user,
        workspace,
        name = upgraded.name,
        to = upgraded.to,
        "upgraded an environment"
    );
    let status = if upgraded.to.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(upgraded)))
}
