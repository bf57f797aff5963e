//! Versions are registered, as many in one transaction as were asked for at once.
//!
//! What is there is read for all of them, what each becomes is decided here, and each table is written once: so a version costs
//! its rows, and neither statements nor a transaction of its own.

use std::collections::HashMap;

use futures::future::join_all;
use provenv_definition::Digest;
use sqlx::Row as _;

use super::describing::kind_of;
use super::environments::{NewEnvironment, Same, body_of};
use super::history::change;
use super::query::Query;
use super::rows::{Around, parts, write};
use super::sharing::shared;
use super::together::AsyncWriter;
use super::{Catalogue, CatalogueError, Connection, Result, Turn, corrupt};

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
}

/// A version to be registered, as its rows have it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    name: String,
    version: Option<String>,
    same: Same,
    content: String,
    definition: Digest,
    receipt: Digest,
    lock: Digest,
    body: String,
    kind: &'static str,
    tags: Vec<(String, String)>,
    created_at: String,
    created_by: String,
    from: Option<(String, String)>,
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
            receipt: new.receipt,
            lock: new.lock,
            body: body_of(new.name, new.environment)?,
            kind: kind_of(new.name, new.environment),
            tags: tags.map(|(tag, value)| (tag.clone(), value.clone())).collect(),
            created_at: created_at.to_string(),
            created_by: new.created_by.to_owned(),
            from: new.from.map(|(name, version)| (name.to_owned(), version.to_owned())),
        })
    }
}

impl Catalogue {
    /// Registers `new`, or finds the version that has the same content.
    pub async fn register(&self, new: &NewEnvironment<'_>) -> Result<Entered> {
        let entry = Entry::of(new, jiff::Timestamp::now())?;
        let entered = self.registering.write(entry, self.clone()).await;
        entered.unwrap_or_else(|| Err(sqlx::Error::WorkerCrashed.into()))
    }

    async fn register_all(&self, entries: &[Entry]) -> Result<Vec<Result<Entered>>> {
        let mut names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let mut transaction = self.begin(&Turn::Environments(&names)).await?;
        let entered = enter_all(&mut transaction, entries).await?;
        transaction.commit().await?;
        Ok(entered)
    }
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
    let mut names = names(connection, entries).await?;
    let there = there(connection, entries).await?;
    let deleted = deleted(connection, entries).await?;
    let elsewhere = shared(connection, names.keys().copied()).await?;
    let mut rows: Vec<NewRow<'_>> = Vec::new();
    let mut outcomes = Vec::with_capacity(entries.len());
    for (place, entry) in entries.iter().enumerate() {
        if let Some(place) = elsewhere.get(&entry.name) {
            outcomes.push(Err(CatalogueError::SharedHere { name: entry.name.clone(), place: place.clone() }));
            continue;
        }
        // Those of this transaction are newer than all that was there.
        let just_now = rows.iter().rev().find(|row| row.is_what(entry)).map(NewRow::entered);
        if let Some(found) = just_now.or_else(|| there.get(&place).cloned()) {
            outcomes.push(found.answer(entry));
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
        let row = NewRow { entry, version, ordinal: numbers.ordinal, change: numbers.change };
        outcomes.push(Ok(Entered { created: true, ..row.entered().entered }));
        rows.push(row);
    }
    let changed: Vec<_> = names.iter().filter(|(_, numbers)| numbers.is_changed).collect();
    write(connection, &changed, NAMES, |query, (name, numbers)| {
        query.text(**name).number(numbers.ordinal).number(numbers.number).number(numbers.change);
    })
    .await?;
    write(connection, &rows, ENVIRONMENTS, |query, row| {
        let NewRow { entry, version, ordinal, .. } = row;
        query
            .text(&entry.name)
            .text(version)
            .number(*ordinal)
            .text(&entry.content)
            .text(entry.definition.to_string())
            .text(entry.receipt.to_string())
            .text(entry.lock.to_string())
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
    version: String,
    ordinal: i64,
    change: i64,
}

impl NewRow<'_> {
    /// Whether this is what `entry` asks about, as what is there already is asked about.
    fn is_what(&self, entry: &Entry) -> bool {
        if self.entry.name != entry.name {
            return false;
        }
        match &entry.version {
            Some(version) => self.version == *version,
            None => match entry.same {
                Same::Never => false,
                Same::Content => self.entry.content == entry.content,
                Same::ContentAndLock => self.entry.content == entry.content && self.entry.lock == entry.lock,
            },
        }
    }

    fn entered(&self) -> Found {
        let Entry { name, definition, receipt, lock, content, .. } = self.entry;
        let (name, version) = (name.clone(), self.version.clone());
        let (definition, receipt, lock) = (*definition, *receipt, *lock);
        let entered = Entered { name, version, created: false, definition, receipt, lock };
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
    fn answer(self, entry: &Entry) -> Result<Entered> {
        let is_same =
            self.content == entry.content && (entry.same == Same::Content || self.entered.lock == entry.lock);
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

async fn names<'a>(connection: &mut Connection, entries: &'a [Entry]) -> Result<HashMap<&'a str, Numbers>> {
    let mut known: HashMap<&str, Numbers> =
        entries.iter().map(|entry| (entry.name.as_str(), Numbers::default())).collect();
    let names: Vec<&str> = known.keys().copied().collect();
    for part in parts(&names) {
        let mut query = Query::default();
        query.push(
            "SELECT name, last_ordinal, last_number, last_change FROM environment_names WHERE name IN (",
        );
        query.listed(|query| {
            for name in part {
                query.text(*name);
            }
        });
        for row in query.push(")").rows(&mut *connection).await? {
            let name: String = row.try_get("name")?;
            if let Some(numbers) = known.get_mut(name.as_str()) {
                numbers.ordinal = row.try_get("last_ordinal")?;
                numbers.number = row.try_get("last_number")?;
                numbers.change = row.try_get("last_change")?;
            }
        }
    }
    Ok(known)
}

/// The versions that are there of which entries may be, by the places of these.
async fn there(connection: &mut Connection, entries: &[Entry]) -> Result<HashMap<usize, Found>> {
    let asking = entries.iter().enumerate();
    let asking: Vec<_> =
        asking.filter(|(_, entry)| entry.version.is_some() || entry.same != Same::Never).collect();
    let mut found = HashMap::new();
    for part in parts(&asking) {
        let mut query = Query::default();
        for (place, (_, entry)) in part.iter().enumerate() {
            // One statement for many, and each part by its index. The place is of the part, as statements are to be few.
            query.push(if place == 0 { "" } else { " UNION ALL " });
            query.push(&format!(
                "SELECT * FROM (SELECT CAST({place} AS BIGINT) AS place, name, version, content, definition, receipt, lock
                 FROM environments WHERE name = "
            ));
            query.text(&entry.name);
            match &entry.version {
                Some(version) => {
                    query.push(" AND version = ").text(version);
                }
                None => {
                    query.push(" AND content = ").text(&entry.content);
                    if entry.same == Same::ContentAndLock {
                        query.push(" AND lock = ").text(entry.lock.to_string());
                    }
                }
            }
            query.push(&format!(" ORDER BY ordinal DESC LIMIT 1) e{place}"));
        }
        for row in query.rows(&mut *connection).await? {
            let place =
                usize::try_from(row.try_get::<i64, _>("place")?).ok().and_then(|place| part.get(place));
            let Some((place, _)) = place else { continue };
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
            };
            found.insert(*place, Found { entered, content: row.try_get("content")? });
        }
    }
    Ok(found)
}

/// The places of those that want a version that was deleted.
async fn deleted(connection: &mut Connection, entries: &[Entry]) -> Result<Vec<usize>> {
    let asking = entries.iter().enumerate();
    let asking: Vec<_> =
        asking.filter_map(|(place, entry)| Some((place, &entry.name, entry.version.as_ref()?))).collect();
    let mut deleted = Vec::new();
    for part in parts(&asking) {
        let mut query = Query::default();
        query.push("SELECT name, version FROM deleted_versions WHERE ");
        for (number, (_, name, version)) in part.iter().enumerate() {
            query.push(if number == 0 { "(name = " } else { " OR (name = " }).text(*name);
            query.push(" AND version = ").text(*version).push(")");
        }
        for row in query.rows(&mut *connection).await? {
            let (name, version): (String, String) = (row.try_get("name")?, row.try_get("version")?);
            let same = part.iter().filter(|(_, n, v)| **n == name && **v == version);
            deleted.extend(same.map(|(place, ..)| *place));
        }
    }
    Ok(deleted)
}

/// The number that a version is, if it is one that others can come after.
pub(super) fn number(version: &str) -> Option<i64> {
    let digits = version.len() <= 18 && version.bytes().all(|byte| byte.is_ascii_digit());
    version.parse().ok().filter(|_| digits)
}
