//! The beginning, and the workspaces that somebody has a role in.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use maud::html;
use serde::Deserialize;
use serde_json::json;

use super::form::Sent;
use super::layout::{Frame, Section, badge, empty, token};
use super::refused::Result;
use super::session::Visitor;
use super::words::segment;
use super::{Page, is_browser};
use crate::problem::Problem;

#[derive(Deserialize)]
struct Workspaces {
    workspaces: Vec<Workspace>,
}

#[derive(Deserialize)]
struct Workspace {
    name: String,
    role: String,
}

/// Leads to where most work is; programs are told what they were told before there was a page.
pub(super) async fn home(
    State(page): State<Arc<Page>>,
    headers: HeaderMap,
    visitor: Result<Visitor>,
) -> Result<Response> {
    if !is_browser(&headers) {
        let problem = Problem::missing("no-such-path", "there is nothing at /")
            .hint("GET /openapi.json describes what there is");
        return Ok(problem.into_response());
    }
    let visitor = visitor?;
    let found: Workspaces = page.ask_for(&visitor, Method::GET, "/api/v1/workspaces", None).await?;
    Ok(match &found.workspaces[..] {
        [one] => Redirect::to(&format!("/w/{}/environments", segment(&one.name))).into_response(),
        _ => Redirect::to("/workspaces").into_response(),
    })
}

/// A workspace begins with its environments.
pub(super) async fn enter(_: Visitor, Path(workspace): Path<String>) -> Redirect {
    Redirect::to(&format!("/w/{}/environments", segment(&workspace)))
}

pub(super) async fn list(State(page): State<Arc<Page>>, visitor: Visitor) -> Result<Html<String>> {
    let found: Workspaces = page.ask_for(&visitor, Method::GET, "/api/v1/workspaces", None).await?;
    let content = html! {
        div.page-head { h1 { "Workspaces" } }
        @if found.workspaces.is_empty() {
            (empty("You have no role in any workspace.", &html! { p { "An owner of one can give you a role in it." } }))
        }
        ul.cards {
            @for workspace in &found.workspaces {
                li.card {
                    h2 { a href={ "/w/" (segment(&workspace.name)) "/environments" } { (workspace.name) } }
                    p { (badge("plain", &workspace.role)) }
                }
            }
        }
        @if visitor.is_owner() {
            section.panel {
                h2 { "New workspace" }
                form.row method="post" action="/workspaces" {
                    (token(&visitor))
                    div.field {
                        label for="name" { "Name" }
                        input #name name="name" required maxlength="40" pattern="[a-z0-9]([a-z0-9\\-]*[a-z0-9])?"
                            autocomplete="off" spellcheck="false" aria-describedby="name-help";
                        small #name-help { "Lower-case letters, digits and “-”." }
                    }
                    button type="submit" { "Make it" }
                }
            }
        }
    };
    Ok(Frame::new("Workspaces", Some(&visitor), Section::None).page(&content))
}

pub(super) async fn make(State(page): State<Arc<Page>>, sent: Sent) -> Result<Redirect> {
    let name = sent.fields.must("name")?;
    page.ask(&sent.visitor, Method::POST, "/api/v1/workspaces", Some(&json!({ "name": name }))).await?;
    Ok(Redirect::to(&format!("/w/{}/environments", segment(name))))
}
