//! Inflating deflate streams and gzip members, checked to their last byte.
//!
//! libdeflate is twice as fast as the streaming inflaters but needs the whole of a member in memory, so members of more
//! than [`WHOLE`] bytes go through zlib-rs piece by piece.

use std::io;

use flate2::{Decompress, FlushDecompress, Status};
use libdeflater::{DecompressionError, Decompressor};

use super::error::Problem;

/// The largest member, uncompressed, that is inflated in one piece.
pub(crate) const WHOLE: u64 = 8 << 20;

/// What every gzip member of ours that is not libdeflate's own work begins with: deflate, no name, no time, unknown
/// system.
pub(crate) const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Bytes of a gzip member's end: CRC-32 and size.
pub(crate) const GZIP_FOOTER: usize = 8;

/// The end of a gzip member.
pub(crate) fn gzip_footer(crc: u32, size: u64) -> [u8; GZIP_FOOTER] {
    let mut footer = [0; GZIP_FOOTER];
    footer[..4].copy_from_slice(&crc.to_le_bytes());
    #[expect(clippy::cast_possible_truncation, reason = "RFC 1952: the size modulo 2^32")]
    footer[4..].copy_from_slice(&(size as u32).to_le_bytes());
    footer
}

/// Inflates a whole deflate stream to exactly `size` bytes.
pub(crate) fn whole(
    inflater: &mut Decompressor,
    raw: &[u8],
    size: u64,
    plain: &mut Vec<u8>,
) -> Result<(), Problem> {
    plain.resize(usize::try_from(size).map_err(|_| Problem::Bomb(size))?, 0);
    match inflater.deflate_decompress(raw, plain) {
        Ok(actual) if actual as u64 == size => Ok(()),
        Ok(actual) => Err(Problem::SizeLie { declared: size, actual: actual as u64 }),
        Err(DecompressionError::InsufficientSpace) => {
            Err(Problem::SizeLie { declared: size, actual: size + 1 })
        }
        Err(DecompressionError::BadData) => Err(Problem::Damaged),
    }
}

/// Inflates the one gzip member that `member` is, to exactly `size` bytes: what a reader of the layer will see.
///
/// libdeflate does not say where the deflate stream ended. It looks for CRC and size right behind it, so if they occur
/// nowhere but at the end of `member`, that is where the stream ends; if they do, e.g. because someone hid a second
/// stream in the first, the slow inflater, which knows, has the word.
pub(crate) fn member(
    inflater: &mut Decompressor,
    member: &[u8],
    size: u64,
    plain: &mut Vec<u8>,
) -> Result<(), Problem> {
    plain.resize(usize::try_from(size).map_err(|_| Problem::Bomb(size))?, 0);
    let end = member.len() - GZIP_FOOTER;
    let footer = &member[end..];
    let sure = inflater.gzip_decompress(member, plain).is_ok_and(|actual| actual as u64 == size)
        && memchr::memmem::find(member, footer) == Some(end);
    if sure {
        return Ok(());
    }
    let crc = u32::from_le_bytes([footer[0], footer[1], footer[2], footer[3]]);
    plain.clear();
    let mut stream = Stream::new(size, (end - GZIP_HEADER.len()) as u64);
    stream.feed(&member[GZIP_HEADER.len()..end], |bytes| {
        plain.extend_from_slice(bytes);
        Ok(())
    })?;
    stream.finish(crc)
}

/// Why a stream could not be inflated, or its bytes not be passed on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error(transparent)]
    Problem(#[from] Problem),
    #[error(transparent)]
    Sink(#[from] io::Error),
}

impl From<StreamError> for Problem {
    /// For sinks that cannot fail.
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Problem(problem) => problem,
            StreamError::Sink(_) => Problem::Damaged,
        }
    }
}

/// Inflates a deflate stream of known sizes piece by piece.
pub(crate) struct Stream {
    inflate: Decompress,
    crc: libdeflater::Crc,
    buffer: Vec<u8>,
    size: u64,
    compressed: u64,
    ended: bool,
}

impl Stream {
    pub fn new(size: u64, compressed: u64) -> Self {
        Self {
            inflate: Decompress::new(false),
            crc: libdeflater::Crc::new(),
            buffer: vec![0; 256 << 10],
            size,
            compressed,
            ended: false,
        }
    }

    /// Inflates `raw` and hands on what comes of it.
    pub fn feed(
        &mut self,
        mut raw: &[u8],
        mut sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), StreamError> {
        while !self.ended {
            let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self
                .inflate
                .decompress(raw, &mut self.buffer, FlushDecompress::None)
                .map_err(|_| Problem::Damaged)?;
            let consumed = usize::try_from(self.inflate.total_in() - read).expect("a part of a slice");
            let made = usize::try_from(self.inflate.total_out() - written).expect("a part of a buffer");
            raw = &raw[consumed..];
            if self.inflate.total_out() > self.size {
                let actual = self.inflate.total_out();
                return Err(Problem::SizeLie { declared: self.size, actual }.into());
            }
            self.crc.update(&self.buffer[..made]);
            sink(&self.buffer[..made])?;
            self.ended = status == Status::StreamEnd;
            if raw.is_empty() && made < self.buffer.len() {
                break;
            }
            if consumed == 0 && made == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Whether all went as declared.
    pub fn finish(self, crc: u32) -> Result<(), Problem> {
        if !self.ended {
            return Err(Problem::Truncated);
        }
        if self.inflate.total_in() != self.compressed {
            return Err(Problem::Damaged);
        }
        if self.inflate.total_out() != self.size {
            return Err(Problem::SizeLie { declared: self.size, actual: self.inflate.total_out() });
        }
        if self.crc.sum() != crc {
            return Err(Problem::Crc);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use libdeflater::{CompressionLvl, Compressor, Decompressor, crc32};

    use super::*;

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut compressor = Compressor::new(CompressionLvl::default());
        let mut raw = vec![0; compressor.deflate_compress_bound(bytes.len())];
        let length = compressor.deflate_compress(bytes, &mut raw).unwrap();
        raw.truncate(length);
        raw
    }

    fn framed(raw: &[u8], crc: u32, size: u64) -> Vec<u8> {
        [&GZIP_HEADER[..], raw, &gzip_footer(crc, size)].concat()
    }

    #[test]
    fn a_member_reads_back_both_ways() {
        for bytes in [&b""[..], b"a", &[7; 10_000]] {
            let raw = deflate(bytes);
            let gzip = framed(&raw, crc32(bytes), bytes.len() as u64);
            let mut plain = Vec::new();
            member(&mut Decompressor::new(), &gzip, bytes.len() as u64, &mut plain).unwrap();
            assert_eq!(plain, bytes);
            let mut stream = Stream::new(bytes.len() as u64, raw.len() as u64);
            let mut streamed = Vec::new();
            for piece in raw.chunks(3) {
                stream
                    .feed(piece, |bytes| {
                        streamed.extend_from_slice(bytes);
                        Ok(())
                    })
                    .unwrap();
            }
            stream.finish(crc32(bytes)).unwrap();
            assert_eq!(streamed, bytes);
        }
    }

    #[test]
    fn a_stream_hidden_behind_a_stream_is_found() {
        let bytes = b"what the directory speaks of";
        let crc = crc32(bytes);
        let mut raw = deflate(bytes);
        raw.extend_from_slice(&gzip_footer(crc, bytes.len() as u64));
        raw.extend_from_slice(&GZIP_HEADER);
        raw.extend_from_slice(&deflate(b"smuggled"));
        let gzip = framed(&raw, crc, bytes.len() as u64);
        let mut plain = Vec::new();
        let mut inflater = Decompressor::new();
        // libdeflate alone is content with it.
        plain.resize(bytes.len(), 0);
        assert!(inflater.gzip_decompress(&gzip, &mut plain).is_ok());
        let result = member(&mut inflater, &gzip, bytes.len() as u64, &mut plain);
        assert!(matches!(result, Err(Problem::Damaged)), "{result:?}");
    }

    #[test]
    fn each_lie_has_its_name() {
        let bytes = vec![1; 5000];
        let raw = deflate(&bytes);
        let check = |crc, size| {
            let gzip = framed(&raw, crc, size);
            member(&mut Decompressor::new(), &gzip, size, &mut Vec::new()).unwrap_err()
        };
        assert!(matches!(check(0, 5000), Problem::Crc));
        assert!(matches!(check(crc32(&bytes), 4999), Problem::SizeLie { .. }));
        assert!(matches!(check(crc32(&bytes), 5001), Problem::SizeLie { .. }));
        let gzip = framed(&raw[..raw.len() - 1], crc32(&bytes), 5000);
        let cut = member(&mut Decompressor::new(), &gzip, 5000, &mut Vec::new()).unwrap_err();
        assert!(matches!(cut, Problem::Truncated | Problem::Damaged), "{cut:?}");
    }
}
