//! Tar streams laid out in a new folder that nobody else writes to: one of our own layers, or those of a base, one over the
//! other.
//!
//! Nothing can be written outside the folder: every entry must stand in a folder that this very stream made as a folder
//! (never a link), under a name that is not there yet. That is known from a list in memory; the file system is not asked,
//! and no link is ever followed.
//!
//! A later stream lies over the earlier ones as an overlay of them would: folders merge, all else replaces what is there, and a
//! name that begins with `.wh.` takes away (OCI image specification, `layer.md`). What a stream has itself is never taken away
//! by it, in whatever order it comes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Read, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, futimens, utimensat};
use nix::sys::time::TimeSpec;
use tar::EntryType;

use crate::tarball::MTIME;

/// Bytes copied at once.
const BUFFER: usize = 1 << 17;
const WHITEOUT: &[u8] = b".wh.";
/// In a folder: nothing of it is from below.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Names that begin so were AUFS's own.
const RESERVED: &[u8] = b".wh..wh.";
/// No base has as many paths: what is kept of each takes memory.
const MOST_PATHS: usize = 2_000_000;
/// What a parent gets that the layer says nothing about.
const DEFAULT_MODE: u32 = 0o755;

/// Why a stream could not be laid out.
#[derive(Debug)]
pub(super) enum Error {
    Io(io::Error),
    Refused { path: String, reason: &'static str },
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<nix::Error> for Error {
    fn from(error: nix::Error) -> Self {
        Self::Io(error.into())
    }
}

/// Lays `tar`, one of our own layers, out under `root`, and reads it to its end.
pub(super) fn fill(root: &Path, tar: &mut impl Read) -> Result<(), Error> {
    let mut tree = Tree::new(root, false)?;
    tree.lay(tar)?;
    tree.finish()
}

/// What is at a path, and which stream has put it there last.
#[derive(Clone, Copy)]
struct Known {
    kind: Kind,
    layer: u32,
}

/// What is at a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A folder, by its place in [`Tree::folders`].
    Folder(usize),
    File,
    Link,
}

/// Owner, mode and time of a path.
#[derive(Clone, Copy)]
struct Attributes {
    mode: u32,
    uid: u32,
    gid: u32,
    time: TimeSpec,
}

struct Folder {
    path: PathBuf,
    attributes: Attributes,
    /// The last stream that has an entry for it; otherwise it was made for what is in it.
    said: Option<u32>,
    /// It was taken away again.
    gone: bool,
}

/// The folder, and what is known of it.
pub(super) struct Tree<'a> {
    root: &'a Path,
    /// Sorted, so that what lies below a path is together.
    known: BTreeMap<Vec<u8>, Known>,
    /// Parents before children. They get their attributes at the end.
    folders: Vec<Folder>,
    /// Whether the streams are those of a base, which others made.
    base: bool,
    /// The stream that is laid now, the first is 0.
    layer: u32,
    /// Whether files can be given to others.
    owners: bool,
    buffer: Vec<u8>,
}

impl<'a> Tree<'a> {
    /// An empty one in the empty folder `root`, for a layer of ours or for those of a `base`.
    pub fn new(root: &'a Path, base: bool) -> Result<Self, Error> {
        // Without the set-group-id bit, which a folder above may have handed down: files would take that group.
        fs_err::set_permissions(root, std::fs::Permissions::from_mode(DEFAULT_MODE))?;
        Ok(Self {
            root,
            known: BTreeMap::new(),
            folders: Vec::new(),
            base,
            layer: 0,
            owners: nix::unistd::geteuid().is_root(),
            buffer: vec![0; BUFFER],
        })
    }

    /// Lays `tar` over what is there, and reads it to its end.
    pub fn lay(&mut self, tar: &mut impl Read) -> Result<(), Error> {
        let mut archive = tar::Archive::new(tar);
        for entry in archive.entries()? {
            self.add(entry?)?;
        }
        // What follows the end of the archive counts for the digest.
        let rest = archive.into_inner();
        while rest.read(&mut self.buffer)? > 0 {}
        self.layer += 1;
        Ok(())
    }

    fn add<R: Read>(&mut self, mut entry: tar::Entry<'_, R>) -> Result<(), Error> {
        // It says something of all entries that follow, and nothing that counts here.
        if self.base && entry.header().entry_type() == EntryType::XGlobalHeader {
            return Ok(());
        }
        let raw = entry.path_bytes().into_owned();
        let refuse = |reason| Error::Refused { path: String::from_utf8_lossy(&raw).into_owned(), reason };
        // Some tools write the root's slash; docker takes it off too.
        let own = if self.base { relative(&raw) } else { &raw[..] };
        let own = if self.base && own.is_empty() { b"." } else { own };
        let path = normal(own).ok_or_else(|| refuse("is no path inside the image"))?;
        let header = entry.header();
        let kind = header.entry_type();
        let time = i64::try_from(header.mtime()?).map_err(|_| refuse("has a time out of range"))?;
        let attributes = Attributes {
            mode: header.mode()? & 0o7777,
            uid: u32::try_from(header.uid()?).map_err(|_| refuse("has an owner out of range"))?,
            gid: u32::try_from(header.gid()?).map_err(|_| refuse("has a group out of range"))?,
            time: TimeSpec::new(time, 0),
        };
        let Some((parents, name)) = split(path) else {
            // The image's root, `./`: what it is like is not the layer's to say.
            return if kind == EntryType::Directory {
                Ok(())
            } else {
                Err(refuse("is the root and no folder"))
            };
        };
        if name.starts_with(WHITEOUT) {
            if !self.base {
                return Err(refuse("takes away a file of a lower layer, which is not supported"));
            }
            let hidden = &name[WHITEOUT.len()..];
            if name == OPAQUE {
                return self.remove_below(parents);
            } else if name.starts_with(RESERVED) {
                return Ok(());
            } else if matches!(hidden, b"" | b"." | b"..") {
                return Err(refuse("takes away what has no name"));
            }
            let hidden = if parents.is_empty() { hidden.to_vec() } else { [parents, b"/", hidden].concat() };
            return self.remove(&hidden);
        }
        if self.known.len() > MOST_PATHS {
            return Err(refuse("is one of more paths than any image has"));
        }
        if !self.make_parents(parents)? {
            return Err(refuse("stands below something that is not a folder"));
        }
        match self.known.get(path).copied() {
            None => {}
            Some(Known { kind: Kind::Folder(at), .. }) if kind == EntryType::Directory => {
                if self.folders[at].said == Some(self.layer) {
                    return Err(refuse("is there twice"));
                }
                self.folders[at].said = Some(self.layer);
                self.folders[at].attributes = attributes;
                self.know(path, Kind::Folder(at));
                return Ok(());
            }
            Some(known) if known.layer < self.layer => {
                self.remove(path)?;
                if self.known.contains_key(path) {
                    return Err(refuse("is a folder of this layer too"));
                }
            }
            Some(_) => return Err(refuse("is there twice")),
        }
        let target = self.root.join(OsStr::from_bytes(path));
        match kind {
            EntryType::Directory => self.make_folder(path, attributes, true)?,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let size = entry.size();
                if self.make_file(&target, &mut entry, attributes)? != size {
                    return Err(Error::Io(io::ErrorKind::UnexpectedEof.into()));
                }
                self.know(path, Kind::File);
            }
            EntryType::Symlink => {
                let link = entry.link_name_bytes().ok_or_else(|| refuse("is a link to nothing"))?;
                fs_err::os::unix::fs::symlink(OsStr::from_bytes(&link), &target)?;
                self.own(&target, attributes)?;
                set_time(&target, attributes.time)?;
                self.know(path, Kind::Link);
            }
            EntryType::Link => {
                let link = entry.link_name_bytes().ok_or_else(|| refuse("is a link to nothing"))?;
                let own = if self.base { relative(&link) } else { &link[..] };
                let link = normal(own).ok_or_else(|| refuse("is a hard link out of the image"))?;
                if self.known.get(link).map(|known| known.kind) != Some(Kind::File) {
                    return Err(refuse("is a hard link to something that is not a file of this layer"));
                }
                fs_err::hard_link(self.root.join(OsStr::from_bytes(link)), &target)?;
                self.know(path, Kind::File);
            }
            // Whoever runs the image has devices and pipes of its own; an ordinary user could not make them.
            EntryType::Char | EntryType::Block | EntryType::Fifo if self.base => {}
            EntryType::Char | EntryType::Block => return Err(refuse("is a device")),
            _ => return Err(refuse("is neither file, folder nor link")),
        }
        Ok(())
    }

    /// Makes what is missing of the folders `path`; false where something there is no folder.
    fn make_parents(&mut self, path: &[u8]) -> Result<bool, Error> {
        let Some((parents, _)) = split(path) else { return Ok(true) };
        match self.known.get(path).copied() {
            Some(Known { kind: Kind::Folder(at), .. }) => {
                // So that what this stream has below is not taken for a lower one's.
                self.know(path, Kind::Folder(at));
                return Ok(true);
            }
            Some(known) if known.layer == self.layer => return Ok(false),
            Some(_) => self.remove(path)?,
            None => {}
        }
        if !self.make_parents(parents)? {
            return Ok(false);
        }
        self.make_folder(
            path,
            Attributes { mode: DEFAULT_MODE, uid: 0, gid: 0, time: default_time() },
            false,
        )?;
        Ok(true)
    }

    /// Takes `path` away with all that is below, but for what is of this very stream.
    fn remove(&mut self, path: &[u8]) -> Result<(), Error> {
        self.remove_below(path)?;
        self.remove_one(path)
    }

    /// Takes all away that is below `path`, but for what is of this very stream.
    fn remove_below(&mut self, path: &[u8]) -> Result<(), Error> {
        let (from, to) = ([path, b"/"].concat(), [path, b"0"].concat());
        // `0` follows `/`: between them is what is below, a folder always before what is in it.
        let below: Vec<Vec<u8>> = if path.is_empty() {
            self.known.keys().cloned().collect()
        } else {
            self.known.range(from..to).map(|(path, _)| path.clone()).collect()
        };
        below.iter().rev().try_for_each(|path| self.remove_one(path))
    }

    fn remove_one(&mut self, path: &[u8]) -> Result<(), Error> {
        let Some(known) = self.known.get(path).copied().filter(|known| known.layer < self.layer) else {
            return Ok(());
        };
        let target = self.root.join(OsStr::from_bytes(path));
        if let Kind::Folder(at) = known.kind {
            match fs_err::remove_dir(target) {
                // Something of this stream is in it.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => return Ok(()),
                result => result?,
            }
            self.folders[at].gone = true;
        } else {
            fs_err::remove_file(target)?;
        }
        self.known.remove(path);
        Ok(())
    }

    fn know(&mut self, path: &[u8], kind: Kind) {
        self.known.insert(path.to_vec(), Known { kind, layer: self.layer });
    }

    fn make_folder(&mut self, path: &[u8], attributes: Attributes, said: bool) -> Result<(), Error> {
        let target = self.root.join(OsStr::from_bytes(path));
        // Its own mode comes at the end: it may forbid writing below.
        std::fs::DirBuilder::new().mode(0o700).create(&target).map_err(|error| {
            io::Error::new(error.kind(), format!("failed to create folder `{}`: {error}", target.display()))
        })?;
        self.know(path, Kind::Folder(self.folders.len()));
        let said = said.then_some(self.layer);
        self.folders.push(Folder { path: target, attributes, said, gone: false });
        Ok(())
    }

    /// Writes a file and gives back its length.
    fn make_file(
        &mut self,
        target: &Path,
        from: &mut impl Read,
        attributes: Attributes,
    ) -> Result<u64, Error> {
        let mut file = fs_err::OpenOptions::new().write(true).create_new(true).mode(0o600).open(target)?;
        let mut length = 0;
        loop {
            let read = from.read(&mut self.buffer)?;
            if read == 0 {
                break;
            }
            file.write_all(&self.buffer[..read])?;
            length += read as u64;
        }
        // In this order: a new owner clears the set-user-id bit.
        self.own(target, attributes)?;
        file.set_permissions(std::fs::Permissions::from_mode(attributes.mode))?;
        futimens(file.file(), &attributes.time, &attributes.time)?;
        Ok(length)
    }

    /// Gives `target`, which may be a link, to its owner.
    fn own(&mut self, target: &Path, attributes: Attributes) -> Result<(), Error> {
        if !self.owners || (attributes.uid == 0 && attributes.gid == 0) {
            return Ok(());
        }
        match fs_err::os::unix::fs::lchown(target, Some(attributes.uid), Some(attributes.gid)) {
            // Root in a user namespace that does not have this owner is an ordinary user in this respect.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput) =>
            {
                self.owners = false;
                Ok(())
            }
            result => Ok(result?),
        }
    }

    /// Gives the folders their owners, modes and times: children first, as a parent's mode may forbid going below, and
    /// making a child changes its parent's time.
    pub fn finish(mut self) -> Result<(), Error> {
        for Folder { path, attributes, gone, .. } in std::mem::take(&mut self.folders).into_iter().rev() {
            if gone {
                continue;
            }
            self.own(&path, attributes)?;
            fs_err::set_permissions(&path, std::fs::Permissions::from_mode(attributes.mode))?;
            set_time(&path, attributes.time)?;
        }
        set_time(self.root, default_time())
    }
}

/// `path` without the slashes at its beginning.
fn relative(path: &[u8]) -> &[u8] {
    let first = path.iter().position(|byte| *byte != b'/').unwrap_or(path.len());
    &path[first..]
}

fn default_time() -> TimeSpec {
    TimeSpec::new(MTIME.cast_signed(), 0)
}

/// Sets access and modification time of `path` itself, also where it is a link.
fn set_time(path: &Path, time: TimeSpec) -> Result<(), Error> {
    Ok(utimensat(AT_FDCWD, path, &time, &time, UtimensatFlags::NoFollowSymlink)?)
}

/// A tar's name as a path from the root without slashes at its ends, empty for the root itself; `None` where it is
/// absolute, climbs, or is not in normal form.
fn normal(name: &[u8]) -> Option<&[u8]> {
    let path = name.strip_prefix(b"./").unwrap_or(name);
    let path = path.strip_suffix(b"/").unwrap_or(path);
    if path.is_empty() || path == b"." {
        return name.starts_with(b".").then_some(b"");
    }
    let plain = |part: &[u8]| !part.is_empty() && part != b"." && part != b".." && !part.contains(&0);
    path.split(|byte| *byte == b'/').all(plain).then_some(path)
}

/// The folders above the last part of `path`, and that part; `None` for the root.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.is_empty() {
        return None;
    }
    Some(match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    })
}
