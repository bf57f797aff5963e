//! Who is there: a browser shows the secret of its session in a cookie, and every form carries a token that only pages of ours
//! can know.
//!
//! The secret is whatever `Authorization: Bearer` may carry, so that sessions and tokens are judged in one place.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use provenv_definition::Digest;

use super::Page;
use super::refused::{Refused, Result};
use crate::access::{Needs, decide};
use crate::database::Role;
use crate::limits::FORWARDED_PROTO;
use crate::problem::Problem;

/// The cookie with the secret.
const COOKIE: &str = "provenv_session";
/// How long a browser keeps it; the token behind it may end earlier.
const KEPT: u32 = 30 * 24 * 3600;

/// Whoever is there.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub user: String,
    /// The workspace that the path names.
    pub workspace: Option<String>,
    /// Their role in it, or on the server where it names none.
    pub role: Option<Role>,
    /// Whether they came with a token that is for less than they may.
    pub is_narrow: bool,
    secret: String,
}

impl Visitor {
    /// What the API knows them by.
    pub fn authorization(&self) -> Result<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.secret))
            .map_err(|error| Problem::fault(&error))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// What their cookie holds.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// What forms of theirs carry. Whoever does not know the secret cannot know it.
    pub fn form_token(&self) -> String {
        Digest::of(format!("provenv.page.form.1\0{}", self.secret).as_bytes()).hex()
    }

    /// Whether they may change something here.
    pub fn may_change(&self) -> bool {
        self.role >= Some(Role::Contributor)
    }

    /// Whether they say who may do what here.
    pub fn is_owner(&self) -> bool {
        self.role == Some(Role::Owner)
    }
}

impl FromRequestParts<Arc<Page>> for Visitor {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, page: &Arc<Page>) -> Result<Self> {
        let path: Option<Path<HashMap<String, String>>> = Path::from_request_parts(parts, page).await.ok();
        let workspace = path.and_then(|Path(mut path)| path.remove("workspace"));
        let refused = || {
            let is_shown = parts.method == Method::GET;
            let next = parts.uri.path_and_query().filter(|_| is_shown).map(ToString::to_string);
            Refused::SignIn(next.unwrap_or_else(|| "/".to_owned()))
        };
        let secret = secret(&parts.headers).ok_or_else(refused)?;
        match visitor(page, secret, workspace).await? {
            Some(visitor) => Ok(visitor),
            None => Err(refused()),
        }
    }
}

/// Whose secret it is; `None` where it does not hold.
pub(super) async fn visitor(
    page: &Page,
    secret: String,
    workspace: Option<String>,
) -> Result<Option<Visitor>> {
    let mut visitor = Visitor { user: String::new(), workspace, role: None, is_narrow: false, secret };
    let mut headers = HeaderMap::new();
    let Ok(authorization) = visitor.authorization() else { return Ok(None) };
    headers.insert(header::AUTHORIZATION, authorization);
    // Whatever is shown in a workspace, its readers may see.
    let needs = if visitor.workspace.is_some() { Needs::Role(Role::Reader) } else { Needs::Token };
    match decide(&page.server, Some(needs), visitor.workspace.as_ref(), &headers).await {
        Ok(Some(caller)) => {
            visitor.is_narrow = caller.identity.scope.is_narrow();
            (visitor.user, visitor.role) = (caller.user, caller.role);
            Ok(Some(visitor))
        }
        Ok(None) => Ok(None),
        Err(problem) if problem.status == 401 => Ok(None),
        Err(problem) => Err(problem.into()),
    }
}

/// Whoever a page is shown to that says what went wrong: with the workspace, where they have a role in it. Where that cannot be
/// told, it is a page for nobody.
pub(super) async fn whoever(page: &Page, secret: String, workspace: Option<String>) -> Option<Visitor> {
    if workspace.is_some()
        && let Ok(found) = visitor(page, secret.clone(), workspace).await
    {
        return found;
    }
    visitor(page, secret, None).await.ok().flatten()
}

/// The secret in a request's cookies.
pub(crate) fn secret(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value.to_owned())
        .filter(|value| !value.is_empty())
}

/// The cookie that keeps a secret, or takes it away. Other sites cannot make a browser send it with a form, and scripts cannot
/// read it.
pub(crate) fn cookie(secret: Option<&str>, is_secure: bool) -> Result<HeaderValue> {
    let kept = if secret.is_some() { KEPT } else { 0 };
    let mut text =
        format!("{COOKIE}={}; Path=/; Max-Age={kept}; HttpOnly; SameSite=Lax", secret.unwrap_or_default());
    if is_secure {
        text += "; Secure";
    }
    let mut value = HeaderValue::try_from(text).map_err(|error| Problem::fault(&error))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whether a browser is spoken to by TLS, here or by a proxy that is trusted: what others say of it was taken away before.
pub(super) fn is_secure(page: &Page, headers: &HeaderMap) -> bool {
    page.is_secure || headers.get(FORWARDED_PROTO).is_some_and(|scheme| scheme == "https")
}

/// Whether a form was sent by a page of ours, as far as the browser says so.
pub(super) fn is_own(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-site"), text("origin"), text("host")) {
        (Some(site), ..) => site == "same-origin",
        (None, Some(origin), Some(host)) => {
            origin.split_once("://").is_some_and(|(_, place)| place.eq_ignore_ascii_case(host))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect::<Vec<(header::HeaderName, HeaderValue)>>()
            .into_iter()
            .collect()
    }

    #[test]
    fn forms_of_other_sites_are_told_apart() {
        assert!(is_own(&headers(&[("sec-fetch-site", "same-origin")])));
        assert!(is_own(&headers(&[("origin", "http://Host:80"), ("host", "host:80")])));
        for other in [
            &[("sec-fetch-site", "same-site"), ("origin", "http://host"), ("host", "host")][..],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "none")],
            &[("origin", "http://evil"), ("host", "host")],
            &[("origin", "null"), ("host", "null")],
            &[("host", "host")],
            &[],
        ] {
            assert!(!is_own(&headers(other)), "{other:?}");
        }
    }

    #[test]
    fn the_secret_is_found_among_cookies() {
        assert_eq!(secret(&headers(&[("cookie", "a=b; provenv_session=pvt_x; c=d")])).unwrap(), "pvt_x");
        assert_eq!(secret(&headers(&[("cookie", "provenv_session=")])), None);
        assert_eq!(secret(&headers(&[("cookie", "xprovenv_session=1")])), None);
    }

    #[test]
    fn a_cookie_is_not_for_scripts() {
        let text = cookie(Some("pvt_x"), true).unwrap();
        let text = text.to_str().unwrap();
        for part in ["provenv_session=pvt_x", "HttpOnly", "SameSite=Lax", "Secure", "Path=/"] {
            assert!(text.split("; ").any(|found| found == part), "{text}");
        }
        assert!(!cookie(None, false).unwrap().to_str().unwrap().contains("Secure"));
    }
}
