//! Manifests: pulled, pushed, removed (specification, "Pulling manifests", "Pushing Manifests", "Deleting manifests").

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use provenv_definition::Digest;

use super::access::Who;
use super::answer::{CONTENT_DIGEST, SUBJECT, describe, empty, set};
use super::document::{self, LARGEST, invalid};
use super::failure::{Code, Failure};
use super::index::IndexError;
use super::name::{RepositoryName, TagOrDigest};
use super::{Server, text};

impl Server {
    /// Answers `GET` and `HEAD` of a manifest.
    pub(super) async fn manifest(
        &self,
        repository: &RepositoryName,
        wanted: &TagOrDigest,
        only_headers: bool,
    ) -> Result<Response, Failure> {
        let Some(entry) = self.index.manifest(repository, wanted).await? else {
            return Err(self.no_manifest(repository, wanted).await);
        };
        let bytes = match self.small(&entry.digest).await {
            Err(provenv_store::Error::Missing(_)) => return Err(self.no_manifest(repository, wanted).await),
            bytes => bytes?,
        };
        let mut response = Response::new(Body::empty());
        describe(&mut response, &entry.digest, bytes.len() as u64, &entry.media_type);
        if !only_headers {
            *response.body_mut() = Body::from(bytes);
        }
        Ok(response)
    }

    /// Answers `PUT` of a manifest.
    pub(super) async fn put_manifest(
        &self,
        repository: &RepositoryName,
        wanted: &TagOrDigest,
        who: &Who,
        headers: &HeaderMap,
        body: &mut BodyDataStream,
    ) -> Result<Response, Failure> {
        let bytes = all_of(body, headers).await?;
        let digest = Digest::of(&bytes);
        if let TagOrDigest::Digest(wanted) = wanted
            && *wanted != digest
        {
            return Err(Failure::new(400, Code::DigestInvalid, format!("the manifest's digest is {digest}"))
                .detail(serde_json::json!({ "digest": wanted })));
        }
        let mut read = document::read(&bytes, text(headers, header::CONTENT_TYPE))?;
        read.manifest.pushed_by = who.name().map(str::to_owned);
        let store = self.store.clone();
        // From here to the entry in the index, nothing may be collected.
        let kept = tokio::task::spawn_blocking(move || {
            let pin = store.pin()?;
            let mut missing = Vec::new();
            for part in &read.parts {
                match store.size(&part.digest)? {
                    None => missing.push(part.digest),
                    Some(size) if size != part.size => {
                        let (digest, said) = (part.digest, part.size);
                        return Err(invalid(format!("{digest} has {size} bytes, and not {said}"))
                            .detail(serde_json::json!({ "digest": digest })));
                    }
                    Some(_) => {}
                }
            }
            if !missing.is_empty() {
                return Err(incomplete(&missing));
            }
            store.put(&bytes)?;
            Ok((pin, read.manifest))
        });
        let (pin, manifest) = kept.await??;
        let tag = match wanted {
            TagOrDigest::Tag(tag) => Some(tag),
            TagOrDigest::Digest(_) => None,
        };
        self.index.add_manifest(repository, &manifest, tag).await.map_err(|error| match error {
            IndexError::Missing(digests) => incomplete(&digests),
            error => error.into(),
        })?;
        drop(pin);
        let mut response = empty(StatusCode::CREATED);
        set(&mut response, header::LOCATION, format!("/v2/{repository}/manifests/{digest}"));
        set(&mut response, CONTENT_DIGEST, digest.to_string());
        if let Some(subject) = &manifest.subject {
            set(&mut response, SUBJECT, subject.to_string());
        }
        Ok(response)
    }

    /// Answers `DELETE` of a tag or a manifest.
    pub(super) async fn remove_manifest(
        &self,
        repository: &RepositoryName,
        wanted: &TagOrDigest,
    ) -> Result<Response, Failure> {
        let removed = match wanted {
            TagOrDigest::Tag(tag) => self.index.remove_tag(repository, tag).await?,
            TagOrDigest::Digest(digest) => self.index.remove_manifest(repository, digest).await?,
        };
        if !removed {
            return Err(self.no_manifest(repository, wanted).await);
        }
        Ok(empty(StatusCode::ACCEPTED))
    }

    async fn no_manifest(&self, repository: &RepositoryName, wanted: &TagOrDigest) -> Failure {
        let failure =
            Failure::new(404, Code::ManifestUnknown, format!("`{repository}` has no manifest `{wanted}`"));
        match self.index.why_no_manifest(repository, wanted).await {
            Some(reason) => failure.because(reason),
            None => failure,
        }
    }
}

/// Parts of a manifest that are not there.
fn incomplete(digests: &[Digest]) -> Failure {
    let message = "the repository lacks what the manifest names";
    digests.iter().fold(Failure::new(404, Code::ManifestBlobUnknown, message), |failure, digest| {
        failure.detail(serde_json::json!({ "digest": digest }))
    })
}

/// The body, if it is not too large for a manifest.
async fn all_of(body: &mut BodyDataStream, headers: &HeaderMap) -> Result<Bytes, Failure> {
    let too_large = || {
        let message = format!("the manifest is larger than {LARGEST} bytes");
        Failure::new(413, Code::ManifestInvalid, message)
    };
    let length = text(headers, header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    if length.is_some_and(|length: usize| length > LARGEST) {
        return Err(too_large());
    }
    let mut bytes = BytesMut::new();
    while let Some(piece) = body.try_next().await.map_err(|_| invalid("it did not arrive whole"))? {
        if bytes.len() + piece.len() > LARGEST {
            return Err(too_large());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}
