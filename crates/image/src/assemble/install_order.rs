//! In which order conda packages are laid down, and which of them Python stands on.

use std::collections::{BTreeMap, BTreeSet};

use provenv_lock::CondaPackage;
use rattler_conda_types::{NoArchType, PackageName, PackageRecord, VersionWithSource};

/// A conda package and what it needs.
#[derive(Clone)]
struct Node(PackageRecord);

impl AsRef<PackageRecord> for Node {
    fn as_ref(&self) -> &PackageRecord {
        &self.0
    }
}

/// Where each of `packages` comes in rattler's order: what is needed comes before what needs it, and of two packages with one
/// path the later has it. `depends` says what each one needs, `noarch` whether it is for any platform or any Python.
pub(super) fn install_order(
    packages: &[CondaPackage],
    depends: &[Vec<String>],
    noarch: &[bool],
) -> Vec<usize> {
    let places: BTreeMap<&str, usize> =
        packages.iter().enumerate().map(|(n, package)| (package.name.as_str(), n)).collect();
    let nodes = places.values().map(|&n| {
        let name = PackageName::new_unchecked(packages[n].name.clone());
        // They have no say in the order.
        let version: VersionWithSource = "0".parse().expect("a version");
        let mut record = PackageRecord::new(name, version, "0".parse().expect("a build string"));
        record.depends.clone_from(&depends[n]);
        if noarch[n] {
            record.noarch = NoArchType::generic();
        }
        Node(record)
    });
    let sorted = PackageRecord::sort_topologically(nodes.collect());
    sorted.iter().filter_map(|node| places.get(node.0.name.as_source()).copied()).collect()
}

/// Which of `packages` the one called `name` stands on, itself included.
pub(super) fn closure(packages: &[CondaPackage], depends: &[Vec<String>], name: &str) -> BTreeSet<usize> {
    let places: BTreeMap<&str, usize> =
        packages.iter().enumerate().map(|(n, package)| (package.name.as_str(), n)).collect();
    let mut found = BTreeSet::new();
    let mut waiting: Vec<usize> = places.get(name).copied().into_iter().collect();
    while let Some(n) = waiting.pop() {
        if found.insert(n) {
            let names = depends[n].iter().map(|spec| PackageName::normalized_name_from_matchspec_str(spec));
            waiting.extend(names.filter_map(|name| places.get(&*name).copied()));
        }
    }
    found
}
