//! What the scripts of conda packages leave in a prefix, as a layer.
//!
//! The scripts run on a copy of the prefix, in a sandbox that the caller has. What they have changed in it is the layer: they
//! are made for the prefix, and conda gives them nothing else to write to. Times, owners and the user's umask do not get in.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use provenv_lock::PinnedLayer;
use provenv_store::Store;

use crate::conda_meta;
use crate::entry::Directory;
use crate::form::Packing;
use crate::layer;
use crate::path;
use crate::segment::{self, ItemKind, PREFIX, Writer};

/// More is no work of a script that registers a package.
const MOST: u64 = 512 << 20;

/// Bytes of a file that are compared at once.
const PIECE: usize = 256 << 10;

/// Of what scripts say no more is read.
const MOST_SAID: u64 = 64 << 10;

/// Where scripts say something to the user (conda's convention). It is no part of the prefix.
const MESSAGES: &str = ".messages.txt";

/// Why some paths are not for scripts.
const PROTECTED: &str = "nothing may take Python's place, or say what is installed";

/// Why what scripts left could not be made a layer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("failed to take up what scripts of conda packages have changed")]
    Io(#[from] io::Error),
    /// Something is gone.
    #[error("a script of a conda package has removed /{PREFIX}/{0}, which a layer cannot express")]
    Removed(String),
    /// Something that is no file.
    #[error(
        "a script of a conda package has left /{PREFIX}/{0}, which is neither a file nor a folder nor a link"
    )]
    NotAFile(String),
    /// Something that is not for packages to say.
    #[error("a script of a conda package has written /{0}: {why}", why = PROTECTED)]
    Protected(String),
    /// A name that cannot be in an image.
    #[error("a script of a conda package has left {0}, whose name cannot be in an image")]
    Name(String),
    /// A layer that no layer of ours is.
    #[error("a layer has a file or a link at /{0}, where one below it has a folder")]
    Covered(String),
    /// Too much.
    #[error("scripts of conda packages have written more than {} MiB", MOST >> 20)]
    TooMuch,
    /// The layer cannot be written.
    #[error(transparent)]
    Segment(#[from] segment::Error),
}

/// A copy of the prefix of an image that scripts may write to.
pub struct Prefix {
    folder: PathBuf,
    before: BTreeMap<String, Before>,
}

/// What was at a path.
struct Before {
    stamp: Stamp,
    /// Where it lies unpacked.
    source: PathBuf,
    is_folder: bool,
}

/// What changes whenever somebody writes: nobody can set the time of the change of an inode.
#[derive(PartialEq, Eq, PartialOrd)]
struct Stamp {
    changed: (i64, i64),
    inode: u64,
    size: u64,
}

impl Stamp {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            size: metadata.len(),
        }
    }
}

/// What scripts have done. Files stay where they are until they are written to a layer.
#[derive(Debug, Default)]
pub struct Changes {
    /// What they said to the user.
    pub messages: String,
    /// What is new or other than before, in the order of paths.
    changed: Vec<Changed>,
}

/// A path in the image and what is there now.
#[derive(Debug)]
struct Changed {
    path: String,
    what: What,
}

#[derive(Debug)]
enum What {
    Folder,
    Symlink(String),
    File {
        copy: PathBuf,
        size: u64,
        mode: u32,
    },
    /// An empty file over bytecode whose module was written to: Python takes it for none, and reads the module. Left as it is, it
    /// would hide the module, because it is not checked.
    NoBytecode,
}

impl Prefix {
    /// Copies what `layers`, unpacked and the bottom one first, have in the prefix to the empty `folder`.
    pub fn copy(layers: &[PathBuf], folder: PathBuf) -> Result<Self, Error> {
        let sources = copy(layers, &folder)?;
        let mut before = BTreeMap::new();
        for (name, source) in sources {
            let metadata = fs_err::symlink_metadata(folder.join(&name))?;
            before.insert(name, Before { stamp: Stamp::of(&metadata), source, is_folder: metadata.is_dir() });
        }
        let prefix = Self { folder, before };
        prefix.wait_for_the_clock()?;
        Ok(prefix)
    }

    /// Where the copy is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Until what is written gets a later time than all that was: the clock of a file system has steps.
    fn wait_for_the_clock(&self) -> io::Result<()> {
        let latest = self.before.values().map(|before| before.stamp.changed).max();
        let probe = self.folder.join(".provenv-clock");
        loop {
            fs_err::write(&probe, "")?;
            let now = Stamp::of(&fs_err::symlink_metadata(&probe)?).changed;
            fs_err::remove_file(&probe)?;
            if latest.is_none_or(|latest| now > latest) {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    /// What has changed since it was copied.
    pub fn changes(&self) -> Result<Changes, Error> {
        let mut changes = Changes::default();
        let mut left = MOST;
        let mut seen = 0;
        walk(&self.folder, &mut |name, path, metadata| {
            let before = self.before.get(&name);
            let kind = metadata.file_type();
            if before.is_some_and(|before| before.is_folder && !kind.is_dir()) {
                return Err(Error::Removed(name));
            }
            seen += usize::from(before.is_some());
            let is_same = match before {
                Some(before) if kind.is_dir() => before.is_folder,
                Some(before) => before.stamp == Stamp::of(metadata),
                None => false,
            };
            if is_same {
                return Ok(());
            }
            if name == MESSAGES && kind.is_file() {
                changes.messages = String::from_utf8_lossy(&read(path, MOST_SAID)?).into_owned();
                return Ok(());
            }
            let inside = format!("{PREFIX}/{name}");
            if path::problem(&inside).is_some() {
                return Err(Error::Name(name.escape_debug().to_string()));
            }
            let what = if kind.is_dir() {
                What::Folder
            } else if kind.is_symlink() {
                let target = fs_err::read_link(path)?;
                What::Symlink(target.to_str().ok_or_else(|| Error::Name(name.clone()))?.to_owned())
            } else if kind.is_file() {
                left = left.checked_sub(metadata.len()).ok_or(Error::TooMuch)?;
                let mode = if is_executable(metadata) { 0o755 } else { 0o644 };
                What::File { copy: path.to_owned(), size: metadata.len(), mode }
            } else {
                return Err(Error::NotAFile(name));
            };
            if before.is_none_or(|before| !is_unchanged(&before.source, path).unwrap_or(false)) {
                if is_protected(&inside, kind.is_dir()) {
                    return Err(Error::Protected(inside));
                }
                changes.changed.push(Changed { path: inside, what });
            }
            Ok(())
        })?;
        if seen < self.before.len() {
            let gone =
                self.before.keys().find(|name| fs_err::symlink_metadata(self.folder.join(name)).is_err());
            return Err(Error::Removed(gone.cloned().unwrap_or_default()));
        }
        self.leave_out_bytecode(&mut changes.changed);
        Ok(changes)
    }

    /// Adds to `changed` what hides the bytecode of modules in it, unless that is new too.
    fn leave_out_bytecode(&self, changed: &mut Vec<Changed>) {
        let known: BTreeSet<&str> = changed.iter().map(|changed| changed.path.as_str()).collect();
        let modules = known.iter().filter_map(|path| path.strip_suffix(".py")?.strip_prefix(PREFIX));
        let bytecode = modules.flat_map(|module| {
            let name = path::file_name(module);
            let begin = format!("{}__pycache__/{name}.cpython-", &module[1..module.len() - name.len()]);
            let following = self.before.range(begin.clone()..).map(|(path, _)| path);
            let all = following.take_while(move |path| path.starts_with(&begin));
            all.filter(|path| path.strip_suffix(".pyc").is_some()).map(|path| format!("{PREFIX}/{path}"))
        });
        let stale: Vec<String> = bytecode.filter(|path| !known.contains(path.as_str())).collect();
        changed.extend(stale.into_iter().map(|path| Changed { path, what: What::NoBytecode }));
        // As `walk` goes.
        changed.sort_by(|one, other| one.path.split('/').cmp(other.path.split('/')));
    }
}

/// Whether nothing that scripts leave may be at `path` in an image: it says what is installed, or is by what Python is started.
pub(crate) fn is_protected(path: &str, is_folder: bool) -> bool {
    let Some(below) = path.strip_prefix(PREFIX).and_then(|below| below.strip_prefix('/')) else {
        return false;
    };
    (conda_meta::is_reserved(path) && !(is_folder && path == conda_meta::FOLDER))
        || below == "pyvenv.cfg"
        || below.strip_prefix("bin/").is_some_and(segment::is_python)
        || below.starts_with("lib/libpython")
}

impl Changes {
    /// The layer of them, in the store; `None` where nothing has changed. The prefix must still be there.
    pub fn pin(&self, store: &Store) -> Result<Option<PinnedLayer>, Error> {
        if self.changed.is_empty() {
            return Ok(None);
        }
        let mut out = Writer::new(store)?;
        let root = (0, 0);
        for Changed { path, what } in &self.changed {
            match what {
                What::Folder => out.directory(Directory { path: path.clone(), mode: 0o755, uid: 0, gid: 0 }),
                What::Symlink(target) => {
                    out.entry(path, ItemKind::Symlink(target.clone()), 0, 0o777, root)?;
                }
                What::File { copy, size, mode } => {
                    out.file_from(path, fs_err::File::open(copy)?, *size, *mode, root)?;
                }
                What::NoBytecode => out.file(path, &[], 0o644, root)?,
            }
        }
        let segment = out.finish()?;
        let (layer, _) = layer::join_one(store, String::new(), &segment, Packing::Gzip)?;
        Ok(Some(PinnedLayer {
            sha256: layer.digest,
            size: layer.size,
            diff_id: layer.diff_id,
            tar_size: layer.tar_size,
        }))
    }
}

/// The first bytes of a file.
fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs_err::File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn is_executable(metadata: &std::fs::Metadata) -> bool {
    metadata.permissions().mode() & 0o111 != 0
}

/// Whether a file that was written to, or a link that was made anew, is as it was.
fn is_unchanged(before: &Path, now: &Path) -> io::Result<bool> {
    let (old, new) = (fs_err::symlink_metadata(before)?, fs_err::symlink_metadata(now)?);
    if old.file_type() != new.file_type() {
        return Ok(false);
    }
    if new.is_symlink() {
        return Ok(fs_err::read_link(before)? == fs_err::read_link(now)?);
    }
    if old.len() != new.len() || is_executable(&old) != is_executable(&new) {
        return Ok(false);
    }
    let open = |path| fs_err::File::open(path).map(|file| BufReader::with_capacity(PIECE, file));
    let (mut before, mut now) = (open(before)?, open(now)?);
    loop {
        let (one, other) = (before.fill_buf()?, now.fill_buf()?);
        let length = one.len().min(other.len());
        if one[..length] != other[..length] {
            return Ok(false);
        }
        if length == 0 {
            return Ok(one.len() == other.len());
        }
        before.consume(length);
        now.consume(length);
    }
}

/// Copies what `layers`, unpacked and the bottom one first, have in the prefix to the empty `folder`; gives where each path comes
/// from. All that is above one of these paths is a folder, in the copy too: nothing is written through a link.
pub(crate) fn copy(layers: &[PathBuf], folder: &Path) -> Result<BTreeMap<String, PathBuf>, Error> {
    let mut sources: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut folders = BTreeSet::new();
    for layer in layers {
        // It may be gone since: a part of a prefix is none.
        fs_err::symlink_metadata(layer)?;
        let Some(root) = prefix_in(layer, sources.is_empty())? else { continue };
        walk(&root, &mut |name, path, metadata| {
            if metadata.is_dir() {
                folders.insert(name.clone());
            } else if folders.contains(&name) {
                return Err(Error::Covered(format!("{PREFIX}/{name}")));
            }
            sources.insert(name, path.to_owned());
            Ok(())
        })?;
    }
    for (name, source) in &sources {
        let (target, kind) = (folder.join(name), fs_err::symlink_metadata(source)?.file_type());
        if kind.is_dir() {
            fs_err::create_dir(&target)?;
        } else if kind.is_symlink() {
            fs_err::os::unix::fs::symlink(fs_err::read_link(source)?, &target)?;
        } else if kind.is_file() {
            fs_err::copy(source, &target)?;
        } else {
            return Err(Error::NotAFile(name.clone()));
        }
    }
    Ok(sources)
}

/// Where an unpacked layer has the prefix, if it does. `is_first` says that none below has it.
fn prefix_in(layer: &Path, is_first: bool) -> Result<Option<PathBuf>, Error> {
    for part in path::parents(PREFIX).chain([PREFIX]) {
        match fs_err::symlink_metadata(layer.join(part)) {
            Ok(there) if there.is_dir() => {}
            // What is above it hides it.
            Ok(_) if is_first => return Ok(None),
            Ok(_) => return Err(Error::Covered(part.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(layer.join(PREFIX)))
}

/// What is done with a path: its name below the root, where it is, and what it is.
type Each<'e> = dyn FnMut(String, &Path, &std::fs::Metadata) -> Result<(), Error> + 'e;

/// Goes through all that is below `root` in the order of names, folders before what is in them. Follows no link.
fn walk(root: &Path, each: &mut Each<'_>) -> Result<(), Error> {
    walk_below(root, "", each)
}

fn walk_below(folder: &Path, above: &str, each: &mut Each<'_>) -> Result<(), Error> {
    let mut names = fs_err::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    for name in names {
        let path = folder.join(&name);
        let name = name.to_str().ok_or_else(|| Error::Name(path.display().to_string()))?;
        let name = if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") };
        let metadata = fs_err::symlink_metadata(&path)?;
        each(name.clone(), &path, &metadata)?;
        if metadata.is_dir() {
            walk_below(&path, &name, each)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Entry;

    fn write(folder: &Path, path: &str, bytes: &str) {
        let path = folder.join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, bytes).unwrap();
    }

    struct World {
        folder: tempfile::TempDir,
        store: Store,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path().join("store")).unwrap();
            Self { folder, store }
        }

        fn prefix(&self, name: &str) -> Prefix {
            let layers: Vec<PathBuf> = ["one", "two"].map(|layer| self.folder.path().join(layer)).into();
            for (layer, bytes) in layers.iter().zip(["lower", "upper"]) {
                write(layer, "opt/provenv/share/both", bytes);
                write(layer, &format!("opt/provenv/share/{bytes}"), bytes);
                write(layer, "etc/other", "outside");
            }
            let copy = self.folder.path().join(name);
            fs_err::create_dir(&copy).unwrap();
            Prefix::copy(&layers, copy).unwrap()
        }
    }

    #[test]
    fn what_is_new_or_other_is_the_layer_and_nothing_else() {
        let world = World::new();
        // More than is in memory at once, and no whole number of blocks.
        let long: Vec<u8> = (0..1_500_000_u32).flat_map(u32::to_le_bytes).take(1_500_001).collect();
        let run = |name: &str| {
            let prefix = world.prefix(name);
            let folder = prefix.folder().to_owned();
            assert_eq!(fs_err::read(folder.join("share/both")).unwrap(), b"upper");
            assert!(!folder.join("etc").exists());
            write(&folder, "share/both", "UPPER");
            // As it was.
            write(&folder, "share/lower", "lower");
            write(&folder, "cache/new", name);
            fs_err::write(folder.join("cache/new"), &long).unwrap();
            fs_err::os::unix::fs::symlink("new", folder.join("cache/link")).unwrap();
            write(&folder, MESSAGES, "hello\n");
            prefix.changes().unwrap()
        };
        let changes = run("first");
        let paths: Vec<&str> = changes.changed.iter().map(|changed| changed.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "opt/provenv/cache",
                "opt/provenv/cache/link",
                "opt/provenv/cache/new",
                "opt/provenv/share/both"
            ]
        );
        assert_eq!(changes.messages, "hello\n");
        let layer = changes.pin(&world.store).unwrap().unwrap();
        let folder = |path: &str| Entry::directory(format!("{PREFIX}/{path}"));
        let written = [
            folder("cache"),
            Entry::symlink(format!("{PREFIX}/cache/link"), "new"),
            Entry::file(format!("{PREFIX}/cache/new"), 0o644, long.clone()),
            Entry::file(format!("{PREFIX}/share/both"), 0o644, "UPPER"),
        ];
        let written = segment::literal(&world.store, &written).unwrap();
        let (written, _) = layer::join_one(&world.store, String::new(), &written, Packing::Gzip).unwrap();
        assert_eq!((layer.sha256, layer.tar_size), (written.digest, written.tar_size));
        assert_eq!(run("second").pin(&world.store).unwrap(), Some(layer), "the same changes, the same bytes");
        let untouched = world.prefix("third").changes().unwrap();
        assert_eq!(untouched.pin(&world.store).unwrap(), None);
    }

    #[test]
    fn bytecode_of_a_module_that_was_written_to_does_not_hide_it() {
        let world = World::new();
        let layer = world.folder.path().join("modules");
        let site = "opt/provenv/lib/python3.11/site-packages";
        for name in ["changed", "other", "compiled"] {
            write(&layer, &format!("{site}/{name}.py"), "x = 1\n");
            write(&layer, &format!("{site}/__pycache__/{name}.cpython-311.pyc"), "bytecode");
        }
        let folder = world.folder.path().join("prefix");
        fs_err::create_dir(&folder).unwrap();
        let prefix = Prefix::copy(&[layer], folder.clone()).unwrap();
        let site = site.strip_prefix("opt/provenv/").unwrap();
        for name in ["changed", "compiled", "new"] {
            write(&folder, &format!("{site}/{name}.py"), "x = 22\n");
        }
        write(&folder, &format!("{site}/__pycache__/compiled.cpython-311.pyc"), "its own");
        let changes = prefix.changes().unwrap();
        let pinned = changes.pin(&world.store).unwrap().unwrap();
        let file = |path: &str, text: &str| Entry::file(format!("{PREFIX}/{site}/{path}"), 0o644, text);
        let written = [
            file("__pycache__/changed.cpython-311.pyc", ""),
            file("__pycache__/compiled.cpython-311.pyc", "its own"),
            file("changed.py", "x = 22\n"),
            file("compiled.py", "x = 22\n"),
            file("new.py", "x = 22\n"),
        ];
        let written = segment::literal(&world.store, &written).unwrap();
        let (written, _) = layer::join_one(&world.store, String::new(), &written, Packing::Gzip).unwrap();
        assert_eq!(pinned.diff_id, written.diff_id);
    }

    #[test]
    fn what_stands_for_python_or_says_what_is_installed_is_not_for_scripts() {
        for (n, path) in
            ["bin/python3.11", "lib/libpython3.11.so", "conda-meta/evil-1-0.json", "conda-meta/history"]
                .into_iter()
                .enumerate()
        {
            let world = World::new();
            let prefix = world.prefix(&n.to_string());
            write(prefix.folder(), "bin/python3.11-tool", "allowed");
            write(prefix.folder(), "conda-meta/state", "allowed");
            assert_eq!(prefix.changes().unwrap().changed.len(), 4);
            write(prefix.folder(), path, "evil");
            assert!(
                matches!(prefix.changes(), Err(Error::Protected(at)) if at == format!("{PREFIX}/{path}")),
                "{path}"
            );
        }
    }

    #[test]
    fn what_no_layer_can_say_is_refused() {
        let world = World::new();
        assert!(matches!(copy(&[world.folder.path().join("gone")], world.folder.path()), Err(Error::Io(_))));
        let prefix = world.prefix("removed");
        fs_err::remove_file(prefix.folder().join("share/lower")).unwrap();
        assert!(matches!(prefix.changes(), Err(Error::Removed(path)) if path == "share/lower"));
        let prefix = world.prefix("folder");
        fs_err::remove_dir_all(prefix.folder().join("share")).unwrap();
        fs_err::os::unix::fs::symlink("/", prefix.folder().join("share")).unwrap();
        assert!(matches!(prefix.changes(), Err(Error::Removed(path)) if path == "share"));
        let prefix = world.prefix("pipe");
        nix::unistd::mkfifo(&prefix.folder().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(matches!(prefix.changes(), Err(Error::NotAFile(path)) if path == "pipe"));
    }
}
