//! Lists: tags, referrers, repositories (specification, "Content Discovery").

use axum::http::header;
use axum::response::Response;
use provenv_definition::Digest;
use serde_json::json;
use serde_json::value::RawValue;

use super::answer::{FILTERS, json, set};
use super::document::{INDEX, LARGEST};
use super::failure::{Code, Failure};
use super::index::Page;
use super::name::RepositoryName;
use super::{Query, Server};

/// The longest list where none is asked for.
const MOST: usize = 10_000;

impl Server {
    /// Answers `GET` of a repository's tags.
    pub(super) async fn tags(&self, repository: &RepositoryName, query: &Query) -> Result<Response, Failure> {
        let (page, limit) = page(query)?;
        let Some(tags) = self.index.tags(repository, &page).await? else {
            return Err(Failure::new(
                404,
                Code::NameUnknown,
                format!("there is no repository `{repository}`"),
            ));
        };
        let mut tags: Vec<String> = tags.iter().map(ToString::to_string).collect();
        let next = more(&mut tags, limit);
        let mut response = json(&json!({ "name": repository.as_str(), "tags": tags }));
        link(&mut response, &format!("/v2/{repository}/tags/list"), limit, next);
        Ok(response)
    }

    /// Answers `GET` of the catalogue, which is no part of the specification, and which many clients know.
    pub(super) async fn catalog(&self, query: &Query) -> Result<Response, Failure> {
        let (page, limit) = page(query)?;
        let names = self.index.repositories(&page).await?;
        let mut names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let next = more(&mut names, limit);
        let mut response = json(&json!({ "repositories": names }));
        link(&mut response, "/v2/_catalog", limit, next);
        Ok(response)
    }

    /// Answers `GET` of what refers to a manifest: an index, as large as a manifest may be, and then the next one.
    pub(super) async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        query: &Query,
    ) -> Result<Response, Failure> {
        let kind = query.get("artifactType");
        let after = query.get("last");
        let (mut listed, mut bytes, mut next): (Vec<Box<RawValue>>, usize, Option<String>) =
            (Vec::new(), 0, None);
        let mut last: Option<String> = None;
        for text in self.index.referrers(repository, subject).await? {
            let unread = |error: serde_json::Error| Failure::fault(&error);
            let descriptor: serde_json::Value = serde_json::from_str(&text).map_err(unread)?;
            let digest = descriptor["digest"].as_str().unwrap_or_default();
            let is_wanted = kind.is_none_or(|kind| descriptor["artifactType"] == kind)
                && after.is_none_or(|after| digest > after);
            if !is_wanted {
                continue;
            }
            bytes += text.len() + 1;
            if bytes > LARGEST - 1024 && !listed.is_empty() {
                next = last;
                break;
            }
            last = Some(digest.to_owned());
            listed.push(RawValue::from_string(text).map_err(unread)?);
        }
        let index = Index { schema_version: 2, media_type: INDEX, manifests: listed };
        let mut response = json(&index);
        set(&mut response, header::CONTENT_TYPE, INDEX);
        let mut path = format!("/v2/{repository}/referrers/{subject}");
        if let Some(kind) = kind {
            set(&mut response, FILTERS, "artifactType");
            path = format!("{path}?artifactType={}", escaped(kind));
        }
        if let Some(next) = next {
            let joint = if path.contains('?') { '&' } else { '?' };
            set(&mut response, header::LINK, format!("<{path}{joint}last={next}>; rel=\"next\""));
        }
        Ok(response)
    }
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    media_type: &'static str,
    manifests: Vec<Box<RawValue>>,
}

/// The page that is asked for, one entry longer, by which one knows whether there are more; and its length.
fn page(query: &Query) -> Result<(Page, usize), Failure> {
    let limit = match query.get("n") {
        None => MOST,
        Some(text) => {
            text.parse::<u32>().map(|number| usize::try_from(number).unwrap_or(MOST).min(MOST)).map_err(
                |_| Failure::new(400, Code::Unsupported, format!("`{text}` is not a number of entries")),
            )?
        }
    };
    let after = query.get("last").filter(|last| !last.is_empty()).map(str::to_owned);
    Ok((Page { after, limit: limit + 1 }, limit))
}

/// Takes away what is not on the page; gives back its last entry if there was any.
fn more(entries: &mut Vec<String>, limit: usize) -> Option<String> {
    let is_more = entries.len() > limit;
    entries.truncate(limit);
    entries.last().filter(|_| is_more).cloned()
}

fn link(response: &mut Response, path: &str, limit: usize, next: Option<String>) {
    if let Some(last) = next {
        set(response, header::LINK, format!("<{path}?n={limit}&last={}>; rel=\"next\"", escaped(&last)));
    }
}

fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
