//! Lists of packages as they are sent, read as plain text within bounds: a few kilobytes of a hostile list must not
//! become gigabytes of memory or disk.

use std::io::{self, Read};
use std::path::Path;

/// Memory for decompressing xz: 64 MiB is the dictionary of its highest preset, which Debian uses.
const XZ_MEMORY: u64 = 96 << 20;

/// The longest list. That of all of Debian's `main` has 60 MB.
const LONGEST: u64 = 512 << 20;

/// The plain text of `file`, which is compressed as the extension of `name` says.
pub(super) fn plain(file: impl Read + 'static, name: &str) -> io::Result<Box<dyn Read>> {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    Ok(match extension {
        Some("xz") => {
            let flags = liblzma::stream::CONCATENATED;
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, flags)?;
            Box::new(Bounded::new(liblzma::read::XzDecoder::new_stream(file, stream)))
        }
        Some("gz") => Box::new(Bounded::new(flate2::read::MultiGzDecoder::new(file))),
        _ => Box::new(Bounded::new(file)),
    })
}

/// A reader that fails where another would go on for too long.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R> Bounded<R> {
    fn new(inner: R) -> Self {
        Self { inner, left: LONGEST }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("it is longer than {} MiB", LONGEST >> 20))
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn xz(bytes: &[u8], preset: u32) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), preset);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: Vec<u8>, name: &str) -> io::Result<u64> {
        io::copy(&mut plain(io::Cursor::new(bytes), name)?, &mut io::sink())
    }

    #[test]
    fn every_compression_is_read_to_its_end() {
        let text = b"Package: a\n".repeat(1000);
        // As xz's highest preset makes it, and in two streams.
        assert_eq!(read([xz(&text, 9), xz(&text, 1)].concat(), "Packages.xz").unwrap(), 22_000);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        let gzip = gzip.finish().unwrap();
        assert_eq!(read([gzip.clone(), gzip].concat(), "Packages.gz").unwrap(), 22_000);
        assert_eq!(read(text, "Packages").unwrap(), 11_000);
    }

    #[test]
    fn a_dictionary_that_does_not_fit_is_refused() {
        let mut bytes = xz(b"Package: a\n", 1);
        // The block header: its length, flags, the filter (LZMA2, one byte of properties), padding, a checksum.
        let (start, length) = (12, (usize::from(bytes[12]) + 1) * 4);
        assert_eq!(bytes[start + 2..start + 4], [0x21, 1]);
        // 4 GiB.
        bytes[start + 4] = 40;
        let mut sum = flate2::Crc::new();
        sum.update(&bytes[start..start + length - 4]);
        bytes[start + length - 4..start + length].copy_from_slice(&sum.sum().to_le_bytes());
        let error = read(bytes, "Packages.xz").unwrap_err();
        assert!(error.to_string().contains("memory"), "{error}");
    }

    #[test]
    fn a_list_without_end_is_refused() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::copy(&mut io::repeat(b'\n').take(LONGEST + 1), &mut encoder).unwrap();
        let bomb = encoder.finish().unwrap();
        assert!(bomb.len() < 8 << 20);
        assert!(read(bomb, "Packages.gz").unwrap_err().to_string().contains("512 MiB"));
    }
}
