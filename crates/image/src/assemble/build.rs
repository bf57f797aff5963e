//! One build of one lock.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::{try_join, try_join_all};
use provenv_definition::{Digest, Platform};
use provenv_fetch::{Fetcher, Phase, Reporter};
use provenv_lock::{DebPackage, PlatformLock, PypiPackage, PypiSource, PythonLock};
use provenv_store::Store;
use tokio::sync::{Semaphore, watch};

use super::family::{Family, Package, Place};
use super::plan::{self, Policy};
use super::{Assembler, Error, Kept, conda, interpreter, shadow, source_of};
use crate::base_image::{self, BaseImage};
use crate::entry::{Entry, EntryKind};
use crate::layer::{self, Layer};
use crate::linking;
use crate::oci::{self, ImageConfig};
use crate::python::PythonHost;
use crate::segment::{self, Bytecode, Compiler, DebFacts, PREFIX, WheelFacts};
use crate::{base_state, path, unpack};

/// Packages that are compiled at a time: one would leave the workers idle at its end.
const COMPILING: usize = 3;

/// One build of one lock.
pub(super) struct Build<'a> {
    pub(super) fetcher: &'a Fetcher,
    pub(super) store: &'a Store,
    pub(super) reporter: Arc<dyn Reporter>,
    host: Arc<dyn PythonHost>,
    pub(super) lock: &'a PlatformLock,
    platform: Platform,
    /// For work that keeps a core busy and then waits for the disk.
    permits: Arc<Semaphore>,
    compiling: Semaphore,
    workers: usize,
    /// Started when the first module is to be compiled.
    compiler: Arc<Mutex<Option<Arc<Compiler>>>>,
}

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

/// The layers of the base, and the packages in them.
struct Base {
    family: Arc<Family>,
    layers: Layers,
    /// What the dynamic linker finds.
    libraries: BTreeSet<String>,
}

/// What modules are compiled on.
#[derive(Clone)]
struct Ground {
    layers: Vec<Layer>,
    /// What stands for the interpreter in them.
    interpreter: Digest,
}

impl<'a> Build<'a> {
    pub fn new(assembler: &'a Assembler, lock: &'a PlatformLock, platform: Platform) -> Self {
        Self {
            fetcher: &assembler.fetcher,
            store: &assembler.store,
            reporter: Arc::clone(assembler.fetcher.reporter()),
            host: Arc::clone(&assembler.python),
            lock,
            platform,
            permits: Arc::new(Semaphore::new(2 * assembler.cores)),
            compiling: Semaphore::new(COMPILING),
            workers: assembler.cores,
            compiler: Arc::default(),
        }
    }

    /// The base alone.
    pub async fn base(&self) -> Result<Kept, Error> {
        let (base, conda) = try_join(self.debian(), self.conda(&[])).await?;
        self.lower(base, conda)
    }

    /// What is below packages of Python's.
    fn lower(&self, base: Base, conda: Option<conda::Conda>) -> Result<Kept, Error> {
        let mut layers = base.layers;
        let mut notes = base.family.notes().to_vec();
        if let Some(conda) = conda {
            layers.extend(conda.layers());
            notes.extend(conda.notes);
            layers.extend(self.own_files()?);
        }
        Ok(Kept { notes, ..kept(layers) })
    }

    /// The whole image.
    pub async fn image(&self) -> Result<Kept, Error> {
        let mut kept = match &self.lock.python {
            Some(python) => self.with_python(python).await?,
            None if self.lock.pypi.is_empty() => {
                let (base, conda) = try_join(self.debian(), self.conda(&[])).await?;
                self.refuse_scripts(conda.as_ref())?;
                self.lower(base, conda)?
            }
            None => return Err(Error::NoInterpreter("python3".to_owned())),
        };
        for note in &kept.notes {
            self.reporter.note(note);
        }
        kept.layers.extend(self.post_link().await?);
        let config = match self.base_image()? {
            Some(base) => ImageConfig::over(self.lock, &base),
            None => ImageConfig::of(self.lock),
        };
        kept.image = Some(oci::write(self.store, self.platform, &kept.layers, &config)?);
        Ok(kept)
    }

    async fn with_python(&self, python: &PythonLock) -> Result<Kept, Error> {
        // The compiler needs what its Python stands on; wheels come and are made into segments meanwhile.
        let (tell, told) = watch::channel(None);
        let system = async {
            let (base, conda) = try_join(self.debian(), self.conda(&self.lock.pypi)).await?;
            self.refuse_scripts(conda.as_ref())?;
            let ground = self.ground(&base, conda.as_ref(), python)?;
            tell.send_replace(Some(ground.clone()));
            let compiled = self.compile_lower(&base, conda.as_ref(), python, &told).await?;
            Ok::<_, Error>((compiled, base, conda, ground))
        };
        let wheels = try_join_all(self.lock.pypi.iter().map(|package| async {
            let (package, made) = self.wheel(package, python).await?;
            let bytecode = self.bytecode(&package, python, told.clone()).await?;
            Ok::<_, Error>((Package { bytecode: Some(Arc::new(bytecode)), ..package }, made))
        }));
        let (((compiled, conda_compiled), base, conda, ground), wheels) = try_join(system, wheels).await?;
        let (wheels, made): (Vec<Package>, Vec<WheelFacts>) = wheels.into_iter().unzip();
        let linkages = wheels.iter().zip(&made).map(|(wheel, made)| (wheel.what.as_str(), &made.linkage));
        let mut libraries = base.libraries;
        libraries.extend(conda.iter().flat_map(conda::Conda::libraries));
        let missing = linking::missing(linkages, &libraries, base_state::machine(self.platform));
        let pairs = wheels
            .iter()
            .zip(&made)
            .filter_map(|(wheel, made)| made.case_pair.as_ref().map(|pair| case_note(&wheel.what, pair)));
        let wheel_notes: Vec<String> = pairs.chain(linking::notes(&missing)).collect();

        self.keep_interpreter(conda.as_ref(), &wheels)?;
        let compiled = self.family(compiled).await?;
        let wheels = self.family(wheels).await?;
        let own_files = self.own_files()?;
        let debian_bytecode = async {
            let places: Vec<Place> = compiled.bytecode().collect();
            if places.is_empty() {
                return Ok(Layers::default());
            }
            self.join(&compiled, vec![("bytecode of system packages".to_owned(), places)]).await
        };
        let places = wheels.files().chain(wheels.bytecode()).collect();
        let policy = if conda.is_some() { &plan::PYTHON_OVER_CONDA } else { &plan::PYTHON };
        let (debian_bytecode, python_layers) =
            try_join(debian_bytecode, self.spread(&wheels, policy, places)).await?;

        let mut layers = base.layers;
        let mut notes = base.family.notes().to_vec();
        let mut uncompiled: Vec<String> = compiled.uncompiled().collect();
        if let Some(conda) = conda {
            layers.extend(conda.layers());
            // A module of pip's that does not compile has no bytecode that would hide that of conda's below it.
            let stale: Vec<String> = wheels.uncompiled().collect();
            let mut without = conda.replaced;
            for paths in &mut without {
                paths.extend(stale.iter().cloned());
            }
            let compiled = self.in_order(conda_compiled, without).await?;
            let bytecode =
                self.spread(&compiled, &plan::CONDA_BYTECODE, compiled.bytecode().collect()).await?;
            notes.extend(conda.notes);
            uncompiled.extend(compiled.uncompiled());
            notes.extend(shadow::notes(self.store, &conda.family, &wheels)?);
            // Behind what a base alone has, so that this is the beginning of the image.
            layers.extend(own_files);
            layers.extend(debian_bytecode);
            layers.extend(bytecode);
        } else {
            layers.extend(debian_bytecode);
            layers.extend(own_files);
        }
        layers.extend(python_layers);
        notes.extend_from_slice(wheels.notes());
        notes.extend(wheel_notes);
        uncompiled.extend(wheels.uncompiled());
        let interpreter = python.is_condas().then_some(ground.interpreter);
        Ok(Kept { notes, uncompiled, missing, interpreter, ..kept(layers) })
    }

    /// What modules are compiled on: Debian's packages, and where Python is conda's, what that stands on. Nothing else may
    /// have a say in what bytecode comes out, because it is kept for every environment with this interpreter.
    fn ground(
        &self,
        base: &Base,
        conda: Option<&conda::Conda>,
        python: &PythonLock,
    ) -> Result<Ground, Error> {
        let mut layers = base.layers.layers.clone();
        if !python.is_condas() {
            return Ok(Ground { layers, interpreter: interpreter(self.lock)? });
        }
        let conda = conda.filter(|conda| conda.interpreter.is_some());
        let conda = conda.ok_or_else(|| Error::NoInterpreter(python.executable.clone()))?;
        layers.extend_from_slice(&conda.python.layers);
        Ok(Ground { layers, interpreter: conda.interpreter.expect("it was looked for") })
    }

    /// Debian's and conda's packages with their bytecode.
    async fn compile_lower(
        &self,
        base: &Base,
        conda: Option<&conda::Conda>,
        python: &PythonLock,
        told: &watch::Receiver<Option<Ground>>,
    ) -> Result<(Vec<Package>, Vec<Package>), Error> {
        // conda's Python never sees Debian's modules, and nor does one that a base from a registry has of its own.
        let sees_debians = python.executable.starts_with("/usr/bin/");
        let debian = if sees_debians { &base.family.packages } else { &[][..] };
        let conda = conda.map_or(&[][..], |conda| &conda.family.packages);
        try_join(self.compiled(debian, python, told), self.compiled(conda, python, told)).await
    }

    /// What is in the prefix and in no package: what makes it a virtual environment, unless Python lies in it, and what makes
    /// it one of conda's, if there are conda packages.
    fn own_files(&self) -> Result<Layers, Error> {
        let venv = self.lock.python.as_ref().filter(|python| python.has_virtualenv());
        if self.lock.conda.is_empty() {
            let skeleton = venv.map(virtualenv).unwrap_or_default();
            // On Debian packages alone it always was a layer, and so it stays.
            if skeleton.is_empty() && self.lock.base.manifest().is_some() {
                return Ok(Layers::default());
            }
            return Ok(literal(self.store, "virtual environment", &skeleton)?);
        }
        let mut entries = vec![conda::history(self.lock)];
        entries.extend(venv.map(virtualenv).unwrap_or_default());
        Ok(literal(self.store, "conda environment", &entries)?)
    }

    /// Refuses packages that would take the interpreter's place, or change what is noted of conda packages.
    fn keep_interpreter(&self, conda: Option<&conda::Conda>, wheels: &[Package]) -> Result<(), Error> {
        let conda_packages = conda.map_or(&[][..], |conda| &conda.family.packages);
        let python = self.lock.python.as_ref();
        let skeleton = python.filter(|python| python.has_virtualenv()).map(virtualenv).unwrap_or_default();
        let files = skeleton.iter().filter(|entry| !matches!(entry.kind, EntryKind::Directory));
        let files = files.map(|entry| entry.path.as_str());
        let folders = skeleton.iter().flat_map(|entry| path::parents(&entry.path));
        keep_paths(&files.chain(folders).collect(), conda_packages.iter().chain(wheels))?;
        if let Some(conda) = conda {
            let files = conda.interpreter_paths();
            let others = conda_packages.iter().filter(|package| package.name != conda::PYTHON);
            keep_paths(&files.flat_map(conda::with_parents).collect(), others.chain(wheels))?;
            conda::keep_records(wheels)?;
        }
        Ok(())
    }

    /// The base and its bytecode, which an image will need.
    pub async fn warm(&self) -> Result<(), Error> {
        let Some(python) = &self.lock.python else { return Ok(()) };
        let (base, conda) = try_join(self.debian(), self.conda(&[])).await?;
        let ground = self.ground(&base, conda.as_ref(), python)?;
        let (_tell, told) = watch::channel(Some(ground));
        self.compile_lower(&base, conda.as_ref(), python, &told).await.map(drop)
    }

    /// `packages` with their bytecode.
    async fn compiled(
        &self,
        packages: &[Package],
        python: &PythonLock,
        told: &watch::Receiver<Option<Ground>>,
    ) -> Result<Vec<Package>, Error> {
        try_join_all(packages.iter().map(|package| async {
            let bytecode = self.bytecode(package, python, told.clone()).await?;
            Ok(Package { bytecode: Some(Arc::new(bytecode)), ..package.clone() })
        }))
        .await
    }

    /// The image that the base is, if it is one.
    fn base_image(&self) -> Result<Option<BaseImage>, Error> {
        let open = |manifest: &Digest| BaseImage::open(self.fetcher.store(), manifest, self.platform);
        Ok(self.lock.base.manifest().map(open).transpose()?)
    }

    /// What is below all packages of conda and Python: a base from a registry with what Debian packages add to it, or
    /// Debian packages and the base state.
    async fn debian(&self) -> Result<Base, Error> {
        if let Some(image) = self.base_image()? {
            return self.over(image).await;
        }
        let (packages, facts) = self.debs().await?;
        let (store, platform) = (self.store.clone(), self.platform);
        let state = self.blocking(move || {
            let entries = base_state::entries(&facts, platform);
            let libraries = base_state::libraries(&entries, &facts, platform);
            literal(&store, "base state", &entries).map(|state| (state, libraries))
        });
        let packages = async {
            let family = self.family(packages).await?;
            let places = family.files().collect();
            let layers = self.spread(&family, &plan::SYSTEM, places).await?;
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
        let reporter = Arc::clone(&self.reporter);
        let state = self.blocking(move || {
            let root = unpack::base(&store, &image.layers, reporter.as_ref())?;
            let entries = base_state::entries_over(&facts, &root, platform)
                .map_err(|source| base_image::Error::Look { image: image.manifest, source })?;
            let libraries = base_state::libraries(&entries, &facts, platform);
            Ok::<_, Error>((literal(&own, "state of system packages", &entries)?, libraries))
        });
        let (state, found) = state.await?;
        libraries.extend(found);
        let family = self.family(packages).await?;
        let places = family.files().collect();
        layers.extend(self.spread(&family, &plan::SYSTEM, places).await?);
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

    async fn wheel(
        &self,
        package: &PypiPackage,
        python: &PythonLock,
    ) -> Result<(Package, WheelFacts), Error> {
        let (sha256, size) = source_of(package);
        self.reporter.expect(Phase::Assembling, 1, size);
        let path = match &package.source {
            PypiSource::Wheel(artifact) => {
                self.fetcher.artifact(&artifact.url, &artifact.sha256, known(artifact.size)).await?
            }
            PypiSource::Built { .. } => {
                let store = self.fetcher.store();
                if !store.contains(&sha256) {
                    return Err(Error::BuiltGone { wheel: package.wheel.clone() });
                }
                store.path(&sha256)
            }
        };
        let what = format!("{} {}", package.name, package.version);
        let (store, name, minor) = (self.store.clone(), package.wheel.clone(), python.minor());
        let work = move || segment::wheel(&store, &path, &sha256, &name, minor);
        let made = self.item(&what, size, work).await?;
        let segment = Arc::new(made.segment);
        Ok((
            Package { name: package.name.clone(), what, sha256, segment, bytecode: None, note: None },
            made.facts,
        ))
    }

    /// The bytecode of a package's modules, once there is something to compile on.
    async fn bytecode(
        &self,
        package: &Package,
        python: &PythonLock,
        mut told: watch::Receiver<Option<Ground>>,
    ) -> Result<Bytecode, Error> {
        let ground = told.wait_for(Option::is_some).await.ok().and_then(|ground| ground.clone());
        let Some(Ground { layers, interpreter }) = ground else {
            // The making of the base failed, and its error is the one to tell.
            return std::future::pending().await;
        };
        let _permit = self.compiling.acquire().await.expect("the semaphore is never closed");
        let (store, segment) = (self.store.clone(), Arc::clone(&package.segment));
        // A base from a registry is not made again: where the rest is, in a store of its own, it is taken from here.
        let (foreign_store, sha256) = (self.fetcher.store().clone(), package.sha256);
        let (host, reporter) = (Arc::clone(&self.host), Arc::clone(&self.reporter));
        let (slot, workers) = (Arc::clone(&self.compiler), self.workers);
        let (executable, version) = (python.executable.clone(), python.minor());
        let what = format!("bytecode of {}", package.what);
        // Not counted among the busy: the workers are, and this thread mostly waits.
        let work = tokio::task::spawn_blocking(move || {
            let begun = Cell::new(false);
            let compiler = || {
                begun.set(true);
                reporter.expect(Phase::Assembling, 1, 0);
                reporter.begin(Phase::Assembling, &what);
                let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(compiler) = &*slot {
                    return Ok(Arc::clone(compiler));
                }
                let (foreign, own) = unpack::split(&layers);
                let mut folders = unpack::layers(&foreign_store, foreign, reporter.as_ref())?;
                folders.extend(unpack::layers(&store, own, reporter.as_ref())?);
                let compiler = Arc::new(Compiler::new(host, folders, executable, version.1, workers));
                Ok::<_, Error>(Arc::clone(slot.insert(compiler)))
            };
            let made = segment::bytecode(&store, &segment, &sha256, &interpreter, version, compiler);
            if begun.get() {
                reporter.end(Phase::Assembling, &what);
            }
            made
        });
        work.await?
    }

    async fn family(&self, packages: Vec<Package>) -> Result<Arc<Family>, Error> {
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

    fn minor(&self) -> (u32, u32) {
        self.lock.python.as_ref().map_or((3, 0), PythonLock::minor)
    }

    /// Joins what stands at `places` to layers as `policy` says.
    pub(super) async fn spread(
        &self,
        family: &Arc<Family>,
        policy: &Policy,
        places: Vec<Place>,
    ) -> Result<Layers, Error> {
        let candidates: Vec<_> = places.iter().map(|place| family.candidate(*place)).collect();
        let below = self.base_image()?.map_or(0, |base| base.layers.len());
        let groups = plan::group(&policy.above(below), &candidates);
        let groups = groups
            .into_iter()
            .map(|group| (group.what, group.members.into_iter().map(|n| places[n]).collect()))
            .collect();
        self.join(family, groups).await
    }

    async fn join(&self, family: &Arc<Family>, groups: Vec<(String, Vec<Place>)>) -> Result<Layers, Error> {
        let made = try_join_all(groups.into_iter().map(|(what, places)| {
            let (store, family) = (self.store.clone(), Arc::clone(family));
            self.blocking(move || family.join(&store, what, &places))
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
fn literal(store: &Store, what: &str, entries: &[Entry]) -> Result<Layers, segment::Error> {
    let segment = segment::literal(store, entries)?;
    let (layer, key) = layer::join_one(store, what.to_owned(), &segment)?;
    Ok(Layers { layers: vec![layer], joined: key.into_iter().collect() })
}

/// What makes the prefix a virtual environment over the base's Python, as `python -m venv` lays it out (PEP 405).
fn virtualenv(python: &PythonLock) -> Vec<Entry> {
    let (major, minor) = python.minor();
    let home = python.executable.rsplit_once('/').map_or("/usr/bin", |(folder, _)| folder);
    let configuration = format!(
        "home = {home}\ninclude-system-site-packages = false\nversion = {}\nexecutable = {}\n",
        python.version, python.executable
    );
    vec![
        Entry::symlink(format!("{PREFIX}/bin/python"), python.executable.clone()),
        Entry::symlink(format!("{PREFIX}/bin/python{major}"), "python"),
        Entry::symlink(format!("{PREFIX}/bin/python{major}.{minor}"), "python"),
        // Python looks for site-packages even where there are none.
        Entry::directory(format!("{PREFIX}/lib/python{major}.{minor}/site-packages")),
        Entry::file(format!("{PREFIX}/pyvenv.cfg"), 0o644, configuration),
    ]
}

/// Refuses a package that would put something of its own in the place of one of `kept`: whoever starts `python` would start
/// that.
fn keep_paths<'p>(kept: &BTreeSet<&str>, packages: impl Iterator<Item = &'p Package>) -> Result<(), Error> {
    for package in packages {
        if let Some(item) = package.segment.index.entries.iter().find(|item| kept.contains(&*item.path)) {
            return Err(Error::Interpreter { what: package.what.clone(), path: item.path.clone() });
        }
    }
    Ok(())
}

/// What is known of some layers and nothing else.
fn kept(layers: Layers) -> Kept {
    Kept {
        image: None,
        layers: layers.layers,
        joined: layers.joined,
        notes: Vec::new(),
        uncompiled: Vec::new(),
        missing: Vec::new(),
        interpreter: None,
    }
}

/// What is to be said of a package with two paths that differ only in case.
pub(super) fn case_note(what: &str, (one, other): &(String, String)) -> String {
    format!(
        "{what} has /{one} and /{other}, which differ only in case: a file system that ignores case cannot hold both"
    )
}

/// A size that the lock knows.
pub(super) fn known(size: u64) -> Option<u64> {
    (size > 0).then_some(size)
}
