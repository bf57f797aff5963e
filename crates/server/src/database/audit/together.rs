//! Entries of many who ask at once are added in one transaction: it is the end of it that takes time, and all wait for one head.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::future::join_all;
use provenv_ledger::{Entry, Hash, Node, siblings};
use provenv_workspace::{AsyncWriter, Field, write_rows};

use super::{Deed, hashes, is_said, salts, signed, told, unsigned};
use crate::database::{Connection, Database, DatabaseError, Result};

/// Deeds that are written down one after the other, or not at all.
#[derive(Clone, Debug)]
pub struct Deeds {
    pub all: Vec<Deed>,
    /// When they are not.
    pub once: Once,
}

/// When deeds are not to be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Once {
    /// They always are.
    No,
    /// An entry says already how the subject of the first, a version, came to be.
    Version,
    /// An entry says the very same already.
    Same,
}

/// Whether they are in the log.
pub type Outcome = Result<()>;

/// Why nothing was written down.
struct Failed {
    error: DatabaseError,
    /// It may be written down all the same: the connection was lost when the transaction ended.
    is_open: bool,
}

impl<E: Into<DatabaseError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self { error: error.into(), is_open: false }
    }
}

impl AsyncWriter<Vec<Deeds>, Outcome> for Database {
    async fn write(&self, items: Vec<Vec<Deeds>>) -> Vec<Outcome> {
        let all: Vec<&Deeds> = items.iter().flatten().collect();
        let failed = match self.write_down(&all).await {
            Ok(()) => return items.iter().map(|_| Ok(())).collect(),
            Err(failed) if items.len() == 1 => return vec![Err(failed.error)],
            Err(failed) => failed,
        };
        // One may have failed for all. What is not to be there twice is not tried twice.
        let alone = items.iter().map(async |deeds| {
            if failed.is_open {
                return Err(sqlx::Error::Io(std::io::ErrorKind::ConnectionAborted.into()).into());
            }
            self.write_down(&deeds.iter().collect::<Vec<_>>()).await.map_err(|failed| failed.error)
        });
        join_all(alone).await
    }
}

impl Database {
    async fn write_down(&self, items: &[&Deeds]) -> Result<(), Failed> {
        if items.is_empty() {
            return Ok(());
        }
        let mut transaction = self.begin("audit").await?;
        let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for first in
            items.iter().filter(|deeds| deeds.once == Once::Version).filter_map(|deeds| deeds.all.first())
        {
            versions.entry(first.workspace.as_deref().unwrap_or_default()).or_default().push(&first.subject);
        }
        let mut known: HashMap<&str, HashSet<String>> = HashMap::new();
        for (workspace, subjects) in versions {
            known.insert(workspace, told(&mut transaction, workspace, &subjects).await?);
        }
        let mut wanted: Vec<&Deed> = Vec::new();
        for deeds in items {
            let Some(first) = deeds.all.first() else { continue };
            let is_wanted = match deeds.once {
                Once::No => true,
                // Of two in this transaction the first tells it.
                Once::Version => known
                    .entry(first.workspace.as_deref().unwrap_or_default())
                    .or_default()
                    .insert(first.subject.clone()),
                Once::Same => !is_said(&mut transaction, first).await?,
            };
            if is_wanted {
                wanted.extend(&deeds.all);
            }
        }
        if !wanted.is_empty() {
            append_all(&mut transaction, &wanted).await?;
            transaction.commit().await.map_err(|error| Failed { error: error.into(), is_open: true })?;
        }
        Ok(())
    }

    /// Writes deeds down with those of others. They have their place before those that are asked for later, once this returns.
    pub(super) fn add(&self, deeds: Vec<Deeds>) -> impl Future<Output = Outcome> + Send + use<> {
        let outcome = self.deeds.write(deeds, self.clone());
        async { outcome.await.unwrap_or_else(|| Err(sqlx::Error::WorkerCrashed.into())) }
    }

    /// Writes down what versions came to be, and what else is told once. What comes of it is there to be waited for, and need not be.
    pub fn tell(&self, deeds: Vec<Deeds>) -> impl Future<Output = Outcome> + Send + use<> {
        self.add(deeds)
    }

    /// Whether so much is to be written down that whoever adds to it should wait.
    pub fn is_behind(&self) -> bool {
        self.deeds.waiting().0 > BEHIND
    }

    /// Waits until all is written down that this process was to write down.
    pub async fn settle(&self) -> Result<()> {
        match self.deeds.waiting() {
            (0, false) => Ok(()),
            _ => self.add(Vec::new()).await,
        }
    }
}

/// How many may wait.
const BEHIND: usize = 64;

/// Adds an entry to the log, in the transaction of what it is about.
pub(in crate::database) async fn append(connection: &mut Connection, deed: &Deed) -> Result<()> {
    append_all(connection, &[deed]).await
}

/// Adds entries to the log. The last thing that a transaction does: whoever adds another waits until it ends.
async fn append_all(connection: &mut Connection, deeds: &[&Deed]) -> Result<()> {
    let count = signed(deeds.len() as u64)?;
    let (size,): (i64,) = sqlx::query_as("UPDATE audit_head SET size = size + $1 RETURNING size")
        .bind(count)
        .fetch_one(&mut *connection)
        .await?;
    let first = unsigned(size - count)?;
    let numbers = || first..first + deeds.len() as u64;
    let mut before: Vec<Node> = numbers().flat_map(siblings).filter(|node| begin(*node) < first).collect();
    before.sort_unstable_by_key(|node| (node.level, node.place));
    before.dedup();
    let mut known = hashes(&mut *connection, &before).await?;
    let (mut entries, mut nodes) = (Vec::new(), Vec::new());
    for ((number, deed), salt) in numbers().zip(deeds).zip(salts(deeds.len())?) {
        let entry = Entry {
            number,
            at: jiff::Timestamp::now(),
            by: deed.by.clone(),
            action: deed.action.as_str().to_owned(),
            workspace: deed.workspace.clone(),
            subject: deed.subject.clone(),
            details: deed.details.clone(),
            salt,
        };
        let text = entry.to_text().map_err(|error| sqlx::Error::Encode(error.into()))?;
        for (node, hash) in closed(number, Hash::leaf(text.as_bytes()), &known)? {
            nodes.push(vec![
                Field::Number(i64::from(node.level)),
                Field::Number(signed(node.place)?),
                Field::Text(hash.to_string()),
            ]);
            known.insert(node, hash);
        }
        entries.push(vec![
            Field::Number(signed(number)?),
            entry.workspace.map_or(Field::Nothing, Field::Text),
            Field::Text(entry.by),
            Field::Text(entry.action),
            Field::Text(entry.subject),
            Field::Text(text),
        ]);
    }
    write_rows(connection, ("INSERT INTO audit_nodes (level, place, hash) VALUES ", ""), &nodes).await?;
    let before = "INSERT INTO audit_entries (number, workspace, actor, action, subject, text) VALUES ";
    write_rows(connection, (before, ""), &entries).await?;
    Ok(())
}

/// The first entry below a node.
fn begin(node: Node) -> u64 {
    node.place << node.level
}

/// The nodes that an entry completes, its own first.
fn closed(number: u64, leaf: Hash, known: &HashMap<Node, Hash>) -> Result<Vec<(Node, Hash)>> {
    let mut hash = leaf;
    let mut node = Node { level: 0, place: number };
    let mut closed = vec![(node, hash)];
    for sibling in siblings(number) {
        let left = known.get(&sibling).ok_or_else(|| DatabaseError::Corrupt {
            what: "hash of the audit log",
            value: format!("{}/{} is missing", sibling.level, sibling.place),
        })?;
        hash = Hash::inner(left, &hash);
        node = Node { level: node.level + 1, place: node.place / 2 };
        closed.push((node, hash));
    }
    Ok(closed)
}
