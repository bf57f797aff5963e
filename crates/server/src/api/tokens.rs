//! Tokens: made, listed, revoked. Everybody has their own; owners of the server have all.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::members::check_user;
use super::sent::{At, Sent};
use crate::access::Caller;
use crate::database::{NewToken, Role, Token};
use crate::problem::{Problem, Result};
use crate::state::Server;

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
    /// After how many days it ends by itself; never, if not said.
    #[schema(minimum = 1, maximum = 3650)]
    expires_in_days: Option<u32>,
}

/// Lists tokens: one's own, or all for owners of the server.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens",
    extensions(("x-provenv-role" = json!("user"))),
    responses((status = 200, body = Tokens),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn list(State(server): State<Arc<Server>>, caller: Caller) -> Result<Json<Tokens>> {
    let tokens = server.database.tokens(whose(&caller)).await?;
    Ok(Json(Tokens { tokens }))
}

/// Makes a token. Its secret is in the answer, and nowhere after that.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", request_body = AskedToken,
    extensions(("x-provenv-role" = json!("user"))),
    responses((status = 201, body = NewToken),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn make(
    State(server): State<Arc<Server>>,
    caller: Caller,
    Sent(asked): Sent<AskedToken>,
) -> Result<(StatusCode, Json<NewToken>)> {
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
    let expires_at = match asked.expires_in_days {
        None => None,
        Some(days @ 1..=3650) => {
            Some(jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * i64::from(days)))
        }
        Some(days) => {
            return Err(Problem::bad(
                "expiry-invalid",
                format!("a token holds 1 to 3650 days, and not {days}"),
            ));
        }
    };
    let token = server.database.make_token(&user, &asked.note, expires_at, &caller.user).await?;
    tracing::info!(by = caller.user, user, token = token.token.id, "made a token");
    Ok((StatusCode::CREATED, Json(token)))
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
    if !server.database.revoke(&id, whose(&caller), &caller.user).await? {
        return Err(Problem::missing("token-not-found", "there is no such token"));
    }
    tracing::info!(by = caller.user, token = id, "revoked a token");
    Ok(StatusCode::NO_CONTENT)
}

/// Whose tokens are somebody's business.
fn whose(caller: &Caller) -> Option<&str> {
    (caller.role != Some(Role::Owner)).then_some(&*caller.user)
}
