//! Workers: they take jobs from the queue, and build each in a process of its own, which can crash, be killed and be limited
//! without the server. Whoever stops sending heartbeats has lost the job, and another takes it.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use provenv_definition::Digest;
use provenv_workspace::HostCredentials;
use serde::Deserialize;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tracing::{Instrument as _, Span};

use crate::build_variables::is_for_builds;
use crate::database::{Claimed, JobError, JobStatus, Result, Return};
use crate::secrets::variable;
use crate::state::{Server, told_to_stop};
use crate::trace;

/// How often a worker says that it lives, and hears whether the job is still wanted.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How often the queue is looked at when nobody rings.
const PACE: Duration = Duration::from_secs(1);
/// How long the workspaces that share an environment may take to get its image: less than a lease lasts.
const LENDING: Duration = Duration::from_secs(8);
/// How long a build may take to stop before it is killed.
const GRACE: Duration = Duration::from_secs(6);
/// How often a job may fail for a reason that may pass, before it is given up.
const MOST_FAILURES: i64 = 5;
/// How often its process may be killed: what runs out of memory does so again, and takes from others what they have.
const MOST_KILLS: i64 = 2;
/// How often its workers may not be heard of again: they may have died of it.
const MOST_LOSSES: i64 = 10;
/// How long a worker tries to say how a job ended, while the database is away. Then the job is another's to take.
const SAYING: Duration = Duration::from_mins(2);
/// The most of what a build says as its result.
const MOST_SAID: u64 = 1024 * 1024;

/// What a build says as its result.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Said {
    /// The image.
    Image(Digest),
    /// Why there is none.
    Error(JobError),
}

/// How a build ended.
enum Ended {
    /// By itself.
    Exited(ExitStatus, String),
    /// It was not wanted any more.
    Canceled,
    /// The server stops.
    Stopped,
    /// Another worker has the job.
    Lost,
}

/// The file with the log of a job.
pub(crate) fn log_path(workspace: &Path, id: &str) -> PathBuf {
    workspace.join("jobs").join(format!("{id}.log"))
}

/// Works until the server stops.
pub(crate) async fn work(server: Arc<Server>, name: String) {
    let mut stopping = server.stopping.clone();
    while !*stopping.borrow() {
        match server.database.claim(&name).await {
            Ok(Some(claimed)) => {
                let traced = trace::job(&claimed);
                if let Err(error) = job(&server, &claimed).instrument(traced).await {
                    tracing::error!(job = claimed.job.id, %error, "a job could not be recorded");
                }
                continue;
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the queue could not be read"),
        }
        tokio::select! {
            () = server.queued.notified() => {}
            () = tokio::time::sleep(PACE) => {}
            () = told_to_stop(&mut stopping) => {}
        }
    }
}

async fn job(server: &Server, claimed: &Claimed) -> Result<()> {
    let job = &claimed.job;
    if claimed.losses >= MOST_LOSSES {
        let message = format!("{} workers took it, and none of them was heard of again", claimed.losses);
        let hint = "its workers may have run out of memory: give them more, and ask for the build again";
        let error = JobError { message, hint: Some(hint.to_owned()), ..JobError::default() };
        return end(server, claimed, JobStatus::Failed, None, Some(&error)).await;
    }
    tracing::info!(
        job = job.id,
        attempt = job.attempts,
        name = job.environment,
        version = job.version,
        "a build begins"
    );
    let ended = match build(server, claimed).await {
        Ok(ended) => ended,
        Err(error) => {
            // Its folder, the database, a process: all of them may be there again.
            let error = JobError {
                message: format!("the build could not be begun: {error}"),
                transient: true,
                ..JobError::default()
            };
            return fail(server, claimed, error).await;
        }
    };
    match ended {
        Ended::Lost => {
            tracing::warn!(job = job.id, "another worker has the job");
            Ok(())
        }
        Ended::Stopped => give_back(server, claimed, Duration::ZERO, Return::Stopped).await,
        Ended::Canceled => end(server, claimed, JobStatus::Canceled, None, None).await,
        Ended::Exited(status, said) => match serde_json::from_str(&said) {
            Ok(Said::Image(image)) if status.success() => {
                tracing::info!(job = job.id, %image, "a build ended well");
                // Before anybody hears of the end: whoever has it shared finds it there then. It takes no longer than the job is
                // this worker's; who needs the image and has it not takes it then.
                let lending = server.lend_image(&job.workspace, &job.environment, &job.lock);
                match tokio::time::timeout(LENDING, lending).await {
                    Ok(Ok(())) => {}
                    Ok(Err(problem)) => {
                        problem.log();
                        tracing::warn!(job = job.id, why = problem.detail, "the image could not be lent");
                    }
                    Err(_) => tracing::warn!(job = job.id, "the image could not be lent in time"),
                }
                end(server, claimed, JobStatus::Succeeded, Some(image), None).await
            }
            Ok(Said::Error(error)) => fail(server, claimed, error).await,
            _ if status.signal() == Some(Signal::SIGKILL as i32) => killed(server, claimed).await,
            // A crash: another time it may go well.
            _ => {
                let message = format!("the process of the build ended without a result ({status})");
                fail(server, claimed, JobError { message, transient: true, ..JobError::default() }).await
            }
        },
    }
}

/// A failure that may pass is tried again after a while, each time a longer one.
async fn fail(server: &Server, claimed: &Claimed, error: JobError) -> Result<()> {
    let job = &claimed.job;
    if error.transient && claimed.failures + 1 < MOST_FAILURES {
        let wait = Duration::from_secs(4 << claimed.failures.clamp(0, 6));
        let line = format!("attempt {} failed, the next begins in {} s", job.attempts, wait.as_secs());
        if let Err(error) = write_line(server, claimed, &line) {
            tracing::warn!(job = job.id, %error, "the log could not be written");
        }
        return give_back(server, claimed, wait, Return::Failed).await;
    }
    tracing::info!(job = job.id, error = error.message, "a build failed");
    end(server, claimed, JobStatus::Failed, None, Some(&error)).await
}

/// Somebody killed the process of a build: most often the kernel, where memory ran out.
async fn killed(server: &Server, claimed: &Claimed) -> Result<()> {
    if claimed.kills + 1 < MOST_KILLS {
        let wait = Duration::from_secs(5);
        let line =
            format!("attempt {} was killed, the next begins in {} s", claimed.job.attempts, wait.as_secs());
        if let Err(error) = write_line(server, claimed, &line) {
            tracing::warn!(job = claimed.job.id, %error, "the log could not be written");
        }
        return give_back(server, claimed, wait, Return::Killed).await;
    }
    let error = JobError {
        message: "the process of the build was killed each time, as where memory runs out".to_owned(),
        hint: Some("give the worker more memory, or run fewer builds on it at once (--workers)".to_owned()),
        ..JobError::default()
    };
    fail(server, claimed, error).await
}

/// Says how a job ended, however long the database is away for.
async fn end(
    server: &Server,
    claimed: &Claimed,
    status: JobStatus,
    image: Option<Digest>,
    error: Option<&JobError>,
) -> Result<()> {
    trace::job_ended(status.as_str(), error.map(|error| error.message.as_str()));
    patiently(|| server.database.end_job(claimed, status, image, error)).await?;
    Ok(())
}

async fn give_back(server: &Server, claimed: &Claimed, wait: Duration, why: Return) -> Result<()> {
    trace::job_ended("queued", None);
    patiently(|| server.database.give_back(claimed, wait, why)).await
}

/// Tries again while the database does not take it.
async fn patiently<T, F: Future<Output = Result<T>>>(mut act: impl FnMut() -> F) -> Result<T> {
    let begun = Instant::now();
    loop {
        match act().await {
            Err(error) if begun.elapsed() < SAYING => {
                tracing::warn!(%error, "the database does not take it, and is asked again");
                tokio::time::sleep(PACE).await;
            }
            done => return done,
        }
    }
}

/// Builds in another process, and watches over it.
async fn build(server: &Server, claimed: &Claimed) -> std::io::Result<Ended> {
    let job = &claimed.job;
    let folder = server.folder(&job.workspace);
    let worker = job.worker.as_deref().unwrap_or_default();
    let (name, version, platform) = (&job.environment, &job.version, job.platform);
    let line = format!("attempt {} by {worker}: {name}:{version} for {platform}", job.attempts);
    write_line(server, claimed, &line)?;
    let log = open_log(&folder, &job.id)?;
    let mut command = Command::new(std::env::current_exe()?);
    let opened =
        server.workspace(&job.workspace).await.map_err(|problem| std::io::Error::other(problem.detail))?;
    // Those of the workspace, and none of the server's own, which whoever registers could have sent to a host of theirs.
    let secrets =
        server.secrets.open(&server.database, &job.workspace).await.map_err(std::io::Error::other)?;
    command.env_clear();
    command.envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_for_builds)));
    command.envs(opened.workspace.catalogue_variables());
    command.env(HostCredentials::VARIABLE, variable(&secrets));
    if let Some(trace) = &claimed.traceparent {
        command.env("TRACEPARENT", trace);
    }
    // What it does is part of what this worker does, and goes where that goes.
    command.envs(provenv_telemetry::variables(&Span::current()));
    let mut child = command
        .arg("--workspace")
        .arg(&folder)
        .args(["--color", "never", "__worker", &job.environment, &job.version])
        .args(["--platform", job.platform.as_str(), "--parent", &std::process::id().to_string()])
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // Straight into the file: nothing is lost where the server is.
        .stderr(Stdio::from(log.into_parts().0))
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let mut stdout = child.stdout.take();
    let hearing = async move {
        let mut said = String::new();
        if let Some(stdout) = &mut stdout {
            // What is no text is no result either.
            let _ = stdout.take(MOST_SAID).read_to_string(&mut said).await;
        }
        said
    };
    tokio::pin!(hearing);
    let mut said = None;
    let mut stopping = server.stopping.clone();
    let mut beat = tokio::time::interval(HEARTBEAT);
    let mut until = None;
    loop {
        tokio::select! {
            heard = &mut hearing, if said.is_none() => said = Some(heard),
            status = child.wait(), if said.is_some() => {
                return Ok(Ended::Exited(status?, said.unwrap_or_default()));
            }
            () = told_to_stop(&mut stopping), if until.is_none() => {
                until = Some(tokio::time::Instant::now() + server.times.patience);
            }
            () = tokio::time::sleep_until(until.unwrap_or_else(tokio::time::Instant::now)), if until.is_some() => {
                stop(&mut child).await?;
                return Ok(Ended::Stopped);
            }
            _ = beat.tick() => match server.database.heartbeat(claimed).await {
                Ok(Some(false)) => {}
                Ok(Some(true)) => {
                    stop(&mut child).await?;
                    write_line(server, claimed, "canceled")?;
                    return Ok(Ended::Canceled);
                }
                Ok(None) => {
                    stop(&mut child).await?;
                    return Ok(Ended::Lost);
                }
                // The lease holds for several beats.
                Err(error) => tracing::warn!(job = job.id, %error, "a heartbeat failed"),
            },
        }
    }
}

/// Asks a build to stop, and kills it if it does not.
async fn stop(child: &mut Child) -> std::io::Result<()> {
    if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) {
        // It may be gone already.
        let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
    }
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        child.kill().await?;
    }
    Ok(())
}

fn open_log(folder: &Path, id: &str) -> std::io::Result<fs_err::File> {
    let path = log_path(folder, id);
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    fs_err::OpenOptions::new().create(true).append(true).open(path)
}

fn write_line(server: &Server, claimed: &Claimed, line: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut log = open_log(&server.folder(&claimed.job.workspace), &claimed.job.id)?;
    let at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    // At once, so that lines of two processes do not mix.
    log.write_all(format!("{at} {line}\n").as_bytes())
}
