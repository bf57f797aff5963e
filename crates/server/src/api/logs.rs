//! The log of a build, by offsets: whoever comes back goes on where they were, and misses nothing.

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::{Stream, StreamExt as _, stream};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::jobs::find_job;
use super::sent::{Asked, At, From, text};
use crate::access::Caller;
use crate::database::Job;
use crate::limits::Slot;
use crate::problem::{Problem, Result};
use crate::state::{Server, told_to_stop};

/// How many bytes of a log are given at once.
const PART: u64 = 256 * 1024;
/// How often a log is looked at that somebody follows.
const PACE: Duration = Duration::from_millis(200);
/// Where the part that was asked for ends.
const OFFSET: HeaderName = HeaderName::from_static("x-provenv-next-offset");

/// A part of the log, from an offset on. The header `X-Provenv-Next-Offset` says where the next part begins.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/jobs/{id}/log", tag = "builds",
    params(("workspace" = String, Path), ("id" = String, Path), From),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = String, content_type = "text/plain",
            headers(("X-Provenv-Next-Offset" = u64, description = "Where the next part begins"))),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn log(
    State(server): State<Arc<Server>>,
    At((workspace, id)): At<(String, String)>,
    Asked(from): Asked<From>,
) -> Result<Response> {
    let job = find_job(&server, &workspace, &id).await?;
    let offset = from.offset.0;
    let bytes = read(path(&server, &job), offset).await.map_err(|error| Problem::fault(&error))?;
    let next = HeaderValue::from(offset + bytes.len() as u64);
    Ok(([(OFFSET, next)], text(bytes)).into_response())
}

/// The log as it is written, as server-sent events: `line`s, whose identifiers are offsets, and at the end one `job` with the
/// job as it ended. With `Last-Event-ID`, or `offset`, it goes on from there.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/jobs/{id}/events", tag = "builds",
    params(("workspace" = String, Path), ("id" = String, Path), From,
        ("Last-Event-ID" = Option<String>, Header, description = "The identifier of the last event that was heard")),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = String, content_type = "text/event-stream"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn events(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At((workspace, id)): At<(String, String)>,
    Asked(from): Asked<From>,
    headers: HeaderMap,
) -> Result<Response> {
    let job = find_job(&server, &workspace, &id).await?;
    let offset = match headers.get("last-event-id") {
        Some(value) => {
            let offset = value.to_str().ok().and_then(|text| text.parse().ok());
            let offset = offset.filter(|offset| i64::try_from(*offset).is_ok());
            offset.ok_or_else(|| Problem::bad("offset-invalid", "`Last-Event-ID` is no offset of a log"))?
        }
        None => from.offset.0,
    };
    let slot = server.limits.follow(&caller.user)?;
    let following = Following { path: path(&server, &job), server, job, offset, is_over: false, _slot: slot };
    Ok(Sse::new(following.events()).keep_alive(KeepAlive::default()).into_response())
}

/// Somebody who reads a log as it is written.
struct Following {
    server: Arc<Server>,
    job: Job,
    path: PathBuf,
    offset: u64,
    is_over: bool,
    /// Held as long as somebody reads.
    _slot: Slot,
}

impl Following {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut following| async move {
            let events = following.next().await?;
            Some((stream::iter(events.into_iter().map(Ok)), following))
        })
        .flatten()
    }

    /// The next events; `None` after the last, and when the server stops: the client comes back and goes on.
    async fn next(&mut self) -> Option<Vec<Event>> {
        let mut stopping = self.server.stopping.clone();
        loop {
            if self.is_over || *stopping.borrow() {
                return None;
            }
            // In this order: what was written before the end is read.
            let job = self.server.database.job(&self.job.workspace, &self.job.id).await.ok()??;
            let bytes = read(self.path.clone(), self.offset).await.ok()?;
            let is_all = (bytes.len() as u64) < PART;
            let ended = job.status.is_end() && is_all;
            let mut events = Vec::new();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let end = match rest.iter().position(|byte| *byte == b'\n') {
                    Some(end) => end + 1,
                    // The rest of a line that is being written comes with it; one that fills a part is cut.
                    None if ended || rest.len() as u64 == PART => rest.len(),
                    None => break,
                };
                let (line, after) = rest.split_at(end);
                self.offset += line.len() as u64;
                rest = after;
                let text = String::from_utf8_lossy(line);
                let text = text.trim_end_matches(['\n', '\r']).replace('\r', "\u{fffd}");
                events.push(Event::default().event("line").id(self.offset.to_string()).data(text));
            }
            if ended {
                self.is_over = true;
                events.push(Event::default().event("job").json_data(&job).ok()?);
            }
            if !events.is_empty() {
                return Some(events);
            }
            tokio::select! {
                () = tokio::time::sleep(PACE) => {}
                () = told_to_stop(&mut stopping) => {}
            }
        }
    }
}

/// The file with the log of a job.
fn path(server: &Server, job: &Job) -> PathBuf {
    crate::worker::log_path(&server.folder(&job.workspace), &job.id)
}

/// A part of a file; nothing, where it is not there yet.
async fn read(path: PathBuf, offset: u64) -> io::Result<Vec<u8>> {
    let mut file = match fs_err::tokio::File::open(path).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    // No file system takes every number as a place in a file.
    if offset >= file.metadata().await?.len() {
        return Ok(bytes);
    }
    file.seek(io::SeekFrom::Start(offset)).await?;
    file.take(PART).read_to_end(&mut bytes).await?;
    Ok(bytes)
}
