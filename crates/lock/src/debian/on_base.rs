//! Packages on top of a system that is there already: a base from a registry.

use provenv_definition::{Digest, Platform, SafeUrl, Suite, SystemPackage};
use provenv_fetch::Phase;

use super::error::{Error, Result};
use super::relation::Relation;
use super::solve::solve;
use super::suite::{Extent, OpenSuite};
use super::universe::Universe;
use super::{Archive, as_installed, blocking, locked, python, request};
use crate::{Artifact, DebPackage, IndexState, PythonLock};

/// A package that is installed, as dpkg says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Debian's name.
    pub name: String,
    /// Debian's version.
    pub version: String,
    /// `amd64`, `arm64` or `all`.
    pub architecture: String,
}

/// What must be added to a system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Additions {
    /// What was asked for and is not there, with all that it needs, sorted by name.
    pub packages: Vec<DebPackage>,
    /// The interpreter, where `python3` is among them.
    pub python: Option<PythonLock>,
    /// What the archive said of the suite, its updates and its security updates.
    pub indexes: Vec<IndexState>,
}

impl Installed {
    /// As a package of a lock, whose file nobody will ask for.
    pub fn as_locked(&self) -> DebPackage {
        let nowhere = SafeUrl::new(url::Url::parse("file:///").expect("a URL"));
        DebPackage {
            name: self.name.clone(),
            version: self.version.clone(),
            architecture: self.architecture.clone(),
            artifact: Artifact { url: nowhere, size: 0, sha256: Digest::of(b"") },
        }
    }
}

impl Archive {
    /// Chooses what must be added to `installed`, packages of `suite`, to have `requested` too. What is installed stays in its
    /// version.
    pub async fn add_to(
        &self,
        suite: &Suite,
        platform: Platform,
        installed: &[Installed],
        requested: &[SystemPackage],
    ) -> Result<Additions> {
        let item = "Debian packages";
        self.fetcher.reporter().begin(Phase::Resolving, item);
        let additions = async {
            let open = self.opener()?.open(&suite.0, platform, Extent::Full).await?;
            let installed: Vec<DebPackage> = installed.iter().map(Installed::as_locked).collect();
            let requested = requested.to_vec();
            blocking(move || choose(&open, &installed, &requested, platform)).await
        };
        let additions = additions.await;
        self.fetcher.reporter().end(Phase::Resolving, item);
        additions
    }
}

fn choose(
    open: &OpenSuite,
    installed: &[DebPackage],
    requested: &[SystemPackage],
    platform: Platform,
) -> Result<Additions> {
    let universe = Universe::new(&open.indexes, platform.architecture());
    let there =
        installed.iter().map(|package| as_installed(&universe, open, package)).collect::<Result<Vec<_>>>()?;
    let mut wanted = Vec::new();
    for package in requested {
        // What is there may be of another archive, and known in none that is asked here.
        let same = there.iter().find(|there| there.name == package.name);
        let answers = |there: &super::Package| {
            package.version.as_ref().is_none_or(|version| *version == there.version_text)
        };
        wanted.push(match same.filter(|there| answers(there)) {
            Some(there) => Relation::exactly(&there.name, there.version.clone()),
            None => request(&universe, open, &package.name, package.version.as_deref())?,
        });
    }
    let added = solve(&universe, there.clone(), wanted)
        .map_err(|error| Error::from_unsolvable(error, &open.codename))?;
    let brings_python = added.iter().any(|package| package.name == "python3");
    let all: Vec<_> = there.into_iter().chain(added.iter().cloned()).collect();
    Ok(Additions {
        python: python::lock(&all).filter(|_| brings_python),
        packages: locked(&added, open),
        indexes: open.states.clone(),
    })
}
