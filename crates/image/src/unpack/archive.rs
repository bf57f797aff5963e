//! An archive that holds a build context: a tar, compressed or not.

use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;

use super::base::decoder;
use super::tree::{Error, Tree};
use crate::layer::Compression;

/// A build context unpacks to no more bytes than its definition may hold, with what `.dockerignore` leaves out.
const MOST: u64 = 16 << 30;

/// Lays the tar in the file `archive` out in the empty folder `to`. Nothing is written outside of it.
pub fn archive(archive: &Path, to: &Path) -> io::Result<()> {
    let mut file = BufReader::with_capacity(1 << 18, fs_err::File::open(archive)?);
    let head = file.fill_buf()?;
    let plain: Box<dyn Read> = if head.starts_with(b"BZh") {
        Box::new(bzip2::read::MultiBzDecoder::new(file))
    } else if head.starts_with(b"\xfd7zXZ\0") {
        Box::new(liblzma::read::XzDecoder::new_multi_decoder(file))
    } else {
        decoder(Compression::None, file)?
    };
    let too_large =
        || io::Error::new(io::ErrorKind::InvalidData, "it unpacks to more than a build context may hold");
    let mut tar = Bounded { inner: plain, left: MOST };
    let mut lay = || {
        let mut tree = Tree::new(to, true)?;
        tree.lay(&mut tar)?;
        tree.finish()
    };
    match lay() {
        Ok(()) if tar.left == 0 => Err(too_large()),
        Ok(()) => Ok(()),
        Err(Error::Io(error)) => Err(error),
        Err(Error::Refused { path, reason }) => {
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("`{}` {reason}", path.escape_debug())))
        }
    }
}

/// Ends where it is too long.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.inner.read(&mut buffer[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}
