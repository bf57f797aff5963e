//! Writing a blob of gzip members: bytes to compress are gathered into blocks, ready members go in as they stand.

use std::io::Write as _;

use libdeflater::{CompressionLvl, Compressor};
use provenv_definition::{Digest, Hasher};
use provenv_store::{Blob, Staged, Store};

use super::error::Error;

/// Uncompressed bytes of a member that gathers several small things. Larger blocks compress no better; smaller ones
/// make more members, which cost every reader.
pub(crate) const BLOCK: usize = 512 << 10;

/// libdeflate's level. Its output at a level is part of the assembly epoch.
const LEVEL: i32 = 6;

/// A blob of gzip members in the making.
pub(crate) struct GzipWriter {
    out: Staged,
    /// Digests the uncompressed bytes, where somebody wants to know.
    plain: Option<Hasher>,
    pending: Vec<u8>,
    packed: Vec<u8>,
    compressor: Compressor,
    /// Compressed and uncompressed length of each member so far.
    pub members: Vec<(u64, u64)>,
}

impl GzipWriter {
    pub fn new(store: &Store, digest_plain: bool) -> Result<Self, Error> {
        Ok(Self {
            out: store.stage()?,
            plain: digest_plain.then(Hasher::new),
            pending: Vec::with_capacity(BLOCK),
            packed: Vec::new(),
            compressor: Compressor::new(CompressionLvl::new(LEVEL).expect("a level of libdeflate")),
            members: Vec::new(),
        })
    }

    /// Adds bytes to be compressed. Where a block ends depends on the bytes alone, not on how they are handed over.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while self.pending.len() + bytes.len() >= BLOCK {
            let (now, later) = bytes.split_at(BLOCK - self.pending.len());
            self.pending.extend_from_slice(now);
            self.flush()?;
            bytes = later;
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    /// Adds a ready member and what it inflates to.
    pub fn member(&mut self, gzip: &[u8], plain: &[u8]) -> Result<(), Error> {
        self.raw(gzip)?;
        self.plain(plain);
        self.end_member(gzip.len() as u64, plain.len() as u64);
        Ok(())
    }

    /// Adds a piece of a ready member as it stands.
    pub fn raw(&mut self, gzip: &[u8]) -> Result<(), Error> {
        self.flush()?;
        self.out.write_all(gzip).map_err(Error::Write)
    }

    /// Notes what a piece of a ready member inflates to.
    pub fn plain(&mut self, plain: &[u8]) {
        if let Some(hasher) = &mut self.plain {
            hasher.update(plain);
        }
    }

    /// Ends a ready member that was added in pieces.
    pub fn end_member(&mut self, compressed: u64, plain: u64) {
        self.members.push((compressed, plain));
    }

    /// Ends the block.
    pub fn flush(&mut self) -> Result<(), Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        self.pack(&pending)?;
        self.pending = pending;
        self.pending.clear();
        Ok(())
    }

    /// Adds a member of these bytes and no others, however many they are. Whatever is pending must have been flushed.
    pub fn pack(&mut self, plain: &[u8]) -> Result<(), Error> {
        self.packed.resize(self.compressor.gzip_compress_bound(plain.len()), 0);
        let length = self
            .compressor
            .gzip_compress(plain, &mut self.packed)
            .expect("the buffer is as large as the compressor asked for");
        self.out.write_all(&self.packed[..length]).map_err(Error::Write)?;
        self.plain(plain);
        self.members.push((length as u64, plain.len() as u64));
        Ok(())
    }

    /// Ends the blob; gives it and the digest of its uncompressed bytes.
    pub fn finish(mut self) -> Result<(Blob, Option<Digest>), Error> {
        self.flush()?;
        Ok((self.out.commit()?, self.plain.map(Hasher::finish)))
    }
}

/// Compressed and uncompressed bytes of `members`.
pub(crate) fn total(members: &[(u64, u64)]) -> (u64, u64) {
    members.iter().fold((0, 0), |(compressed, plain), member| (compressed + member.0, plain + member.1))
}
