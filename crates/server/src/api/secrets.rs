//! Secrets: credentials of indexes and registries, set and never shown.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use provenv_workspace::{Credentials, HostCredentials};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::sent::{At, Sent};
use crate::access::Caller;
use crate::database::Secret;
use crate::problem::{Problem, Result};
use crate::secrets::{Resealed, SecretsError};
use crate::state::Server;

/// Secrets, without what is secret of them.
#[derive(Serialize, ToSchema)]
pub struct SecretList {
    /// By name.
    secrets: Vec<Secret>,
}

/// A secret to be set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSecret {
    /// The one host that it is sent to, with its port where that is not the usual one: by TLS, unless `http://` stands before it.
    #[schema(example = "packages.example", max_length = 270)]
    host: String,
    /// The user; tokens often need none.
    #[serde(default)]
    #[schema(max_length = 1000)]
    username: String,
    /// The password, or the token.
    #[schema(max_length = 20000)]
    password: String,
}

/// What a new key was made for.
#[derive(Serialize, ToSchema)]
pub struct Rekeyed {
    /// How many secrets were sealed anew.
    secrets: usize,
    /// Those that were not, because they do not open: `WORKSPACE/NAME`. They are to be set anew.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unopened: Vec<String>,
}

/// Lists the secrets of a workspace.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/secrets", tag = "secrets",
    params(("workspace" = String, Path)),
    extensions(("x-provenv-role" = json!("contributor"))),
    responses((status = 200, body = SecretList),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn list(State(server): State<Arc<Server>>, At(workspace): At<String>) -> Result<Json<SecretList>> {
    server.workspace(&workspace).await?;
    Ok(Json(SecretList { secrets: server.database.secrets(&workspace).await? }))
}

/// Sets a secret, in place of the one of its name. It is never shown again.
#[utoipa::path(put, path = "/api/v1/workspaces/{workspace}/secrets/{name}", tag = "secrets",
    params(("workspace" = String, Path), ("name" = String, Path)), request_body = NewSecret,
    extensions(("x-provenv-role" = json!("owner"))),
    responses((status = 204),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn set(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At((workspace, name)): At<(String, String)>,
    Sent(new): Sent<NewSecret>,
) -> Result<StatusCode> {
    server.workspace(&workspace).await?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.len() > 100 || !name.chars().all(is_word) {
        return Err(Problem::bad("secret-name-invalid", "that is no name of a secret")
            .hint("take letters, digits and `.`, `_`, `-`, at most 100"));
    }
    let host = HostCredentials::origin(&new.host).ok_or_else(|| {
        Problem::bad("host-invalid", "that is no host of an index or a registry").hint(
            "write packages.example or packages.example:8443, without a path; http:// before it, if it has no TLS and the \
             password may go in clear",
        )
    })?;
    let is_line = |text: &str| !text.chars().any(char::is_control);
    if new.password.is_empty()
        || new.password.len() > 20_000
        || new.username.len() > 1000
        || !is_line(&new.username)
        || !is_line(&new.password)
    {
        return Err(Problem::bad(
            "secret-invalid",
            "the user or the password is empty, too long or more than a line",
        ));
    }
    let credentials = Credentials { username: new.username, password: new.password };
    let place = (&*workspace, &*name, &*host);
    if let Some(other) = server.secrets.set(&server.database, place, credentials, &caller.user).await? {
        let detail = format!("the secret `{other}` is for {host} already");
        return Err(Problem::new(StatusCode::CONFLICT, "secret-host-taken", detail)
            .hint("set that one, or remove it first"));
    }
    tracing::info!(by = caller.user, workspace, name, host, "set a secret");
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a secret.
#[utoipa::path(delete, path = "/api/v1/workspaces/{workspace}/secrets/{name}", tag = "secrets",
    params(("workspace" = String, Path), ("name" = String, Path)),
    extensions(("x-provenv-role" = json!("owner"))),
    responses((status = 204),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn remove(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At((workspace, name)): At<(String, String)>,
) -> Result<StatusCode> {
    server.workspace(&workspace).await?;
    if !server.database.remove_secret(&workspace, &name, &caller.user).await? {
        let detail = format!("there is no secret `{name}` in this workspace");
        return Err(Problem::missing("secret-not-found", detail)
            .hint("`provenv secret list`, or GET …/secrets, lists those that are kept"));
    }
    tracing::info!(by = caller.user, workspace, name, "removed a secret");
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a new key, and seals all secrets of all workspaces with it.
#[utoipa::path(post, path = "/api/v1/secrets/rekey", tag = "secrets",
    extensions(("x-provenv-role" = json!("owner"))),
    responses((status = 200, body = Rekeyed),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn rekey(State(server): State<Arc<Server>>, caller: Caller) -> Result<Json<Rekeyed>> {
    let Resealed { secrets, unopened } = server.secrets.rekey(&server.database, &caller.user).await?;
    tracing::info!(by = caller.user, secrets, ?unopened, "made a new key for the secrets");
    Ok(Json(Rekeyed { secrets, unopened }))
}

impl From<SecretsError> for Box<Problem> {
    fn from(error: SecretsError) -> Self {
        Problem::fault(&error)
    }
}
