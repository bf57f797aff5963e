//! Blobs: asked for, pulled, removed (specification, "Pulling blobs", "Deleting Blobs").

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use provenv_definition::Digest;

use super::answer::{bytes_of, describe, empty, etag, set};
use super::failure::{Code, Failure};
use super::name::RepositoryName;
use super::range::{self, Asked};
use super::{Server, text};

/// How caches may keep what a digest names.
const FOR_EVER: &str = "private, max-age=31536000, immutable";

impl Server {
    /// Answers `GET` and `HEAD` of a blob.
    pub(super) async fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        headers: &HeaderMap,
        only_headers: bool,
    ) -> Result<Response, Failure> {
        let unknown = || unknown(repository, digest);
        if !self.index.has_blob(repository, digest).await? {
            return Err(unknown());
        }
        let (store, wanted) = (self.store.clone(), *digest);
        let opened = tokio::task::spawn_blocking(move || {
            let file = store.open_blob(&wanted)?;
            let size = file.metadata()?.len();
            provenv_store::Result::Ok((file, size))
        });
        let (file, size) = match opened.await? {
            Err(provenv_store::Error::Missing(_)) => return Err(unknown()),
            opened => opened?,
        };
        let mut response = Response::new(Body::empty());
        describe(&mut response, digest, size, "application/octet-stream");
        set(&mut response, header::ACCEPT_RANGES, "bytes");
        set(&mut response, header::CACHE_CONTROL, FOR_EVER);
        let tag = etag(digest);
        if text(headers, header::IF_NONE_MATCH).is_some_and(|known| known.contains(&tag)) {
            response.headers_mut().remove(header::CONTENT_LENGTH);
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
        if only_headers {
            return Ok(response);
        }
        // A part of something else than these bytes is of no use.
        let same = text(headers, header::IF_RANGE).is_none_or(|known| known == tag);
        let (from, length) = match range::asked(text(headers, header::RANGE).filter(|_| same), size) {
            Asked::All => (0, size),
            Asked::Part(from, to) => {
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                set(&mut response, header::CONTENT_RANGE, format!("bytes {from}-{to}/{size}"));
                set(&mut response, header::CONTENT_LENGTH, (to - from + 1).to_string());
                (from, to - from + 1)
            }
            Asked::Nothing => {
                let message = format!("the blob has {size} bytes, and none of these");
                return Err(Failure::new(416, Code::SizeInvalid, message)
                    .header(header::CONTENT_RANGE, format!("bytes */{size}")));
            }
        };
        *response.body_mut() = bytes_of(file, from, length).await.map_err(|error| Failure::fault(&error))?;
        Ok(response)
    }

    /// Answers `DELETE` of a blob. Its bytes go when the store is collected, if nothing else needs them.
    pub(super) async fn remove_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Response, Failure> {
        if !self.index.remove_blob(repository, digest).await? {
            return Err(unknown(repository, digest));
        }
        Ok(empty(StatusCode::ACCEPTED))
    }
}

fn unknown(repository: &RepositoryName, digest: &Digest) -> Failure {
    Failure::new(404, Code::BlobUnknown, format!("`{repository}` has no blob {digest}"))
        .detail(serde_json::json!({ "digest": digest }))
}
