//! Runs on this machine are on record on the server, so that it knows what is used and where: `env uses`, `env lineage`, `runs`.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::Duration;

use provenv_definition::Digest;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::catalogue::{RunRow, RunStatus};
use crate::error::{IoContext as _, with_causes};
use crate::{Error, Remote, RemoteRun, Result, RunDetails, Workspace};

/// How often a server hears that a run goes on, and after how long without it the run is lost.
const HEARTBEAT: Duration = Duration::from_secs(30);
const SILENCE: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);
/// How much of a log is sent at once, and kept of it at the most.
const PART: u64 = 1 << 20;
const MOST: u64 = 256 << 20;

/// A run that begins on another machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportedRun {
    /// Its identifier.
    pub id: String,
    /// The job's name.
    pub name: String,
    /// The environment, `name:version`.
    pub environment: String,
    /// The image it runs in.
    pub image: Digest,
    /// What is executed and in what.
    pub job: serde_json::Value,
    /// When it was submitted.
    pub started_at: jiff::Timestamp,
}

/// How far a run on another machine is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunNow {
    /// How far it is.
    pub status: RunStatus,
    /// The command's exit code.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// Why it failed, where that is not the command's doing.
    #[serde(default)]
    pub error: Option<String>,
}

/// Says to a server that a run goes on, until it is dropped.
pub(crate) struct Heartbeat(Option<tokio::task::JoinHandle<()>>);

impl Drop for Heartbeat {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// What happens on the machine that runs.
impl Workspace {
    /// Puts a run on record, on the server too where there is one: a run that nobody could know of does not begin.
    pub(crate) async fn begin_run(&self, run: &RunRow) -> Result<Heartbeat> {
        self.catalogue.begin_run(run).await?;
        let Some(remote) = &self.upstream else { return Ok(Heartbeat(None)) };
        let job: serde_json::Value = serde_json::from_str(&run.body).unwrap_or_default();
        let environment = format!("{}:{}", run.environment, run.version);
        let begun = json!({
            "id": run.id, "name": run.name, "environment": environment, "image": run.manifest, "job": job,
            "started_at": run.started_at,
        });
        if let Err(error) = remote.begin_run(&begun).await {
            self.catalogue.end_run(&run.id, RunStatus::Failed, None, Some(&with_causes(&error))).await?;
            return Err(error);
        }
        let (remote, id) = (remote.clone(), run.id.clone());
        Ok(Heartbeat(Some(tokio::spawn(async move {
            loop {
                tokio::time::sleep(HEARTBEAT).await;
                // The next one may be heard.
                let _ = remote.tell_run(&id, &json!({ "status": "running" })).await;
            }
        }))))
    }

    /// Puts on record how it ended. A server that cannot be reached does not make the run fail, which has ended.
    pub(crate) async fn end_run(
        &self,
        id: &str,
        status: RunStatus,
        exit_code: Option<i32>,
        error: Option<&str>,
    ) -> Result<()> {
        self.catalogue.end_run(id, status, exit_code, error).await?;
        let Some(remote) = &self.upstream else { return Ok(()) };
        let log = self.root.join("runs").join(id).join("log.txt");
        let told = async {
            send_log(remote, id, &log).await?;
            remote.tell_run(id, &json!({ "status": status, "exit_code": exit_code, "error": error })).await
        };
        if let Err(error) = told.await {
            let why = with_causes(&error);
            self.reporter.note(&format!("the server does not know how the run ended: {why}"));
        }
        Ok(())
    }
}

async fn send_log(remote: &Remote, id: &str, log: &Path) -> Result<()> {
    let Ok(mut file) = fs_err::File::open(log) else { return Ok(()) };
    let mut offset = 0;
    while offset < MOST {
        let mut part = Vec::new();
        let reading = || format!("could not read the log of run {id}");
        (&mut file).take(PART.min(MOST - offset)).read_to_end(&mut part).doing(reading)?;
        if part.is_empty() {
            break;
        }
        let length = part.len() as u64;
        remote.send_run_log(id, offset, part).await?;
        offset += length;
    }
    Ok(())
}

/// What happens on the server.
impl Workspace {
    /// Puts a run on record that begins on another machine; says whether it is new. The same once more changes nothing.
    pub async fn report_run(&self, run: &ReportedRun, who: &str) -> Result<bool> {
        let is_sound = !run.id.is_empty()
            && run.id.len() <= 100
            && run.id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !is_sound || run.name.is_empty() || run.name.len() > 256 {
            return Err(refused(
                "a run has an identifier of at most 100 small letters, digits and `-`, and a name",
            ));
        }
        let (name, version) = run
            .environment
            .rsplit_once(':')
            .ok_or_else(|| refused("a run says `NAME:VERSION` of its environment"))?;
        let row = self.version(name, version).await?;
        let row = RunRow {
            id: run.id.clone(),
            name: run.name.clone(),
            environment: row.name,
            version: row.version,
            receipt: row.receipt,
            manifest: run.image,
            body: run.job.to_string(),
            status: RunStatus::Running,
            exit_code: None,
            error: None,
            started_at: run.started_at,
            ended_at: None,
        };
        if self.catalogue.begin_reported_run(&row, who).await? {
            return Ok(true);
        }
        let there = self.catalogue.run(&row.id).await?;
        let is_same = there.is_some_and(|there| {
            (there.environment, there.version, there.manifest) == (row.environment, row.version, row.manifest)
        });
        if is_same && self.catalogue.reporter(&row.id).await?.is_some_and(|(by, _)| by == who) {
            return Ok(false);
        }
        Err(refused("there is another run with this identifier"))
    }

    /// Hears how far such a run is, from whoever reported it. It ends once: the same end may be told again, and nothing else may be
    /// told after it.
    pub async fn hear_of_run(&self, id: &str, now: &RunNow, who: &str) -> Result<()> {
        self.reported_by(id, who).await?;
        if now.status == RunStatus::Running {
            return if self.catalogue.hear_of_run(id).await? { Ok(()) } else { Err(ended(id)) };
        }
        if self.catalogue.end_run(id, now.status, now.exit_code, now.error.as_deref()).await? {
            return Ok(());
        }
        let there = self.catalogue.run(id).await?.ok_or_else(|| Error::NoRun(id.to_owned()))?;
        let is_same = (there.status, there.exit_code, there.error)
            == (now.status, now.exit_code.map(i64::from), now.error.clone());
        if is_same { Ok(()) } else { Err(ended(id)) }
    }

    /// Keeps a part of the log of such a run, which begins at `offset`.
    pub async fn keep_run_log(&self, id: &str, offset: u64, part: &[u8], who: &str) -> Result<()> {
        use std::io::Write as _;
        self.reported_by(id, who).await?;
        if offset.saturating_add(part.len() as u64) > MOST {
            return Err(refused("a log of a run is kept up to 256 MiB"));
        }
        if !self.catalogue.hear_of_run(id).await? {
            return Err(ended(id));
        }
        let folder = self.root.join("runs").join(id);
        let writing = || format!("could not keep the log of run {id}");
        fs_err::create_dir_all(&folder).doing(writing)?;
        let mut options = fs_err::OpenOptions::new();
        let mut file =
            options.create(true).truncate(false).write(true).open(folder.join("log.txt")).doing(writing)?;
        if file.metadata().doing(writing)?.len() < offset {
            return Err(refused("a part of the log before this one is missing"));
        }
        file.set_len(offset).doing(writing)?;
        file.seek(SeekFrom::Start(offset)).and_then(|_| file.write_all(part)).doing(writing)?;
        Ok(())
    }

    async fn reported_by(&self, id: &str, who: &str) -> Result<()> {
        match self.catalogue.reporter(id).await? {
            Some((by, _)) if by == who => Ok(()),
            Some((by, _)) => Err(refused(&format!("`{by}` reported this run, and says how it goes on"))),
            None => Err(Error::NoRun(id.to_owned())),
        }
    }

    /// Whether nobody was heard of a run on another machine for too long; `None` where it is none of another machine.
    pub(crate) async fn is_silent(&self, id: &str) -> Result<Option<bool>> {
        let reported = self.catalogue.reporter(id).await?;
        Ok(reported.map(|(_, heard)| jiff::Timestamp::now().duration_since(heard) > SILENCE))
    }

    /// Runs, newest first, those after the run `after`; and what to say for the next part, if there is one.
    pub async fn runs_page(
        &self,
        limit: u32,
        after: Option<&str>,
    ) -> Result<(Vec<RemoteRun>, Option<String>)> {
        let rows = self.catalogue.runs_after(limit.saturating_add(1), after).await?;
        let is_more = rows.len() > limit as usize;
        let mut runs = Vec::with_capacity(rows.len());
        for row in rows.into_iter().take(limit as usize) {
            runs.push(RemoteRun::from(self.details_of(row).await?));
        }
        let next = runs.last().filter(|_| is_more).map(|run| run.id.clone());
        Ok((runs, next))
    }

    /// A part of a run's log, from `offset` on.
    pub async fn run_log_part(&self, id: &str, offset: u64) -> Result<Vec<u8>> {
        let run = self.run_details(id).await?;
        let reading = || format!("could not read the log of run {id}");
        let mut file = match fs_err::File::open(run.folder.join("log.txt")) {
            // It comes at the end of the run.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            file => file.doing(reading)?,
        };
        let mut part = Vec::new();
        // No file system takes every number as a place in a file.
        if offset >= file.metadata().doing(reading)?.len() {
            return Ok(part);
        }
        file.seek(SeekFrom::Start(offset)).doing(reading)?;
        file.take(PART).read_to_end(&mut part).doing(reading)?;
        Ok(part)
    }
}

impl From<RunDetails> for RemoteRun {
    fn from(run: RunDetails) -> Self {
        let RunDetails { id, name, status, exit_code, error, environment, receipt, image, job, .. } = run;
        let (started_at, ended_at) = (run.started_at, run.ended_at);
        Self { id, name, status, exit_code, error, environment, receipt, image, job, started_at, ended_at }
    }
}

fn ended(id: &str) -> Error {
    Error::RunEnded(id.to_owned())
}

fn refused(message: &str) -> Error {
    Error::Arguments {
        message: message.to_owned(),
        hint: "the description of the API says what a run has".to_owned(),
    }
}
