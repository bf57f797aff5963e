//! The log of a build on a server, line by line as it is written. A connection that breaks is made again, and nothing is missed
//! or heard twice: each line has the offset at which the next begins.

use std::time::Duration;

use futures::StreamExt as _;
use reqwest::Method;

use super::{Remote, RemoteError, RemoteJob};
use crate::{Error, Result};

/// How often it is tried again to reach a server that was reached before, and how long is waited in between.
const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_secs(1);

/// An event, as it comes together.
#[derive(Default)]
struct Event {
    kind: String,
    id: Option<String>,
    data: String,
}

impl Remote {
    /// Follows a build to its end, and says each line of its log.
    pub async fn follow(&self, job: &RemoteJob, mut say: impl FnMut(&str)) -> Result<RemoteJob> {
        let mut at = "0".to_owned();
        let mut failures = 0;
        loop {
            let before = at.clone();
            match self.listen(job, &mut at, &mut say).await {
                Ok(Some(job)) => return Ok(job),
                // The server stops, and comes back.
                Ok(None) => {}
                Err(Error::Remote(error))
                    if matches!(*error, RemoteError::Connect { .. }) && failures < TRIES => {}
                Err(error) => return Err(error),
            }
            failures = if at == before { failures + 1 } else { 0 };
            if failures > TRIES {
                let what = "it ends before the build does".to_owned();
                return Err(RemoteError::Answer { url: self.url(), what }.into());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The log of a build, as far as it is written.
    pub async fn job_log(&self, id: &str) -> Result<Vec<u8>> {
        let job = self.job(id).await?;
        let mut text = Vec::new();
        loop {
            let request = self.asking(&["jobs", &job.id, "log"], &[("offset", &text.len().to_string())]);
            let part = self.send(request).await?.bytes().await.map_err(|error| self.broken(error))?;
            if part.is_empty() {
                return Ok(text);
            }
            text.extend_from_slice(&part);
        }
    }

    /// One connection: gives the job if it ended.
    async fn listen(
        &self,
        job: &RemoteJob,
        at: &mut String,
        say: &mut impl FnMut(&str),
    ) -> Result<Option<RemoteJob>> {
        let request = self.request(Method::GET, &["jobs", &job.id, "events"]).header("Last-Event-ID", &*at);
        let mut bytes = self.send(request).await?.bytes_stream();
        let mut rest = Vec::new();
        let mut event = Event::default();
        while let Some(part) = bytes.next().await {
            rest.extend_from_slice(&part.map_err(|error| self.broken(error))?);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                let line = line.trim_end_matches(['\n', '\r']);
                if !line.is_empty() {
                    take(&mut event, line);
                    continue;
                }
                let Event { kind, id, data } = std::mem::take(&mut event);
                match &*kind {
                    "line" => say(&data),
                    "job" => {
                        let ended = serde_json::from_str(&data);
                        return ended.map(Some).map_err(|error| {
                            RemoteError::Answer { url: self.url(), what: error.to_string() }.into()
                        });
                    }
                    _ => {}
                }
                if let Some(id) = id {
                    *at = id;
                }
            }
        }
        Ok(None)
    }
}

/// A field of an event ("Interpreting an event stream" of the HTML standard).
fn take(event: &mut Event, line: &str) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    let value = value.strip_prefix(' ').unwrap_or(value);
    match name {
        "event" => value.clone_into(&mut event.kind),
        "id" => event.id = Some(value.to_owned()),
        "data" => {
            if !event.data.is_empty() {
                event.data.push('\n');
            }
            event.data.push_str(value);
        }
        _ => {}
    }
}
