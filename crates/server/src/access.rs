//! Who may call what. Each operation says so in the description of the API, as `x-provenv-role`, and nowhere else: this is
//! read from there, and an operation that says nothing can be called by nobody.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{MatchedPath, Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use provenv_workspace::Moment;

use crate::database::{Identity, Role};
use crate::problem::{Problem, Result};
use crate::state::{Server, no_workspace};
use crate::trace;

/// What an operation wants of whoever calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing.
    Nothing,
    /// A token that holds.
    Token,
    /// A role in the workspace that the path names, or on the server where it names none.
    Role(Role),
}

/// What each operation wants, by method and path.
pub(crate) struct Decisions(HashMap<(Method, String), Needs>);

impl Decisions {
    /// Reads them from the description of the API.
    pub fn of(description: &serde_json::Value) -> Self {
        let mut decisions = HashMap::new();
        for (path, operations) in description["paths"].as_object().into_iter().flatten() {
            for (method, operation) in operations.as_object().into_iter().flatten() {
                let needs = match operation["x-provenv-role"].as_str() {
                    Some("anybody") => Needs::Nothing,
                    Some("user") => Needs::Token,
                    Some(role) => match role.parse() {
                        Ok(role) => Needs::Role(role),
                        Err(()) => continue,
                    },
                    None => continue,
                };
                if let Ok(method) = method.to_uppercase().parse() {
                    decisions.insert((method, path.clone()), needs);
                }
            }
        }
        Self(decisions)
    }
}

/// Whoever calls.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub user: String,
    /// What they came with, and may at the most.
    pub identity: Identity,
    /// Their role in the workspace that the path names, or on the server.
    pub role: Option<Role>,
    /// The moment of the server's database when they were let in.
    pub moment: Option<Moment>,
}

impl Caller {
    /// Whose tokens and sessions are this one's business: `None` for all.
    pub fn whose(&self) -> Option<&str> {
        (self.role != Some(Role::Owner)).then_some(&*self.user)
    }

    /// Refuses a token that is for less than its user may: nobody ends what may more than they may.
    pub fn must_be_whole(&self, what: &str) -> Result<()> {
        if !self.identity.scope.is_narrow() {
            return Ok(());
        }
        let detail = format!("a token that was made for less than its user may {what}");
        Err(Problem::new(StatusCode::FORBIDDEN, "role-too-low", detail))
    }
}

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Caller {
    type Rejection = Box<Problem>;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, _: &S) -> Result<Self> {
        parts.extensions.get::<Self>().cloned().ok_or_else(unauthorized)
    }
}

/// Lets a request in, or does not.
pub(crate) async fn admit(
    State(server): State<Arc<Server>>,
    path: Option<MatchedPath>,
    parameters: Option<Path<HashMap<String, String>>>,
    mut request: Request<Body>,
    next: Next,
) -> Response {
    let workspace = parameters.as_ref().and_then(|parameters| parameters.get("workspace"));
    let path = path.map(|path| path.as_str().to_owned()).unwrap_or_default();
    // Whoever may GET may have the headers alone.
    let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
    let needs = server.decisions.0.get(&(method, path)).copied();
    match decide(&server, needs, workspace, request.headers()).await {
        Ok(caller) => {
            let turn = caller.as_ref().map(|caller| server.limits.enter(&caller.user)).transpose();
            let _turn = match turn {
                Ok(turn) => turn,
                Err(problem) => return problem.into_response(),
            };
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            let is_change = request.method() != Method::GET && request.method() != Method::HEAD;
            let response = next.run(request).await;
            if let Some(workspace) = workspace
                && is_change
                && response.status().is_success()
            {
                server.follow_changes(workspace).await;
            }
            response
        }
        Err(problem) => problem.into_response(),
    }
}

pub(crate) async fn decide(
    server: &Server,
    needs: Option<Needs>,
    workspace: Option<&String>,
    headers: &HeaderMap,
) -> Result<Option<Caller>> {
    let needed = match needs {
        Some(Needs::Nothing) => return Ok(None),
        Some(Needs::Token) => None,
        Some(Needs::Role(role)) => Some(role),
        None => {
            return Err(Problem::new(StatusCode::FORBIDDEN, "not-decided", "nobody may call this"));
        }
    };
    let place = workspace.map(String::as_str);
    let (mut known, mut moment) = (None, None);
    if let Some(token) = token(headers) {
        moment = server.database.moment().await;
        known = server.database.caller(&token, place, moment.as_ref()).await?;
    }
    let (identity, role) = if let Some(known) = known {
        (known.identity.clone(), known.role)
    } else {
        // A session, if anything.
        let Some(identity) = user(server, headers).await? else { return Err(nobody(server, headers)) };
        let role = server.database.role_of(&identity, place).await?;
        (identity, role)
    };
    trace::caller(if headers.contains_key(header::AUTHORIZATION) { "token" } else { "session" });
    server.limits.request(&identity)?;
    let user = identity.user.clone();
    if let Some(needed) = needed {
        match (role, workspace) {
            (Some(role), _) if role >= needed => {}
            // Whether it is there is not for those who have no role in it.
            (None, Some(workspace)) => return Err(no_workspace(workspace)),
            (_, place) => return Err(role_too_low(&user, identity.scope.is_narrow(), role, place, needed)),
        }
    }
    Ok(Some(Caller { user, identity, role, moment }))
}

/// Said of whoever would need another role.
pub(crate) fn role_too_low(
    user: &str,
    is_narrow: bool,
    role: Option<Role>,
    workspace: Option<&String>,
    needed: Role,
) -> Box<Problem> {
    let place = workspace.map_or("on this server".to_owned(), |name| format!("in `{name}`"));
    let has = role.map_or("no role".to_owned(), |role| format!("the role {role}"));
    Problem::new(
        StatusCode::FORBIDDEN,
        "role-too-low",
        format!("`{user}` has {has} {place}, and this needs {needed}"),
    )
    .hint(if is_narrow {
        "this token was made for less than its user may: take another"
    } else {
        "an owner can give another role"
    })
}

/// Who a request is from, by its token or session; `None` where it has none, or one that does not hold.
pub(crate) async fn user(server: &Server, headers: &HeaderMap) -> Result<Option<Identity>> {
    let Some(token) = token(headers) else { return Ok(None) };
    Ok(match server.database.user_of(&token).await? {
        Some(identity) => Some(identity),
        None => server.database.session_of(&token, server.admission.oidc.idle()).await?,
    })
}

/// `Bearer TOKEN`, or the token as the password of any name, as docker and others send it.
pub(crate) fn token(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let text = String::from_utf8(BASE64_STANDARD.decode(rest.trim()).ok()?).ok()?;
        return Some(text.split_once(':')?.1.to_owned());
    }
    None
}

/// Said to whoever has no token, or one that does not hold; less and less willingly.
pub(crate) fn nobody(server: &Server, headers: &HeaderMap) -> Box<Problem> {
    let has_token = headers.contains_key(header::AUTHORIZATION);
    let counted = if has_token { server.limits.failure() } else { server.limits.anonymous() };
    counted.err().unwrap_or_else(unauthorized)
}

pub(crate) fn unauthorized() -> Box<Problem> {
    Problem::new(StatusCode::UNAUTHORIZED, "token-needed", "no token, or one that does not hold")
        .hint("send `Authorization: Bearer pvt_…`; `provenv login URL` keeps one")
}
