//! Images in one tar file: the same image gives the same bytes.

use std::io::{self, BufReader, Read as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use provenv_definition::{Digest, Hasher};
use provenv_fetch::{Phase, Reporter};
use provenv_store::Store;

use super::{Error, writing};
use crate::layer::Layer;
use crate::tarball::{self, HeaderKind};
use crate::unpack;

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
    /// The tar of a layer.
    Unpacked(Layer),
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
    clear(folder);
    let mut file = staged(folder).map_err(&failed)?;
    let _note = store.note_outside(file.path())?;
    for member in members {
        let kind = match &member.content {
            Content::Folder => HeaderKind::Directory,
            Content::Bytes(bytes) => HeaderKind::File(bytes.len() as u64),
            Content::Blob(_, size) => HeaderKind::File(*size),
            Content::Unpacked(layer) => {
                HeaderKind::File(tar_size(store, layer).map_err(|error| error.at(&failed))?)
            }
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
                copy(store, (&digest, size), file.as_file_mut(), reporter)
                    .map_err(|error| error.at(&failed))?;
                size
            }
            Content::Unpacked(layer) => {
                let size = write_tar(store, &layer, file.as_file_mut()).map_err(|error| error.at(&failed))?;
                reporter.advance(Phase::Publishing, layer.size);
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

/// How an archive in the making is called, with six letters or digits between. Files of layouts in the making have no ending.
const STAGED: (&str, &str) = (".provenv-", ".tar");

/// A file in `folder` to make an archive in. The lock on it, which ends with the process, says to others that somebody does.
fn staged(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    loop {
        let file = tempfile::Builder::new()
            .prefix(STAGED.0)
            .suffix(STAGED.1)
            .permissions(std::fs::Permissions::from_mode(0o666))
            .tempfile_in(folder)?;
        // Where files cannot be locked, nobody takes them away.
        let _ = file.as_file().lock();
        // Until it was locked, another process may have taken it for one that was left.
        if file.path().exists() {
            return Ok(file);
        }
    }
}

/// Takes away what processes that were killed have left in `folder`. What cannot be taken away stays.
fn clear(folder: &Path) {
    let Ok(entries) = fs_err::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str());
        let between = name.and_then(|name| name.strip_prefix(STAGED.0)?.strip_suffix(STAGED.1));
        let is_named_so = between
            .is_some_and(|rest| rest.len() == 6 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        if is_named_so
            && fs_err::symlink_metadata(&path).is_ok_and(|there| there.is_file())
            && fs_err::File::open(&path).is_ok_and(|file| file.file().try_lock().is_ok())
        {
            let _ = fs_err::remove_file(&path);
        }
    }
}

/// Why a blob could not be copied.
pub(super) enum CopyError {
    /// It could not be had from the store, or is damaged there.
    Store(provenv_store::Error),
    /// It could not be written.
    Io(io::Error),
}

impl CopyError {
    fn at(self, failed: impl Fn(io::Error) -> Error) -> Error {
        match self {
            Self::Store(error) => Error::Store(error),
            Self::Io(error) => failed(error),
        }
    }
}

impl From<io::Error> for CopyError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Bytes of a layer's tar. Of a layer that came from a registry nobody knows until it is unpacked.
fn tar_size(store: &Store, layer: &Layer) -> Result<u64, CopyError> {
    if layer.tar_size > 0 { Ok(layer.tar_size) } else { write_tar(store, layer, &mut io::sink()) }
}

/// Writes the tar of a layer, checked against its digest; gives its size.
fn write_tar(store: &Store, layer: &Layer, to: &mut impl Write) -> Result<u64, CopyError> {
    let blob = store.open_blob(&layer.digest).map_err(CopyError::Store)?;
    let mut tar = unpack::decoder(layer.compression, BufReader::with_capacity(1 << 18, blob))?;
    let (mut hasher, mut size, mut buffer) = (Hasher::new(), 0, vec![0; 1 << 20]);
    loop {
        let length = match tar.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        hasher.update(&buffer[..length]);
        to.write_all(&buffer[..length])?;
        size += length as u64;
    }
    let actual = hasher.finish();
    if actual != layer.diff_id {
        return Err(CopyError::Store(provenv_store::Error::Corrupt { expected: layer.diff_id, actual }));
    }
    Ok(size)
}

/// Copies the blob `digest` of `size` bytes. Others would find a damaged one only when they unpack it, and blame the archive:
/// so the bytes are checked on their way.
pub(super) fn copy(
    store: &Store,
    (digest, size): (&Digest, u64),
    to: &mut std::fs::File,
    reporter: &dyn Reporter,
) -> Result<(), CopyError> {
    let blob = store.open_blob(digest).map_err(CopyError::Store)?;
    let mut from = blob.file();
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut left = size;
    while left > 0 {
        let piece = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let length = match from.read(&mut buffer[..piece]) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        hasher.update(&buffer[..length]);
        to.write_all(&buffer[..length])?;
        left -= length as u64;
        reporter.advance(Phase::Publishing, length as u64);
    }
    let actual = hasher.finish();
    if actual != *digest {
        return Err(CopyError::Store(provenv_store::Error::Corrupt { expected: *digest, actual }));
    }
    Ok(())
}
