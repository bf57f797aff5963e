//! One artifact turned into compressed tar bytes for a fixed prefix: made once, kept for ever.

mod ar;
mod bytecode;
mod case;
mod compiler;
mod conda;
mod deb;
mod elf;
mod error;
mod facts;
mod folders;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gzip;
mod inflate;
mod linkage;
mod model;
mod reader;
mod record;
mod scripts;
#[cfg(test)]
pub(crate) mod tests;
mod wheel;
mod writer;
mod zip;
mod zstd;

use std::io::{self, Seek as _};
use std::path::Path;
use std::sync::Arc;

use provenv_definition::{Digest, Hasher};
use provenv_store::Store;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use bytecode::Bytecode;
pub(crate) use bytecode::cached as bytecode_path;
pub(crate) use compiler::Compiler;
pub use conda::CondaPath;
pub(crate) use conda::{can_be_named, fit_shebang, is_python, relocate, write_over};
pub use error::{Error, Problem};
pub(crate) use gzip::GzipWriter;
pub use linkage::{Linkage, Linked};
pub use model::{
    Alternative, CondaFacts, CondaSegment, DebFacts, DebSegment, Index, Item, ItemKind, Library, Segment,
    WheelFacts, WheelSegment, Whole,
};
pub(crate) use reader::{Piece, Reader};
pub(crate) use writer::{Writer, prelude};
pub(crate) use zstd::{Frames, FramesReader, ZstdWriter, frames, frames_key};

use crate::entry::{Directory, Entry, EntryKind};

/// Version of the rules that make the bytes of segments and layers: those of the first assembly epoch, and of all since
/// ([`crate::form::EPOCH`]).
pub const EPOCH: u32 = 1;

/// Where Python packages live inside every image, laid out as a virtualenv over the base's Python.
pub const PREFIX: &str = "opt/provenv";

/// The kind of record and lock that segments are kept under.
pub const RECORDS: &str = "segment";

/// An archive may unpack to this many bytes, and so many more for each byte it has. Real packages stay below 30.
const BOMB_FLOOR: u64 = 64 << 20;
const BOMB_RATIO: u64 = 200;
/// An archive may have this many members: what is kept of each takes memory. Real packages stay below a tenth of it.
const MOST_MEMBERS: usize = 500_000;
/// Its files may lie in this many folders, and its paths and those of its folders take so many bytes together. Real packages
/// stay below a tenth of both.
const MOST_FOLDERS: usize = 100_000;
const NAMES: usize = 64 << 20;

/// The segment of the wheel in `artifact`, which is called `name`, for a Python of this version.
pub fn wheel(
    store: &Store,
    artifact: &Path,
    sha256: &Digest,
    name: &str,
    (major, minor): (u32, u32),
) -> Result<WheelSegment, Error> {
    once(
        store,
        &wheel_key(sha256, (major, minor)),
        |kept: &WheelSegment| there(store, &kept.segment),
        || wheel::make(store, verified(store, artifact, sha256, name)?, name, (major, minor)),
    )
}

/// The segment of the `.deb` in `artifact`, which is called `name`.
pub fn deb(store: &Store, artifact: &Path, sha256: &Digest, name: &str) -> Result<DebSegment, Error> {
    once(
        store,
        &deb_key(sha256),
        |kept: &DebSegment| there(store, &kept.segment),
        || deb::make(store, verified(store, artifact, sha256, name)?, name),
    )
}

/// The segment of the conda package in `artifact`, which is called `name`. Of a package for any Python it depends on the minor
/// version of the environment's, `python`.
pub fn conda(
    store: &Store,
    artifact: &Path,
    sha256: &Digest,
    name: &str,
    python: Option<(u32, u32)>,
) -> Result<CondaSegment, Error> {
    once(
        store,
        &conda_key(sha256, python),
        |kept: &CondaSegment| there(store, &kept.segment),
        || conda::make(store, verified(store, artifact, sha256, name)?, name, python),
    )
}

/// The same, for the first of `pythons` for which the package can be laid down: only the archive says whether it takes one.
pub(crate) fn conda_for(
    store: &Store,
    artifact: &Path,
    sha256: &Digest,
    name: &str,
    pythons: &[Option<(u32, u32)>],
) -> Result<CondaSegment, Error> {
    if let Some(kept) = kept_conda(store, sha256, pythons)? {
        return Ok(kept);
    }
    let mut pythons = pythons.iter().peekable();
    loop {
        let made = conda(store, artifact, sha256, name, pythons.next().copied().flatten());
        match made {
            Err(Error::Refused { problem: Problem::AnyPython, .. }) if pythons.peek().is_some() => {}
            made => return made,
        }
    }
}

/// The same, if it is made already.
pub(crate) fn kept_conda(
    store: &Store,
    sha256: &Digest,
    pythons: &[Option<(u32, u32)>],
) -> Result<Option<CondaSegment>, provenv_store::Error> {
    for python in pythons {
        let kept = store.record::<CondaSegment>(RECORDS, &conda_key(sha256, *python))?;
        if let Some(kept) = kept.filter(|kept| there(store, &kept.segment)) {
            return Ok(Some(kept));
        }
    }
    Ok(None)
}

/// The segment of a wheel, if it is made already.
pub(crate) fn kept_wheel(
    store: &Store,
    sha256: &Digest,
    python: (u32, u32),
) -> Result<Option<WheelSegment>, provenv_store::Error> {
    let kept = store.record::<WheelSegment>(RECORDS, &wheel_key(sha256, python))?;
    Ok(kept.filter(|kept| there(store, &kept.segment)))
}

/// The segment of a `.deb`, if it is made already.
pub(crate) fn kept_deb(store: &Store, sha256: &Digest) -> Result<Option<DebSegment>, provenv_store::Error> {
    let kept = store.record::<DebSegment>(RECORDS, &deb_key(sha256))?;
    Ok(kept.filter(|kept| there(store, &kept.segment)))
}

/// The bytecode of the artifact `sha256`, whose segment is `source`. `interpreter` names the Python to the last bit: a patch
/// release may compile otherwise. The compiler is asked for only where there is something to compile.
pub(crate) fn bytecode<E>(
    store: &Store,
    source: &Segment,
    sha256: &Digest,
    interpreter: &Digest,
    version: (u32, u32),
    compiler: impl FnOnce() -> Result<Arc<Compiler>, E>,
) -> Result<Bytecode, E>
where
    E: From<Error> + From<provenv_store::Error>,
{
    let there = |kept: &Bytecode| kept.segment.as_ref().is_none_or(|segment| there(store, segment));
    once(store, &bytecode_key(sha256, interpreter), there, || {
        bytecode::make(store, source, compiler, version)
    })
}

/// A segment of `entries`, in their order.
pub fn literal(store: &Store, entries: &[Entry]) -> Result<Segment, Error> {
    let mut out = Writer::new(store)?;
    for Entry { path, kind, mode, uid, gid } in entries {
        let owner = (*uid, *gid);
        match kind {
            EntryKind::Directory => {
                out.directory(Directory { path: path.clone(), mode: *mode, uid: *uid, gid: *gid });
            }
            EntryKind::File(bytes) => out.file(path, bytes, *mode, owner)?,
            EntryKind::Symlink(target) => {
                out.entry(path, ItemKind::Symlink(target.clone()), 0, *mode, owner)?;
            }
            EntryKind::Hardlink(target) => {
                out.entry(path, ItemKind::Hardlink(target.clone()), 0, *mode, owner)?;
            }
        }
    }
    out.finish()
}

/// The key of a wheel's record.
pub(crate) fn wheel_key(sha256: &Digest, (major, minor): (u32, u32)) -> String {
    key(&["wheel", &sha256.hex(), PREFIX, &format!("{major}.{minor}")])
}

/// The key of a conda package's record.
pub(crate) fn conda_key(sha256: &Digest, python: Option<(u32, u32)>) -> String {
    let python = python.map_or("none".to_owned(), |(major, minor)| format!("{major}.{minor}"));
    key(&["conda", &sha256.hex(), PREFIX, &python])
}

/// The key of a `.deb`'s record.
pub(crate) fn deb_key(sha256: &Digest) -> String {
    key(&["deb", &sha256.hex()])
}

/// The key of a bytecode's record.
pub(crate) fn bytecode_key(sha256: &Digest, interpreter: &Digest) -> String {
    key(&["bytecode", &sha256.hex(), PREFIX, &interpreter.hex()])
}

/// The key that stands for `fields` in this epoch of segments. No field has a newline.
pub(crate) fn key(fields: &[&str]) -> String {
    Digest::of(format!("provenv segment {EPOCH}\n{}", fields.join("\n")).as_bytes()).hex()
}

fn open(artifact: &Path, name: &str) -> Result<fs_err::File, Error> {
    fs_err::File::open(artifact).map_err(|source| Error::Read { artifact: name.to_owned(), source })
}

/// The artifact, if its bytes are still those that were fetched: a segment of others would be kept under a digest of its own.
fn verified(store: &Store, artifact: &Path, sha256: &Digest, name: &str) -> Result<fs_err::File, Error> {
    if artifact == store.path(sha256) {
        store.verify(sha256)?;
        return open(artifact, name);
    }
    let mut file = open(artifact, name)?;
    let reading = |source| Error::Read { artifact: name.to_owned(), source };
    let mut hasher = Hasher::new();
    io::copy(&mut file, &mut hasher).map_err(reading)?;
    let actual = hasher.finish();
    if actual != *sha256 {
        return Err(provenv_store::Error::Corrupt { expected: *sha256, actual }.into());
    }
    file.rewind().map_err(reading)?;
    Ok(file)
}

fn there(store: &Store, segment: &Segment) -> bool {
    store.contains(&segment.blob)
}

/// What the record says, if all that it names is there; else makes it, once among all processes.
pub(crate) fn once<T, E>(
    store: &Store,
    key: &str,
    there: impl Fn(&T) -> bool,
    make: impl FnOnce() -> Result<T, E>,
) -> Result<T, E>
where
    T: Serialize + DeserializeOwned,
    E: From<provenv_store::Error>,
{
    let look = || Ok::<_, provenv_store::Error>(store.record(RECORDS, key)?.filter(|kept| there(kept)));
    if let Some(kept) = look()? {
        return Ok(kept);
    }
    let _lease = store.lock(RECORDS, key)?;
    if let Some(kept) = look()? {
        return Ok(kept);
    }
    let result = make()?;
    store.set_record(RECORDS, key, &result)?;
    Ok(result)
}
