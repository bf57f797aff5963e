//! Entries of many who ask at once are added in one transaction: it is the end of it that takes time, and all wait for one head.

use std::collections::{HashMap, HashSet};

use futures::future::join_all;
use provenv_ledger::{Entry, Hash, Node, siblings};
use provenv_workspace::{AsyncWriter, Field, write_rows};

use super::{Deed, hashes, signed, told, unguessable, unsigned};
use crate::database::{Connection, Database, DatabaseError, Result};

/// Deeds that are written down one after the other, or not at all.
#[derive(Clone, Debug)]
pub struct Deeds {
    pub all: Vec<Deed>,
    /// Whether they are written down only if nothing says yet how the subject of the first came to be.
    pub once: bool,
}

/// Whether they were written down.
pub type Outcome = Result<bool>;

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

impl AsyncWriter<Deeds, Outcome> for Database {
    async fn write(&self, items: Vec<Deeds>) -> Vec<Outcome> {
        let failed = match self.write_down(&items).await {
            Ok(outcomes) => return outcomes.into_iter().map(Ok).collect(),
            Err(failed) if items.len() == 1 => return vec![Err(failed.error)],
            Err(failed) => failed,
        };
        // One may have failed for all. What is not to be there twice is not tried twice.
        let alone = items.iter().map(async |deeds| {
            if failed.is_open {
                return Err(sqlx::Error::Io(std::io::ErrorKind::ConnectionAborted.into()).into());
            }
            let outcomes =
                self.write_down(std::slice::from_ref(deeds)).await.map_err(|failed| failed.error)?;
            Ok(outcomes.first().copied().unwrap_or_default())
        });
        join_all(alone).await
    }
}

impl Database {
    async fn write_down(&self, items: &[Deeds]) -> Result<Vec<bool>, Failed> {
        let mut transaction = self.begin("audit").await?;
        let firsts: Vec<(usize, (&str, &str))> = items
            .iter()
            .enumerate()
            .filter(|(_, deeds)| deeds.once)
            .filter_map(|(place, deeds)| {
                let first = deeds.all.first()?;
                Some((place, (first.workspace.as_deref().unwrap_or_default(), first.subject.as_str())))
            })
            .collect();
        let (places, versions): (Vec<usize>, Vec<_>) = firsts.into_iter().unzip();
        let known = told(&mut transaction, &versions).await?;
        let mut outcomes = vec![true; items.len()];
        let mut seen = HashSet::new();
        for (number, (place, version)) in places.into_iter().zip(versions).enumerate() {
            // Of two in this transaction the first tells it.
            outcomes[place] = seen.insert(version) && !known.contains(&number);
        }
        let wanted: Vec<&Deed> = items
            .iter()
            .zip(&outcomes)
            .filter(|(_, wanted)| **wanted)
            .flat_map(|(deeds, _)| &deeds.all)
            .collect();
        if !wanted.is_empty() {
            append_all(&mut transaction, &wanted).await?;
            transaction.commit().await.map_err(|error| Failed { error: error.into(), is_open: true })?;
        }
        Ok(outcomes)
    }

    /// Writes deeds down with those of others.
    pub(super) async fn add(&self, deeds: Deeds) -> Outcome {
        let outcome = self.deeds.write(deeds, self.clone()).await;
        outcome.unwrap_or_else(|| Err(sqlx::Error::WorkerCrashed.into()))
    }
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
    for (number, deed) in numbers().zip(deeds) {
        let entry = Entry {
            number,
            at: jiff::Timestamp::now(),
            by: deed.by.clone(),
            action: deed.action.as_str().to_owned(),
            workspace: deed.workspace.clone(),
            subject: deed.subject.clone(),
            details: deed.details.clone(),
            salt: unguessable::<16>()?,
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
