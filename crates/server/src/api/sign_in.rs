//! Sign-in by the identity provider, and the sessions that it begins.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::sent::{Asked, At, Sent};
use crate::access::{Caller, token};
use crate::database::{NewToken, Session};
use crate::problem::{Problem, Result};
use crate::sign_in::browser::{self, CameBack, SESSION, cookie};
use crate::sign_in::device::{self, DeviceSignIn};
use crate::state::Server;

/// Where to go on afterwards.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Next {
    /// A path of this server.
    next: Option<String>,
}

/// A sign-in that waits for a person.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AskedDevice {
    /// What it was begun with.
    device_code: String,
}

/// How one can sign in.
#[derive(Serialize, ToSchema)]
pub struct Ways {
    /// The identity provider, if there is one.
    provider: Option<Way>,
}

/// An identity provider.
#[derive(Serialize, ToSchema)]
pub struct Way {
    /// What it is called.
    #[schema(example = "id.example")]
    label: String,
    /// Where a browser begins.
    #[schema(example = "/sign-in/oidc")]
    path: &'static str,
}

/// Sessions, without their secrets.
#[derive(Serialize, ToSchema)]
pub struct Sessions {
    /// Newest first.
    sessions: Vec<Session>,
}

/// Says how one can sign in.
#[utoipa::path(get, path = "/api/v1/sign-in", tag = "sign-in", security(()),
    extensions(("x-provenv-role" = json!("anybody"))),
    responses((status = 200, body = Ways)))]
pub async fn ways(State(server): State<Arc<Server>>) -> Json<Ways> {
    Json(Ways { provider: server.provider_label().map(|label| Way { label, path: "/sign-in/oidc" }) })
}

/// Sends a browser to the identity provider.
#[utoipa::path(get, path = "/sign-in/oidc", tag = "sign-in", security(()), params(Next),
    extensions(("x-provenv-role" = json!("anybody"))),
    responses((status = 303, description = "To the provider"),
        (status = 502, description = "The provider is not as it should be", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The provider does not answer", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn begin(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    Asked(next): Asked<Next>,
) -> Result<Response> {
    browser::begin(&server, &headers, next.next.as_deref()).await
}

/// Takes a browser that comes back from the identity provider, and begins its session.
#[utoipa::path(get, path = "/sign-in/oidc/callback", tag = "sign-in", security(()), params(CameBack),
    extensions(("x-provenv-role" = json!("anybody"))),
    responses((status = 303, description = "Signed in: to where the browser wanted to go"),
        (status = 502, description = "The provider is not as it should be", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The provider does not answer", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn end(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    Asked(came): Asked<CameBack>,
) -> Result<Response> {
    browser::end(&server, &headers, came).await
}

/// Begins the sign-in of a command line (RFC 8628): a person enters the code at the identity provider.
#[utoipa::path(post, path = "/api/v1/sign-in/device", tag = "sign-in", security(()),
    extensions(("x-provenv-role" = json!("anybody"))),
    responses((status = 200, body = DeviceSignIn),
        (status = 502, description = "The provider is not as it should be", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The provider does not answer", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn begin_device(State(server): State<Arc<Server>>) -> Result<Json<DeviceSignIn>> {
    Ok(Json(device::begin(&server).await?))
}

/// Asks whether the code was entered, and gives a token then. The codes `authorization-pending` and `slow-down` say to ask again.
#[utoipa::path(post, path = "/api/v1/sign-in/device/token", tag = "sign-in", security(()), request_body = AskedDevice,
    extensions(("x-provenv-role" = json!("anybody"))),
    responses((status = 201, body = NewToken),
        (status = 502, description = "The provider is not as it should be", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The provider does not answer", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn poll_device(
    State(server): State<Arc<Server>>,
    Sent(asked): Sent<AskedDevice>,
) -> Result<(StatusCode, Json<NewToken>)> {
    Ok((StatusCode::CREATED, Json(device::poll(&server, &asked.device_code).await?)))
}

/// Ends the session that asks, named by its cookie or as a token.
#[utoipa::path(delete, path = "/api/v1/session", tag = "sign-in", security(()),
    extensions(("x-provenv-role" = json!("anybody"))),
    responses((status = 204, description = "It has ended, if there was one"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn sign_out(State(server): State<Arc<Server>>, headers: HeaderMap) -> Result<StatusCode> {
    server.limits.anonymous()?;
    if let Some(secret) = token(&headers).or_else(|| cookie(&headers, SESSION)) {
        server.database.end_session(&secret).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Lists sessions: one's own, or all for owners of the server.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "sign-in",
    extensions(("x-provenv-role" = json!("user"))),
    responses((status = 200, body = Sessions),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn list(State(server): State<Arc<Server>>, caller: Caller) -> Result<Json<Sessions>> {
    Ok(Json(Sessions { sessions: server.database.sessions(caller.whose()).await? }))
}

/// Ends a session.
#[utoipa::path(delete, path = "/api/v1/sessions/{id}", tag = "sign-in", params(("id" = String, Path)),
    extensions(("x-provenv-role" = json!("user"))),
    responses((status = 204),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn revoke(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At(id): At<String>,
) -> Result<StatusCode> {
    caller.must_be_whole("ends no session")?;
    if !server.database.revoke_session(&id, caller.whose()).await? {
        return Err(Problem::missing("session-not-found", "there is no such session"));
    }
    tracing::info!(by = caller.user, session = id, "ended a session");
    Ok(StatusCode::NO_CONTENT)
}
