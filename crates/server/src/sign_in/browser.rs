//! Sign-in of a browser: it is sent to the provider and comes back with a code, once, with the state that it took along.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use openidconnect::{PkceCodeChallenge, PkceCodeVerifier};
use serde::Deserialize;
use url::Url;
use utoipa::IntoParams;

use super::{no_provider, person};
use crate::database::{Action, Deed, SignIn, secret};
use crate::problem::{Problem, Result};
use crate::state::Server;

/// How long somebody may take at the provider.
const PATIENCE: Duration = Duration::from_mins(10);
/// The cookie of a sign-in that has begun: whoever comes back must be whoever went.
const BEGUN: &str = "provenv_signing_in";
/// The cookie of a session. What it holds is taken as `Authorization: Bearer` as well.
pub(crate) const SESSION: &str = "provenv_session";
/// Where a browser comes back to.
const BACK: &str = "/sign-in/oidc/callback";

/// What the provider sends back with a browser.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CameBack {
    /// What was sent along.
    state: Option<String>,
    /// What to exchange for who it is.
    code: Option<String>,
    /// Why not.
    error: Option<String>,
    /// Who sends it back (RFC 9207).
    iss: Option<String>,
}

/// Sends a browser to the provider.
pub(crate) async fn begin(server: &Server, headers: &HeaderMap, next: Option<&str>) -> Result<Response> {
    server.limits.anonymous()?;
    let provider = server.provider.as_ref().ok_or_else(no_provider)?;
    let description = provider.description().await?;
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (state, nonce) = (secret()?, secret()?);
    let redirect = own_url(server, headers)?;
    let scopes = server.admission.oidc.scopes.clone().unwrap_or_else(|| vec!["profile".to_owned()]);
    let scope = std::iter::once("openid".to_owned())
        .chain(scopes.into_iter().filter(|scope| scope != "openid"))
        .collect::<Vec<_>>()
        .join(" ");
    let mut to = description.authorization_endpoint;
    to.query_pairs_mut().extend_pairs([
        ("response_type", "code"),
        ("client_id", provider.client_id()),
        ("redirect_uri", redirect.as_str()),
        ("scope", &scope),
        ("state", &state),
        ("nonce", &nonce),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ]);
    let sign_in = SignIn {
        nonce,
        verifier: verifier.into_secret(),
        back: own_path(next).to_owned(),
        redirect: redirect.to_string(),
    };
    server.database.begin_sign_in(&state, &sign_in, PATIENCE).await?;
    let cookie = format!(
        "{BEGUN}={state}; Path=/sign-in/oidc; Max-Age={}; HttpOnly; SameSite=Lax{}",
        PATIENCE.as_secs(),
        if redirect.scheme() == "https" { "; Secure" } else { "" }
    );
    go(to.as_str(), &[cookie])
}

/// Takes a browser that came back: begins its session.
pub(crate) async fn end(server: &Server, headers: &HeaderMap, came: CameBack) -> Result<Response> {
    server.limits.anonymous()?;
    match signed_in(server, headers, came).await {
        Err(problem) if problem.status < 500 => {
            server.limits.failure()?;
            Err(problem)
        }
        answer => answer,
    }
}

async fn signed_in(server: &Server, headers: &HeaderMap, came: CameBack) -> Result<Response> {
    let provider = server.provider.as_ref().ok_or_else(no_provider)?;
    let unknown = || {
        Problem::bad(
            "sign-in-unknown",
            "this sign-in was not begun here, took too long, or has ended already",
        )
        .hint("begin again at /sign-in/oidc")
    };
    let state = came.state.as_deref().ok_or_else(unknown)?;
    if cookie(headers, BEGUN).as_deref() != Some(state) {
        return Err(unknown());
    }
    let sign_in = server.database.take_sign_in(state).await?.ok_or_else(unknown)?;
    if came.iss.is_some_and(|iss| iss.trim_end_matches('/') != provider.issuer()) {
        return Err(Problem::bad("sign-in-refused", "another provider answered than was asked"));
    }
    if let Some(error) = came.error {
        let error: String = error.chars().filter(|c| !c.is_control()).take(100).collect();
        return Err(Problem::bad("sign-in-refused", format!("the provider says no: {error}")));
    }
    let code = came.code.as_deref().ok_or_else(unknown)?;
    let verifier = PkceCodeVerifier::new(sign_in.verifier);
    let exchanged = provider
        .exchange(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &sign_in.redirect),
            ("code_verifier", verifier.secret()),
        ])
        .await?;
    let tokens = exchanged.map_err(|refusal| {
        Problem::bad("sign-in-refused", format!("the provider says no: {}", refusal.said()))
    })?;
    let claims = provider.claims(&tokens, Some(&sign_in.nonce)).await?;
    let user = person::user(server, provider.issuer(), &claims).await?;
    let lasts = server.admission.oidc.session();
    server.record(&Deed::new(&user, Action::SignIn, &user).with("by", "browser")).await?;
    let secret = server.database.begin_session(&user, None, lasts).await?;
    tracing::info!(user, "signed in by the provider");
    let secure = if sign_in.redirect.starts_with("https:") { "; Secure" } else { "" };
    let session =
        format!("{SESSION}={secret}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}", lasts.as_secs());
    let over = format!("{BEGUN}=; Path=/sign-in/oidc; Max-Age=0; HttpOnly; SameSite=Lax{secure}");
    go(&sign_in.back, &[session, over])
}

/// Where browsers see this server.
fn own_url(server: &Server, headers: &HeaderMap) -> Result<Url> {
    let unknown = || {
        Problem::bad("host-unknown", "the request does not say by which name this server is asked")
            .hint("`oidc.public_url` in the server's settings says it")
    };
    let base = if let Some(url) = &server.admission.oidc.public_url {
        url.clone()
    } else {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).ok_or_else(unknown)?;
        let scheme = if server.admission.is_secure { "https" } else { "http" };
        Url::parse(&format!("{scheme}://{host}/")).map_err(|_| unknown())?
    };
    base.join(BACK).map_err(|_| unknown())
}

/// A path of this server and of nobody else.
fn own_path(next: Option<&str>) -> &str {
    let is_own = |path: &&str| {
        path.starts_with('/')
            && !path.starts_with("//")
            && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    next.filter(is_own).unwrap_or("/")
}

/// The value of a cookie.
pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
}

/// Sends a browser elsewhere, with cookies.
fn go(to: &str, cookies: &[String]) -> Result<Response> {
    let value = |text: &str| HeaderValue::try_from(text).map_err(|error| Problem::fault(&error));
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, value(to)?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for cookie in cookies {
        let mut value = value(cookie)?;
        value.set_sensitive(true);
        headers.append(header::SET_COOKIE, value);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn nobody_is_sent_elsewhere() {
        assert_eq!(own_path(Some("/w/default?x=1")), "/w/default?x=1");
        for other in ["//evil.example", "https://evil.example", "/\\evil.example", "/a b", "/\u{e9}", ""] {
            assert_eq!(own_path(Some(other)), "/", "{other}");
        }
    }
}
