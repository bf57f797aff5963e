//! What is on record on a server.

use std::io::Write;
use std::path::PathBuf;

use async_trait::async_trait;
use indexmap::IndexMap;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{PART, Remote, RemoteError, RemoteJob};
use crate::catalogue::{BuildStatus, RunStatus};
use crate::lifecycle::{Subject, must_be_meant, name_the_version, sound_label};
use crate::record::Record;
use crate::{
    Archived, BuildDetails, BuildStep, Change, DeleteOptions, Deleted, EnvironmentPage, Error, Find,
    HistoryOptions, ImageSummary, Label, Lineage, Result, RunDetails, Updated, Uses, VersionUpdate,
};

#[derive(Deserialize)]
struct Labels {
    labels: Vec<Label>,
}

#[derive(Deserialize)]
struct History {
    changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Images {
    images: Vec<ImageSummary>,
}

#[derive(Deserialize)]
struct Runs {
    runs: Vec<RemoteRun>,
    next: Option<String>,
}

/// A run, as servers know it: its folder is where it ran.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoteRun {
    /// Its identifier.
    pub id: String,
    /// The job's name.
    pub name: String,
    /// How far it is.
    pub status: RunStatus,
    /// The command's exit code.
    pub exit_code: Option<i64>,
    /// Why it failed, where that is not the command's doing.
    pub error: Option<String>,
    /// The environment, `name:version`.
    pub environment: String,
    /// The exact receipt.
    pub receipt: provenv_definition::Digest,
    /// The image it ran in.
    pub image: provenv_definition::Digest,
    /// What was executed and in what.
    pub job: Value,
    /// When it was submitted.
    pub started_at: jiff::Timestamp,
    /// When it ended.
    pub ended_at: Option<jiff::Timestamp>,
}

impl RemoteRun {
    /// The same as it is shown. Its files are in the folder for this workspace, where it ran on this machine.
    fn shown(self, remote: &Remote) -> RunDetails {
        let folder = remote.folder().unwrap_or_default().join("runs").join(&self.id);
        let Self { id, name, status, exit_code, error, environment, receipt, image, job, .. } = self;
        let outputs = crate::runs::files_below(&folder.join("outputs"), &folder);
        let (started_at, ended_at) = (self.started_at, self.ended_at);
        RunDetails {
            id,
            name,
            status,
            exit_code,
            error,
            environment,
            receipt,
            image,
            job,
            started_at,
            ended_at,
            folder,
            outputs,
        }
    }
}

impl RemoteJob {
    /// The same as a build in a folder is shown.
    fn shown(self, remote: &Remote) -> BuildDetails {
        let status = match &*self.status {
            "queued" => BuildStatus::Queued,
            "running" => BuildStatus::Running,
            "succeeded" => BuildStatus::Succeeded,
            "canceled" => BuildStatus::Canceled,
            _ => BuildStatus::Failed,
        };
        let log = remote.place(&["jobs", &self.id, "log"]).to_string();
        BuildDetails {
            step: BuildStep::Packages,
            status,
            error: self.error.map(|error| error.to_string()),
            platform: self.platform,
            lock: Some(self.lock),
            definition: None,
            image: self.image,
            environments: vec![format!("{}:{}", self.environment, self.version)],
            started_at: self.started_at.unwrap_or(self.created_at),
            ended_at: self.ended_at,
            log: PathBuf::from(log),
            created_by: Some(self.created_by),
            attempts: Some(self.attempts),
            id: self.id,
        }
    }
}

#[async_trait]
impl Record for Remote {
    async fn find(&self, find: &Find) -> Result<EnvironmentPage> {
        self.find(find).await
    }

    async fn update(&self, reference: &str, update: &VersionUpdate) -> Result<Updated> {
        let Subject { name, version } = Subject::parse(reference)?;
        let version = version.as_deref().unwrap_or("@latest");
        // In the order in which they were given, in which they are on record.
        #[derive(Serialize)]
        struct Body<'a> {
            description: Option<&'a str>,
            tags: IndexMap<&'a str, &'a str>,
            remove_tags: &'a [String],
        }
        let body = Body {
            description: update.description.as_deref(),
            tags: update.tags.iter().map(|(tag, value)| (&**tag, &**value)).collect(),
            remove_tags: &update.remove_tags,
        };
        let request = self.request(Method::PATCH, &["environments", &name, "versions", version]);
        self.json(request.json(&body)).await
    }

    async fn put_label(&self, reference: &str, label: &str) -> Result<Label> {
        let label = sound_label(label)?;
        let Subject { name, version } = Subject::parse(reference)?;
        let version = version.ok_or_else(|| name_the_version(reference, label))?;
        let request = self.request(Method::PUT, &["environments", &name, "labels", label]);
        self.json(request.json(&json!({ "version": version }))).await
    }

    async fn take_label(&self, name: &str, label: &str) -> Result<Label> {
        let label = sound_label(label)?;
        let Subject { name, .. } = Subject::parse(name)?;
        self.json(self.request(Method::DELETE, &["environments", &name, "labels", label])).await
    }

    async fn labels(&self, name: &str) -> Result<Vec<Label>> {
        let Subject { name, .. } = Subject::parse(name)?;
        Ok(self.json::<Labels>(self.asking(&["environments", &name, "labels"], &[])).await?.labels)
    }

    async fn set_archived(&self, reference: &str, archived: bool) -> Result<Archived> {
        let Subject { name, version } = Subject::parse(reference)?;
        let act = if archived { "archive" } else { "restore" };
        let mut path = vec!["environments", &*name];
        path.extend(version.as_deref().into_iter().flat_map(|version| ["versions", version]));
        path.push(act);
        self.json(self.request(Method::POST, &path)).await
    }

    async fn delete(&self, reference: &str, options: DeleteOptions) -> Result<Deleted> {
        let Subject { name, version } = Subject::parse(reference)?;
        let delete = async |dry_run: bool| {
            let mut path = vec!["environments", &*name];
            path.extend(version.as_deref().into_iter().flat_map(|version| ["versions", version]));
            let query = [("dry_run", if dry_run { "true" } else { "false" })];
            self.json::<Deleted>(self.request(Method::DELETE, &path).query(&query)).await
        };
        if !options.dry_run && !options.yes {
            let versions =
                delete(true).await?.versions.into_iter().map(|one| one.version).collect::<Vec<_>>();
            return Err(must_be_meant(&name, &versions));
        }
        delete(options.dry_run).await
    }

    async fn history(&self, reference: &str, options: HistoryOptions) -> Result<Vec<Change>> {
        let Subject { name, version } = Subject::parse(reference)?;
        let mut changes: Vec<Change> = Vec::new();
        let mut before = options.before;
        loop {
            let left = options.limit.saturating_sub(u32::try_from(changes.len()).unwrap_or(u32::MAX));
            let limit = left.min(PART);
            if limit == 0 {
                return Ok(changes);
            }
            let mut query = vec![("limit", limit.to_string())];
            query.extend(before.map(|before| ("before", before.to_string())));
            query.extend(version.clone().map(|version| ("version", version)));
            let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, &**value)).collect();
            let part: History = self.json(self.asking(&["environments", &name, "history"], &query)).await?;
            let is_all = part.changes.len() < limit as usize;
            before = part.changes.last().map(|change| change.number).or(before);
            changes.extend(part.changes);
            if is_all {
                return Ok(changes);
            }
        }
    }

    async fn uses(&self, reference: &str) -> Result<Uses> {
        let Subject { name, version } = Subject::parse(reference)?;
        let version = version.as_deref().unwrap_or("@latest");
        self.json(self.asking(&["environments", &name, "versions", version, "uses"], &[])).await
    }

    async fn lineage(&self, subject: &str) -> Result<Lineage> {
        self.json(self.asking(&["lineage"], &[("of", subject)])).await
    }

    async fn images(&self) -> Result<Vec<ImageSummary>> {
        Ok(self.json::<Images>(self.asking(&["images"], &[])).await?.images)
    }

    async fn builds(&self, limit: u32) -> Result<Vec<BuildDetails>> {
        Ok(self.jobs(limit).await?.into_iter().map(|job| job.shown(self)).collect())
    }

    async fn build_details(&self, id: &str) -> Result<BuildDetails> {
        Ok(self.job(id).await?.shown(self))
    }

    async fn build_log(&self, id: &str, follow: bool, to: &mut (dyn Write + Send)) -> Result<()> {
        let write = |source| Error::Io { what: "could not write the log".to_owned(), source };
        let job = self.job(id).await?;
        if !follow {
            return quiet(to.write_all(&self.job_log(&job.id).await?)).map_err(write);
        }
        let mut written = Ok(());
        self.follow(&job, |line| {
            if written.is_ok() {
                written = writeln!(to, "{line}").and_then(|()| to.flush());
            }
        })
        .await?;
        quiet(written).map_err(write)
    }

    async fn cancel_build(&self, id: &str) -> Result<BuildDetails> {
        let id = self.job(id).await?.id;
        let job: RemoteJob = self.json(self.request(Method::POST, &["jobs", &id, "cancel"])).await?;
        Ok(job.shown(self))
    }

    async fn retry_build(&self, id: &str) -> Result<BuildDetails> {
        let id = self.job(id).await?.id;
        let job: RemoteJob = self.json(self.request(Method::POST, &["jobs", &id, "retry"])).await?;
        Ok(job.shown(self))
    }

    async fn runs(&self, limit: u32) -> Result<Vec<RunDetails>> {
        let mut runs: Vec<RunDetails> = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let left = limit.saturating_sub(u32::try_from(runs.len()).unwrap_or(u32::MAX)).min(PART);
            if left == 0 {
                return Ok(runs);
            }
            let part = left.to_string();
            let mut query = vec![("limit", &*part)];
            query.extend(after.as_deref().map(|after| ("after", after)));
            let page: Runs = self.json(self.asking(&["runs"], &query)).await?;
            runs.extend(page.runs.into_iter().map(|run| run.shown(self)));
            if page.next.is_none() {
                return Ok(runs);
            }
            after = page.next;
        }
    }

    async fn run_details(&self, id: &str) -> Result<RunDetails> {
        if id == "latest" {
            let newest = Record::runs(self, 1).await?.pop();
            return newest.ok_or_else(|| Error::NoRun(id.to_owned()));
        }
        Ok(self.json::<RemoteRun>(self.asking(&["runs", id], &[])).await?.shown(self))
    }

    async fn run_log(&self, id: &str, to: &mut (dyn Write + Send)) -> Result<()> {
        let id = Record::run_details(self, id).await?.id;
        let mut offset = 0;
        loop {
            let request = self.asking(&["runs", &id, "log"], &[("offset", &offset.to_string())]);
            let part = self.send(request).await?.bytes().await.map_err(|error| self.broken(error))?;
            if part.is_empty() {
                return Ok(());
            }
            offset += part.len();
            let write = |source| Error::Io { what: format!("could not write the log of run {id}"), source };
            quiet(to.write_all(&part)).map_err(write)?;
        }
    }

    async fn close(self: Box<Self>) {}
}

/// A reader that went away is no error.
fn quiet(written: std::io::Result<()>) -> std::io::Result<()> {
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

impl std::fmt::Display for super::RemoteJobError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        self.causes.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

impl Remote {
    /// Says that a run began here.
    pub(crate) async fn begin_run(&self, run: &Value) -> Result<()> {
        self.send(self.request(Method::POST, &["runs"]).json(run)).await.map(drop)
    }

    /// Says that it goes on, or how it ended.
    pub(crate) async fn tell_run(&self, id: &str, now: &Value) -> Result<()> {
        self.send(self.request(Method::PATCH, &["runs", id]).json(now)).await.map(drop)
    }

    /// Sends a part of its log.
    pub(crate) async fn send_run_log(&self, id: &str, offset: u64, part: Vec<u8>) -> Result<()> {
        let request = self.request(Method::PUT, &["runs", id, "log"]).query(&[("offset", offset)]);
        let request = request.header("Content-Type", "application/octet-stream").body(part);
        self.send(request).await.map(drop)
    }

    /// What is said of an environment that is not on the server; any other error stays what it is.
    pub(crate) fn no_environment(error: Error, name: &str) -> Error {
        match error {
            Error::Remote(said) => match *said {
                RemoteError::Problem { code, nearest, .. } if code == "environment-not-found" => {
                    Error::NoEnvironment(name.to_owned(), nearest)
                }
                said => said.into(),
            },
            error => error,
        }
    }

    /// What kind of problem a server's answer is, if it is one.
    pub fn code(error: &Error) -> Option<&str> {
        match error {
            Error::Remote(error) => match &**error {
                RemoteError::Problem { code, .. } => Some(code),
                _ => None,
            },
            _ => None,
        }
    }
}
