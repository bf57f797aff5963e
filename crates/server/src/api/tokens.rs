//! Tokens: made, listed, revoked. Everybody has their own; owners of the server have all.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::members::check_user;
use super::sent::{At, Sent};
use crate::access::{Caller, unauthorized};
use crate::again::Secret;
use crate::database::{NewToken, Role, Scope, Token};
use crate::problem::{Problem, Result};
use crate::state::{Server, no_workspace};

/// Tokens, without their secrets.
#[derive(Serialize, ToSchema)]
pub struct Tokens {
    /// Newest first.
    tokens: Vec<Token>,
}

/// A token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AskedToken {
    /// Whose it is to be; of whoever asks, if nobody is named. Owners of the server name others.
    #[schema(example = "ann")]
    user: Option<String>,
    /// What it is for.
    #[serde(default)]
    #[schema(example = "laptop", max_length = 200)]
    note: String,
    /// After how many days it ends by itself; if not said, never, or with the token that it is asked with.
    #[schema(minimum = 1, maximum = 3650)]
    expires_in_days: Option<u32>,
    /// The workspace that it is to be for alone.
    #[schema(example = "vision")]
    workspace: Option<String>,
    /// The role that it is to have at the most; as much as its user, if not said.
    role: Option<Role>,
}

/// Lists tokens: one's own, or all for owners of the server.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens",
    extensions(("x-provenv-role" = json!("user"))),
    responses((status = 200, body = Tokens),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn list(State(server): State<Arc<Server>>, caller: Caller) -> Result<Json<Tokens>> {
    let tokens = server.database.tokens(caller.whose()).await?;
    Ok(Json(Tokens { tokens }))
}

/// Makes a token. Its secret is in the answer, and nowhere after that. Asked for with a token that is for less than its user, or for
/// a while, it is for no more and no longer, and ends when that one is revoked.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", request_body = AskedToken,
    extensions(("x-provenv-role" = json!("user"))),
    responses((status = 201, body = NewToken),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn make(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Sent(asked): Sent<AskedToken>,
) -> Result<(StatusCode, Extension<Secret>, Json<NewToken>)> {
    let scope = scope(&server, &caller, asked.workspace, asked.role).await?;
    let user = asked.user.unwrap_or_else(|| caller.user.clone());
    if user != caller.user && caller.role != Some(Role::Owner) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "role-too-low",
            format!("a token for `{user}` is made by `{user}` or an owner of the server"),
        ));
    }
    check_user(&user)?;
    if asked.note.chars().count() > 200 {
        return Err(Problem::bad("note-too-long", "the note has more than 200 characters"));
    }
    // A session that the provider began is nobody's token.
    let parent = match &caller.identity.token {
        Some(id) => Some(server.database.token(id).await?.ok_or_else(unauthorized)?),
        None => None,
    };
    let expires_at = expiry(asked.expires_in_days, parent.as_ref().and_then(|parent| parent.expires_at))?;
    let (database, by) = (&server.database, &caller.user);
    let token = match &parent {
        Some(parent) => {
            let made = database.make_token_with(parent, (&user, &asked.note), &scope, expires_at, by).await?;
            made.ok_or_else(unauthorized)?
        }
        None => database.make_token(&user, &asked.note, &scope, expires_at, by).await?,
    };
    tracing::info!(by = caller.user, user, token = token.token.id, "made a token");
    Ok((StatusCode::CREATED, Extension(Secret), Json(token)))
}

/// Revokes a token, which holds no longer.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "tokens", params(("id" = String, Path)),
    extensions(("x-provenv-role" = json!("user"))),
    responses((status = 204),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn revoke(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At(id): At<String>,
) -> Result<StatusCode> {
    // Nobody ends what may more than they may: but each token can end itself.
    if caller.identity.token.as_deref() != Some(&*id) {
        caller.must_be_whole("ends none but itself")?;
    }
    if !server.database.revoke(&id, caller.whose(), &caller.user).await? {
        return Err(Problem::missing("token-not-found", "there is no such token, or it is not yours").hint(
            "`provenv token list`, or GET /api/v1/tokens, shows what identifies each; its secret does not",
        ));
    }
    tracing::info!(by = caller.user, token = id, "revoked a token");
    Ok(StatusCode::NO_CONTENT)
}

/// When a token is to end: no later than the one that it is asked with.
fn expiry(days: Option<u32>, most: Option<jiff::Timestamp>) -> Result<Option<jiff::Timestamp>> {
    let Some(days) = days else { return Ok(most) };
    if !(1..=3650).contains(&days) {
        let detail = format!("a token holds 1 to 3650 days, and not {days}");
        return Err(Problem::bad("expiry-invalid", detail));
    }
    let wanted = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * i64::from(days));
    if let Some(most) = most.filter(|most| wanted > *most) {
        let detail = format!("a token that ends at {most:.0} makes none that ends later");
        return Err(Problem::new(StatusCode::FORBIDDEN, "expiry-too-late", detail)
            .hint("leave the days out, and it ends at the same time; or ask with another token"));
    }
    Ok(Some(wanted))
}

/// What a token is to be for. It may not be more than what it is asked with.
async fn scope(
    server: &Server,
    caller: &Caller,
    workspace: Option<String>,
    role: Option<Role>,
) -> Result<Scope> {
    let own = &caller.identity.scope;
    let is_wider = own.workspace.is_some() && workspace != own.workspace
        || own.role.is_some_and(|most| role.is_none_or(|role| role > most));
    if is_wider {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "role-too-low",
            "a token that was made for less than its user may makes none for more",
        )
        .hint("ask with another token, or name its workspace and role for the new one, too"));
    }
    if let Some(name) = &workspace {
        // Whether it is there is for those to know who have a role in it.
        if server.database.role_of(&caller.identity, Some(name)).await?.is_none() {
            return Err(no_workspace(name));
        }
        server.workspace(name).await?;
    }
    Ok(Scope { workspace, role })
}
