//! The record of builds: listed, shown, their logs.

use std::io::Write;
use std::path::PathBuf;

use provenv_definition::{Digest, Platform};
use serde::Serialize;

use crate::catalogue::{BuildRow, BuildStatus};
use crate::error::IoContext as _;
use crate::runs::copy_log;
use crate::{Error, Result, Workspace};

/// How often a log is looked at that is written.
const LOOK: std::time::Duration = std::time::Duration::from_millis(200);

/// What a build does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BuildStep {
    /// It runs the Dockerfile that the image stands on.
    Dockerfile,
    /// It assembles the image.
    Packages,
}

/// An attempt to assemble an image, or to run a Dockerfile for one, as shown to people and programs.
#[derive(Clone, Debug, Serialize)]
pub struct BuildDetails {
    /// Its identifier.
    pub id: String,
    /// What it does.
    pub step: BuildStep,
    /// How far it is.
    pub status: BuildStatus,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the image is for.
    pub platform: Platform,
    /// The lock that it assembled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<Digest>,
    /// The definition that it ran the Dockerfile of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definition: Option<Digest>,
    /// The image it arrived at.
    pub image: Option<Digest>,
    /// The registered environments that point to the lock, or have the definition.
    pub environments: Vec<String>,
    /// When it began.
    pub started_at: jiff::Timestamp,
    /// When it ended.
    pub ended_at: Option<jiff::Timestamp>,
    /// The file with its log; its URL on a server.
    pub log: PathBuf,
    /// Who asked for it, on a server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// How often it was begun, on a server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i64>,
}

/// Said of what only a server does with builds.
pub(crate) fn is_a_process(id: &str, what: &str, hint: &str) -> Error {
    Error::Arguments {
        message: format!("build `{id}` is a process of whoever began it, and is not {what} from here"),
        hint: format!("{hint}; a workspace on a server has builds that wait, stop and are asked for again"),
    }
}

impl Workspace {
    /// Builds, newest first.
    pub async fn builds(&self, limit: u32) -> Result<Vec<BuildDetails>> {
        let rows = self.catalogue.builds(limit).await?;
        let mut builds = Vec::with_capacity(rows.len());
        for row in rows {
            builds.push(self.build_of(row).await?);
        }
        Ok(builds)
    }

    /// A build by its identifier, or the newest for `latest`.
    pub async fn build_details(&self, id: &str) -> Result<BuildDetails> {
        let row = match id {
            "latest" => self.catalogue.builds(1).await?.pop(),
            id => self.catalogue.build(id).await?,
        };
        let row = row.ok_or_else(|| Error::NoBuild(id.to_owned()))?;
        self.build_of(row).await
    }

    /// Writes the log of a build to `to`.
    pub async fn build_log(&self, id: &str, to: &mut (dyn Write + Send)) -> Result<()> {
        let build = self.build_details(id).await?;
        copy_log(&build.log, &format!("build {}", build.id), to)
    }

    /// The same as it is written, until the build ends.
    pub async fn follow_build(&self, id: &str, to: &mut (dyn Write + Send)) -> Result<()> {
        use std::io::{Read as _, Seek as _, SeekFrom};
        let id = self.build_details(id).await?.id;
        let mut offset = 0;
        loop {
            // Asked before the log is read: what is written until then is read.
            let build = self.build_details(&id).await?;
            let reading = || format!("could not read the log of build {id}");
            let mut file = fs_err::File::open(&build.log).doing(reading)?;
            file.seek(SeekFrom::Start(offset)).doing(reading)?;
            let mut part = Vec::new();
            offset += file.read_to_end(&mut part).doing(reading)? as u64;
            match to.write_all(&part).and_then(|()| to.flush()) {
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
                written => written.doing(|| format!("could not write the log of build {id}"))?,
            }
            if build.status != BuildStatus::Running {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn build_of(&self, mut row: BuildRow) -> Result<BuildDetails> {
        let mut lost = false;
        if row.status == BuildStatus::Running
            && let Ok(Some(_lease)) = self.store.try_lock("build", &row.id)
        {
            // Whoever built is gone: with its last word said since the row was read, or without one, killed.
            row = self.catalogue.build(&row.id).await?.unwrap_or(row);
            lost = row.status == BuildStatus::Running;
        }
        let environments = self.catalogue.names_of(row.lock.as_ref(), row.definition.as_ref()).await?;
        Ok(BuildDetails {
            step: if row.definition.is_some() { BuildStep::Dockerfile } else { BuildStep::Packages },
            status: if lost { BuildStatus::Lost } else { row.status },
            error: row.error,
            platform: row.platform,
            lock: row.lock,
            definition: row.definition,
            image: row.manifest,
            environments,
            started_at: row.started_at,
            ended_at: row.ended_at,
            log: self.root.join(row.log),
            created_by: None,
            attempts: None,
            id: row.id,
        })
    }
}
