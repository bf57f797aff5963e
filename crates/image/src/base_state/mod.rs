//! What a base needs beyond the files of its packages: a layer made from what the packages say of themselves.
//!
//! A Debian package may bring scripts that run when it is installed. None of them ever runs here: they would run
//! foreign code, leave times and machine names behind, and need a root. What they would have done and a base needs is
//! done again by pure functions of [`DebFacts`], so that the same packages give the same bytes:
//!
//! | package | what its script would have done | where |
//! |---|---|---|
//! | base-files | `/root/.profile`, `/etc/profile`, motd, `/usr/local`, `/run/lock`, `/var/run`, `/var/lock`, `/var/mail`, log files | [`root`] |
//! | usrmerge | `/bin`, `/sbin`, `/lib`, `/lib64` as links into `/usr` | [`root`] |
//! | dash | `/bin/sh` where no package ships it | [`root`] |
//! | base-passwd, passwd | `/etc/passwd`, `group`, `shadow`, `gshadow` | [`users`] |
//! | debianutils, bash, dash | `/etc/shells` | [`users`] |
//! | libc-bin | `/etc/nsswitch.conf`, `/etc/ld.so.cache` | [`root`], [`libraries`] |
//! | tzdata | `/etc/localtime`, `/etc/timezone`: UTC | [`root`] |
//! | netbase | `/etc/hosts`, `/etc/networks` | [`root`] |
//! | readline-common | `/etc/inputrc` | [`root`] |
//! | python3, python3.N-minimal | `/etc/python3/debian_config`, the local `dist-packages` | [`root`] |
//! | ca-certificates, openssl | `/etc/ca-certificates.conf`, the bundle, one link a certificate and one a subject's hash | [`certificates`] |
//! | any | alternatives registered with literal words | [`alternatives`] |
//! | dpkg | its databases | [`packages`] |
//!
//! What remains is named by [`not_reproduced`]. Device nodes, `/etc/hostname`, `/etc/resolv.conf` and the contents of
//! `/proc` and `/sys` belong to whoever runs the image.
//!
//! The layer goes on top of the packages' own: where `base-files` ships `/var/run` as a folder, it is a link here.

mod alternatives;
mod canonical_name;
mod certificates;
mod libraries;
mod packages;
mod root;
mod users;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::path::Path;

use provenv_definition::Platform;
use provenv_lock::DebPackage;

use crate::base_image::{Look, STATUS, STATUS_FOLDER};
use crate::entry::{Entry, EntryKind};
use crate::path;
use crate::segment::DebFacts;

/// Whether the base state is made from the contents of the file at `path` (from the image's root, no leading slash).
pub fn wants(path: &str) -> bool {
    const FOLDERS: [&str; 5] = [
        "usr/share/ca-certificates/",
        "usr/share/base-passwd/",
        "usr/share/base-files/",
        "usr/share/libc-bin/",
        "etc/ld.so.conf.d/",
    ];
    const FILES: [&str; 3] = ["etc/ca-certificates.conf", "etc/ld.so.conf", "usr/share/readline/inputrc"];
    FILES.contains(&path) || FOLDERS.iter().any(|folder| path.starts_with(folder))
}

/// No base's dpkg knows of more.
const MOST_STATUS: u64 = 64 << 20;

pub(crate) use libraries::machine;
pub(crate) use packages::check_identity;

/// The names by which the dynamic linker finds libraries of the system: those in the `/etc/ld.so.cache` of a base state, and
/// files in the folders that it looks through by itself.
pub(crate) fn libraries(
    entries: &[Entry],
    debs: &[(DebPackage, DebFacts)],
    platform: Platform,
) -> BTreeSet<String> {
    let cache = entries.iter().find(|entry| entry.path == "etc/ld.so.cache");
    let mut names = match cache.map(|entry| &entry.kind) {
        Some(EntryKind::File(bytes)) => libraries::names_in(bytes),
        _ => BTreeSet::new(),
    };
    let folders = [format!("usr/lib/{}", platform.multiarch()), "usr/lib".to_owned()];
    for path in debs.iter().flat_map(|(_, facts)| &facts.paths) {
        if let Some((folder, name)) = path.rsplit_once('/')
            && folders.iter().any(|known| known == folder)
            && name.contains(".so")
        {
            names.insert(name.to_owned());
        }
    }
    names
}

/// The entries of the base state, sorted by path, each path once.
///
/// A pure function: the order of `debs` does not count.
pub fn entries(debs: &[(DebPackage, DebFacts)], platform: Platform) -> Vec<Entry> {
    let mut debs: Vec<(&DebPackage, &DebFacts)> =
        debs.iter().map(|(package, facts)| (package, facts)).collect();
    debs.sort_by(|(one, _), (other, _)| {
        (&one.name, &one.architecture).cmp(&(&other.name, &other.architecture))
    });
    let mut state = State::new(debs, platform);
    root::fill(&mut state);
    users::fill(&mut state);
    certificates::fill(&mut state);
    alternatives::fill(&mut state);
    libraries::fill(&mut state);
    packages::fill(&mut state);
    state.made.into_values().collect()
}

/// What packages on top of a base from a registry, unpacked at `root`, need beyond their files, sorted by path: what the base
/// has stays as it is, except that its dpkg learns of them.
///
/// The linker's cache stays too: what is in the usual folders is found without.
pub(crate) fn entries_over(
    debs: &[(DebPackage, DebFacts)],
    root: &Path,
    platform: Platform,
) -> io::Result<Vec<Entry>> {
    let look = Look::new(root);
    let mut made: BTreeMap<String, Entry> =
        entries(debs, platform).into_iter().map(|entry| (entry.path.clone(), entry)).collect();
    // Links of the base on the way, such as `/var/run`, lead elsewhere: who says something below them says it of there.
    made.retain(|path, _| !look.is_there(path) && path::parents(path).all(|folder| !look.is_link(folder)));
    if let Some(status) = look.bytes(STATUS, MOST_STATUS)? {
        if !look.is_there(STATUS_FOLDER) {
            made.retain(|path, _| !path.starts_with(STATUS_FOLDER));
        }
        let entries = packages::added(&status, debs);
        made.extend(entries.into_iter().map(|entry| (entry.path.clone(), entry)));
    }
    Ok(made.into_values().collect())
}

/// The packages that bring a script to run after they are installed (`postinst`) whose effects [`entries`] does not
/// reproduce; sorted. What these packages would have set up must be set up by who runs the image, or is not needed there.
pub fn not_reproduced(debs: &[(DebPackage, DebFacts)]) -> Vec<String> {
    let mut names: Vec<String> = debs
        .iter()
        .filter(|(package, facts)| {
            facts.maintainer_scripts.iter().any(|script| script == "postinst") && !reproduced(&package.name)
        })
        .map(|(package, _)| package.name.clone())
        .collect();
    names.sort();
    names
}

/// Whether all that the `postinst` of the package `name` does on a fresh system is done by [`entries`], or does nothing
/// there: starting services where nothing runs, taking away what older versions left, compiling Python bytecode, which is
/// made elsewhere.
fn reproduced(name: &str) -> bool {
    const DONE: [&str; 39] = [
        "base-files",
        "base-passwd",
        "bash",
        "ca-certificates",
        "coreutils",
        "dash",
        "debconf",
        "debianutils",
        "dpkg",
        "gzip",
        "init-system-helpers",
        "libblas3",
        "libc-bin",
        "libc6",
        "libgcrypt20",
        "libgssapi-krb5-2",
        "liblapack3",
        "libopenblas0-pthread",
        "libpam-modules-bin",
        "libpam0g",
        "libselinux1",
        "libssl1.1",
        "login.defs",
        "mawk",
        "netbase",
        "openssl",
        "passwd",
        "perl",
        "perl-base",
        "python3",
        "python3-distutils",
        "python3-lib2to3",
        "python3-minimal",
        "readline-common",
        "tar",
        "tzdata",
        "usrmerge",
        "util-linux",
        "util-linux-extra",
    ];
    DONE.contains(&name) || is_python(name)
}

/// `python3.11`, `libpython3.11-minimal` and the like: their scripts compile bytecode.
fn is_python(name: &str) -> bool {
    let name = name.strip_prefix("lib").unwrap_or(name);
    name.strip_prefix("python3.").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// The packages on one side, what is made of them on the other.
struct State<'a> {
    /// Sorted by name.
    debs: Vec<(&'a DebPackage, &'a DebFacts)>,
    platform: Platform,
    /// Every path that some package lays down.
    shipped: HashSet<&'a str>,
    made: BTreeMap<String, Entry>,
}

impl<'a> State<'a> {
    fn new(debs: Vec<(&'a DebPackage, &'a DebFacts)>, platform: Platform) -> Self {
        let shipped = debs.iter().flat_map(|(_, facts)| facts.paths.iter().map(String::as_str)).collect();
        Self { debs, platform, shipped, made: BTreeMap::new() }
    }

    /// Whether a package of this name is in the base.
    fn has(&self, name: &str) -> bool {
        self.debs.iter().any(|(package, _)| package.name == name)
    }

    /// The contents of a file that [`wants`] asked for.
    fn contents(&self, path: &str) -> Option<&'a [u8]> {
        self.debs.iter().find_map(|(_, facts)| facts.files.get(path)).map(Vec::as_slice)
    }

    /// The files below `folder` that [`wants`] asked for, sorted by path.
    fn contents_below(&self, folder: &str) -> BTreeMap<&'a str, &'a [u8]> {
        self.debs
            .iter()
            .flat_map(|(_, facts)| &facts.files)
            .filter(|(path, _)| path.starts_with(folder))
            .map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
            .collect()
    }

    /// Whether something stands at `path`, which may begin with a slash or go through `/bin`, `/lib` and the like.
    fn stands(&self, path: &str) -> bool {
        let path = merged(path);
        self.shipped.contains(path.as_str()) || self.made.contains_key(&path)
    }

    /// Adds `entry`, also over what a package ships.
    fn force(&mut self, entry: Entry) {
        self.made.insert(entry.path.clone(), entry);
    }

    /// Adds `entry` unless a package ships that path, as scripts do that care for what is there.
    fn add(&mut self, entry: Entry) {
        if !self.shipped.contains(entry.path.as_str()) {
            self.force(entry);
        }
    }

    fn directory(&mut self, path: &str, mode: u32, gid: u32) {
        self.add(Entry { path: path.to_owned(), kind: EntryKind::Directory, mode, uid: 0, gid });
    }

    fn file(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.add(Entry::file(path, 0o644, bytes));
    }

    fn link(&mut self, path: &str, target: &str) {
        self.add(Entry::symlink(path, target));
    }
}

/// `path` without its leading slash and as it is where `/bin`, `/sbin` and `/lib*` are links into `/usr`.
fn merged(path: &str) -> String {
    let path = path.trim_start_matches('/');
    let first = path.split('/').next().unwrap_or_default();
    if path != first && root::is_merged(first) { format!("usr/{path}") } else { path.to_owned() }
}

#[cfg(test)]
mod tests;
