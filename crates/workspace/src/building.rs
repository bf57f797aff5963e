//! Locks become images, and images are shown.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use provenv_definition::{CondaSpec, Definition, Diagnostic, Digest, Platform};
use provenv_image::Asked;
use provenv_image::export::Destination;
use provenv_image::form::{EPOCH, Form, Packing};
use provenv_image::oci::Image;
use provenv_lock::{Lock, PlatformLock, PostLink, PypiSource};
use provenv_store::{Lease, Roots, Store};
use serde::{Deserialize, Serialize};

use crate::build_log::BuildLog;
use crate::cache::Need;
use crate::catalogue::{ImageRow, Which};
use crate::environments::Given;
use crate::error::{IoContext, with_causes};
use crate::locking::{Locked, platforms_of};
use crate::post_link::ScriptChoice;
use crate::proof::Signed;
use crate::stopping::Stoppable;
use crate::{Error, Reporter, Result, Workspace, identifier};

/// How an image is built.
#[derive(Clone, Debug, Default)]
pub struct BuildOptions {
    /// Where it goes besides the store.
    pub to: Vec<String>,
    /// A file with the lock to build from.
    pub lock: Option<PathBuf>,
    /// Assemble again and compare.
    pub force: bool,
    /// Which platform; the definition's first otherwise.
    pub platform: Option<Platform>,
    /// Speak plain http with registries.
    pub insecure: bool,
    /// How layers are compressed, if it is to be other than the settings say.
    pub compression: Option<Packing>,
    /// The most layers that the image may have, if it is to be other than the settings say.
    pub layers: Option<u8>,
    /// The assembly epoch, if it is not to be the newest. The settings are put aside by it, since older ones had none.
    pub epoch: Option<u32>,
    /// What is to become of the scripts of conda packages, if it is to be other than the lock has it.
    pub post_link: Option<ScriptChoice>,
    /// The private key that signs its provenance: a file, or a name in this workspace.
    pub sign: Option<String>,
    /// Push it to the shared cache, and fail where that fails; the settings may say so of all builds.
    pub share: bool,
}

/// What building came to.
#[derive(Clone, Debug, Serialize)]
pub struct Built {
    /// The image's digest.
    pub image: Digest,
    /// What it runs on.
    pub platform: Platform,
    /// Digest of the definition.
    pub definition: Digest,
    /// Digest of the lock.
    pub lock: Digest,
    /// Compressed bytes of all layers.
    pub size: u64,
    /// How many layers.
    pub layers: usize,
    /// How they are compressed.
    pub compression: Packing,
    /// The rules that it was assembled by.
    pub epoch: u32,
    /// Whether it was there already.
    pub cached: bool,
    /// Whether it was assembled again and came out the same.
    pub reproduced: bool,
    /// Where it went besides the store.
    pub exported: Vec<String>,
    /// The repository in which it was found, where its bytes are not all here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// Where it is in the shared cache, if it was to go there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared: Option<String>,
    /// What was signed, if it was to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
    /// What is to be said about the definition's file.
    #[serde(skip)]
    pub warnings: Vec<Diagnostic>,
}

/// An image in a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImageSummary {
    /// Its digest.
    pub digest: Digest,
    /// What it runs on.
    pub platform: Platform,
    /// Compressed bytes of all layers.
    pub size: u64,
    /// How many layers.
    pub layers: usize,
    /// How they are compressed.
    pub compression: Packing,
    /// The rules that it was assembled by.
    pub epoch: u32,
    /// How many packages.
    pub packages: usize,
    /// The registered environments it is the image of.
    pub environments: Vec<String>,
    /// When it was first assembled here.
    pub created_at: jiff::Timestamp,
}

/// All about an image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImageDetails {
    /// Its digest.
    pub digest: Digest,
    /// Digest of its configuration.
    pub config: Digest,
    /// What it runs on.
    pub platform: Platform,
    /// How its layers are compressed.
    pub compression: Packing,
    /// The rules that it was assembled by.
    pub epoch: u32,
    /// The most layers that it was allowed, if somebody said how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_layers: Option<u8>,
    /// Compressed bytes of all layers.
    pub size: u64,
    /// What it stands on.
    pub base: String,
    /// The Python inside.
    pub python: Option<String>,
    /// Digest of the lock it was assembled from.
    pub lock: Digest,
    /// Digest of the definition.
    pub definition: Digest,
    /// The registered environments it is the image of.
    pub environments: Vec<String>,
    /// Its layers, the lowest first.
    pub layers: Vec<LayerSummary>,
    /// Its packages, by ecosystem and name.
    pub packages: Vec<PackageSummary>,
    /// What there is to know about it: paths that two packages have, libraries that are missing.
    pub notes: Vec<String>,
    /// A Dockerfile that would do about the same.
    pub dockerfile: String,
    /// The log of the build.
    pub log: Option<String>,
}

/// A layer of an image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LayerSummary {
    /// Digest of the compressed bytes.
    pub digest: Digest,
    /// Compressed bytes.
    pub size: u64,
    /// What it is.
    pub what: String,
}

/// A package of an image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PackageSummary {
    /// `deb` or `pypi`.
    pub ecosystem: Cow<'static, str>,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Bytes of the artifact.
    pub size: u64,
    /// Digest of the artifact.
    pub sha256: Digest,
}

impl Workspace {
    /// Builds the image of a file or a registered environment.
    pub async fn build(&self, reference: &str, folder: &Path, options: &BuildOptions) -> Result<Built> {
        self.build_as(reference, folder, self.given(reference, folder), options).await
    }

    /// Builds the image of a registered version, and of nothing else that may have its name.
    pub async fn build_version(&self, name: &str, version: &str, options: &BuildOptions) -> Result<Built> {
        let reference = format!("{name}:{version}");
        self.build_as(&reference, &self.root, self.given_version(name, version), options).await
    }

    async fn build_as(
        &self,
        reference: &str,
        folder: &Path,
        given: impl Future<Output = Result<Given>>,
        options: &BuildOptions,
    ) -> Result<Built> {
        let mut destinations =
            options.to.iter().map(|text| Target::parse(text)).collect::<Result<Vec<_>>>()?;
        let form = self.form_of(options)?;
        // Before the work: a key that cannot be used is known at once.
        let key = options.sign.as_ref().map(|key| self.signing_key(key, folder)).transpose()?;
        let cache = self.cache.as_ref().filter(|_| !self.offline);
        if options.share && self.offline {
            return Err(Error::Arguments {
                message: "`--push` pushes to the shared cache, and `--offline` forbids the network: both cannot be".to_owned(),
                hint: "leave one of them out; `provenv build … --push` pushes an image that is there without making it again".to_owned(),
            });
        }
        if options.share && cache.is_none() {
            return Err(Error::Arguments {
                message: "there is no shared cache that the image could be pushed to".to_owned(),
                hint: "name one in PROVENV_CACHE_REGISTRY or as `cache.registry` in the settings; \
                       docs/how-to/share-a-cache.md says more"
                    .to_owned(),
            });
        }
        let pin = self.store.pin()?;
        let given = given.await?;
        if let Some(name) = &given.environment.name {
            let version = match &given.row {
                Some(row) => Some(&row.version),
                None => given.environment.version.as_ref(),
            };
            let name = format!("{}:{}", name.to_lowercase(), version.map_or("latest", String::as_str));
            for destination in &mut destinations {
                if let Target::File(destination) = destination {
                    destination.name(&name);
                }
            }
        }
        let definition = &given.environment.definition;
        let platform = options.platform.unwrap_or_else(|| platforms_of(definition)[0]);
        if options.post_link == Some(ScriptChoice::Run) && platform != Platform::host() {
            return Err(Error::Arguments {
                message: format!(
                    "scripts of packages for {platform} cannot be run on {}, nor can an image for it be assembled",
                    Platform::host()
                ),
                hint: format!("build it on a machine that is {platform}"),
            });
        }
        let (locked, image, cached) =
            if let Some(lock) = self.lock_in(&given, options.lock.as_deref()).await? {
                // Only a lock that became an image may be what others build from.
                self.catalogue.keep_lock(&lock).await?;
                if let Some(made) = lock.platforms.get(&platform).and_then(|lock| lock.base.dockerfile()) {
                    self.restore_dockerfile(definition, made, platform)
                        .await
                        .map_err(|error| error.of(&given))?;
                }
                let (image, cached) = self.image_of(&lock, &lock.digest(), platform, form).await?;
                (self.take_over(definition, lock).await?, image, cached)
            } else {
                let mut locked = self.locked(&given).await?;
                if given.row.is_some() {
                    self.keeps_scripts(reference, &locked.lock, options.post_link).await?;
                } else {
                    locked = self.settle_scripts(definition, locked, options.post_link).await?;
                }
                let (image, cached) = self.image(&locked, platform, form).await?;
                (locked, image, cached)
            };
        let found = self.found_in(&image, &locked.receipt.lock, form).await?;
        if !destinations.is_empty() || (definition.user_managed && platform == Platform::host()) {
            self.bring(&image, &locked.receipt.lock, Need::All).await?;
        }
        let mut warnings = given.warnings.clone();
        if !cached && let Some(lock) = locked.lock.platforms.get(&platform) {
            let missing = provenv_image::missing(&self.store, lock, platform, form)?;
            self.note_where(&given, missing.iter().map(|one| one.library.as_str()));
        }
        // The interpreter's path is no part of the definition: it may be new where the image is not.
        if definition.user_managed && platform == Platform::host() {
            match self.interpreter_in(&given.environment, &given.origins, &image).await {
                Ok(tried) => warnings.extend(tried.remark),
                // The image is there all the same.
                Err(error) => {
                    let why = with_causes(&error);
                    self.reporter.note(&format!("the interpreter could not be tried: {why}"));
                }
            }
        }
        if options.force && cached {
            self.rebuild(&locked, platform, form, &image).await?;
        }
        let signed = match &key {
            Some(key) => Some(self.sign_image(&image, &locked.receipt.lock, key, None).await?),
            None => None,
        };
        // Nothing else may name the image, and a push may take long: from here on only it is kept from collection.
        let _hold = pin.hold(&blobs_of(&image))?;
        let shared = match (cache, options.share) {
            (Some(cache), true) => Some(self.share(cache, &locked, &image).await?),
            (Some(cache), false) if cache.takes_all() && !cache.is_down() => {
                match self.share(cache, &locked, &image).await {
                    Ok(reference) => Some(reference),
                    // The image is there all the same.
                    Err(error) => {
                        let (name, why) = (cache.name(), crate::cache::refused(&error));
                        self.reporter.note(&format!("the image could not be put into {name}: {why}"));
                        None
                    }
                }
            }
            _ => None,
        };
        // A prefix takes more than the image: archives, and layers that are unpacked.
        let _pin = destinations.iter().any(|target| matches!(target, Target::Prefix(_))).then_some(pin);
        let lock = locked.lock.platforms.get(&platform).ok_or(Error::NoPlatform(platform))?;
        for destination in &destinations {
            destination.write(self, &image, lock, definition, options.insecure).await?;
        }
        Ok(Built {
            image: image.manifest,
            platform,
            definition: locked.definition,
            lock: locked.receipt.lock,
            size: image.size(),
            layers: image.layers.len(),
            compression: form.packing,
            epoch: form.epoch,
            cached: cached && !options.force,
            reproduced: cached && options.force,
            exported: destinations.iter().map(Target::to_string).collect(),
            found,
            shared,
            signed,
            warnings,
        })
    }

    /// The form of images, where nobody says more than the settings do.
    pub(crate) fn form(&self) -> Form {
        let settings = &self.config.image;
        Form { packing: settings.compression, layers: settings.layers, ..Form::default() }
    }

    /// The form that is asked for.
    fn form_of(&self, options: &BuildOptions) -> Result<Form> {
        let usual = match options.epoch {
            Some(epoch) if epoch != EPOCH => Form::of_epoch(epoch),
            _ => self.form(),
        };
        let packing = options.compression.unwrap_or(usual.packing);
        let form = Form { packing, layers: options.layers.or(usual.layers), ..usual };
        form.check().map_err(provenv_image::Error::from)?;
        Ok(form)
    }

    /// An image of a lock to run, in whatever form it is there; assembled now if it is not. Says whether it was there, and in
    /// which form it is. Hold a pin on the store for as long as the image is used.
    pub(crate) async fn image_to_run(
        &self,
        locked: &Locked,
        platform: Platform,
    ) -> Result<(Image, Form, bool)> {
        let wanted = self.form();
        self.catalogue.note_use(&locked.receipt.lock).await?;
        let mut forms = self.catalogue.forms(&locked.receipt.lock, platform).await?;
        forms.sort_by_key(|form| *form != wanted);
        for form in forms.into_iter().filter(|form| form.epoch == EPOCH) {
            if let Some(image) = self.known_image(&locked.receipt.lock, platform, form).await? {
                return Ok((image, form, true));
            }
        }
        let (image, cached) = self.image(locked, platform, wanted).await?;
        Ok((image, wanted, cached))
    }

    /// The image of a lock in a form: the one on record, or assembled now. Says whether it was there. Hold a pin on the store
    /// for as long as the image is used.
    pub(crate) async fn image(
        &self,
        locked: &Locked,
        platform: Platform,
        form: Form,
    ) -> Result<(Image, bool)> {
        self.image_of(&locked.lock, &locked.receipt.lock, platform, form).await
    }

    async fn image_of(
        &self,
        lock: &Lock,
        digest: &Digest,
        platform: Platform,
        form: Form,
    ) -> Result<(Image, bool)> {
        self.catalogue.note_use(digest).await?;
        if let Some(image) = self.known_image(digest, platform, form).await? {
            return Ok((image, true));
        }
        if let Some(image) = self.find_image(digest, platform, form).await? {
            return Ok((image, true));
        }
        if platform != Platform::host() {
            return Err(Error::Unsupported(format!(
                "an image for {platform} cannot be assembled on {}: its Python has to run here to compile modules",
                Platform::host()
            )));
        }
        let _lease = self.image_lease(digest, platform).await?;
        if let Some(image) = self.known_image(digest, platform, form).await? {
            return Ok((image, true));
        }
        let image = self.assemble(lock, platform, form, Assembling::First).await?;
        self.catalogue.record_image(digest, form, &image).await?;
        Ok((image, false))
    }

    /// Held by whoever makes the image of a lock.
    pub(crate) async fn image_lease(&self, lock: &Digest, platform: Platform) -> Result<Lease> {
        let key = format!("{}-{}", lock.hex(), platform.architecture());
        Ok(self.store.lock_async("image", &key).await?)
    }

    /// The image of a lock that is here, or known to be in a registry.
    pub(crate) async fn known_image(
        &self,
        lock: &Digest,
        platform: Platform,
        form: Form,
    ) -> Result<Option<Image>> {
        let image = self.catalogue.image(lock, platform, form).await?;
        match image.filter(|image| is_whole(&self.store, image)) {
            Some(image) => Ok(Some(image)),
            None => self.known_remote(lock, platform, form).await,
        }
    }

    /// The repository that an image was found in, where its bytes are not all here.
    async fn found_in(&self, image: &Image, lock: &Digest, form: Form) -> Result<Option<String>> {
        if is_whole(&self.store, image) {
            return Ok(None);
        }
        let remote = self.catalogue.remote_image(lock, image.platform, form).await?;
        Ok(remote.map(|remote| remote.reference).filter(|place| !self.is_upstream(place)))
    }

    /// Assembles again, from the artifacts on, and compares.
    async fn rebuild(&self, locked: &Locked, platform: Platform, form: Form, first: &Image) -> Result<()> {
        let second = self.assemble(&locked.lock, platform, form, Assembling::Again).await?;
        if second.manifest == first.manifest {
            Ok(())
        } else {
            Err(Error::NotReproducible { first: first.manifest, second: second.manifest })
        }
    }

    /// One attempt, with a log and a record of its own.
    #[tracing::instrument(target = "provenv_trace", skip_all, name = "assemble", fields(provenv.platform = %platform))]
    pub(crate) async fn assemble(
        &self,
        lock: &Lock,
        platform: Platform,
        form: Form,
        how: Assembling,
    ) -> Result<Image> {
        let platform_lock = lock.platforms.get(&platform).ok_or(Error::NoPlatform(platform))?;
        let id = identifier("build");
        // Held while this process builds: a build whose lease is free and which has no end is lost.
        let _building = self.store.lock_async("build", &id).await?;
        let log = format!("builds/{id}.log");
        let path = self.root.join(&log);
        let reporter = BuildLog::create(&path, Arc::clone(&self.reporter))
            .doing(|| "could not write the log of the build".to_owned())?;
        reporter.line(&format!(
            "provenv {} assembles lock {} for {platform} ({form})",
            env!("CARGO_PKG_VERSION"),
            lock.digest()
        ));
        self.catalogue.begin_build(&id, &lock.digest(), platform, form, &log).await?;
        for line in self.log_of_dockerfile(platform_lock) {
            reporter.line(&line);
        }
        let reporter = Arc::new(reporter);
        let stoppable = Stoppable::begin(self.catalogue.clone(), id.clone(), Arc::clone(&reporter))?;
        let result = async {
            // This may be another process than the one that read the indexes.
            self.distrust_indexes(lock).await?;
            self.bring_base_of(lock, platform).await?;
            self.bring_built(lock).await?;
            let assembler =
                self.assembler(Some(Arc::clone(&reporter) as Arc<dyn Reporter>)).await?.in_form(form);
            let image = match how {
                Assembling::First => assembler.image(platform_lock, platform).await,
                Assembling::Again => {
                    let known = self.read_abouts(platform_lock, platform).await?;
                    match assembler.image_again(platform_lock, platform, &known).await {
                        Ok((image, found)) => {
                            self.catalogue.keep_abouts(&found).await?;
                            Ok(image)
                        }
                        Err(error) => Err(error),
                    }
                }
                Assembling::Mending => assembler.mend(platform_lock, platform).await,
            };
            image.map_err(Error::from)
        }
        .await;
        stoppable.end();
        match &result {
            Ok(image) => {
                reporter.line(&format!("image {}", image.manifest));
                self.catalogue.end_build(&id, Ok(&image.manifest)).await?;
            }
            Err(error) => {
                let why = with_causes(error);
                reporter.line(&format!("failed: {why}"));
                self.catalogue.end_build(&id, Err(&why)).await?;
            }
        }
        result
    }

    /// The images of this workspace, newest first.
    pub async fn images(&self) -> Result<Vec<ImageSummary>> {
        let mut summaries: Vec<ImageSummary> = Vec::new();
        for row in self.all_images().await? {
            let environments = self.names_of_lock(&row.lock).await?;
            // Locks that differ only in URLs become the same image.
            if let Some(same) = summaries.iter_mut().find(|summary| summary.digest == row.image.manifest) {
                same.environments.extend(environments);
                continue;
            }
            let lock = self.catalogue.lock(&row.lock).await?;
            let packages = lock.and_then(|lock| Some(packages(lock.platforms.get(&row.platform)?).len()));
            summaries.push(ImageSummary {
                digest: row.image.manifest,
                platform: row.platform,
                size: row.image.size(),
                layers: row.image.layers.len(),
                compression: row.form.packing,
                epoch: row.form.epoch,
                packages: packages.unwrap_or(0),
                environments,
                created_at: row.created_at,
            });
        }
        Ok(summaries)
    }

    /// All about the image of an environment or a file, or with a digest (its first digits will do). Builds nothing.
    pub async fn image_details(&self, reference: &str, folder: &Path) -> Result<ImageDetails> {
        let missing = || Error::NoImage(reference.to_owned());
        if let Some(details) = self.upstream_image(reference, folder).await? {
            return Ok(details);
        }
        let row = if let Some(row) = self.image_of_digest(reference).await? {
            row
        } else if reference.starts_with("sha256:") {
            return Err(missing());
        } else {
            let given = self.given(reference, folder).await.map_err(|error| match error {
                Error::NoEnvironment(..) if digits_of(reference).is_some() => missing(),
                error => error,
            })?;
            let lock = if let Some(row) = &given.row {
                row.lock
            } else {
                let definition = provenv_definition::definition_digest(&given.environment.definition);
                self.catalogue.current_receipt(&definition).await?.ok_or_else(missing)?.1.lock
            };
            // In the form that the settings want, if it was made in that; else the one that was made last.
            let mut rows = self.catalogue.known_images(Which::Lock(&lock)).await?;
            rows.sort_by_key(|row| row.form != self.form());
            rows.into_iter().next().ok_or_else(missing)?
        };
        self.details_of_image(row, reference).await
    }

    /// All about an image on record; `reference` is what it was asked for by.
    pub(crate) async fn details_of_image(&self, row: ImageRow, reference: &str) -> Result<ImageDetails> {
        let missing = || Error::NoImage(reference.to_owned());
        let lock = self.catalogue.lock(&row.lock).await?.ok_or_else(missing)?;
        let platform_lock = lock.platforms.get(&row.platform).ok_or(Error::NoPlatform(row.platform))?;
        let log = self.catalogue.build_log(&row.lock, &row.image.manifest).await?;
        let log = log.and_then(|log| fs_err::read_to_string(self.root.join(log)).ok());
        Ok(ImageDetails {
            digest: row.image.manifest,
            config: row.image.config,
            platform: row.platform,
            compression: row.form.packing,
            epoch: row.form.epoch,
            most_layers: row.form.layers,
            size: row.image.size(),
            base: crate::planning::base_text(&platform_lock.base),
            python: platform_lock.python.as_ref().map(|python| python.version.clone()),
            lock: row.lock,
            definition: lock.definition,
            environments: self.names_of_lock(&row.lock).await?,
            layers: row
                .image
                .layers
                .iter()
                .map(|layer| LayerSummary {
                    digest: layer.digest,
                    size: layer.size,
                    what: layer.what.clone(),
                })
                .collect(),
            packages: packages(platform_lock),
            notes: provenv_image::notes(&self.store, platform_lock, row.platform, row.form)?,
            dockerfile: provenv_image::oci::equivalent_dockerfile(platform_lock),
            log,
        })
    }

    /// The image with a digest that begins so, if `reference` can be the beginning of one.
    pub(crate) async fn image_of_digest(&self, reference: &str) -> Result<Option<ImageRow>> {
        let Some(digits) = digits_of(reference) else { return Ok(None) };
        let rows = self.catalogue.known_images(Which::Digits(digits)).await?;
        Ok(rows.into_iter().next())
    }

    /// The registered versions that point to a lock, as `name:version`.
    pub(crate) async fn names_of_lock(&self, lock: &Digest) -> Result<Vec<String>> {
        Ok(self.catalogue.names_of(Some(lock), None).await?)
    }
}

/// How an image is assembled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Assembling {
    /// From what there is.
    First,
    /// As if nothing had been made before, to compare.
    Again,
    /// Whatever its record says, so that all is there again that it is made of.
    Mending,
}

/// The hexadecimal digits of a digest, of which the first six will do.
pub(crate) fn digits_of(reference: &str) -> Option<&str> {
    let digits = reference.strip_prefix("sha256:").unwrap_or(reference);
    (digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(digits)
}

/// Where an image goes besides the store.
pub(crate) enum Target {
    File(Destination),
    Registry(provenv_registry::Reference),
    /// A conda prefix in a folder.
    Prefix(PathBuf),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(destination) => destination.fmt(f),
            Self::Registry(reference) => reference.fmt(f),
            Self::Prefix(folder) => write!(f, "prefix:{}", folder.display()),
        }
    }
}

impl Target {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let is_file =
            ["oci:", "oci-archive:", "docker-archive:"].iter().any(|scheme| text.starts_with(scheme));
        if let Some(folder) = text.strip_prefix("prefix:").filter(|folder| !folder.is_empty()) {
            Ok(Self::Prefix(folder.into()))
        } else if is_file {
            Ok(Self::File(Destination::parse(text)?))
        } else {
            Ok(Self::Registry(text.strip_prefix("docker://").unwrap_or(text).parse()?))
        }
    }

    async fn write(
        &self,
        workspace: &Workspace,
        image: &Image,
        lock: &PlatformLock,
        definition: &Definition,
        insecure: bool,
    ) -> Result<()> {
        match self {
            Self::Prefix(folder) => {
                workspace.fetcher_for(definition).await?;
                let layers = workspace.unpack(&image.layers).await?;
                let assembler = workspace.assembler(None).await?;
                let asked = asked(definition, image.platform);
                assembler.export_prefix(lock, image.platform, layers, &asked, folder).await?;
                if let Some(PostLink::Run { layer: Some(_) }) = &lock.post_link {
                    workspace.reporter.note(
                        "what scripts of conda packages left is copied as it is, and may name /opt/provenv",
                    );
                }
            }
            Self::File(destination) => {
                let (store, reporter) = (workspace.store.clone(), Arc::clone(&workspace.reporter));
                let referrers = workspace.referrers_of(&image.manifest).await?;
                let (image, destination) = (image.clone(), destination.clone());
                tokio::task::spawn_blocking(move || {
                    provenv_image::export::to(&store, &image, &destination, reporter.as_ref())?;
                    match &destination {
                        _ if referrers.is_empty() => Ok(()),
                        // Clients take an image without a name only where nothing else is in the layout.
                        Destination::OciLayout { path, tag: Some(_) } => {
                            provenv_image::export::attach(&store, &referrers, path)
                        }
                        destination => {
                            reporter.note(&format!(
                                "{destination} is without the image's signatures: a folder with a tag, oci:DIR:TAG, takes them"
                            ));
                            Ok(())
                        }
                    }
                })
                .await??;
            }
            Self::Registry(reference) => {
                workspace.push(image, reference, insecure).await?;
            }
        }
        Ok(())
    }
}

/// What `definition` asks of conda, by the package's name.
fn asked(definition: &Definition, platform: Platform) -> Asked {
    let mut asked = Asked::new();
    for requirement in definition.conda.packages.iter().filter(|requirement| requirement.is_for(platform)) {
        if let Ok(spec) = requirement.spec.parse::<CondaSpec>() {
            asked.entry(spec.name).or_default().push(requirement.spec.clone());
        }
    }
    asked
}

/// Whether every blob of an image is there.
pub(crate) fn is_whole(store: &Store, image: &Image) -> bool {
    image.blobs().iter().all(|(digest, _)| store.contains(digest))
}

/// The blobs of an image, for garbage collection to leave.
pub(crate) fn blobs_of(image: &Image) -> Roots {
    Roots { blobs: image.blobs().into_iter().map(|(digest, _)| digest).collect(), ..Roots::default() }
}

/// Every package of a lock, for people.
pub(crate) fn packages(lock: &PlatformLock) -> Vec<PackageSummary> {
    let debian = lock.debian.iter().map(|package| PackageSummary {
        ecosystem: "deb".into(),
        name: package.name.clone(),
        version: package.version.clone(),
        size: package.artifact.size,
        sha256: package.artifact.sha256,
    });
    let conda = lock.conda.iter().map(|package| PackageSummary {
        ecosystem: "conda".into(),
        name: package.name.clone(),
        version: format!("{} {}", package.version, package.build),
        size: package.artifact.size,
        sha256: package.artifact.sha256,
    });
    let pypi = lock.pypi.iter().map(|package| {
        let (size, sha256) = match &package.source {
            PypiSource::Wheel(artifact) => (artifact.size, artifact.sha256),
            PypiSource::Built { size, sha256, .. } => (*size, *sha256),
        };
        PackageSummary {
            ecosystem: "pypi".into(),
            name: package.name.clone(),
            version: package.version.clone(),
            size,
            sha256,
        }
    });
    debian.chain(conda).chain(pypi).collect()
}
