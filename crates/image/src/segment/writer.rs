//! Writing a segment, entry by entry.

use std::io::{ErrorKind, Read};

use provenv_store::Store;

use super::error::Error;
use super::gzip::{GzipWriter, total};
use super::model::{Index, Item, ItemKind, Segment, Whole};
use crate::entry::Directory;
use crate::path;
use crate::tarball::{self, HeaderKind, padding};

/// Bytes of a file that are in memory at once.
const PIECE: usize = 256 << 10;

/// A segment in the making.
pub(crate) struct Writer {
    pub gzip: GzipWriter,
    /// Members of the parents' headers, which are no part of the segment.
    prelude: usize,
    whole: bool,
    items: Vec<Item>,
    directories: Vec<Directory>,
    /// Uncompressed bytes of the segment so far.
    at: u64,
    headers: Vec<u8>,
}

impl Writer {
    /// A segment that is written as it comes.
    pub fn new(store: &Store) -> Result<Self, Error> {
        Self::begin(store, false)
    }

    /// A segment whose blob is a whole layer: `parents`, the segment, end of archive.
    pub fn whole(store: &Store, parents: &[Directory]) -> Result<Self, Error> {
        let mut writer = Self::begin(store, true)?;
        writer.gzip.push(&prelude(parents))?;
        writer.gzip.flush()?;
        writer.prelude = writer.gzip.members.len();
        Ok(writer)
    }

    fn begin(store: &Store, whole: bool) -> Result<Self, Error> {
        Ok(Self {
            gzip: GzipWriter::new(store, whole)?,
            prelude: 0,
            whole,
            items: Vec::new(),
            directories: Vec::new(),
            at: 0,
            headers: Vec::new(),
        })
    }

    /// Notes a folder that the artifact has an opinion on.
    pub fn directory(&mut self, directory: Directory) {
        self.directories.push(directory);
    }

    /// Begins an entry. A file's `size` bytes come next, then [`Writer::end_file`].
    pub fn entry(
        &mut self,
        path: &str,
        kind: ItemKind,
        size: u64,
        mode: u32,
        (uid, gid): (u32, u32),
    ) -> Result<(), Error> {
        check(path)?;
        let header_kind = match &kind {
            ItemKind::File => HeaderKind::File(size),
            ItemKind::Symlink(target) => HeaderKind::Symlink(target),
            ItemKind::Hardlink(target) => HeaderKind::Hardlink(target),
        };
        self.headers.clear();
        tarball::header(&mut self.headers, path, header_kind, mode, uid, gid);
        let header = self.headers.len() as u64;
        self.gzip.push(&self.headers)?;
        self.items.push(Item { path: path.to_owned(), kind, mode, uid, gid, size, at: self.at, header });
        self.at += header + size + padding(size) as u64;
        Ok(())
    }

    /// Pads a file's data to whole blocks.
    pub fn end_file(&mut self, size: u64) -> Result<(), Error> {
        self.gzip.push(&[0; 512][..padding(size)])
    }

    /// A file whose bytes are at hand.
    pub fn file(&mut self, path: &str, bytes: &[u8], mode: u32, owner: (u32, u32)) -> Result<(), Error> {
        let size = bytes.len() as u64;
        self.entry(path, ItemKind::File, size, mode, owner)?;
        self.gzip.push(bytes)?;
        self.end_file(size)
    }

    /// A file of `size` bytes that are read now, a piece at a time.
    pub fn file_from(
        &mut self,
        path: &str,
        mut bytes: impl Read,
        size: u64,
        mode: u32,
        owner: (u32, u32),
    ) -> Result<(), Error> {
        let failed = |source| Error::Read { artifact: path.to_owned(), source };
        self.entry(path, ItemKind::File, size, mode, owner)?;
        let mut left = size;
        let mut piece = vec![0; PIECE];
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            match bytes.read(&mut piece[..most]) {
                Ok(0) => return Err(failed(ErrorKind::UnexpectedEof.into())),
                Ok(length) => {
                    self.gzip.push(&piece[..length])?;
                    left -= length as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        self.end_file(size)
    }

    /// Ends the segment.
    pub fn finish(mut self) -> Result<Segment, Error> {
        self.directories.iter().try_for_each(|directory| check(&directory.path))?;
        self.gzip.flush()?;
        let (offset, before) = total(&self.gzip.members[..self.prelude]);
        let members = self.gzip.members.split_off(self.prelude);
        let (size, tar_size) = total(&members);
        debug_assert_eq!(tar_size, self.at, "entries and members agree");
        if self.whole {
            self.gzip.push(&tarball::END)?;
        }
        let (blob, diff_id) = self.gzip.finish()?;
        self.directories.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(Segment {
            blob: blob.digest,
            offset,
            size,
            tar_size,
            index: Index { members, entries: self.items },
            directories: self.directories,
            whole: diff_id.map(|diff_id| Whole {
                size: blob.size,
                diff_id,
                tar_size: before + tar_size + tarball::END.len() as u64,
            }),
        })
    }
}

/// Refuses what cannot be a path in an image, whoever wants it written.
fn check(path: &str) -> Result<(), Error> {
    path::problem(path).map_or(Ok(()), |problem| Err(Error::Path { path: path.to_owned(), problem }))
}

/// The headers of folders, in the order given.
pub(crate) fn prelude(directories: &[Directory]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for Directory { path, mode, uid, gid } in directories {
        tarball::header(&mut bytes, path, HeaderKind::Directory, *mode, *uid, *gid);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_the_image() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for path in ["../x", "a/../../x", "/etc/passwd", "", "a\nb"] {
            let mut writer = Writer::new(&store).unwrap();
            let refused = writer.file(path, b"", 0o644, (0, 0));
            assert!(matches!(refused, Err(Error::Path { .. })), "{path:?}");
            writer.directory(Directory { path: path.to_owned(), mode: 0o755, uid: 0, gid: 0 });
            assert!(matches!(writer.finish(), Err(Error::Path { .. })), "{path:?}");
        }
    }
}
