//! A lock becomes an image: artifacts are fetched, made into segments, compiled, joined to layers, and named by a manifest.
//! All at once where nothing hinders it, and nothing twice, in this process or another.

mod build;
mod compile;
mod conda;
mod conflict;
mod distributions;
mod environment;
mod error;
mod family;
mod install_order;
mod joining;
mod plan;
mod prefix;
mod reach;
mod replaced;
mod scripts;
mod shadow;
mod system;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use provenv_definition::{Digest, Platform};
use provenv_fetch::Fetcher;
use provenv_lock::pypi::Distribution;
use provenv_lock::{PlatformLock, PypiPackage, PypiSource};
use provenv_store::Store;
use serde::{Deserialize, Serialize};

pub(crate) use conda::for_pythons;
pub(crate) use distributions::is_metadata;
pub use error::Error;
pub use reach::reach;
pub use scripts::LinkScript;

use crate::about::{self, Known};
use crate::form::Form;
use crate::layer::Layer;
use crate::linking::MissingLibrary;
use crate::oci::Image;
use crate::python::PythonHost;
use crate::segment;
use build::Build;

/// The kind of record that finished images and bases are kept under.
const IMAGES: &str = "image";

/// More cores than these are not used: each takes some memory, and the network and the disk are the limit by then.
const CORES: usize = 8;

/// Makes images of locks.
#[derive(Clone)]
pub struct Assembler {
    fetcher: Fetcher,
    /// Where segments, layers and images go; artifacts come from the fetcher's.
    store: Store,
    python: Arc<dyn PythonHost>,
    form: Form,
    cores: usize,
}

/// The layers below the Python packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseLayers {
    /// The bottom one first.
    pub layers: Vec<Layer>,
}

/// What the record of an image or a base holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    /// The image; a base has none.
    image: Option<Image>,
    layers: Vec<Layer>,
    /// Keys of the records of layers that were joined for it.
    joined: BTreeSet<String>,
    /// What was said to the user when it was made.
    notes: Vec<String>,
    /// Modules that do not compile with the image's Python, by path.
    uncompiled: Vec<String>,
    /// Libraries that wheels are linked with and nothing has.
    #[serde(default)]
    missing: Vec<MissingLibrary>,
    /// What stands for the Python that compiled its modules, where it is conda's.
    #[serde(default)]
    interpreter: Option<Digest>,
}

impl Kept {
    fn is_in(&self, store: &Store) -> bool {
        self.image.iter().all(|image| store.contains(&image.manifest) && store.contains(&image.config))
            && self.layers.iter().all(|layer| store.contains(&layer.digest))
    }
}

impl Assembler {
    /// An assembler that keeps what it makes in the fetcher's store.
    pub fn new(fetcher: Fetcher, python: Arc<dyn PythonHost>) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(CORES);
        Self { store: fetcher.store().clone(), fetcher, python, form: Form::default(), cores }
    }

    /// The same for images of another form.
    #[must_use]
    pub fn in_form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    /// The Debian packages, the base state and the conda packages of `lock`: what it takes to run a tool on the base.
    pub async fn base(&self, lock: &PlatformLock, platform: Platform) -> Result<BaseLayers, Error> {
        let key = base_key(lock, platform);
        if let Some(kept) = self.kept(&key)? {
            return Ok(BaseLayers { layers: kept.layers });
        }
        // Whatever the image is like: tools run on it, and nobody else sees it.
        let plain = self.clone().in_form(Form::default());
        let kept = Build::new(&plain, lock, platform).base().await?;
        self.store.set_record(IMAGES, &key, &kept)?;
        Ok(BaseLayers { layers: kept.layers })
    }

    /// The Python distributions of the conda packages in `lock`, in the order of these. The packages are fetched and made into
    /// segments, which an image needs as well.
    pub async fn distributions(
        &self,
        lock: &PlatformLock,
        platform: Platform,
    ) -> Result<Vec<Distribution>, Error> {
        Build::new(self, lock, platform).distributions().await
    }

    /// Makes parts of any image on this base while nothing else is known of it yet. Can be given up at any moment; what is
    /// made until then is kept.
    pub async fn warm(&self, lock: &PlatformLock, platform: Platform) -> Result<(), Error> {
        Build::new(self, lock, platform).warm().await
    }

    /// The image of `lock`. One that was made before costs a look-up.
    ///
    /// Hold a pin on the store from before this call until something names the image.
    pub async fn image(&self, lock: &PlatformLock, platform: Platform) -> Result<Image, Error> {
        self.form.check()?;
        let key = image_key(lock, platform, self.form);
        if let Some(image) = self.kept(&key)?.and_then(|kept| kept.image) {
            return Ok(image);
        }
        let kept = Build::new(self, lock, platform).image().await?;
        self.store.set_record(IMAGES, &key, &kept)?;
        Ok(kept.image.expect("an image was built"))
    }

    /// Makes the image again from its artifacts, as if nothing had been made before, to see that it comes out the same. What
    /// is made is thrown away.
    ///
    /// Gives what its packages say of themselves too, as far as that is not `known`: their bytes do not stay.
    pub async fn image_again(
        &self,
        lock: &PlatformLock,
        platform: Platform,
        known: &Known,
    ) -> Result<(Image, Known), Error> {
        let scratch = self.store.scratch()?;
        let again = Self { store: Store::open(scratch.path())?, ..self.clone() };
        let image = again.image(lock, platform).await?;
        let (store, lock, known) = (again.store, lock.clone(), known.clone());
        let found =
            tokio::task::spawn_blocking(move || about::read(&store, &lock, platform, &known)).await??;
        Ok((image, found))
    }

    /// Makes again what is missing of the image and of the segments that it was joined from. What is there stays as it is.
    pub async fn mend(&self, lock: &PlatformLock, platform: Platform) -> Result<Image, Error> {
        let kept = Build::new(self, lock, platform).image().await?;
        self.store.set_record(IMAGES, &image_key(lock, platform, self.form), &kept)?;
        Ok(kept.image.expect("an image was built"))
    }

    fn kept(&self, key: &str) -> Result<Option<Kept>, Error> {
        Ok(self.store.record::<Kept>(IMAGES, key)?.filter(|kept| kept.is_in(&self.store)))
    }
}

/// What was said when the image of `lock` in `form` was made: paths that two packages claim, libraries that are missing.
pub fn notes(
    store: &Store,
    lock: &PlatformLock,
    platform: Platform,
    form: Form,
) -> Result<Vec<String>, provenv_store::Error> {
    let kept = store.record::<Kept>(IMAGES, &image_key(lock, platform, form))?;
    Ok(kept.map(|kept| kept.notes).unwrap_or_default())
}

/// The libraries that were found to be missing when the image of `lock` in `form` was made.
pub fn missing(
    store: &Store,
    lock: &PlatformLock,
    platform: Platform,
    form: Form,
) -> Result<Vec<MissingLibrary>, provenv_store::Error> {
    let kept = store.record::<Kept>(IMAGES, &image_key(lock, platform, form))?;
    Ok(kept.map(|kept| kept.missing).unwrap_or_default())
}

/// The key of an image's record.
fn image_key(lock: &PlatformLock, platform: Platform, form: Form) -> String {
    let (digest, form) = (digest(lock).hex(), form.key());
    let fields: Vec<&str> =
        ["image", platform.as_str(), &digest].into_iter().chain(form.as_deref()).collect();
    segment::key(&fields)
}

/// The key of a base's record: other Python packages, same base.
fn base_key(lock: &PlatformLock, platform: Platform) -> String {
    let mut debian = digest(&lock.debian).hex();
    if let Some(manifest) = lock.base.manifest() {
        debian = format!("{debian} on {manifest}");
    }
    if lock.conda.is_empty() {
        return segment::key(&["base", platform.as_str(), &debian]);
    }
    // Whose the Python is decides which folders the environment's own files need.
    let conda = digest(&(&lock.conda, &lock.python)).hex();
    segment::key(&["base", platform.as_str(), &debian, &conda])
}

fn digest(value: &impl Serialize) -> Digest {
    Digest::of(&serde_json::to_vec(value).expect("a lock is plain data"))
}

/// Debian's interpreter to the last bit: the packages that hold the executable and its core.
fn interpreter(lock: &PlatformLock) -> Result<Digest, Error> {
    let Some(python) = &lock.python else { return Err(Error::NoInterpreter("python3".to_owned())) };
    if let Some(manifest) = lock.base.manifest() {
        // Anything in the base may have a say in what its Python compiles: the linker may load a library first.
        let debs = lock.debian.iter().map(|package| package.artifact.sha256.hex());
        let fields = [manifest.to_string(), python.executable.clone()].into_iter().chain(debs);
        return Ok(Digest::of(fields.collect::<Vec<_>>().join("\n").as_bytes()));
    }
    let (major, minor) = python.minor();
    let mut fields = String::new();
    for prefix in ["", "lib"] {
        let name = format!("{prefix}python{major}.{minor}-minimal");
        let package = lock.debian.iter().find(|package| package.name == name);
        fields += &package.ok_or(Error::NoInterpreter(name))?.artifact.sha256.hex();
    }
    Ok(Digest::of(fields.as_bytes()))
}

/// Digest and size of a wheel.
fn source_of(package: &PypiPackage) -> (Digest, u64) {
    match &package.source {
        PypiSource::Wheel(artifact) => (artifact.sha256, artifact.size),
        PypiSource::Built { sha256, size, .. } => (*sha256, *size),
    }
}
