//! Many versions in one transaction.

use std::collections::{HashMap, HashSet, hash_map};

use provenv_definition::{Digest, Environment};
use provenv_lock::{Lock, Receipt};
use serde::Deserialize;

use super::environments::{NewEnvironment, Resolution, Same, Telling};
use super::holdings::index_lock;
use super::query::Query;
use super::registering::{Entry, enter_all};
use super::rows::{Around, write};
use super::telling::{ImportSoFar, note_import};
use super::{Catalogue, CatalogueError, Connection, Result, Turn, corrupt};
use crate::importing::unknown_lock;

/// What a line says.
#[derive(Clone, Debug)]
pub enum Importing {
    /// A lock.
    Lock(Box<Lock>),
    /// A version.
    Version(Box<ImportedVersion>),
}

/// A version to be taken in.
#[derive(Clone, Debug)]
pub struct ImportedVersion {
    /// Its name.
    pub name: String,
    /// Its version; the next number, if it says none.
    pub version: Option<String>,
    /// Digest of all that is immutable in it.
    pub content: Digest,
    /// Its receipt.
    pub receipt: Receipt,
    /// The environment itself.
    pub environment: Environment,
    /// When it was registered.
    pub created_at: jiff::Timestamp,
    /// By whom.
    pub created_by: String,
}

impl Catalogue {
    /// Takes all of them in, or none. Gives how many versions are new; or which cannot be taken, and why. `so_far` is what came of
    /// lines before them and of these, but for how many of these are new: a log is told of it, whatever stops the import.
    pub async fn import(
        &self,
        lines: &[Importing],
        so_far: Option<ImportSoFar>,
    ) -> Result<Result<u64, (usize, String)>> {
        let mut transaction = self.begin(&Turn::Everything).await?;
        let mut locks: HashMap<Digest, Option<Digest>> = HashMap::new();
        let mut documents: Vec<(Digest, &str, String)> = Vec::new();
        let mut seen: HashSet<Digest> = HashSet::new();
        let mut receipts: Vec<(Digest, Digest)> = Vec::new();
        let mut versions: Vec<(usize, Entry)> = Vec::new();
        for (place, line) in lines.iter().enumerate() {
            match line {
                Importing::Lock(lock) => {
                    let body = String::from_utf8(lock.to_bytes()).map_err(corrupt("lock"))?;
                    let digest = Digest::of(body.as_bytes());
                    write(&mut transaction, &[(digest, "lock", body)], DOCUMENTS, document).await?;
                    index_lock(&mut transaction, &digest, lock).await?;
                    locks.insert(digest, Some(lock.definition));
                }
                Importing::Version(version) => {
                    let (definition, lock) = (version.receipt.definition, version.receipt.lock);
                    let of = match locks.entry(lock) {
                        hash_map::Entry::Occupied(known) => *known.get(),
                        hash_map::Entry::Vacant(unknown) => {
                            *unknown.insert(definition_of(&mut transaction, &lock).await?)
                        }
                    };
                    match of {
                        None => return Ok(Err((place, unknown_lock(&lock)))),
                        Some(of) if of != definition => {
                            let why = format!("its lock {lock} is of another definition than {definition}");
                            return Ok(Err((place, why)));
                        }
                        Some(_) => {}
                    }
                    if seen.insert(definition) {
                        let body = serde_json::to_string(&version.environment.definition);
                        documents.push((definition, "definition", body.map_err(corrupt("definition"))?));
                    }
                    let text = serde_json::to_string_pretty(&version.receipt).map_err(corrupt("receipt"))?;
                    let receipt = Digest::of(text.as_bytes());
                    if seen.insert(receipt) {
                        receipts.push((definition, receipt));
                        documents.push((receipt, "receipt", text));
                    }
                    match version.entry(receipt) {
                        Ok(entry) => versions.push((place, entry)),
                        Err(error @ (CatalogueError::Nul { .. } | CatalogueError::LongTag { .. })) => {
                            return Ok(Err((place, error.to_string())));
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        write(&mut transaction, &documents, DOCUMENTS, document).await?;
        write(&mut transaction, &receipts, RECEIPTS, |query, (definition, receipt)| {
            query.text(definition.to_string()).text(receipt.to_string());
        })
        .await?;
        let (places, entries): (Vec<usize>, Vec<Entry>) = versions.into_iter().unzip();
        let mut created = 0;
        for (place, outcome) in places.into_iter().zip(enter_all(&mut transaction, &entries).await?) {
            match outcome {
                Ok(entered) => created += u64::from(entered.created),
                Err(
                    error @ (CatalogueError::VersionTaken { .. }
                    | CatalogueError::VersionDeleted { .. }
                    | CatalogueError::SharedHere { .. }),
                ) => {
                    return Ok(Err((place, error.to_string())));
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(so_far) = so_far {
            let import = ImportSoFar { created: so_far.created + created, ..so_far };
            note_import(&mut transaction, import).await?;
        }
        transaction.commit().await?;
        Ok(Ok(created))
    }
}

const DOCUMENTS: Around =
    ("INSERT INTO documents (digest, kind, body) VALUES ", " ON CONFLICT (digest) DO NOTHING");
const RECEIPTS: Around =
    ("INSERT INTO current_receipts (definition, receipt) VALUES ", " ON CONFLICT (definition) DO NOTHING");

fn document(query: &mut Query, (digest, kind, body): &(Digest, &str, String)) {
    query.text(digest.to_string()).text(*kind).text(body);
}

impl ImportedVersion {
    fn entry(&self, receipt: Digest) -> Result<Entry> {
        let new = NewEnvironment {
            name: &self.name,
            version: self.version.as_deref(),
            content: self.content,
            definition: self.receipt.definition,
            resolution: Resolution::Given { receipt, lock: self.receipt.lock },
            environment: &self.environment,
            created_by: &self.created_by,
            from: None,
            same: Same::ContentAndLock,
            telling: Telling::Nobody,
        };
        Entry::of(&new, self.created_at)
    }
}

/// What is read of a lock to know what it is of.
#[derive(Deserialize)]
struct OfLock {
    definition: Digest,
}

/// The definition that a lock is of, if it is known.
async fn definition_of(connection: &mut Connection, lock: &Digest) -> Result<Option<Digest>> {
    let row: Option<(String,)> =
        sqlx::query_as("SELECT body FROM documents WHERE digest = $1 AND kind = 'lock'")
            .bind(lock.to_string())
            .fetch_optional(connection)
            .await?;
    let Some((body,)) = row else { return Ok(None) };
    let of: OfLock = serde_json::from_str(&body).map_err(corrupt("lock"))?;
    Ok(Some(of.definition))
}
