//! The check of a log by somebody who does not believe the server: of what was given, is it what was signed, and is it what
//! it was?

use crate::checkpoint::Checkpoint;
use crate::entry::Entry;
use crate::hash::Hash;
use crate::tree::{Range, hash_of, nodes_of};

/// The most findings that are told.
pub const MOST_FINDINGS: usize = 100;

/// An entry as it was given.
#[derive(Clone, Debug)]
pub struct Logged {
    /// Which it is said to be.
    pub number: u64,
    /// The workspace that it is filed under, by which its readers find it.
    pub workspace: Option<String>,
    /// Its bytes.
    pub text: String,
}

/// What is to be checked.
#[derive(Debug)]
pub struct Given<'a> {
    /// What was signed, with its signature checked.
    pub checkpoint: &'a Checkpoint,
    /// The hashes of all its entries, as the log has them.
    pub leaves: &'a [Hash],
    /// Entries, by number: all of them, or those of some workspaces.
    pub entries: &'a [Logged],
    /// Whether these should be all.
    pub is_all: bool,
    /// What the log was earlier, with its signature checked.
    pub earlier: Option<&'a Checkpoint>,
    /// The hashes of entries as they were kept earlier, where more than the checkpoint was.
    pub earlier_leaves: Option<&'a [Hash]>,
}

/// Something that is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Another log than the earlier one.
    Origin {
        /// What it was called.
        earlier: String,
        /// What it is called.
        now: String,
    },
    /// It has fewer entries than it had.
    Shortened {
        /// How many it had.
        earlier: u64,
        /// How many it has.
        now: u64,
    },
    /// Its first entries are not those of the earlier log.
    Forked {
        /// How many the earlier log had.
        size: u64,
    },
    /// An entry is not the one that was there earlier.
    Replaced {
        /// Which.
        number: u64,
    },
    /// There are fewer hashes, or more, than entries were signed for.
    Leaves {
        /// How many were signed for.
        signed: u64,
        /// How many there are.
        found: u64,
    },
    /// The hashes are not those that were signed.
    Root,
    /// An entry is not there.
    Missing {
        /// Which.
        number: u64,
    },
    /// There is an entry that is not in what was signed.
    Added {
        /// Which it is said to be.
        number: u64,
    },
    /// The text of an entry is not the one that was hashed.
    Changed {
        /// Which.
        number: u64,
    },
    /// An entry is filed under another workspace than its own, where those whom it is about do not find it.
    Misfiled {
        /// Which.
        number: u64,
    },
    /// An entry stands where another belongs.
    Moved {
        /// Where it stands.
        number: u64,
        /// Which it says that it is.
        says: u64,
    },
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Origin { earlier, now } => {
                write!(f, "this is the log `{now}`, and the earlier one is `{earlier}`")
            }
            Self::Shortened { earlier, now } => {
                write!(f, "the log was shortened: it had {earlier} entries, and has {now}")
            }
            Self::Forked { size } => {
                write!(
                    f,
                    "the log was forked: its first {size} entries are not those of the earlier checkpoint"
                )
            }
            Self::Replaced { number } => write!(f, "entry {number} is not the one that was kept earlier"),
            Self::Leaves { signed, found } => {
                write!(f, "the checkpoint is over {signed} entries, and there are hashes of {found}")
            }
            Self::Root => f.write_str("the hashes of the entries are not those that were signed"),
            Self::Missing { number } => write!(f, "entry {number} was removed"),
            Self::Added { number } => {
                write!(f, "entry {number} was put there, and is not in what was signed")
            }
            Self::Changed { number } => write!(f, "entry {number} was changed"),
            Self::Misfiled { number } => {
                write!(f, "entry {number} is filed under another workspace than it says")
            }
            Self::Moved { number, says } => {
                write!(f, "entry {number} is not in its place: it is entry {says}")
            }
        }
    }
}

/// What came of a check.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// How many entries were read.
    pub read: u64,
    /// What is wrong; nothing where all is well.
    pub findings: Vec<Finding>,
    /// How many more are wrong than are told.
    pub more: u64,
}

impl Verdict {
    fn add(&mut self, finding: Finding) {
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }
}

/// Checks a log.
pub fn verify(given: &Given<'_>) -> Verdict {
    let mut verdict = Verdict::default();
    let Given { checkpoint, leaves, earlier, .. } = *given;
    if let Some(earlier) = earlier {
        compare(&mut verdict, checkpoint, leaves, earlier, given.earlier_leaves);
    }
    let found = leaves.len() as u64;
    if found != checkpoint.size {
        verdict.add(Finding::Leaves { signed: checkpoint.size, found });
    } else if root(leaves) != checkpoint.root {
        verdict.add(Finding::Root);
    }
    entries(&mut verdict, given);
    verdict
}

/// Whether the log of then is a beginning of the one of now.
fn compare(
    verdict: &mut Verdict,
    now: &Checkpoint,
    leaves: &[Hash],
    earlier: &Checkpoint,
    kept: Option<&[Hash]>,
) {
    if earlier.origin != now.origin {
        let (earlier, now) = (earlier.origin.clone(), now.origin.clone());
        return verdict.add(Finding::Origin { earlier, now });
    }
    if earlier.size > now.size {
        verdict.add(Finding::Shortened { earlier: earlier.size, now: now.size });
    }
    let first = usize::try_from(earlier.size).ok().and_then(|size| leaves.get(..size));
    if first.is_some_and(|first| root(first) != earlier.root) {
        verdict.add(Finding::Forked { size: earlier.size });
    }
    for (number, (kept, now)) in kept.unwrap_or_default().iter().zip(leaves).enumerate() {
        if kept != now {
            verdict.add(Finding::Replaced { number: number as u64 });
        }
    }
}

/// Whether entries are those that were hashed.
fn entries(verdict: &mut Verdict, given: &Given<'_>) {
    let size = given.leaves.len() as u64;
    let mut expected = 0;
    for logged in given.entries {
        let number = logged.number;
        if given.is_all {
            (expected..number.min(size)).for_each(|number| verdict.add(Finding::Missing { number }));
        }
        expected = number.saturating_add(1);
        verdict.read += 1;
        let place = usize::try_from(number).ok().and_then(|place| given.leaves.get(place));
        let Some(leaf) = place else {
            verdict.add(Finding::Added { number });
            continue;
        };
        let entry = serde_json::from_str::<Entry>(&logged.text).ok();
        match entry {
            Some(entry) if entry.number != number => {
                verdict.add(Finding::Moved { number, says: entry.number });
            }
            _ if Hash::leaf(logged.text.as_bytes()) != *leaf => verdict.add(Finding::Changed { number }),
            Some(entry) if entry.workspace != logged.workspace => verdict.add(Finding::Misfiled { number }),
            _ => {}
        }
    }
    if given.is_all {
        (expected..size).for_each(|number| verdict.add(Finding::Missing { number }));
    }
}

/// The hash over a log with these leaves.
pub fn root(leaves: &[Hash]) -> Hash {
    let subtree = |level: u8, place: u64| {
        let width = 1_usize << level;
        let first = usize::try_from(place).unwrap_or(usize::MAX).saturating_mul(width);
        let mut row: Vec<Hash> = leaves.get(first..first.saturating_add(width)).unwrap_or_default().to_vec();
        while row.len() > 1 {
            row = row.chunks(2).map(|pair| Hash::inner(&pair[0], &pair[1])).collect();
        }
        row.first().copied().unwrap_or_else(Hash::empty)
    };
    let nodes = nodes_of(Range::whole(leaves.len() as u64));
    hash_of(&nodes.iter().map(|node| subtree(node.level, node.place)).collect::<Vec<_>>())
}
