//! What may change about a version: each a form, asked of the API.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::Redirect;
use serde_json::{Value, json};

use super::Page;
use super::environments::version_path;
use super::form::Sent;
use super::refused::Result;
use super::version::api_path;
use super::words::segment;
use crate::problem::Problem;

type Place = Path<(String, String, String)>;

/// Asks, and goes back to the version.
async fn change(
    page: &Page,
    sent: &Sent,
    place: &Place,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Redirect> {
    let Path((workspace, name, version)) = place;
    page.ask(&sent.visitor, method, path, body).await?;
    Ok(Redirect::to(&version_path(workspace, name, version)))
}

fn of(Path((workspace, name, version)): &Place) -> String {
    api_path(workspace, name, version)
}

pub(super) async fn archive(State(page): State<Arc<Page>>, place: Place, sent: Sent) -> Result<Redirect> {
    change(&page, &sent, &place, Method::POST, &(of(&place) + "/archive"), None).await
}

pub(super) async fn restore(State(page): State<Arc<Page>>, place: Place, sent: Sent) -> Result<Redirect> {
    change(&page, &sent, &place, Method::POST, &(of(&place) + "/restore"), None).await
}

/// Description and tags, as they are to be.
pub(super) async fn describe(State(page): State<Arc<Page>>, place: Place, sent: Sent) -> Result<Redirect> {
    let Path((workspace, name, version)) = &place;
    let tags = tags(sent.fields.raw("tags"))?;
    let opened = page.server.workspace(workspace).await?;
    let now = opened.workspace.version_details(name, version).await?.environment.tags;
    let removed: Vec<&String> = now.keys().filter(|tag| !tags.contains_key(*tag)).collect();
    let body = json!({
        "description": sent.fields.text("description").unwrap_or_default(),
        "tags": tags,
        "remove_tags": removed,
    });
    change(&page, &sent, &place, Method::PATCH, &of(&place), Some(&body)).await
}

/// Tags, one a line.
fn tags(text: &str) -> Result<BTreeMap<String, String>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let tags = lines.map(|line| {
        let (tag, value) = line.split_once('=').unwrap_or((line, ""));
        if tag.trim().is_empty() {
            return Err(Problem::bad("tag-invalid", format!("`{line}` has no name before `=`")).into());
        }
        Ok((tag.trim().to_owned(), value.trim().to_owned()))
    });
    tags.collect()
}

pub(super) async fn label(State(page): State<Arc<Page>>, place: Place, sent: Sent) -> Result<Redirect> {
    let Path((_, _, version)) = &place;
    let path = label_path(&place, sent.fields.must("label")?);
    change(&page, &sent, &place, Method::PUT, &path, Some(&json!({ "version": version }))).await
}

pub(super) async fn unlabel(State(page): State<Arc<Page>>, place: Place, sent: Sent) -> Result<Redirect> {
    let path = label_path(&place, sent.fields.must("label")?);
    change(&page, &sent, &place, Method::DELETE, &path, None).await
}

fn label_path(Path((workspace, name, _)): &Place, label: &str) -> String {
    let label = label.strip_prefix('@').unwrap_or(label);
    format!(
        "/api/v1/workspaces/{}/environments/{}/labels/{}",
        segment(workspace),
        segment(name),
        segment(label)
    )
}
