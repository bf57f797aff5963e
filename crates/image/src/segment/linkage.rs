//! What the ELF objects of a wheel link with and provide: seen while they pass by, so that nothing is read twice for it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::elf;
use crate::path;

/// What the objects of one wheel need and provide, by machine (`e_machine`): wheels may carry some for others.
pub type Linkage = BTreeMap<u16, Linked>;

/// What objects for one machine need and provide.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linked {
    /// Names by which its objects may be found: `DT_SONAME` and the file's own.
    pub provides: BTreeSet<String>,
    /// Names that its objects are linked with (`DT_NEEDED`), each with the path in the image of the first that is.
    pub needs: BTreeMap<String, String>,
}

/// What is kept of all objects of a wheel, in bytes: thousands of objects take less than a tenth of it.
const LIMIT: usize = 4 << 20;
/// What a name takes besides its bytes, about.
const ROW: usize = 64;

/// The linkage of a wheel whose objects pass by.
pub(crate) struct Gathering {
    linkage: Linkage,
    /// Bytes that it may still take; `None` once it wanted more.
    left: Option<usize>,
}

impl Gathering {
    pub fn new() -> Self {
        Self { linkage: Linkage::new(), left: Some(LIMIT) }
    }

    /// Takes in the object at `path`.
    pub fn add(&mut self, path: &str, object: elf::Object) {
        // Wheels with a part for Alpine carry it beside the one that is used here.
        let musl = object.needed.iter().any(|name| name.starts_with("libc.musl-"));
        if !object.class64 || musl || self.left.is_none() {
            return;
        }
        let linked = self.linkage.entry(object.machine).or_default();
        let mut took = ROW;
        for name in object.soname.into_iter().chain([path::file_name(path).to_owned()]) {
            took += name.len() + ROW;
            linked.provides.insert(name);
        }
        for name in object.needed {
            linked.needs.entry(name).or_insert_with_key(|name| {
                took += name.len() + path.len() + ROW;
                path.to_owned()
            });
        }
        self.left = self.left.and_then(|left| left.checked_sub(took));
    }

    /// What the wheel's objects need and provide; nothing if it is more than that of an honest wheel.
    pub fn finish(self) -> Linkage {
        if self.left.is_some() { self.linkage } else { Linkage::new() }
    }
}

/// How much of a large object's beginning and end is kept: tables of symbols' names are seldom longer, and tools that add a
/// library to an object move them to its end.
const KEPT: usize = 1 << 20;

/// The parts of a large file in passing that say what it is linked with, if it is an object.
pub(crate) struct Glimpse {
    /// Bytes that have passed.
    at: u64,
    head: Vec<u8>,
    /// The last bytes, at most twice as many as are kept.
    tail: Vec<u8>,
    /// Where the dynamic section is, once the head has come, and what has come of it.
    section: Option<(u64, u64)>,
    dynamic: Vec<u8>,
}

impl Glimpse {
    pub fn new() -> Self {
        Self { at: 0, head: Vec::new(), tail: Vec::new(), section: None, dynamic: Vec::new() }
    }

    /// Takes note of the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        let from = self.at;
        self.at += bytes.len() as u64;
        let room = KEPT - self.head.len();
        if room > 0 {
            self.head.extend_from_slice(&bytes[..room.min(bytes.len())]);
            if self.head.len() >= 64 && self.section.is_none() {
                // One that has begun already is read again if it comes to that.
                self.section = elf::dynamic_section(&self.head).filter(|section| section.0 >= from);
            }
        }
        if !self.is_object() {
            return;
        }
        if let Some((begin, length)) = self.section {
            let cut = |point: u64| {
                usize::try_from(point.saturating_sub(from)).unwrap_or(usize::MAX).min(bytes.len())
            };
            self.dynamic.extend_from_slice(&bytes[cut(begin)..cut(begin.saturating_add(length))]);
        }
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(KEPT)..]);
        if self.tail.len() > 2 * KEPT {
            self.tail.drain(..self.tail.len() - KEPT);
        }
    }

    fn is_object(&self) -> bool {
        self.head.starts_with(elf::MAGIC)
    }

    /// What the file says of itself. `again` reads parts of it, in their order, that were not kept; it is asked three times at
    /// the most.
    pub fn object<E>(
        &self,
        mut again: impl FnMut(&[(u64, u64)]) -> Result<Vec<Vec<u8>>, E>,
    ) -> Result<Option<elf::Object>, E> {
        if !self.is_object() {
            return Ok(None);
        }
        let section_at = self.section.map_or(0, |section| section.0);
        let kept =
            [(0, &self.head), (section_at, &self.dynamic), (self.at - self.tail.len() as u64, &self.tail)];
        let find = |from: u64, length: u64| {
            let length = usize::try_from(length.min(self.at.saturating_sub(from))).ok()?;
            if length == 0 {
                return Some(Vec::new());
            }
            kept.iter().find_map(|(begin, bytes)| {
                let from = usize::try_from(from.checked_sub(*begin)?).ok()?;
                Some(bytes.get(from..from.checked_add(length)?)?.to_vec())
            })
        };
        elf::read(&mut |parts| {
            let found: Option<_> = parts.iter().map(|&(from, length)| find(from, length)).collect();
            found.map_or_else(|| again(parts), Ok)
        })
    }
}
