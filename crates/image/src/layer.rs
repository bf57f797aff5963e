//! Segments joined to the layers of an image.

use std::collections::{BTreeMap, BTreeSet};

use provenv_definition::Digest;
use provenv_store::Store;
use serde::{Deserialize, Serialize};

use crate::entry::Directory;
use crate::links::{self, Moved};
use crate::segment::{Error, GzipWriter, Piece, Reader, Segment, key, once, prelude};
use crate::tarball::{self, HeaderKind, padding};

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// As all layers that are made here.
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
/// may be in two parts. A layer made before is not made again; the key of its record is given too, unless the layer is the
/// blob of a segment.
pub fn join(
    store: &Store,
    what: String,
    packages: Vec<String>,
    parts: &[Part<'_>],
    folders: &BTreeMap<String, Directory>,
) -> Result<(Layer, Option<String>), Error> {
    join_with(store, what, packages, parts, &[], folders)
}

/// The same with `notes` behind the segments.
pub(crate) fn join_with(
    store: &Store,
    what: String,
    packages: Vec<String>,
    parts: &[Part<'_>],
    notes: &[&Note],
    folders: &BTreeMap<String, Directory>,
) -> Result<(Layer, Option<String>), Error> {
    let wanted = wanted(parts, notes);
    let parents: Vec<Directory> =
        wanted.iter().map(|path| folders.get(path).cloned().unwrap_or_else(|| plain(path))).collect();
    if let ([Part { segment, without, .. }], []) = (parts, notes)
        && without.is_empty()
        && let Some(whole) = &segment.whole
        && parents.iter().all(|folder| *folder == plain(&folder.path))
    {
        // The blob begins with the same folders.
        let (digest, size, diff_id, tar_size) = (segment.blob, whole.size, whole.diff_id, whole.tar_size);
        return Ok((own(digest, size, diff_id, tar_size, what, packages), None));
    }
    let head = prelude(&parents);
    let mut fields = vec!["layer".to_owned(), Digest::of(&head).hex()];
    for Part { segment, without, .. } in parts {
        fields.push(format!("{} {} {}", segment.blob.hex(), segment.offset, segment.size));
        fields.extend(without.iter().map(|path| format!("-{path}")));
        let moved = links::moved(segment, without);
        fields.extend(moved.iter().map(|moved| format!("={}", moved.link.path)));
    }
    for Note { path, text } in notes {
        fields.push(format!("+{path} {}", Digest::of(text.as_bytes()).hex()));
    }
    let key = key(&fields.iter().map(String::as_str).collect::<Vec<_>>());
    let joined = once(
        store,
        &key,
        |joined: &Joined| store.contains(&joined.digest),
        || {
            let mut out = GzipWriter::new(store, true)?;
            out.push(&head)?;
            out.flush()?;
            for part in parts {
                append(store, &mut out, part)?;
            }
            for note in notes {
                append_note(&mut out, note)?;
            }
            out.flush()?;
            out.push(&tarball::END)?;
            out.flush()?;
            let tar_size = out.members.iter().map(|member| member.1).sum();
            let (blob, diff_id) = out.finish()?;
            let diff_id = diff_id.expect("the writer was asked to digest");
            Ok::<_, Error>(Joined { digest: blob.digest, size: blob.size, diff_id, tar_size })
        },
    )?;
    let Joined { digest, size, diff_id, tar_size } = joined;
    Ok((own(digest, size, diff_id, tar_size, what, packages), Some(key)))
}

/// A layer that was made here.
fn own(
    digest: Digest,
    size: u64,
    diff_id: Digest,
    tar_size: u64,
    what: String,
    packages: Vec<String>,
) -> Layer {
    Layer { digest, size, diff_id, tar_size, compression: Compression::Gzip, foreign: false, what, packages }
}

/// A layer of one segment with nothing left out.
pub(crate) fn join_one(
    store: &Store,
    what: String,
    segment: &Segment,
) -> Result<(Layer, Option<String>), Error> {
    let folders = segment.directories.iter().map(|folder| (folder.path.clone(), folder.clone())).collect();
    join(store, what, Vec::new(), &[Part { segment, without: &BTreeSet::new() }], &folders)
}

/// What the record of a layer holds.
#[derive(Serialize, Deserialize)]
struct Joined {
    digest: Digest,
    size: u64,
    diff_id: Digest,
    tar_size: u64,
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

fn append_note(out: &mut GzipWriter, Note { path, text }: &Note) -> Result<(), Error> {
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
                    let mut result = Ok(());
                    reader.range(from, to, |bytes| {
                        if result.is_ok() {
                            result = out.push(bytes);
                        }
                    })?;
                    result?;
                }
            }
        }
    }
    moved.iter().try_for_each(|moved| append_moved(&mut reader, out, moved))
}

/// A hard link whose target is not in the layer.
fn append_moved(reader: &mut Reader<'_>, out: &mut GzipWriter, moved: &Moved<'_>) -> Result<(), Error> {
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
    let mut result = Ok(());
    reader.range(begin, begin + file.size, |bytes| {
        if result.is_ok() {
            result = out.push(bytes);
        }
    })?;
    result?;
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
