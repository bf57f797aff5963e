//! Packages that lie in one part of the image and may be in each other's way: all Debian packages, all conda packages, or all
//! wheels.

use std::collections::BTreeSet;
use std::sync::Arc;

use provenv_definition::Digest;
use provenv_store::Store;

use super::Error;
use super::conflict::{self, Outcome, Source};
use super::plan::Candidate;
use crate::form::Packing;
use crate::layer::{self, Layer, Note, Part};
use crate::segment::{self, Bytecode, Segment, bytecode_path};

/// A package's files, and its bytecode once it is made.
#[derive(Clone)]
pub(super) struct Package {
    pub name: String,
    /// Name and version.
    pub what: String,
    /// The artifact's.
    pub sha256: Digest,
    pub segment: Arc<Segment>,
    pub bytecode: Option<Arc<Bytecode>>,
    /// What its installer notes of it, beside its files.
    pub note: Option<Arc<Note>>,
}

impl Package {
    fn compiled(&self) -> Option<&Segment> {
        self.bytecode.as_ref()?.segment.as_ref()
    }
}

/// Packages, what is in them, and how their conflicts come out.
pub(super) struct Family {
    /// In the order in which an installer would lay them down.
    pub packages: Vec<Package>,
    outcome: Outcome,
}

/// A segment of a family, by the number of its package.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Files(usize),
    Bytecode(usize),
}

impl Family {
    /// Packages that are laid down in the order of their names.
    pub fn by_name(store: &Store, mut packages: Vec<Package>, version: (u32, u32)) -> Result<Self, Error> {
        packages.sort_by(|one, other| (&one.name, &one.what).cmp(&(&other.name, &other.what)));
        Self::in_order(store, packages, version)
    }

    /// Packages that are laid down in this order.
    pub fn in_order(store: &Store, packages: Vec<Package>, version: (u32, u32)) -> Result<Self, Error> {
        let without = vec![BTreeSet::new(); packages.len()];
        Self::without(store, packages, &without, version)
    }

    /// The same, without some paths of each, which nobody has then.
    pub fn without(
        store: &Store,
        packages: Vec<Package>,
        without: &[BTreeSet<String>],
        version: (u32, u32),
    ) -> Result<Self, Error> {
        let sources: Vec<Source<'_>> = packages
            .iter()
            .map(|package| Source {
                what: &package.what,
                files: &package.segment,
                bytecode: package.compiled(),
            })
            .collect();
        let mut outcome = conflict::resolve(store, &sources, |path| bytecode_path(path, version))?;
        for (n, paths) in without.iter().enumerate().filter(|(_, paths)| !paths.is_empty()) {
            let compiled = packages[n].compiled().into_iter().flat_map(|segment| &segment.index.entries);
            let made: BTreeSet<&str> = compiled.map(|item| &*item.path).collect();
            let bytecode = paths.iter().map(|path| bytecode_path(path, version));
            outcome.bytecode[n].extend(bytecode.filter(|path| made.contains(&**path)));
            outcome.files[n].extend(paths.iter().cloned());
        }
        Ok(Self { packages, outcome })
    }

    /// The files of every package.
    pub fn files(&self) -> impl Iterator<Item = Place> {
        (0..self.packages.len()).map(Place::Files)
    }

    /// The bytecode of every package that has some.
    pub fn bytecode(&self) -> impl Iterator<Item = Place> {
        (0..self.packages.len()).filter(|&n| self.packages[n].compiled().is_some()).map(Place::Bytecode)
    }

    /// Paths that each package leaves to later ones.
    pub fn given_up(&self) -> &[BTreeSet<String>] {
        &self.outcome.files
    }

    pub fn notes(&self) -> &[String] {
        &self.outcome.notes
    }

    /// Modules that do not compile.
    pub fn uncompiled(&self) -> impl Iterator<Item = String> {
        self.packages
            .iter()
            .filter_map(|package| package.bytecode.as_ref())
            .flat_map(|made| made.failed.clone())
    }

    /// What is to be known of a place when layers are planned.
    pub fn candidate(&self, place: Place) -> Candidate {
        let part = self.part(place);
        let (Place::Files(n) | Place::Bytecode(n)) = place;
        let package = &self.packages[n];
        let what = match place {
            Place::Files(_) => package.what.clone(),
            Place::Bytecode(_) => format!("{} (bytecode)", package.what),
        };
        Candidate { name: package.name.clone(), what, size: part.segment.size }
    }

    fn part(&self, place: Place) -> Part<'_> {
        match place {
            Place::Files(n) => Part { segment: &self.packages[n].segment, without: &self.outcome.files[n] },
            Place::Bytecode(n) => {
                let segment =
                    self.packages[n].compiled().expect("only packages with bytecode have this place");
                Part { segment, without: &self.outcome.bytecode[n] }
            }
        }
    }

    /// Joins what stands at `places` to a layer; gives the keys of the records that it was made with too.
    pub fn join(
        &self,
        store: &Store,
        what: String,
        places: &[Place],
        packing: Packing,
    ) -> Result<(Layer, Vec<String>), segment::Error> {
        let packages: BTreeSet<&str> = places
            .iter()
            .map(|(Place::Files(n) | Place::Bytecode(n))| self.packages[*n].what.as_str())
            .collect();
        let packages = packages.into_iter().map(str::to_owned).collect();
        let parts: Vec<Part<'_>> = places.iter().map(|place| self.part(*place)).collect();
        let notes: Vec<&Note> = places
            .iter()
            .filter_map(|place| match place {
                Place::Files(n) => self.packages[*n].note.as_deref(),
                Place::Bytecode(_) => None,
            })
            .collect();
        layer::join_with(store, what, packages, &parts, &notes, &self.outcome.folders, packing)
    }
}
