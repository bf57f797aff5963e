//! Environments: names, versions and what they point to.

use std::collections::BTreeSet;

use provenv_definition::{Digest, Environment};
use provenv_lock::Receipt;
use sqlx::Row as _;

use super::deleting::is_deleted;
use super::moment::Texts;
use super::registering::number;
use super::{Catalogue, CatalogueError, Connection, Result, Row, corrupt, has_nul};

/// A registered version.
#[derive(Clone, Debug)]
pub struct EnvironmentRow {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Digest of its definition.
    pub definition: Digest,
    /// The receipt it points to.
    pub receipt: Digest,
    /// The lock of that receipt.
    pub lock: Digest,
    /// The environment itself.
    pub environment: Environment,
    /// When it was registered.
    pub created_at: jiff::Timestamp,
    /// By whom.
    pub created_by: String,
    /// Whether it is archived itself: not by its name.
    pub archived: bool,
    /// The version that it was made from, as name and version.
    pub from: Option<(String, String)>,
}

/// A version to be registered.
#[derive(Clone, Debug)]
pub struct NewEnvironment<'a> {
    /// Its name.
    pub name: &'a str,
    /// The version asked for; `None` takes the next number.
    pub version: Option<&'a str>,
    /// Digest of all that is immutable in it.
    pub content: Digest,
    /// Digest of its definition.
    pub definition: Digest,
    /// The receipt that it points to, and its lock.
    pub resolution: Resolution,
    /// The environment itself.
    pub environment: &'a Environment,
    /// Who registers it.
    pub created_by: &'a str,
    /// The version that it is made from, as name and version.
    pub from: Option<(&'a str, &'a str)>,
    /// Which version of the name would be the same as this.
    pub same: Same,
    /// Whether the audit log of the server is to be told, where the workspace is one of a server's.
    pub telling: Telling<'a>,
}

/// What a new version points to.
#[derive(Clone, Copy, Debug)]
pub enum Resolution {
    /// This.
    Given {
        /// The receipt.
        receipt: Digest,
        /// Its lock.
        lock: Digest,
    },
    /// What its definition resolves to when it is registered.
    Current,
}

/// What an audit log is to be told of a new version.
#[derive(Clone, Copy, Debug)]
pub enum Telling<'a> {
    /// Nothing: somebody of this machine made it.
    Nobody,
    /// That it was registered.
    Made,
    /// That it was copied from there, `WORKSPACE/NAME:VERSION`.
    Copied(&'a str),
}

/// When a version that is there is the one to be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Same {
    /// It has the same content, whatever its lock.
    Content,
    /// It has the same content and the same lock: this one was given.
    ContentAndLock,
    /// Never: an upgrade.
    Never,
}

pub(super) const COLUMNS: &str = "name, version, definition, receipt, lock, body, created_at, created_by, archived_at, from_name, from_version";

/// The columns of `table`.
pub(super) fn all_columns(table: &str) -> String {
    COLUMNS.split(", ").map(|column| format!("{table}.{column}")).collect::<Vec<_>>().join(", ")
}

impl Catalogue {
    /// A version by name; `None` gives the newest that is not archived.
    pub async fn environment(&self, name: &str, version: Option<&str>) -> Result<Option<EnvironmentRow>> {
        let row = match version {
            Some(version) => {
                sqlx::query(sqlx::AssertSqlSafe(format!(
                    "SELECT {COLUMNS} FROM environments WHERE name = $1 AND version = $2"
                )))
                .bind(name)
                .bind(version)
                .fetch_optional(&self.pool)
                .await?
            }
            None => {
                sqlx::query(sqlx::AssertSqlSafe(format!(
                "SELECT {COLUMNS} FROM environments WHERE name = $1 AND archived_at IS NULL AND NOT EXISTS (
                         SELECT 1 FROM environment_names WHERE name = $1 AND archived_at IS NOT NULL
                     ) ORDER BY ordinal DESC LIMIT 1"
            )))
                .bind(name)
                .fetch_optional(&self.pool)
                .await?
            }
        };
        row.as_ref().map(read).transpose()
    }

    /// The versions of a name, the newest first, at most `limit`.
    pub async fn versions(&self, name: &str, limit: u32) -> Result<Vec<String>> {
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT version FROM environments WHERE name = $1 ORDER BY ordinal DESC LIMIT $2")
                .bind(name)
                .bind(i64::from(limit))
                .fetch_all(&self.pool)
                .await?;
        Ok(rows.into_iter().map(|(version,)| version).collect())
    }

    /// The locks that registered versions and runs point to, each once.
    pub async fn needed_locks(&self) -> Result<Vec<Digest>> {
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT DISTINCT lock FROM environments").fetch_all(&self.pool).await?;
        let mut locks: BTreeSet<Digest> = rows
            .into_iter()
            .map(|(digest,)| digest.parse().map_err(corrupt("digest")))
            .collect::<Result<_>>()?;
        // By the receipt, which is for ever: the image may be gone from the store, and its row with it.
        let receipts: Vec<(String,)> = sqlx::query_as(
            "SELECT body FROM documents WHERE digest IN (SELECT receipt FROM runs) AND kind = 'receipt'",
        )
        .fetch_all(&self.pool)
        .await?;
        for (body,) in receipts {
            let receipt: Receipt = serde_json::from_str(&body).map_err(corrupt("receipt"))?;
            locks.insert(receipt.lock);
        }
        Ok(locks.into_iter().collect())
    }

    /// Every version, of one name or of all, newest first within a name.
    pub async fn environments(&self, name: Option<&str>) -> Result<Vec<EnvironmentRow>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM environments WHERE $1 IS NULL OR name = $1 ORDER BY name, ordinal DESC"
        )))
        .bind(name)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read).collect()
    }
}

/// The place of a new version among those of its name, and the version: that which is wanted, or the number after the largest that
/// was ever given.
pub(super) async fn next(
    connection: &mut Connection,
    name: &str,
    wanted: Option<String>,
) -> Result<(i64, String)> {
    if let Some(version) = &wanted
        && is_deleted(connection, name, version).await?
    {
        return Err(CatalogueError::VersionDeleted { name: name.to_owned(), version: version.clone() });
    }
    sqlx::query(
        "INSERT INTO environment_names (name, last_ordinal, last_number, last_change) VALUES ($1, 0, 0, 0)
         ON CONFLICT (name) DO NOTHING",
    )
    .bind(name)
    .execute(&mut *connection)
    .await?;
    let (ordinal, last): (i64, i64) = sqlx::query_as(
        "UPDATE environment_names SET last_ordinal = last_ordinal + 1 WHERE name = $1
         RETURNING last_ordinal, last_number",
    )
    .bind(name)
    .fetch_one(&mut *connection)
    .await?;
    let version = wanted.unwrap_or_else(|| (last + 1).to_string());
    if let Some(number) = number(&version).filter(|number| *number > last) {
        sqlx::query("UPDATE environment_names SET last_number = $1 WHERE name = $2")
            .bind(number)
            .bind(name)
            .execute(connection)
            .await?;
    }
    Ok((ordinal, version))
}

/// How long a tag may be, and its value, in bytes.
const LONGEST_TAG: usize = 512;

/// An environment as rows hold it.
pub(super) fn body_of(name: &str, environment: &Environment) -> Result<String> {
    let body = serde_json::to_string(environment).map_err(corrupt("environment"))?;
    if has_nul(body.as_bytes()) {
        return Err(CatalogueError::Nul { name: name.to_owned() });
    }
    // An entry of an index in PostgreSQL has room for 2704 bytes, and one of tags holds a name and a version besides.
    let is_too_long = |text: &String| text.len() > LONGEST_TAG;
    if let Some((tag, _)) =
        environment.tags.iter().find(|(tag, value)| is_too_long(tag) || is_too_long(value))
    {
        return Err(CatalogueError::LongTag { name: name.to_owned(), tag: tag.chars().take(40).collect() });
    }
    Ok(body)
}

pub(super) fn read(row: &Row) -> Result<EnvironmentRow> {
    read_texts((0..WIDTH).map(|column| row.try_get(column)).collect::<Result<_, sqlx::Error>>()?)
}

/// How many columns a row has: as [`COLUMNS`] says, all of them texts.
pub(super) const WIDTH: usize = 11;

/// The same of texts in the order of [`COLUMNS`].
pub(super) fn read_texts(row: Texts) -> Result<EnvironmentRow> {
    let nothing = || corrupt("version")(sqlx::Error::ColumnNotFound(COLUMNS.to_owned()));
    let row: [Option<String>; WIDTH] = row.try_into().map_err(|_| nothing())?;
    let [
        name,
        version,
        definition,
        receipt,
        lock,
        body,
        created_at,
        created_by,
        archived,
        from_name,
        from_version,
    ] = row;
    let text = |text: Option<String>| text.ok_or_else(nothing);
    let digest = |text: Option<String>| -> Result<Digest> {
        text.ok_or_else(nothing)?.parse().map_err(corrupt("digest"))
    };
    Ok(EnvironmentRow {
        name: text(name)?,
        version: text(version)?,
        definition: digest(definition)?,
        receipt: digest(receipt)?,
        lock: digest(lock)?,
        environment: serde_json::from_str(&text(body)?).map_err(corrupt("environment"))?,
        created_at: text(created_at)?.parse().map_err(corrupt("time"))?,
        created_by: text(created_by)?,
        archived: archived.is_some(),
        from: Option::zip(from_name, from_version),
    })
}

#[cfg(test)]
mod tests {
    use provenv_definition::{Definition, Digest, definition_digest};
    use provenv_lock::{Lock, Receipt};

    use crate::catalogue::{Catalogue, RunRow, RunStatus};
    use crate::config::CatalogueSettings;

    #[tokio::test]
    async fn a_run_needs_its_lock_though_its_image_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::open(folder.path(), &CatalogueSettings::default()).await.unwrap();
        let definition = Definition::default();
        let digest = definition_digest(&definition);
        let lock = Lock { format: Lock::FORMAT, definition: digest, platforms: [].into() };
        let receipt = Receipt {
            format: 1,
            definition: digest,
            lock: lock.digest(),
            resolved_at: jiff::Timestamp::UNIX_EPOCH,
            indexes: Vec::new(),
            tools: Vec::new(),
            previous: None,
            from_file: false,
            as_of: None,
            virtual_packages: Vec::new(),
        };
        let receipt = catalogue.record_resolution(&definition, &lock, &receipt).await.unwrap();
        assert_eq!(catalogue.needed_locks().await.unwrap(), []);
        let run = RunRow {
            id: "run".to_owned(),
            name: "run".to_owned(),
            environment: "tea".to_owned(),
            version: "1".to_owned(),
            receipt,
            manifest: Digest::of(b"an image that no row names"),
            body: String::new(),
            status: RunStatus::Running,
            exit_code: None,
            error: None,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            ended_at: None,
        };
        catalogue.begin_run(&run).await.unwrap();
        assert_eq!(catalogue.needed_locks().await.unwrap(), [lock.digest()]);
    }
}
