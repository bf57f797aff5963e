//! A version: what it asks for, what was chosen, what became of it, who uses it, who changed it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderValue, Method, header};
use axum::response::{Html, IntoResponse as _, Response};
use maud::{Markup, html};
use provenv_definition::{Digest, Platform, write_native};
use provenv_workspace::{
    AuditReport, Change, ChangeKind, Chosen, EnvironmentDetails, Error, HistoryOptions, ImageDetails, Label,
    SbomFormat, Severity, Uses, is_curated,
};

use super::Page;
use super::environments::{kind, reference_path, version_path};
use super::layout::{Frame, Section, badge, button, token, trail};
use super::packages::About;
use super::refused::Result;
use super::session::Visitor;
use super::words::{bytes, count, digest, segment, time};
use super::{graph, packages, treemap};
use crate::problem::Problem;
use crate::state::Opened;

/// So much of the history is shown.
const CHANGES: u32 = 30;

/// All that is shown of a version.
struct Shown {
    details: EnvironmentDetails,
    chosen: Vec<(Platform, Chosen)>,
    image: Option<ImageDetails>,
    about: Arc<About>,
    audit: Option<AuditReport>,
    uses: Option<Uses>,
    labels: Vec<Label>,
    history: Vec<Change>,
}

impl Shown {
    async fn of(page: &Page, opened: &Opened, (place, name, wanted): (&str, &str, &str)) -> Result<Self> {
        let workspace = &opened.workspace;
        let details = workspace.version_details(name, wanted).await?;
        let version = details.version.clone().unwrap_or_default();
        let reference = format!("{name}:{version}");
        let chosen = match &details.lock {
            Some(lock) => workspace.chosen(lock).await?.unwrap_or_default(),
            None => Vec::new(),
        };
        let image = match &details.lock {
            Some(lock) => match workspace.image_of_lock(lock, None, &reference).await {
                Ok(image) => Some(image),
                Err(Error::NoImage(_)) => None,
                Err(error) => return Err(error.into()),
            },
            None => None,
        };
        let (about, audit) = match &image {
            Some(image) => {
                let about = page.abouts.of(place, workspace, &image.digest).await?;
                (about, last_audit(workspace, &image.digest).await?)
            }
            None => (Arc::default(), None),
        };
        // What is shipped has neither users nor a history here before it was used.
        let on_record = details.receipt.is_some() && !is_curated(name);
        let (uses, labels, history) = if on_record {
            let options = HistoryOptions { limit: CHANGES, before: None };
            (
                Some(workspace.uses(&reference).await?),
                workspace.labels(name).await?,
                workspace.history(&reference, options).await?,
            )
        } else {
            (None, Vec::new(), Vec::new())
        };
        Ok(Self { details, chosen, image, about, audit, uses, labels, history })
    }
}

async fn last_audit(workspace: &provenv_workspace::Workspace, image: &Digest) -> Result<Option<AuditReport>> {
    match workspace.last_audit(&image.to_string(), workspace.root()).await {
        Ok(audit) => Ok(Some(audit)),
        Err(Error::NoAudit(_) | Error::NoImage(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn show(
    State(page): State<Arc<Page>>,
    visitor: Visitor,
    Path((workspace, name, wanted)): Path<(String, String, String)>,
) -> Result<Html<String>> {
    let opened = page.server.workspace(&workspace).await?;
    let shown = Shown::of(&page, &opened, (&workspace, &name, &wanted)).await?;
    let version = shown.details.version.clone().unwrap_or_else(|| wanted.clone());
    let path = version_path(&workspace, &name, &version);
    let title = format!("{name} {version}");
    let details = &shown.details;
    let content = html! {
        (trail(&[
            (format!("/w/{}/environments", segment(&workspace)), "Environments"),
            (format!("/w/{}/environments/{}", segment(&workspace), segment(&name)), &name),
        ], &version))
        div.page-head {
            div {
                h1 { (name) " " span.version { (version) } }
                p.badges {
                    (badge("kind", kind(details).as_str())) " "
                    @for label in &details.labels { (badge("label", &format!("@{label}"))) " " }
                    @for (tag, value) in &details.environment.tags {
                        (badge("plain", &if value.is_empty() { tag.clone() } else { format!("{tag}={value}") })) " "
                    }
                    @if let Some(place) = &details.shared_from { (badge("plain", &format!("shared from {place}"))) " " }
                    @if details.archived { (badge("warn", "archived")) }
                }
                @if let Some(description) = &details.environment.description { p.lead { (description) } }
            }
            @if visitor.may_change() && details.receipt.is_some() {
                div.actions {
                    @let text = if shown.image.is_some() { "Build again" } else { "Build the image" };
                    (button(&visitor, &format!("{path}/build"), if shown.image.is_some() { "secondary" } else { "" }, text))
                    @if !is_curated(&name) {
                        @if details.archived { (button(&visitor, &format!("{path}/restore"), "secondary", "Restore")) }
                        @else { (button(&visitor, &format!("{path}/archive"), "secondary outline", "Archive")) }
                    }
                }
            }
        }
        (facts(&workspace, &shown))
        nav.contents aria-label="On this page" {
            a href="#definition" { "Definition" }
            a href="#packages" { "Packages" }
            @if shown.image.is_some() { a href="#image" { "Image" } }
            @if shown.image.is_some() { a href="#vulnerabilities" { "Vulnerabilities" } }
            @if shown.uses.is_some() { a href="#used" { "Where used" } }
            @if shown.uses.is_some() { a href="#history" { "History" } }
        }
        section #definition {
            h2 { "Definition" }
            pre tabindex="0" aria-label="Definition" { code { (write_native(&details.environment)) } }
        }
        (packages::section(&path, &shown.chosen, &shown.about))
        @if let Some(image) = &shown.image { (image_section(&path, image, &shown.about)) (vulnerabilities(shown.audit.as_ref(), &name, &version)) }
        @if let Some(uses) = &shown.uses { (used(&workspace, uses)) }
        @if shown.uses.is_some() {
            (history(&shown.history))
            @if visitor.may_change() { (change(&visitor, &path, &shown)) }
        }
    };
    Ok(Frame::new(&title, Some(&visitor), Section::Environments).page(&content))
}

fn facts(workspace: &str, shown: &Shown) -> Markup {
    let details = &shown.details;
    let first = shown.chosen.first().map(|(_, chosen)| chosen);
    html! {
        dl.facts {
            @if let Some(at) = details.created_at {
                div { dt { "Registered" } dd { (time(at)) @if let Some(by) = &details.created_by { " by " (by) } } }
            }
            @if let Some(chosen) = first {
                div { dt { "Base" } dd { (chosen.base.split(' ').next().unwrap_or_default()) } }
                @if let Some(python) = &chosen.python { div { dt { "Python" } dd { (python) } } }
                div { dt { "Packages" } dd { (chosen.packages.len()) ", " (bytes(chosen.size())) } }
            }
            div { dt { "Image" } dd { @match &shown.image { Some(image) => { (bytes(image.size)) ", " (count(image.layers.len(), "layer")) } None => "not built yet" } } }
            @if !shown.chosen.is_empty() {
                div { dt { "For" } dd { @for (place, (platform, _)) in shown.chosen.iter().enumerate() { @if place > 0 { ", " } (platform) } } }
            }
            @if let Some(from) = &details.from { div { dt { "Made from" } dd { a href=(reference_path(workspace, from)) { (from) } } } }
            div { dt { "Definition" } dd { (digest(&details.definition_digest)) } }
            @if let Some(lock) = &details.lock { div { dt { "Lock" } dd { (digest(lock)) } } }
            @if let Some(receipt) = &details.receipt { div { dt { "Receipt" } dd { (digest(receipt)) } } }
        }
    }
}

fn image_section(path: &str, image: &ImageDetails, about: &About) -> Markup {
    html! {
        section #image {
            h2 { "Image" }
            p { code.wide { (image.digest) } }
            p.links {
                a href={ (path) "/sbom/spdx" } { "SBOM (SPDX)" }
                a href={ (path) "/sbom/cyclonedx" } { "SBOM (CycloneDX)" }
                a href={ (path) "/lock" } { "Lock" }
            }
            h3 { "Size by package" }
            (treemap::figure(&image.packages))
            @if let Some(graph) = graph::figure(about) { h3 { "Who needs whom" } (graph) }
            details {
                summary { "Layers (" (image.layers.len()) ")" }
                div.scroll tabindex="0" role="region" aria-label="Layers" {
                    table {
                        thead { tr { th scope="col" { "Layer" } th scope="col" { "What it is" } th.number scope="col" { "Size" } } }
                        tbody { @for layer in &image.layers { tr { td { (digest(&layer.digest)) } td { (layer.what) } td.number { (bytes(layer.size)) } } } }
                    }
                }
            }
            details {
                summary { "Dockerfile that would do about the same" }
                pre tabindex="0" aria-label="Dockerfile" { code { (image.dockerfile) } }
            }
            @if !image.notes.is_empty() {
                details { summary { "Notes (" (image.notes.len()) ")" } ul { @for note in &image.notes { li { (note) } } } }
            }
        }
    }
}

fn vulnerabilities(audit: Option<&AuditReport>, name: &str, version: &str) -> Markup {
    html! {
        section #vulnerabilities {
            h2 { "Vulnerabilities" }
            @match audit {
                None => p { "No audit of this image is kept. " code { "provenv image audit " (name) ":" (version) } " makes one." }
                Some(audit) => {
                    p { "Audited " (time(audit.audited_at)) ": " (count(audit.findings.len(), "finding")) " in " (count(audit.packages, "package")) "." }
                    @if !audit.findings.is_empty() {
                        div.scroll tabindex="0" role="region" aria-label="Findings" {
                            table {
                                thead { tr { th scope="col" { "Advisory" } th scope="col" { "Package" } th scope="col" { "Severity" } th scope="col" { "Fixed in" } th scope="col" { "What" } } }
                                tbody {
                                    @for finding in &audit.findings {
                                        tr {
                                            td { (finding.id) }
                                            td { (finding.package) " " (finding.version) }
                                            td { (severity(finding.severity)) }
                                            td { @if finding.fixed.is_empty() { "–" } @else { (finding.fixed.join(", ")) } }
                                            td { (finding.summary.as_deref().unwrap_or_default()) }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn severity(severity: Option<Severity>) -> Markup {
    let Some(severity) = severity else { return html! { "unknown" } };
    let word = format!("{severity:?}").to_lowercase();
    let class = if severity >= Severity::High { "bad" } else { "warn" };
    badge(class, &word)
}

fn used(workspace: &str, uses: &Uses) -> Markup {
    let nothing = uses.runs.is_empty()
        && uses.derived.is_empty()
        && uses.same_lock.is_empty()
        && uses.images.is_empty();
    html! {
        section #used {
            h2 { "Where used" }
            @if nothing { p { "Nothing here uses it yet." } }
            dl.uses {
                @if !uses.images.is_empty() {
                    dt { "Images" }
                    dd { @for image in &uses.images { p { (digest(&image.digest)) " " (image.platform) @if image.proofs > 0 { ", " (count(image.proofs, "signature")) } } } }
                }
                @if !uses.runs.is_empty() {
                    dt { "Runs" }
                    dd { @for run in &uses.runs { p { a href={ "/w/" (segment(workspace)) "/runs/" (segment(&run.id)) } { (run.id) } " " (time(run.started_at)) } } }
                }
                @if !uses.derived.is_empty() {
                    dt { "Made from it" }
                    dd { @for other in &uses.derived { p { a href=(reference_path(workspace, other)) { (other) } } } }
                }
                @if !uses.same_lock.is_empty() {
                    dt { "Same lock, same images" }
                    dd { @for other in &uses.same_lock { p { a href=(reference_path(workspace, other)) { (other) } } } }
                }
            }
        }
    }
}

fn history(changes: &[Change]) -> Markup {
    html! {
        section #history {
            h2 { "History" }
            ol.history {
                @for change in changes {
                    li { (what(change)) span.by { (change.by) ", " (time(change.at)) } }
                }
            }
        }
    }
}

fn what(change: &Change) -> Markup {
    let subject = change.subject.as_deref().unwrap_or_default();
    let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "nothing".to_owned());
    html! {
        span {
            @match change.change {
                ChangeKind::Registered => "registered",
                ChangeKind::Description => { "description: " (change.to.as_deref().unwrap_or("taken away")) },
                ChangeKind::Tag => { "tag " code { (subject) } ": " @match &change.to { Some(to) => { "set to " code { (to) } }, None => "taken away" } },
                ChangeKind::Label => { "label " code { "@" (subject) } ": from " (version(&change.from)) " to " (version(&change.to)) },
                ChangeKind::Copied => @match (&change.from, &change.to) {
                    (Some(from), _) => { "copied from " code { (from) } },
                    (None, to) => { "copied to " code { (to.as_deref().unwrap_or("elsewhere")) } },
                },
                ChangeKind::Shared => @match (&change.from, &change.to, &change.version) {
                    (None, Some(to), Some(_)) => { "shared from " code { (to) } },
                    (None, to, _) => { "shared with " code { (to.as_deref().unwrap_or("another")) } },
                    (Some(from), _, _) => { "shared no more: " code { (from) } },
                },
                ChangeKind::Archived => "archived",
                ChangeKind::Restored => "restored",
                ChangeKind::Deleted => "deleted",
            }
        }
    }
}

/// What contributors may change about a version.
fn change(visitor: &Visitor, path: &str, shown: &Shown) -> Markup {
    let version = shown.details.version.as_deref();
    let own =
        shown.labels.iter().filter(|label| label.version.as_deref() == version && label.label != "latest");
    let tags = shown.details.environment.tags.iter().map(|(tag, value)| format!("{tag}={value}"));
    html! {
        section.panel #change {
            h2 { "Change" }
            form method="post" action={ (path) "/describe" } {
                (token(visitor))
                label for="description" { "Description" }
                input #description name="description" maxlength="1000" autocomplete="off"
                    value=(shown.details.environment.description.as_deref().unwrap_or_default());
                label for="tags" { "Tags" }
                textarea #tags name="tags" rows="2" spellcheck="false" aria-describedby="tags-help" { (tags.collect::<Vec<_>>().join("\n")) }
                small #tags-help { "One a line, " code { "name=value" } "." }
                button.secondary type="submit" { "Save" }
            }
            form.row method="post" action={ (path) "/label" } {
                (token(visitor))
                div.field {
                    label for="label" { "Put a label on this version" }
                    input #label name="label" required maxlength="100" placeholder="prod" autocomplete="off" spellcheck="false";
                }
                button.secondary type="submit" { "Put it here" }
            }
            @for label in own {
                form.inline method="post" action={ (path) "/unlabel" } {
                    (token(visitor))
                    input type="hidden" name="label" value=(label.label);
                    button.secondary.outline.small type="submit" { "Take away @" (label.label) }
                }
            }
        }
    }
}

/// The lock, as the API gives it.
pub(super) async fn lock(
    State(page): State<Arc<Page>>,
    visitor: Visitor,
    Path((workspace, name, version)): Path<(String, String, String)>,
) -> Result<Response> {
    page.ask(&visitor, Method::GET, &(api_path(&workspace, &name, &version) + "/lock"), None).await
}

/// Where the API has a version.
pub(super) fn api_path(workspace: &str, name: &str, version: &str) -> String {
    format!(
        "/api/v1/workspaces/{}/environments/{}/versions/{}",
        segment(workspace),
        segment(name),
        segment(version)
    )
}

/// The bill of materials of the image, as a file.
pub(super) async fn sbom(
    State(page): State<Arc<Page>>,
    _: Visitor,
    Path((workspace, name, version, format)): Path<(String, String, String, String)>,
) -> Result<Response> {
    let (form, ending, kind) = match &*format {
        "spdx" => (SbomFormat::Spdx, "spdx.json", "application/spdx+json"),
        "cyclonedx" => (SbomFormat::CycloneDx, "cdx.json", "application/vnd.cyclonedx+json"),
        other => {
            return Err(Problem::missing("no-such-format", format!("there is no SBOM as `{other}`")).into());
        }
    };
    let opened = page.server.workspace(&workspace).await?;
    let details = opened.workspace.version_details(&name, &version).await?;
    let lock = details.lock.ok_or_else(|| Error::NoImage(name.clone()))?;
    let image = opened.workspace.image_of_lock(&lock, None, &format!("{name}:{version}")).await?;
    let sbom = opened.workspace.sbom(&image.digest.to_string(), opened.workspace.root(), form).await?;
    let safe: String = format!("{name}-{version}")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
        .collect();
    let file = HeaderValue::try_from(format!("attachment; filename=\"{safe}.{ending}\""));
    let mut response = ([(header::CONTENT_TYPE, kind)], sbom.document).into_response();
    if let Ok(file) = file {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, file);
    }
    Ok(response)
}
