//! Gzip of many members (RFC 1952, section 2.2), inflated by one decompressor from end to end.
//!
//! The checksums in the members are not looked at: whoever reads a layer checks the digest of the whole tar.

use std::io::{self, BufRead, Read};

use flate2::{Decompress, FlushDecompress, Status};

/// Inflates the members of `R`, one behind the other.
pub(super) struct Gunzip<R> {
    inner: R,
    inflater: Decompress,
    /// Between a member's header and its end.
    inside: bool,
}

impl<R: BufRead> Gunzip<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, inflater: Decompress::new(false), inside: false }
    }

    /// Goes past the next member's header; false at the end of the bytes.
    fn enter(&mut self) -> io::Result<bool> {
        const HAS_CRC: u8 = 2;
        const HAS_EXTRA: u8 = 4;
        const HAS_NAME: u8 = 8;
        const HAS_COMMENT: u8 = 16;
        if self.inner.fill_buf()?.is_empty() {
            return Ok(false);
        }
        let mut header = [0; 10];
        self.inner.read_exact(&mut header)?;
        if header[..3] != [0x1f, 0x8b, 8] || header[3] & 0xe0 != 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the bytes are not gzip"));
        }
        let flags = header[3];
        if flags & HAS_EXTRA != 0 {
            let mut length = [0; 2];
            self.inner.read_exact(&mut length)?;
            self.skip(u64::from(u16::from_le_bytes(length)))?;
        }
        for text in [HAS_NAME, HAS_COMMENT] {
            if flags & text != 0 && self.inner.skip_until(0)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if flags & HAS_CRC != 0 {
            self.skip(2)?;
        }
        self.inflater.reset(false);
        self.inside = true;
        Ok(true)
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let skipped = io::copy(&mut (&mut self.inner).take(bytes), &mut io::sink())?;
        if skipped == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.inside && !self.enter()? {
                return Ok(0);
            }
            let input = self.inner.fill_buf()?;
            let at_end = input.is_empty();
            let (before_in, before_out) = (self.inflater.total_in(), self.inflater.total_out());
            let status = self
                .inflater
                .decompress(input, buffer, FlushDecompress::None)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let read = usize::try_from(self.inflater.total_in() - before_in).expect("no more than the input");
            let written = usize::try_from(self.inflater.total_out() - before_out).expect("no more than the buffer");
            self.inner.consume(read);
            if status == Status::StreamEnd {
                self.inside = false;
                // CRC32 and length.
                self.skip(8)?;
            } else if at_end && written == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the gzip data end too early"));
            }
            if written > 0 {
                return Ok(written);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read as _, Write as _};

    use flate2::{Compression, GzBuilder};

    use super::Gunzip;

    fn member(text: &[u8], builder: GzBuilder) -> Vec<u8> {
        let mut encoder = builder.write(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn inflate(bytes: &[u8], capacity: usize) -> std::io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Gunzip::new(BufReader::with_capacity(capacity, bytes)).read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn members_of_all_kinds_follow_each_other() {
        let long = b"0123456789".repeat(40_000);
        let mut bytes = member(b"plain ", GzBuilder::new());
        bytes.extend(member(b"", GzBuilder::new()));
        bytes.extend(member(b"named ", GzBuilder::new().filename("name").comment("comment")));
        bytes.extend(member(&long, GzBuilder::new().extra(vec![7; 300])));
        let expected = [b"plain named ", &long[..]].concat();
        for capacity in [1, 7, 4096] {
            assert_eq!(inflate(&bytes, capacity).unwrap(), expected, "buffer of {capacity}");
        }
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(inflate(b"", 16).unwrap(), b"");
    }

    #[test]
    fn cut_and_foreign_bytes_are_errors() {
        let bytes = member(&b"some text ".repeat(100), GzBuilder::new().filename("name"));
        for length in 1..bytes.len() {
            assert!(inflate(&bytes[..length], 16).is_err(), "cut after {length}");
        }
        let mut trailing = bytes.clone();
        trailing.extend(b"not gzip at all");
        assert!(inflate(&trailing, 16).is_err());
        assert!(inflate(b"PK\x03\x04 and more", 16).is_err());
    }
}
