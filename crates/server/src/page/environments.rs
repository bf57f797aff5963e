//! Environments: searched, narrowed by facets, a page at a time; and the versions of one.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Html;
use maud::{Markup, html};
use provenv_definition::Base;
use provenv_workspace::{EnvironmentDetails, Error, Facets, Find, Include, Kind, Term, is_curated};
use serde::Deserialize;

use super::Page;
use super::layout::{Frame, Section, badge, empty, trail};
use super::refused::{Refused, Result};
use super::session::Visitor;
use super::words::{segment, time};
use crate::problem::Problem;

/// So many are on a page.
const MOST: u32 = 40;

/// What is looked for.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// Words: parts of names, and what is in an environment.
    q: String,
    kind: String,
    tag: String,
    creator: String,
    archived: String,
    after: String,
}

impl Asked {
    fn find(&self) -> Result<Find, Box<Problem>> {
        let bad = |message: String| Problem::bad("parameter-invalid", message);
        let terms: Result<Vec<Term>, String> = self.q.split_whitespace().map(str::parse).collect();
        let kind = match &*self.kind {
            "" => None,
            "system-managed" => Some(Kind::SystemManaged),
            "user-managed" => Some(Kind::UserManaged),
            "curated" => Some(Kind::Curated),
            "dockerfile" => Some(Kind::Dockerfile),
            other => return Err(bad(format!("there is no kind `{other}`"))),
        };
        let tag = (!self.tag.is_empty()).then(|| match self.tag.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (self.tag.clone(), None),
        });
        Ok(Find {
            terms: terms.map_err(bad)?,
            tags: tag.into_iter().collect(),
            kind,
            creator: Some(self.creator.clone()).filter(|creator| !creator.is_empty()),
            include: if self.archived == "only" { Include::Archived } else { Include::Active },
            limit: Some(MOST),
            after: Some(self.after.clone()).filter(|after| !after.is_empty()),
            ..Find::default()
        })
    }

    /// The same question, but for one thing.
    fn with(&self, change: impl FnOnce(&mut Self)) -> String {
        let mut other = Self { after: String::new(), ..self.clone() };
        change(&mut other);
        let parts = [
            ("q", &other.q),
            ("kind", &other.kind),
            ("tag", &other.tag),
            ("creator", &other.creator),
            ("archived", &other.archived),
            ("after", &other.after),
        ];
        let set = parts.into_iter().filter(|(_, value)| !value.is_empty());
        let text =
            set.map(|(name, value)| format!("{name}={}", segment(value))).collect::<Vec<_>>().join("&");
        format!("?{text}")
    }

    fn is_everything(&self) -> bool {
        self.with(|_| {}) == "?"
    }
}

/// What kind an environment is.
pub(super) fn kind(details: &EnvironmentDetails) -> Kind {
    let definition = &details.environment.definition;
    if details.name.as_deref().is_some_and(is_curated) {
        Kind::Curated
    } else if definition.user_managed {
        Kind::UserManaged
    } else if matches!(definition.base, Base::Dockerfile { .. } | Base::Context(_)) {
        Kind::Dockerfile
    } else {
        Kind::SystemManaged
    }
}

pub(super) async fn list(
    State(page): State<Arc<Page>>,
    visitor: Visitor,
    Path(workspace): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Html<String>> {
    let opened = page.server.workspace(&workspace).await?;
    let (found, facets) = match asked.find() {
        Ok(find) => {
            let found = opened.workspace.find(&find).await.map_err(Refused::from);
            let counted = if found.is_ok() { find } else { Find::default() };
            (found, opened.workspace.facets(&counted).await?)
        }
        Err(problem) => (Err(problem.into()), opened.workspace.facets(&Find::default()).await?),
    };
    let results = match found {
        Ok(found) if found.environments.is_empty() => nothing(&visitor, &workspace, &asked),
        Ok(found) => html! {
            (table(&workspace, &found.environments, true))
            @if let Some(next) = &found.next {
                p.more { a role="button" class="secondary" href=(asked.with(|asked| asked.after.clone_from(next))) { "Next page" } }
            }
        },
        // What was looked for stays in its field, to be mended.
        Err(Refused::Said(said)) => said.notice(),
        Err(other) => return Err(other),
    };
    let content = html! {
        div.page-head {
            h1 { "Environments" }
            div.actions {
                a role="button" class="secondary outline" href={ "/w/" (segment(&workspace)) "/diff" } { "Compare" }
                @if visitor.may_change() { a role="button" href={ "/w/" (segment(&workspace)) "/new" } { "New environment" } }
            }
        }
        form.search method="get" role="search" {
            label.hidden for="q" { "Search" }
            input #q type="search" name="q" value=(asked.q) placeholder="Search, for example: digits package:numpy<2"
                spellcheck="false" autocomplete="off" aria-describedby="q-help";
            @for (name, value) in [("kind", &asked.kind), ("tag", &asked.tag), ("creator", &asked.creator), ("archived", &asked.archived)] {
                @if !value.is_empty() { input type="hidden" name=(name) value=(value); }
            }
            button type="submit" { "Search" }
        }
        p #q-help .hint { "Words are parts of names. " code { "package:numpy<1.26" } ", " code { "base:debian" } ", " code { "artifact:sha256:…" } " and " code { "vulnerability:CVE-…" } " look inside." }
        div.with-facets {
            aside aria-label="Narrow the list" { (narrow(&asked, &facets)) }
            section.results aria-label="Environments found" { (results) }
        }
    };
    Ok(Frame::new("Environments", Some(&visitor), Section::Environments).page(&content))
}

fn nothing(visitor: &Visitor, workspace: &str, asked: &Asked) -> Markup {
    if !asked.is_everything() {
        return empty("Nothing here is like that.", &html! { p { a href="?" { "Show all environments" } } });
    }
    let begin = html! {
        @if visitor.may_change() { p { a role="button" href={ "/w/" (segment(workspace)) "/new" } { "Register the first" } } }
    };
    empty("There are no environments in this workspace yet.", &begin)
}

/// The facets, as links that narrow the list or widen it again.
fn narrow(asked: &Asked, facets: &Facets) -> Markup {
    let link = |is_on: bool, path: String, text: &str, number: Option<i64>| {
        html! {
            li {
                a.on[is_on] href=(path) aria-current=[is_on.then_some("true")] {
                    span { (text) }
                    @if is_on { span.number aria-hidden="true" { "×" } span.hidden { " (chosen, choose again to widen)" } }
                    @else if let Some(number) = number { span.number { (number) } }
                }
            }
        }
    };
    html! {
        details.facets open {
            summary { "Narrow" }
            @if !facets.kinds.is_empty() {
                h2 { "Kind" }
                ul {
                    @for (kind, number) in &facets.kinds {
                        @let is_on = asked.kind == *kind;
                        (link(is_on, asked.with(|other| other.kind = if is_on { String::new() } else { kind.clone() }), kind, Some(*number)))
                    }
                }
            }
            @if !facets.tags.is_empty() {
                h2 { "Tag" }
                ul {
                    @for ((tag, value), number) in &facets.tags {
                        @let text = format!("{tag}={value}");
                        @let is_on = asked.tag == text;
                        (link(is_on, asked.with(|other| other.tag = if is_on { String::new() } else { text.clone() }), &text, Some(*number)))
                    }
                }
            }
            @if !facets.creators.is_empty() {
                h2 { "Creator" }
                ul {
                    @for (creator, number) in &facets.creators {
                        @let is_on = asked.creator == *creator;
                        (link(is_on, asked.with(|other| other.creator = if is_on { String::new() } else { creator.clone() }), creator, Some(*number)))
                    }
                }
            }
            h2 { "More" }
            ul {
                @let is_on = asked.kind == "curated";
                (link(is_on, asked.with(|other| other.kind = if is_on { String::new() } else { "curated".to_owned() }), "shipped with Provenv", i64::try_from(facets.shipped).ok()))
                @let is_on = asked.archived == "only";
                (link(is_on, asked.with(|other| other.archived = if is_on { String::new() } else { "only".to_owned() }), "archived", None))
            }
        }
    }
}

/// The path of a version's page.
pub(super) fn version_path(workspace: &str, name: &str, version: &str) -> String {
    format!("/w/{}/environments/{}/{}", segment(workspace), segment(name), segment(version))
}

/// The path of the page of what is written `name:version`.
pub(super) fn reference_path(workspace: &str, reference: &str) -> String {
    let (name, version) = reference.rsplit_once(':').unwrap_or((reference, "@latest"));
    version_path(workspace, name, version)
}

fn table(workspace: &str, environments: &[EnvironmentDetails], with_names: bool) -> Markup {
    html! {
        table.list {
            thead {
                tr {
                    th scope="col" { @if with_names { "Environment" } @else { "Version" } }
                    th scope="col" { "Kind" }
                    th scope="col" { "Tags" }
                    th scope="col" { "Registered" }
                }
            }
            tbody {
                @for details in environments {
                    @let name = details.name.as_deref().unwrap_or_default();
                    @let version = details.version.as_deref().unwrap_or("@latest");
                    tr {
                        th scope="row" {
                            a href=(version_path(workspace, name, version)) {
                                @if with_names { strong { (name) } " " }
                                span.version { (version) }
                            }
                            @for label in details.labels.iter().filter(|label| !with_names || *label != "latest") { " " (badge("label", &format!("@{label}"))) }
                            @if let Some(place) = &details.shared_from { " " (badge("plain", &format!("shared from {place}"))) }
                            @if details.archived { " " (badge("warn", "archived")) }
                            @if let Some(description) = &details.environment.description { p.description { (description) } }
                        }
                        td { (badge("kind", kind(details).as_str())) }
                        td {
                            @for (tag, value) in &details.environment.tags {
                                (badge("plain", &if value.is_empty() { tag.clone() } else { format!("{tag}={value}") })) " "
                            }
                        }
                        td.when {
                            @if let Some(at) = details.created_at { (time(at)) }
                            @if let Some(by) = &details.created_by { span.by { "by " (by) } }
                        }
                    }
                }
            }
        }
    }
}

/// Which part of the versions is wanted.
#[derive(Deserialize)]
pub(super) struct Part {
    after: Option<String>,
}

pub(super) async fn versions(
    State(page): State<Arc<Page>>,
    visitor: Visitor,
    Path((workspace, name)): Path<(String, String)>,
    Query(part): Query<Part>,
) -> Result<Html<String>> {
    let opened = page.server.workspace(&workspace).await?;
    let find = Find {
        name: Some(name.clone()),
        all_versions: true,
        include: Include::All,
        limit: Some(MOST),
        after: part.after,
        ..Find::default()
    };
    let found = opened.workspace.find(&find).await.map_err(|error| match error {
        Error::Arguments { message, hint } => {
            Refused::from(Problem::bad("parameter-invalid", message).hint(hint))
        }
        error => error.into(),
    })?;
    let versions: Vec<&str> =
        found.environments.iter().filter_map(|details| details.version.as_deref()).collect();
    let list = format!("/w/{}/environments", segment(&workspace));
    let content = html! {
        (trail(&[(list, "Environments")], &name))
        div.page-head { h1 { (name) } }
        (table(&workspace, &found.environments, false))
        @if let Some(next) = &found.next { p.more { a role="button" class="secondary" href={ "?after=" (segment(next)) } { "Next page" } } }
        @if versions.len() > 1 {
            section.panel {
                h2 { "Compare two versions" }
                form.row method="get" action={ "/w/" (segment(&workspace)) "/diff" } {
                    @for (field, text, chosen) in [("old", "From", 1), ("new", "To", 0)] {
                        div.field {
                            label for=(field) { (text) }
                            select id=(field) name=(field) {
                                @for (place, version) in versions.iter().enumerate() {
                                    option value={ (name) ":" (version) } selected[place == chosen] { (version) }
                                }
                            }
                        }
                    }
                    button type="submit" { "Compare" }
                }
            }
        }
    };
    Ok(Frame::new(&name, Some(&visitor), Section::Environments).page(&content))
}
