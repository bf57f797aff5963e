//! The audit log of a server in the eyes of somebody who does not believe it: kept in a file, and checked here.

use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;

use provenv_ledger::{
    Checkpoint, Entry, Finding, Given, Hash, Logged, MOST_FINDINGS, PublicKey, open, verify,
};
use serde::{Deserialize, Serialize};

use crate::error::IoContext as _;
use crate::{Error, Result};

/// The form of the file.
const FORMAT: u32 = 1;

/// A server's audit log, as far as whoever asked may read it.
#[derive(Clone, Debug)]
pub struct AuditLog {
    /// The key that the server says is its.
    pub(crate) key: String,
    /// What it signed.
    pub(crate) checkpoint: String,
    /// Why it signed nothing.
    pub(crate) refused: Option<String>,
    /// Whether the entries are all that there are.
    pub(crate) is_all: bool,
    /// The hashes of all entries.
    pub(crate) leaves: Vec<Hash>,
    /// The entries that may be read.
    pub(crate) entries: Vec<Logged>,
}

/// How a log is checked.
#[derive(Clone, Debug, Default)]
pub struct AuditLogCheck {
    /// Keys that are believed: any of them may have signed. The server's own, where none are given.
    pub keys: Vec<String>,
    /// The text of what was kept earlier: a checkpoint, or a whole log.
    pub earlier: Option<String>,
}

/// What came of a check.
#[derive(Clone, Debug, Serialize)]
pub struct AuditLogVerdict {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// What the log is called.
    pub log: String,
    /// How many entries it has.
    pub size: u64,
    /// The hash over all of them.
    pub root: Hash,
    /// How many of them were read and compared; those of other workspaces are known by their hashes.
    pub read: u64,
    /// Whether the key was given, and not the server's own word.
    pub key_given: bool,
    /// How many entries the earlier log had that this is a continuation of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earlier: Option<u64>,
    /// What is wrong.
    pub findings: Vec<AuditLogFinding>,
    /// How many more are wrong than are listed.
    pub more: u64,
}

/// Something that is wrong.
#[derive(Clone, Debug, Serialize)]
pub struct AuditLogFinding {
    /// The entry, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// What is wrong.
    pub message: String,
}

impl From<&Finding> for AuditLogFinding {
    fn from(finding: &Finding) -> Self {
        let entry = match finding {
            Finding::Replaced { number }
            | Finding::Missing { number }
            | Finding::Added { number }
            | Finding::Changed { number }
            | Finding::Misfiled { number }
            | Finding::Moved { number, .. } => Some(*number),
            Finding::Origin { .. }
            | Finding::Shortened { .. }
            | Finding::Forked { .. }
            | Finding::Leaves { .. }
            | Finding::Root => None,
        };
        Self { entry, message: finding.to_string() }
    }
}

/// The first line of a file.
#[derive(Serialize, Deserialize)]
struct Head {
    format: u32,
    key: String,
    checkpoint: String,
    is_all: bool,
    size: u64,
}

/// Each other line: an entry, or the hash of one that may not be read.
#[derive(Serialize, Deserialize)]
struct Line {
    number: u64,
    hash: Hash,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workspace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl AuditLog {
    /// Reads one that was kept.
    pub fn read(file: &Path) -> Result<Self> {
        let reading = || format!("could not read the audit log {}", file.display());
        let mut lines = BufReader::new(fs_err::File::open(file).doing(reading)?).lines();
        let first = lines.next().transpose().doing(reading)?.unwrap_or_default();
        Self::of(&first, lines.map(|line| line.doing(reading)), &file.display().to_string())
    }

    fn of(first: &str, lines: impl Iterator<Item = Result<String>>, what: &str) -> Result<Self> {
        let wrong = |number: usize, why: &str| Error::Arguments {
            message: format!("{what}:{number}: this is no line of an audit log ({why})"),
            hint: "`provenv audit-log save FILE` writes one".to_owned(),
        };
        let head: Head = serde_json::from_str(first).map_err(|error| wrong(1, &error.to_string()))?;
        if head.format != FORMAT {
            return Err(wrong(1, &format!("format {}, and this provenv knows {FORMAT}", head.format)));
        }
        let mut log = Self {
            key: head.key,
            checkpoint: head.checkpoint,
            refused: None,
            is_all: head.is_all,
            leaves: Vec::new(),
            entries: Vec::new(),
        };
        for (number, line) in (2..).zip(lines) {
            let line: Line =
                serde_json::from_str(&line?).map_err(|error| wrong(number, &error.to_string()))?;
            log.leaves.push(line.hash);
            if let Some(text) = line.text {
                log.entries.push(Logged { number: line.number, workspace: line.workspace, text });
            }
        }
        Ok(log)
    }

    /// Keeps it in a file: all that a later check needs.
    pub fn write(&self, file: &Path) -> Result<()> {
        let writing = || format!("could not write the audit log {}", file.display());
        if let Some(refused) = &self.refused {
            return Err(Error::Arguments {
                message: format!("the server does not sign its audit log: {refused}"),
                hint: "`provenv audit-log verify` tells which entries were changed".to_owned(),
            });
        }
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let staged = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).doing(writing)?;
        let mut out = BufWriter::new(&staged);
        let head = Head {
            format: FORMAT,
            key: self.key.clone(),
            checkpoint: self.checkpoint.clone(),
            is_all: self.is_all,
            size: self.leaves.len() as u64,
        };
        let mut line = |value: serde_json::Result<String>| -> std::io::Result<()> {
            writeln!(out, "{}", value.map_err(std::io::Error::other)?)
        };
        line(serde_json::to_string(&head)).doing(writing)?;
        let mut entries = self.entries.iter().peekable();
        for (number, hash) in (0..).zip(&self.leaves) {
            let entry = entries.next_if(|entry| entry.number == number);
            let workspace = entry.and_then(|entry| entry.workspace.clone());
            let text = entry.map(|entry| entry.text.clone());
            line(serde_json::to_string(&Line { number, hash: *hash, workspace, text })).doing(writing)?;
        }
        out.flush().doing(writing)?;
        drop(out);
        staged.persist(file).map_err(|error| error.error).doing(writing)?;
        Ok(())
    }

    /// How many entries it has.
    pub fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// Checks it: what was signed, every hash, every entry that is there, and that it continues what was kept earlier.
    pub fn check(&self, check: &AuditLogCheck) -> Result<AuditLogVerdict> {
        let given = if check.keys.is_empty() { std::slice::from_ref(&self.key) } else { &check.keys[..] };
        let keys: Vec<PublicKey> = given
            .iter()
            .map(|key| {
                key.parse().map_err(|error| Error::Arguments {
                    message: format!("`{}` cannot be used as the key of an audit log: {error}", key.trim()),
                    hint: "give what `provenv audit-log key` prints, or a file with it".to_owned(),
                })
            })
            .collect::<Result<_>>()?;
        let mut findings = Vec::new();
        let finding = |message: String| AuditLogFinding { entry: None, message };
        let checkpoint = match (&self.refused, signed(&self.checkpoint, &keys)) {
            (Some(refused), _) => {
                findings.push(finding(format!("the server does not sign its log: {refused}")));
                self.unsigned(&keys)
            }
            (None, Ok(checkpoint)) => checkpoint,
            (None, Err(why)) => {
                findings.push(finding(format!("the checkpoint cannot be believed: {why}")));
                self.unsigned(&keys)
            }
        };
        let earlier = check.earlier.as_deref().map(|text| Earlier::read(text, &keys)).transpose()?;
        let verdict = verify(&Given {
            checkpoint: &checkpoint,
            leaves: &self.leaves,
            entries: &self.entries,
            is_all: self.is_all,
            earlier: earlier.as_ref().map(|earlier| &earlier.checkpoint),
            earlier_leaves: earlier.as_ref().map(|earlier| &earlier.leaves[..]),
        });
        findings.extend(verdict.findings.iter().map(AuditLogFinding::from));
        debug_assert!(findings.len() <= MOST_FINDINGS + 1);
        Ok(AuditLogVerdict {
            ok: findings.is_empty(),
            log: checkpoint.origin,
            size: checkpoint.size,
            root: checkpoint.root,
            read: verdict.read,
            key_given: !check.keys.is_empty(),
            earlier: earlier.map(|earlier| earlier.checkpoint.size),
            findings,
            more: verdict.more,
        })
    }

    /// What would be signed, where nothing is: entries can be compared with their hashes all the same.
    fn unsigned(&self, keys: &[PublicKey]) -> Checkpoint {
        let origin = keys.first().map(|key| key.name().to_owned()).unwrap_or_default();
        Checkpoint { origin, size: self.size(), root: provenv_ledger::root(&self.leaves) }
    }
}

/// What was kept earlier.
struct Earlier {
    checkpoint: Checkpoint,
    leaves: Vec<Hash>,
}

impl Earlier {
    fn read(text: &str, keys: &[PublicKey]) -> Result<Self> {
        let (note, leaves) = if text.starts_with('{') {
            let mut lines = text.lines();
            let first = lines.next().unwrap_or_default();
            let log = AuditLog::of(first, lines.map(|line| Ok(line.to_owned())), "the earlier log")?;
            (log.checkpoint, log.leaves)
        } else {
            (text.to_owned(), Vec::new())
        };
        let checkpoint = signed(&note, keys).map_err(|why| Error::Arguments {
            message: format!("the earlier checkpoint cannot be believed: {why}"),
            hint: "give what `provenv audit-log checkpoint` or `save` wrote, and the key of then with --key"
                .to_owned(),
        })?;
        Ok(Self { checkpoint, leaves })
    }
}

/// A checkpoint that one of these keys signed, over a log of its name.
fn signed(note: &str, keys: &[PublicKey]) -> Result<Checkpoint, String> {
    let text = open(note, keys).map_err(|error| error.to_string())?;
    let checkpoint: Checkpoint =
        text.parse().map_err(|error: provenv_ledger::CheckpointError| error.to_string())?;
    if keys.iter().any(|key| key.name() == checkpoint.origin) {
        return Ok(checkpoint);
    }
    Err(format!("it is of the log `{}`, which is not the key's", checkpoint.origin))
}

/// An entry of the audit log, to be shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditLogEntry {
    /// Which, from 0.
    pub number: u64,
    /// The workspace that it is filed under.
    pub workspace: Option<String>,
    /// What it says; `None` where it cannot be read.
    pub entry: Option<Entry>,
}
