//! What a log is at a time (C2SP `tlog-checkpoint`): whose, how many entries, and the hash over all.

use std::fmt;
use std::str::FromStr;

use crate::hash::Hash;

/// A log at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log it is.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// The hash over all of them.
    pub root: Hash,
}

/// A text that is no checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no checkpoint: the log's name, its size and its root, a line each")]
pub struct CheckpointError;

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut lines = text.lines();
        let mut next = || lines.next().filter(|line| !line.is_empty()).ok_or(CheckpointError);
        let (origin, size, root) = (next()?, next()?, next()?);
        let number: u64 = size.parse().map_err(|_| CheckpointError)?;
        // One way to write a number: no sign, no zeros before it.
        if number.to_string() != size {
            return Err(CheckpointError);
        }
        Ok(Self { origin: origin.to_owned(), size: number, root: root.parse().map_err(|_| CheckpointError)? })
    }
}
