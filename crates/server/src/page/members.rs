//! Who has which role in a workspace.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::{Html, Redirect};
use maud::html;
use serde::Deserialize;
use serde_json::json;

use super::Page;
use super::form::Sent;
use super::layout::{Frame, Section, badge, empty, token};
use super::refused::Result;
use super::session::Visitor;
use super::words::segment;

#[derive(Deserialize)]
struct Members {
    members: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    user: String,
    role: String,
}

fn members_path(workspace: &str) -> String {
    format!("/api/v1/workspaces/{}/members", segment(workspace))
}

pub(super) async fn list(
    State(page): State<Arc<Page>>,
    visitor: Visitor,
    Path(workspace): Path<String>,
) -> Result<Html<String>> {
    let found: Members = page.ask_for(&visitor, Method::GET, &members_path(&workspace), None).await?;
    let own = format!("/w/{}/members", segment(&workspace));
    let content = html! {
        div.page-head { h1 { "Members" } }
        p.hint { "Readers see and pull, contributors register and build, owners say who may do what. Owners of the server have every role in every workspace, and are not listed." }
        @if found.members.is_empty() { (empty("Nobody has a role in this workspace itself.", &html! {})) }
        @else {
            table.list {
                thead { tr { th scope="col" { "User" } th scope="col" { "Role" } th scope="col" { span.hidden { "Take away" } } } }
                tbody {
                    @for member in &found.members {
                        tr {
                            th scope="row" { (member.user) }
                            td { (badge("plain", &member.role)) }
                            td {
                                form.inline method="post" action={ (own) "/remove" } {
                                    (token(&visitor))
                                    input type="hidden" name="user" value=(member.user);
                                    button.secondary.outline.small type="submit" aria-label={ "Take away the role of " (member.user) } { "Take away" }
                                }
                            }
                        }
                    }
                }
            }
        }
        section.panel {
            h2 { "Give a role" }
            form.row method="post" action=(own) {
                (token(&visitor))
                div.field { label for="user" { "User" } input #user name="user" required maxlength="128" autocomplete="off" spellcheck="false"; }
                div.field.narrow { label for="role" { "Role" } select #role name="role" { @for role in ["reader", "contributor", "owner"] { option value=(role) { (role) } } } }
                button type="submit" { "Give it" }
            }
        }
    };
    Ok(Frame::new("Members", Some(&visitor), Section::Members).page(&content))
}

pub(super) async fn set(
    State(page): State<Arc<Page>>,
    Path(workspace): Path<String>,
    sent: Sent,
) -> Result<Redirect> {
    let path = format!("{}/{}", members_path(&workspace), segment(sent.fields.must("user")?));
    let body = json!({ "role": sent.fields.must("role")? });
    page.ask(&sent.visitor, Method::PUT, &path, Some(&body)).await?;
    Ok(Redirect::to(&format!("/w/{}/members", segment(&workspace))))
}

pub(super) async fn remove(
    State(page): State<Arc<Page>>,
    Path(workspace): Path<String>,
    sent: Sent,
) -> Result<Redirect> {
    let path = format!("{}/{}", members_path(&workspace), segment(sent.fields.must("user")?));
    page.ask(&sent.visitor, Method::DELETE, &path, None).await?;
    Ok(Redirect::to(&format!("/w/{}/members", segment(&workspace))))
}
