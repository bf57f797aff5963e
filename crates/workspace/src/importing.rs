//! Many versions at once, from lines of JSON: what another catalogue has, or what a generator makes.
//!
//! | line | what it is |
//! |---|---|
//! | `{"lock": {…}}` | a lock, which the lines behind it may name by its digest |
//! | `{"environment": {…}, "receipt": {…}}` | a version: `receipt.lock` names a lock that is known. `created_at`, `created_by` are those that it had (on a server, whoever sends it has registered it); without a version in it, it gets the next number |
//!
//! A thousand lines are one transaction: what was said to be in is in, also after a power cut.

use provenv_definition::{Digest, Environment, definition_digest};
use provenv_lock::{Lock, Places, Receipt};
use serde::{Deserialize, Serialize};

use crate::catalogue::{ImportSoFar, ImportedVersion, Importing};
use crate::environments::content_digest;
use crate::{Error, Result, Workspace, has_nul};

/// How many lines are one transaction.
const BATCH: usize = 1000;
/// How many bytes of lines are, where they are long.
const MOST: usize = 64 << 20;
/// No line is longer.
const LONGEST: usize = 64 << 20;

/// A line.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Line {
    Lock {
        lock: Box<Lock>,
    },
    Version {
        environment: Box<Environment>,
        receipt: Box<Receipt>,
        created_at: Option<jiff::Timestamp>,
        created_by: Option<String>,
    },
}

/// What was taken in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Imported {
    /// Lines that were read.
    pub lines: u64,
    /// Locks among them.
    pub locks: u64,
    /// Versions among them.
    pub versions: u64,
    /// Versions that are new.
    pub created: u64,
}

/// Takes lines in, as they come.
pub struct Importer<'a> {
    workspace: &'a Workspace,
    who: String,
    /// Whether the lines are of somebody who has no business with this machine.
    is_sent: bool,
    rest: Vec<u8>,
    batch: Vec<Importing>,
    /// The bytes of its lines.
    bytes: usize,
    imported: Imported,
    /// Which import it is to the log of a server.
    id: Option<String>,
}

impl Workspace {
    /// Begins to take lines in, in the name of `who` where a line says nobody.
    pub fn importer(&self, who: &str) -> Importer<'_> {
        Importer {
            workspace: self,
            who: who.to_owned(),
            is_sent: false,
            rest: Vec::new(),
            batch: Vec::new(),
            bytes: 0,
            imported: Imported::default(),
            id: None,
        }
    }

    /// The same of lines that somebody sends: they name nothing of this machine, and all of it was registered by `who`. What came of
    /// it is something that a log has yet to be told, by the name `id`.
    pub fn importer_of_sent(&self, who: &str, id: &str) -> Importer<'_> {
        Importer { is_sent: true, id: Some(id.to_owned()), ..self.importer(who) }
    }
}

impl Importer<'_> {
    /// What was taken in so far.
    pub fn imported(&self) -> &Imported {
        &self.imported
    }

    /// Takes the next bytes, which may end anywhere.
    pub async fn take(&mut self, bytes: &[u8]) -> Result<()> {
        let mut bytes = bytes;
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            bytes = &rest[1..];
            if self.rest.is_empty() {
                self.line(line)?;
            } else {
                self.rest.extend_from_slice(line);
                let line = std::mem::take(&mut self.rest);
                self.line(&line)?;
            }
            if self.batch.len() >= BATCH || self.bytes >= MOST {
                self.keep().await?;
            }
        }
        self.rest.extend_from_slice(bytes);
        if self.rest.len() > LONGEST {
            return Err(self.wrong(&format!("it is longer than {} MiB", LONGEST >> 20)));
        }
        Ok(())
    }

    /// There is no more.
    pub async fn finish(&mut self) -> Result<()> {
        let line = std::mem::take(&mut self.rest);
        self.line(&line)?;
        self.keep().await
    }

    fn line(&mut self, line: &[u8]) -> Result<()> {
        self.imported.lines += 1;
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        if has_nul(line) {
            return Err(self.wrong("a text in it has the character U+0000"));
        }
        let one = match serde_json::from_slice(line) {
            Ok(Line::Lock { lock }) => {
                let sound = lock.validate().and_then(|()| {
                    // Nobody's variables and folders.
                    if self.is_sent { lock.check_urls(&Places::default(), |_| false) } else { Ok(()) }
                });
                sound.map_err(|error| self.wrong(&format!("its lock is not sound: {error}")))?;
                self.imported.locks += 1;
                Importing::Lock(lock)
            }
            Ok(Line::Version { mut environment, receipt, created_at, created_by }) => {
                if self.is_sent {
                    crate::hosting::refuse_local(&environment)?;
                } else {
                    crate::hosting::refuse_names(&environment)?;
                }
                let created_by = created_by.filter(|_| !self.is_sent);
                let definition = definition_digest(&environment.definition);
                if receipt.definition != definition {
                    return Err(
                        self.wrong(&format!("its receipt is of another definition than {definition}"))
                    );
                }
                let name = environment.name.clone().ok_or(Error::NoName)?;
                let version = environment.version.take();
                self.imported.versions += 1;
                Importing::Version(Box::new(ImportedVersion {
                    name,
                    version,
                    content: content_digest(&environment),
                    receipt: *receipt,
                    environment: *environment,
                    created_at: created_at.unwrap_or_else(jiff::Timestamp::now),
                    created_by: created_by.unwrap_or_else(|| self.who.clone()),
                }))
            }
            Err(error) => return Err(self.wrong(&error.to_string())),
        };
        self.batch.push(one);
        self.bytes += line.len();
        Ok(())
    }

    async fn keep(&mut self) -> Result<()> {
        let before = self.imported.lines - self.batch.len() as u64;
        let batch = std::mem::take(&mut self.batch);
        self.bytes = 0;
        if batch.is_empty() {
            return Ok(());
        }
        let so_far = self.id.clone().map(|id| ImportSoFar {
            id,
            by: self.who.clone(),
            versions: self.imported.versions,
            created: self.imported.created,
        });
        let created = self.workspace.catalogue.import(&batch, so_far).await?;
        self.imported.created += created.map_err(|(place, why)| {
            let line = before + place as u64 + 1;
            self.imported.lines = before;
            wrong(line, &why)
        })?;
        Ok(())
    }

    fn wrong(&self, why: &str) -> Error {
        wrong(self.imported.lines, why)
    }
}

fn wrong(line: u64, why: &str) -> Error {
    Error::Arguments {
        message: format!("line {line} cannot be taken in: {why}"),
        hint: "lines before its thousand are in, and the same file may be given again: what is there is not taken twice"
            .to_owned(),
    }
}

/// A digest in words, for messages.
pub(crate) fn unknown_lock(lock: &Digest) -> String {
    format!("no line before it has the lock {lock}, and the catalogue has none")
}
