//! What is below all packages of conda and Python.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::{try_join, try_join_all};
use provenv_fetch::Phase;
use provenv_lock::{DebPackage, PythonLock};

use super::Error;
use super::build::{Build, known};
use super::family::{Family, Package};
use super::joining::{Layers, literal};
use super::plan::Kind;
use crate::base_image::{self, BaseImage};
use crate::segment::{self, DebFacts};
use crate::{base_state, unpack};

/// The layers of the base, and the packages in them.
pub(super) struct Base {
    pub family: Arc<Family>,
    pub layers: Layers,
    /// What the dynamic linker finds.
    pub libraries: BTreeSet<String>,
}

impl Build<'_> {
    /// What is below all packages of conda and Python: a base from a registry with what Debian packages add to it, or
    /// Debian packages and the base state.
    pub(super) async fn debian(&self) -> Result<Base, Error> {
        if let Some(image) = self.base_image()? {
            return self.over(image).await;
        }
        let (packages, facts) = self.debs().await?;
        let (store, platform, packing) = (self.store.clone(), self.platform, self.form.packing);
        let state = self.blocking(move || {
            let entries = base_state::entries(&facts, platform);
            let libraries = base_state::libraries(&entries, &facts, platform);
            literal(&store, "base state", &entries, packing).map(|state| (state, libraries))
        });
        let packages = async {
            let family = self.family(packages).await?;
            let places = family.files().collect();
            let layers = self.spread(&family, Kind::System, places).await?;
            Ok((family, layers))
        };
        let ((family, mut layers), (state, libraries)) = try_join(packages, state).await?;
        layers.extend(state);
        Ok(Base { family, layers, libraries })
    }

    /// The layers of a base from a registry, and those of the Debian packages on it.
    async fn over(&self, image: BaseImage) -> Result<Base, Error> {
        let (store, reporter, platform) =
            (self.fetcher.store().clone(), Arc::clone(&self.reporter), self.platform);
        let look = move || {
            let facts = image.facts(&store, platform, reporter.as_ref())?;
            Ok::<_, base_image::Error>((image, facts))
        };
        let (image, base) = self.blocking(look).await?;
        let count = image.layers.len();
        let has_virtualenv = self.lock.python.as_ref().is_some_and(PythonLock::has_virtualenv);
        if has_virtualenv || !self.lock.conda.is_empty() || !self.lock.pypi.is_empty() {
            base.takes_packages(count).map_err(base_image::Error::from)?;
        }
        let mut libraries = base.libraries.clone();
        let mut layers = Layers { layers: image.layers.clone(), joined: BTreeSet::new() };
        if self.lock.debian.is_empty() {
            return Ok(Base { family: self.family(Vec::new()).await?, layers, libraries });
        }
        base.takes_debs(count).map_err(base_image::Error::from)?;
        let (packages, facts) = self.debs().await?;
        let (store, own) = (self.fetcher.store().clone(), self.store.clone());
        let (reporter, packing) = (Arc::clone(&self.reporter), self.form.packing);
        let state = self.blocking(move || {
            let root = unpack::base(&store, &image.layers, reporter.as_ref())?;
            let entries = base_state::entries_over(&facts, &root, platform)
                .map_err(|source| base_image::Error::Look { image: image.manifest, source })?;
            let libraries = base_state::libraries(&entries, &facts, platform);
            Ok::<_, Error>((literal(&own, "state of system packages", &entries, packing)?, libraries))
        });
        let (state, found) = state.await?;
        libraries.extend(found);
        let family = self.family(packages).await?;
        let places = family.files().collect();
        layers.extend(self.spread(&family, Kind::System, places).await?);
        layers.extend(state);
        Ok(Base { family, layers, libraries })
    }

    /// The Debian packages of the lock, and what they say of themselves.
    async fn debs(&self) -> Result<(Vec<Package>, Vec<(DebPackage, DebFacts)>), Error> {
        let bytes = self.lock.debian.iter().map(|package| package.artifact.size).sum();
        self.reporter.expect(Phase::Assembling, self.lock.debian.len() as u64, bytes);
        let made = try_join_all(self.lock.debian.iter().map(|package| self.deb(package))).await?;
        Ok(made.into_iter().unzip())
    }

    async fn deb(&self, package: &DebPackage) -> Result<(Package, (DebPackage, DebFacts)), Error> {
        let artifact = &package.artifact;
        let path = self.fetcher.artifact(&artifact.url, &artifact.sha256, known(artifact.size)).await?;
        let what = format!("{} {}", package.name, package.version);
        let (store, sha256) = (self.store.clone(), artifact.sha256);
        let name = artifact.url.file_name().unwrap_or(&package.name).to_owned();
        let file = name.clone();
        let made =
            self.item(&what, artifact.size, move || segment::deb(&store, &path, &sha256, &name)).await?;
        base_state::check_identity(package, &made.facts, &file)?;
        let name = package.name.clone();
        let segment = Arc::new(made.segment);
        Ok((
            Package { name, what, sha256, segment, bytecode: None, note: None },
            (package.clone(), made.facts),
        ))
    }
}
