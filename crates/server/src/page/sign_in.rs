//! Signing in and out.

use std::sync::Arc;

use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::Page;
use super::form::{Sent, read};
use super::layout::{Frame, Section};
use super::refused::Result;
use super::session::{cookie, is_secure, visitor};

/// Where to go on afterwards.
#[derive(Deserialize)]
pub(super) struct Next {
    next: Option<String>,
}

pub(super) async fn show(State(page): State<Arc<Page>>, Query(next): Query<Next>) -> Html<String> {
    form(&page, next.next.as_deref(), None)
}

/// Takes a token.
pub(super) async fn enter(State(page): State<Arc<Page>>, request: Request) -> Result<Response> {
    let is_secure = is_secure(&page, request.headers());
    let fields = read(request, &page).await?;
    let next = fields.text("next");
    let token = fields.text("token").unwrap_or_default().to_owned();
    if visitor(&page, token.clone(), None).await?.is_none() {
        let why = "This token does not hold: it was not made here, was revoked, or has expired.";
        return Ok((StatusCode::UNAUTHORIZED, form(&page, next, Some(why))).into_response());
    }
    let mut response = Redirect::to(&own_path(next)).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie(Some(&token), is_secure)?);
    Ok(response)
}

pub(super) async fn leave(State(page): State<Arc<Page>>, sent: Sent) -> Result<Response> {
    // A token stays what it is; a session is over.
    page.server.database.end_session(sent.visitor.secret()).await?;
    let mut response = Redirect::to("/sign-in").into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie(None, page.is_secure)?);
    tracing::info!(by = sent.visitor.user, "signed out of the page");
    Ok(response)
}

/// A path of this server and of nobody else.
fn own_path(next: Option<&str>) -> String {
    let is_own = |path: &&str| {
        path.starts_with('/') && !path.starts_with("//") && !path.contains(['\\', '\r', '\n', '\t'])
    };
    next.filter(is_own).unwrap_or("/").to_owned()
}

/// Other ways to sign in, each a link that leads back here.
fn other_ways(page: &Page, next: Option<&str>) -> Markup {
    let next: String = form_urlencoded::byte_serialize(own_path(next).as_bytes()).collect();
    html! {
        @if let Some(label) = page.server.provider_label() {
            p { a role="button" href={ "/sign-in/oidc?next=" (next) } { "Sign in with " (label) } }
        }
    }
}

fn form(page: &Page, next: Option<&str>, why: Option<&str>) -> Html<String> {
    let content = html! {
        div.sign-in {
            h1 { "Sign in" }
            p.lead { "The machine-learning environments of your team." }
            @if let Some(why) = why { div.notice.bad role="alert" { p { (why) } } }
            (other_ways(page, next))
            form method="post" action="/sign-in" {
                @if let Some(next) = next { input type="hidden" name="next" value=(next); }
                label for="token" { "Access token" }
                input #token type="password" name="token" placeholder="pvt_…" required
                    autocomplete="current-password" spellcheck="false" aria-describedby="token-help"
                    aria-invalid=[why.map(|_| "true")];
                small #token-help { "Whoever runs this server makes one for you. It stays in this browser until you sign out." }
                button type="submit" { "Sign in" }
            }
        }
    };
    Frame::new("Sign in", None, Section::None).page(&content)
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn nobody_is_sent_elsewhere() {
        assert_eq!(own_path(Some("/w/default/builds?after=x")), "/w/default/builds?after=x");
        for other in
            ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/a\nb", "/\t/evil", ""]
        {
            assert_eq!(own_path(Some(other)), "/", "{other}");
        }
        assert_eq!(own_path(None), "/");
    }
}
