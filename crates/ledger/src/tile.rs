//! Where hashes and entries are (C2SP `tlog-tiles`): tiles of up to 256 hashes, eight levels high, that never change once they
//! are full, and bundles of the entries themselves.

use std::fmt;

use crate::tree::Node;

/// How many levels a tile stands for.
const HEIGHT: u32 = 8;
/// How many hashes a full tile has.
const WIDTH: u64 = 1 << HEIGHT;
/// No tile of a log of 2^64 entries is higher.
const HIGHEST: u8 = 63;

/// A tile, or the bundle of entries that stands below one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// How many tiles it is above the entries' hashes; none for the entries themselves.
    pub level: Option<u8>,
    /// Which of its level, from 0.
    pub place: u64,
    /// How many hashes or entries it has, 1 to 256.
    pub width: u16,
}

/// A text that is no place of a tile.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// Not a path.
    #[error(
        "`{0}` is no place of a tile: LEVEL/N or entries/N, N in groups of three digits (x001/234), and .p/WIDTH"
    )]
    Path(String),
    /// No bundle.
    #[error("the bundle of entries ends in the middle of one")]
    Bundle,
    /// It would not fit.
    #[error("an entry has more than 65535 bytes")]
    Entry,
}

impl Tile {
    /// Reads `LEVEL/N` or `entries/N`, with `.p/WIDTH` where it is not full.
    pub fn parse(path: &str) -> Result<Self, TileError> {
        let wrong = || TileError::Path(path.to_owned());
        let (level, rest) = path.split_once('/').ok_or_else(wrong)?;
        let level = match level {
            "entries" => None,
            digits => Some(number(digits).and_then(|level| u8::try_from(level).ok()).ok_or_else(wrong)?),
        };
        if level.is_some_and(|level| level > HIGHEST) {
            return Err(wrong());
        }
        let (groups, width) = match rest.split_once(".p/") {
            None => (rest, 256),
            Some((groups, digits)) => {
                let width = number(digits).and_then(|width| u16::try_from(width).ok());
                (groups, width.filter(|width| (1..256).contains(width)).ok_or_else(wrong)?)
            }
        };
        let mut place: u64 = 0;
        for group in groups.split('/') {
            let digits = group.strip_prefix('x').unwrap_or(group);
            if digits.len() != 3 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
                return Err(wrong());
            }
            let digits: u64 = digits.parse().map_err(|_| wrong())?;
            place = place.checked_mul(1000).and_then(|place| place.checked_add(digits)).ok_or_else(wrong)?;
        }
        let tile = Self { level, place, width };
        // One way to write each: `x` before all groups but the last, none of them in vain.
        if tile.to_string() == path { Ok(tile) } else { Err(wrong()) }
    }

    /// The nodes whose hashes it has, left to right; `None` of entries, and where there can be none.
    pub fn nodes(self) -> Option<Vec<Node>> {
        let level = u8::try_from(u32::from(self.level?) * HEIGHT).ok().filter(|level| *level < 64)?;
        let first = self.place.checked_mul(WIDTH)?;
        (0..u64::from(self.width))
            .map(|place| Some(Node { level, place: first.checked_add(place)? }))
            .collect()
    }

    /// The first entry of a bundle.
    pub fn first_entry(self) -> Option<u64> {
        self.place.checked_mul(WIDTH)
    }

    /// How many entries a log must have for it to be there.
    pub fn needs(self) -> Option<u64> {
        let levels = u32::from(self.level.unwrap_or(0)) * HEIGHT;
        let last = self.place.checked_mul(WIDTH)?.checked_add(u64::from(self.width))?;
        1_u64.checked_shl(levels)?.checked_mul(last)
    }

    /// The tiles with the hashes of all entries of a log of this size.
    pub fn leaves(size: u64) -> impl Iterator<Item = Self> {
        (0..size.div_ceil(WIDTH)).map(move |place| {
            let width = u16::try_from((size - place * WIDTH).min(WIDTH)).unwrap_or(256);
            Self { level: Some(0), place, width }
        })
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Some(level) => write!(f, "{level}")?,
            None => f.write_str("entries")?,
        }
        let mut groups = vec![self.place % 1000];
        let mut rest = self.place / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        while let Some(group) = groups.pop() {
            write!(f, "/{}{group:03}", if groups.is_empty() { "" } else { "x" })?;
        }
        if self.width < 256 { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

/// Digits without zeros before them.
fn number(digits: &str) -> Option<u64> {
    let number: u64 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

/// A bundle: each entry after its length in two bytes.
pub fn bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, TileError> {
    let mut bytes = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).map_err(|_| TileError::Entry)?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Ok(bytes)
}

/// The entries of a bundle.
pub fn unbundle(mut bytes: &[u8]) -> Result<Vec<&[u8]>, TileError> {
    let mut entries = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, rest) = rest.split_at_checked(length).ok_or(TileError::Bundle)?;
        entries.push(entry);
        bytes = rest;
    }
    if bytes.is_empty() { Ok(entries) } else { Err(TileError::Bundle) }
}
