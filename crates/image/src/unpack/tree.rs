//! A tar stream laid out in a new folder that nobody else writes to.
//!
//! Nothing can be written outside the folder: every entry must stand in a folder that this very stream made as a folder
//! (never a link), under a name that is not there yet. That is known from a list in memory; the file system is not asked,
//! and no link is ever followed.

use std::collections::HashMap;
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

/// Lays `tar` out under `root`, and reads it to its end.
pub(super) fn fill(root: &Path, tar: &mut impl Read) -> Result<(), Error> {
    // Without the set-group-id bit, which a folder above may have handed down: files would take that group.
    fs_err::set_permissions(root, std::fs::Permissions::from_mode(DEFAULT_MODE))?;
    let mut tree = Tree {
        root,
        known: HashMap::new(),
        folders: Vec::new(),
        owners: nix::unistd::geteuid().is_root(),
        buffer: vec![0; BUFFER],
    };
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries()? {
        tree.add(entry?)?;
    }
    // What follows the end of the archive counts for the digest.
    let rest = archive.into_inner();
    while rest.read(&mut tree.buffer)? > 0 {}
    tree.finish()
}

/// What this stream has put at a path.
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
    /// The stream has an entry for it; otherwise it was made for what is in it.
    said: bool,
}

struct Tree<'a> {
    root: &'a Path,
    known: HashMap<Vec<u8>, Kind>,
    /// Parents before children. They get their attributes at the end.
    folders: Vec<Folder>,
    /// Whether files can be given to others.
    owners: bool,
    buffer: Vec<u8>,
}

impl Tree<'_> {
    fn add<R: Read>(&mut self, mut entry: tar::Entry<'_, R>) -> Result<(), Error> {
        let raw = entry.path_bytes().into_owned();
        let refuse = |reason| Error::Refused { path: String::from_utf8_lossy(&raw).into_owned(), reason };
        let path = normal(&raw).ok_or_else(|| refuse("is no path inside the image"))?;
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
            return Err(refuse("takes away a file of a lower layer, which is not supported"));
        }
        if !self.make_parents(parents)? {
            return Err(refuse("stands below something that is not a folder"));
        }
        match self.known.get(path) {
            None => {}
            Some(&Kind::Folder(at)) if kind == EntryType::Directory && !self.folders[at].said => {
                self.folders[at].said = true;
                self.folders[at].attributes = attributes;
                return Ok(());
            }
            Some(_) => return Err(refuse("is there twice")),
        }
        let target = self.root.join(OsStr::from_bytes(path));
        match kind {
            EntryType::Directory => self.make_folder(path, attributes, true)?,
            EntryType::Regular | EntryType::Continuous => {
                let size = entry.size();
                if self.make_file(&target, &mut entry, attributes)? != size {
                    return Err(Error::Io(io::ErrorKind::UnexpectedEof.into()));
                }
                self.known.insert(path.to_vec(), Kind::File);
            }
            EntryType::Symlink => {
                let link = entry.link_name_bytes().ok_or_else(|| refuse("is a link to nothing"))?;
                fs_err::os::unix::fs::symlink(OsStr::from_bytes(&link), &target)?;
                self.own(&target, attributes)?;
                set_time(&target, attributes.time)?;
                self.known.insert(path.to_vec(), Kind::Link);
            }
            EntryType::Link => {
                let link = entry.link_name_bytes().ok_or_else(|| refuse("is a link to nothing"))?;
                let link = normal(&link).ok_or_else(|| refuse("is a hard link out of the image"))?;
                if self.known.get(link) != Some(&Kind::File) {
                    return Err(refuse("is a hard link to something that is not a file of this layer"));
                }
                fs_err::hard_link(self.root.join(OsStr::from_bytes(link)), &target)?;
                self.known.insert(path.to_vec(), Kind::File);
            }
            EntryType::Char | EntryType::Block => return Err(refuse("is a device")),
            _ => return Err(refuse("is neither file, folder nor link")),
        }
        Ok(())
    }

    /// Makes what is missing of the folders `path`; false where something there is no folder.
    fn make_parents(&mut self, path: &[u8]) -> Result<bool, Error> {
        let Some((parents, _)) = split(path) else { return Ok(true) };
        if let Some(kind) = self.known.get(path) {
            return Ok(matches!(kind, Kind::Folder(_)));
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

    fn make_folder(&mut self, path: &[u8], attributes: Attributes, said: bool) -> Result<(), Error> {
        let target = self.root.join(OsStr::from_bytes(path));
        // Its own mode comes at the end: it may forbid writing below.
        std::fs::DirBuilder::new().mode(0o700).create(&target).map_err(|error| {
            io::Error::new(error.kind(), format!("failed to create folder `{}`: {error}", target.display()))
        })?;
        self.known.insert(path.to_vec(), Kind::Folder(self.folders.len()));
        self.folders.push(Folder { path: target, attributes, said });
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
    fn finish(mut self) -> Result<(), Error> {
        for Folder { path, attributes, .. } in std::mem::take(&mut self.folders).into_iter().rev() {
            self.own(&path, attributes)?;
            fs_err::set_permissions(&path, std::fs::Permissions::from_mode(attributes.mode))?;
            set_time(&path, attributes.time)?;
        }
        set_time(self.root, default_time())
    }
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
