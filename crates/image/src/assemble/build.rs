//! One build of one lock.

use std::sync::{Arc, Mutex};

use futures::future::{try_join, try_join_all};
use provenv_definition::{Digest, Platform};
use provenv_fetch::{Fetcher, Reporter};
use provenv_lock::{PlatformLock, PythonLock};
use provenv_store::Store;
use tokio::sync::{Semaphore, watch};

use super::family::{Package, Place};
use super::joining::Layers;
use super::plan::Kind;
use super::system::Base;
use super::{Assembler, Error, Kept, conda, shadow};
use crate::base_image::BaseImage;
use crate::form::Form;
use crate::oci::{self, ImageConfig};
use crate::python::PythonHost;
use crate::segment::{Compiler, WheelFacts};
use crate::{base_state, linking};

/// Packages that are compiled at a time: one would leave the workers idle at its end.
const COMPILING: usize = 3;

/// One build of one lock.
pub(super) struct Build<'a> {
    pub(super) fetcher: &'a Fetcher,
    pub(super) store: &'a Store,
    pub(super) reporter: Arc<dyn Reporter>,
    pub(super) host: Arc<dyn PythonHost>,
    pub(super) lock: &'a PlatformLock,
    pub(super) platform: Platform,
    pub(super) form: Form,
    /// For work that keeps a core busy and then waits for the disk.
    pub(super) permits: Arc<Semaphore>,
    pub(super) compiling: Semaphore,
    pub(super) workers: usize,
    /// Started when the first module is to be compiled.
    pub(super) compiler: Arc<Mutex<Option<Arc<Compiler>>>>,
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
            form: assembler.form,
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
        // Before the work: a form that this lock cannot have is known at once.
        self.parts()?.check(self.form.layers)?;
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
            Some(base) => ImageConfig::over(self.lock, &base, self.form),
            None => ImageConfig::of(self.lock, self.form),
        };
        debug_assert!(self.form.layers.is_none_or(|most| kept.layers.len() <= most.into()));
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
        let (debian_bytecode, python_layers) =
            try_join(debian_bytecode, self.spread(&wheels, Kind::Python, places)).await?;

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
            let bytecode = self.spread(&compiled, Kind::CondaBytecode, compiled.bytecode().collect()).await?;
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

    /// The base and its bytecode, which an image will need.
    pub async fn warm(&self) -> Result<(), Error> {
        let Some(python) = &self.lock.python else { return Ok(()) };
        let (base, conda) = try_join(self.debian(), self.conda(&[])).await?;
        let ground = self.ground(&base, conda.as_ref(), python)?;
        let (_tell, told) = watch::channel(Some(ground));
        self.compile_lower(&base, conda.as_ref(), python, &told).await.map(drop)
    }

    /// The image that the base is, if it is one.
    pub(super) fn base_image(&self) -> Result<Option<BaseImage>, Error> {
        let open = |manifest: &Digest| BaseImage::open(self.fetcher.store(), manifest, self.platform);
        Ok(self.lock.base.manifest().map(open).transpose()?)
    }
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
