//! The registry that the workspaces of a team share images by: what one of them built, no other one resolves or builds.
//!
//! All is in one repository, `HOST/NAME`:
//!
//! | tag | names |
//! |---|---|
//! | `definition-<digest>` | the index of the lock that was chosen last for the definition |
//! | `lock-<digest>-e<epoch>` | the index of the lock's images; with `-zstd` or `-estargz` behind it, and `-l<layers>`, of those that are so |
//!
//! An index has, for each platform, the image, and a record: a manifest that refers to it, with lock, definition, receipt and
//! what a workspace knows of the image. So clients run what a tag names, and registries that remove what has no tag keep it all.
//!
//! Nothing of it is believed: lock, receipt and image are held against each other and against the definition at hand, and where
//! the settings name keys, one of them must have signed.

mod bring;
mod find;
mod index;
mod share;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use provenv_definition::Digest;
use provenv_image::form::{Form, Packing};
use provenv_registry::{Options, Reference, Repository};

use crate::config::Config;
use crate::proof::registry_options;
use crate::{Error, Result};

pub(crate) use bring::Need;
pub(crate) use find::{built, refused};
pub(crate) use index::plain_index;

/// The artifact type of the record beside an image.
pub(crate) const RECORD_TYPE: &str = "application/vnd.provenv.cache.v1+json";
/// A look-up is a short cut: it does not wait long for a registry that is down.
const TRIES: u32 = 2;

/// The registry, as the settings have it.
pub(crate) struct Cache {
    /// The repository; its tag says nothing.
    repository: Reference,
    insecure: bool,
    push: bool,
    keys: Vec<PathBuf>,
    /// Whether it failed once: it is not asked again by this process.
    is_down: AtomicBool,
    reader: OnceLock<Repository>,
}

impl Cache {
    /// The one that the settings name, if they name one.
    pub(crate) fn of(config: &Config) -> Result<Option<Self>> {
        let settings = &config.cache;
        let Some(registry) = &settings.registry else { return Ok(None) };
        let wrong = |message: String| {
            Error::Arguments {
            message,
            hint: "write HOST/NAME, such as registry.example/team/environments, in PROVENV_CACHE_REGISTRY or as \
                   `cache.registry` in the settings"
                .to_owned(),
        }
        };
        let text = registry.strip_prefix("docker://").unwrap_or(registry);
        let repository: Reference = text.parse().map_err(|error: provenv_registry::ReferenceError| {
            wrong(format!("`{registry}` is no repository for a shared cache: {error}"))
        })?;
        if format!("{}/{}", repository.registry(), repository.repository()) != text {
            return Err(wrong(format!("`{registry}` has a tag, and a shared cache is a whole repository")));
        }
        let insecure = config.registry.insecure.iter().any(|host| host == repository.registry());
        Ok(Some(Self {
            repository,
            insecure,
            push: settings.push,
            keys: settings.trusted_keys.clone(),
            is_down: AtomicBool::new(false),
            reader: OnceLock::new(),
        }))
    }

    /// Whether builds push to it without being told.
    pub(crate) fn takes_all(&self) -> bool {
        self.push
    }

    /// `HOST/NAME`.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.repository.registry(), self.repository.repository())
    }

    fn options(&self, config: &Config) -> Options {
        registry_options(config, self.insecure)
    }

    /// The repository, to be looked up in.
    fn reader(&self, config: &Config) -> Result<&Repository> {
        if let Some(reader) = self.reader.get() {
            return Ok(reader);
        }
        let options = Options { tries: TRIES, ..self.options(config) };
        let reader = Repository::to_read(&self.repository, &options)?;
        Ok(self.reader.get_or_init(|| reader))
    }

    pub(crate) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Relaxed)
    }

    fn set_down(&self) {
        self.is_down.store(true, Ordering::Relaxed);
    }
}

/// The tag of what was chosen for a definition.
fn definition_tag(definition: &Digest) -> String {
    format!("definition-{}", definition.hex())
}

/// The tag of the images of a lock in a form.
fn lock_tag(lock: &Digest, form: Form) -> String {
    let mut tag = format!("lock-{}-e{}", lock.hex(), form.epoch);
    if form.packing != Packing::Gzip {
        tag = format!("{tag}-{}", form.packing);
    }
    match form.layers {
        Some(layers) => format!("{tag}-l{layers}"),
        None => tag,
    }
}
