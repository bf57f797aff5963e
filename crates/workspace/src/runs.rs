//! The record of runs: listed, shown, their logs.

use std::io::{Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use provenv_definition::Digest;
use serde::{Deserialize, Serialize};

use crate::catalogue::{RunRow, RunStatus};
use crate::error::IoContext;
use crate::{Error, Result, Workspace};

/// A run, as shown to people and programs.
#[derive(Clone, Debug, Serialize)]
pub struct RunDetails {
    /// Its identifier.
    pub id: String,
    /// The job's name.
    pub name: String,
    /// How far it is.
    pub status: RunStatus,
    /// The command's exit code.
    pub exit_code: Option<i64>,
    /// Why it failed, where that is not the command's doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The environment, `name:version`.
    pub environment: String,
    /// The exact receipt.
    pub receipt: Digest,
    /// The image it ran in.
    pub image: Digest,
    /// What was executed and in what, as JSON.
    pub job: serde_json::Value,
    /// When it was submitted.
    pub started_at: jiff::Timestamp,
    /// When it ended.
    pub ended_at: Option<jiff::Timestamp>,
    /// Its folder.
    pub folder: PathBuf,
    /// Files it left.
    pub outputs: Vec<OutputFile>,
}

/// A file that a run left.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OutputFile {
    /// Its path below [`RunDetails::folder`].
    pub path: String,
    /// Its length.
    pub bytes: u64,
}

impl Workspace {
    /// Runs, newest first.
    pub async fn runs(&self, limit: u32) -> Result<Vec<RunDetails>> {
        let rows = self.catalogue.runs(limit).await?;
        let mut runs = Vec::with_capacity(rows.len());
        for row in rows {
            runs.push(self.details_of(row).await?);
        }
        Ok(runs)
    }

    /// A run by its identifier, or the newest for `latest`.
    pub async fn run_details(&self, id: &str) -> Result<RunDetails> {
        let row = match id {
            "latest" => self.catalogue.runs(1).await?.pop(),
            id => self.catalogue.run(id).await?,
        };
        self.details_of(row.ok_or_else(|| Error::NoRun(id.to_owned()))?).await
    }

    /// Writes the log of a run to `to`.
    pub async fn run_log(&self, id: &str, to: &mut (dyn Write + Send)) -> Result<()> {
        let run = self.run_details(id).await?;
        copy_log(&run.folder.join("log.txt"), &format!("run {}", run.id), to)
    }

    /// The end of the log of a run, `most` bytes at most; `None` where none was kept.
    pub async fn run_log_end(&self, id: &str, most: u64) -> Result<Option<Vec<u8>>> {
        let run = self.run_details(id).await?;
        let read = |mut file: fs_err::File| {
            let from = file.metadata()?.len().saturating_sub(most);
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.take(most).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match fs_err::File::open(run.folder.join("log.txt")).and_then(read) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).doing(|| format!("could not read the log of run {}", run.id)),
        }
    }

    pub(crate) async fn details_of(&self, mut row: RunRow) -> Result<RunDetails> {
        let folder = self.root.join("runs").join(&row.id);
        let mut lost = false;
        if row.status == RunStatus::Running
            && let Ok(Some(_lease)) = self.store.try_lock("run", &row.id)
        {
            // Whoever watched it is gone: with its last word said since the row was read, or without one, killed.
            row = self.catalogue.run(&row.id).await?.unwrap_or(row);
            // One on another machine has no lease here.
            lost = row.status == RunStatus::Running && self.is_silent(&row.id).await?.unwrap_or(true);
        }
        Ok(RunDetails {
            outputs: files_below(&folder.join("outputs"), &folder),
            status: if lost { RunStatus::Lost } else { row.status },
            exit_code: row.exit_code,
            error: row.error,
            environment: format!("{}:{}", row.environment, row.version),
            receipt: row.receipt,
            image: row.manifest,
            job: serde_json::from_str(&row.body).unwrap_or(serde_json::Value::Null),
            started_at: row.started_at,
            ended_at: row.ended_at,
            id: row.id,
            name: row.name,
            folder,
        })
    }
}

/// Writes a log to `to`; a reader that went away is no error.
pub(crate) fn copy_log(log: &Path, whose: &str, to: &mut (dyn Write + Send)) -> Result<()> {
    let mut file = fs_err::File::open(log).doing(|| format!("could not read the log of {whose}"))?;
    match std::io::copy(&mut file, to) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map(drop).doing(|| format!("could not write the log of {whose}")),
    }
}

pub(crate) fn files_below(folder: &Path, root: &Path) -> Vec<OutputFile> {
    let mut files: Vec<_> = walkdir::WalkDir::new(folder)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| {
            let path = entry.path().strip_prefix(root).ok()?.to_string_lossy().into_owned();
            Some(OutputFile { path, bytes: entry.metadata().ok()?.len() })
        })
        .collect();
    files.sort();
    files
}
