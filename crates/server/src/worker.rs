//! Workers: they take jobs from the queue, and build each in a process of its own, which can crash, be killed and be limited
//! without the server. Whoever stops sending heartbeats has lost the job, and another takes it.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use provenv_definition::Digest;
use serde::Deserialize;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use crate::database::{Claimed, JobError, JobStatus, Result};
use crate::state::{Server, told_to_stop};

/// How often a worker says that it lives, and hears whether the job is still wanted.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How often the queue is looked at when nobody rings.
const PACE: Duration = Duration::from_secs(1);
/// How long a build may take to stop before it is killed.
const GRACE: Duration = Duration::from_secs(6);
/// How often a job is begun before it is given up.
const MOST_ATTEMPTS: i64 = 5;
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
                if let Err(error) = job(&server, &claimed).await {
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
            let error =
                JobError { message: format!("the build could not be begun: {error}"), ..JobError::default() };
            return fail(server, claimed, error).await;
        }
    };
    match ended {
        Ended::Lost => {
            tracing::warn!(job = job.id, "another worker has the job");
            Ok(())
        }
        Ended::Stopped => server.database.give_back(claimed, Duration::ZERO, false).await,
        Ended::Canceled => {
            server.metrics.ended("canceled");
            server.database.end_job(claimed, JobStatus::Canceled, None, None).await.map(drop)
        }
        Ended::Exited(status, said) => match serde_json::from_str(&said) {
            Ok(Said::Image(image)) if status.success() => {
                server.metrics.ended("succeeded");
                tracing::info!(job = job.id, %image, "a build ended well");
                server.database.end_job(claimed, JobStatus::Succeeded, Some(image), None).await.map(drop)
            }
            Ok(Said::Error(error)) => fail(server, claimed, error).await,
            // A crash, or a kernel without memory: another time it may go well.
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
    if error.transient && job.attempts < MOST_ATTEMPTS {
        let wait = Duration::from_secs(2 << job.attempts.clamp(0, 6));
        let line = format!("attempt {} failed, the next begins in {} s", job.attempts, wait.as_secs());
        if let Err(error) = write_line(server, claimed, &line) {
            tracing::warn!(job = job.id, %error, "the log could not be written");
        }
        return server.database.give_back(claimed, wait, true).await;
    }
    tracing::info!(job = job.id, error = error.message, "a build failed");
    server.metrics.ended("failed");
    server.database.end_job(claimed, JobStatus::Failed, None, Some(&error)).await.map(drop)
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
    command.envs(opened.workspace.catalogue_variables());
    let mut child = command
        .arg("--workspace")
        .arg(&folder)
        .args(["--color", "never", "__worker", &job.environment, &job.version])
        .args(["--platform", job.platform.as_str()])
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
    loop {
        tokio::select! {
            heard = &mut hearing, if said.is_none() => said = Some(heard),
            status = child.wait(), if said.is_some() => {
                return Ok(Ended::Exited(status?, said.unwrap_or_default()));
            }
            () = told_to_stop(&mut stopping) => {
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
