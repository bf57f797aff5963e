//! Debian's Python 3.11 as conda-forge's: it finds itself wherever it lies, and installs to `site-packages`.

use std::collections::BTreeMap;

use provenv_definition::Platform;

use super::debs::{Deb, Node};
use super::elf::{self, Relocator};
use super::system::{self, Providers};
use crate::Package;

/// Its minor version.
pub(super) const MINOR: &str = "3.11";
const DEBS: [&str; 5] = [
    "python3.11-minimal",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "python3-distutils",
    "python3-lib2to3",
];
/// What extensions are compiled with; its libraries are left out.
const HEADERS: &str = "libpython3.11-dev";
/// What only Debian has: it forbids pip to write, and it bends setuptools to Debian's folders.
const DEBIANS: [&str; 2] = ["EXTERNALLY-MANAGED", "_distutils_system_mod.py"];

/// Debian's names of all that [`packages`] needs.
pub(super) fn debs() -> Vec<&'static str> {
    DEBS.into_iter().chain([HEADERS]).collect()
}

/// Python's full version, e.g. `3.11.2`.
pub(super) fn version(debs: &BTreeMap<String, Deb>) -> &str {
    debs[DEBS[0]].upstream()
}

/// `python` and `python_abi`.
pub(super) fn packages(
    debs: &BTreeMap<String, Deb>,
    platform: Platform,
    providers: &Providers,
    relocator: &Relocator,
) -> Result<Vec<Package>, String> {
    let mut nodes = BTreeMap::new();
    for deb in DEBS.map(|name| &debs[name]) {
        nodes.extend(system::moved(deb, &format!("usr/bin/python{MINOR}"), &format!("bin/python{MINOR}")));
        nodes.extend(system::moved(deb, &format!("usr/lib/python{MINOR}"), &format!("lib/python{MINOR}")));
    }
    let headers = format!("include/python{MINOR}");
    nodes.extend(system::moved(&debs[HEADERS], &format!("usr/{headers}"), &headers));
    // Debian's `pyconfig.h` only leads to that of the machine.
    let own = format!("usr/include/{}-linux-gnu/python{MINOR}", platform.machine());
    nodes.extend(system::moved(&debs[HEADERS], &own, &headers));
    // `nis` and `_dbm` need libraries that conda-forge does not have either.
    nodes.retain(|path, node| {
        let foreign = |library: &String| !providers.contains_key(library);
        let unmet = matches!(node, Node::File { bytes, .. } if path.contains("/lib-dynload/")
            && elf::linkage(bytes).is_some_and(|linkage| linkage.needed.iter().any(foreign)));
        !unmet && !DEBIANS.iter().any(|name| path.ends_with(&format!("/{name}")))
    });
    let (mut nodes, depends) = system::relocated(nodes, providers, relocator)?;
    // The interpreter has a frozen copy of `site`.
    change(&mut nodes, &format!("bin/python{MINOR}"), &[("dist-packages", "site-packages")])?;
    change(&mut nodes, &format!("lib/python{MINOR}/site.py"), &[("dist-packages", "site-packages")])?;
    let layout = [
        ("'DEB_PYTHON_INSTALL_LAYOUT', 'posix_local'", "'DEB_PYTHON_INSTALL_LAYOUT', 'posix_prefix'"),
        ("prefix_scheme = 'posix_local'", "prefix_scheme = 'posix_prefix'"),
    ];
    change(&mut nodes, &format!("lib/python{MINOR}/sysconfig.py"), &layout)?;

    let package = system::start("python", &DEBS, debs);
    let build = format!("{}_cpython", package.build);
    let mut package = package
        .build(&build, 0)
        .subdir(system::subdir(platform))
        .license("Python-2.0")
        .constrains("python_abi 3.11.* *_cp311")
        .field("python_site_packages_path", format!("lib/python{MINOR}/site-packages"))
        .depends(system::GLIBC)
        .depends("tzdata");
    for spec in depends {
        package = package.depends(&spec);
    }
    let mut settings = 0;
    let mut plain = BTreeMap::new();
    for (path, node) in nodes {
        match &node {
            Node::File { bytes, .. } if path.contains("/_sysconfigdata_") => {
                let text = String::from_utf8_lossy(bytes);
                let text = text.replace("'/usr'", "'{PREFIX}'").replace("/usr/", "{PREFIX}/");
                package = package.prefixed_text(&path, &text);
                settings += 1;
            }
            _ => {
                plain.insert(path, node);
            }
        }
    }
    if settings == 0 {
        return Err("Python has no _sysconfigdata".to_owned());
    }
    package = system::add(package, plain)
        .symlink("bin/python", "python3.11")
        .symlink("bin/python3", "python3.11")
        .file(
            &format!("lib/python{MINOR}/site-packages/README.txt"),
            "Here are the packages of this environment.\n",
        );
    let abi = Package::new("python_abi", MINOR)
        .build("8_cp311", 8)
        .noarch_generic()
        .constrains("python 3.11.* *_cpython")
        .timestamp(package.timestamp)
        .license("BSD-3-Clause");
    Ok(vec![package, abi])
}

/// Replaces text in a file, each of which must be there: where Debian changes its file, this says so.
fn change(nodes: &mut BTreeMap<String, Node>, path: &str, changes: &[(&str, &str)]) -> Result<(), String> {
    let Some(Node::File { bytes, .. }) = nodes.get_mut(path) else {
        return Err(format!("Python has no {path}"));
    };
    for (from, to) in changes {
        if memchr::memmem::find(bytes, from.as_bytes()).is_none() {
            return Err(format!("{path} has no `{from}`"));
        }
        *bytes = crate::package::replace(bytes, from.as_bytes(), to.as_bytes());
    }
    Ok(())
}
