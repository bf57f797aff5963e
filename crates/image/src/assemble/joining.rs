//! Segments on their way into layers, on threads that may block.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::try_join_all;
use provenv_fetch::Phase;
use provenv_lock::PythonLock;
use provenv_store::Store;

use super::Error;
use super::build::Build;
use super::family::{Family, Package, Place};
use super::plan::{self, Kind, Parts};
use crate::entry::Entry;
use crate::form::Packing;
use crate::layer::{self, Layer};
use crate::segment;

/// Some layers of an image.
#[derive(Clone, Default)]
pub(super) struct Layers {
    pub layers: Vec<Layer>,
    /// Keys of the records of those that were joined.
    pub joined: BTreeSet<String>,
}

impl Layers {
    pub fn extend(&mut self, other: Self) {
        self.layers.extend(other.layers);
        self.joined.extend(other.joined);
    }
}

impl Build<'_> {
    pub(super) async fn family(&self, packages: Vec<Package>) -> Result<Arc<Family>, Error> {
        let (store, version) = (self.store.clone(), self.minor());
        self.blocking(move || Family::by_name(&store, packages, version).map(Arc::new)).await
    }

    /// Packages in the order in which they are laid down, each without some paths.
    pub(super) async fn in_order(
        &self,
        packages: Vec<Package>,
        without: Vec<BTreeSet<String>>,
    ) -> Result<Arc<Family>, Error> {
        let (store, version) = (self.store.clone(), self.minor());
        self.blocking(move || Family::without(&store, packages, &without, version).map(Arc::new)).await
    }

    pub(super) fn minor(&self) -> (u32, u32) {
        self.lock.python.as_ref().map_or((3, 0), PythonLock::minor)
    }

    /// What of the image takes layers.
    pub(super) fn parts(&self) -> Result<Parts, Error> {
        let below = self.base_image()?.map_or(0, |base| base.layers.len());
        Ok(Parts::of(self.lock, below))
    }

    /// Joins what stands at `places` to the layers that packages of this kind have.
    pub(super) async fn spread(
        &self,
        family: &Arc<Family>,
        kind: Kind,
        places: Vec<Place>,
    ) -> Result<Layers, Error> {
        let candidates: Vec<_> = places.iter().map(|place| family.candidate(*place)).collect();
        let groups = plan::group(&self.parts()?.policy(kind, self.form.layers)?, &candidates);
        let groups = groups
            .into_iter()
            .map(|group| (group.what, group.members.into_iter().map(|n| places[n]).collect()))
            .collect();
        self.join(family, groups).await
    }

    pub(super) async fn join(
        &self,
        family: &Arc<Family>,
        groups: Vec<(String, Vec<Place>)>,
    ) -> Result<Layers, Error> {
        let made = try_join_all(groups.into_iter().map(|(what, places)| {
            let (store, family, packing) = (self.store.clone(), Arc::clone(family), self.form.packing);
            self.blocking(move || family.join(&store, what, &places, packing))
        }));
        let (layers, keys): (Vec<_>, Vec<_>) = made.await?.into_iter().unzip();
        Ok(Layers { layers, joined: keys.into_iter().flatten().collect() })
    }

    /// Runs `work` on a thread that may block, when a core is free.
    pub(super) async fn blocking<T, E>(
        &self,
        work: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        E: Into<Error> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await.expect("the semaphore is never closed");
        let result = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        result.await?.map_err(Into::into)
    }

    /// The same, reported as an item of the assembly.
    pub(super) async fn item<T, E>(
        &self,
        what: &str,
        bytes: u64,
        work: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        E: Into<Error> + Send + 'static,
    {
        let (reporter, name) = (Arc::clone(&self.reporter), what.to_owned());
        self.blocking(move || {
            reporter.begin(Phase::Assembling, &name);
            let result = work();
            reporter.advance(Phase::Assembling, bytes);
            reporter.end(Phase::Assembling, &name);
            result
        })
        .await
    }
}

/// A layer of entries that are at hand.
pub(super) fn literal(
    store: &Store,
    what: &str,
    entries: &[Entry],
    packing: Packing,
) -> Result<Layers, segment::Error> {
    let segment = segment::literal(store, entries)?;
    let (layer, keys) = layer::join_one(store, what.to_owned(), &segment, packing)?;
    Ok(Layers { layers: vec![layer], joined: keys.into_iter().collect() })
}
