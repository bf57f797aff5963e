//! What the audit log of a server has yet to be told. It is written in the transaction of what it is about, so that no crash keeps it
//! from the log, and goes when the log has it.
//!
//! The log is in another database, so one transaction for both there is none. Whoever reads this tells the log, which takes the same
//! once, and says so here: a row goes with the next registration, which costs no wait for the disk.

use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use provenv_definition::Digest;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;

use super::query::Query;
use super::{Catalogue, Connection, Result, corrupt};

/// Something that a log is to be told.
#[derive(Debug)]
pub struct Untold {
    /// Which of all: unguessable, and never given twice.
    pub id: String,
    /// What it is.
    pub what: News,
    is_taken: AtomicBool,
}

/// What is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// Versions that are new: all of a transaction.
    Versions(Vec<NewVersion>),
    /// An import, as far as it came.
    Import(ImportSoFar),
}

/// A version that is new.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewVersion {
    /// The environment.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Digest of its definition.
    pub definition: Digest,
    /// The receipt it points to.
    pub receipt: Digest,
    /// The lock of that receipt.
    pub lock: Digest,
    /// Who made it.
    pub by: String,
    /// What it was copied from, `WORKSPACE/NAME:VERSION`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied_from: Option<String>,
}

/// How far an import came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportSoFar {
    /// Which, as its beginning was told.
    pub id: String,
    /// Who sends it.
    pub by: String,
    /// Versions among the lines that are in.
    pub versions: u64,
    /// Those of them that are new.
    pub created: u64,
}

/// What is on record of this here and is to go.
#[derive(Clone, Debug, Default)]
pub(super) struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn all(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to go now.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.all())
    }

    /// What did not go is to go the next time.
    pub fn put_back(&self, ids: Vec<String>) {
        self.all().extend(ids);
    }
}

impl Untold {
    fn new(id: String, what: News) -> Self {
        Self { id, what, is_taken: AtomicBool::new(false) }
    }

    /// Whether whoever asks is the first of this process, and is to tell it.
    pub fn take(&self) -> bool {
        !self.is_taken.swap(true, Ordering::Relaxed)
    }
}

impl Catalogue {
    /// What has yet to be told. An import that was added to within `recent` may go on, and is left out.
    pub async fn untold(&self, recent: jiff::SignedDuration) -> Result<Vec<Untold>> {
        let rows =
            sqlx::query("SELECT id, at, what FROM untold ORDER BY at, id").fetch_all(&self.pool).await?;
        let told = self.told.all().clone();
        let now = jiff::Timestamp::now();
        let mut untold = Vec::new();
        for row in rows {
            let (id, at): (String, String) = (row.try_get("id")?, row.try_get("at")?);
            let at: jiff::Timestamp = at.parse().map_err(corrupt("time"))?;
            let what: News =
                serde_json::from_str(&row.try_get::<String, _>("what")?).map_err(corrupt("change"))?;
            let goes_on = matches!(what, News::Import(_)) && now.duration_since(at) < recent;
            if !goes_on && !told.contains(&id) {
                untold.push(Untold::new(id, what));
            }
        }
        Ok(untold)
    }

    /// The log has this: the row goes with the next that is registered, or by [`Self::forget_told`].
    pub fn is_told(&self, id: &str) {
        self.told.all().push(id.to_owned());
    }

    /// Takes away what the log has.
    pub async fn forget_told(&self) -> Result<()> {
        let ids = self.told.take();
        if ids.is_empty() {
            return Ok(());
        }
        let gone = async { forget(&mut *self.pool.acquire().await?, &ids).await };
        let gone = gone.await;
        if gone.is_err() {
            self.told.put_back(ids);
        }
        gone
    }
}

/// Takes rows away.
pub(super) async fn forget(connection: &mut Connection, ids: &[String]) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut query = Query::of(connection);
    query.push("DELETE FROM untold WHERE id").among(ids);
    Ok(query.execute(connection).await?)
}

/// Puts down in a transaction what it is that it does.
pub(super) async fn note(connection: &mut Connection, versions: Vec<NewVersion>) -> Result<Arc<Untold>> {
    let untold = Untold::new(unguessable()?, News::Versions(versions));
    write(connection, &untold.id, &untold.what).await?;
    Ok(Arc::new(untold))
}

/// The same of an import, over what was put down of it before.
pub(super) async fn note_import(connection: &mut Connection, import: ImportSoFar) -> Result<()> {
    write(connection, &import.id.clone(), &News::Import(import)).await
}

async fn write(connection: &mut Connection, id: &str, what: &News) -> Result<()> {
    sqlx::query(
        "INSERT INTO untold (id, at, what) VALUES ($1, $2, $3)
         ON CONFLICT (id) DO UPDATE SET at = excluded.at, what = excluded.what",
    )
    .bind(id)
    .bind(jiff::Timestamp::now().to_string())
    .bind(serde_json::to_string(what).map_err(corrupt("change"))?)
    .execute(connection)
    .await?;
    Ok(())
}

/// An identifier of something that is to be told.
fn unguessable() -> Result<String> {
    let mut bytes = [0; 16];
    let read = fs_err::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes));
    read.map_err(sqlx::Error::Io)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}
