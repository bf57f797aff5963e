//! What a lock holds, flat, to be searched: packages of every ecosystem, and what the image stands on.

use std::collections::BTreeSet;

use provenv_definition::Digest;

use crate::{BaseLock, Lock, PlatformLock, PypiSource};

/// One thing that a lock holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// `base`, `conda`, `debian`, `pypi` or `python`.
    pub ecosystem: &'static str,
    /// The ecosystem's name of it; of a base the repository, or `debian`.
    pub name: String,
    /// Its version; of a base the tag or the suite.
    pub version: String,
    /// The digest of its file, or of the base's manifest. The interpreter and a suite have none.
    pub digest: Option<Digest>,
}

impl Lock {
    /// Everything that it holds for any platform, each once.
    pub fn held(&self) -> BTreeSet<Held> {
        self.platforms.values().flat_map(PlatformLock::held).collect()
    }
}

impl PlatformLock {
    fn held(&self) -> Vec<Held> {
        let held = |ecosystem, name: &str, version: &str, digest| Held {
            ecosystem,
            name: name.to_owned(),
            version: version.to_owned(),
            digest,
        };
        let image = |image: &crate::ImageLock| {
            let (name, tag) = image.name_and_tag();
            let manifest = held("base", name, tag, Some(image.manifest));
            let index = image.index.map(|index| held("base", name, tag, Some(index)));
            std::iter::once(manifest).chain(index).collect::<Vec<_>>()
        };
        let mut all = match &self.base {
            BaseLock::Debian { suite } => vec![held("base", "debian", &suite.to_string(), None)],
            BaseLock::Image(base) => image(base),
            BaseLock::Dockerfile(made) => {
                let mut all: Vec<Held> = made.from.iter().flat_map(image).collect();
                all.push(held("base", "Dockerfile", "", Some(made.manifest)));
                all
            }
        };
        for package in &self.debian {
            all.push(held("debian", &package.name, &package.version, Some(package.artifact.sha256)));
        }
        if let Some(python) = &self.python {
            all.push(held("python", "python", &python.version, None));
        }
        for package in &self.conda {
            all.push(held("conda", &package.name, &package.version, Some(package.artifact.sha256)));
        }
        for package in &self.pypi {
            all.push(held("pypi", &package.name, &package.version, Some(*package.digest())));
            if let PypiSource::Built { sdist: Some(sdist), .. } = &package.source {
                all.push(held("pypi", &package.name, &package.version, Some(sdist.sha256)));
            }
        }
        all
    }
}
