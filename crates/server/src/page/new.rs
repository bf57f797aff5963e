//! A new environment: a file is pasted or uploaded, checked, planned, and then registered. Each step is the same form with what
//! was found beside the text; nothing is kept between steps but what the form itself carries.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use maud::{Markup, html};
use provenv_definition::Diagnostic;
use provenv_workspace::{Plan, check_text};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Page;
use super::environments::{reference_path, version_path};
use super::form::{Fields, Sent};
use super::layout::{Frame, Section, badge, token};
use super::refused::{Refused, Result, Said};
use super::session::Visitor;
use super::words::{bytes, count, digest, segment, sentence};
use crate::access::role_too_low;
use crate::database::Role;

/// So many lines of a text are shown with remarks.
const MOST_LINES: usize = 5000;

/// What the form holds, and what was found about it.
#[derive(Default)]
struct Draft {
    name: String,
    file: String,
    text: String,
    /// What is to be said of the text, where it was checked.
    remarks: Option<Vec<Diagnostic>>,
    plan: Option<Plan>,
    /// What went wrong.
    said: Option<Box<Said>>,
}

pub(super) async fn show(visitor: Visitor, Path(_): Path<String>) -> Result<Html<String>> {
    must_contribute(&visitor)?;
    let draft = Draft { file: "environment.yaml".to_owned(), ..Draft::default() };
    Ok(draft.page(&visitor))
}

fn must_contribute(visitor: &Visitor) -> Result<()> {
    let place = visitor.workspace.as_ref();
    if visitor.may_change() {
        Ok(())
    } else {
        Err(role_too_low(&visitor.user, visitor.is_narrow, visitor.role, place, Role::Contributor).into())
    }
}

#[derive(Deserialize)]
struct Registered {
    name: String,
    version: String,
}

pub(super) async fn sent(
    State(page): State<Arc<Page>>,
    Path(workspace): Path<String>,
    sent: Sent,
) -> Result<Response> {
    must_contribute(&sent.visitor)?;
    let mut draft = Draft::from(&sent.fields);
    match sent.fields.text("step") {
        Some("register") => match draft.register(&page, &sent.visitor, &workspace).await {
            Ok(made) => {
                return Ok(Redirect::to(&version_path(&workspace, &made.name, &made.version)).into_response());
            }
            Err(Refused::Said(said)) => {
                // What is wrong with the text is shown beside it.
                draft.check();
                if !draft.is_wrong() {
                    draft.said = Some(said);
                }
            }
            Err(other) => return Err(other),
        },
        Some("plan") => {
            draft.check();
            if !draft.is_wrong() && draft.said.is_none() {
                match draft.plan(&page, &sent.visitor, &workspace).await {
                    Ok(plan) => draft.plan = Some(plan),
                    Err(refused) => draft.fail(refused),
                }
            }
        }
        _ => draft.check(),
    }
    let status = match &draft.said {
        Some(said) => StatusCode::from_u16(said.status).unwrap_or(StatusCode::BAD_REQUEST),
        None if draft.is_wrong() => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    };
    Ok((status, draft.page(&sent.visitor)).into_response())
}

impl From<&Fields> for Draft {
    fn from(fields: &Fields) -> Self {
        // A file that was chosen goes before what stands in the field.
        let uploaded = fields.text("upload").map(|_| fields.raw("upload"));
        let file = match uploaded {
            Some(_) => fields.text("upload_name"),
            None => fields.text("file"),
        };
        Self {
            name: fields.text("name").unwrap_or_default().to_owned(),
            file: file.unwrap_or("environment.yaml").to_owned(),
            text: uploaded.unwrap_or_else(|| fields.raw("text")).replace("\r\n", "\n"),
            ..Self::default()
        }
    }
}

impl Draft {
    fn check(&mut self) {
        match check_text(&self.file, &self.text) {
            Ok(remarks) => self.remarks = Some(remarks),
            Err(error) => self.fail(error.into()),
        }
    }

    fn fail(&mut self, refused: Refused) {
        if let Refused::Said(said) = refused {
            self.said = Some(said);
        }
    }

    fn is_wrong(&self) -> bool {
        self.remarks.iter().flatten().any(Diagnostic::is_error)
    }

    /// What is sent of it to the API.
    fn body(&self) -> Value {
        let mut body = json!({ "file": { "name": self.file, "text": self.text } });
        if !self.name.is_empty() {
            body["name"] = self.name.as_str().into();
        }
        body
    }

    async fn plan(&self, page: &Page, visitor: &Visitor, workspace: &str) -> Result<Plan> {
        let path = format!("/api/v1/workspaces/{}/plan", segment(workspace));
        page.ask_for(visitor, Method::POST, &path, Some(&self.body())).await
    }

    async fn register(&self, page: &Page, visitor: &Visitor, workspace: &str) -> Result<Registered> {
        let path = format!("/api/v1/workspaces/{}/environments", segment(workspace));
        page.ask_for(visitor, Method::POST, &path, Some(&self.body())).await
    }

    fn page(&self, visitor: &Visitor) -> Html<String> {
        let workspace = visitor.workspace.as_deref().unwrap_or_default();
        let content = html! {
            div.page-head { h1 { "New environment" } }
            @if let Some(said) = &self.said { (said.notice()) }
            div.two {
                form.definition method="post" action={ "/w/" (segment(workspace)) "/new" } enctype="multipart/form-data" {
                    (token(visitor))
                    div.pair {
                        div {
                            label for="name" { "Name" }
                            input #name name="name" value=(self.name) maxlength="128" placeholder="as the file says" autocomplete="off" spellcheck="false";
                        }
                        div {
                            label for="file" { "Kind of file, by its name" }
                            input #file name="file" value=(self.file) list="files" required maxlength="128" autocomplete="off" spellcheck="false";
                            datalist #files {
                                @for name in ["environment.yaml", "requirements.txt", "pyproject.toml", "Dockerfile", "environment.json", "pixi.toml"] { option value=(name) {} }
                            }
                        }
                    }
                    label for="text" { "Definition" }
                    textarea.code #text name="text" rows="16" spellcheck="false" wrap="off"
                        placeholder="name: digits\npython: \"3.11\"\npip:\n- scikit-learn" aria-invalid=[self.is_wrong().then_some("true")] { "\n" (self.text) }
                    label for="upload" { "Or a file from this computer" }
                    input #upload type="file" name="upload";
                    div.actions {
                        button.secondary type="submit" name="step" value="check" { "Check" }
                        button.secondary type="submit" name="step" value="plan" { "Check and plan" }
                        @if self.plan.is_some() { button type="submit" name="step" value="register" { "Register" } }
                    }
                    @if self.plan.is_none() { p.hint { "A plan says what would be chosen, built and fetched. Nothing is registered before you say so." } }
                }
                div.beside aria-live="polite" {
                    @if let Some(plan) = &self.plan { (plan_section(workspace, plan)) }
                    @if let Some(remarks) = &self.remarks { (self.checked(remarks)) }
                    @if self.remarks.is_none() && self.said.is_none() { (help()) }
                }
            }
        };
        Frame::new("New environment", Some(visitor), Section::New).page(&content)
    }

    /// The text with what is to be said of it at its lines.
    fn checked(&self, remarks: &[Diagnostic]) -> Markup {
        let of = |line: usize| {
            remarks.iter().filter(move |remark| remark.span.is_some_and(|span| span.line == line))
        };
        html! {
            section.checked aria-labelledby="checked" {
                h2 #checked { @if remarks.is_empty() { "Nothing to remark" } @else { (count(remarks.len(), "remark")) } }
                @for remark in remarks.iter().filter(|remark| remark.span.is_none()) { (said(remark)) }
                ol.lines {
                    @for (place, line) in self.text.lines().enumerate().take(MOST_LINES) {
                        @let remarked = of(place + 1).next().is_some();
                        li.remarked[remarked] { code { (line) } @for remark in of(place + 1) { (said(remark)) } }
                    }
                }
            }
        }
    }
}

fn said(remark: &Diagnostic) -> Markup {
    use provenv_definition::Severity;
    let (class, word) = match remark.severity {
        Severity::Error => ("bad", "error"),
        Severity::Warning => ("warn", "warning"),
        Severity::Info => ("plain", "note"),
    };
    html! {
        div.remark.(class) {
            (badge(class, word)) " " span.code { (remark.code) } " " (sentence(&remark.message))
            @if let Some(hint) = &remark.hint { p.hint { (sentence(hint)) } }
        }
    }
}

fn plan_section(workspace: &str, plan: &Plan) -> Markup {
    html! {
        section.panel.plan aria-labelledby="plan" {
            h2 #plan { "Plan" }
            @for one in &plan.platforms {
                dl.facts {
                    div { dt { "For" } dd { (one.platform) } }
                    div { dt { "Base" } dd { (one.chosen.base) } }
                    @if let Some(python) = &one.chosen.python { div { dt { "Python" } dd { (python) } } }
                    div { dt { "Packages" } dd { (one.chosen.packages.len()) ", " (bytes(one.chosen.size())) } }
                    div { dt { "To fetch" } dd { @if one.to_fetch == 0 { "nothing: all is here" } @else { (count(one.to_fetch, "package")) ", " (bytes(one.bytes_to_fetch)) } } }
                    div { dt { "Image" } dd { @match &one.image { Some(image) => { "there already: " (digest(image)) }, None => "to be built" } } }
                }
                @let others: Vec<_> = one.chosen.packages.iter().filter(|package| package.ecosystem != "deb").collect();
                @if !others.is_empty() { details {
                    summary { "Chosen (" (others.len()) " besides Debian’s)" }
                    ul.chosen { @for package in others { li { (package.name) " " span.version { (package.version) } " " span.by { (bytes(package.size)) } } } }
                } }
            }
            @if !plan.environments.is_empty() {
                p { "The same lock has " @for (place, other) in plan.environments.iter().enumerate().take(5) { @if place > 0 { ", " } a href=(reference_path(workspace, other)) { (other) } } "." }
            }
        }
    }
}

fn help() -> Markup {
    html! {
        section.panel {
            h2 { "What can be pasted" }
            ul {
                li { "Conda’s " code { "environment.yml" } }
                li { code { "requirements.txt" } ", " code { "pyproject.toml" } ", " code { "pixi.toml" } }
                li { "Azure ML environments, in JSON and YAML" }
                li { "a " code { "Dockerfile" } }
                li { "Provenv’s own YAML" }
            }
            p { "A server has neither your files nor your variables: what the text names beside itself must be a URL." }
        }
    }
}
