//! Shared libraries that the objects of wheels are linked with and that nothing in the image has: the commonest failure of a
//! slim image, said when it is built and not when it runs.
//!
//! A library is there if the dynamic linker's cache has it, or if any wheel has an object of that name: by its run path, or
//! because the package loads it first, it may be found, and an alarm that is none would teach people to ignore alarms. What
//! comes with a device's driver is not expected to be there.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::segment::Linkage;

/// A library that objects of a package are linked with and that nothing in the image has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MissingLibrary {
    /// The package, `lightgbm 4.6.0`.
    pub package: String,
    /// The library's name, `libgomp.so.1`.
    pub library: String,
    /// The first of its objects that is linked with it, from the image's root.
    pub object: String,
}

/// What to say of what is missing: a line for each package, with what to do.
pub fn notes(missing: &[MissingLibrary]) -> Vec<String> {
    let mut packages: BTreeMap<&str, Vec<&MissingLibrary>> = BTreeMap::new();
    for one in missing {
        packages.entry(&one.package).or_default().push(one);
    }
    packages
        .into_iter()
        .map(|(package, missing)| {
            let names: Vec<&str> = missing.iter().map(|one| one.library.as_str()).collect();
            let object = crate::path::file_name(&missing[0].object);
            let advice = advice(names.iter().copied());
            format!(
                "{package} needs {}, which nothing in the image provides (for {object}): {advice}",
                names.join(", ")
            )
        })
        .collect()
}

/// What to add so that `libraries` are there.
pub fn advice<'l>(libraries: impl Iterator<Item = &'l str>) -> String {
    let packages: Option<BTreeSet<String>> = libraries.map(debian_package).collect();
    match packages {
        Some(packages) => {
            let names: Vec<String> = packages.iter().map(|name| format!("`{name}`")).collect();
            let what = if names.len() == 1 { "it" } else { "them" };
            format!("add {}, which should have {what}, to system_packages", names.join(", "))
        }
        None => "add the Debian packages that have them to system_packages".to_owned(),
    }
}

/// What is missing of what `wheels` need, where the linker finds `present` and objects are for `machine` (`e_machine`).
pub(crate) fn missing<'w>(
    wheels: impl Iterator<Item = (&'w str, &'w Linkage)> + Clone,
    present: &BTreeSet<String>,
    machine: u16,
) -> Vec<MissingLibrary> {
    let linked = wheels.filter_map(|(package, linkage)| Some((package, linkage.get(&machine)?)));
    let brought: BTreeSet<&str> =
        linked.clone().flat_map(|(_, linked)| &linked.provides).map(String::as_str).collect();
    let mut missing: Vec<MissingLibrary> = linked
        .flat_map(|(package, linked)| linked.needs.iter().map(move |(name, object)| (package, name, object)))
        .filter(|(_, name, _)| {
            let file = crate::path::file_name(name);
            !present.contains(file) && !brought.contains(file) && !of_driver(file)
        })
        .map(|(package, library, object)| MissingLibrary {
            package: package.to_owned(),
            library: library.clone(),
            object: object.clone(),
        })
        .collect();
    missing.sort();
    missing
}

/// Libraries that the driver of a device brings to whoever runs the image.
fn of_driver(name: &str) -> bool {
    ["libcuda.so", "libcudadebugger.so", "libnvcuvid.so", "libnvoptix.so", "libnvidia-"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// The Debian package that has a library of this name, by the rule that names follow (Debian Policy, section 8.1): `libgomp.so.1`
/// is in `libgomp1`, `libusb-1.0.so.0` in `libusb-1.0-0`. No index is asked, which would mean to fetch the lists of all files of
/// Debian; the exceptions are those that wheels are known to need.
pub fn debian_package(library: &str) -> Option<String> {
    const EXCEPTIONS: [(&str, &str); 12] = [
        ("libGLU.so.1", "libglu1-mesa"),
        ("libOpenCL.so.1", "ocl-icd-libopencl1"),
        ("libgio-2.0.so.0", "libglib2.0-0"),
        ("libglib-2.0.so.0", "libglib2.0-0"),
        ("libgmodule-2.0.so.0", "libglib2.0-0"),
        ("libgobject-2.0.so.0", "libglib2.0-0"),
        ("libgthread-2.0.so.0", "libglib2.0-0"),
        ("libharfbuzz.so.0", "libharfbuzz0b"),
        ("libjvm.so", "default-jre-headless"),
        ("libnspr4.so", "libnspr4"),
        ("libnss3.so", "libnss3"),
        ("libsmime3.so", "libnss3"),
    ];
    if let Some((_, package)) = EXCEPTIONS.iter().find(|(name, _)| *name == library) {
        return Some((*package).to_owned());
    }
    let (stem, version) = library.split_once(".so.")?;
    let version = version.split('.').next().filter(|version| !version.is_empty())?;
    if stem.starts_with("libpython") {
        return Some(stem.to_owned());
    }
    let stem = stem.to_lowercase().replace('_', "-");
    let hyphen = if stem.ends_with(|last: char| last.is_ascii_digit()) { "-" } else { "" };
    Some(format!("{stem}{hyphen}{version}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::Linked;

    #[test]
    fn packages_are_named_by_debians_rule() {
        for (library, package) in [
            ("libgomp.so.1", "libgomp1"),
            ("libGL.so.1", "libgl1"),
            ("libSM.so.6", "libsm6"),
            ("libusb-1.0.so.0", "libusb-1.0-0"),
            ("libgthread-2.0.so.0", "libglib2.0-0"),
            ("libtbb.so.12", "libtbb12"),
            ("libpython3.11.so.1.0", "libpython3.11"),
        ] {
            assert_eq!(debian_package(library).as_deref(), Some(package), "{library}");
        }
        assert_eq!(debian_package("libfoo.so"), None);
    }

    #[test]
    fn only_what_nothing_provides_is_missing() {
        let linkage = |machine: u16, provides: &[&str], needs: &[&str]| {
            let linked = Linked {
                provides: provides.iter().map(|&name| name.to_owned()).collect(),
                needs: needs.iter().map(|&name| (name.to_owned(), format!("opt/x/{name}.user"))).collect(),
            };
            BTreeMap::from([(machine, linked)])
        };
        let boost = linkage(62, &["lib_boost.so"], &["libc.so.6", "libgomp.so.1", "libcuda.so.1"]);
        let blas = linkage(62, &["libblas-1a2b.so.0"], &["libc.so.6"]);
        let science = linkage(62, &[], &["libblas-1a2b.so.0"]);
        let foreign = linkage(183, &[], &["ld-linux-aarch64.so.1"]);
        let wheels =
            [("boost 1", &boost), ("blas 1", &blas), ("science 1", &science), ("foreign 1", &foreign)];
        let present = BTreeSet::from(["libc.so.6".to_owned()]);
        let missing = missing(wheels.into_iter(), &present, 62);
        assert_eq!(
            notes(&missing),
            ["boost 1 needs libgomp.so.1, which nothing in the image provides (for libgomp.so.1.user): \
              add `libgomp1`, which should have it, to system_packages"]
        );
    }
}
