//! Dockerfiles: run once by an engine, their result pinned in the lock.
//!
//! The images that a Dockerfile names are looked up and brought by us, as bases from registries are, and handed to the engine
//! with their digests; the build context is laid out by us, as its digest says; what comes out is taken up in normal form
//! ([`provenv_image::base_image::take_up`]). The engine itself talks to no registry and reads no ignore file.
//!
//! A run is a build of its own, with a log and a record, before there is a lock. It is not repeated for another definition with
//! the same Dockerfile, context and images, unless somebody upgrades.

mod buildah;
mod buildkit;
mod context;
mod engine;
mod failure;
mod secrets;
mod standing;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use provenv_definition::{Base, Definition, Digest, Platform, Recipe, definition_digest};
use provenv_image::base_image::{BaseImage, Manifest, take_up};
use provenv_lock::{DockerfileLock, ImageLock, Lock, PlatformLock, ToolVersion, Upgrade};
use provenv_store::Store;
use serde::{Deserialize, Serialize};

pub use engine::Builder;
use engine::{Engine, Named, Work};
pub use failure::{DockerfileError, Missing as MissingEngine};
pub use secrets::BuildSecret;
use secrets::Secret;

use crate::base_image::is_named;
use crate::build_log::BuildLog;
use crate::error::{IoContext as _, with_causes};
use crate::stopping::Stoppable;
use crate::{Error, Phase, Reporter as _, Result, Workspace, identifier};

/// The kind of the records of runs, by what was run.
pub(crate) const RUNS: &str = "dockerfile-run";
/// The kind of the records of runs, by the manifest of what was made.
pub(crate) const MADE: &str = "dockerfile-made";

/// A run, as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub manifest: Digest,
    pub size: u64,
    /// The build that it was.
    pub build: String,
    /// Its log, as a path below the workspace.
    pub log: String,
    pub tool: ToolVersion,
}

impl Workspace {
    /// What the Dockerfile of `definition` makes. What `previous` has stays unless `upgrade` says that all moves.
    pub(crate) async fn resolve_dockerfile(
        &self,
        definition: &Definition,
        platform: Platform,
        previous: Option<&PlatformLock>,
        upgrade: &Upgrade,
    ) -> Result<(DockerfileLock, Option<ToolVersion>)> {
        let all = *upgrade == Upgrade::All;
        if let Some(made) = previous.and_then(|lock| lock.base.dockerfile()).filter(|_| !all) {
            self.restore_dockerfile(definition, made, platform).await?;
            let tool = self.store.record::<Run>(MADE, &made.manifest.hex())?.map(|run| run.tool);
            return Ok((made.clone(), tool));
        }
        let (made, tool) = self.run_dockerfile(definition, platform, None, all).await?;
        Ok((made, Some(tool)))
    }

    /// Sees to it that what a Dockerfile made is in the store: where it is gone, the Dockerfile is run again, on the same images
    /// and the same context, and what it makes now must be the same.
    pub(crate) async fn restore_dockerfile(
        &self,
        definition: &Definition,
        made: &DockerfileLock,
        platform: Platform,
    ) -> Result<()> {
        if is_here(&self.store, &made.manifest, platform) {
            return Ok(());
        }
        if !matches!(definition.base, Base::Dockerfile { .. } | Base::Context(_)) {
            return Err(DockerfileError::Gone(made.manifest).into());
        }
        self.reporter.note("what the Dockerfile made is not in the store: it is run again");
        let (again, _) = self.run_dockerfile(definition, platform, Some(made), true).await?;
        if again.manifest != made.manifest {
            return Err(DockerfileError::Moved { expected: made.manifest, actual: again.manifest }.into());
        }
        Ok(())
    }

    /// The same for the base of `lock`, if it is what a Dockerfile made.
    pub(crate) async fn restore_base(&self, lock: &Lock, platform: Platform) -> Result<()> {
        let Some(made) = lock.platforms.get(&platform).and_then(|lock| lock.base.dockerfile()) else {
            return Ok(());
        };
        if is_here(&self.store, &made.manifest, platform) {
            return Ok(());
        }
        let definition = self.catalogue.definition(&lock.definition).await?;
        let definition = definition.ok_or(DockerfileError::Gone(made.manifest))?;
        self.restore_dockerfile(&definition, made, platform).await
    }

    /// Whether all of what a Dockerfile made is in the store.
    pub(crate) fn has_dockerfile(&self, made: &DockerfileLock, platform: Platform) -> Result<()> {
        if is_here(&self.store, &made.manifest, platform) {
            Ok(())
        } else {
            Err(DockerfileError::Gone(made.manifest).into())
        }
    }

    /// The blobs of what a Dockerfile made, as far as they are known here.
    pub(crate) fn blobs_of_dockerfile(&self, made: &DockerfileLock) -> Result<Vec<Digest>> {
        let mut blobs = vec![made.manifest];
        if self.store.contains(&made.manifest)
            && let Ok(manifest) = Manifest::parse(&self.store.read(&made.manifest)?)
        {
            blobs.extend(manifest.blobs().map(|(digest, _)| digest));
        }
        Ok(blobs)
    }

    /// Runs the Dockerfile of `definition`: on the images and the context of `pinned`, if there are such. One that was run before
    /// is not run, unless it is to be run `again`.
    #[tracing::instrument(target = "provenv_trace", skip_all, name = "dockerfile", fields(provenv.platform = %platform))]
    async fn run_dockerfile(
        &self,
        definition: &Definition,
        platform: Platform,
        pinned: Option<&DockerfileLock>,
        again: bool,
    ) -> Result<(DockerfileLock, ToolVersion)> {
        let host = Platform::host();
        if platform != host {
            return Err(DockerfileError::OtherPlatform { wanted: platform, host }.into());
        }
        let scratch = self.store.scratch()?;
        let folder = |name: &str| -> Result<PathBuf> {
            let path = scratch.path().join(name);
            fs_err::create_dir(&path).doing(|| "could not prepare the run of the Dockerfile".to_owned())?;
            Ok(path)
        };
        // A name of its own: BuildKit keeps what was sent from folders of one name, and takes a file of the same size and time (all
        // have the same time) for the one that it has.
        let context = folder(&identifier("context"))?;
        let pinned_context = pinned.and_then(|pinned| pinned.context.as_ref());
        let laid = self.lay_context(&definition.base, pinned_context, &folder("fetched")?, &context).await?;
        let recipe = Recipe::read(&laid.text).map_err(DockerfileError::Unreadable)?;
        if let Some(image) = recipe.unknown.first() {
            let (name, line) = (image.name.clone(), image.line);
            return Err(DockerfileError::UnknownImage { name, line }.into());
        }
        let work = folder("work")?;
        let mut from: Vec<ImageLock> = Vec::new();
        let mut bases: Vec<Named> = Vec::new();
        for image in &recipe.images {
            // The engine may look for what is written, before it puts variables in.
            let step = recipe.steps.iter().find(|step| step.line == image.line && step.keyword == "FROM");
            let written = step.and_then(|step| step.arguments.split_whitespace().next());
            let names = [Some(image.name.as_str()), written].into_iter().flatten().map(str::to_owned);
            if let Some(known) = bases.iter_mut().find(|known| known.names[0] == image.name) {
                for name in names {
                    if !known.names.contains(&name) {
                        known.names.push(name);
                    }
                }
                continue;
            }
            let mut names: Vec<String> = names.collect();
            names.dedup();
            let lock = match pinned.and_then(|pinned| pinned.from.get(from.len())) {
                Some(lock) => {
                    is_named(&image.name, lock)?;
                    lock.clone()
                }
                None => self.look_up_image(&image.name, platform).await?,
            };
            self.bring_base(&lock).await?;
            let layout = format!("base-{}", from.len());
            lay_image(&self.store, &lock, &work.join(&layout))?;
            bases.push(Named { names, layout, manifest: lock.manifest });
            from.push(lock);
        }
        let key = key_of(&laid.key, &from, platform);
        // Of two who ask the same at once, the second takes what the first one made.
        let _lease = self.store.lock_async(RUNS, &key).await?;
        let locked = |run: &Run| DockerfileLock {
            manifest: run.manifest,
            size: run.size,
            from: from.clone(),
            context: laid.lock.clone(),
        };
        if !again
            && let Some(run) = self.store.record::<Run>(RUNS, &key)?
            && is_here(&self.store, &run.manifest, platform)
        {
            self.reporter.note(&format!(
                "the Dockerfile was run before ({}), and what it made is taken; `--upgrade` runs it again",
                run.build
            ));
            return Ok((locked(&run), run.tool));
        }

        if let Some(frontend) = &recipe.frontend {
            return Err(DockerfileError::Frontend(frontend.clone()).into());
        }
        let images: Vec<_> = bases.iter().zip(&from).collect();
        self.leaves_room(definition, platform, &recipe, &images).await?;
        let secrets = secrets::asked_for(&recipe, &self.config.dockerfile.secrets)?;
        let (builder, offline) = (self.config.dockerfile.builder, self.offline);
        let (engine, recipe) = tokio::task::spawn_blocking(move || {
            Engine::find(builder, &recipe, offline).map(|engine| (engine, recipe))
        })
        .await??;
        let tool = engine.tool();
        let named = || format!("{} {}", tool.name, tool.version);
        if let Some(line) = recipe.here_document.filter(|_| !engine.knows_here_documents(&tool)) {
            return Err(DockerfileError::HereDocument { line, engine: named() }.into());
        }
        if let Some(line) = recipe.mount_by_path.filter(|_| !engine.keeps_mounts_inside(&tool)) {
            return Err(DockerfileError::MountByPath { line, engine: named() }.into());
        }
        let dockerfile = scratch.path().join("Dockerfile");
        engine::write(&dockerfile, &laid.text)?;
        let job = Job {
            engine,
            tool,
            dockerfile,
            context,
            bases,
            recipe,
            secrets,
            work,
            from: from.clone(),
            platform,
        };
        let run = self.run_job(job, &definition_digest(definition)).await?;
        self.store.set_record(RUNS, &key, &run)?;
        self.store.set_record(MADE, &run.manifest.hex(), &run)?;
        Ok((locked(&run), run.tool))
    }

    /// Runs it, with a log and a record of its own.
    async fn run_job(&self, job: Job, definition: &Digest) -> Result<Run> {
        let id = identifier("dockerfile");
        // Held while this process builds: a build whose lease is free and which has no end is lost.
        let _building = self.store.lock_async("build", &id).await?;
        let log = format!("builds/{id}.log");
        let reporter = BuildLog::create(&self.root.join(&log), Arc::clone(&self.reporter))
            .doing(|| "could not write the log of the build".to_owned())?;
        let (reporter, tool) = (Arc::new(reporter), job.tool.clone());
        reporter.line(&format!(
            "provenv {} runs a Dockerfile by {} {} for {}",
            env!("CARGO_PKG_VERSION"),
            tool.name,
            tool.version,
            job.platform
        ));
        for image in &job.from {
            reporter.line(&format!("from {} ({})", image.reference, image.manifest));
        }
        self.catalogue.begin_dockerfile(&id, definition, job.platform, &log).await?;
        let stoppable = Stoppable::begin(self.catalogue.clone(), id.clone(), Arc::clone(&reporter))?;
        let (store, offline) = (self.store.clone(), self.offline);
        let (heard, build) = (Arc::clone(&reporter), id.clone());
        let result = tokio::task::spawn_blocking(move || job.run(&store, offline, &heard, &build)).await;
        stoppable.end();
        let result = result.map_err(Error::from).and_then(|result| result);
        match &result {
            Ok((manifest, _)) => {
                reporter.line(&format!("made {manifest}"));
                self.catalogue.end_build(&id, Ok(manifest)).await?;
            }
            Err(error) => {
                let why = with_causes(error);
                reporter.line(&format!("failed: {why}"));
                self.catalogue.end_build(&id, Err(&why)).await?;
            }
        }
        result.map(|(manifest, size)| Run { manifest, size, build: id, log, tool })
    }

    /// The log of the run that made the base of `lock`, line by line; none where it is not known here.
    pub(crate) fn log_of_dockerfile(&self, lock: &PlatformLock) -> Vec<String> {
        let run = lock.base.dockerfile().map(|made| self.store.record::<Run>(MADE, &made.manifest.hex()));
        let Some(Ok(Some(run))) = run else { return Vec::new() };
        let text = fs_err::read_to_string(self.root.join(&run.log)).unwrap_or_default();
        text.lines().map(|line| line.split_once(' ').map_or(line, |(_time, line)| line).to_owned()).collect()
    }
}

/// A run of a Dockerfile, with all that it needs.
struct Job {
    engine: Engine,
    tool: ToolVersion,
    dockerfile: PathBuf,
    context: PathBuf,
    bases: Vec<Named>,
    recipe: Recipe,
    secrets: Vec<Secret>,
    work: PathBuf,
    from: Vec<ImageLock>,
    platform: Platform,
}

impl Job {
    fn run(&self, store: &Store, offline: bool, log: &Arc<BuildLog>, build: &str) -> Result<(Digest, u64)> {
        const ITEM: &str = "Dockerfile";
        log.begin(Phase::Assembling, ITEM);
        let work = Work {
            folder: &self.work,
            dockerfile: &self.dockerfile,
            context: &self.context,
            bases: &self.bases,
            recipe: &self.recipe,
            secrets: &self.secrets,
            platform: self.platform,
            offline,
        };
        let layout = match self.engine.run(&work, &mut |line| log.output(line))? {
            Ok(layout) => layout,
            Err(failed) => return Err(DockerfileError::failed(&self.recipe, &failed, build).into()),
        };
        let from: Vec<Digest> = self.from.iter().map(|image| image.manifest).collect();
        let made =
            take_up(store, &layout, self.platform, &from, log.as_ref()).map_err(DockerfileError::from)?;
        log.end(Phase::Assembling, ITEM);
        Ok(made)
    }
}

/// Whether all of an image is in the store.
fn is_here(store: &Store, manifest: &Digest, platform: Platform) -> bool {
    BaseImage::open(store, manifest, platform).is_ok()
}

/// What stands for a run: the same question of the same images.
fn key_of(context: &str, from: &[ImageLock], platform: Platform) -> String {
    let mut text = format!("provenv dockerfile 1\n{}\n{context}\n", platform.as_str());
    for image in from {
        text.extend([image.manifest.to_string(), "\n".to_owned()]);
    }
    Digest::of(text.as_bytes()).hex()
}

/// Lays an image of the store out as an OCI layout, in which it is called `base`. Its blobs are links: the engine reads them.
fn lay_image(store: &Store, image: &ImageLock, to: &Path) -> Result<()> {
    let base = store.read(&image.manifest)?;
    let media_type =
        serde_json::from_slice::<serde_json::Value>(&base).unwrap_or_default()["mediaType"].clone();
    let media_type = media_type.as_str().unwrap_or(provenv_image::oci::MANIFEST_TYPE).to_owned();
    let manifest = Manifest::parse(&base)
        .map_err(|source| provenv_image::base_image::Error::Manifest { image: image.manifest, source })
        .map_err(|error| Error::Image(error.into()))?;
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [{
        "mediaType": media_type, "digest": image.manifest, "size": base.len(),
        "annotations": { "org.opencontainers.image.ref.name": "base" },
    }] });
    let blobs = to.join("blobs/sha256");
    let lay = || {
        fs_err::create_dir_all(&blobs)?;
        fs_err::write(to.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        fs_err::write(to.join("index.json"), index.to_string())?;
        for digest in std::iter::once(image.manifest).chain(manifest.blobs().map(|(digest, _)| digest)) {
            let link = blobs.join(digest.hex());
            if fs_err::symlink_metadata(&link).is_err() {
                fs_err::os::unix::fs::symlink(store.path(&digest), link)?;
            }
        }
        std::io::Result::Ok(())
    };
    lay().doing(|| "could not prepare the run of the Dockerfile".to_owned())
}
