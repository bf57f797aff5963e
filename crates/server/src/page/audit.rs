//! The audit log: who changed what, and what proves that nobody changed it since.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, Method, header};
use axum::response::{Html, Response};
use http_body_util::BodyExt as _;
use maud::{Markup, html};
use serde::Deserialize;

use super::Page;
use super::environments::reference_path;
use super::layout::{Frame, Section, badge, empty};
use super::refused::{Refused, Result, Said};
use super::session::Visitor;
use super::words::{segment, time};
use crate::problem::Problem;

/// So many are on a page.
const MOST: u32 = 50;

/// Which entries are listed.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    by: String,
    action: String,
    before: Option<u64>,
}

#[derive(Deserialize)]
struct Entries {
    entries: Vec<Listed>,
    next: Option<u64>,
}

/// An entry, as the API lists it.
#[derive(Deserialize)]
struct Listed {
    number: u64,
    workspace: Option<String>,
    text: String,
    /// What it says, where it can be read.
    entry: Option<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    at: jiff::Timestamp,
    by: String,
    action: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    details: BTreeMap<String, String>,
}

impl Asked {
    /// The same question, but for one thing.
    fn with(&self, change: impl FnOnce(&mut Self)) -> String {
        let mut other = Self { before: None, ..self.clone() };
        change(&mut other);
        let mut parts = Vec::new();
        for (name, value) in [("by", &other.by), ("action", &other.action)] {
            if !value.is_empty() {
                parts.push(format!("{name}={}", segment(value)));
            }
        }
        parts.extend(other.before.map(|before| format!("before={before}")));
        format!("?{}", parts.join("&"))
    }

    fn is_everything(&self) -> bool {
        self.by.is_empty() && self.action.is_empty()
    }
}

/// The log of a workspace, for its readers.
pub(super) async fn of_workspace(
    State(page): State<Arc<Page>>,
    visitor: Visitor,
    Path(workspace): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Html<String>> {
    let path = format!("/api/v1/workspaces/{}/audit", segment(&workspace));
    shown(&page, &visitor, &path, &asked).await
}

/// That of the whole server, for its owners.
pub(super) async fn of_server(
    State(page): State<Arc<Page>>,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Html<String>> {
    shown(&page, &visitor, "/audit/entries", &asked).await
}

async fn shown(page: &Page, visitor: &Visitor, path: &str, asked: &Asked) -> Result<Html<String>> {
    let question = asked.with(|other| other.before = asked.before).replacen('?', "&", 1);
    let question = if question == "&" { String::new() } else { question };
    let found: Entries =
        page.ask_for(visitor, Method::GET, &format!("{path}?limit={MOST}{question}"), None).await?;
    // A log that was changed is signed no more, and its entries are shown all the same.
    let signed = match text(page, visitor, "/audit/checkpoint").await {
        Ok(note) => Ok(note),
        Err(Refused::Said(said)) => Err(said),
        Err(other) => return Err(other),
    };
    let place = visitor.workspace.as_deref();
    let content = html! {
        div.page-head {
            div {
                h1 { "Audit log" }
                p.lead {
                    @match place {
                        Some(place) => { "Every change in " strong { (place) } ", the newest first." },
                        None => "Every change on this server, in all workspaces, the newest first.",
                    }
                    " Entries are only added: who changes one later is found out."
                }
            }
        }
        (filter(asked))
        @if found.entries.is_empty() {
            @if asked.is_everything() { (empty("Nothing was changed yet.", &html! {})) }
            @else { (empty("Nothing in the log is like that.", &html! { p { a href="?" { "Show all entries" } } })) }
        } @else {
            (table(place, asked, &found.entries))
        }
        @if let Some(next) = found.next {
            p.more { a role="button" class="secondary" href=(asked.with(|other| other.before = Some(next))) { "Older entries" } }
        }
        (proof(place, &signed))
    };
    Ok(Frame::new("Audit log", Some(visitor), Section::Audit).page(&content))
}

fn filter(asked: &Asked) -> Markup {
    html! {
        form.row method="get" aria-label="Which entries" {
            div.field {
                label for="by" { "By" }
                input #by name="by" value=(asked.by) maxlength="128" placeholder="anybody" autocomplete="off" spellcheck="false";
            }
            div.field {
                label for="action" { "What" }
                input #action name="action" value=(asked.action) list="actions" maxlength="64" placeholder="anything" autocomplete="off" spellcheck="false";
                datalist #actions { @for action in crate::database::Action::ALL { option value=(action.as_str()) {} } }
            }
            button.secondary type="submit" { "Filter" }
            @if !asked.is_everything() { a role="button" class="secondary outline" href="?" { "Show all" } }
        }
    }
}

fn table(place: Option<&str>, asked: &Asked, entries: &[Listed]) -> Markup {
    html! {
        table.list.audit {
            thead {
                tr {
                    th scope="col" { "What" }
                    th scope="col" { "To what" }
                    @if place.is_none() { th scope="col" { "Workspace" } }
                    th scope="col" { "By" }
                    th scope="col" { "When" }
                    th.number scope="col" { "Entry" }
                }
            }
            tbody {
                @for listed in entries {
                    @match &listed.entry {
                        Some(entry) => (row(place, asked, listed, entry)),
                        None => tr {
                            th scope="row" { (badge("bad", "changed")) }
                            td colspan=(if place.is_none() { "4" } else { "3" }) { "This entry was changed by other means than this server, and cannot be read: " code.wide { (listed.text.chars().take(200).collect::<String>()) } }
                            td.number data-label="Entry" { (listed.number) }
                        },
                    }
                }
            }
        }
    }
}

fn row(place: Option<&str>, asked: &Asked, listed: &Listed, entry: &Entry) -> Markup {
    html! {
        tr {
            th scope="row" { a href=(asked.with(|other| other.action.clone_from(&entry.action))) title="Only these" { (entry.action) } }
            td {
                @match subject_path(listed.workspace.as_deref(), entry) {
                    Some(path) => a href=(path) { (entry.subject) },
                    None => (entry.subject),
                }
                @let details: Vec<_> = entry.details.iter().filter(|(_, value)| !value.is_empty()).collect();
                @if !details.is_empty() {
                    p.description {
                        @for (number, (name, value)) in details.iter().enumerate() {
                            @if number > 0 { ", " }
                            (name) " " (detail(value))
                        }
                    }
                }
            }
            @if place.is_none() {
                td data-label="Workspace" {
                    @match &listed.workspace {
                        Some(workspace) => a href={ "/w/" (segment(workspace)) "/audit" } { (workspace) },
                        None => "–",
                    }
                }
            }
            td data-label="By" { a href=(asked.with(|other| other.by.clone_from(&entry.by))) title="Only theirs" { (entry.by) } }
            td data-label="When" { (time(entry.at)) }
            td.number data-label="Entry" { (listed.number) }
        }
    }
}

/// A digest is cut: all of it is where the pointer rests.
fn detail(value: &str) -> Markup {
    match value.parse::<provenv_definition::Digest>() {
        Ok(digest) => super::words::digest(&digest),
        Err(_) => html! { code { (value) } },
    }
}

/// The page of what was changed, where there is one.
fn subject_path(workspace: Option<&str>, entry: &Entry) -> Option<String> {
    let workspace = workspace?;
    let is_gone = entry.action == "environment.delete";
    if is_gone {
        return None;
    }
    let page = |kind: &str, id: &str| format!("/w/{}/{kind}/{}", segment(workspace), segment(id));
    match entry.action.split('.').next()? {
        "environment" | "label" if entry.subject.contains(':') => {
            Some(reference_path(workspace, &entry.subject))
        }
        "build" => entry.details.get("job").map(|job| page("builds", job)),
        "run" => Some(page("runs", &entry.subject)),
        _ => None,
    }
}

/// What is signed now, and how anybody checks it.
fn proof(place: Option<&str>, signed: &Result<String, Box<Said>>) -> Markup {
    let own = place.map_or_else(|| "/audit-log".to_owned(), |place| format!("/w/{}/audit", segment(place)));
    html! {
        section.panel #proof {
            h2 { "Proof" }
            @match signed {
                Ok(note) => {
                    @let lines: Vec<&str> = note.lines().collect();
                    @let line = |number: usize| lines.get(number).copied().unwrap_or_default();
                    p { "The server signs how long its log is, and a hash over all of it. Whoever keeps that elsewhere can prove later that no entry was changed, taken away or moved." }
                    dl.facts {
                        div { dt { "Signed now" } dd { (line(1)) " entries, of all workspaces" } }
                        div { dt { "Log" } dd { (line(0)) } }
                        div.wide { dt { "Hash over all" } dd { code.wide { (line(2)) } } }
                    }
                },
                Err(said) => (said.notice()),
            }
            p.links {
                @if signed.is_ok() { a href={ (own) "/checkpoint" } { "Keep the checkpoint" } }
                a href={ (own) "/key" } { "Keep the key" }
            }
            pre tabindex="0" aria-label="Commands that save and check the log" { code {
                "provenv audit-log save audit.jsonl\n"
                "provenv audit-log verify --key audit.pub --earlier checkpoint.txt"
            } }
        }
    }
}

/// A text of the API's, whole.
async fn text(page: &Page, visitor: &Visitor, path: &str) -> Result<String> {
    let answer = page.ask(visitor, Method::GET, path, None).await?;
    let bytes = answer.into_body().collect().await.map_err(|error| Problem::fault(&error))?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The signed checkpoint, as a file.
pub(super) async fn checkpoint(State(page): State<Arc<Page>>, visitor: Visitor) -> Result<Response> {
    file(&page, &visitor, "/audit/checkpoint", "attachment; filename=\"checkpoint.txt\"").await
}

/// The key that checkpoints are checked with, as a file.
pub(super) async fn key(State(page): State<Arc<Page>>, visitor: Visitor) -> Result<Response> {
    file(&page, &visitor, "/audit/key", "attachment; filename=\"audit.pub\"").await
}

async fn file(page: &Page, visitor: &Visitor, path: &str, kept_as: &'static str) -> Result<Response> {
    let mut answer = page.ask(visitor, Method::GET, path, None).await?;
    answer.headers_mut().insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(kept_as));
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_kept_but_for_its_place() {
        let asked = Asked { by: "ann b".to_owned(), action: String::new(), before: Some(7) };
        assert_eq!(asked.with(|_| {}), "?by=ann%20b");
        assert_eq!(asked.with(|other| other.before = Some(3)), "?by=ann%20b&before=3");
        assert_eq!(asked.with(|other| other.by.clear()), "?");
    }

    #[test]
    fn what_is_gone_has_no_page() {
        let entry = |action: &str, subject: &str| Entry {
            at: jiff::Timestamp::UNIX_EPOCH,
            by: "ann".to_owned(),
            action: action.to_owned(),
            subject: subject.to_owned(),
            details: BTreeMap::new(),
        };
        let path = |action, subject| subject_path(Some("default"), &entry(action, subject));
        assert_eq!(path("label.set", "tea:1").unwrap(), "/w/default/environments/tea/1");
        assert_eq!(path("environment.delete", "tea:1"), None);
        assert_eq!(path("role.set", "ann"), None);
        assert_eq!(subject_path(None, &entry("label.set", "tea:1")), None);
    }
}
