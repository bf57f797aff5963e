//! Documents: things at a URL that change, such as an index's pages, kept with their validators.

use std::path::PathBuf;

use provenv_definition::{Digest, SafeUrl};
use provenv_store::Store;
use reqwest::header::{ACCEPT, CACHE_CONTROL, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::fetcher::Encoding;
use crate::transfer::{Expected, Transfer};
use crate::{Error, Fetcher, Result};

/// The kind of the records that keep documents; each names its blob, which garbage collection must know of.
const KIND: &str = "document";

/// What a URL holds, as of now or, offline, as of the last time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The bytes, in the store.
    pub blob: Digest,
    /// How many bytes.
    pub size: u64,
    /// Where they are.
    pub path: PathBuf,
    /// Where they came from, after redirects: links in it are relative to this. Offline it is what was asked for.
    pub url: SafeUrl,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<String>,
}

/// What is kept of a document. It holds no URL: the key is a digest of the one asked for, and where a redirect leads to may
/// be a secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    blob: Digest,
    size: u64,
    content_type: Option<String>,
    etag: Option<String>,
    last_modified: Option<String>,
}

impl Kept {
    fn document(self, store: &Store, url: SafeUrl) -> Document {
        let path = store.path(&self.blob);
        let Self { blob, size, content_type, etag, last_modified } = self;
        Document { blob, size, path, url, content_type, etag, last_modified }
    }
}

impl Fetcher {
    /// What `url` holds now. A copy is kept; where the server says that it is still good, nothing is transferred.
    /// Offline, the copy is taken without asking.
    pub async fn document(&self, url: &Url) -> Result<Document> {
        self.document_as(url, None).await
    }

    /// Like [`Fetcher::document`], asking for these media types (the value of `Accept`). A copy is kept for each.
    pub async fn document_as(&self, url: &Url, accept: Option<&str>) -> Result<Document> {
        let expected = Expected { digest: None, size: None, limit: self.options().document_limit };
        let safe = SafeUrl::new(url.clone());
        if url.scheme() == "file" {
            let blob = self.copy(url, expected, None).await?;
            let path = self.store().path(&blob.digest);
            return Ok(Document {
                blob: blob.digest,
                size: blob.size,
                path,
                url: safe,
                content_type: None,
                etag: None,
                last_modified: None,
            });
        }
        self.trust(url);
        let key = key(url, accept);
        if self.options().offline {
            let Some(kept) = self.kept(&key)? else { return Err(Error::Offline(safe.into())) };
            return Ok(kept.document(self.store(), safe));
        }
        let _lease = self.store().lock_async(KIND, &key).await?;
        let kept = self.kept(&key)?;
        let headers = request_headers(accept, kept.as_ref());
        let transfer = Transfer::new(self, url, expected, Encoding::Compressed, None).with_headers(headers);
        let outcome = transfer.run().await?;
        let from = SafeUrl::new(outcome.url);
        let kept = match (outcome.blob, kept) {
            (None, Some(kept)) => return Ok(kept.document(self.store(), from)),
            // A 304 to a request without validators is the server's mistake.
            (None, None) => return Err(Error::Status { url: safe.into(), status: 304 }),
            (Some(blob), _) => Kept {
                blob: blob.digest,
                size: blob.size,
                content_type: outcome.content_type,
                etag: outcome.etag,
                last_modified: outcome.last_modified,
            },
        };
        self.store().set_record(KIND, &key, &kept)?;
        Ok(kept.document(self.store(), from))
    }

    /// The copy, if it is there and as long as it should be.
    fn kept(&self, key: &str) -> Result<Option<Kept>> {
        let Some(kept) = self.store().record::<Kept>(KIND, key)? else { return Ok(None) };
        let there = self.store().size(&kept.blob)? == Some(kept.size);
        Ok(there.then_some(kept))
    }
}

/// A URL without its credentials, with its query and the media types asked for.
fn key(url: &Url, accept: Option<&str>) -> String {
    let mut bare = url.clone();
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    bare.set_fragment(None);
    Digest::of(format!("{}\n{bare}", accept.unwrap_or_default()).as_bytes()).hex()
}

fn request_headers(accept: Option<&str>, kept: Option<&Kept>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut insert = |name, text: Option<&str>| {
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.insert(name, value);
        }
    };
    insert(ACCEPT, accept);
    // A cache on the way must ask too: what it thinks fresh may be older than what the last answer was.
    insert(CACHE_CONTROL, Some("max-age=0"));
    insert(IF_NONE_MATCH, kept.and_then(|kept| kept.etag.as_deref()));
    insert(IF_MODIFIED_SINCE, kept.and_then(|kept| kept.last_modified.as_deref()));
    headers
}
