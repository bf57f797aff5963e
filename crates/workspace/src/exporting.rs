//! An environment, or its lock, in the format of another tool.

use std::path::Path;

use provenv_definition::{
    Diagnostic, LockedArtifacts, LockedPypi, NotCarried, Platform, WriteFormat, Written, WrittenFile, write,
    write_lock,
};
use provenv_lock::{ExportError, Lock};

use crate::{Result, Workspace};

/// How an environment is written.
#[derive(Clone, Copy, Debug)]
pub struct ExportOptions {
    /// In which format.
    pub format: WriteFormat,
    /// What was chosen for it, and not what it asks for.
    pub locked: bool,
    /// Of a lock, only this platform.
    pub platform: Option<Platform>,
}

impl Workspace {
    /// The files of `reference` in a format, and what is to be said about its own file.
    pub async fn export(
        &self,
        reference: &str,
        folder: &Path,
        options: &ExportOptions,
    ) -> Result<(Written, Vec<Diagnostic>)> {
        let given = self.given(reference, folder).await?;
        let &ExportOptions { format, locked, platform } = options;
        let environment = &given.environment;
        let written = match &given.artifacts {
            // The lock of another tool says itself what it chose.
            Some(artifacts) if format.is_lock() => {
                if let Some(missing) = platform.filter(|platform| !covers(artifacts, *platform)) {
                    return Err(ExportError::NoPlatform(missing).into());
                }
                let platforms: Vec<Platform> = platform.into_iter().collect();
                write_lock(environment, artifacts, &platforms, format)?
            }
            _ if !locked => write(environment, format)?,
            _ => {
                let lock = self.locked(&given).await?.lock;
                if format == WriteFormat::Dockerfile {
                    dockerfile(&lock, platform)?
                } else {
                    provenv_lock::export(environment, &lock, platform, format)?
                }
            }
        };
        Ok((written, given.warnings))
    }
}

/// Whether a lock of another tool is for a platform: one with conda packages says for which it is.
fn covers(artifacts: &LockedArtifacts, platform: Platform) -> bool {
    let on = |package: &LockedPypi| package.platforms.is_empty() || package.platforms.contains(&platform);
    if artifacts.conda.is_empty() {
        artifacts.pypi.is_empty() || artifacts.pypi.iter().any(on)
    } else {
        artifacts.conda.contains_key(&platform)
    }
}

/// A Dockerfile with all that was chosen.
fn dockerfile(lock: &Lock, platform: Option<Platform>) -> Result<Written> {
    let platform = platform.or(lock.platforms.keys().next().copied()).unwrap_or_default();
    let chosen = lock.platforms.get(&platform).ok_or(ExportError::NoPlatform(platform))?;
    let text = provenv_image::oci::equivalent_dockerfile(chosen);
    let others = lock.platforms.keys().filter(|other| **other != platform).map(|other| NotCarried {
        what: format!("what was chosen for {other}"),
        why: "this format is for one platform: --platform says which".to_owned(),
        counts: true,
    });
    let image = NotCarried {
        what: "the image itself".to_owned(),
        why: "the Dockerfile says in its first lines what it cannot express".to_owned(),
        counts: false,
    };
    let not_carried = others.chain([image]).collect();
    Ok(Written { files: vec![WrittenFile::new("Dockerfile", text)], not_carried })
}
