//! Runs: what was executed in which environment, with its log and where all of it comes from.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Html;
use maud::{Markup, html};
use provenv_workspace::{Error, Lineage, RunDetails, RunStatus};

use super::Page;
use super::environments::reference_path;
use super::layout::{Frame, Section, badge, empty, trail};
use super::refused::{Refused, Result};
use super::session::Visitor;
use super::words::{bytes, count, digest, segment, sentence, time, took};
use crate::problem::Problem;

/// So many are listed.
const MOST: u32 = 100;
/// So much of a log is shown: its end.
const LOG: u64 = 512 * 1024;

fn status(run: &RunDetails) -> Markup {
    let (class, word) = match run.status {
        RunStatus::Running => ("busy", "running"),
        RunStatus::Completed => ("good", "completed"),
        RunStatus::Failed => ("bad", "failed"),
        RunStatus::Canceled => ("plain", "canceled"),
        RunStatus::Lost => ("warn", "lost"),
    };
    badge(class, word)
}

pub(super) async fn list(
    State(page): State<Arc<Page>>,
    visitor: Visitor,
    Path(workspace): Path<String>,
) -> Result<Html<String>> {
    let opened = page.server.workspace(&workspace).await?;
    let runs = opened.workspace.runs(MOST).await?;
    let content = html! {
        div.page-head { h1 { "Runs" } }
        @if runs.is_empty() {
            (empty("Nothing was run in this workspace yet.", &html! { p { code { "provenv submit" } " keeps what it ran, with its log and its outputs." } }))
        } @else {
            table.list {
                thead { tr { th scope="col" { "Run" } th scope="col" { "Status" } th scope="col" { "Environment" } th scope="col" { "Took" } th scope="col" { "Begun" } } }
                tbody {
                    @for run in &runs {
                        tr {
                            th scope="row" { a href={ "/w/" (segment(&workspace)) "/runs/" (segment(&run.id)) } { strong { (run.name) } } p.description { (run.id) } }
                            td { (status(run)) }
                            td { a href=(reference_path(&workspace, &run.environment)) { (run.environment) } }
                            td { @match run.ended_at { Some(to) => (took(run.started_at, to)), None => "–" } }
                            td.when { (time(run.started_at)) }
                        }
                    }
                }
            }
        }
    };
    Ok(Frame::new("Runs", Some(&visitor), Section::Runs).page(&content))
}

pub(super) async fn show(
    State(page): State<Arc<Page>>,
    visitor: Visitor,
    Path((workspace, id)): Path<(String, String)>,
) -> Result<Html<String>> {
    let opened = page.server.workspace(&workspace).await?;
    let missing = |error: Error| match error {
        Error::NoRun(id) => {
            Problem::missing("run-not-found", format!("there is no run `{id}` in this workspace")).into()
        }
        error => Refused::from(error),
    };
    let run = opened.workspace.run_details(&id).await.map_err(missing)?;
    let log = opened.workspace.run_log_end(&run.id, LOG).await?;
    let lineage = opened.workspace.lineage(&run.id).await.map_err(missing)?;
    let own = format!("/w/{}/runs", segment(&workspace));
    let content = html! {
        (trail(&[(own, "Runs")], &run.id))
        div.page-head { div { h1 { (run.name) } p.badges { (status(&run)) } } }
        dl.facts {
            div { dt { "Environment" } dd { a href=(reference_path(&workspace, &run.environment)) { (run.environment) } } }
            div { dt { "Begun" } dd { (time(run.started_at)) } }
            @if let Some(to) = run.ended_at { div { dt { "Took" } dd { (took(run.started_at, to)) } } }
            @if let Some(code) = run.exit_code { div { dt { "Exit code" } dd { (code) } } }
            div { dt { "Image" } dd { (digest(&run.image)) } }
            div { dt { "Receipt" } dd { (digest(&run.receipt)) } }
        }
        @if let Some(error) = &run.error { div.notice.bad role="alert" { p { strong { (sentence(error)) } } } }
        @if let Some(command) = run.job.get("command").and_then(|command| command.as_str()) {
            section { h2 { "Command" } pre tabindex="0" aria-label="Command" { code { (command) } } }
        }
        section {
            h2 { "Log" }
            @match log { Some(log) => { pre.log tabindex="0" aria-label="Log of the run" { (String::from_utf8_lossy(&log)) } } None => p.hint { "No log was kept." } }
        }
        @if !run.outputs.is_empty() {
            section { h2 { "Outputs" } ul { @for file in &run.outputs { li { (file.path) " " span.by { (bytes(file.bytes)) } } } } }
        }
        (lineage_section(&workspace, &lineage))
    };
    Ok(Frame::new(&run.name, Some(&visitor), Section::Runs).page(&content))
}

/// The steps from the run to artifacts.
fn lineage_section(workspace: &str, lineage: &Lineage) -> Markup {
    html! {
        section {
            h2 { "Lineage" }
            ol.lineage {
                @for run in &lineage.runs { li { span.step { "run" } span { (run.id) } } }
                @for version in &lineage.environments { li { span.step { "environment" } span { a href=(reference_path(workspace, &version.environment)) { (version.environment) } } } }
                @for receipt in &lineage.receipts { li { span.step { "receipt" } span { (digest(&receipt.digest)) " resolved " (time(receipt.resolved_at)) } } }
                @for lock in &lineage.locks {
                    li { span.step { "lock" } span { (digest(&lock.digest)) } }
                    @for image in &lock.images { li { span.step { "image" } span { (digest(&image.digest)) " " (image.platform) } } }
                }
                li { span.step { "artifacts" } span { (count(lineage.artifacts.len(), "artifact")) } }
            }
        }
    }
}
