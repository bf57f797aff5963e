//! Names that another workspace shares: what they are there, and read only here.

use std::collections::{BTreeMap, BTreeSet};

use super::deleting::{References, forget, references};
use super::describing::{index_tags, kind_of};
use super::environments::next;
use super::history::{self, NewChange, change};
use super::{Catalogue, CatalogueError, Connection, MirroredVersion, Result, Turn, corrupt};

/// A name that another workspace shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedName {
    /// It, as it is called here.
    pub name: String,
    /// Where it is from: `WORKSPACE/NAME`.
    pub place: String,
    /// The last change there that is known here.
    pub seen: i64,
}

/// What a name is where it is shared from.
#[derive(Clone, Debug)]
pub struct Following<'a> {
    /// How it is called here.
    pub name: &'a str,
    /// Where it is from: `WORKSPACE/NAME`.
    pub place: &'a str,
    /// Its versions, the oldest first.
    pub versions: &'a [MirroredVersion],
    /// Its labels: version and who moved it, by label.
    pub labels: &'a BTreeMap<String, (String, String)>,
    /// Whether the name is archived as a whole.
    pub archived: bool,
    /// The last change there of which all this tells.
    pub seen: i64,
    /// Who shares it.
    pub who: &'a str,
}

/// A version as it is here.
struct Here {
    content: String,
    lock: String,
    body: String,
    archived: bool,
}

impl Catalogue {
    /// The names that others share with this workspace.
    pub async fn shared_names(&self) -> Result<Vec<SharedName>> {
        let rows: Vec<(String, String, i64)> =
            sqlx::query_as("SELECT name, place, seen FROM shared_names ORDER BY name")
                .fetch_all(&self.pool)
                .await?;
        Ok(rows.into_iter().map(|(name, place, seen)| SharedName { name, place, seen }).collect())
    }

    /// What is known of a name that others share; `None` of one that is this workspace's own.
    pub async fn shared_name(&self, name: &str) -> Result<Option<SharedName>> {
        let row: Option<(String, i64)> =
            sqlx::query_as("SELECT place, seen FROM shared_names WHERE name = $1")
                .bind(name)
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(|(place, seen)| SharedName { name: name.to_owned(), place, seen }))
    }

    /// Puts on record that a name is shared with another workspace, or is so no more.
    pub async fn note_share(&self, name: &str, place: &str, is_end: bool, who: &str) -> Result<()> {
        let mut transaction = self.begin(&Turn::Environment(name)).await?;
        let (before, after) = if is_end { (Some(place), None) } else { (None, Some(place)) };
        let new = NewChange { name, change: change::SHARED, before, after, who, ..NewChange::default() };
        history::record(&mut transaction, &new).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Makes a name here what it is where it is shared from. Of what is here of it already all must have come by being shared before,
    /// and be the same there: versions of this workspace's own are nobody else's to change. Gives the versions that are new.
    pub async fn follow(&self, wanted: &Following<'_>) -> Result<Vec<String>> {
        let Following { name, place, versions, who, .. } = *wanted;
        let mut transaction = self.begin(&Turn::Environment(name)).await?;
        let mut here = versions_here(&mut transaction, name).await?;
        let is_marked = place_of(&mut transaction, name).await?.is_some();
        let is_same = |(version, here): (&String, &Here)| {
            versions.iter().any(|there| {
                there.row.version == *version
                    && there.content.to_string() == here.content
                    && there.row.lock.to_string() == here.lock
            })
        };
        if !is_marked && (has_own(&mut transaction, name).await? || !here.iter().all(is_same)) {
            return Err(CatalogueError::NameTaken { name: name.to_owned() });
        }
        let mut new = Vec::new();
        for version in versions {
            if let Some(known) = here.remove(&version.row.version) {
                follow_version(&mut transaction, name, version, &known, who).await?;
            } else {
                let by = if is_marked { &version.row.created_by } else { who };
                enter(&mut transaction, name, place, version, by).await?;
                new.push(version.row.version.clone());
            }
        }
        // Whatever is left is there no more.
        for version in here.into_keys() {
            drop_version(&mut transaction, name, &version, who).await?;
        }
        // The labels that come with a share are its maker's deed; whoever moves one later is named by the other workspace.
        follow_labels(&mut transaction, name, wanted.labels, who, is_marked).await?;
        let at = wanted.archived.then(|| jiff::Timestamp::now().to_string());
        sqlx::query("UPDATE environment_names SET archived_at = $1 WHERE name = $2")
            .bind(at)
            .bind(name)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO shared_names (name, place, seen) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET place = excluded.place, seen = excluded.seen",
        )
        .bind(name)
        .bind(place)
        .bind(wanted.seen)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(new)
    }

    /// Makes a name that was shared this workspace's own. Versions that something here refers to stay, archived; the others go.
    pub async fn unfollow(&self, name: &str, who: &str) -> Result<()> {
        // What refers to a version may be of any name.
        let mut transaction = self.begin(&Turn::Everything).await?;
        let Some(place) = place_of(&mut transaction, name).await? else { return Ok(()) };
        sqlx::query("DELETE FROM labels WHERE name = $1").bind(name).execute(&mut *transaction).await?;
        for version in versions_here(&mut transaction, name).await?.into_keys() {
            drop_version(&mut transaction, name, &version, who).await?;
        }
        for done in [
            "UPDATE environment_names SET archived_at = NULL WHERE name = $1",
            "DELETE FROM shared_names WHERE name = $1",
        ] {
            sqlx::query(done).bind(name).execute(&mut *transaction).await?;
        }
        let before = Some(&*place);
        let new = NewChange { name, change: change::SHARED, before, who, ..NewChange::default() };
        history::record(&mut transaction, &new).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// Where a name is shared from; `None` of one that is this workspace's own.
async fn place_of(connection: &mut Connection, name: &str) -> Result<Option<String>> {
    let row: Option<(String,)> = sqlx::query_as("SELECT place FROM shared_names WHERE name = $1")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|(place,)| place))
}

/// Fails where a name is another workspace's. Whoever changes something about a name asks here first, in the same transaction.
pub(super) async fn must_be_own(connection: &mut Connection, name: &str) -> Result<()> {
    match place_of(connection, name).await? {
        Some(place) => Err(CatalogueError::SharedHere { name: name.to_owned(), place }),
        None => Ok(()),
    }
}

/// Whether a version of this name is here that did not come by being shared.
async fn has_own(connection: &mut Connection, name: &str) -> Result<bool> {
    let row: Option<(String,)> = sqlx::query_as(
        "SELECT e.version FROM environments e WHERE e.name = $1 AND NOT EXISTS
             (SELECT 1 FROM history h WHERE h.name = e.name AND h.version = e.version AND h.change = $2) LIMIT 1",
    )
    .bind(name)
    .bind(change::SHARED)
    .fetch_optional(connection)
    .await?;
    Ok(row.is_some())
}

async fn versions_here(connection: &mut Connection, name: &str) -> Result<BTreeMap<String, Here>> {
    let rows: Vec<(String, String, String, String, Option<String>)> =
        sqlx::query_as("SELECT version, content, lock, body, archived_at FROM environments WHERE name = $1")
            .bind(name)
            .fetch_all(connection)
            .await?;
    let here = |(version, content, lock, body, archived_at): (_, _, _, _, Option<String>)| {
        (version, Here { content, lock, body, archived: archived_at.is_some() })
    };
    Ok(rows.into_iter().map(here).collect())
}

/// Enters a version that is not here yet.
async fn enter(
    connection: &mut Connection,
    name: &str,
    place: &str,
    version: &MirroredVersion,
    who: &str,
) -> Result<()> {
    // One that was here before, and is shared again.
    sqlx::query("DELETE FROM deleted_versions WHERE name = $1 AND version = $2")
        .bind(name)
        .bind(&version.row.version)
        .execute(&mut *connection)
        .await?;
    let (ordinal, _) = next(&mut *connection, name, Some(version.row.version.clone())).await?;
    let body = serde_json::to_string(&version.row.environment).map_err(corrupt("environment"))?;
    sqlx::query(
        "INSERT INTO environments
         (name, version, ordinal, content, definition, receipt, lock, body, created_at, created_by, archived_at,
          kind, from_name, from_version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(name)
    .bind(&version.row.version)
    .bind(ordinal)
    .bind(version.content.to_string())
    .bind(version.row.definition.to_string())
    .bind(version.row.receipt.to_string())
    .bind(version.row.lock.to_string())
    .bind(body)
    .bind(version.row.created_at.to_string())
    .bind(&version.row.created_by)
    .bind(version.row.archived.then(|| jiff::Timestamp::now().to_string()))
    .bind(kind_of(name, &version.row.environment))
    .bind(version.row.from.as_ref().map(|(name, _)| name))
    .bind(version.row.from.as_ref().map(|(_, version)| version))
    .execute(&mut *connection)
    .await?;
    index_tags(&mut *connection, name, &version.row.version, &version.row.environment.tags).await?;
    let before = format!("{place}:{}", version.row.version);
    let new = NewChange {
        name,
        version: Some(&version.row.version),
        change: change::SHARED,
        after: Some(&before),
        who,
        ..NewChange::default()
    };
    history::record(connection, &new).await
}

/// What may change about a version that is here.
async fn follow_version(
    connection: &mut Connection,
    name: &str,
    version: &MirroredVersion,
    known: &Here,
    who: &str,
) -> Result<()> {
    let body = serde_json::to_string(&version.row.environment).map_err(corrupt("environment"))?;
    if body != known.body {
        sqlx::query("UPDATE environments SET body = $1 WHERE name = $2 AND version = $3")
            .bind(body)
            .bind(name)
            .bind(&version.row.version)
            .execute(&mut *connection)
            .await?;
        sqlx::query("DELETE FROM tags WHERE name = $1 AND version = $2")
            .bind(name)
            .bind(&version.row.version)
            .execute(&mut *connection)
            .await?;
        index_tags(&mut *connection, name, &version.row.version, &version.row.environment.tags).await?;
    }
    if version.row.archived != known.archived {
        archive(connection, name, &version.row.version, version.row.archived, who).await?;
    }
    Ok(())
}

async fn archive(
    connection: &mut Connection,
    name: &str,
    version: &str,
    archived: bool,
    who: &str,
) -> Result<()> {
    sqlx::query("UPDATE environments SET archived_at = $1 WHERE name = $2 AND version = $3")
        .bind(archived.then(|| jiff::Timestamp::now().to_string()))
        .bind(name)
        .bind(version)
        .execute(&mut *connection)
        .await?;
    let change = if archived { change::ARCHIVED } else { change::RESTORED };
    let new = NewChange { name, version: Some(version), change, who, ..NewChange::default() };
    history::record(connection, &new).await
}

async fn follow_labels(
    connection: &mut Connection,
    name: &str,
    wanted: &BTreeMap<String, (String, String)>,
    who: &str,
    is_marked: bool,
) -> Result<()> {
    let rows: Vec<(String, String)> = sqlx::query_as("SELECT label, version FROM labels WHERE name = $1")
        .bind(name)
        .fetch_all(&mut *connection)
        .await?;
    let here: BTreeMap<String, String> = rows.into_iter().collect();
    let all: BTreeSet<&String> = here.keys().chain(wanted.keys()).collect();
    for label in all {
        let before = here.get(label).map(String::as_str);
        let after = wanted.get(label);
        if before == after.map(|(version, _)| version.as_str()) {
            continue;
        }
        sqlx::query("DELETE FROM labels WHERE name = $1 AND label = $2")
            .bind(name)
            .bind(label)
            .execute(&mut *connection)
            .await?;
        if let Some((version, by)) = after {
            sqlx::query(
                "INSERT INTO labels (name, label, version, moved_at, moved_by) VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(name)
            .bind(label)
            .bind(version)
            .bind(jiff::Timestamp::now().to_string())
            .bind(by)
            .execute(&mut *connection)
            .await?;
        }
        let new = NewChange {
            name,
            version: after.map(|(version, _)| version.as_str()).or(before),
            change: change::LABEL,
            subject: Some(label),
            before,
            after: after.map(|(version, _)| version.as_str()),
            who: after.filter(|_| is_marked).map_or(who, |(_, by)| by),
        };
        history::record(&mut *connection, &new).await?;
    }
    Ok(())
}

/// Takes a version away that is shared no more, or archives it where something here refers to it.
async fn drop_version(connection: &mut Connection, name: &str, version: &str, who: &str) -> Result<()> {
    let row: Option<(String, i64, String, Option<String>)> = sqlx::query_as(
        "SELECT lock, ordinal, definition, archived_at FROM environments WHERE name = $1 AND version = $2",
    )
    .bind(name)
    .bind(version)
    .fetch_optional(&mut *connection)
    .await?;
    let Some((lock, ordinal, definition, archived_at)) = row else { return Ok(()) };
    let needed = References { labels: Vec::new(), ..references(connection, name, version, &lock).await? };
    if needed.is_empty() {
        sqlx::query("DELETE FROM labels WHERE name = $1 AND version = $2")
            .bind(name)
            .bind(version)
            .execute(&mut *connection)
            .await?;
        return forget(connection, name, version, ordinal, &definition, who).await;
    }
    if archived_at.is_none() {
        archive(connection, name, version, true, who).await?;
    }
    Ok(())
}
