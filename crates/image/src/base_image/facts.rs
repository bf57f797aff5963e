//! What is to be known of a base before anything is put on it: read from its unpacked files, once.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use provenv_definition::Platform;
use serde::{Deserialize, Serialize};

use super::dpkg::{self, InstalledDeb};
use super::look::Look;
use crate::segment::PREFIX;

/// Raised when more is read of a base than facts kept before have.
pub(super) const FORMAT: u32 = 1;

/// Where programs are looked for in an image that does not say.
pub(crate) const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// No C library, interpreter or database is larger.
const MOST: u64 = 64 << 20;

/// What a base is like.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseFacts {
    pub(super) format: u32,
    /// What it says of itself.
    pub os: OsRelease,
    /// The version of its glibc, e.g. `2.36`.
    pub glibc: Option<String>,
    /// Whether its C library is musl.
    pub musl: bool,
    /// Whether `/bin`, `/sbin` and `/lib` are links into `/usr`.
    pub merged_usr: bool,
    /// The Python that its `PATH` leads to.
    pub python: Option<BasePython>,
    /// Debian packages that its dpkg says are installed, sorted by name.
    pub debian: Vec<InstalledDeb>,
    /// Names by which the dynamic linker finds libraries.
    pub libraries: BTreeSet<String>,
    /// Whether something is where packages are installed.
    pub has_prefix: bool,
    /// Whether there is a `bash`.
    pub bash: bool,
}

/// `/etc/os-release` (os-release(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OsRelease {
    /// `debian`, `ubuntu`, `alpine`; empty where it says nothing.
    pub id: String,
    /// `12`.
    pub version_id: Option<String>,
    /// `bookworm`.
    pub codename: Option<String>,
    /// `Debian GNU/Linux 12 (bookworm)`.
    pub pretty_name: Option<String>,
}

/// The Python of a base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasePython {
    /// `/usr/local/bin/python3.12`: the file itself.
    pub executable: String,
    /// `3.12.4`, or `3.12` where nothing says more.
    pub version: String,
}

/// Reads what the base in the folder `root` is like, whose `PATH` is `path`.
pub(super) fn read(root: &Path, path: Option<&str>, platform: Platform) -> io::Result<BaseFacts> {
    let look = Look::new(root);
    let (glibc, musl) = c_library(&look, platform)?;
    let is_merged = |name: &str| look.real(name).as_deref() == Some(&format!("usr/{name}"));
    Ok(BaseFacts {
        format: FORMAT,
        os: os_release(&look)?,
        musl: musl && glibc.is_none(),
        glibc,
        merged_usr: ["bin", "sbin", "lib"].into_iter().all(is_merged),
        python: python(&look, path.unwrap_or(USUAL_PATH))?,
        debian: dpkg::installed(&look)?,
        libraries: libraries(&look, platform)?,
        has_prefix: look.is_there(PREFIX),
        bash: look.file("bin/bash").is_some(),
    })
}

fn os_release(look: &Look<'_>) -> io::Result<OsRelease> {
    let bytes = match look.bytes("etc/os-release", 64 << 10)? {
        Some(bytes) => bytes,
        None => look.bytes("usr/lib/os-release", 64 << 10)?.unwrap_or_default(),
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        let value = line.trim().trim_matches(['"', '\'']);
        // It is shown to people.
        let plain: String = value.chars().filter(|c| !c.is_control()).take(200).collect();
        Some(plain).filter(|value| !value.is_empty())
    };
    Ok(OsRelease {
        id: field("ID").unwrap_or_default(),
        version_id: field("VERSION_ID"),
        codename: field("VERSION_CODENAME").or_else(|| field("UBUNTU_CODENAME")),
        pretty_name: field("PRETTY_NAME"),
    })
}

/// The folders in which the linker looks by itself.
fn library_folders(platform: Platform) -> [String; 6] {
    let multiarch = platform.multiarch();
    [
        format!("lib/{multiarch}"),
        format!("usr/lib/{multiarch}"),
        "lib64".to_owned(),
        "usr/lib64".to_owned(),
        "lib".to_owned(),
        "usr/lib".to_owned(),
    ]
}

/// The version of glibc, and whether there is musl.
fn c_library(look: &Look<'_>, platform: Platform) -> io::Result<(Option<String>, bool)> {
    for folder in library_folders(platform) {
        if let Some(bytes) = look.bytes(&format!("{folder}/libc.so.6"), MOST)?
            && let Some(version) = glibc_version(&bytes)
        {
            return Ok((Some(version), false));
        }
    }
    Ok((None, look.names("lib").iter().any(|name| name.starts_with("ld-musl-"))))
}

/// As the library says when it is started: `GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.`
fn glibc_version(library: &[u8]) -> Option<String> {
    let marks: [&[u8]; 2] = [b"stable release version ", b"development release version "];
    let at = marks.iter().find_map(|mark| Some(memchr::memmem::find(library, mark)? + mark.len()))?;
    let version: String = library[at..]
        .iter()
        .map(|byte| char::from(*byte))
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .take(9)
        .collect();
    let (major, minor) = version.trim_end_matches('.').split_once('.')?;
    let minor = minor.split('.').next()?;
    (!major.is_empty() && !minor.is_empty()).then(|| format!("{major}.{minor}"))
}

/// The first Python 3 on `path`.
fn python(look: &Look<'_>, path: &str) -> io::Result<Option<BasePython>> {
    for folder in path.split(':').filter(|folder| folder.starts_with('/')) {
        for name in ["python3", "python"] {
            let Some(real) = look.file(&format!("{folder}/{name}")) else { continue };
            let file = real.rsplit('/').next().unwrap_or(&real);
            // Starters that are scripts, such as pyenv's, are no Python.
            let Some(minor) = file.strip_prefix("python3.").filter(|minor| is_number(minor)) else {
                continue;
            };
            let version = match python_version(look, &real, minor)? {
                Some(version) => version,
                None => format!("3.{minor}"),
            };
            return Ok(Some(BasePython { executable: format!("/{real}"), version }));
        }
    }
    Ok(None)
}

fn is_number(text: &str) -> bool {
    (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The whole version, which is a text of its own in the interpreter or in the library that it is made of.
fn python_version(look: &Look<'_>, executable: &str, minor: &str) -> io::Result<Option<String>> {
    let prefix = executable.rsplit_once("/bin/").map_or("", |(prefix, _)| prefix);
    let library = format!("{prefix}/lib/libpython3.{minor}.so.1.0");
    for file in [executable, &library] {
        if let Some(bytes) = look.bytes(file, MOST)?
            && let Some(version) = version_text(&bytes, minor)
        {
            return Ok(Some(version));
        }
    }
    Ok(None)
}

/// `\0` `3.12.4` `\0`, which `PY_VERSION` is in the object. A `+` at its end says that it is not the release itself.
fn version_text(object: &[u8], minor: &str) -> Option<String> {
    let start = format!("\x003.{minor}.");
    memchr::memmem::find_iter(object, start.as_bytes()).find_map(|at| {
        let rest = &object[at + 1..object.len().min(at + 24)];
        let end = rest.iter().position(|byte| *byte == 0)?;
        let text = std::str::from_utf8(&rest[..end]).ok()?.trim_end_matches('+');
        let patch = text.get(start.len() - 1..)?;
        let plain = patch.starts_with(|c: char| c.is_ascii_digit())
            && patch.chars().all(|c| c.is_ascii_digit() || "abrc".contains(c));
        plain.then(|| text.to_owned())
    })
}

/// The names of libraries in the folders that the linker knows.
fn libraries(look: &Look<'_>, platform: Platform) -> io::Result<BTreeSet<String>> {
    let mut folders: Vec<String> = library_folders(platform).into();
    let mut files = vec!["etc/ld.so.conf".to_owned()];
    let listed = look
        .names("etc/ld.so.conf.d")
        .into_iter()
        .filter(|name| Path::new(name).extension().is_some_and(|ending| ending == "conf"));
    files.extend(listed.map(|name| format!("etc/ld.so.conf.d/{name}")));
    for file in files {
        let bytes = look.bytes(&file, 64 << 10)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        folders.extend(lines.filter(|line| line.starts_with('/')).map(str::to_owned));
    }
    let names = folders.iter().flat_map(|folder| look.names(folder));
    Ok(names.filter(|name| name.contains(".so")).collect())
}

#[cfg(test)]
mod tests {
    use fs_err::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn versions_are_texts_in_objects() {
        let glibc = |text: &str| glibc_version(text.as_bytes());
        assert_eq!(
            glibc("\0GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\n").as_deref(),
            Some("2.36")
        );
        assert_eq!(glibc("(GNU libc) stable release version 2.17, by").as_deref(), Some("2.17"));
        assert_eq!(glibc("(GNU libc) development release version 2.38.9000.").as_deref(), Some("2.38"));
        assert_eq!(glibc("release version "), None);
        let python = |text: &str| version_text(text.as_bytes(), "12");
        assert_eq!(python("x\x003.12.40x\x003.12.4+\0").as_deref(), Some("3.12.4"));
        assert_eq!(python("\x003.12.0rc1\0").as_deref(), Some("3.12.0rc1"));
        assert_eq!(python("\x003.12.\0 3.12.4"), None);
    }

    #[test]
    fn a_base_is_what_its_files_say() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        };
        write("usr/lib/x86_64-linux-gnu/libc.so.6", "stable release version 2.39.");
        write("usr/lib/x86_64-linux-gnu/libz.so.1", "");
        write("opt/cuda/lib64/libcudart.so.12", "");
        write("etc/ld.so.conf.d/cuda.conf", "# CUDA\n/opt/cuda/lib64\n");
        write("usr/lib/os-release", "ID=ubuntu\nVERSION_ID=\"24.04\"\nVERSION_CODENAME=noble\n");
        write("usr/sbin/x", "");
        write("usr/local/bin/python3.12", "\x003.12.4\0");
        write("usr/bin/python3.11", "");
        for name in ["bin", "lib", "sbin"] {
            symlink(format!("usr/{name}"), root.join(name)).unwrap();
        }
        symlink("python3.12", root.join("usr/local/bin/python3")).unwrap();
        symlink("../usr/lib/os-release", root.join("etc/os-release")).unwrap();
        let facts = read(root, Some("/usr/local/bin:/usr/bin"), Platform::LinuxAmd64).unwrap();
        assert_eq!((facts.glibc.as_deref(), facts.musl, facts.merged_usr), (Some("2.39"), false, true));
        assert_eq!((facts.os.id.as_str(), facts.os.codename.as_deref()), ("ubuntu", Some("noble")));
        let python = facts.python.unwrap();
        assert_eq!((&*python.executable, &*python.version), ("/usr/local/bin/python3.12", "3.12.4"));
        assert!(facts.libraries.contains("libz.so.1") && facts.libraries.contains("libcudart.so.12"));
        assert!(facts.debian.is_empty() && !facts.has_prefix);

        write("lib/ld-musl-x86_64.so.1", "");
        fs_err::remove_file(root.join("usr/lib/x86_64-linux-gnu/libc.so.6")).unwrap();
        let facts = read(root, None, Platform::LinuxAmd64).unwrap();
        assert!(facts.musl && facts.glibc.is_none());
    }
}
