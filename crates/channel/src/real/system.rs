//! Debian's libraries and data as conda-forge names and lays them out.

use std::collections::{BTreeMap, BTreeSet};

use provenv_definition::Platform;
use sha2::{Digest as _, Sha256};

use super::debs::{Deb, Node};
use super::elf::{self, Relocator};
use crate::Package;

/// A package of libraries.
struct Libraries {
    name: &'static str,
    /// The first has the version.
    debs: &'static [&'static str],
    /// Dependencies that no library says.
    depends: &'static [&'static str],
    /// Other files: from, and to where in the prefix.
    files: &'static [(&'static str, &'static str)],
}

const fn of(name: &'static str, debs: &'static [&'static str]) -> Libraries {
    Libraries { name, debs, depends: &[], files: &[] }
}

const LIBRARIES: [Libraries; 14] = [
    of("bzip2", &["libbz2-1.0"]),
    of("libexpat", &["libexpat1"]),
    of("libffi", &["libffi8"]),
    of("libgcc", &["libgcc-s1"]),
    of("libgomp", &["libgomp1"]),
    of("liblzma", &["liblzma5"]),
    of("libsqlite", &["libsqlite3-0"]),
    of("libstdcxx", &["libstdc++6"]),
    of("libuuid", &["libuuid1"]),
    of("libxcrypt", &["libcrypt1"]),
    of("libzlib", &["zlib1g"]),
    Libraries {
        files: &[("lib/terminfo", "share/terminfo")],
        ..of("ncurses", &["libncursesw6", "libtinfo6", "ncurses-base"])
    },
    Libraries {
        depends: &["ca-certificates"],
        files: &[("usr/bin/openssl", "bin/openssl"), ("etc/ssl/openssl.cnf", "ssl/openssl.cnf")],
        ..of("openssl", &["libssl3", "openssl"])
    },
    of("readline", &["libreadline8"]),
];

const DATA: [&str; 2] = ["tzdata", "ca-certificates"];

/// Debian's names of all that [`packages`] needs.
pub(super) fn debs() -> Vec<&'static str> {
    LIBRARIES.iter().flat_map(|library| library.debs).copied().chain(DATA).collect()
}

/// What to depend on for a library, by its file name.
pub(super) type Providers = BTreeMap<String, String>;

/// The packages, and what others depend on for their libraries.
pub(super) fn packages(
    debs: &BTreeMap<String, Deb>,
    platform: Platform,
    relocator: &Relocator,
) -> Result<(Vec<Package>, Providers), String> {
    let mut providers = Providers::new();
    let mut files = Vec::new();
    for library in &LIBRARIES {
        let nodes = nodes(library, debs, platform)?;
        let depends = compatible(library.name, debs[library.debs[0]].upstream());
        for path in nodes.keys().filter_map(|path| path.strip_prefix("lib/")) {
            if path.contains(".so") && !path.contains('/') {
                providers.insert(path.to_owned(), depends.clone());
            }
        }
        files.push(nodes);
    }
    let mut packages = Vec::new();
    for (library, nodes) in LIBRARIES.iter().zip(files) {
        let mut package = start(library.name, library.debs, debs).subdir(subdir(platform)).depends(GLIBC);
        let (contents, depends) = relocated(nodes, &providers, relocator)?;
        for spec in depends.iter().map(String::as_str).chain(library.depends.iter().copied()) {
            package = package.depends(spec);
        }
        packages.push(add(package, contents));
    }
    packages.push(tzdata(debs));
    packages.push(certificates(debs));
    Ok((packages, providers))
}

/// Conda's name of a platform.
pub(super) fn subdir(platform: Platform) -> &'static str {
    match platform {
        Platform::LinuxAmd64 => "linux-64",
        Platform::LinuxArm64 => "linux-aarch64",
    }
}

/// The glibc that these packages were built with: bookworm's.
pub(super) const GLIBC: &str = "__glibc >=2.36,<3.0.a0";

/// A package of these debs, without a file.
pub(super) fn start(name: &str, from: &[&str], debs: &BTreeMap<String, Deb>) -> Package {
    let digests: Vec<&str> = from.iter().map(|name| debs[*name].sha256.as_str()).collect();
    let digest = hex::encode(Sha256::digest(digests.join("\n")));
    let built = from.iter().map(|name| debs[*name].built).max().unwrap_or_default();
    Package::new(name, debs[from[0]].upstream())
        .build(&format!("h{}_0", &digest[..7]), 0)
        .timestamp(built * 1000)
        .license("LicenseRef-Debian")
}

/// What dependents of a library write down: this version or a later one with the same first number.
fn compatible(name: &str, version: &str) -> String {
    let major: u64 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or_default();
    format!("{name} >={version},<{}.0a0", major + 1)
}

fn nodes(
    library: &Libraries,
    debs: &BTreeMap<String, Deb>,
    platform: Platform,
) -> Result<BTreeMap<String, Node>, String> {
    let machine = platform.machine();
    let folders = [format!("lib/{machine}-linux-gnu"), format!("usr/lib/{machine}-linux-gnu")];
    let moves = folders.iter().map(|folder| (folder.as_str(), "lib")).chain(library.files.iter().copied());
    let mut nodes = BTreeMap::new();
    for (from, to) in moves {
        for deb in library.debs {
            nodes.extend(moved(&debs[*deb], from, to));
        }
    }
    if nodes.is_empty() { Err(format!("{} has no libraries", library.debs.join(" and "))) } else { Ok(nodes) }
}

/// What is at and below `from`, at `to`. Links that leave the package are left out.
pub(super) fn moved(deb: &Deb, from: &str, to: &str) -> BTreeMap<String, Node> {
    deb.nodes
        .iter()
        .filter(|(_, node)| !matches!(node, Node::Link(target) if target.starts_with('/')))
        .filter_map(|(path, node)| {
            let rest = path.strip_prefix(from)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| (format!("{to}{rest}"), node.clone()))
        })
        .collect()
}

/// Files in the prefix, and the dependencies that have the libraries which these need.
pub(super) type Relocated = (BTreeMap<String, Node>, BTreeSet<String>);

/// The same files, looking for their libraries in the prefix.
pub(super) fn relocated(
    nodes: BTreeMap<String, Node>,
    providers: &Providers,
    relocator: &Relocator,
) -> Result<Relocated, String> {
    let own: BTreeSet<String> = nodes.keys().map(|path| file_name(path).to_owned()).collect();
    let mut depends = BTreeSet::new();
    let mut out = BTreeMap::new();
    for (path, node) in nodes {
        let node = match node {
            Node::File { bytes, executable } => {
                let bytes = match elf::linkage(&bytes) {
                    Some(linkage) => {
                        let foreign: Vec<&String> =
                            linkage.needed.iter().filter(|library| !own.contains(*library)).collect();
                        for library in &foreign {
                            let spec = providers.get(*library);
                            let spec =
                                spec.ok_or_else(|| format!("{path} needs {library}, which no package has"))?;
                            depends.insert(spec.clone());
                        }
                        // What a wheel brings itself is found already.
                        let lost = !linkage.needed.is_empty() && !linkage.has_path;
                        if lost || !foreign.is_empty() { relocator.relocate(&path, &bytes)? } else { bytes }
                    }
                    None => bytes,
                };
                Node::File { bytes, executable }
            }
            link @ Node::Link(_) => link,
        };
        out.insert(path, node);
    }
    Ok((out, depends))
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Adds files as they are.
pub(super) fn add(mut package: Package, nodes: BTreeMap<String, Node>) -> Package {
    for (path, node) in nodes {
        package = match node {
            Node::File { bytes, executable: true } => package.executable(&path, bytes),
            Node::File { bytes, .. } => package.file(&path, bytes),
            Node::Link(target) => package.symlink(&path, &target),
        };
    }
    package
}

fn tzdata(debs: &BTreeMap<String, Deb>) -> Package {
    let package = start("tzdata", &["tzdata"], debs).noarch_generic();
    add(package, moved(&debs["tzdata"], "usr/share/zoneinfo", "share/zoneinfo"))
}

/// One file with all certificates, where conda-forge has it.
fn certificates(debs: &BTreeMap<String, Deb>) -> Package {
    let mut bundle = Vec::new();
    for node in moved(&debs["ca-certificates"], "usr/share/ca-certificates/mozilla", "").values() {
        if let Node::File { bytes, .. } = node {
            bundle.extend_from_slice(bytes);
        }
    }
    start("ca-certificates", &["ca-certificates"], debs)
        .noarch_generic()
        .file("ssl/cacert.pem", bundle)
        .symlink("ssl/cert.pem", "cacert.pem")
}
