//! A base from a registry: its layers are taken as they are, and what is to be known of it is read from its files once.
//!
//! The image's manifest and all that it names is in the store before any of this is asked; the manifest's digest in the lock
//! vouches for all of it.

mod config;
mod dpkg;
mod facts;
mod look;
mod made;
mod manifest;
mod normal;
mod unfit;

use provenv_definition::{Digest, Platform};
use provenv_fetch::Reporter;
use provenv_store::Store;

pub use config::{Healthcheck, HistoryLine, Nothing, RuntimeConfig};
pub use dpkg::InstalledDeb;
pub(crate) use dpkg::{STATUS, STATUS_FOLDER};
pub(crate) use facts::USUAL_PATH;
pub use facts::{BaseFacts, BasePython, OsRelease};
pub(crate) use look::Look;
pub use made::{MadeError, take_up};
pub use manifest::{
    DOCKER_INDEX_TYPE, DOCKER_MANIFEST_TYPE, INDEX_TYPE, Index, Manifest, ManifestError, ManifestLayer,
    OfPlatform,
};
pub use unfit::Unfit;

use crate::layer::Layer;
use crate::unpack;

/// The kind of record that the facts of a base are kept under, by the digest of its layers' chain.
pub(crate) const FACTS: &str = "base-facts";

/// Why a base cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] provenv_store::Error),
    /// Some of it is not in the store.
    #[error("the base image {0} is not in the store, or not all of it")]
    Gone(Digest),
    /// It is no image that runs.
    #[error("the base image {image} cannot be used")]
    Manifest {
        /// Its manifest's digest.
        image: Digest,
        /// Why.
        #[source]
        source: ManifestError,
    },
    /// It could not be unpacked.
    #[error(transparent)]
    Unpack(#[from] unpack::Error),
    /// Its files could not be read.
    #[error("failed to look into the base image {image}")]
    Look {
        /// Its manifest's digest.
        image: Digest,
        /// Why; names the file.
        #[source]
        source: std::io::Error,
    },
    /// Nothing can be put on it.
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Gone(_) => Some("`provenv build` without --offline fetches it again".to_owned()),
            Self::Manifest { source, .. } => source.hint(),
            Self::Unpack(error) => error.hint(),
            Self::Look { .. } => Some(provenv_store::SCRUB_HINT.to_owned()),
            Self::Unfit(error) => Some(error.hint()),
        }
    }
}

/// An image that another one stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseImage {
    /// Digest of its manifest.
    pub manifest: Digest,
    /// Its layers, the bottom one first.
    pub layers: Vec<Layer>,
    /// How its containers start.
    pub config: RuntimeConfig,
    /// What `docker history` shows of it.
    pub history: Vec<HistoryLine>,
}

impl BaseImage {
    /// The image for `platform` with this manifest, all of which is in `store`.
    pub fn open(store: &Store, manifest: &Digest, platform: Platform) -> Result<Self, Error> {
        let gone = || Error::Gone(*manifest);
        let refused = |source| Error::Manifest { image: *manifest, source };
        if !store.contains(manifest) {
            return Err(gone());
        }
        let parsed = Manifest::parse(&store.read(manifest)?).map_err(refused)?;
        for (digest, size) in parsed.blobs() {
            if store.size(&digest)? != Some(size) {
                return Err(gone());
            }
        }
        let config = store.read(&parsed.config.0)?;
        let config = config::Config::parse(&config, parsed.layers.len(), platform).map_err(refused)?;
        let count = parsed.layers.len();
        let layers =
            parsed.layers.into_iter().zip(config.diff_ids).enumerate().map(|(n, (layer, diff_id))| Layer {
                digest: layer.digest,
                size: layer.size,
                diff_id,
                tar_size: 0,
                compression: layer.compression,
                toc: None,
                foreign: true,
                what: format!("base image ({} of {count})", n + 1),
                packages: Vec::new(),
            });
        Ok(Self {
            manifest: *manifest,
            layers: layers.collect(),
            config: config.runtime,
            history: config.history,
        })
    }

    /// What it is like. It is unpacked for that, where nobody has asked before.
    pub fn facts(
        &self,
        store: &Store,
        platform: Platform,
        reporter: &dyn Reporter,
    ) -> Result<BaseFacts, Error> {
        let key = self.facts_key();
        if let Some(facts) = store.record::<BaseFacts>(FACTS, &key)?
            && facts.format == facts::FORMAT
        {
            return Ok(facts);
        }
        let root = unpack::base(store, &self.layers, reporter)?;
        let facts = facts::read(&root, self.path().as_deref(), platform)
            .map_err(|source| Error::Look { image: self.manifest, source })?;
        store.set_record(FACTS, &key, &facts)?;
        Ok(facts)
    }

    /// The key of the record of its facts. Which Python counts follows from `PATH`, which is no part of the layers.
    pub(crate) fn facts_key(&self) -> String {
        let path = Digest::of(self.path().unwrap_or_default().as_bytes());
        format!("{}-{}", unpack::chain(&self.layers).hex(), &path.hex()[..16])
    }

    /// Where its programs are looked for.
    pub(crate) fn path(&self) -> Option<String> {
        self.config.variables().into_iter().find(|(name, _)| name == "PATH").map(|(_, path)| path)
    }
}
