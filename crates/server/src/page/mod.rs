//! The page: what a team sees in a browser, on the port of the API.
//!
//! Server-rendered: every page is a whole document, and works without scripts but for the log of a build that is being written.
//! It is a client among others: what it shows comes from the same use cases as the API's answers, under the same roles, and what
//! it changes it asks of the API itself ([`ask`]), so that nothing can be done here that could not be done there. One file a
//! page; [`layout`] has what all of them look like, [`session`] who is there.

mod ask;
mod assets;
mod audit;
mod builds;
mod changes;
mod compare;
mod environments;
mod form;
mod graph;
mod layout;
mod members;
mod new;
mod packages;
mod refused;
mod runs;
mod services;
pub(crate) mod session;
mod sign_in;
mod tokens;
mod treemap;
mod version;
mod words;
mod workspaces;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts as _, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use tower_http::compression::CompressionLayer;

use self::refused::{Refused, Said};
use crate::again::MOST;
use crate::problem::Problem;
use crate::state::{Server, is_workspace_name};

/// What the page's handlers share.
pub(crate) struct Page {
    server: Arc<Server>,
    /// The API, to be asked in the name of whoever is there.
    api: Router,
    /// Whether browsers come by TLS.
    is_secure: bool,
    /// What was read of images.
    abouts: packages::Abouts,
}

/// The routes of the page. `api` is what is asked for changes.
pub(crate) fn routes(server: &Arc<Server>, api: Router, is_secure: bool) -> Router {
    let page =
        Arc::new(Page { server: Arc::clone(server), api, is_secure, abouts: packages::Abouts::default() });
    Router::new()
        .route("/", get(workspaces::home))
        .route("/sign-in", get(sign_in::show).post(sign_in::enter))
        .route("/sign-out", post(sign_in::leave))
        .route("/workspaces", get(workspaces::list).post(workspaces::make))
        .route("/tokens", get(tokens::list).post(tokens::make))
        .route("/tokens/{id}/revoke", post(tokens::revoke))
        .route("/w/{workspace}", get(workspaces::enter))
        .route("/w/{workspace}/environments", get(environments::list))
        .route("/w/{workspace}/environments/{name}", get(environments::versions))
        .route("/w/{workspace}/environments/{name}/{version}", get(version::show))
        .route("/w/{workspace}/environments/{name}/{version}/build", post(builds::ask))
        .route("/w/{workspace}/environments/{name}/{version}/archive", post(changes::archive))
        .route("/w/{workspace}/environments/{name}/{version}/restore", post(changes::restore))
        .route("/w/{workspace}/environments/{name}/{version}/describe", post(changes::describe))
        .route("/w/{workspace}/environments/{name}/{version}/label", post(changes::label))
        .route("/w/{workspace}/environments/{name}/{version}/unlabel", post(changes::unlabel))
        .route("/w/{workspace}/environments/{name}/{version}/lock", get(version::lock))
        .route("/w/{workspace}/environments/{name}/{version}/sbom/{format}", get(version::sbom))
        .route("/w/{workspace}/new", get(new::show).post(new::sent))
        .route("/w/{workspace}/diff", get(compare::show))
        .route("/w/{workspace}/builds", get(builds::list))
        .route("/w/{workspace}/builds/{id}", get(builds::show))
        .route("/w/{workspace}/builds/{id}/cancel", post(builds::cancel))
        .route("/w/{workspace}/builds/{id}/events", get(builds::events))
        .route("/w/{workspace}/runs", get(runs::list))
        .route("/w/{workspace}/runs/{id}", get(runs::show))
        .route("/w/{workspace}/services", get(services::list))
        .route("/w/{workspace}/audit", get(audit::of_workspace))
        .route("/w/{workspace}/audit/checkpoint", get(audit::checkpoint))
        .route("/w/{workspace}/audit/key", get(audit::key))
        .route("/audit-log", get(audit::of_server))
        .route("/audit-log/checkpoint", get(audit::checkpoint))
        .route("/audit-log/key", get(audit::key))
        .route("/w/{workspace}/members", get(members::list).post(members::set))
        .route("/w/{workspace}/members/remove", post(members::remove))
        .fallback(nothing)
        .layer(from_fn_with_state(Arc::clone(&page), finished))
        .route("/assets/{file}", get(assets::serve))
        .layer(DefaultBodyLimit::max(MOST))
        .layer(CompressionLayer::new())
        .with_state(page)
}

/// Whether whoever asks would rather read a page than JSON.
pub(crate) fn is_browser(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// Where there is nothing: programs hear it as a problem, and people see a page. The URL that the command line takes for a
/// workspace leads people to its page.
pub(crate) async fn nothing(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let problem = Problem::missing("no-such-path", format!("there is nothing at {}", uri.path()));
    if !is_browser(&headers) {
        return problem.hint("GET /openapi.json describes what there is").into_response();
    }
    let name = uri.path().trim_matches('/');
    if method == Method::GET && is_workspace_name(name) {
        return Redirect::to(&format!("/w/{name}/environments")).into_response();
    }
    Refused::from(problem).into_response()
}

/// What every page has: the bar, where something was refused, and what browsers are told.
async fn finished(State(page): State<Arc<Page>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let secret = session::secret(&parts.headers);
    let path: Option<Path<HashMap<String, String>>> = Path::from_request_parts(&mut parts, &()).await.ok();
    let mut response = next.run(Request::from_parts(parts, body)).await;
    if let Some(said) = response.extensions_mut().remove::<Box<Said>>() {
        let workspace = path.and_then(|Path(mut path)| path.remove("workspace"));
        let visitor = match secret {
            Some(secret) => session::whoever(&page, secret, workspace).await,
            None => None,
        };
        response = said.page(visitor.as_ref());
    }
    guard(response)
}

/// What browsers are told about every page: to load nothing from elsewhere, to run no script but ours, to show it in no frame,
/// to keep no copy, and to tell no other site where somebody was.
fn guard(mut response: Response) -> Response {
    const POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; \
                          form-action 'self'; frame-ancestors 'none'";
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cache-control", "no-store"),
        ("vary", "accept, cookie"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}
