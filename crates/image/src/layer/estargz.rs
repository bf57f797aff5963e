//! eStargz layers (containerd's stargz snapshotter, `docs/estargz.md`): gzip in which each file is a member of its own, with a
//! table of contents at the end by which a client can fetch and check single files. To all others it is a gzip layer, with two
//! more files in it.
//!
//! A file that is a gzip member of its segment is copied as it is; so are all but the smallest files of a wheel, which its zip
//! has compressed. The rest is compressed again, because the members of a segment gather small files.

use std::collections::BTreeSet;

use provenv_definition::{Digest, Hasher};
use provenv_store::Store;
use serde::Serialize;

use super::{Contents, Joined, Note, Part, Sink};
use crate::entry::Directory;
use crate::links;
use crate::oci::CREATED;
use crate::segment::{Error, GzipWriter, Item, ItemKind, Piece, Reader, key, once};
use crate::tarball::{self, HeaderKind, padding};

/// Bytes of a file that are a member of their own, where they are compressed here.
const CHUNK: usize = 4 << 20;
/// Says that nothing is to be fetched before it is read.
const LANDMARK: &str = ".no.prefetch.landmark";
const LANDMARK_CONTENTS: &[u8] = &[0xf];
const TOC: &str = "stargz.index.json";

/// Joins `contents` to a layer.
pub(super) fn join(store: &Store, contents: &Contents<'_>) -> Result<(Joined, Vec<String>), Error> {
    let key = key(&["estargz layer", &contents.key()]);
    let joined = once(
        store,
        &key,
        |joined: &Joined| store.contains(&joined.digest),
        || {
            let mut out = Writer::new(store)?;
            out.file(LANDMARK, LANDMARK_CONTENTS)?;
            out.folders(&contents.head, contents.parents)?;
            for part in contents.parts {
                out.part(store, part)?;
            }
            for Note { path, text } in contents.notes {
                out.file(path, text.as_bytes())?;
            }
            out.finish()
        },
    )?;
    Ok((joined, vec![key]))
}

#[derive(Serialize)]
struct Toc<'a> {
    version: u32,
    entries: &'a [Entry],
}

/// A file, folder or link; or a further piece of the file before it.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: String,
    r#type: &'static str,
    #[serde(skip_serializing_if = "is_zero")]
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    modtime: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid: Option<u32>,
    #[serde(skip_serializing_if = "is_zero")]
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    #[serde(skip_serializing_if = "is_zero")]
    chunk_offset: u64,
    /// 0 where it reaches to the end of the file.
    #[serde(skip_serializing_if = "is_zero")]
    chunk_size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk_digest: Option<Digest>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Entry {
    fn new(name: String, r#type: &'static str, mode: u32, (uid, gid): (u32, u32)) -> Self {
        let (mode, uid, gid) = (Some(mode), Some(uid), Some(gid));
        Self { name, r#type, modtime: Some(CREATED), mode, uid, gid, ..Self::default() }
    }
}

/// A layer in the making.
struct Writer {
    out: GzipWriter,
    /// Members whose compressed bytes are in `position`.
    counted: usize,
    position: u64,
    entries: Vec<Entry>,
}

impl Sink for Writer {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.out.push(bytes)
    }
}

impl Writer {
    fn new(store: &Store) -> Result<Self, Error> {
        Ok(Self { out: GzipWriter::new(store, true)?, counted: 0, position: 0, entries: Vec::new() })
    }

    /// Where in the blob the next member begins. What was pushed until now is in members before it.
    fn next_member(&mut self) -> Result<u64, Error> {
        self.out.flush()?;
        self.position += self.out.members[self.counted..].iter().map(|member| member.0).sum::<u64>();
        self.counted = self.out.members.len();
        Ok(self.position)
    }

    fn folders(&mut self, head: &[u8], folders: &[Directory]) -> Result<(), Error> {
        self.push(head)?;
        let entry = |folder: &Directory| {
            Entry::new(format!("{}/", folder.path), "dir", folder.mode, (folder.uid, folder.gid))
        };
        self.entries.extend(folders.iter().map(entry));
        Ok(())
    }

    /// A file of root's whose bytes are at hand.
    fn file(&mut self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        let mut header = Vec::new();
        let size = bytes.len() as u64;
        tarball::header(&mut header, path, HeaderKind::File(size), 0o644, 0, 0);
        self.push(&header)?;
        let mut entry = Entry { size, ..Entry::new(path.to_owned(), "reg", 0o644, (0, 0)) };
        if size > 0 {
            entry.offset = self.next_member()?;
            self.out.pack(bytes)?;
            let digest = Some(Digest::of(bytes));
            (entry.digest, entry.chunk_digest) = (digest, digest);
        }
        self.entries.push(entry);
        self.push(&[0; 512][..padding(size)])
    }

    /// A segment, without what is to be left out.
    fn part(&mut self, store: &Store, part: &Part<'_>) -> Result<(), Error> {
        let mut reader = Reader::open(store, part.segment)?;
        let moved = links::moved(part.segment, part.without);
        let later: BTreeSet<&str> = moved.iter().map(|moved| moved.link.path.as_str()).collect();
        for item in &part.segment.index.entries {
            if part.without.contains(&item.path) || later.contains(item.path.as_str()) {
                continue;
            }
            super::copy(&mut reader, self, item.at, item.at + item.header)?;
            self.item(&mut reader, item, &item.path, &item.kind)?;
        }
        // Hard links whose target is not in the layer.
        for moved in &moved {
            let (kind, header_kind) = match moved.target {
                Some(target) => (ItemKind::Hardlink(target.to_owned()), HeaderKind::Hardlink(target)),
                None => (ItemKind::File, HeaderKind::File(moved.file.size)),
            };
            let mut header = Vec::new();
            let (path, file) = (&moved.link.path, moved.file);
            tarball::header(&mut header, path, header_kind, file.mode, file.uid, file.gid);
            self.push(&header)?;
            self.item(&mut reader, file, path, &kind)?;
        }
        Ok(())
    }

    /// What comes behind the header of an entry at `path`: the bytes of `item`, if it is a file.
    fn item(
        &mut self,
        reader: &mut Reader<'_>,
        item: &Item,
        path: &str,
        kind: &ItemKind,
    ) -> Result<(), Error> {
        let entry = |r#type| Entry::new(path.to_owned(), r#type, item.mode, (item.uid, item.gid));
        let link = |r#type, target: &str| Entry { link_name: Some(target.to_owned()), ..entry(r#type) };
        match kind {
            ItemKind::Symlink(target) => self.entries.push(link("symlink", target)),
            ItemKind::Hardlink(target) => self.entries.push(link("hardlink", target)),
            ItemKind::File if item.size == 0 => self.entries.push(entry("reg")),
            ItemKind::File => {
                let first = self.entries.len();
                self.entries.push(Entry { size: item.size, ..entry("reg") });
                let digest = self.contents(reader, item, first)?;
                self.entries[first].digest = Some(digest);
                self.push(&[0; 512][..padding(item.size)])?;
            }
        }
        Ok(())
    }

    /// The bytes of a file, whose entry is the one at `first`; gives their digest.
    fn contents(&mut self, reader: &mut Reader<'_>, item: &Item, first: usize) -> Result<Digest, Error> {
        let (begin, end) = (item.at + item.header, item.at + item.header + item.size);
        let mut hasher = Hasher::new();
        if let Some(n) = reader.member_of(begin, end) {
            self.entries[first].offset = self.next_member()?;
            let mut compressed = 0;
            let out = &mut self.out;
            reader.member(n, |piece| {
                match piece {
                    Piece::Raw(bytes) => {
                        compressed += bytes.len() as u64;
                        out.raw(bytes)?;
                    }
                    Piece::Plain(bytes) => {
                        out.plain(bytes);
                        hasher.update(bytes);
                    }
                }
                Ok(())
            })?;
            self.out.end_member(compressed, item.size);
            let digest = hasher.finish();
            self.entries[first].chunk_digest = Some(digest);
            return Ok(digest);
        }
        let mut chunk = Vec::new();
        let mut at = begin;
        while at < end {
            let to = end.min(at + CHUNK as u64);
            chunk.clear();
            reader.range(at, to, |bytes| chunk.extend_from_slice(bytes))?;
            hasher.update(&chunk);
            let offset = self.next_member()?;
            self.out.pack(&chunk)?;
            if at > begin {
                let name = self.entries[first].name.clone();
                self.entries.push(Entry { name, r#type: "chunk", ..Entry::default() });
            }
            let entry = self.entries.last_mut().expect("the file's own is there");
            (entry.offset, entry.chunk_offset) = (offset, at - begin);
            entry.chunk_size = if to < end { to - at } else { 0 };
            entry.chunk_digest = Some(Digest::of(&chunk));
            at = to;
        }
        Ok(hasher.finish())
    }

    /// Ends the layer with its table of contents and the footer that says where that is.
    fn finish(mut self) -> Result<Joined, Error> {
        let toc = serde_json::to_vec(&Toc { version: 1, entries: &self.entries }).expect("plain data");
        let position = self.next_member()?;
        let size = toc.len() as u64;
        // Readers take the table for one member.
        let mut member = Vec::with_capacity(toc.len() + 4096);
        tarball::header(&mut member, TOC, HeaderKind::File(size), 0o644, 0, 0);
        member.extend_from_slice(&toc);
        member.resize(member.len() + padding(size), 0);
        member.extend_from_slice(&tarball::END);
        self.out.pack(&member)?;
        let footer = footer(position);
        self.out.raw(&footer)?;
        self.out.end_member(footer.len() as u64, 0);
        let tar_size = self.out.members.iter().map(|member| member.1).sum();
        let (blob, diff_id) = self.out.finish()?;
        let diff_id = diff_id.expect("the writer was asked to digest");
        Ok(Joined { digest: blob.digest, size: blob.size, diff_id, tar_size, toc: Some(Digest::of(&toc)) })
    }
}

/// An empty gzip member of 51 bytes that says in its extra field where the table of contents begins.
fn footer(position: u64) -> Vec<u8> {
    let mut footer = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff];
    // The extra field: its length, one subfield, its length.
    footer.extend_from_slice(&26_u16.to_le_bytes());
    footer.extend_from_slice(b"SG");
    footer.extend_from_slice(&22_u16.to_le_bytes());
    footer.extend_from_slice(format!("{position:016x}STARGZ").as_bytes());
    // The last block, stored, of no bytes; then their checksum and number.
    footer.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
    footer.extend_from_slice(&[0; 8]);
    footer
}
