//! The bytecode of packages, made by the image's own Python.

use std::cell::Cell;
use std::sync::{Arc, PoisonError};

use futures::future::{try_join, try_join_all};
use provenv_definition::Digest;
use provenv_fetch::Phase;
use provenv_lock::PythonLock;
use tokio::sync::watch;

use super::build::Build;
use super::family::Package;
use super::system::Base;
use super::{Error, conda, interpreter};
use crate::layer::Layer;
use crate::segment::{self, Bytecode, Compiler};
use crate::unpack;

/// What modules are compiled on.
#[derive(Clone)]
pub(super) struct Ground {
    pub layers: Vec<Layer>,
    /// What stands for the interpreter in them.
    pub interpreter: Digest,
}

impl Build<'_> {
    /// What modules are compiled on: Debian's packages, and where Python is conda's, what that stands on. Nothing else may
    /// have a say in what bytecode comes out, because it is kept for every environment with this interpreter.
    pub(super) fn ground(
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
    pub(super) async fn compile_lower(
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

    /// The bytecode of a package's modules, once there is something to compile on.
    pub(super) async fn bytecode(
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
}
