//! `.deb` → segment, with the facts that the base state is made from (deb(5)).
//!
//! Owners, modes and links are the package's; times and owners' names are not kept. What Debian's own slim images leave out
//! is left out here too: manual pages, info pages, translations and documentation, but not the `copyright` files.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{self, BufReader, Read};

use fs_err::File;
use provenv_store::Store;
use tar::{Archive, EntryType};

use super::ar::Ar;
use super::error::{Error, Fault, Problem};
use super::model::{DebFacts, DebSegment, ItemKind, Library};
use super::reader::Reader;
use super::writer::Writer;
use super::{BOMB_FLOOR, BOMB_RATIO, MOST_MEMBERS, NAMES, case, elf, folders};
use crate::entry::Directory;
use crate::{base_state, path};

/// Folders of the root that are links into `usr`, made by the base state: what packages put there is put behind the link.
const MERGED: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];
/// A control archive, and what the base state wants of a package, all together, are never this large: they are in memory.
const TEXT_LIMIT: u64 = 16 << 20;
/// What xz may take to unpack: `xz -9`, the most that dpkg-deb can be told, takes 65 MiB. A file may ask for 4 GiB in its first
/// bytes. zstd's own limit, 128 MiB, is what its highest level takes.
const XZ_MEMORY: u64 = 96 << 20;

/// Makes the segment of the package in `file`, which is called `name`.
pub(crate) fn make(store: &Store, file: File, name: &str) -> Result<DebSegment, Error> {
    let make = || {
        let length = file.metadata().map_err(Fault::Read)?.len();
        let limit = BOMB_FLOOR + length.saturating_mul(BOMB_RATIO);
        let mut ar = Ar::open(BufReader::with_capacity(128 << 10, file))?;
        if ar.next()?.as_deref() != Some("debian-binary") {
            return Err(Fault::malformed("is not a Debian package of format 2"));
        }
        let mut facts = DebFacts::default();
        let mut data = None;
        // Bytes that may still be kept in memory.
        let mut room = TEXT_LIMIT;
        while let Some(member) = ar.next()? {
            if let Some(suffix) = member.strip_prefix("control.tar") {
                if !facts.control.is_empty() {
                    return Err(Fault::malformed("has two control archives"));
                }
                let mut limited = Limited { inner: decoder(suffix, &mut ar)?, left: room };
                let result = control(&mut limited, &mut facts);
                if limited.left == 0 {
                    return Err(Fault::Refused(None, Problem::Bomb(TEXT_LIMIT)));
                }
                result?;
                if facts.control.is_empty() {
                    return Err(Fault::malformed("has no control file"));
                }
                room = limited.left;
            } else if let Some(suffix) = member.strip_prefix("data.tar") {
                if data.is_some() {
                    return Err(Fault::malformed("has two data archives"));
                }
                let mut limited = Limited { inner: decoder(suffix, &mut ar)?, left: limit };
                let mut copy = Copy::new(store, room)?;
                let result = copy.run(&mut limited, &mut facts);
                // An exhausted allowance reads as some other damage further up.
                if limited.left == 0 {
                    return Err(Fault::Refused(None, Problem::Bomb(limit)));
                }
                result?;
                room = copy.room;
                data = Some(copy.out.finish()?);
            }
            // Members of other names, e.g. signatures, are to be ignored.
        }
        if facts.control.is_empty() {
            return Err(Fault::malformed("has no control file"));
        }
        let segment = data.ok_or_else(|| Fault::malformed("has no data archive"))?;
        facts.libraries = libraries(store, &segment)?;
        Ok(DebSegment { segment, facts })
    };
    make().map_err(|fault| fault.of(name))
}

fn decoder<'r>(suffix: &str, inner: impl Read + 'r) -> Result<Box<dyn Read + 'r>, Fault> {
    Ok(match suffix {
        "" => Box::new(inner),
        ".gz" => Box::new(flate2::read::GzDecoder::new(inner)),
        ".xz" => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0);
            Box::new(liblzma::read::XzDecoder::new_stream(inner, stream.map_err(|e| Fault::Read(e.into()))?))
        }
        ".zst" => Box::new(zstd::Decoder::new(inner).map_err(Fault::Read)?),
        other => return Err(Fault::malformed(format!("is compressed as `{}`", other.escape_debug()))),
    })
}

/// Hands out only so many bytes, then none.
struct Limited<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let length = self.inner.read(&mut buffer[..want])?;
        self.left -= length as u64;
        Ok(length)
    }
}

/// Whatever stops a stream inside the archive is the archive's fault: the file itself is on our disk.
fn damaged(error: &io::Error) -> Fault {
    let problem = if error.kind() == io::ErrorKind::UnexpectedEof {
        Problem::Truncated
    } else if is_memory_limit(error) {
        Problem::Memory(XZ_MEMORY)
    } else {
        Problem::Damaged
    };
    Fault::Refused(None, problem)
}

/// Whether a decoder refused to take as much memory as an archive asks for. The tar reader wraps what it is told.
fn is_memory_limit(error: &io::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if matches!(inner.downcast_ref(), Some(liblzma::stream::Error::MemLimit)) {
            return true;
        }
        let io = inner.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = io.map(|error| error as _).or_else(|| inner.source());
    }
    false
}

fn control(reader: impl Read, facts: &mut DebFacts) -> Result<(), Fault> {
    let mut archive = Archive::new(reader);
    for entry in archive.entries().map_err(|error| damaged(&error))? {
        let mut entry = entry.map_err(|error| damaged(&error))?;
        if entry.header().entry_type() != EntryType::Regular {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let size = entry.size();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|error| damaged(&error))?;
        if bytes.len() as u64 != size {
            return Err(Fault::member(name, Problem::Truncated));
        }
        facts.add_control_file(name.trim_start_matches("./"), &bytes);
    }
    Ok(())
}

/// The data archive on its way to the segment.
struct Copy {
    out: Writer,
    /// Folders by path; the first account of each counts.
    directories: BTreeMap<String, Directory>,
    /// Files written, with mode and owner for their further names.
    files: HashMap<String, (u32, u32, u32)>,
    /// Files left out, so that a further name of one can be told from a damaged archive.
    left_out: HashSet<String>,
    symlinks: BTreeSet<String>,
    /// Bytes that may still be kept of the files that the base state wants.
    room: u64,
    /// Bytes of all names and of what they link to.
    names: usize,
}

impl Copy {
    fn new(store: &Store, room: u64) -> Result<Self, Fault> {
        Ok(Self {
            out: Writer::new(store)?,
            directories: BTreeMap::new(),
            files: HashMap::new(),
            left_out: HashSet::new(),
            symlinks: BTreeSet::new(),
            room,
            names: 0,
        })
    }

    fn run(&mut self, reader: impl Read, facts: &mut DebFacts) -> Result<(), Fault> {
        let mut archive = Archive::new(reader);
        for entry in archive.entries().map_err(|error| damaged(&error))? {
            self.entry(entry.map_err(|error| damaged(&error))?, facts)?;
        }
        // Nothing may lie behind the end of the archive but padding; what the decoder still has is checked by it.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(|error| damaged(&error))?;
        let links: HashMap<String, &String> =
            self.symlinks.iter().map(|link| (case::folded(link), link)).collect();
        let paths = self.files.keys().chain(self.directories.keys()).chain(&self.symlinks);
        for (folder, path) in folders::above(paths.map(String::as_str))? {
            // Where case does not count too: an extractor there would follow `X` on the way to `x/y`.
            if let Some(link) = links.get(&case::folded(folder)) {
                return Err(Fault::member(path, Problem::ThroughSymlink((*link).clone())));
            }
            if self.files.contains_key(folder) {
                return Err(Fault::member(path, Problem::FileAndFolder(folder.to_owned())));
            }
        }
        let written = |path: &&String| !left_out(path) || documentation_link(path);
        let links = self.symlinks.iter().filter(written);
        let files = self.files.keys().filter(written);
        facts.paths = files.chain(self.directories.keys()).chain(links).cloned().collect();
        facts.paths.sort();
        for directory in std::mem::take(&mut self.directories).into_values() {
            self.out.directory(directory);
        }
        Ok(())
    }

    fn entry<R: Read>(&mut self, mut entry: tar::Entry<'_, R>, facts: &mut DebFacts) -> Result<(), Fault> {
        if self.files.len() + self.directories.len() + self.symlinks.len() + self.left_out.len()
            >= MOST_MEMBERS
        {
            return Err(Fault::Refused(None, Problem::TooMany(MOST_MEMBERS)));
        }
        let shown = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = String::from_utf8(entry.path_bytes().into_owned())
            .map_err(|_| Fault::member(&shown, Problem::NotUtf8))?;
        let fault = |problem| Fault::member(&shown, problem);
        let header = entry.header();
        let kind = header.entry_type();
        let number = |value: io::Result<u64>| {
            value.ok().and_then(|value| u32::try_from(value).ok()).ok_or_else(|| fault(Problem::Damaged))
        };
        let (uid, gid) = (number(header.uid())?, number(header.gid())?);
        let mode = header.mode().map_err(|_| fault(Problem::Damaged))? & 0o7777;
        let plain = name.strip_prefix("./").unwrap_or(&name);
        if kind == EntryType::Directory && (plain.is_empty() || plain == ".") {
            return Ok(());
        }
        let path = merged(
            checked(if kind == EntryType::Directory { plain.trim_end_matches('/') } else { plain })
                .map_err(|problem| fault(Problem::Name(problem)))?,
        );
        self.took(&path)?;
        if kind == EntryType::Directory {
            if self.files.contains_key(&path) || self.symlinks.contains(&path) {
                return Err(fault(Problem::Duplicate));
            }
            if !left_out(&format!("{path}/")) {
                let directory = Directory { path: path.clone(), mode, uid, gid };
                self.directories.entry(path).or_insert(directory);
            }
            return Ok(());
        }
        // The links of the root themselves: base-files ships them in later suites.
        if MERGED.contains(&plain) && kind == EntryType::Symlink {
            return Ok(());
        }
        if self.files.contains_key(&path)
            || self.symlinks.contains(&path)
            || self.left_out.contains(&path)
            || self.directories.contains_key(&path)
        {
            return Err(fault(Problem::Duplicate));
        }
        let target = entry
            .link_name_bytes()
            .map(|target| String::from_utf8(target.into_owned()).map_err(|_| fault(Problem::NotUtf8)))
            .transpose()?;
        if left_out(&path) && kind != EntryType::Symlink {
            self.left_out.insert(path);
            return Ok(());
        }
        match kind {
            EntryType::Regular | EntryType::Continuous => {
                self.file(&mut entry, &path, mode, (uid, gid), facts).map_err(|problem| match problem {
                    Fault::Refused(None, problem) => fault(problem),
                    other => other,
                })?;
                self.files.insert(path, (mode, uid, gid));
            }
            EntryType::Symlink => {
                let target = target.filter(|target| !target.is_empty() && !target.contains('\0'));
                let target = target.ok_or_else(|| fault(Problem::Damaged))?;
                if target.len() > 4095 {
                    return Err(fault(Problem::Malformed(
                        "links to a name too long for a file system".to_owned(),
                    )));
                }
                self.took(&target)?;
                if !left_out(&path) || documentation_link(&path) {
                    self.out.entry(&path, ItemKind::Symlink(target), 0, 0o777, (uid, gid))?;
                }
                self.symlinks.insert(path);
            }
            EntryType::Link => {
                let target = target.ok_or_else(|| fault(Problem::Damaged))?;
                let plain = target.strip_prefix("./").unwrap_or(&target);
                let target = merged(checked(plain).map_err(|problem| fault(Problem::Name(problem)))?);
                self.took(&target)?;
                let Some(&(mode, uid, gid)) = self.files.get(&target) else {
                    return Err(fault(Problem::DanglingHardlink(target)));
                };
                self.out.entry(&path, ItemKind::Hardlink(target), 0, mode, (uid, gid))?;
                self.files.insert(path, (mode, uid, gid));
            }
            EntryType::Char => return Err(fault(Problem::Device("character device"))),
            EntryType::Block => return Err(fault(Problem::Device("block device"))),
            EntryType::Fifo => return Err(fault(Problem::Device("named pipe"))),
            _ => return Err(fault(Problem::Malformed("is of a kind that packages do not have".to_owned()))),
        }
        Ok(())
    }

    /// Counts a name that is kept.
    fn took(&mut self, name: &str) -> Result<(), Fault> {
        self.names += name.len();
        if self.names > NAMES { Err(Fault::Refused(None, Problem::Names(NAMES))) } else { Ok(()) }
    }

    fn file(
        &mut self,
        entry: &mut impl SizedRead,
        path: &str,
        mode: u32,
        owner: (u32, u32),
        facts: &mut DebFacts,
    ) -> Result<(), Fault> {
        let size = entry.size();
        self.out.entry(path, ItemKind::File, size, mode, owner)?;
        let mut kept = base_state::wants(path).then(Vec::new);
        if kept.is_some() {
            let room = self.room.checked_sub(size);
            self.room = room.ok_or(Fault::Refused(None, Problem::Bomb(TEXT_LIMIT)))?;
        }
        let mut buffer = vec![0; 64 << 10];
        let mut done = 0;
        loop {
            let length = entry.read(&mut buffer).map_err(|error| damaged(&error))?;
            if length == 0 {
                break;
            }
            self.out.gzip.push(&buffer[..length])?;
            if let Some(kept) = &mut kept {
                kept.extend_from_slice(&buffer[..length]);
            }
            done += length as u64;
        }
        if done != size {
            return Err(Fault::Refused(None, Problem::Truncated));
        }
        if let Some(bytes) = kept {
            facts.files.insert(path.to_owned(), bytes);
        }
        Ok(self.out.end_file(size)?)
    }
}

/// A reader that says how many bytes it means to give.
trait SizedRead: Read {
    fn size(&self) -> u64;
}

impl<R: Read> SizedRead for tar::Entry<'_, R> {
    fn size(&self) -> u64 {
        tar::Entry::size(self)
    }
}

fn checked(name: &str) -> Result<&str, &'static str> {
    path::problem(name).map_or(Ok(name), Err)
}

/// `path` behind the root's links into `usr`.
fn merged(path: &str) -> String {
    let first = path.split('/').next().unwrap_or(path);
    if MERGED.contains(&first) { format!("usr/{path}") } else { path.to_owned() }
}

/// Whether Debian's slim images leave `path` out (their dpkg `path-exclude` and `path-include` lines).
fn left_out(path: &str) -> bool {
    let Some(share) = path.strip_prefix("usr/share/") else { return false };
    let (folder, rest) = share.split_once('/').unwrap_or((share, ""));
    match folder {
        "doc" => !rest.is_empty() && path::file_name(rest) != "copyright",
        "locale" => !rest.is_empty() && rest != "locale.alias",
        "groff" | "info" | "linda" | "lintian" | "man" => !rest.is_empty(),
        _ => false,
    }
}

/// `usr/share/doc/PACKAGE` as a link to the documentation, and the copyright, of another package.
fn documentation_link(path: &str) -> bool {
    path.strip_prefix("usr/share/doc/").is_some_and(|rest| !rest.contains('/'))
}

/// The shared objects of a segment.
fn libraries(store: &Store, segment: &super::Segment) -> Result<Vec<Library>, Error> {
    let mut reader = Reader::open(store, segment)?;
    let candidates: Vec<_> = reader
        .index
        .entries
        .iter()
        .filter(|item| {
            let name = path::file_name(&item.path);
            item.kind == ItemKind::File
                && item.size > 64
                && (name.contains(".so.") || name.strip_suffix(".so").is_some())
        })
        // Python's extension modules and other plug-ins lie deeper; the linker looks in `usr/lib` and its triplet.
        .filter(|item| item.path.starts_with("usr/lib") && item.path.matches('/').count() <= 4)
        .cloned()
        .collect();
    let mut found = Vec::new();
    for item in candidates {
        let object = elf::read(&mut |parts| {
            parts.iter().map(|&(from, length)| reader.read_part(&item, from, length)).collect()
        })?;
        if let Some(elf::Object { shared: true, soname, class64, machine, flags, .. }) = object {
            found.push(Library { path: item.path, soname, class64, machine, flags });
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{left_out, merged};

    #[test]
    fn the_roots_links_are_followed_before_anything_is_written() {
        assert_eq!(merged("lib/x86_64-linux-gnu/libc.so.6"), "usr/lib/x86_64-linux-gnu/libc.so.6");
        assert_eq!(merged("bin"), "usr/bin");
        assert_eq!(merged("library/x"), "library/x");
        assert_eq!(merged("usr/bin/x"), "usr/bin/x");
    }

    #[test]
    fn copyright_stays_and_documentation_goes() {
        for path in
            ["usr/share/doc/x/copyright", "usr/share/locale/locale.alias", "usr/share/man", "usr/share/x"]
        {
            assert!(!left_out(path), "{path}");
        }
        for path in ["usr/share/doc/x/README", "usr/share/man/man1/x.1.gz", "usr/share/locale/de/x.mo"] {
            assert!(left_out(path), "{path}");
        }
    }
}
