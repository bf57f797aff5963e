//! Builds: asked for, listed, followed while they run, stopped.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, Request, header};
use axum::response::{Html, Redirect, Response};
use http_body_util::BodyExt as _;
use maud::{Markup, html};
use serde::Deserialize;

use super::Page;
use super::environments::version_path;
use super::form::Sent;
use super::layout::{Frame, Section, badge, button, empty, trail};
use super::refused::Result;
use super::session::Visitor;
use super::version::api_path;
use super::words::{segment, sentence, time, took};
use crate::problem::Problem;

/// A build, as the API shows it.
#[derive(Deserialize)]
struct Job {
    id: String,
    environment: String,
    version: String,
    platform: String,
    status: String,
    attempts: i64,
    worker: Option<String>,
    cancel_asked: bool,
    image: Option<String>,
    error: Option<JobError>,
    created_by: String,
    created_at: jiff::Timestamp,
    started_at: Option<jiff::Timestamp>,
    ended_at: Option<jiff::Timestamp>,
}

#[derive(Deserialize)]
struct JobError {
    message: String,
    #[serde(default)]
    causes: Vec<String>,
    hint: Option<String>,
}

#[derive(Deserialize)]
struct Jobs {
    jobs: Vec<Job>,
    next: Option<String>,
}

impl Job {
    fn badge(&self) -> Markup {
        let (class, text) = match &*self.status {
            "running" if self.cancel_asked => ("warn", "stopping"),
            "succeeded" => ("good", "succeeded"),
            "failed" => ("bad", "failed"),
            "running" => ("busy", "running"),
            other => ("plain", other),
        };
        badge(class, text)
    }
}

/// Which builds are listed.
#[derive(Deserialize)]
pub(super) struct Asked {
    status: Option<String>,
    after: Option<String>,
}

const STATUSES: [&str; 5] = ["queued", "running", "succeeded", "failed", "canceled"];

fn jobs_path(workspace: &str) -> String {
    format!("/api/v1/workspaces/{}/jobs", segment(workspace))
}

pub(super) async fn list(
    State(page): State<Arc<Page>>,
    visitor: Visitor,
    Path(workspace): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Html<String>> {
    let status = asked.status.as_deref().filter(|status| !status.is_empty());
    let mut path = jobs_path(&workspace) + "?limit=40";
    for (name, value) in [("status", status), ("after", asked.after.as_deref())] {
        if let Some(value) = value {
            path += &format!("&{name}={}", segment(value));
        }
    }
    let found: Jobs = page.ask_for(&visitor, Method::GET, &path, None).await?;
    let content = html! {
        div.page-head { h1 { "Builds" } }
        nav.filter aria-label="By status" {
            a href="?" aria-current=[status.is_none().then_some("true")] { "all" }
            @for one in STATUSES { a href={ "?status=" (one) } aria-current=[(status == Some(one)).then_some("true")] { (one) } }
        }
        @if found.jobs.is_empty() {
            (empty("No builds here.", &html! { p { "A version's page has a button that asks for one." } }))
        } @else {
            table.list {
                thead { tr { th scope="col" { "Build" } th scope="col" { "Status" } th scope="col" { "For" } th scope="col" { "Took" } th scope="col" { "Asked for" } } }
                tbody {
                    @for job in &found.jobs {
                        tr {
                            th scope="row" { a href={ "/w/" (segment(&workspace)) "/builds/" (segment(&job.id)) } { strong { (job.environment) } " " span.version { (job.version) } } }
                            td { (job.badge()) }
                            td { (job.platform) }
                            td { @match (job.started_at, job.ended_at) { (Some(from), Some(to)) => (took(from, to)), _ => "–" } }
                            td.when { (time(job.created_at)) span.by { "by " (job.created_by) } }
                        }
                    }
                }
            }
            @if let Some(next) = &found.next {
                @let status = status.map(|status| format!("&status={}", segment(status))).unwrap_or_default();
                p.more { a role="button" class="secondary" href={ "?after=" (segment(next)) (status) } { "Next page" } }
            }
        }
    };
    Ok(Frame::new("Builds", Some(&visitor), Section::Builds).page(&content))
}

/// A build with its log so far. Where it still runs, a script adds what is written meanwhile; without scripts, the page is
/// loaded again for that.
pub(super) async fn show(
    State(page): State<Arc<Page>>,
    visitor: Visitor,
    Path((workspace, id)): Path<(String, String)>,
) -> Result<Html<String>> {
    let path = format!("{}/{}", jobs_path(&workspace), segment(&id));
    let job: Job = page.ask_for(&visitor, Method::GET, &path, None).await?;
    let (log, offset) = log(&page, &visitor, &path).await?;
    let is_over = job.ended_at.is_some();
    let own = format!("/w/{}/builds", segment(&workspace));
    let title = format!("Build of {} {}", job.environment, job.version);
    let content = html! {
        (trail(&[(own.clone(), "Builds")], &job.id))
        div.page-head {
            div {
                h1 { (title) }
                p.badges #status role="status" { (job.badge()) }
            }
            @if visitor.may_change() {
                div.actions {
                    @if !is_over && !job.cancel_asked { (button(&visitor, &format!("{own}/{}/cancel", segment(&id)), "secondary", "Cancel")) }
                    @if is_over { (button(&visitor, &(version_path(&workspace, &job.environment, &job.version) + "/build"), "secondary", "Build again")) }
                }
            }
        }
        dl.facts {
            div { dt { "Version" } dd { a href=(version_path(&workspace, &job.environment, &job.version)) { (job.environment) " " (job.version) } } }
            div { dt { "For" } dd { (job.platform) } }
            div { dt { "Asked for" } dd { (time(job.created_at)) " by " (job.created_by) } }
            @if let Some(from) = job.started_at {
                div { dt { "Took" } dd { @match job.ended_at { Some(to) => (took(from, to)), None => { "begun " (time(from)) } } } }
            }
            @if job.attempts > 1 { div { dt { "Attempts" } dd { (job.attempts) } } }
            @if let Some(worker) = &job.worker { div { dt { "Worker" } dd { (worker) } } }
            @if let Some(image) = &job.image { div.wide { dt { "Image" } dd { code.wide { (image) } } } }
        }
        @if let Some(error) = &job.error {
            div.notice.bad role="alert" {
                p { strong { (sentence(&error.message)) } }
                @for cause in &error.causes { p { (sentence(cause)) } }
                @if let Some(hint) = &error.hint { p.hint { (sentence(hint)) } }
            }
        }
        section {
            h2 { "Log" }
            @if !is_over {
                progress #progress aria-label="The build is going on" {}
                noscript { p.hint { "Without scripts this page shows the log as it was when it was loaded: load it again to see more." } }
            }
            pre.log #log tabindex="0" role="log" aria-label="Log of the build"
                data-events=[(!is_over).then(|| format!("{own}/{}/events?offset={offset}", segment(&id)))] { (log) }
            @if log.is_empty() && is_over { p.hint { "Nothing was written: the image was there already." } }
        }
    };
    Ok(Frame::new(&title, Some(&visitor), Section::Builds).live().page(&content))
}

/// The whole log so far, and where it ends.
async fn log(page: &Page, visitor: &Visitor, path: &str) -> Result<(String, u64)> {
    let (mut text, mut offset) = (Vec::new(), 0);
    loop {
        let answer = page.ask(visitor, Method::GET, &format!("{path}/log?offset={offset}"), None).await?;
        let part = answer.into_body().collect().await.map_err(|error| Problem::fault(&error))?.to_bytes();
        // A log that grows faster than it is read is followed by the script.
        if part.is_empty() || offset > 4 * 1024 * 1024 {
            break;
        }
        offset += part.len() as u64;
        text.extend_from_slice(&part);
    }
    // A line that is being written comes whole, by the script.
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    offset -= (text.len() - whole) as u64;
    text.truncate(whole);
    Ok((String::from_utf8_lossy(&text).into_owned(), offset))
}

/// The log as it is written, as the API sends it.
pub(super) async fn events(
    State(page): State<Arc<Page>>,
    visitor: Visitor,
    Path((workspace, id)): Path<(String, String)>,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Result<Response> {
    let path = format!("{}/{}/events?offset={}", jobs_path(&workspace), segment(&id), from.offset);
    let mut request = Request::get(path).body(Body::empty()).map_err(|error| Problem::fault(&error))?;
    request.headers_mut().insert(header::AUTHORIZATION, visitor.authorization()?);
    if let Some(last) = headers.get("last-event-id") {
        request.headers_mut().insert("last-event-id", last.clone());
    }
    page.send(request).await
}

/// Where the log begins that a browser does not have.
#[derive(Deserialize)]
pub(super) struct From {
    #[serde(default)]
    offset: u64,
}

pub(super) async fn ask(
    State(page): State<Arc<Page>>,
    Path((workspace, name, version)): Path<(String, String, String)>,
    sent: Sent,
) -> Result<Redirect> {
    let path = api_path(&workspace, &name, &version) + "/build";
    let job: Job = page.ask_for(&sent.visitor, Method::POST, &path, None).await?;
    Ok(Redirect::to(&format!("/w/{}/builds/{}", segment(&workspace), segment(&job.id))))
}

pub(super) async fn cancel(
    State(page): State<Arc<Page>>,
    Path((workspace, id)): Path<(String, String)>,
    sent: Sent,
) -> Result<Redirect> {
    let path = format!("{}/{}/cancel", jobs_path(&workspace), segment(&id));
    page.ask(&sent.visitor, Method::POST, &path, None).await?;
    Ok(Redirect::to(&format!("/w/{}/builds/{}", segment(&workspace), segment(&id))))
}
