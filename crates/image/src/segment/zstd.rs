//! Segments as zstd frames: the same tar as the gzip members', compressed once and kept for ever.
//!
//! A frame holds some of the tar's bytes and is made of nothing else, so frames one behind the other are a zstd stream of what
//! they hold (RFC 8878, section 3). Its checksum is there because frames are copied: a bit that turned on the disk must not
//! become part of a layer.

use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;

use fs_err::File;
use provenv_definition::{Digest, Hasher};
use provenv_store::{Blob, Staged, Store};
use serde::{Deserialize, Serialize};

use super::error::{Error, Problem};
use super::gzip::total;
use super::model::Segment;
use super::reader::Reader;
use super::{key, once};
use crate::tarball;

/// zstd's level. Its output at a level is part of the assembly epoch.
const LEVEL: i32 = 3;
/// Uncompressed bytes of a frame at the most: twice the window of this level, so that little is lost where one ends.
const FRAME: usize = 4 << 20;

/// A segment as frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Frames {
    /// The blob that holds them.
    pub blob: Digest,
    /// Where they begin in it.
    pub offset: u64,
    /// Compressed and uncompressed length of each.
    pub lengths: Vec<(u64, u64)>,
    /// Bytes of the blob, where it is a whole layer, as [`Segment::whole`] is.
    pub whole: Option<u64>,
}

/// The key of the record of a segment's frames.
pub(crate) fn frames_key(segment: &Segment) -> String {
    let place = format!("{} {} {}", segment.blob.hex(), segment.offset, segment.size);
    key(&["zstd", &LEVEL.to_string(), &place])
}

/// The frames of `segment`, made now if nobody has done it yet. `head` is what its layer begins with, where it is alone in it.
pub(crate) fn frames(store: &Store, segment: &Segment, head: &[u8]) -> Result<Frames, Error> {
    once(
        store,
        &frames_key(segment),
        |kept: &Frames| store.contains(&kept.blob),
        || {
            let is_whole = segment.whole.is_some();
            let mut out = ZstdWriter::new(store, false)?;
            if is_whole {
                out.push(head)?;
                out.flush()?;
            }
            let before = out.frames.len();
            let mut result = Ok(());
            Reader::open(store, segment)?.range(0, segment.tar_size, |bytes| {
                if result.is_ok() {
                    result = out.push(bytes);
                }
            })?;
            result?;
            out.flush()?;
            let offset = total(&out.frames[..before]).0;
            let lengths = out.frames[before..].to_vec();
            if is_whole {
                out.push(&tarball::END)?;
            }
            let (blob, _) = out.finish()?;
            Ok(Frames { blob: blob.digest, offset, lengths, whole: is_whole.then_some(blob.size) })
        },
    )
}

/// A blob of zstd frames in the making.
pub(crate) struct ZstdWriter {
    out: Staged,
    /// Digests the uncompressed bytes, where somebody wants to know.
    plain: Option<Hasher>,
    pending: Vec<u8>,
    /// Compressed and uncompressed length of each frame so far.
    pub frames: Vec<(u64, u64)>,
}

impl ZstdWriter {
    pub fn new(store: &Store, digest_plain: bool) -> Result<Self, Error> {
        Ok(Self {
            out: store.stage()?,
            plain: digest_plain.then(Hasher::new),
            pending: Vec::new(),
            frames: Vec::new(),
        })
    }

    /// Adds bytes to be compressed. Where a frame ends depends on the bytes alone, not on how they are handed over.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while self.pending.len() + bytes.len() >= FRAME {
            let (now, later) = bytes.split_at(FRAME - self.pending.len());
            self.pending.extend_from_slice(now);
            self.flush()?;
            bytes = later;
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    /// Ends the frame.
    pub fn flush(&mut self) -> Result<(), Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        // A new one each time: what it makes follows from these bytes alone.
        let pack = || {
            let mut compressor = ::zstd::bulk::Compressor::new(LEVEL)?;
            compressor.include_checksum(true)?;
            compressor.compress(&self.pending)
        };
        let packed = pack().map_err(Error::Write)?;
        self.out.write_all(&packed).map_err(Error::Write)?;
        if let Some(hasher) = &mut self.plain {
            hasher.update(&self.pending);
        }
        self.frames.push((packed.len() as u64, self.pending.len() as u64));
        self.pending.clear();
        Ok(())
    }

    /// Adds a ready frame and what it holds. Whatever is pending must have been flushed.
    pub fn frame(&mut self, packed: &[u8], plain: &[u8]) -> Result<(), Error> {
        self.out.write_all(packed).map_err(Error::Write)?;
        if let Some(hasher) = &mut self.plain {
            hasher.update(plain);
        }
        self.frames.push((packed.len() as u64, plain.len() as u64));
        Ok(())
    }

    /// Ends the blob; gives it and the digest of its uncompressed bytes.
    pub fn finish(mut self) -> Result<(Blob, Option<Digest>), Error> {
        self.flush()?;
        Ok((self.out.commit()?, self.plain.map(Hasher::finish)))
    }
}

/// Frames that are read back from the store.
pub(crate) struct FramesReader<'f> {
    file: File,
    frames: &'f Frames,
}

impl<'f> FramesReader<'f> {
    pub fn open(store: &Store, frames: &'f Frames) -> Result<Self, Error> {
        Ok(Self { file: store.open_blob(&frames.blob)?, frames })
    }

    /// Hands on each frame, as it stands and what it holds.
    pub fn each(&self, mut sink: impl FnMut(&[u8], &[u8]) -> Result<(), Error>) -> Result<(), Error> {
        let back = |source| Error::Back { blob: self.frames.blob, source };
        let damaged = || back(io::Error::new(io::ErrorKind::InvalidData, Problem::Damaged));
        let mut at = self.frames.offset;
        let mut packed = Vec::new();
        for &(compressed, size) in &self.frames.lengths {
            let size = usize::try_from(size).ok().filter(|&size| size <= FRAME).ok_or_else(damaged)?;
            packed.resize(usize::try_from(compressed).map_err(|_| damaged())?, 0);
            self.file.file().read_exact_at(&mut packed, at).map_err(back)?;
            let plain = ::zstd::bulk::decompress(&packed, size).map_err(|_| damaged())?;
            if plain.len() != size {
                return Err(damaged());
            }
            sink(&packed, &plain)?;
            at += compressed;
        }
        Ok(())
    }
}
