//! Scoring services: none are kept by a workspace yet, and the place where they will be says so.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Html;
use maud::html;

use super::Page;
use super::environments::version_path;
use super::layout::{Frame, Section, empty};
use super::refused::Result;
use super::session::{Visitor, is_secure};

pub(super) async fn list(
    State(page): State<Arc<Page>>,
    visitor: Visitor,
    Path(workspace): Path<String>,
    headers: HeaderMap,
) -> Result<Html<String>> {
    page.server.workspace(&workspace).await?;
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("HOST");
    // Engines speak TLS unless they are told not to.
    let plain = if is_secure(&page, &headers) { "" } else { "--tls-verify=false " };
    let inference = version_path(&workspace, "curated/inference", "@latest");
    let content = html! {
        div.page-head { h1 { "Services" } }
        (empty("This workspace keeps no services.", &html! {
            p { "This version of Provenv does not deploy scoring services: it has no record of any, here or elsewhere." }
        }))
        section.panel {
            h2 { "Serve an environment yourself" }
            p { "An image of this workspace runs wherever containers run. "
                a href=(inference) { "curated/inference" }
                " has the inference server that calls " code { "init()" } " and " code { "run()" } " of a script; so has whatever is made from it." }
            pre tabindex="0" aria-label="Commands that run an image" { code {
                "podman login " (plain) (host) "\n"
                "podman run " (plain) "--publish 5001:5001 --volume ./score:/score " (host) "/" (workspace) "/NAME:VERSION \\\n"
                "    azmlinfsrv --entry_script /score/score.py"
            } }
        }
    };
    Ok(Frame::new("Services", Some(&visitor), Section::Services).page(&content))
}
