//! The conda packages of a build.
//!
//! Those that Python stands on have layers of their own: modules are compiled on them and on Debian's packages alone. The
//! bytecode of a package is kept for every environment with that interpreter, so no other package may have a say in it, as
//! one could that puts a library or a module of its own beside Python's.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::{try_join, try_join_all};
use provenv_definition::Digest;
use provenv_fetch::Phase;
use provenv_lock::{CondaPackage, PlatformLock, PypiPackage, PythonLock};

use super::build::{Build, case_note, known};
use super::family::{Family, Package, Place};
use super::install_order::{closure, install_order};
use super::joining::Layers;
use super::plan::Kind;
use super::{Error, LinkScript, replaced, scripts};
use crate::conda_meta;
use crate::entry::Entry;
use crate::path;
use crate::segment::{self, CondaFacts, PREFIX};

/// The package that is Python.
pub(super) const PYTHON: &str = "python";

/// The conda packages, and the layers of their files.
pub(super) struct Conda {
    /// In the order in which they are laid down.
    pub family: Arc<Family>,
    /// The layers of what Python stands on; none where Python is not conda's.
    pub python: Layers,
    /// Those of the others.
    others: Layers,
    /// What stands for the interpreter, where it is conda's.
    pub interpreter: Option<Digest>,
    /// Paths of each package that pip's packages replace.
    pub replaced: Vec<BTreeSet<String>>,
    pub notes: Vec<String>,
    /// The scripts that the packages want to be run, in the order in which they are laid down.
    pub scripts: Vec<LinkScript>,
}

impl Conda {
    pub fn layers(&self) -> Layers {
        let mut layers = self.python.clone();
        layers.extend(self.others.clone());
        layers
    }

    /// Names by which shared libraries may be found.
    pub fn libraries(&self) -> impl Iterator<Item = String> {
        let items = self.family.packages.iter().flat_map(|package| &package.segment.index.entries);
        let names = items.map(|item| path::file_name(&item.path)).filter(|name| name.contains(".so"));
        names.map(str::to_owned)
    }

    /// The paths by which Python is started, where it is conda's.
    pub fn interpreter_paths(&self) -> impl Iterator<Item = &str> {
        let python = self.family.packages.iter().find(|package| package.name == PYTHON);
        let items = python.into_iter().flat_map(|package| &package.segment.index.entries);
        items.map(|item| item.path.as_str()).filter(|path| {
            let path = path.strip_prefix(PREFIX).unwrap_or_default();
            path.starts_with("/bin/python") || path.starts_with("/lib/libpython")
        })
    }
}

/// Where each of `packages` comes when they are laid down, of which `depends` says what each needs.
pub(super) fn order_of<'f>(
    packages: &[CondaPackage],
    depends: &[Vec<String>],
    facts: impl Iterator<Item = &'f CondaFacts>,
) -> Vec<usize> {
    let is_noarch = |(package, facts): (&CondaPackage, &CondaFacts)| {
        package.subdir == "noarch" || conda_meta::is_noarch(facts)
    };
    let noarch: Vec<bool> = packages.iter().zip(facts).map(is_noarch).collect();
    install_order(packages, depends, &noarch)
}

impl Build<'_> {
    /// The conda packages, if there are any, without what `wheels` replace of them.
    pub(super) async fn conda(&self, wheels: &[PypiPackage]) -> Result<Option<Conda>, Error> {
        let packages = &self.lock.conda;
        if packages.is_empty() {
            return Ok(None);
        }
        let bytes = packages.iter().map(|package| package.artifact.size).sum();
        self.reporter.expect(Phase::Assembling, packages.len() as u64, bytes);
        let made = try_join_all(packages.iter().map(|package| self.conda_package(package))).await?;
        let (mut laid, facts): (Vec<Package>, Vec<CondaFacts>) = made.into_iter().unzip();
        keep_records(&laid)?;
        let packages = &conda_meta::with_needs(packages, facts.iter());
        let depends: Vec<Vec<String>> = packages.iter().map(|package| package.depends.clone()).collect();
        for ((laid, package), facts) in laid.iter_mut().zip(packages).zip(&facts) {
            laid.note = Some(Arc::new(conda_meta::record(package, facts, &conda_meta::Asked::new())));
        }
        let order = order_of(packages, &depends, facts.iter());
        let own_python = self.lock.python.as_ref().filter(|python| python.is_condas());
        let stands_on = match own_python {
            Some(python) => {
                check_python(packages, &laid, &facts, python)?;
                closure(packages, &depends, PYTHON)
            }
            None => BTreeSet::new(),
        };
        let (replaced, mut notes) = self.replaced(&laid, wheels).await?;
        let pick = |wanted: &dyn Fn(&usize) -> bool| -> (Vec<Package>, Vec<BTreeSet<String>>) {
            let wanted = order.iter().filter(|n| wanted(n));
            wanted.map(|&n| (laid[n].clone(), replaced[n].clone())).unzip()
        };
        let (packages, replaced) = pick(&|_| true);
        let (stood_on, of_these) = pick(&|n| stands_on.contains(n));
        let all = self.in_order(packages, replaced.clone());
        let python = self.in_order(stood_on, of_these);
        let (all, python) = try_join(all, python).await?;
        let interpreter = own_python.map(|_| interpreter(&python));
        let others: Vec<Place> =
            (0..order.len()).filter(|&n| !stands_on.contains(&order[n])).map(Place::Files).collect();
        let (python_layers, other_layers) = try_join(
            self.spread(&python, Kind::CondaPython, python.files().collect()),
            self.spread(&all, Kind::Conda, others),
        )
        .await?;
        notes.extend(laid.iter().zip(&facts).filter_map(|(package, facts)| {
            facts.case_pair.as_ref().map(|pair| case_note(&package.what, pair))
        }));
        notes.extend_from_slice(all.notes());
        let scripts = order.iter().flat_map(|&n| scripts::of(&self.lock.conda[n], &facts[n])).collect();
        let (python, others) = (python_layers, other_layers);
        Ok(Some(Conda { family: all, python, others, interpreter, replaced, notes, scripts }))
    }

    /// Paths of each of `packages` that `wheels` replace, and what is to be said of it.
    async fn replaced(
        &self,
        packages: &[Package],
        wheels: &[PypiPackage],
    ) -> Result<(Vec<BTreeSet<String>>, Vec<String>), Error> {
        let Some(python) = self.lock.python.as_ref().map(PythonLock::minor) else {
            return Ok((vec![BTreeSet::new(); packages.len()], Vec::new()));
        };
        let (store, packages, wheels) = (self.store.clone(), packages.to_vec(), wheels.to_vec());
        self.blocking(move || replaced::by_wheels(&store, &packages, &wheels, python)).await
    }

    pub(super) async fn conda_package(&self, package: &CondaPackage) -> Result<(Package, CondaFacts), Error> {
        let artifact = &package.artifact;
        let path = self.fetcher.artifact(&artifact.url, &artifact.sha256, known(artifact.size)).await?;
        let what = format!("{} {}", package.name, package.version);
        let (store, sha256) = (self.store.clone(), artifact.sha256);
        let pythons = for_pythons(package, self.lock.python.as_ref());
        let name = file_name(package);
        let work = move || segment::conda_for(&store, &path, &sha256, &name, &pythons);
        let made = self.item(&what, artifact.size, work).await?;
        check_identity(package, &made.facts)?;
        let segment = Arc::new(made.segment);
        let name = package.name.clone();
        Ok((Package { name, what, sha256, segment, bytecode: None, note: None }, made.facts))
    }
}

/// The minor versions of Python that the segment of `package` may depend on, in the order in which they are tried: that of conda's,
/// for what is made for any. In the folder of a platform only a package's archive says whether it is; most are not.
pub(crate) fn for_pythons(package: &CondaPackage, python: Option<&PythonLock>) -> Vec<Option<(u32, u32)>> {
    let python = condas(python);
    match python {
        Some(_) if package.subdir != "noarch" => vec![None, python],
        _ => vec![python],
    }
}

/// The minor version of `python`, if it is conda's.
pub(super) fn condas(python: Option<&PythonLock>) -> Option<(u32, u32)> {
    python.filter(|python| python.is_condas()).map(PythonLock::minor)
}

/// The history of the environment of `lock`.
pub(super) fn history(lock: &PlatformLock) -> Entry {
    Entry::file(
        format!("{}/history", conda_meta::FOLDER),
        0o644,
        conda_meta::history(&lock.conda, &conda_meta::Asked::new()),
    )
}

/// A path and those of the folders above it.
pub(super) fn with_parents(path: &str) -> impl Iterator<Item = &str> {
    path::parents(path).chain([path])
}

/// Refuses packages that would change what is noted of conda packages.
pub(super) fn keep_records(packages: &[Package]) -> Result<(), Error> {
    for package in packages {
        let mut items = package.segment.index.entries.iter();
        if let Some(item) = items.find(|item| conda_meta::is_reserved(&item.path)) {
            return Err(Error::CondaMeta { what: package.what.clone(), path: item.path.clone() });
        }
    }
    Ok(())
}

/// The archive's name, as the lock has it: a URL may write it otherwise.
pub(super) fn file_name(package: &CondaPackage) -> String {
    let CondaPackage { name, version, build, artifact, .. } = package;
    let is_old = artifact.url.file_name().is_some_and(|name| name.ends_with(".tar.bz2"));
    format!("{name}-{version}-{build}{}", if is_old { ".tar.bz2" } else { ".conda" })
}

/// Refuses an archive that says it is another package than the lock says. That its name says so is seen only where its segment is
/// made: another lock may have had it made under its own name.
fn check_identity(package: &CondaPackage, facts: &CondaFacts) -> Result<(), Error> {
    #[derive(serde::Deserialize)]
    struct Index {
        name: String,
        version: String,
        build: String,
    }
    let found: Option<Index> = serde_json::from_str(&facts.index).ok();
    let is_it = |own: &Index| {
        (&own.name, &own.version, &own.build) == (&package.name, &package.version, &package.build)
    };
    if found.as_ref().is_some_and(is_it) {
        return Ok(());
    }
    Err(Error::OtherPackage {
        named: format!("{} {} {}", package.name, package.version, package.build),
        file: file_name(package),
        found: found.map_or("none".to_owned(), |own| {
            format!("{} {} {}", own.name, own.version, own.build).escape_debug().to_string()
        }),
    })
}

/// What stands for conda's interpreter: every package it stands on, and what of each lies there.
fn interpreter(family: &Family) -> Digest {
    let mut rows: Vec<String> = family
        .packages
        .iter()
        .zip(family.given_up())
        .map(|(package, given_up)| {
            let given_up: Vec<&str> = given_up.iter().map(String::as_str).collect();
            format!("{} {}\n", package.sha256.hex(), given_up.join("\n-"))
        })
        .collect();
    rows.sort();
    Digest::of(format!("conda interpreter\n{}", rows.concat()).as_bytes())
}

/// Refuses a Python whose modules lie elsewhere than those of packages for any Python are laid, or that is none.
fn check_python(
    packages: &[CondaPackage],
    laid: &[Package],
    facts: &[CondaFacts],
    python: &PythonLock,
) -> Result<(), Error> {
    let missing = || Error::NoInterpreter(python.executable.clone());
    let n = packages.iter().position(|package| package.name == PYTHON).ok_or_else(missing)?;
    let other = |problem: String| Err(Error::OtherPython { what: laid[n].what.clone(), problem });
    let (major, minor) = python.minor();
    let site = format!("lib/python{major}.{minor}/site-packages");
    if let Some(own) = conda_meta::site_packages(&facts[n]).filter(|own| *own != site) {
        if own == format!("lib/python{major}.{minor}t/site-packages") {
            return Err(Error::FreeThreaded { what: format!("{} {}", laid[n].what, packages[n].build) });
        }
        return other(format!("its packages lie in `{}`, not in `{site}`", own.escape_debug()));
    }
    let executable = python.executable.trim_start_matches('/');
    if !laid[n].segment.index.entries.iter().any(|item| item.path == executable) {
        return other(format!("it is not at {}", python.executable));
    }
    Ok(())
}
