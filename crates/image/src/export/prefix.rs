//! A conda prefix out of an image, laid out at another place: what names `/opt/provenv` is written anew for that place, from the
//! packages' archives, as conda would have installed it there. Nothing is run.
//!
//! Bytecode stays as it is, since Python takes a module's path from where it finds it; but that of a module that is written anew is
//! left out, because Python would not look whether the two agree.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use fs_err::File;
use provenv_definition::Hasher;
use provenv_lock::{CondaPackage, PythonLock};
use provenv_store::Store;

use crate::conda_meta::{self, Asked};
use crate::segment::{self, CondaFacts};
use crate::{path, post_link};

/// Where it is in an image.
const INSIDE: &str = "/opt/provenv";

/// What is wrong with a place where something is.
const TAKEN: &str = "is there and not an empty folder";

/// How folders in which a prefix is made are called, with six letters or digits behind.
const STAGE: &str = ".provenv-";

/// What it is called there.
const STAGED: &str = "prefix";

/// Why a prefix could not be laid out elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a prefix of conda's.
    #[error(
        "the image has no Python of conda's: what is in {INSIDE} stands on its base, and cannot be moved"
    )]
    NotCondas,
    /// No place for it.
    #[error("a prefix cannot be at `{}`, which {problem}", path.display())]
    Place {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A file cannot be read or written.
    #[error("failed to lay a prefix out at `{}`", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why; names the file.
        #[source]
        source: io::Error,
    },
    /// What is in the image cannot be copied.
    #[error(transparent)]
    Copy(#[from] post_link::Error),
    /// A package cannot be read again, or has no room for so long a prefix.
    #[error(transparent)]
    Segment(#[from] segment::Error),
}

impl Error {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotCondas => Some("export it as an image: oci:DIR, docker-archive:FILE".to_owned()),
            Self::Place { .. } => Some("name a new or empty folder".to_owned()),
            Self::Io { source, .. } if provenv_store::is_no_space(source) => {
                Some("free some space on the file system of that folder".to_owned())
            }
            Self::Io { source, .. } if is_not_writable(source) => {
                Some("name a place where your user may write".to_owned())
            }
            Self::Copy(post_link::Error::Covered(_)) => Some(
                "no image that is made of its lock is like this: ask whoever made it, or lock its definition again"
                    .to_owned(),
            ),
            Self::Io { .. } | Self::Copy(_) => None,
            Self::Segment(error) => error.hint(),
        }
    }
}

fn is_not_writable(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// A conda package, its archive, and what is known of it.
pub(crate) struct Packed {
    pub package: CondaPackage,
    pub archive: PathBuf,
    /// The archive's name.
    pub name: String,
    pub python: Option<(u32, u32)>,
    pub facts: CondaFacts,
}

/// The folder as it will be called, if a prefix can be there.
pub(crate) fn place(folder: &Path, python: Option<&PythonLock>) -> Result<PathBuf, Error> {
    if !python.is_some_and(PythonLock::is_condas) {
        return Err(Error::NotCondas);
    }
    let refuse = |problem| Err(Error::Place { path: folder.to_owned(), problem });
    let io = |source| Error::Io { path: folder.to_owned(), source };
    let whole = std::path::absolute(folder).map_err(io)?;
    let (Some(parent), Some(name)) = (whole.parent(), whole.file_name()) else {
        return refuse("is the root");
    };
    fs_err::create_dir_all(parent).map_err(io)?;
    let whole = fs_err::canonicalize(parent).map_err(io)?.join(name);
    let is_named =
        |text: &str| !text.contains(|c: char| c.is_control() || c == ':') && segment::can_be_named(text);
    if !whole.to_str().is_some_and(is_named) {
        return refuse("has a name that scripts cannot carry");
    }
    match fs_err::symlink_metadata(&whole) {
        Err(_) => Ok(whole),
        Ok(there) if there.is_dir() && fs_err::read_dir(&whole).map_err(io)?.next().is_none() => Ok(whole),
        Ok(there) if there.file_type().is_block_device() => refuse("is a device"),
        Ok(_) => refuse(TAKEN),
    }
}

/// Lays the prefix in `layers`, unpacked and the bottom one first, out at `folder`, which [`place`] has found good. It appears there
/// when it is whole.
pub(crate) fn write(
    store: &Store,
    layers: &[PathBuf],
    packages: &[Packed],
    asked: &Asked,
    folder: &Path,
) -> Result<(), Error> {
    let io = |source| Error::Io { path: folder.to_owned(), source };
    let parent = folder.parent().unwrap_or(folder);
    clear(parent);
    let (staged, _held) = stage(parent).map_err(io)?;
    let _note = store.note_outside(staged.path()).map_err(segment::Error::from)?;
    let root = staged.path().join(STAGED);
    fs_err::create_dir(&root).map_err(io)?;
    post_link::copy(layers, &root).map_err(|error| match error {
        post_link::Error::Io(source) => io(source),
        error => Error::Copy(error),
    })?;
    let prefix = folder.to_str().unwrap_or_default();
    for packed in packages {
        relocate(store, packed, asked, prefix, &root).map_err(|error| match error {
            Relocating::Io(source) => io(source),
            Relocating::Segment(error) => Error::Segment(error),
        })?;
    }
    // The image's says names alone, as images of one lock do not differ by who asked for it.
    let history = inside(&root, "conda-meta/history").map_err(io)?;
    if history.exists() {
        let packages: Vec<CondaPackage> = packages.iter().map(|packed| packed.package.clone()).collect();
        fs_err::write(history, conda_meta::history(&packages, asked)).map_err(io)?;
    }
    scripts(&root, prefix).map_err(io)?;
    // All of it is on the disk before it has its name.
    let flush = || Ok(nix::unistd::syncfs(File::open(&root)?.file())?);
    flush().map_err(io)?;
    // Somebody may have put something there meanwhile.
    let named = |source: io::Error| match source.kind() {
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            Error::Place { path: folder.to_owned(), problem: TAKEN }
        }
        _ => io(source),
    };
    if folder.is_dir() {
        fs_err::remove_dir(folder).map_err(named)?;
    }
    fs_err::rename(&root, folder).map_err(named)?;
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(io)
}

/// A folder in `parent` to make a prefix in, and the lock on it by which others know that somebody does.
fn stage(parent: &Path) -> io::Result<(tempfile::TempDir, File)> {
    loop {
        let staged = tempfile::Builder::new().prefix(STAGE).tempdir_in(parent)?;
        // Until it is locked, another process may take it for one that was left, and take it away.
        match File::open(staged.path()) {
            Ok(held) => {
                // Where folders cannot be locked, nobody takes them away.
                let _ = held.file().lock();
                if staged.path().is_dir() {
                    return Ok((staged, held));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
}

/// Takes away what processes that were killed have left in `parent`. What cannot be taken away stays.
fn clear(parent: &Path) {
    let Ok(entries) = fs_err::read_dir(parent) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(STAGE));
        let is_named_so =
            name.is_some_and(|rest| rest.len() == 6 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        if !is_named_so || !fs_err::symlink_metadata(&path).is_ok_and(|there| there.is_dir()) {
            continue;
        }
        let Ok(folder) = File::open(&path) else { continue };
        let holds_one = || {
            fs_err::read_dir(&path)
                .is_ok_and(|mut inside| inside.all(|one| one.is_ok_and(|one| one.file_name() == STAGED)))
        };
        if folder.file().try_lock().is_ok() && holds_one() {
            let _ = fs_err::remove_dir_all(&path);
        }
    }
}

enum Relocating {
    Io(io::Error),
    Segment(segment::Error),
}

impl From<io::Error> for Relocating {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Writes what `packed` has in `root`, and its record, for `prefix`.
fn relocate(
    store: &Store,
    packed: &Packed,
    asked: &Asked,
    prefix: &str,
    root: &Path,
) -> Result<(), Relocating> {
    let Packed { package, archive, name, python, facts } = packed;
    // What comes of it has no digest that anybody would check it by.
    if *archive == store.path(&package.artifact.sha256) {
        let verified = store.verify(&package.artifact.sha256);
        verified.map_err(|error| Relocating::Segment(error.into()))?;
    }
    let mut own = BTreeSet::new();
    for (path, known) in &facts.paths {
        if known.placeholder.is_none() && known.kind != "unix_python_entry_point" {
            continue;
        }
        // Another package may have taken the path over.
        let expected = known.sha256_in_prefix.as_ref().or(known.sha256.as_ref());
        let Ok(file) = inside(root, path) else { continue };
        if file.exists() && expected == Some(&sha256(&file)?.0) {
            own.insert(path.clone());
        }
    }
    segment::relocate(store, archive, name, *python, prefix, root, &own).map_err(Relocating::Segment)?;
    let mut facts = facts.clone();
    for path in own {
        if let Some(python) = python.filter(|_| path.ends_with(".py")) {
            without_bytecode(root, &path, python)?;
        }
        let (sha256, size) = sha256(&root.join(&path))?;
        if let Some(known) = facts.paths.get_mut(&path) {
            if known.placeholder.is_none() {
                known.sha256 = Some(sha256.clone());
            }
            known.sha256_in_prefix = Some(sha256);
            known.size = Some(size);
        }
    }
    let note = conda_meta::record(package, &facts, asked);
    let path = note.path.strip_prefix(segment::PREFIX).unwrap_or_default().trim_start_matches('/');
    fs_err::write(inside(root, path)?, note.text)?;
    Ok(())
}

/// Takes the bytecode of the module at `path` away: no interpreter is run here that could make it anew.
fn without_bytecode(root: &Path, path: &str, python: (u32, u32)) -> io::Result<()> {
    let bytecode = inside(root, &segment::bytecode_path(path, python));
    let Some(bytecode) = bytecode.ok().filter(|bytecode| bytecode.exists()) else { return Ok(()) };
    fs_err::remove_file(&bytecode)?;
    if let Some(folder) = bytecode.parent() {
        // Others may have theirs in it.
        let _ = fs_err::remove_dir(folder);
    }
    Ok(())
}

/// Where `path` is below `root`: only folders are above it, and at it is a file or nothing, so that nobody follows a link out of
/// `root`.
fn inside(root: &Path, path: &str) -> io::Result<PathBuf> {
    let refuse = |path: &Path, problem: &str| {
        Err(io::Error::new(io::ErrorKind::NotADirectory, format!("`{}` {problem}", path.display())))
    };
    for folder in path::parents(path) {
        let folder = root.join(folder);
        if !fs_err::symlink_metadata(&folder)?.is_dir() {
            return refuse(&folder, "is no folder");
        }
    }
    let file = root.join(path);
    match fs_err::symlink_metadata(&file) {
        Ok(there) if !there.is_file() => refuse(&file, "is no file"),
        _ => Ok(file),
    }
}

/// Commands of wheels, whose first line names the interpreter.
fn scripts(root: &Path, prefix: &str) -> io::Result<()> {
    let bin = root.join("bin");
    if !fs_err::symlink_metadata(&bin).is_ok_and(|there| there.is_dir()) {
        return Ok(());
    }
    let mark = format!("#!{INSIDE}/bin/");
    for entry in fs_err::read_dir(bin)? {
        let entry = entry?;
        if !entry.file_type()?.is_file() {
            continue;
        }
        let mut begins = Vec::new();
        io::Read::read_to_end(
            &mut io::Read::take(File::open(entry.path())?, mark.len() as u64),
            &mut begins,
        )?;
        if begins == mark.as_bytes() {
            let bytes = fs_err::read(entry.path())?;
            let moved = [b"#!", prefix.as_bytes(), b"/bin/", &bytes[mark.len()..]].concat();
            segment::write_over(&entry.path())?.write_all(&segment::fit_shebang(moved, prefix))?;
        }
    }
    Ok(())
}

/// Digest and size of a file.
fn sha256(path: &Path) -> io::Result<(String, u64)> {
    struct Sink(Hasher, u64);
    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            self.1 += bytes.len() as u64;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut sink = Sink(Hasher::new(), 0);
    io::copy(&mut File::open(path)?, &mut sink)?;
    Ok((sink.0.finish().hex(), sink.1))
}
