//! What answers are made of.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use fs_err::File;
use futures::Stream;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use provenv_definition::Digest;
use serde::Serialize;
use tokio::task::JoinHandle;

/// Which bytes an answer is about.
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// What a manifest that was pushed is about: the registry has noted it.
pub(super) const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// By what a list of referrers was filtered.
pub(super) const FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");
/// The identifier of an upload, as docker calls it.
pub(super) const UPLOAD: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// An answer in JSON.
pub(super) fn json(value: &impl Serialize) -> Response {
    let mut response = Response::new(Body::from(serde_json::to_vec(value).unwrap_or_default()));
    set(&mut response, header::CONTENT_TYPE, "application/json");
    response
}

/// Sets a header whose value is made of what was checked before; one that cannot be sent is left out.
pub(super) fn set(response: &mut Response, name: HeaderName, value: impl AsRef<str>) {
    if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
        response.headers_mut().insert(name, value);
    }
}

/// Headers of an answer about these very bytes, which never change.
pub(super) fn describe(response: &mut Response, digest: &Digest, size: u64, media_type: &str) {
    set(response, CONTENT_DIGEST, digest.to_string());
    set(response, header::ETAG, etag(digest));
    set(response, header::CONTENT_LENGTH, size.to_string());
    set(response, header::CONTENT_TYPE, media_type);
}

/// What names the bytes to caches.
pub(super) fn etag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// How much is read at once.
const PIECE: u64 = 512 * 1024;
/// How far ahead of what is read the disk is told to be: by itself Linux reads 128 KiB ahead, which keeps no disk busy.
const AHEAD: u64 = 8 << 20;

/// The bytes of a file from one place on. The next piece is read while one is sent; no more is in memory.
pub(super) async fn bytes_of(file: File, from: u64, length: u64) -> std::io::Result<Body> {
    let mut reading = Reading { file: Arc::new(file), at: from, end: from + length, told: from, next: None };
    reading.next = reading.read();
    if length > PIECE {
        return Ok(Body::from_stream(pieces(reading)));
    }
    // In one go with what is said of them.
    let Some(whole) = reading.next else { return Ok(Body::empty()) };
    Ok(Body::from(whole.await.map_err(std::io::Error::other)??))
}

struct Reading {
    file: Arc<File>,
    at: u64,
    end: u64,
    /// Up to where the disk was told.
    told: u64,
    next: Option<JoinHandle<std::io::Result<Bytes>>>,
}

impl Reading {
    /// Begins to read the next piece, if there is one.
    fn read(&mut self) -> Option<JoinHandle<std::io::Result<Bytes>>> {
        let (file, at, length) = (Arc::clone(&self.file), self.at, PIECE.min(self.end - self.at));
        self.at += length;
        let told = self.told.max(self.at);
        self.told = self.end.min(self.at + AHEAD);
        let wanted = self.told.saturating_sub(told);
        (length > 0).then(|| {
            tokio::task::spawn_blocking(move || {
                if wanted > 0 {
                    // A hint: where it is not taken, reading is slower.
                    let _ = will_need(&file, told, wanted);
                }
                let mut bytes = vec![0; usize::try_from(length).map_err(std::io::Error::other)?];
                file.file().read_exact_at(&mut bytes, at)?;
                Ok(Bytes::from(bytes))
            })
        })
    }
}

fn will_need(file: &File, from: u64, length: u64) -> nix::Result<()> {
    let offset = |bytes: u64| i64::try_from(bytes).map_err(|_| nix::Error::EOVERFLOW);
    let advice = PosixFadviseAdvice::POSIX_FADV_WILLNEED;
    posix_fadvise(file.file(), offset(from)?, offset(length)?, advice)
}

fn pieces(reading: Reading) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    futures::stream::try_unfold(reading, |mut reading| async move {
        let Some(next) = reading.next.take() else { return Ok(None) };
        let bytes = next.await.map_err(std::io::Error::other)??;
        reading.next = reading.read();
        Ok(Some((bytes, reading)))
    })
}
