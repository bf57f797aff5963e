//! `/v2/`: the workspaces as a registry. The first component of a repository's name is the workspace: `HOST/WORKSPACE/NAME`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use provenv_workspace::Visitor;

use crate::access::{nobody, user};
use crate::database::{Action, Deed, Identity, Role};
use crate::problem::{Problem, Result};
use crate::pulls;
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
    let Some(identity) = user(server, request.headers()).await? else {
        return Err(nobody(server, request.headers()));
    };
    server.limits.request(&identity)?;
    let rest =
        request.uri().path().strip_prefix("/v2").unwrap_or_default().trim_start_matches('/').to_owned();
    if rest.is_empty() && matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(
            ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], "{}").into_response()
        );
    }
    if rest == "_catalog" && matches!(*request.method(), Method::GET | Method::HEAD) {
        return catalog(server, &identity, request.uri().query().unwrap_or_default()).await;
    }
    let name = rest.split('/').next().unwrap_or_default();
    let missing = || {
        Problem::missing("workspace-not-found", format!("there is no workspace `{name}` for you here"))
            .hint("repositories are HOST/WORKSPACE/NAME")
    };
    let Some(role) = server.database.role_of(&identity, Some(name)).await? else { return Err(missing()) };
    let opened = server.workspace(name).await.map_err(|problem| {
        if problem.status == StatusCode::NOT_FOUND.as_u16() { missing() } else { problem }
    })?;
    let action = action(request.method(), &rest);
    let visitor = Visitor { name: identity.user, pushes: role >= Role::Contributor };
    let (parts, body) = request.into_parts();
    let asked = parts.clone();
    let response = opened.registry.answer(Request::from_parts(parts, body), &visitor).await;
    if response.status() == StatusCode::NOT_FOUND
        && let Some(response) = pulls::answer(server, name, &opened, &visitor, &asked).await?
    {
        return Ok(response);
    }
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

/// The longest list of repositories where none is asked for.
const MOST: usize = 10_000;

/// The repositories of all workspaces in which somebody has a role, in the order of their names.
async fn catalog(server: &Server, identity: &Identity, query: &str) -> Result<Response> {
    let asked = |key: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(name, _)| name == key).map(|(_, value)| value.into_owned())
    };
    let limit = match asked("n") {
        Some(n) => {
            n.parse().map_err(|_| Problem::bad("limit-invalid", format!("n is `{n}`, and no number")))?
        }
        None => MOST,
    };
    let limit: usize = limit.min(MOST);
    let last = asked("last");
    let mut names = Vec::new();
    for workspace in server.database.workspaces().await? {
        if server.database.role_of(identity, Some(&workspace)).await?.is_none() {
            continue;
        }
        let opened = server.workspace(&workspace).await?;
        // One more than is wanted says whether there are others.
        let own = opened.registry.repositories(last.as_deref(), limit + 1).await;
        names.extend(own.map_err(|error| Problem::fault(&*error))?);
    }
    // Those of a workspace that stands before where the list goes on were given before.
    names.retain(|name| last.as_ref().is_none_or(|last| name > last));
    names.sort_unstable();
    let has_more = names.len() > limit;
    names.truncate(limit);
    let body = serde_json::json!({ "repositories": names }).to_string();
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let mut response = (kind, body).into_response();
    if let Some(last) = names.last().filter(|_| has_more) {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("last", last)
            .append_pair("n", &limit.to_string())
            .finish();
        if let Ok(link) = HeaderValue::try_from(format!("</v2/_catalog?{query}>; rel=\"next\"")) {
            response.headers_mut().insert(header::LINK, link);
        }
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
pub(crate) fn refused(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let code = match status {
        StatusCode::UNAUTHORIZED => "UNAUTHORIZED",
        StatusCode::NOT_FOUND => "NAME_UNKNOWN",
        StatusCode::TOO_MANY_REQUESTS => "TOOMANYREQUESTS",
        _ => "UNKNOWN",
    };
    let error =
        serde_json::json!({ "code": code, "message": problem.detail, "detail": { "reason": problem.hint } });
    let body = serde_json::json!({ "errors": [error] }).to_string();
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let mut response = (status, kind, body).into_response();
    if let Some(seconds) = problem.wait() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        let basic = HeaderValue::from_static("Basic realm=\"provenv\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
    }
    response
}
