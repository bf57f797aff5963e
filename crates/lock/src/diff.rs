//! How one lock differs from another: what `upgrade` and `env diff` show.

use std::collections::{BTreeMap, BTreeSet};

use provenv_definition::{Digest, LockedArtifacts, LockedFile, LockedPypi, LockedSource, Platform};
use serde::{Deserialize, Serialize};

use crate::{BaseLock, PlatformLock, PostLink};

/// What changed between two locks of one platform, per ecosystem. Ecosystems without a change are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockDiff {
    /// By name: `base`, `debian`, `conda`, `post_link`, `python` or `pypi`.
    #[serde(deserialize_with = "by_known_name")]
    pub ecosystems: BTreeMap<&'static str, EcosystemDiff>,
    /// All packages of the two locks, also of ecosystems without a change.
    pub total: Totals,
}

/// What changed in one ecosystem; all lists are sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EcosystemDiff {
    /// Only in the new lock.
    pub added: Vec<PackageVersion>,
    /// Only in the old lock.
    pub removed: Vec<PackageVersion>,
    /// In both with another version, another build, or other bytes of the same.
    pub changed: Vec<PackageChange>,
    /// All packages of this ecosystem; `None` for the base, the Python inside it and what became of scripts, which are no
    /// artifacts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Totals>,
}

/// How much there is on either side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// In the old lock.
    pub old: Amount,
    /// In the new lock.
    pub new: Amount,
}

/// A number of packages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// How many.
    pub packages: usize,
    /// Bytes of their artifacts, as far as the indexes said.
    pub size: u64,
    /// Of how many no index said the size.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unsized_packages: usize,
}

/// All names of what a difference tells of.
const NAMES: [&str; 6] = ["base", "debian", "conda", "post_link", "python", "pypi"];

/// Reads what another process has compared. A name of its own is a newer one's, and an error.
fn by_known_name<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<&'static str, EcosystemDiff>, D::Error> {
    let read = BTreeMap::<String, EcosystemDiff>::deserialize(deserializer)?;
    read.into_iter()
        .map(|(name, changes)| {
            let known = NAMES.into_iter().find(|known| *known == name);
            let unknown =
                || serde::de::Error::custom(format!("`{name}` is no ecosystem that this one knows"));
            Ok((known.ok_or_else(unknown)?, changes))
        })
        .collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// A package as one lock has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageVersion {
    /// The ecosystem's name of it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The build of that version, where the ecosystem has such a thing: conda's `py311h24aa872_0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// Bytes of its artifact, 0 where the index does not say.
    pub size: u64,
}

/// A package as both locks have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageChange {
    /// The ecosystem's name of it.
    pub name: String,
    /// Its version before.
    pub old_version: String,
    /// Its version now; the same where only the build or the bytes differ.
    pub new_version: String,
    /// The build of that version before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_build: Option<String>,
    /// The build of that version now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_build: Option<String>,
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

impl EcosystemDiff {
    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// What has to change in `old` to make it `new`.
pub fn diff(old: &PlatformLock, new: &PlatformLock) -> LockDiff {
    Holdings::from(old).changes_to(&Holdings::from(new))
}

/// What one side of a comparison holds on one platform: packages by ecosystem and name.
#[derive(Clone, Debug, Default)]
pub struct Holdings(BTreeMap<&'static str, BTreeMap<String, Held>>);

/// One package.
#[derive(Clone, Debug)]
struct Held {
    version: String,
    build: Option<String>,
    size: u64,
    /// The files that it may be: one, but where an installer is still to choose; none where no digest is known.
    files: BTreeSet<Digest>,
}

/// The ecosystems whose packages are artifacts.
const ARTIFACTS: [&str; 3] = ["debian", "conda", "pypi"];

impl From<&PlatformLock> for Holdings {
    fn from(lock: &PlatformLock) -> Self {
        let plain = |version: String| Held { version, build: None, size: 0, files: BTreeSet::new() };
        let base = match &lock.base {
            BaseLock::Debian { suite } => ("debian".to_owned(), plain(suite.to_string())),
            // Where the tag moved, the digest says so, as another build of the same version.
            BaseLock::Image(image) => {
                let (name, tag) = image.name_and_tag();
                let build = Some(image.manifest.to_string());
                (name.to_owned(), Held { build, ..plain(tag.to_owned()) })
            }
            BaseLock::Dockerfile(made) => ("Dockerfile".to_owned(), plain(made.manifest.to_string())),
        };
        let debian = lock.debian.iter().map(|package| {
            let (version, artifact) = (package.version.clone(), &package.artifact);
            let held = Held { version, build: None, size: artifact.size, files: [artifact.sha256].into() };
            (package.name.clone(), held)
        });
        let conda = lock.conda.iter().map(|package| {
            let (version, artifact) = (package.version.clone(), &package.artifact);
            let build = Some(package.build.clone());
            (
                package.name.clone(),
                Held { version, build, size: artifact.size, files: [artifact.sha256].into() },
            )
        });
        let pypi = lock.pypi.iter().map(|package| {
            let (version, files) = (package.version.clone(), [*package.digest()].into());
            (package.name.clone(), Held { version, build: None, size: package.size(), files })
        });
        let python = lock.python.iter().map(|python| ("python".to_owned(), plain(python.version.clone())));
        let scripts = lock.post_link.iter().map(|choice| {
            let held = match choice {
                PostLink::Skip => plain("skip".to_owned()),
                PostLink::Run { layer } => {
                    let files = layer.iter().map(|layer| layer.sha256).collect();
                    Held { files, ..plain("run".to_owned()) }
                }
            };
            ("scripts".to_owned(), held)
        });
        Self(BTreeMap::from([
            ("base", BTreeMap::from([base])),
            ("post_link", scripts.collect()),
            ("debian", debian.collect()),
            ("conda", conda.collect()),
            ("python", python.collect()),
            ("pypi", pypi.collect()),
        ]))
    }
}

impl Holdings {
    /// What the lock of another tool holds for `platform`: of conda and Python alone, because it says nothing of the rest.
    pub fn of_artifacts(artifacts: &LockedArtifacts, platform: Platform) -> Self {
        let conda = artifacts.conda.get(&platform).into_iter().flatten().map(|package| {
            let held = Held {
                version: package.version.clone(),
                build: Some(package.build.clone()).filter(|build| !build.is_empty()),
                size: package.size.unwrap_or(0),
                files: package.sha256.into_iter().collect(),
            };
            (package.name.clone(), held)
        });
        let mut pypi: BTreeMap<String, Held> = BTreeMap::new();
        let here =
            |package: &&LockedPypi| package.platforms.is_empty() || package.platforms.contains(&platform);
        for package in artifacts.pypi.iter().filter(here) {
            let held = of_index(package);
            // One name may have a version for each Python.
            pypi.entry(package.name.clone())
                .and_modify(|other| {
                    other.version = format!("{}, {}", other.version, held.version);
                    other.files.extend(&held.files);
                    other.size = 0;
                })
                .or_insert(held);
        }
        Self(BTreeMap::from([("conda", conda.collect()), ("pypi", pypi)]))
    }

    /// What has to change in it to make it `new`. Ecosystems that one of the two says nothing of are passed over.
    pub fn changes_to(&self, new: &Self) -> LockDiff {
        let mut diff = LockDiff::default();
        for (&ecosystem, old) in &self.0 {
            let Some(new) = new.0.get(ecosystem) else { continue };
            let mut changes = compare(old, new);
            if ARTIFACTS.contains(&ecosystem) {
                let total = Totals { old: amount(old), new: amount(new) };
                diff.total.old.add(total.old);
                diff.total.new.add(total.new);
                changes.total = Some(total);
            }
            if !changes.is_empty() {
                diff.ecosystems.insert(ecosystem, changes);
            }
        }
        diff
    }
}

/// A Python package of which an installer would choose a file.
fn of_index(package: &LockedPypi) -> Held {
    let archive = match &package.source {
        Some(LockedSource::Archive { file, .. }) => Some(file),
        _ => None,
    };
    let files: Vec<&LockedFile> = package.wheels.iter().chain(&package.sdist).chain(archive).collect();
    Held {
        version: package.version.clone().unwrap_or_else(|| "?".to_owned()),
        build: match &package.source {
            Some(LockedSource::Git { commit, .. }) => Some(commit.clone()),
            _ => None,
        },
        size: if let [file] = files[..] { file.size.unwrap_or(0) } else { 0 },
        files: files.iter().filter_map(|file| file.sha256).collect(),
    }
}

fn amount(packages: &BTreeMap<String, Held>) -> Amount {
    Amount {
        packages: packages.len(),
        size: packages.values().map(|held| held.size).sum(),
        unsized_packages: packages.values().filter(|held| held.size == 0).count(),
    }
}

impl Amount {
    fn add(&mut self, other: Self) {
        self.packages += other.packages;
        self.size += other.size;
        self.unsized_packages += other.unsized_packages;
    }
}

fn compare(old: &BTreeMap<String, Held>, new: &BTreeMap<String, Held>) -> EcosystemDiff {
    let only = |these: &BTreeMap<String, Held>, those: &BTreeMap<String, Held>| {
        let these = these.iter().filter(|(name, _)| !those.contains_key(*name));
        these
            .map(|(name, held)| PackageVersion {
                name: name.clone(),
                version: held.version.clone(),
                build: held.build.clone(),
                size: held.size,
            })
            .collect()
    };
    let changed = old.iter().filter_map(|(name, before)| {
        let after = new.get(name)?;
        // The same bytes may have another size here: an index may have learnt to tell it.
        let same = before.version == after.version
            && before.build == after.build
            && (before.files.is_empty() || after.files.is_empty() || !before.files.is_disjoint(&after.files));
        (!same).then(|| PackageChange {
            name: name.clone(),
            old_version: before.version.clone(),
            new_version: after.version.clone(),
            old_build: before.build.clone(),
            new_build: after.build.clone(),
            old_size: before.size,
            new_size: after.size,
        })
    });
    EcosystemDiff { added: only(new, old), removed: only(old, new), changed: changed.collect(), total: None }
}

#[cfg(test)]
mod tests {
    use provenv_definition::Suite;

    use super::*;
    use crate::{Artifact, CondaPackage, DebPackage, PypiPackage, PypiSource, PythonLock};

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
                as_is: false,
            }),
            conda: Vec::new(),
            post_link: None,
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

    fn conda(version: &str, build: &str) -> CondaPackage {
        CondaPackage {
            name: "openssl".into(),
            version: version.into(),
            build: build.into(),
            build_number: 0,
            subdir: "linux-64".into(),
            artifact: artifact(build),
            md5: None,
            depends: Vec::new(),
            constrains: Vec::new(),
            requested: false,
        }
    }

    #[test]
    fn another_build_of_a_version_is_a_change_of_the_build() {
        let mut old = lock("3.11.2", &[], &[]);
        let mut new = old.clone();
        old.conda.push(conda("3.3.1", "h1_0"));
        new.conda.push(conda("3.3.1", "h1_10"));
        let diff = diff(&old, &new);
        let [change] = &diff.ecosystems["conda"].changed[..] else { panic!("{diff:?}") };
        assert_eq!((&*change.old_version, &*change.new_version), ("3.3.1", "3.3.1"));
        assert_eq!((change.old_build.as_deref(), change.new_build.as_deref()), (Some("h1_0"), Some("h1_10")));
        assert_eq!((diff.total.old.size, diff.total.new.size), (4, 5));
    }

    #[test]
    fn the_lock_of_another_tool_is_compared_by_what_it_speaks_of() {
        let own = lock("3.11.2", &[("libc6", "2.36-9")], &[("numpy", "2.0", "n"), ("same", "1.0", "s")]);
        let file = |bytes: &str| LockedFile {
            name: "a.whl".into(),
            url: None,
            size: None,
            sha256: Some(Digest::of(bytes.as_bytes())),
        };
        let package = |name: &str, version: &str, files: &[&str]| LockedPypi {
            name: name.into(),
            version: Some(version.into()),
            wheels: files.iter().map(|bytes| file(bytes)).collect(),
            ..LockedPypi::default()
        };
        let artifacts = LockedArtifacts {
            pypi: vec![package("numpy", "2.1", &["x"]), package("same", "1.0", &["for windows", "s"])],
            ..LockedArtifacts::default()
        };
        let other = Holdings::of_artifacts(&artifacts, Platform::LinuxAmd64);
        let diff = Holdings::from(&own).changes_to(&other);
        assert_eq!(diff.ecosystems.keys().collect::<Vec<_>>(), [&"pypi"], "nothing is said of Debian");
        let names: Vec<&str> = diff.ecosystems["pypi"].changed.iter().map(|change| &*change.name).collect();
        assert_eq!(names, ["numpy"], "one of the files of `same` is that of the lock");
        assert_eq!((diff.total.old.packages, diff.total.new.unsized_packages), (2, 2));
    }
}
