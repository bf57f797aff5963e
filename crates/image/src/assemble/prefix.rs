//! What it takes to lay an image's conda prefix out elsewhere.

use std::path::{Path, PathBuf};

use futures::future::try_join_all;
use provenv_definition::Platform;
use provenv_lock::PlatformLock;

use super::build::{Build, known};
use super::conda::{condas, file_name};
use super::{Assembler, Error};
use crate::conda_meta::{self, Asked};
use crate::export::prefix::{self, Packed};

impl Assembler {
    /// Lays the conda prefix of the image of `lock` out at `folder`, which must be new or empty, as if it had been installed there.
    /// `layers` are those of the image, unpacked and the bottom one first; `asked` is what its records say was asked for. Nothing is
    /// run.
    pub async fn export_prefix(
        &self,
        lock: &PlatformLock,
        platform: Platform,
        layers: Vec<PathBuf>,
        asked: &Asked,
        folder: &Path,
    ) -> Result<(), Error> {
        let folder = prefix::place(folder, lock.python.as_ref())?;
        let build = Build::new(self, lock, platform);
        let mut packed = try_join_all(lock.conda.iter().map(|package| async {
            let (_, facts) = build.conda_package(package).await?;
            let artifact = &package.artifact;
            let archive =
                self.fetcher.artifact(&artifact.url, &artifact.sha256, known(artifact.size)).await?;
            let (name, python) = (file_name(package), condas(lock.python.as_ref()));
            Ok::<_, Error>(Packed { package: package.clone(), archive, name, python, facts })
        }))
        .await?;
        let packages = conda_meta::with_needs(&lock.conda, packed.iter().map(|packed| &packed.facts));
        for (packed, package) in packed.iter_mut().zip(packages) {
            packed.package = package;
        }
        let (store, asked) = (self.store.clone(), asked.clone());
        let write = move || prefix::write(&store, &layers, &packed, &asked, &folder);
        tokio::task::spawn_blocking(write).await??;
        Ok(())
    }
}
