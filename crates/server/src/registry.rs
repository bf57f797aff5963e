//! `/v2/`: the workspaces as a registry. The first component of a repository's name is the workspace: `HOST/WORKSPACE/NAME`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use provenv_workspace::Visitor;

use crate::access::user;
use crate::database::{Action, Deed, Role};
use crate::problem::{Problem, Result};
use crate::state::Server;
use crate::unbroken::finish;

/// Answers whoever has a role in the workspace that the repository is of.
pub(crate) async fn answer(State(server): State<Arc<Server>>, request: Request<Body>) -> Response {
    let is_change = matches!(*request.method(), Method::PUT | Method::DELETE);
    let answering = async move {
        match admitted(&server, request).await {
            Ok(response) => response,
            Err(problem) => refused(&problem),
        }
    };
    // What is recorded must not be left halfway.
    if is_change { finish(answering).await } else { answering.await }
}

async fn admitted(server: &Server, request: Request<Body>) -> Result<Response> {
    let user = user(server, request.headers()).await?.ok_or_else(crate::access::unauthorized)?;
    let rest = request.uri().path().trim_start_matches("/v2").trim_start_matches('/').to_owned();
    if rest.is_empty() && matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(
            ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], "{}").into_response()
        );
    }
    let name = rest.split('/').next().unwrap_or_default();
    let missing = || {
        Problem::missing("workspace-not-found", format!("there is no workspace `{name}` for you here"))
            .hint("repositories are HOST/WORKSPACE/NAME")
    };
    let Some(role) = server.database.role(&user, Some(name)).await? else { return Err(missing()) };
    let opened = server.workspace(name).await.map_err(|problem| {
        if problem.status == StatusCode::NOT_FOUND.as_u16() { missing() } else { problem }
    })?;
    let action = action(request.method(), &rest);
    let visitor = Visitor { name: user, pushes: role >= Role::Contributor };
    let response = opened.registry.answer(request, &visitor).await;
    if let Some(action) = action.filter(|_| response.status().is_success()) {
        let mut deed = Deed::new(&visitor.name, action, &rest).within(name);
        let digest = response.headers().get("docker-content-digest").and_then(|digest| digest.to_str().ok());
        if let Some(digest) = digest {
            deed = deed.with("digest", digest);
        }
        server.record(&deed).await?;
    }
    Ok(response)
}

/// What a request changes, if it does: blobs alone are nothing until a manifest names them.
fn action(method: &Method, rest: &str) -> Option<Action> {
    let kind = rest.rsplit('/').nth(1)?;
    match (method, kind) {
        (&Method::PUT, "manifests") => Some(Action::Push),
        (&Method::DELETE, "manifests" | "blobs") => Some(Action::RegistryDelete),
        _ => None,
    }
}

/// A problem in the form that registries have.
fn refused(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let code = match status {
        StatusCode::UNAUTHORIZED => "UNAUTHORIZED",
        StatusCode::NOT_FOUND => "NAME_UNKNOWN",
        _ => "UNKNOWN",
    };
    let error =
        serde_json::json!({ "code": code, "message": problem.detail, "detail": { "reason": problem.hint } });
    let body = serde_json::json!({ "errors": [error] }).to_string();
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let mut response = (status, kind, body).into_response();
    if status == StatusCode::UNAUTHORIZED {
        let basic = HeaderValue::from_static("Basic realm=\"provenv\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
    }
    response
}
