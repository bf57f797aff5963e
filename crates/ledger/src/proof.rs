//! Checks of proofs (RFC 9162, 2.1.3.2 and 2.1.4.2, whose proofs are those of RFC 6962).

use crate::hash::Hash;

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Nothing of the kind can be proved.
    #[error("there is no such entry or size in the log")]
    OutOfRange,
    /// It has another number of hashes than a proof of this has.
    #[error("the proof has too many hashes or too few")]
    Length,
    /// It leads to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// Checks that `leaf` is entry `number` of the log of this size and root.
pub fn check_inclusion(
    leaf: &Hash,
    number: u64,
    size: u64,
    path: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if number >= size {
        return Err(ProofError::OutOfRange);
    }
    let (mut place, mut last) = (number, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if place & 1 == 1 || place == last {
            hash = Hash::inner(sibling, &hash);
            // The last of its level may have nobody beside it for several levels.
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            hash = Hash::inner(&hash, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    match (last, hash == *root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::Root),
        _ => Err(ProofError::Length),
    }
}

/// Checks that the log of size `old` is a beginning of the one of size `new`.
pub fn check_consistency(
    (old, old_root): (u64, &Hash),
    (new, new_root): (u64, &Hash),
    path: &[Hash],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::OutOfRange);
    }
    if old == new || old == 0 {
        let is_same = *old_root == if old == 0 { Hash::empty() } else { *new_root };
        return match (path.is_empty(), is_same) {
            (true, true) => Ok(()),
            (true, false) => Err(ProofError::Root),
            _ => Err(ProofError::Length),
        };
    }
    // A log whose size is a power of two is one subtree, whose hash whoever asks has.
    let mut path = path.iter();
    let mut next = || path.next().ok_or(ProofError::Length);
    let first = if old.is_power_of_two() { *old_root } else { *next()? };
    let (mut place, mut last) = (old - 1, new - 1);
    while place & 1 == 1 {
        place >>= 1;
        last >>= 1;
    }
    let (mut of_old, mut of_new) = (first, first);
    while last != 0 {
        if place & 1 == 1 || place == last {
            let sibling = next()?;
            of_old = Hash::inner(sibling, &of_old);
            of_new = Hash::inner(sibling, &of_new);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            of_new = Hash::inner(&of_new, next()?);
        }
        place >>= 1;
        last >>= 1;
    }
    if next().is_ok() {
        return Err(ProofError::Length);
    }
    if of_old == *old_root && of_new == *new_root { Ok(()) } else { Err(ProofError::Root) }
}
