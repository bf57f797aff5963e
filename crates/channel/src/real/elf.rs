//! Where programs and libraries look for the libraries that they need: made relative, so that they work in any prefix.

use std::path::{Path, PathBuf};
use std::process::Command;

use goblin::elf::Elf;

use crate::tools::run;

/// Libraries of glibc, which every system has.
const GLIBC: [&str; 9] = [
    "libc.so.6",
    "libm.so.6",
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
    "libutil.so.1",
    "libresolv.so.2",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
];

/// What an ELF file says of the libraries that it needs.
pub(super) struct Linkage {
    /// Their names, without those of glibc.
    pub(super) needed: Vec<String>,
    /// Whether it says where they are.
    pub(super) has_path: bool,
}

/// `None` of files that are not ELF.
pub(super) fn linkage(bytes: &[u8]) -> Option<Linkage> {
    let elf = bytes.starts_with(b"\x7fELF").then(|| Elf::parse(bytes).ok()).flatten()?;
    let needed = elf.libraries.iter().filter(|name| !GLIBC.contains(name)).map(|&name| name.to_owned());
    Some(Linkage { needed: needed.collect(), has_path: !elf.rpaths.is_empty() || !elf.runpaths.is_empty() })
}

/// Adds the prefix's `lib` to where the ELF file at `path` of the prefix looks.
pub(super) struct Relocator {
    pub(super) patchelf: PathBuf,
    /// A folder for files on their way.
    pub(super) folder: PathBuf,
}

impl Relocator {
    pub(super) fn relocate(&self, path: &str, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let own = Elf::parse(bytes).map_err(|error| format!("{path}: {error}"))?;
        let mut places: Vec<String> =
            own.rpaths.iter().chain(&own.runpaths).map(|&place| place.to_owned()).collect();
        places.push(to_lib(path));
        let file = self.folder.join("relocated");
        let text = |error: std::io::Error| error.to_string();
        fs_err::write(&file, bytes).map_err(text)?;
        // DT_RPATH, as conda-build sets: unlike DT_RUNPATH, it counts for the libraries of libraries too.
        run(Command::new(&self.patchelf)
            .args(["--force-rpath", "--set-rpath", &places.join(":")])
            .arg(&file))?;
        fs_err::read(&file).map_err(text)
    }
}

/// The way from a file of the prefix to the prefix's `lib`.
fn to_lib(path: &str) -> String {
    let parent = Path::new(path).parent().unwrap_or(Path::new(""));
    match parent.strip_prefix("lib") {
        Ok(below) => format!("$ORIGIN{}", "/..".repeat(below.components().count())),
        Err(_) => format!("$ORIGIN{}/lib", "/..".repeat(parent.components().count())),
    }
}

#[cfg(test)]
mod tests {
    use super::to_lib;

    #[test]
    fn the_way_to_the_libraries() {
        assert_eq!(to_lib("lib/libz.so.1"), "$ORIGIN");
        assert_eq!(to_lib("lib/python3.11/lib-dynload/_ssl.so"), "$ORIGIN/../..");
        assert_eq!(to_lib("bin/python3.11"), "$ORIGIN/../lib");
    }
}
