//! Two versions side by side.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Response};
use maud::{Markup, html};
use provenv_definition::Difference;
use provenv_workspace::{DiffOptions, EcosystemDiff, EnvironmentDetails, EnvironmentDiff, Find};
use serde::Deserialize;

use super::Page;
use super::environments::reference_path;
use super::layout::{Frame, Section, badge, trail};
use super::refused::{Refused, Result, Said};
use super::session::Visitor;
use super::words::{bytes, segment, sentence};
use crate::apart::apart;
use crate::problem::Problem;

/// So many versions are offered.
const OFFERED: u32 = 100;

/// Which two: `NAME:VERSION`, `NAME@LABEL`, or `NAME` for its newest version.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    old: String,
    new: String,
}

pub(super) async fn show(
    State(page): State<Arc<Page>>,
    visitor: Visitor,
    Path(workspace): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response> {
    let said = if asked.old.is_empty() || asked.new.is_empty() {
        None
    } else {
        match differing(&page, &visitor, &workspace, &asked).await {
            Ok(page) => return Ok(page.into_response()),
            // What was asked for stays in its field, to be mended.
            Err(Refused::Said(said)) => Some(said),
            Err(other) => return Err(other),
        }
    };
    let find = Find { limit: Some(OFFERED), ..Find::default() };
    let offered = page.server.workspace(&workspace).await?.workspace.find(&find).await?.environments;
    let content = choice(&workspace, &asked, said.as_deref(), &offered);
    let status = said.and_then(|said| StatusCode::from_u16(said.status).ok()).unwrap_or_default();
    Ok((status, Frame::new("Compare", Some(&visitor), Section::Environments).page(&content)).into_response())
}

/// The form that asks which two.
fn choice(workspace: &str, asked: &Asked, said: Option<&Said>, offered: &[EnvironmentDetails]) -> Markup {
    html! {
        (trail(&[(format!("/w/{}/environments", segment(workspace)), "Environments")], "Compare"))
        div.page-head { h1 { "Compare two versions" } }
        @if let Some(said) = said { (said.notice()) }
        form.row method="get" {
            @for (field, text, value) in [("old", "From", &asked.old), ("new", "To", &asked.new)] {
                div.field {
                    label for=(field) { (text) }
                    input id=(field) name=(field) value=(value) list="versions" required maxlength="300"
                        autocomplete="off" spellcheck="false" aria-describedby="compare-help";
                }
            }
            datalist #versions {
                @for details in offered {
                    option value={ (details.name.as_deref().unwrap_or_default()) ":" (details.version.as_deref().unwrap_or_default()) } {}
                }
            }
            button type="submit" { "Compare" }
        }
        p #compare-help .hint { "An environment and its version, such as " code { "digits:2" } ", its label, " code { "digits@prod" } ", or its name alone for the newest." }
    }
}

/// What was written, as name and version or `@LABEL`.
fn parts(text: &str) -> (&str, String) {
    match (text.rsplit_once(':'), text.split_once('@')) {
        (Some((name, version)), _) => (name, version.to_owned()),
        (None, Some((name, label))) => (name, format!("@{label}")),
        (None, None) => (text, "@latest".to_owned()),
    }
}

/// The page that shows how the two differ.
async fn differing(page: &Page, visitor: &Visitor, workspace: &str, asked: &Asked) -> Result<Html<String>> {
    let opened = page.server.workspace(workspace).await?;
    let (mut references, mut is_locked) = (Vec::new(), true);
    for text in [&asked.old, &asked.new] {
        let (name, version) = parts(text.trim());
        // Looked up by the catalogue's rules first: what is not registered names no file of the server either.
        let found = opened.workspace.version_details(name, &version).await?;
        is_locked &= found.lock.is_some();
        references.push(format!("{name}:{}", found.version.unwrap_or_default()));
    }
    // What is shipped and was not used here is locked for it, where whoever asks may have something locked.
    let options = DiffOptions { asked: !is_locked && !visitor.may_change(), ..DiffOptions::default() };
    let (pair, server, place) = (references.clone(), Arc::clone(&page.server), workspace.to_owned());
    let work = move || async move {
        let workspace = &opened.workspace;
        let turn = if is_locked || options.asked { None } else { Some(server.resolving.acquire().await) };
        let _turn = turn.transpose().map_err(|error| Problem::fault(&error))?;
        if !is_locked {
            server.hold_secrets(&place, &opened).await?;
        }
        Ok::<_, Refused>(workspace.diff(&pair[0], &pair[1], workspace.root(), &options).await?)
    };
    let diff = apart(work).await??;
    let list = format!("/w/{}/environments", segment(workspace));
    let title = format!("{} → {}", references[0], references[1]);
    let content = html! {
        (trail(&[(list, "Environments")], "Compare"))
        div.page-head {
            h1 { a href=(reference_path(workspace, &references[0])) { (references[0]) } " → " a href=(reference_path(workspace, &references[1])) { (references[1]) } }
            div.actions { a role="button" class="secondary outline" href={ "?old=" (segment(&references[1])) "&new=" (segment(&references[0])) } { "Turn around" } }
        }
        @if options.asked {
            div.notice { p { "What is shipped and was not used here has no lock here, so that only what they ask for is compared." } }
        }
        (differences(&diff))
    };
    Ok(Frame::new(&title, Some(visitor), Section::Environments).page(&content))
}

fn differences(diff: &EnvironmentDiff) -> Markup {
    html! {
        @if diff.is_empty() { div.notice { p { "They ask for the same, and the same was chosen." } } }
        @for note in &diff.notes { div.notice { p { (sentence(note)) } } }
        @if let Some(asked) = diff.asked.as_ref().filter(|asked| !asked.is_empty()) {
            section { h2 { "Asked for" } (asked_table(asked)) }
        }
        @for (platform, packages) in diff.packages.iter().flatten() {
            section {
                h2 { "Packages for " (platform) }
                p { "From " (packages.total.old.packages) " packages, " (bytes(packages.total.old.size)) ", to " (packages.total.new.packages) ", " (bytes(packages.total.new.size)) "." }
                @if packages.is_empty() { p { "The same on both sides." } }
                @for (ecosystem, changes) in &packages.ecosystems { h3 { (ecosystem) } (packages_table(ecosystem, changes)) }
            }
        }
        @for (platforms, side) in [(&diff.only_old, "the first"), (&diff.only_new, "the second")] {
            @for platform in platforms { p { "Only " (side) " was locked for " (platform) "." } }
        }
    }
}

fn asked_table(asked: &[Difference]) -> Markup {
    let cell = |text: &Option<String>| html! { @match text { Some(text) => code { (text) }, None => "–" } };
    html! {
        div.scroll tabindex="0" role="region" aria-label="What is asked for differently" {
            table {
                thead { tr { th scope="col" { "Part" } th scope="col" { "Before" } th scope="col" { "After" } th scope="col" { "Image" } } }
                tbody {
                    @for one in asked {
                        tr {
                            th scope="row" { (one.part) @if let Some(name) = &one.name { " " code { (name) } } }
                            td { (cell(&one.old)) }
                            td { (cell(&one.new)) }
                            td { @if one.counts { "may change" } @else { "stays" } }
                        }
                    }
                }
            }
        }
    }
}

fn packages_table(ecosystem: &str, changes: &EcosystemDiff) -> Markup {
    let version = |version: &str, build: &Option<String>| match build {
        Some(build) => format!("{version} {build}"),
        None => version.to_owned(),
    };
    let size = |size: u64| if size > 0 { bytes(size) } else { "–".to_owned() };
    html! {
        div.scroll tabindex="0" role="region" aria-label={ "Changes in " (ecosystem) } {
            table.changes {
                thead { tr { th scope="col" { "Package" } th scope="col" { "Change" } th scope="col" { "Before" } th scope="col" { "After" } th.number scope="col" { "Size" } } }
                tbody {
                    @for one in &changes.changed {
                        tr {
                            th scope="row" { (one.name) } td { (badge("warn", "changed")) }
                            td { (version(&one.old_version, &one.old_build)) } td { (version(&one.new_version, &one.new_build)) }
                            td.number { (size(one.old_size)) " → " (size(one.new_size)) }
                        }
                    }
                    @for one in &changes.added {
                        tr { th scope="row" { (one.name) } td { (badge("good", "added")) } td { "–" } td { (version(&one.version, &one.build)) } td.number { (size(one.size)) } }
                    }
                    @for one in &changes.removed {
                        tr { th scope="row" { (one.name) } td { (badge("bad", "removed")) } td { (version(&one.version, &one.build)) } td { "–" } td.number { (size(one.size)) } }
                    }
                }
            }
        }
    }
}
