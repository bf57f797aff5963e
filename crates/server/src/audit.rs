//! What the server says of its audit log: signed checkpoints, hashes and proofs. The log itself is in the database.

use std::io;
use std::path::{Path, PathBuf};

use axum::http::StatusCode;
use provenv_ledger::{Checkpoint, Hash, Node, PublicKey, Range, SigningKey, hash_of, nodes_of, open, sign};
use tokio::sync::Mutex;

use crate::database::Database;
use crate::problem::{Problem, Result};
use crate::whole;

/// The file with the key that checkpoints are signed with, for its owner alone.
const KEY: &str = "audit.key";
/// The file with the last one that was signed: a log that is not its continuation is signed no more.
const LAST: &str = "audit.checkpoint";

/// Why there can be no signed log.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A file.
    #[error("the key of the audit log cannot be used")]
    File(#[source] io::Error),
    /// What is in it.
    #[error("the key of the audit log in `{}` cannot be used", .file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// Why.
        source: provenv_ledger::NoteError,
    },
    /// The key of another log.
    #[error("`{}` is the key of the log `{key}`, and the database has the log `{log}`", .file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
        /// The key's log.
        key: String,
        /// The database's.
        log: String,
    },
}

impl LedgerError {
    /// What the user can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::File(_) => "the file must be readable for the user of the server".to_owned(),
            Self::Key { .. } | Self::Foreign { .. } => {
                "bring database and key from the same back-up; to begin with a new key, move the old one and \
                 `audit.checkpoint` away, and tell whoever checks the log"
                    .to_owned()
            }
        }
    }
}

/// The log, to be signed and served.
pub(crate) struct Ledger {
    key: SigningKey,
    last: PathBuf,
    /// What was signed last here.
    signed: Mutex<Option<(Checkpoint, String)>>,
}

impl Ledger {
    /// The ledger of the server at `root`, over the log of this name. Its key is made where there is none.
    pub fn open(root: &Path, origin: &str) -> Result<Self, LedgerError> {
        let file = root.join(KEY);
        let text = match fs_err::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let new = SigningKey::generate(origin);
                let new = new.map_err(|source| LedgerError::Key { file: file.clone(), source })?;
                let text = new.to_text() + "\n";
                match whole::make(&file, text.as_bytes()) {
                    Ok(true) => Ok(text),
                    // Another server of this folder was quicker.
                    Ok(false) => fs_err::read_to_string(&file),
                    Err(error) => Err(error),
                }
                .map_err(LedgerError::File)?
            }
            Err(error) => return Err(LedgerError::File(error)),
        };
        let key: SigningKey =
            text.parse().map_err(|source| LedgerError::Key { file: file.clone(), source })?;
        if key.public().name() != origin {
            let (key, log) = (key.public().name().to_owned(), origin.to_owned());
            return Err(LedgerError::Foreign { file, key, log });
        }
        Ok(Self { key, last: root.join(LAST), signed: Mutex::default() })
    }

    /// What others check with.
    pub fn key(&self) -> &PublicKey {
        self.key.public()
    }

    /// What the log is now, signed. A log that does not continue what was signed before is not signed again.
    pub async fn checkpoint(&self, database: &Database) -> Result<(Checkpoint, String)> {
        let mut signed = self.signed.lock().await;
        loop {
            // Before the size is read: another server may sign a larger log meanwhile.
            let before = self.before()?;
            let size = database.audit_size().await?;
            if let Some(signed) = signed.as_ref().filter(|(checkpoint, _)| checkpoint.size == size) {
                return Ok(signed.clone());
            }
            let root = root_of(database, size).await?;
            if let Some(before) = &before {
                continues(database, before, size).await?;
            }
            let checkpoint = Checkpoint { origin: self.key().name().to_owned(), size, root };
            let note = sign(&checkpoint.to_string(), &self.key);
            // What is remembered never becomes less: a log that is cut later would pass for whole.
            let turn = database.turn("checkpoint").await?;
            if self.before()? != before {
                drop(turn);
                continue;
            }
            whole::replace(&self.last, note.as_bytes()).map_err(|error| Problem::fault(&error))?;
            drop(turn);
            *signed = Some((checkpoint.clone(), note.clone()));
            return Ok((checkpoint, note));
        }
    }

    /// What was signed last, by any server of this folder.
    fn before(&self) -> Result<Option<Checkpoint>> {
        let note = match fs_err::read_to_string(&self.last) {
            Ok(note) => note,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Problem::fault(&error)),
        };
        let text = open(&note, std::slice::from_ref(self.key())).ok().and_then(|text| text.parse().ok());
        text.map(Some).ok_or_else(|| damaged(&format!("`{LAST}` is not what this server signed")))
    }
}

/// Whether a log of `size` entries is a continuation of the one that was signed.
async fn continues(database: &Database, before: &Checkpoint, size: u64) -> Result<()> {
    if before.size > size {
        return Err(damaged(&format!(
            "it has {size} entries, and had {} when it was last signed",
            before.size
        )));
    }
    if root_of(database, before.size).await? != before.root {
        return Err(damaged(&format!("its first {} entries are not those that were signed", before.size)));
    }
    Ok(())
}

/// The hash over the first entries.
async fn root_of(database: &Database, size: u64) -> Result<Hash> {
    let hashes = over(database, &[Range::whole(size)]).await?;
    Ok(hashes.into_iter().next().unwrap_or_else(Hash::empty))
}

/// The hashes over ranges.
pub(crate) async fn over(database: &Database, ranges: &[Range]) -> Result<Vec<Hash>> {
    let nodes: Vec<Vec<Node>> = ranges.iter().map(|range| nodes_of(*range)).collect();
    let known = database.audit_nodes(&nodes.concat()).await?;
    let hashes = nodes.iter().map(|nodes| {
        let hashes: Option<Vec<Hash>> = nodes.iter().map(|node| known.get(node).copied()).collect();
        hashes.map(|hashes| hash_of(&hashes)).ok_or_else(|| damaged("a hash of it is missing"))
    });
    hashes.collect()
}

/// Said of a log that is not what it was: never the client's fault, and told in full, as the log is for those who check.
pub(crate) fn damaged(why: &str) -> Box<Problem> {
    tracing::error!(why, "the audit log was changed");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "audit-log-damaged",
        format!("the audit log was changed by other means than this server: {why}"),
    )
    .hint("`provenv audit-log verify` tells which entries; compare with a back-up")
}
