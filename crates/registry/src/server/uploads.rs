//! Uploads of blobs: whole, in chunks, or from another repository (specification, "Pushing blobs", "Mounting a blob").

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::BodyDataStream;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt as _;
use provenv_definition::Digest;
use provenv_store::{Blob, SharedPin, Staged};
use tokio::task::JoinHandle;

use super::answer::{CONTENT_DIGEST, UPLOAD, empty, set};
use super::failure::{Code, Failure};
use super::name::RepositoryName;
use super::range;
use super::sessions::{Session, Turn};
use super::{Query, Server, text};

/// How much is hashed and written at once. The next piece comes in meanwhile; no more is in memory.
const PIECE: usize = 256 * 1024;

/// How long nothing may come.
const PATIENCE: Duration = Duration::from_mins(5);

/// A write that goes on in another thread, and what is written to.
type Writing = JoinHandle<provenv_store::Result<Staged>>;

impl Server {
    /// Answers `POST` of uploads: mounts a blob, takes a whole one, or begins an upload.
    pub(super) async fn begin_upload(
        &self,
        repository: &RepositoryName,
        query: &Query,
        headers: &HeaderMap,
        body: &mut BodyDataStream,
    ) -> Result<Response, Failure> {
        if let Some(mount) = query.get("mount")
            && let Some(response) = self.mount(repository, mount, query.get("from")).await?
        {
            return Ok(response);
        }
        let at_once = query.get("mount").is_none() && query.get("digest").is_some();
        let session = self.sessions.begin(&self.store, repository, !at_once)?;
        if at_once {
            let done = self.end_upload(repository, Arc::clone(&session), query, headers, body).await;
            if done.is_err() {
                self.sessions.end(&session.id);
            }
            return done;
        }
        let mut response = empty(StatusCode::ACCEPTED);
        place(&mut response, repository, &session);
        Ok(response)
    }

    /// Answers `GET` of an upload: how far it is.
    pub(super) async fn upload_status(
        &self,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<Response, Failure> {
        let session = self.sessions.find(&self.store, repository, id).await?;
        let mut response = empty(StatusCode::NO_CONTENT);
        place(&mut response, repository, &session);
        Ok(response)
    }

    /// Answers `PATCH` of an upload: takes a chunk.
    pub(super) async fn add_to_upload(
        &self,
        repository: &RepositoryName,
        id: &str,
        headers: &HeaderMap,
        body: &mut BodyDataStream,
    ) -> Result<Response, Failure> {
        let session = self.sessions.find(&self.store, repository, id).await?;
        let mut turn = Arc::clone(&session).turn().await;
        self.take(repository, &mut turn, headers, body).await?;
        let mut response = empty(StatusCode::ACCEPTED);
        place(&mut response, repository, &session);
        Ok(response)
    }

    /// Answers `PUT` of an upload: takes the last chunk, if there is one, and makes it a blob.
    pub(super) async fn finish_upload(
        &self,
        repository: &RepositoryName,
        id: &str,
        query: &Query,
        headers: &HeaderMap,
        body: &mut BodyDataStream,
    ) -> Result<Response, Failure> {
        let session = self.sessions.find(&self.store, repository, id).await?;
        self.end_upload(repository, session, query, headers, body).await
    }

    /// Answers `DELETE` of an upload.
    pub(super) async fn cancel_upload(
        &self,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<Response, Failure> {
        let session = self.sessions.find(&self.store, repository, id).await?;
        self.sessions.end(id);
        // Whatever adds to it now is told to stop, and what it brought goes.
        session.turn().await.staged.take();
        Ok(empty(StatusCode::NO_CONTENT))
    }

    async fn end_upload(
        &self,
        repository: &RepositoryName,
        session: Arc<Session>,
        query: &Query,
        headers: &HeaderMap,
        body: &mut BodyDataStream,
    ) -> Result<Response, Failure> {
        let digest = query.get("digest").ok_or_else(|| {
            Failure::new(
                400,
                Code::DigestInvalid,
                "an upload ends with `?digest=` and the digest of the blob",
            )
        })?;
        let digest = super::route::parsed(digest)?;
        let mut turn = Arc::clone(&session).turn().await;
        self.take(repository, &mut turn, headers, body).await?;
        let staged = turn.staged.take().ok_or_else(over)?;
        // Whether it is what it should be or not, there is nothing to go on with.
        self.sessions.end(&session.id);
        let store = self.store.clone();
        let committed = tokio::task::spawn_blocking(move || {
            // From here to the entry in the index, nothing may be collected.
            let pin = store.pin()?;
            let blob = staged.commit_expecting(&digest, None)?;
            provenv_store::Result::Ok((pin, blob))
        });
        let (pin, blob): (SharedPin, Blob) = match committed.await? {
            Err(provenv_store::Error::Mismatch { expected, actual }) => {
                return Err(Failure::new(
                    400,
                    Code::DigestInvalid,
                    format!("the bytes are those of {actual}"),
                )
                .detail(serde_json::json!({ "digest": expected })));
            }
            committed => committed?,
        };
        self.index.add_blob(repository, &blob).await?;
        drop(pin);
        Ok(created(repository, &digest))
    }

    /// Takes the body of a request into an upload.
    async fn take(
        &self,
        repository: &RepositoryName,
        turn: &mut Turn,
        headers: &HeaderMap,
        body: &mut BodyDataStream,
    ) -> Result<(), Failure> {
        let session = Arc::clone(&turn.session);
        let before = session.taken();
        let length = text(headers, header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        let range = text(headers, header::CONTENT_RANGE);
        let expected = match range {
            // A `PUT` that only ends the upload may repeat a range of nothing.
            None => length,
            Some(_) if length == Some(0) => length,
            Some(range) => {
                let wrong = |message: String| {
                    let mut failure = Failure::new(416, Code::BlobUploadInvalid, message);
                    for (name, value) in status_headers(repository, &session) {
                        failure = failure.header(name, value);
                    }
                    failure
                };
                let (first, last) = range::chunk(range)
                    .ok_or_else(|| wrong(format!("`{range}` is not the range of a chunk: FIRST-LAST is")))?;
                if first != before {
                    return Err(wrong(format!("the next chunk begins at {before}, not at {first}")));
                }
                let announced = last - first + 1;
                if length.is_some_and(|length| length != announced) {
                    let message = format!("a range of {announced} bytes comes with another Content-Length");
                    return Err(Failure::new(400, Code::SizeInvalid, message));
                }
                Some(announced)
            }
        };
        let staged = turn.staged.take().ok_or_else(over)?;
        let (staged, outcome) = self.receive(turn, staged, body).await;
        let Some(staged) = staged else {
            // What was written is of no use any more.
            self.sessions.end(&session.id);
            return outcome;
        };
        let taken = staged.size() - before;
        *turn.staged = Some(staged);
        outcome?;
        if expected.is_some_and(|expected| expected != taken) {
            let message = format!("{taken} bytes came of {}", expected.unwrap_or(0));
            return Err(Failure::new(400, Code::SizeInvalid, message));
        }
        Ok(())
    }

    /// Writes what comes, piece by piece, until it ends, breaks off, or another request takes over. What was written whole
    /// stays, for the client to go on from.
    async fn receive(
        &self,
        turn: &mut Turn,
        staged: Staged,
        body: &mut BodyDataStream,
    ) -> (Option<Staged>, Result<(), Failure>) {
        let session = Arc::clone(&turn.session);
        let (mut writing, mut piece, mut held): (Option<Writing>, Vec<Bytes>, usize) = (None, Vec::new(), 0);
        let mut free = Some(staged);
        let outcome = loop {
            let next = tokio::select! {
                next = tokio::time::timeout(PATIENCE, body.next()) => next,
                () = turn.is_over() => break Err(over()),
            };
            let ended = match next {
                Ok(Some(Ok(bytes))) => {
                    held += bytes.len();
                    piece.push(bytes);
                    false
                }
                Ok(Some(Err(_))) => {
                    let message = "the connection broke before all had come";
                    break Err(Failure::new(400, Code::BlobUploadInvalid, message));
                }
                Ok(None) => true,
                Err(_) => {
                    let message = format!("nothing came for {} seconds", PATIENCE.as_secs());
                    break Err(Failure::new(408, Code::BlobUploadInvalid, message));
                }
            };
            if held < PIECE && !ended {
                continue;
            }
            if let Some(writing) = writing.take() {
                match settle(writing, &session).await {
                    Ok(staged) => free = Some(staged),
                    Err(failure) => return (None, Err(failure)),
                }
            }
            let Some(staged) = free.take() else { break Err(over()) };
            if held > 0 {
                writing = Some(write(staged, std::mem::take(&mut piece)));
                held = 0;
            } else {
                free = Some(staged);
            }
            if ended {
                break Ok(());
            }
        };
        if let Some(writing) = writing {
            match settle(writing, &session).await {
                Ok(staged) => free = Some(staged),
                Err(failure) => return (None, Err(failure)),
            }
        }
        (free, outcome)
    }

    /// Answers the wish for a blob of another repository; `None` where it is not there, and must be sent.
    async fn mount(
        &self,
        repository: &RepositoryName,
        digest: &str,
        from: Option<&str>,
    ) -> Result<Option<Response>, Failure> {
        // What names nothing is answered as what is not there: with an upload.
        let from = match from.map(RepositoryName::new) {
            Some(None) => return Ok(None),
            Some(from) => from,
            None => None,
        };
        let Some(digest) = super::name::digest(digest) else { return Ok(None) };
        let store = self.store.clone();
        let found = tokio::task::spawn_blocking(move || {
            let pin = store.pin()?;
            let size = store.size(&digest)?;
            provenv_store::Result::Ok(size.map(|size| (pin, Blob { digest, size })))
        });
        let Some((pin, blob)) = found.await?? else { return Ok(None) };
        let mounted = self.index.mount(repository, &blob, from.as_ref()).await?;
        drop(pin);
        Ok(mounted.then(|| created(repository, &digest)))
    }
}

/// Writes a piece in another thread: hashing and disks would keep others waiting.
fn write(mut staged: Staged, piece: Vec<Bytes>) -> Writing {
    tokio::task::spawn_blocking(move || {
        piece.iter().try_for_each(|bytes| staged.write_all(bytes))?;
        Ok(staged)
    })
}

async fn settle(writing: Writing, session: &Session) -> Result<Staged, Failure> {
    let staged = writing.await??;
    session.took(staged.size());
    Ok(staged)
}

fn over() -> Failure {
    Failure::new(404, Code::BlobUploadUnknown, "the upload has ended, or another request goes on with it")
}

/// The answer that a blob is in a repository now.
fn created(repository: &RepositoryName, digest: &Digest) -> Response {
    let mut response = empty(StatusCode::CREATED);
    set(&mut response, header::LOCATION, format!("/v2/{repository}/blobs/{digest}"));
    set(&mut response, CONTENT_DIGEST, digest.to_string());
    response
}

/// Says where an upload goes on, and how far it is.
fn place(response: &mut Response, repository: &RepositoryName, session: &Session) {
    for (name, value) in status_headers(repository, session) {
        set(response, name, value);
    }
}

fn status_headers(repository: &RepositoryName, session: &Session) -> [(header::HeaderName, String); 3] {
    // Of nothing too, a range has a last byte: clients know it from docker's registry.
    let last = session.taken().saturating_sub(1);
    [
        (header::LOCATION, format!("/v2/{repository}/blobs/uploads/{}", session.id)),
        (header::RANGE, format!("0-{last}")),
        (UPLOAD, session.id.clone()),
    ]
}
