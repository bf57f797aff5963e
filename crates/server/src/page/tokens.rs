//! Tokens: made, listed, revoked.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::{Html, Redirect};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::Page;
use super::form::Sent;
use super::layout::{Frame, Section, badge, empty, token};
use super::refused::Result;
use super::session::Visitor;
use super::words::{segment, time};
use crate::problem::Problem;

#[derive(Deserialize)]
struct Tokens {
    tokens: Vec<Token>,
}

#[derive(Deserialize)]
struct Token {
    id: String,
    user: String,
    prefix: String,
    note: String,
    created_at: jiff::Timestamp,
    expires_at: Option<jiff::Timestamp>,
    revoked_at: Option<jiff::Timestamp>,
    used_at: Option<jiff::Timestamp>,
    workspace: Option<String>,
    role: Option<String>,
}

#[derive(Deserialize)]
struct NewToken {
    secret: String,
    user: String,
}

impl Token {
    fn holds(&self) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| end > jiff::Timestamp::now())
    }

    /// What it is for, where that is less than all that its user may.
    fn limits(&self) -> String {
        let parts = [self.workspace.as_deref(), self.role.as_deref()];
        let said: Vec<&str> = parts.into_iter().flatten().collect();
        if said.is_empty() { "all that they may".to_owned() } else { said.join(", ") }
    }

    fn state(&self) -> Markup {
        match (self.revoked_at, self.holds()) {
            (Some(_), _) => badge("plain", "revoked"),
            (None, false) => badge("plain", "expired"),
            (None, true) => badge("good", "holds"),
        }
    }
}

pub(super) async fn list(State(page): State<Arc<Page>>, visitor: Visitor) -> Result<Html<String>> {
    shown(&page, &visitor, None).await
}

/// Makes one. Its secret is on the page that answers, and nowhere after that.
pub(super) async fn make(State(page): State<Arc<Page>>, sent: Sent) -> Result<Html<String>> {
    let mut body = json!({ "note": sent.fields.text("note").unwrap_or_default() });
    if let Some(user) = sent.fields.text("user") {
        body["user"] = user.into();
    }
    if let Some(days) = sent.fields.text("days") {
        let days: u32 = days
            .parse()
            .map_err(|_| Problem::bad("expiry-invalid", format!("`{days}` is no number of days")))?;
        body["expires_in_days"] = days.into();
    }
    for part in ["workspace", "role"] {
        if let Some(text) = sent.fields.text(part) {
            body[part] = text.into();
        }
    }
    let made = page.ask_for(&sent.visitor, Method::POST, "/api/v1/tokens", Some(&body)).await?;
    shown(&page, &sent.visitor, Some(made)).await
}

pub(super) async fn revoke(
    State(page): State<Arc<Page>>,
    Path(id): Path<String>,
    sent: Sent,
) -> Result<Redirect> {
    page.ask(&sent.visitor, Method::DELETE, &format!("/api/v1/tokens/{}", segment(&id)), None).await?;
    Ok(Redirect::to("/tokens"))
}

async fn shown(page: &Page, visitor: &Visitor, made: Option<NewToken>) -> Result<Html<String>> {
    let found: Tokens = page.ask_for(visitor, Method::GET, "/api/v1/tokens", None).await?;
    let content = html! {
        div.page-head { h1 { "Tokens" } }
        @if let Some(made) = &made {
            div.notice.good role="status" {
                p { strong { "A token for " (made.user) " was made." } " Keep it now: it is not shown again." }
                pre tabindex="0" aria-label="The new token" { code #secret { (made.secret) } }
            }
        }
        @if found.tokens.is_empty() { (empty("There are no tokens.", &html! {})) }
        @else {
            table.list {
                thead { tr { th scope="col" { "Token" } th scope="col" { "Of" } th scope="col" { "For" } th scope="col" { "State" } th scope="col" { "Made" } th scope="col" { "Last used" } th scope="col" { "Ends" } th scope="col" { span.hidden { "Revoke" } } } }
                tbody {
                    @for one in &found.tokens {
                        tr {
                            th scope="row" { code { (one.prefix) "…" } @if !one.note.is_empty() { p.description { (one.note) } } }
                            td data-label="Of" { (one.user) }
                            td data-label="For" { (one.limits()) }
                            td { (one.state()) }
                            td data-label="Made" { (time(one.created_at)) }
                            td data-label="Last used" { @match one.used_at { Some(at) => (time(at)), None => "never" } }
                            td data-label="Ends" { @match one.expires_at { Some(at) => { (at.strftime("%-d %b %Y")) }, None => "never" } }
                            td {
                                @if one.holds() {
                                    form.inline method="post" action={ "/tokens/" (segment(&one.id)) "/revoke" } {
                                        (token(visitor))
                                        button.secondary.outline.small type="submit" aria-label={ "Revoke " (one.prefix) } { "Revoke" }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        section.panel {
            h2 { "New token" }
            form.row method="post" action="/tokens" {
                (token(visitor))
                div.field { label for="note" { "What it is for" } input #note name="note" maxlength="200" placeholder="laptop" autocomplete="off"; }
                @if visitor.is_owner() {
                    div.field { label for="user" { "Whose it is" } input #user name="user" maxlength="128" placeholder=(visitor.user) autocomplete="off" spellcheck="false"; }
                }
                div.field.narrow { label for="days" { "Days" } input #days type="number" name="days" min="1" max="3650" value="90" aria-describedby="days-help"; }
                div.field { label for="workspace" { "For one workspace" } input #workspace name="workspace" maxlength="128" placeholder="all" autocomplete="off" spellcheck="false"; }
                div.field { label for="role" { "No more than" } select #role name="role" { option value="" { "all that they may" } option value="reader" { "reader" } option value="contributor" { "contributor" } } }
                button type="submit" { "Make it" }
            }
            p.hint #days-help { "Without a number of days it holds until it is revoked." }
        }
    };
    Ok(Frame::new("Tokens", Some(visitor), Section::None).page(&content))
}
