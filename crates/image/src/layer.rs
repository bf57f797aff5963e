//! Segments joined to the layers of an image.

mod estargz;
mod zstd;

use std::collections::{BTreeMap, BTreeSet};

use provenv_definition::Digest;
use provenv_store::Store;
use serde::{Deserialize, Serialize};

use crate::entry::Directory;
use crate::form::Packing;
use crate::links::{self, Moved};
use crate::segment::{Error, GzipWriter, Piece, Reader, Segment, ZstdWriter, key, once, prelude};
use crate::tarball::{self, HeaderKind, padding};

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// As the layers that are made here, where nobody wants it otherwise.
    #[default]
    Gzip,
    /// By zstd.
    Zstd,
    /// Not at all.
    None,
}

impl Compression {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_gzip(&self) -> bool {
        *self == Self::Gzip
    }
}

/// A layer of an image: a compressed tar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Digest of the compressed bytes.
    pub digest: Digest,
    /// Compressed bytes.
    pub size: u64,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Uncompressed bytes; 0 where it came from a registry, which does not say.
    pub tar_size: u64,
    /// How it is compressed.
    #[serde(default, skip_serializing_if = "Compression::is_gzip")]
    pub compression: Compression,
    /// Digest of the table of contents, where it is an eStargz layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toc: Option<Digest>,
    /// It is one of those of a base from a registry, taken as it is: it may take away what the ones below it have.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foreign: bool,
    /// What it is, for people: `scikit-learn 1.7.2`, `system packages (bucket 3)`.
    pub what: String,
    /// The packages in it, `name version`.
    pub packages: Vec<String>,
}

/// A segment on its way into a layer.
#[derive(Clone, Debug)]
pub struct Part<'s> {
    /// The segment.
    pub segment: &'s Segment,
    /// Paths to leave out, because another package has them.
    pub without: &'s BTreeSet<String>,
}

/// A file of root's that is written into a layer as it is joined, because it follows from the lock and not from an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Path from the image's root.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// Joins segments to a layer: the folders above all their entries, each once, then the segments, then the end of the archive.
///
/// `folders` says what the packages of the whole image say of folders; one that nobody speaks of is root's, `0755`. No path
/// may be in two parts. A layer made before is not made again; the keys of the records that it was made with are given too, of
/// which there are none where the layer is the blob of a segment.
pub fn join(
    store: &Store,
    what: String,
    packages: Vec<String>,
    parts: &[Part<'_>],
    folders: &BTreeMap<String, Directory>,
) -> Result<(Layer, Vec<String>), Error> {
    join_with(store, what, packages, parts, &[], folders, Packing::Gzip)
}

/// The same with `notes` behind the segments, and compressed as `packing` says.
pub(crate) fn join_with(
    store: &Store,
    what: String,
    packages: Vec<String>,
    parts: &[Part<'_>],
    notes: &[&Note],
    folders: &BTreeMap<String, Directory>,
    packing: Packing,
) -> Result<(Layer, Vec<String>), Error> {
    let wanted = wanted(parts, notes);
    let parents: Vec<Directory> =
        wanted.iter().map(|path| folders.get(path).cloned().unwrap_or_else(|| plain(path))).collect();
    let contents = Contents { head: prelude(&parents), parents: &parents, parts, notes };
    let (joined, keys) = match packing {
        Packing::Gzip => gzip(store, &contents)?,
        Packing::Zstd => zstd::join(store, &contents)?,
        Packing::Estargz => estargz::join(store, &contents)?,
    };
    let compression = if packing == Packing::Zstd { Compression::Zstd } else { Compression::Gzip };
    let Joined { digest, size, diff_id, tar_size, toc } = joined;
    Ok((Layer { digest, size, diff_id, tar_size, compression, toc, foreign: false, what, packages }, keys))
}

/// What a layer is to hold.
struct Contents<'a> {
    /// The headers of `parents`.
    head: Vec<u8>,
    parents: &'a [Directory],
    parts: &'a [Part<'a>],
    notes: &'a [&'a Note],
}

impl<'a> Contents<'a> {
    /// The segment that is a layer as it stands: nothing else is wanted, and nothing of it is not.
    fn alone(&self) -> Option<&'a Segment> {
        let ([Part { segment, without }], []) = (self.parts, self.notes) else { return None };
        // Its blob begins with the same folders.
        let is_plain = || self.parents.iter().all(|folder| *folder == plain(&folder.path));
        (segment.whole.is_some() && without.is_empty() && is_plain()).then_some(*segment)
    }

    /// The key of the record of a layer that holds this.
    fn key(&self) -> String {
        let mut fields = vec!["layer".to_owned(), Digest::of(&self.head).hex()];
        for Part { segment, without } in self.parts {
            fields.push(format!("{} {} {}", segment.blob.hex(), segment.offset, segment.size));
            fields.extend(without.iter().map(|path| format!("-{path}")));
            let moved = links::moved(segment, without);
            fields.extend(moved.iter().map(|moved| format!("={}", moved.link.path)));
        }
        for Note { path, text } in self.notes {
            fields.push(format!("+{path} {}", Digest::of(text.as_bytes()).hex()));
        }
        key(&fields.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

fn gzip(store: &Store, contents: &Contents<'_>) -> Result<(Joined, Vec<String>), Error> {
    if let Some(segment) = contents.alone()
        && let Some(whole) = &segment.whole
    {
        let (size, diff_id, tar_size) = (whole.size, whole.diff_id, whole.tar_size);
        return Ok((Joined { digest: segment.blob, size, diff_id, tar_size, toc: None }, Vec::new()));
    }
    let key = contents.key();
    let joined = once(
        store,
        &key,
        |joined: &Joined| store.contains(&joined.digest),
        || {
            let mut out = GzipWriter::new(store, true)?;
            out.push(&contents.head)?;
            out.flush()?;
            for part in contents.parts {
                append(store, &mut out, part)?;
            }
            for note in contents.notes {
                append_note(&mut out, note)?;
            }
            out.flush()?;
            out.push(&tarball::END)?;
            out.flush()?;
            let tar_size = out.members.iter().map(|member| member.1).sum();
            let (blob, diff_id) = out.finish()?;
            let diff_id = diff_id.expect("the writer was asked to digest");
            Ok::<_, Error>(Joined { digest: blob.digest, size: blob.size, diff_id, tar_size, toc: None })
        },
    )?;
    Ok((joined, vec![key]))
}

/// A layer of one segment with nothing left out.
pub(crate) fn join_one(
    store: &Store,
    what: String,
    segment: &Segment,
    packing: Packing,
) -> Result<(Layer, Vec<String>), Error> {
    let folders = segment.directories.iter().map(|folder| (folder.path.clone(), folder.clone())).collect();
    let part = Part { segment, without: &BTreeSet::new() };
    join_with(store, what, Vec::new(), &[part], &[], &folders, packing)
}

/// Takes bytes of a tar that are still to be compressed.
trait Sink {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Error>;
}

impl Sink for GzipWriter {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.push(bytes)
    }
}

impl Sink for ZstdWriter {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.push(bytes)
    }
}

/// Copies the uncompressed bytes of a segment from `from` to `to`.
fn copy(reader: &mut Reader<'_>, out: &mut impl Sink, from: u64, to: u64) -> Result<(), Error> {
    let mut result = Ok(());
    reader.range(from, to, |bytes| {
        if result.is_ok() {
            result = out.push(bytes);
        }
    })?;
    result
}

/// What the record of a layer holds.
#[derive(Serialize, Deserialize)]
struct Joined {
    digest: Digest,
    size: u64,
    diff_id: Digest,
    tar_size: u64,
    /// Digest of the table of contents, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    toc: Option<Digest>,
}

fn plain(path: &str) -> Directory {
    Directory { path: path.to_owned(), mode: 0o755, uid: 0, gid: 0 }
}

/// Every folder that the layer needs, parents before children.
fn wanted(parts: &[Part<'_>], notes: &[&Note]) -> BTreeSet<String> {
    let mut wanted = BTreeSet::new();
    let mut add = |path: &str| {
        // From the inside out: where one is known, so are those above it.
        for (at, _) in path.rmatch_indices('/') {
            if !wanted.insert(path[..at].to_owned()) {
                break;
            }
        }
    };
    for part in parts {
        for item in &part.segment.index.entries {
            if !part.without.contains(&item.path) {
                add(&item.path);
            }
        }
        for folder in &part.segment.directories {
            add(&folder.path);
        }
    }
    for note in notes {
        add(&note.path);
    }
    for part in parts {
        wanted.extend(part.segment.directories.iter().map(|folder| folder.path.clone()));
    }
    wanted
}

fn append_note(out: &mut impl Sink, Note { path, text }: &Note) -> Result<(), Error> {
    let size = text.len() as u64;
    let mut header = Vec::new();
    tarball::header(&mut header, path, HeaderKind::File(size), 0o644, 0, 0);
    out.push(&header)?;
    out.push(text.as_bytes())?;
    out.push(&[0; 512][..padding(size)])
}

/// Copies a segment: members that stay whole as they are, the rest compressed again.
fn append(store: &Store, out: &mut GzipWriter, part: &Part<'_>) -> Result<(), Error> {
    let mut reader = Reader::open(store, part.segment)?;
    let moved = links::moved(part.segment, part.without);
    let kept = kept(&reader, part.without, &moved);
    for n in 0..reader.members() {
        let (begin, end) = reader.span(n);
        let pieces: Vec<(u64, u64)> = kept
            .iter()
            .map(|&(from, to)| (from.max(begin), to.min(end)))
            .filter(|&(from, to)| from < to)
            .collect();
        match pieces[..] {
            [] => {}
            [(from, to)] if (from, to) == (begin, end) => {
                let mut compressed = 0;
                reader.member(n, |piece| {
                    match piece {
                        Piece::Raw(bytes) => {
                            compressed += bytes.len() as u64;
                            out.raw(bytes)?;
                        }
                        Piece::Plain(bytes) => out.plain(bytes),
                    }
                    Ok(())
                })?;
                out.end_member(compressed, end - begin);
            }
            _ => {
                for (from, to) in pieces {
                    copy(&mut reader, out, from, to)?;
                }
            }
        }
    }
    moved.iter().try_for_each(|moved| append_moved(&mut reader, out, moved))
}

/// A hard link whose target is not in the layer.
fn append_moved(reader: &mut Reader<'_>, out: &mut impl Sink, moved: &Moved<'_>) -> Result<(), Error> {
    let Moved { link, file, target } = *moved;
    let kind = match target {
        Some(target) => HeaderKind::Hardlink(target),
        None => HeaderKind::File(file.size),
    };
    let mut header = Vec::new();
    tarball::header(&mut header, &link.path, kind, file.mode, file.uid, file.gid);
    out.push(&header)?;
    if target.is_some() {
        return Ok(());
    }
    let begin = file.at + file.header;
    copy(reader, out, begin, begin + file.size)?;
    out.push(&[0; 512][..padding(file.size)])
}

/// The ranges of uncompressed bytes that stay, neighbours joined.
fn kept(reader: &Reader<'_>, without: &BTreeSet<String>, moved: &[Moved<'_>]) -> Vec<(u64, u64)> {
    let moved: BTreeSet<&str> = moved.iter().map(|moved| moved.link.path.as_str()).collect();
    let mut kept: Vec<(u64, u64)> = Vec::new();
    for (n, item) in reader.index.entries.iter().enumerate() {
        if without.contains(&item.path) || moved.contains(item.path.as_str()) {
            continue;
        }
        match kept.last_mut() {
            Some(last) if last.1 == item.at => last.1 = reader.end_of(n),
            _ => kept.push((item.at, reader.end_of(n))),
        }
    }
    kept
}
