//! Layers of zstd frames: the same tars as the gzip ones.

use provenv_store::Store;

use super::{Contents, Joined, Part, append_moved, append_note, copy, kept, plain, wanted};
use crate::entry::Directory;
use crate::links;
use crate::segment::{
    Error, Frames, FramesReader, RECORDS, Reader, Segment, ZstdWriter, frames, frames_key, key, once, prelude,
};
use crate::tarball;

/// Joins `contents` to a layer, whose frames are the segments' own where nothing of these is left out.
pub(super) fn join(store: &Store, contents: &Contents<'_>) -> Result<(Joined, Vec<String>), Error> {
    if let Some(segment) = contents.alone()
        && let Some(whole) = &segment.whole
    {
        let made = frames(store, segment, &head(segment))?;
        if let Some(size) = made.whole {
            let (diff_id, tar_size) = (whole.diff_id, whole.tar_size);
            let joined = Joined { digest: made.blob, size, diff_id, tar_size, toc: None };
            return Ok((joined, vec![frames_key(segment)]));
        }
    }
    let own = key(&["zstd layer", &contents.key()]);
    let mut keys = vec![own.clone()];
    for Part { segment, .. } in contents.parts.iter().filter(|part| part.without.is_empty()) {
        let key = frames_key(segment);
        // Where the layer is here, nobody looks at them: what a scrub took away would not come back.
        let lost = |made: Frames| !store.contains(&made.blob);
        if store.record::<Frames>(RECORDS, &key)?.is_some_and(lost) {
            frames(store, segment, &head(segment))?;
        }
        keys.push(key);
    }
    let joined = once(
        store,
        &own,
        |joined: &Joined| store.contains(&joined.digest),
        || {
            let mut out = ZstdWriter::new(store, true)?;
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
            let tar_size = out.frames.iter().map(|frame| frame.1).sum();
            let (blob, diff_id) = out.finish()?;
            let diff_id = diff_id.expect("the writer was asked to digest");
            Ok::<_, Error>(Joined { digest: blob.digest, size: blob.size, diff_id, tar_size, toc: None })
        },
    )?;
    Ok((joined, keys))
}

/// What the layer begins with that a segment is as it stands.
fn head(segment: &Segment) -> Vec<u8> {
    let without = std::collections::BTreeSet::new();
    let parents = wanted(&[Part { segment, without: &without }], &[]);
    prelude(&parents.iter().map(|path| plain(path)).collect::<Vec<Directory>>())
}

/// Copies a segment: its frames, or if something of it is left out, the rest compressed again.
fn append(store: &Store, out: &mut ZstdWriter, part: &Part<'_>) -> Result<(), Error> {
    let segment = part.segment;
    if part.without.is_empty() {
        let made = frames(store, segment, &head(segment))?;
        return FramesReader::open(store, &made)?.each(|packed, plain| out.frame(packed, plain));
    }
    let mut reader = Reader::open(store, segment)?;
    let moved = links::moved(segment, part.without);
    for (from, to) in kept(&reader, part.without, &moved) {
        copy(&mut reader, out, from, to)?;
    }
    moved.iter().try_for_each(|moved| append_moved(&mut reader, out, moved))?;
    out.flush()
}
