//! What all pages have: the head, the bar with where one may go, and the parts that several of them show.

use axum::response::Html;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::assets::ASSETS;
use super::form::TOKEN;
use super::session::Visitor;
use super::words::segment;

/// Which entry of the bar a page belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    None,
    Environments,
    New,
    Builds,
    Runs,
    Services,
    Audit,
    Members,
}

/// A page without its content.
pub(super) struct Frame<'a> {
    title: &'a str,
    visitor: Option<&'a Visitor>,
    section: Section,
    is_live: bool,
}

/// The mark: what the layers of an image are.
const MARK: &str = r##"<svg class="mark" viewBox="0 0 32 32" width="28" height="28" aria-hidden="true"><path d="M16 3 29 9.5 16 16 3 9.5Z"/><path d="m6.4 14.2-3.4 1.7 13 6.5 13-6.5-3.4-1.7L16 19Z"/><path d="m6.4 20.6-3.4 1.7 13 6.5 13-6.5-3.4-1.7-9.6 4.8Z"/></svg>"##;

impl<'a> Frame<'a> {
    pub fn new(title: &'a str, visitor: Option<&'a Visitor>, section: Section) -> Self {
        Self { title, visitor, section, is_live: false }
    }

    /// With the script for what changes while it is looked at.
    pub fn live(mut self) -> Self {
        self.is_live = true;
        self
    }

    /// The whole document.
    pub fn page(&self, content: &Markup) -> Html<String> {
        let document = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · Provenv" }
                    link rel="icon" href=(ASSETS.mark.path()) type="image/svg+xml";
                    link rel="stylesheet" href=(ASSETS.base.path());
                    link rel="stylesheet" href=(ASSETS.look.path());
                    @if self.is_live { script src=(ASSETS.live.path()) defer {} }
                }
                body {
                    a.skip href="#content" { "Skip to content" }
                    (self.bar())
                    main #content .container tabindex="-1" { (content) }
                    footer.foot.container {
                        span { "Provenv " (env!("CARGO_PKG_VERSION")) }
                        a href="/openapi.json" { "API" }
                    }
                }
            }
        };
        Html(document.into_string())
    }

    fn bar(&self) -> Markup {
        html! {
            header.bar {
                div.container {
                    a.brand href="/" { (PreEscaped(MARK)) span { "Provenv" } }
                    @if let Some(visitor) = self.visitor {
                        (self.account(visitor))
                        @if let Some(workspace) = &visitor.workspace { (self.sections(visitor, workspace)) }
                    }
                }
            }
        }
    }

    fn sections(&self, visitor: &Visitor, workspace: &str) -> Markup {
        let entry = |section: Section, path: &str, text: &str| {
            let is_here = (self.section == section).then_some("page");
            html! { a href={ "/w/" (segment(workspace)) "/" (path) } aria-current=[is_here] { (text) } }
        };
        html! {
            nav.sections aria-label="Workspace" {
                a.place href="/workspaces" title="All workspaces" { (workspace) }
                (entry(Section::Environments, "environments", "Environments"))
                (entry(Section::Builds, "builds", "Builds"))
                (entry(Section::Runs, "runs", "Runs"))
                (entry(Section::Services, "services", "Services"))
                (entry(Section::Audit, "audit", "Audit"))
                @if visitor.is_owner() { (entry(Section::Members, "members", "Members")) }
                @if visitor.may_change() { (entry(Section::New, "new", "New")) }
            }
        }
    }

    fn account(&self, visitor: &Visitor) -> Markup {
        html! {
            nav.account aria-label="Account" {
                a href="/workspaces" { "Workspaces" }
                a href="/tokens" { "Tokens" }
                // Where no workspace is named, the role is that on the server.
                @if visitor.workspace.is_none() && visitor.is_owner() { a href="/audit-log" { "Audit log" } }
                form method="post" action="/sign-out" {
                    (token(visitor))
                    button.link type="submit" title={ "Signed in as " (visitor.user) } { "Sign out " (visitor.user) }
                }
            }
        }
    }
}

/// What every form carries.
pub(super) fn token(visitor: &Visitor) -> Markup {
    html! { input type="hidden" name=(TOKEN) value=(visitor.form_token()); }
}

/// A button that asks for a change, and for nothing else.
pub(super) fn button(visitor: &Visitor, action: &str, class: &str, text: &str) -> Markup {
    html! {
        form.inline method="post" action=(action) {
            (token(visitor))
            button type="submit" class=(class) { (text) }
        }
    }
}

/// A word in a coloured frame; the colour only repeats what the word says.
pub(super) fn badge(class: &str, text: &str) -> Markup {
    html! { span class={ "badge " (class) } { (text) } }
}

/// Said where a list is empty.
pub(super) fn empty(text: &str, more: &Markup) -> Markup {
    html! { div.empty { p { (text) } (more) } }
}

/// The way to a page: where it stands among the others.
pub(super) fn trail(steps: &[(String, &str)], here: &str) -> Markup {
    html! {
        nav.trail aria-label="Breadcrumb" {
            ol {
                @for (path, text) in steps { li { a href=(path) { (text) } } }
                li aria-current="page" { (here) }
            }
        }
    }
}
