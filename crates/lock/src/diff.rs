//! How one lock differs from another: what `upgrade` and `env diff` show.

use std::collections::BTreeMap;

use provenv_definition::Digest;
use serde::Serialize;

use crate::{BaseLock, PlatformLock};

/// What changed between two locks of one platform, per ecosystem. Ecosystems without a change are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LockDiff {
    /// By name: `base`, `debian`, `conda`, `python` or `pypi`.
    pub ecosystems: BTreeMap<&'static str, EcosystemDiff>,
}

/// What changed in one ecosystem; all lists are sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EcosystemDiff {
    /// Only in the new lock.
    pub added: Vec<PackageVersion>,
    /// Only in the old lock.
    pub removed: Vec<PackageVersion>,
    /// In both with another version, or with other bytes of the same version.
    pub changed: Vec<PackageChange>,
}

/// A package as one lock has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackageVersion {
    /// The ecosystem's name of it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Bytes of its artifact, 0 where the index does not say.
    pub size: u64,
}

/// A package as both locks have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackageChange {
    /// The ecosystem's name of it.
    pub name: String,
    /// Its version before.
    pub old_version: String,
    /// Its version now; the same where only the bytes differ, e.g. another build of it.
    pub new_version: String,
    /// Bytes of its artifact before.
    pub old_size: u64,
    /// Bytes of its artifact now.
    pub new_size: u64,
}

impl LockDiff {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.ecosystems.is_empty()
    }
}

/// What has to change in `old` to make it `new`.
pub fn diff(old: &PlatformLock, new: &PlatformLock) -> LockDiff {
    let ecosystems = [
        ("base", base as fn(&PlatformLock) -> Packages),
        ("debian", debian),
        ("conda", conda),
        ("python", python),
        ("pypi", pypi),
    ];
    let ecosystems = ecosystems
        .into_iter()
        .map(|(name, packages)| (name, compare(&packages(old), &packages(new))))
        .filter(|(_, diff)| *diff != EcosystemDiff::default())
        .collect();
    LockDiff { ecosystems }
}

/// Version, size and, where there are bytes, their digest, by name.
type Packages = BTreeMap<String, (String, u64, Option<Digest>)>;

fn base(lock: &PlatformLock) -> Packages {
    let BaseLock::Debian { suite } = &lock.base;
    Packages::from([("debian".to_owned(), (suite.to_string(), 0, None))])
}

fn debian(lock: &PlatformLock) -> Packages {
    let package = |package: &crate::DebPackage| {
        let artifact = &package.artifact;
        (package.name.clone(), (package.version.clone(), artifact.size, Some(artifact.sha256)))
    };
    lock.debian.iter().map(package).collect()
}

fn conda(lock: &PlatformLock) -> Packages {
    let package = |package: &crate::CondaPackage| {
        let (version, artifact) = (format!("{} {}", package.version, package.build), &package.artifact);
        (package.name.clone(), (version, artifact.size, Some(artifact.sha256)))
    };
    lock.conda.iter().map(package).collect()
}

fn python(lock: &PlatformLock) -> Packages {
    let python = lock.python.iter();
    python.map(|python| ("python".to_owned(), (python.version.clone(), 0, None))).collect()
}

fn pypi(lock: &PlatformLock) -> Packages {
    let package = |package: &crate::PypiPackage| {
        (package.name.clone(), (package.version.clone(), package.size(), Some(*package.digest())))
    };
    lock.pypi.iter().map(package).collect()
}

fn compare(old: &Packages, new: &Packages) -> EcosystemDiff {
    let version = |(name, (version, size, _)): (&String, &(String, u64, Option<Digest>))| PackageVersion {
        name: name.clone(),
        version: version.clone(),
        size: *size,
    };
    EcosystemDiff {
        added: new.iter().filter(|(name, _)| !old.contains_key(*name)).map(version).collect(),
        removed: old.iter().filter(|(name, _)| !new.contains_key(*name)).map(version).collect(),
        changed: old
            .iter()
            .filter_map(|(name, before)| {
                let after = new.get(name)?;
                // The same bytes may have another size here: an index may have learnt to tell it.
                let same = before.0 == after.0 && before.2 == after.2;
                (!same).then(|| PackageChange {
                    name: name.clone(),
                    old_version: before.0.clone(),
                    new_version: after.0.clone(),
                    old_size: before.1,
                    new_size: after.1,
                })
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use provenv_definition::Suite;

    use super::*;
    use crate::{Artifact, DebPackage, PypiPackage, PypiSource, PythonLock};

    fn artifact(bytes: &str) -> Artifact {
        Artifact {
            url: "https://host.test/file".parse().unwrap(),
            size: bytes.len() as u64,
            sha256: Digest::of(bytes.as_bytes()),
        }
    }

    fn lock(python: &str, debian: &[(&str, &str)], pypi: &[(&str, &str, &str)]) -> PlatformLock {
        PlatformLock {
            base: BaseLock::Debian { suite: Suite("bookworm".into()) },
            debian: debian
                .iter()
                .map(|(name, version)| DebPackage {
                    name: (*name).into(),
                    version: (*version).into(),
                    architecture: "amd64".into(),
                    artifact: artifact(version),
                })
                .collect(),
            python: Some(PythonLock {
                version: python.into(),
                executable: "/usr/bin/python3".into(),
                glibc: "2.36".into(),
            }),
            conda: Vec::new(),
            pypi: pypi
                .iter()
                .map(|(name, version, bytes)| PypiPackage {
                    name: (*name).into(),
                    version: (*version).into(),
                    wheel: format!("{name}-{version}-py3-none-any.whl"),
                    source: PypiSource::Wheel(artifact(bytes)),
                    requested: false,
                })
                .collect(),
        }
    }

    #[test]
    fn a_lock_does_not_differ_from_itself() {
        let lock = lock("3.11.2", &[("libc6", "2.36-9")], &[("numpy", "2.0", "n")]);
        assert!(diff(&lock, &lock).is_empty());
    }

    #[test]
    fn every_kind_of_change_is_told() {
        let old = lock(
            "3.11.2",
            &[("libc6", "2.36-9"), ("libgone1", "1")],
            &[
                ("numpy", "1.26", "old"),
                ("same", "1.0", "s"),
                ("rebuilt", "1.0", "first"),
                ("gone", "3", "g"),
            ],
        );
        let new = lock(
            "3.11.3",
            &[("libc6", "2.36-10"), ("libnew1", "1")],
            &[
                ("numpy", "2.0", "newer"),
                ("same", "1.0", "s"),
                ("rebuilt", "1.0", "second!"),
                ("new", "4", "n"),
            ],
        );
        insta::assert_json_snapshot!(diff(&old, &new));
    }

    #[test]
    fn a_size_learnt_is_no_change() {
        let old = lock("3.11.2", &[], &[("numpy", "2.0", "n")]);
        let mut new = old.clone();
        let PypiSource::Wheel(artifact) = &mut new.pypi[0].source else { unreachable!() };
        artifact.size = 0;
        assert!(diff(&old, &new).is_empty());
    }
}
