//! Images in one tar file: the same image gives the same bytes.

use std::io::{self, Write};
use std::path::Path;

use provenv_definition::Digest;
use provenv_fetch::{Phase, Reporter};
use provenv_store::Store;

use super::{Error, layout, writing};
use crate::tarball::{self, HeaderKind};

/// Something in the archive.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) content: Content,
}

/// What a member holds.
pub(super) enum Content {
    Folder,
    Bytes(Vec<u8>),
    /// A blob of the store and its size.
    Blob(Digest, u64),
}

/// Writes `members` to a tar file at `path`, which appears only when it is whole.
pub(super) fn write(
    store: &Store,
    path: &Path,
    members: Vec<Member>,
    reporter: &dyn Reporter,
) -> Result<(), Error> {
    let failed = writing(path);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs_err::create_dir_all(folder).map_err(&failed)?;
    let mut file = layout::staged(folder).map_err(&failed)?;
    for member in members {
        let kind = match &member.content {
            Content::Folder => HeaderKind::Directory,
            Content::Bytes(bytes) => HeaderKind::File(bytes.len() as u64),
            Content::Blob(_, size) => HeaderKind::File(*size),
        };
        let mode = if matches!(kind, HeaderKind::Directory) { 0o755 } else { 0o644 };
        let mut header = Vec::new();
        tarball::header(&mut header, &member.name, kind, mode, 0, 0);
        file.write_all(&header).map_err(&failed)?;
        let size = match member.content {
            Content::Folder => 0,
            Content::Bytes(bytes) => {
                file.write_all(&bytes).map_err(&failed)?;
                bytes.len() as u64
            }
            Content::Blob(digest, size) => {
                let blob = store.open_blob(&digest)?;
                copy(blob.file(), file.as_file_mut(), size, reporter).map_err(&failed)?;
                size
            }
        };
        file.write_all(&tarball::END[..tarball::padding(size)]).map_err(&failed)?;
    }
    file.write_all(&tarball::END).map_err(&failed)?;
    file.as_file().sync_all().map_err(&failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Copies exactly `size` bytes, file to file inside the kernel, piece by piece so that progress shows.
pub(super) fn copy(
    mut from: &std::fs::File,
    to: &mut std::fs::File,
    size: u64,
    reporter: &dyn Reporter,
) -> io::Result<()> {
    const PIECE: u64 = 16 << 20;
    let mut left = size;
    while left > 0 {
        let copied = io::copy(&mut io::Read::take(&mut from, left.min(PIECE)), to)?;
        if copied == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the blob ends before its size"));
        }
        left -= copied;
        reporter.advance(Phase::Publishing, copied);
    }
    Ok(())
}
