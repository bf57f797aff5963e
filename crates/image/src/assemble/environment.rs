//! The environment in its prefix: Python packages, and what is there and in no package.

use std::collections::BTreeSet;
use std::sync::Arc;

use provenv_fetch::Phase;
use provenv_lock::{PypiPackage, PypiSource, PythonLock};

use super::build::{Build, known};
use super::family::Package;
use super::joining::{Layers, literal};
use super::{Error, conda, source_of};
use crate::entry::{Entry, EntryKind};
use crate::path;
use crate::segment::{self, PREFIX, WheelFacts};

impl Build<'_> {
    /// What is in the prefix and in no package: what makes it a virtual environment, unless Python lies in it, and what makes
    /// it one of conda's, if there are conda packages.
    pub(super) fn own_files(&self) -> Result<Layers, Error> {
        let venv = self.lock.python.as_ref().filter(|python| python.has_virtualenv());
        if self.lock.conda.is_empty() {
            let skeleton = venv.map(virtualenv).unwrap_or_default();
            // On Debian packages alone it always was a layer, and so it stays.
            if skeleton.is_empty() && self.lock.base.manifest().is_some() {
                return Ok(Layers::default());
            }
            return Ok(literal(self.store, "virtual environment", &skeleton, self.form.packing)?);
        }
        let mut entries = vec![conda::history(self.lock)];
        entries.extend(venv.map(virtualenv).unwrap_or_default());
        Ok(literal(self.store, "conda environment", &entries, self.form.packing)?)
    }

    /// Refuses packages that would take the interpreter's place, or change what is noted of conda packages.
    pub(super) fn keep_interpreter(
        &self,
        conda: Option<&conda::Conda>,
        wheels: &[Package],
    ) -> Result<(), Error> {
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

    pub(super) async fn wheel(
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
