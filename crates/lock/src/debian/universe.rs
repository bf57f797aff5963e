//! All packages that can be chosen: those of a suite, its updates and its security updates together.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::index::Index;
use super::package::Package;
use super::relation::Relation;

type Packages = Rc<[Rc<Package>]>;

/// Packages of several indexes for one architecture. Look-ups are remembered.
pub(super) struct Universe<'a> {
    indexes: &'a [Index],
    architecture: &'a str,
    named: RefCell<HashMap<String, Packages>>,
    providing: RefCell<HashMap<String, Packages>>,
}

/// A kept index that cannot be read, or a paragraph in it.
#[derive(Debug, thiserror::Error)]
pub(super) enum UniverseError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("in the paragraph of `{0}`: {1}")]
    Paragraph(String, String),
}

impl<'a> Universe<'a> {
    pub fn new(indexes: &'a [Index], architecture: &'a str) -> Self {
        Self { indexes, architecture, named: RefCell::default(), providing: RefCell::default() }
    }

    pub fn architecture(&self) -> &str {
        self.architecture
    }

    /// The packages called `name`, the latest version first. Of the same version in several indexes, the first
    /// index's is taken.
    pub fn named(&self, name: &str) -> Result<Packages, UniverseError> {
        if let Some(known) = self.named.borrow().get(name) {
            return Ok(Rc::clone(known));
        }
        let mut found = self.read(name, Index::named)?;
        found.sort_by(|a, b| b.version.cmp(&a.version).then(a.index.cmp(&b.index)));
        found.dedup_by(|later, earlier| later.version == earlier.version);
        let found: Packages = found.into();
        self.named.borrow_mut().insert(name.to_owned(), Rc::clone(&found));
        Ok(found)
    }

    /// The packages that provide `name` in their latest version, the likeliest first: by priority, then by name.
    pub fn providing(&self, name: &str) -> Result<Packages, UniverseError> {
        if let Some(known) = self.providing.borrow().get(name) {
            return Ok(Rc::clone(known));
        }
        let mut names: Vec<String> =
            self.read(name, Index::providing)?.into_iter().map(|package| package.name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        let mut found = Vec::new();
        for provider in names {
            let versions = self.named(&provider)?;
            found.extend(
                versions
                    .first()
                    .filter(|package| package.provides.iter().any(|(provided, _)| provided == name))
                    .map(Rc::clone),
            );
        }
        found.sort_by_key(|package| package.priority);
        let found: Packages = found.into();
        self.providing.borrow_mut().insert(name.to_owned(), Rc::clone(&found));
        Ok(found)
    }

    /// The packages that `relation` may be answered with, the best first.
    pub fn answering(&self, relation: &Relation) -> Result<Vec<Rc<Package>>, UniverseError> {
        let mut found: Vec<Rc<Package>> = Vec::new();
        let fits = |package: &Package| package.fits(relation, self.architecture);
        for package in self.named(&relation.name)?.iter() {
            if relation.accepts(&package.version) && fits(package) {
                found.push(Rc::clone(package));
            }
        }
        for package in self.providing(&relation.name)?.iter() {
            if package.provides_for(relation) && fits(package) {
                found.push(Rc::clone(package));
            }
        }
        Ok(found)
    }

    /// All names of packages.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.indexes.iter().flat_map(Index::names)
    }

    fn read(
        &self,
        name: &str,
        ask: impl Fn(&Index, &str) -> std::io::Result<Vec<String>>,
    ) -> Result<Vec<Rc<Package>>, UniverseError> {
        let mut found = Vec::new();
        for (position, index) in self.indexes.iter().enumerate() {
            for paragraph in ask(index, name)? {
                let package = Package::parse(&paragraph, position)
                    .map_err(|reason| UniverseError::Paragraph(name.to_owned(), reason))?;
                if package.architecture == self.architecture || package.architecture == "all" {
                    found.push(Rc::new(package));
                }
            }
        }
        Ok(found)
    }
}
