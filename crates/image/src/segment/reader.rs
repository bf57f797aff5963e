//! Reading a segment back from the store.

use std::io;
use std::os::unix::fs::FileExt as _;

use fs_err::File;
use libdeflater::Decompressor;
use provenv_definition::Digest;
use provenv_store::Store;

use super::error::Error;
use super::inflate::{self, GZIP_FOOTER, GZIP_HEADER, Stream, WHOLE};
use super::model::{Index, Item, Segment};

/// How much of a large member is read at once.
const PIECE: usize = 256 << 10;

/// A part of a member.
pub(crate) enum Piece<'p> {
    /// As it stands in the blob.
    Raw(&'p [u8]),
    /// What comes of inflating it.
    Plain(&'p [u8]),
}

/// A segment open for reading.
pub(crate) struct Reader<'s> {
    blob: Digest,
    file: File,
    pub index: &'s Index,
    /// Where each member begins: in the blob, and in the segment's uncompressed bytes.
    starts: Vec<(u64, u64)>,
    tar_size: u64,
    inflater: Decompressor,
    raw: Vec<u8>,
    /// The member inflated last.
    current: Option<usize>,
    plain: Vec<u8>,
}

impl<'s> Reader<'s> {
    pub fn open(store: &Store, segment: &'s Segment) -> Result<Self, Error> {
        store.verify(&segment.blob)?;
        let index = &segment.index;
        let mut at = (segment.offset, 0);
        let starts = index
            .members
            .iter()
            .map(|(compressed, plain)| {
                let start = at;
                at = (at.0 + compressed, at.1 + plain);
                start
            })
            .collect();
        Ok(Self {
            blob: segment.blob,
            file: store.open_blob(&segment.blob)?,
            index,
            starts,
            tar_size: segment.tar_size,
            inflater: Decompressor::new(),
            raw: Vec::new(),
            current: None,
            plain: Vec::new(),
        })
    }

    /// Where the `n`th entry ends in the uncompressed bytes.
    pub fn end_of(&self, n: usize) -> u64 {
        self.index.entries.get(n + 1).map_or(self.tar_size, |next| next.at)
    }

    /// The bytes of a file.
    pub fn read(&mut self, item: &Item) -> Result<Vec<u8>, Error> {
        self.read_part(item, 0, item.size)
    }

    /// Some bytes of a file, fewer where it ends before.
    pub fn read_part(&mut self, item: &Item, from: u64, length: u64) -> Result<Vec<u8>, Error> {
        let begin = item.at + item.header;
        let end = begin + item.size.min(from.saturating_add(length));
        let mut bytes = Vec::new();
        self.range(begin + from.min(item.size), end, |piece| bytes.extend_from_slice(piece))?;
        Ok(bytes)
    }

    /// Hands on the uncompressed bytes from `from` to `to`.
    pub fn range(&mut self, from: u64, to: u64, mut sink: impl FnMut(&[u8])) -> Result<(), Error> {
        let first = self.starts.partition_point(|start| start.1 <= from).saturating_sub(1);
        for n in first..self.starts.len() {
            let start = self.starts[n].1;
            if start >= to {
                break;
            }
            let mut at = start;
            let mut cut = |piece: &[u8]| {
                let cut = |point: u64| {
                    usize::try_from(point.saturating_sub(at)).unwrap_or(usize::MAX).min(piece.len())
                };
                sink(&piece[cut(from)..cut(to)]);
                at += piece.len() as u64;
            };
            // Small files of one member are mostly read one after the other.
            if self.current == Some(n) {
                cut(&self.plain);
                continue;
            }
            self.member(n, |piece| {
                if let Piece::Plain(piece) = piece {
                    cut(piece);
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// How many members there are.
    pub fn members(&self) -> usize {
        self.starts.len()
    }

    /// The member that holds exactly the uncompressed bytes from `from` to `to`, if there is one.
    pub fn member_of(&self, from: u64, to: u64) -> Option<usize> {
        let n = self.starts.partition_point(|start| start.1 < from);
        (n < self.starts.len() && self.span(n) == (from, to)).then_some(n)
    }

    /// Where the `n`th member begins and ends in the uncompressed bytes.
    pub fn span(&self, n: usize) -> (u64, u64) {
        let begin = self.starts[n].1;
        (begin, begin + self.index.members[n].1)
    }

    /// Hands on the `n`th member, as it stands and inflated, in pieces.
    pub fn member(
        &mut self,
        n: usize,
        mut sink: impl FnMut(Piece<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (at, _) = self.starts[n];
        let (compressed, size) = self.index.members[n];
        let blob = self.blob;
        let back = |source| Error::Back { blob, source };
        let damaged = |problem| back(io::Error::new(io::ErrorKind::InvalidData, problem));
        if size <= WHOLE {
            self.current = None;
            self.raw.resize(usize::try_from(compressed).map_err(|_| damaged(super::Problem::Damaged))?, 0);
            self.file.file().read_exact_at(&mut self.raw, at).map_err(back)?;
            if self.raw.len() < GZIP_HEADER.len() + GZIP_FOOTER {
                return Err(damaged(super::Problem::Truncated));
            }
            inflate::member(&mut self.inflater, &self.raw, size, &mut self.plain).map_err(damaged)?;
            self.current = Some(n);
            sink(Piece::Raw(&self.raw))?;
            return sink(Piece::Plain(&self.plain));
        }
        let body = compressed.saturating_sub((GZIP_HEADER.len() + GZIP_FOOTER) as u64);
        let mut stream = Stream::new(size, body);
        let mut piece = vec![0; PIECE];
        let mut done = 0;
        let mut footer = Vec::new();
        while done < compressed {
            let length = usize::try_from((compressed - done).min(PIECE as u64)).expect("at most a piece");
            let piece = &mut piece[..length];
            self.file.file().read_exact_at(piece, at + done).map_err(back)?;
            sink(Piece::Raw(piece))?;
            // What of this piece is header, body and footer.
            let cut =
                |point: u64| usize::try_from(point.saturating_sub(done)).unwrap_or(usize::MAX).min(length);
            let (begin, end) = (cut(GZIP_HEADER.len() as u64), cut(GZIP_HEADER.len() as u64 + body));
            let mut failed = None;
            stream
                .feed(&piece[begin..end], |bytes| {
                    sink(Piece::Plain(bytes)).map_err(|error| {
                        failed = Some(error);
                        io::ErrorKind::Other.into()
                    })
                })
                .map_err(|error| failed.take().unwrap_or_else(|| damaged(error.into())))?;
            footer.extend_from_slice(&piece[end..]);
            done += length as u64;
        }
        let crc = footer.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        stream.finish(crc).map_err(damaged)
    }
}
