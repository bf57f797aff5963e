//! The shape of RFC 6962's tree. Only hashes of complete subtrees are kept, which never change; every other hash is made of
//! them: an entry adds two of them on average, and any root or proof reads some dozens.

use crate::hash::Hash;

/// A complete subtree: the `place`-th from the left of those over `2^level` entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    /// How far above the entries.
    pub level: u8,
    /// Which of its level, from 0.
    pub place: u64,
}

/// Entries from `start` up to `end`, without it: what a hash of a proof is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first entry.
    pub start: u64,
    /// The one after the last.
    pub end: u64,
}

impl Range {
    /// A log of this size.
    pub fn whole(size: u64) -> Self {
        Self { start: 0, end: size }
    }

    fn size(self) -> u64 {
        self.end - self.start
    }

    /// Where RFC 6962 parts a range of two or more: at the largest power of two that is less than its size.
    fn parting(self) -> u64 {
        self.start + (1 << (self.size() - 1).ilog2())
    }
}

/// The nodes that become complete with entry `number`, from the entry's own up, and what stands to the left of each but the
/// last: what must be known to hash them.
pub fn siblings(number: u64) -> Vec<Node> {
    let levels = number.trailing_ones();
    (0..levels).map(|level| Node { level: level_of(level), place: (number >> level) - 1 }).collect()
}

/// The complete subtrees that a range is made of, left to right. A range must begin where its largest subtree may, as all do
/// that trees and proofs have.
pub fn nodes_of(range: Range) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let level = (range.end - at).ilog2();
        nodes.push(Node { level: level_of(level), place: at >> level });
        at += 1 << level;
    }
    nodes
}

/// The hash over a range whose nodes' hashes are given, left to right.
pub fn hash_of(nodes: &[Hash]) -> Hash {
    // The last two are hashed first: the smaller subtrees stand together at the right.
    let folded = nodes.iter().rev().copied().reduce(|right, left| Hash::inner(&left, &right));
    folded.unwrap_or_else(Hash::empty)
}

/// What proves that entry `number` is in a log of this size: ranges whose hashes are the proof (RFC 6962, 2.1.1). Empty
/// where there is no such entry, or it is alone.
pub fn inclusion(number: u64, size: u64) -> Vec<Range> {
    let mut range = Range::whole(size);
    let mut path = Vec::new();
    if number >= size {
        return path;
    }
    while range.size() > 1 {
        let parting = range.parting();
        let (left, right) = (Range { end: parting, ..range }, Range { start: parting, ..range });
        let (with, without) = if number < parting { (left, right) } else { (right, left) };
        path.push(without);
        range = with;
    }
    path.reverse();
    path
}

/// What proves that a log of size `old` is a beginning of one of size `new` (RFC 6962, 2.1.2). Empty where they are the same,
/// or the old one has nothing, or is the larger.
pub fn consistency(old: u64, new: u64) -> Vec<Range> {
    let mut path = Vec::new();
    if old == 0 || old >= new {
        return path;
    }
    let mut range = Range::whole(new);
    let mut is_whole = true;
    while range.end != old {
        let parting = range.parting();
        let (left, right) = (Range { end: parting, ..range }, Range { start: parting, ..range });
        if old <= parting {
            path.push(right);
            range = left;
        } else {
            path.push(left);
            range = right;
            is_whole = false;
        }
    }
    // Whoever has the old root has its hash, where it is all of the old log.
    if !is_whole {
        path.push(range);
    }
    path.reverse();
    path
}

/// No log has 2^255 entries.
fn level_of(level: u32) -> u8 {
    u8::try_from(level).unwrap_or(u8::MAX)
}
