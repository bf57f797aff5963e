//! `/etc/ld.so.cache`: where the dynamic linker finds a library by its name, as `ldconfig` writes it.
//!
//! The format is glibc's `struct cache_file_new` (`sysdeps/generic/dl-cache.h`), the only one that glibc 2.31 and later
//! read and write. Left out: the optional extension section (who wrote the file, libraries for newer processors), which
//! changes no answer for these bases.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use provenv_definition::Platform;

use super::{State, merged};

const MAGIC: &[u8; 20] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;
/// In the header: the file is little-endian.
const LITTLE_ENDIAN: u8 = 2;

/// A name and where it is found.
struct Found {
    /// E.g. `libz.so.1`: always the last part of `path`.
    name: String,
    /// E.g. `/lib/x86_64-linux-gnu/libz.so.1`.
    path: String,
}

pub(super) fn fill(state: &mut State) {
    if !state.has("libc-bin") {
        return;
    }
    let mut found = Vec::new();
    for folder in folders(state) {
        for name in names(state, &merged(&folder)) {
            found.push(Found { path: format!("{folder}/{name}"), name });
        }
    }
    found.sort_by(|one, other| compare(&other.name, &one.name));
    state.file("etc/ld.so.cache", cache(&found, state.platform));
}

/// The folders that `ldconfig` looks through, in its order: those of `/etc/ld.so.conf`, then the built-in ones; a folder
/// under two names (`/lib`, `/usr/lib`) only under the first.
fn folders(state: &State) -> Vec<String> {
    let multiarch = state.platform.multiarch();
    let mut listed = Vec::new();
    for line in lines(state.contents("etc/ld.so.conf").unwrap_or_default()) {
        match line.strip_prefix("include").map(str::trim) {
            Some("/etc/ld.so.conf.d/*.conf" | "ld.so.conf.d/*.conf") => {
                for (path, bytes) in state.contents_below("etc/ld.so.conf.d/") {
                    if Path::new(path).extension().is_some_and(|extension| extension == "conf") {
                        listed.extend(lines(bytes));
                    }
                }
            }
            Some(_) => {}
            None => listed.push(line),
        }
    }
    listed.extend([
        format!("/lib/{multiarch}"),
        format!("/usr/lib/{multiarch}"),
        "/lib".into(),
        "/usr/lib".into(),
    ]);

    let mut seen = BTreeSet::new();
    listed.retain(|folder| seen.insert(merged(folder)));
    listed
}

/// The lines of a configuration file without comments.
fn lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).map(|line| line.trim_end_matches('/').to_owned()).collect()
}

/// The names by which the libraries in `folder` are found; makes the link that a library's name needs where no package
/// ships it, as `ldconfig` does.
fn names(state: &mut State, folder: &str) -> BTreeSet<String> {
    let machine = machine(state.platform);
    let mut names = BTreeMap::new();
    for library in state.debs.iter().flat_map(|(_, facts)| &facts.libraries) {
        let Some((parent, file)) = library.path.rsplit_once('/') else { continue };
        if parent != folder || library.machine != machine || !library.class64 || !is_library(file) {
            continue;
        }
        let name =
            library.soname.as_deref().filter(|name| !name.is_empty() && !name.contains('/')).unwrap_or(file);
        names.insert(name.to_owned(), file.to_owned());
    }
    for (name, file) in &names {
        let path = format!("{folder}/{name}");
        if !state.stands(&path) {
            state.link(&path, file);
        }
    }
    // Alternatives such as libblas.so.3: links to libraries elsewhere.
    let links =
        state.made.keys().filter_map(|path| path.rsplit_once('/')).filter(|(parent, _)| *parent == folder);
    let links: Vec<String> = links.map(|(_, file)| file.to_owned()).filter(|file| is_library(file)).collect();
    names.into_keys().chain(links).collect()
}

/// Whether `ldconfig` looks at a file of this name.
fn is_library(file: &str) -> bool {
    (file.starts_with("lib") || file.starts_with("ld-")) && file.contains(".so") && !file.ends_with("-gdb.py")
}

/// The names in a cache, as [`cache`] writes it.
pub(super) fn names_in(cache: &[u8]) -> BTreeSet<String> {
    let count = cache.get(20..24).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
    let strings = cache.get(HEADER + count as usize * ENTRY..).unwrap_or_default();
    let paths = strings.split(|byte| *byte == 0).filter_map(|path| std::str::from_utf8(path).ok());
    paths.filter_map(|path| path.rsplit_once('/')).map(|(_, name)| name.to_owned()).collect()
}

/// `e_machine` of the platform.
pub(crate) fn machine(platform: Platform) -> u16 {
    match platform {
        Platform::LinuxAmd64 => 62,
        Platform::LinuxArm64 => 183,
    }
}

/// `FLAG_ELF_LIBC6` with the platform's `FLAG_*_LIB64`.
fn flags(platform: Platform) -> u32 {
    match platform {
        Platform::LinuxAmd64 => 0x0303,
        Platform::LinuxArm64 => 0x0a03,
    }
}

fn cache(found: &[Found], platform: Platform) -> Vec<u8> {
    // The name is the end of the path: one string serves both.
    let strings_at = HEADER + found.len() * ENTRY;
    let mut strings = Vec::new();
    let mut entries = Vec::with_capacity(found.len() * ENTRY);
    for library in found {
        let path_at = strings_at + strings.len();
        let name_at = path_at + library.path.len() - library.name.len();
        strings.extend_from_slice(library.path.as_bytes());
        strings.push(0);
        entries.extend_from_slice(&flags(platform).to_le_bytes());
        entries.extend_from_slice(&to_u32(name_at).to_le_bytes());
        entries.extend_from_slice(&to_u32(path_at).to_le_bytes());
        // The oldest kernel (4 bytes) and the processor features (8) that it needs: any, none.
        entries.extend_from_slice(&[0; 12]);
    }
    let mut file = Vec::with_capacity(strings_at + strings.len());
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&to_u32(found.len()).to_le_bytes());
    file.extend_from_slice(&to_u32(strings.len()).to_le_bytes());
    file.push(LITTLE_ENDIAN);
    file.resize(HEADER, 0);
    file.append(&mut entries);
    file.append(&mut strings);
    file
}

fn to_u32(number: usize) -> u32 {
    u32::try_from(number).expect("a cache of some thousand libraries is far below 4 GiB")
}

/// glibc's `_dl_cache_libcmp`: runs of digits compare as numbers, and a digit stands after any other character. The linker
/// searches the cache by halving it in this order, backwards.
fn compare(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.as_bytes(), other.as_bytes());
    while let Some(&first) = one.first() {
        match (first.is_ascii_digit(), other.first().is_some_and(u8::is_ascii_digit)) {
            (true, true) => {
                let (a, b) = (number(&mut one), number(&mut other));
                if a != b {
                    return a.cmp(&b);
                }
            }
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            (false, false) => {
                let second = other.first().copied().unwrap_or(0);
                if first != second {
                    return first.cmp(&second);
                }
                (one, other) = (&one[1..], &other[1..]);
            }
        }
    }
    if other.is_empty() { Ordering::Equal } else { Ordering::Less }
}

/// Takes the digits at the front of `text` as a number; what does not fit wraps, as in C.
fn number(text: &mut &[u8]) -> i32 {
    let mut value = 0i32;
    while let Some(digit) = text.first().filter(|byte| byte.is_ascii_digit()) {
        value = value.wrapping_mul(10).wrapping_add(i32::from(digit - b'0'));
        *text = &text[1..];
    }
    value
}
