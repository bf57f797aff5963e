//! Versions are registered, as many in one transaction as were asked for at once.
//!
//! What is there is read for all of them, what each becomes is decided here, and each table is written once: so a version costs
//! its rows, and neither statements nor a transaction of its own.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::join_all;
use provenv_definition::Digest;
use serde::Deserialize;
use sqlx::Row as _;

use super::describing::kind_of;
use super::environments::{NewEnvironment, Resolution, Same, Telling, body_of};
use super::history::change;
use super::query::Query;
use super::rows::{Around, write};
use super::telling::{NewVersion, Untold, forget, note};
use super::together::AsyncWriter;
use super::{Catalogue, CatalogueError, Connection, Result, Row, Turn, corrupt};

/// A version that is registered, new or found.
#[derive(Clone, Debug)]
pub struct Entered {
    /// The environment's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it is new.
    pub created: bool,
    /// Digest of its definition.
    pub definition: Digest,
    /// The receipt it points to.
    pub receipt: Digest,
    /// The lock of that receipt.
    pub lock: Digest,
    /// What a log is to be told of those that were registered together.
    pub untold: Option<Arc<Untold>>,
}

/// A version to be registered, as its rows have it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    name: String,
    version: Option<String>,
    same: Same,
    content: String,
    definition: Digest,
    /// Receipt and lock; none where they are those that the definition has when it is registered.
    resolved: Option<(Digest, Digest)>,
    body: String,
    kind: &'static str,
    tags: Vec<(String, String)>,
    created_at: String,
    created_by: String,
    from: Option<(String, String)>,
    /// Whether a log is to be told, and what it was copied from.
    telling: Option<Option<String>>,
}

impl Entry {
    pub fn of(new: &NewEnvironment<'_>, created_at: jiff::Timestamp) -> Result<Self> {
        let tags = new.environment.tags.iter();
        Ok(Self {
            name: new.name.to_owned(),
            version: new.version.map(str::to_owned),
            same: new.same,
            content: new.content.to_string(),
            definition: new.definition,
            resolved: match new.resolution {
                Resolution::Given { receipt, lock } => Some((receipt, lock)),
                Resolution::Current => None,
            },
            body: body_of(new.name, new.environment)?,
            kind: kind_of(new.name, new.environment),
            tags: tags.map(|(tag, value)| (tag.clone(), value.clone())).collect(),
            created_at: created_at.to_string(),
            created_by: new.created_by.to_owned(),
            from: new.from.map(|(name, version)| (name.to_owned(), version.to_owned())),
            telling: match new.telling {
                Telling::Nobody => None,
                Telling::Made => Some(None),
                Telling::Copied(from) => Some(Some(from.to_owned())),
            },
        })
    }
}

impl Catalogue {
    /// Registers `new`, or finds the version that has the same content.
    pub async fn register(&self, new: &NewEnvironment<'_>) -> Result<Entered> {
        let mut entry = Entry::of(new, jiff::Timestamp::now())?;
        if !self.tells {
            entry.telling = None;
        }
        let entered = self.registering.write(entry, self.clone()).await;
        entered.unwrap_or_else(|| Err(sqlx::Error::WorkerCrashed.into()))
    }

    async fn register_all(&self, entries: &[Entry]) -> Result<Vec<Result<Entered>>> {
        let mut names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        // What the log has goes by the way.
        let told = self.told.take();
        let done = self.register_in_turn(&names, entries, &told).await;
        if done.is_err() {
            self.told.put_back(told);
        }
        done
    }

    async fn register_in_turn(
        &self,
        names: &[&str],
        entries: &[Entry],
        told: &[String],
    ) -> Result<Vec<Result<Entered>>> {
        let mut transaction = self.begin(&Turn::Environments(names)).await?;
        let mut entered = enter_all(&mut transaction, entries).await?;
        let news: Vec<NewVersion> = entries.iter().zip(&entered).filter_map(news_of).collect();
        if !news.is_empty() {
            let untold = note(&mut transaction, news).await?;
            for one in entered.iter_mut().flatten().filter(|one| one.created) {
                one.untold = Some(Arc::clone(&untold));
            }
        }
        forget(&mut transaction, told).await?;
        transaction.commit().await?;
        Ok(entered)
    }
}

/// What a log is to be told of a registration.
fn news_of((entry, entered): (&Entry, &Result<Entered>)) -> Option<NewVersion> {
    let copied_from = entry.telling.clone()?;
    let entered = entered.as_ref().ok().filter(|entered| entered.created)?;
    let Entered { name, version, definition, receipt, lock, .. } = entered.clone();
    Some(NewVersion { name, version, definition, receipt, lock, by: entry.created_by.clone(), copied_from })
}

impl AsyncWriter<Entry, Result<Entered>> for Catalogue {
    async fn write(&self, entries: Vec<Entry>) -> Vec<Result<Entered>> {
        match self.register_all(&entries).await {
            Ok(entered) => entered,
            Err(error) if entries.len() == 1 => vec![Err(error)],
            // One may have failed for all. Where all was written and nobody heard of it, what is the same is found now; what is
            // never the same may be there, and is not written twice.
            Err(_) => {
                let alone = entries.iter().map(async |entry| {
                    if entry.same == Same::Never && entry.version.is_none() {
                        return Err(sqlx::Error::Io(std::io::ErrorKind::ConnectionAborted.into()).into());
                    }
                    let mut entered = self.register_all(std::slice::from_ref(entry)).await?;
                    entered.pop().unwrap_or_else(|| Err(sqlx::Error::RowNotFound.into()))
                });
                join_all(alone).await
            }
        }
    }
}

/// Registers them in a transaction, in their order; of one that is refused nothing is written. An error is about all.
pub(super) async fn enter_all(
    connection: &mut Connection,
    entries: &[Entry],
) -> Result<Vec<Result<Entered>>> {
    let (mut names, elsewhere) = names(connection, entries).await?;
    let resolutions = resolutions(connection, entries).await?;
    let there = there(connection, entries).await?;
    let deleted = deleted(connection, entries).await?;
    let mut rows: Vec<NewRow<'_>> = Vec::new();
    let mut outcomes = Vec::with_capacity(entries.len());
    for (place, entry) in entries.iter().enumerate() {
        if let Some(place) = elsewhere.get(&entry.name) {
            outcomes.push(Err(CatalogueError::SharedHere { name: entry.name.clone(), place: place.clone() }));
            continue;
        }
        let resolved = entry.resolved.or_else(|| resolutions.get(&entry.definition).copied());
        let Some((receipt, lock)) = resolved else {
            outcomes.push(Err(CatalogueError::NotLocked { definition: entry.definition }));
            continue;
        };
        // Those of this transaction are newer than all that was there.
        let just_now = rows.iter().rev().find(|row| row.is_what(entry, &lock)).map(NewRow::entered);
        if let Some(found) = just_now.or_else(|| there.get(&place).cloned()) {
            outcomes.push(found.answer(entry, &lock));
            continue;
        }
        if deleted.contains(&place) {
            let (name, version) = (entry.name.clone(), entry.version.clone().unwrap_or_default());
            outcomes.push(Err(CatalogueError::VersionDeleted { name, version }));
            continue;
        }
        let numbers = names.entry(&entry.name).or_default();
        numbers.is_changed = true;
        numbers.ordinal += 1;
        numbers.change += 1;
        let version = entry.version.clone().unwrap_or_else(|| (numbers.number + 1).to_string());
        numbers.number = numbers.number.max(number(&version).unwrap_or(0));
        let row = NewRow { entry, receipt, lock, version, ordinal: numbers.ordinal, change: numbers.change };
        outcomes.push(Ok(Entered { created: true, ..row.entered().entered }));
        rows.push(row);
    }
    let changed: Vec<_> = names.iter().filter(|(_, numbers)| numbers.is_changed).collect();
    write(connection, &changed, NAMES, |query, (name, numbers)| {
        query.text(**name).number(numbers.ordinal).number(numbers.number).number(numbers.change);
    })
    .await?;
    write(connection, &rows, ENVIRONMENTS, |query, row| {
        let NewRow { entry, receipt, lock, version, ordinal, .. } = row;
        query
            .text(&entry.name)
            .text(version)
            .number(*ordinal)
            .text(&entry.content)
            .text(entry.definition.to_string())
            .text(receipt.to_string())
            .text(lock.to_string())
            .text(&entry.body)
            .text(&entry.created_at)
            .text(&entry.created_by)
            .text(entry.kind)
            .perhaps(entry.from.as_ref().map(|(name, _)| name.as_str()))
            .perhaps(entry.from.as_ref().map(|(_, version)| version.as_str()));
    })
    .await?;
    let tags: Vec<_> = rows.iter().flat_map(|row| row.entry.tags.iter().map(move |tag| (row, tag))).collect();
    write(connection, &tags, TAGS, |query, (row, (tag, value))| {
        query.text(&row.entry.name).text(&row.version).text(tag).text(value);
    })
    .await?;
    let now = jiff::Timestamp::now().to_string();
    write(connection, &rows, HISTORY, |query, row| {
        query
            .text(&row.entry.name)
            .number(row.change)
            .text(&row.version)
            .text(change::REGISTERED)
            .text(row.entry.definition.to_string())
            .text(&now)
            .text(&row.entry.created_by);
    })
    .await?;
    Ok(outcomes)
}

const NAMES: Around = (
    "INSERT INTO environment_names (name, last_ordinal, last_number, last_change) VALUES ",
    " ON CONFLICT (name) DO UPDATE SET last_ordinal = excluded.last_ordinal, last_number = excluded.last_number,
      last_change = excluded.last_change",
);
const ENVIRONMENTS: Around = (
    "INSERT INTO environments (name, version, ordinal, content, definition, receipt, lock, body, created_at, created_by, kind,
                               from_name, from_version) VALUES ",
    "",
);
const TAGS: Around = ("INSERT INTO tags (name, version, tag, value) VALUES ", "");
const HISTORY: Around = ("INSERT INTO history (name, number, version, change, after, at, who) VALUES ", "");

/// A version that is written.
struct NewRow<'a> {
    entry: &'a Entry,
    receipt: Digest,
    lock: Digest,
    version: String,
    ordinal: i64,
    change: i64,
}

impl NewRow<'_> {
    /// Whether this is what `entry` asks about, as what is there already is asked about.
    fn is_what(&self, entry: &Entry, lock: &Digest) -> bool {
        if self.entry.name != entry.name {
            return false;
        }
        match &entry.version {
            Some(version) => self.version == *version,
            None => match entry.same {
                Same::Never => false,
                Same::Content => self.entry.content == entry.content,
                Same::ContentAndLock => self.entry.content == entry.content && self.lock == *lock,
            },
        }
    }

    fn entered(&self) -> Found {
        let Entry { name, definition, content, .. } = self.entry;
        let (name, version) = (name.clone(), self.version.clone());
        let (definition, receipt, lock) = (*definition, self.receipt, self.lock);
        let entered = Entered { name, version, created: false, definition, receipt, lock, untold: None };
        Found { entered, content: content.clone() }
    }
}

/// A version that is there.
#[derive(Clone)]
struct Found {
    entered: Entered,
    content: String,
}

impl Found {
    /// It, if it is the same; an error where it has the version that is asked for and is another.
    fn answer(self, entry: &Entry, lock: &Digest) -> Result<Entered> {
        let is_same =
            self.content == entry.content && (entry.same == Same::Content || self.entered.lock == *lock);
        if is_same {
            return Ok(self.entered);
        }
        let Entered { name, version, .. } = self.entered;
        Err(CatalogueError::VersionTaken { name, version })
    }
}

/// The numbers that a name gave last.
#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    ordinal: i64,
    number: i64,
    change: i64,
    is_changed: bool,
}

/// The numbers of names; and of those that another workspace shares, where they are from.
async fn names<'a>(
    connection: &mut Connection,
    entries: &'a [Entry],
) -> Result<(HashMap<&'a str, Numbers>, HashMap<String, String>)> {
    let mut known: HashMap<&str, Numbers> =
        entries.iter().map(|entry| (entry.name.as_str(), Numbers::default())).collect();
    let names: Vec<&str> = known.keys().copied().collect();
    let mut query = Query::of(connection);
    query.push(
        "SELECT name, last_ordinal, last_number, last_change, NULL AS place FROM environment_names WHERE name",
    );
    query
        .among(&names)
        .push(" UNION ALL SELECT name, 0, 0, 0, place FROM shared_names WHERE name")
        .among(&names);
    let mut elsewhere = HashMap::new();
    for row in query.rows(&mut *connection).await? {
        let (name, place): (String, Option<String>) = (row.try_get("name")?, row.try_get("place")?);
        if let Some(place) = place {
            elsewhere.insert(name, place);
        } else if let Some(numbers) = known.get_mut(name.as_str()) {
            numbers.ordinal = row.try_get("last_ordinal")?;
            numbers.number = row.try_get("last_number")?;
            numbers.change = row.try_get("last_change")?;
        }
    }
    Ok((known, elsewhere))
}

/// What is read of a receipt to know its lock.
#[derive(Deserialize)]
struct OfReceipt {
    lock: Digest,
}

/// What the definitions of those that give no receipt resolve to now: receipt and lock.
async fn resolutions(
    connection: &mut Connection,
    entries: &[Entry],
) -> Result<HashMap<Digest, (Digest, Digest)>> {
    let asking = entries.iter().filter(|entry| entry.resolved.is_none());
    let mut definitions: Vec<String> = asking.map(|entry| entry.definition.to_string()).collect();
    definitions.sort_unstable();
    definitions.dedup();
    let mut resolutions = HashMap::new();
    if definitions.is_empty() {
        return Ok(resolutions);
    }
    let mut query = Query::of(connection);
    query.push(
        "SELECT c.definition, c.receipt, d.body FROM current_receipts c JOIN documents d ON d.digest = c.receipt
         WHERE c.definition",
    );
    for row in query.among(&definitions).rows(&mut *connection).await? {
        let digest = |column: &str| -> Result<Digest> {
            row.try_get::<String, _>(column)?.parse().map_err(corrupt("digest"))
        };
        let body: String = row.try_get("body")?;
        let OfReceipt { lock } = serde_json::from_str(&body).map_err(corrupt("receipt"))?;
        resolutions.insert(digest("definition")?, (digest("receipt")?, lock));
    }
    Ok(resolutions)
}

/// The versions that are there of which entries may be, by the places of these.
async fn there(connection: &mut Connection, entries: &[Entry]) -> Result<HashMap<usize, Found>> {
    // By what it would be the same: each is a statement of its own, and most often all ask in one of these ways.
    let (mut versions, mut contents, mut locked) = (Vec::new(), Vec::new(), Vec::new());
    for (place, entry) in entries.iter().enumerate() {
        let (name, content) = (entry.name.clone(), entry.content.clone());
        match (&entry.version, entry.same, &entry.resolved) {
            (Some(version), ..) => versions.push((place, [name, version.clone(), String::new()])),
            (None, Same::Never, _) => {}
            (None, Same::ContentAndLock, Some((_, lock))) => {
                locked.push((place, [name, content, lock.to_string()]));
            }
            (None, ..) => contents.push((place, [name, content, String::new()])),
        }
    }
    let mut found = HashMap::new();
    for (asking, condition) in [
        (versions, "x.version = v.what"),
        (contents, "x.content = v.what"),
        (locked, "x.content = v.what AND x.lock = v.lock"),
    ] {
        let (places, keys): (Vec<usize>, Vec<[String; 3]>) = asking.into_iter().unzip();
        for row in newest(connection, &keys, condition).await? {
            let place = usize::try_from(row.try_get::<i64, _>("place")?).ok();
            let Some(place) = place.and_then(|place| places.get(place)) else { continue };
            let digest = |column: &str| -> Result<Digest> {
                row.try_get::<String, _>(column)?.parse().map_err(corrupt("digest"))
            };
            let entered = Entered {
                name: row.try_get("name")?,
                version: row.try_get("version")?,
                created: false,
                definition: digest("definition")?,
                receipt: digest("receipt")?,
                lock: digest("lock")?,
                untold: None,
            };
            found.insert(*place, Found { entered, content: row.try_get("content")? });
        }
    }
    Ok(found)
}

/// For each name, and what else is asked for, the newest version that has it. The index of what is asked for is used, and not that of
/// places, by which a name with a million versions would be read from end to end.
async fn newest(connection: &mut Connection, keys: &[[String; 3]], condition: &str) -> Result<Vec<Row>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = Query::of(connection);
    query.push("SELECT v.place, e.name, e.version, e.content, e.definition, e.receipt, e.lock FROM ");
    query.table("v", ["name", "what", "lock"], keys);
    query.push(&format!(
        " JOIN environments e ON e.name = v.name AND e.ordinal =
              (SELECT x.ordinal FROM environments x WHERE x.name = v.name AND {condition} ORDER BY x.ordinal + 0 DESC LIMIT 1)"
    ));
    Ok(query.rows(&mut *connection).await?)
}

/// The places of those that want a version that was deleted.
async fn deleted(connection: &mut Connection, entries: &[Entry]) -> Result<Vec<usize>> {
    let asking = entries.iter().enumerate();
    let asking =
        asking.filter_map(|(place, entry)| Some((place, [entry.name.clone(), entry.version.clone()?])));
    let (places, keys): (Vec<usize>, Vec<[String; 2]>) = asking.unzip();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = Query::of(connection);
    query.push("SELECT v.place FROM ").table("v", ["name", "version"], &keys);
    query.push(" JOIN deleted_versions d ON d.name = v.name AND d.version = v.version");
    let rows = query.rows(&mut *connection).await?;
    let place = |row: &Row| -> Result<Option<usize>> {
        let place: i64 = row.try_get("place")?;
        Ok(usize::try_from(place).ok().and_then(|place| places.get(place).copied()))
    };
    rows.iter().filter_map(|row| place(row).transpose()).collect()
}

/// The number that a version is, if it is one that others can come after.
pub(super) fn number(version: &str) -> Option<i64> {
    let digits = version.len() <= 18 && version.bytes().all(|byte| byte.is_ascii_digit());
    version.parse().ok().filter(|_| digits)
}
