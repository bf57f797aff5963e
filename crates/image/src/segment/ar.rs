//! The `ar` archive that a `.deb` is (deb(5)).

use std::io::{self, Read};

use super::error::Fault;

/// Reads members one after the other.
pub(crate) struct Ar<R> {
    inner: R,
    /// Bytes of the current member not yet read, and whether a padding byte follows them.
    left: u64,
    padded: bool,
}

impl<R: Read> Ar<R> {
    pub fn open(mut inner: R) -> Result<Self, Fault> {
        let mut magic = [0; 8];
        inner.read_exact(&mut magic).map_err(short)?;
        if magic != *b"!<arch>\n" {
            return Err(Fault::malformed("is not a Debian package"));
        }
        Ok(Self { inner, left: 0, padded: false })
    }

    /// The next member's name; its bytes are then read from `self`.
    pub fn next(&mut self) -> Result<Option<String>, Fault> {
        let skip = self.left + u64::from(self.padded);
        let skipped = io::copy(&mut (&mut self.inner).take(skip), &mut io::sink()).map_err(Fault::Read)?;
        let mut header = [0; 60];
        let length = self.inner.read(&mut header[..1]).map_err(Fault::Read)?;
        if length == 0 {
            // The padding of the last member is often left out.
            return if skipped + 1 >= skip { Ok(None) } else { Err(Fault::malformed("is cut short")) };
        }
        self.inner.read_exact(&mut header[1..]).map_err(short)?;
        let field = |from: usize, to: usize| String::from_utf8_lossy(&header[from..to]).trim_end().to_owned();
        let size = field(48, 58).parse::<u64>().ok().filter(|_| header[58..] == *b"`\n");
        let size = size.ok_or_else(|| Fault::malformed("has a damaged member header"))?;
        self.left = size;
        self.padded = size % 2 == 1;
        Ok(Some(field(0, 16).trim_end_matches('/').to_owned()))
    }
}

impl<R: Read> Read for Ar<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let length = self.inner.read(&mut buffer[..want])?;
        if length == 0 && want > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= length as u64;
        Ok(length)
    }
}

fn short(error: io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Fault::malformed("is cut short"),
        _ => Fault::Read(error),
    }
}
