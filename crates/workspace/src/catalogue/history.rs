//! What was changed about environments: by whom, when, from what, to what.

use sqlx::Row as _;

use super::{Catalogue, Connection, Result, Row, Turn, corrupt};

/// What a change was about: the words in the catalogue.
pub mod change {
    pub const REGISTERED: &str = "registered";
    pub const DESCRIPTION: &str = "description";
    pub const TAG: &str = "tag";
    pub const LABEL: &str = "label";
    pub const ARCHIVED: &str = "archived";
    pub const RESTORED: &str = "restored";
    pub const DELETED: &str = "deleted";
    pub const COPIED: &str = "copied";
    pub const SHARED: &str = "shared";
}

/// A change on record.
#[derive(Clone, Debug)]
pub struct ChangeRow {
    /// Its number among the changes to the name.
    pub number: i64,
    /// The version; `None` where it was about the name as a whole.
    pub version: Option<String>,
    /// What it was, a word of [`change`].
    pub change: String,
    /// Which tag or label.
    pub subject: Option<String>,
    /// What was there before.
    pub before: Option<String>,
    /// What is there since.
    pub after: Option<String>,
    /// When.
    pub at: jiff::Timestamp,
    /// By whom.
    pub who: String,
}

/// A change to be put on record.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewChange<'a> {
    pub name: &'a str,
    pub version: Option<&'a str>,
    pub change: &'static str,
    pub subject: Option<&'a str>,
    pub before: Option<&'a str>,
    pub after: Option<&'a str>,
    pub who: &'a str,
}

/// Puts a change on record in the transaction that makes it. The name must be in `environment_names`.
pub(super) async fn record(connection: &mut Connection, new: &NewChange<'_>) -> Result<()> {
    let (number,): (i64,) = sqlx::query_as(
        "UPDATE environment_names SET last_change = last_change + 1 WHERE name = $1 RETURNING last_change",
    )
    .bind(new.name)
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO history (name, number, version, change, subject, before, after, at, who)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(new.name)
    .bind(number)
    .bind(new.version)
    .bind(new.change)
    .bind(new.subject)
    .bind(new.before)
    .bind(new.after)
    .bind(jiff::Timestamp::now().to_string())
    .bind(new.who)
    .execute(&mut *connection)
    .await?;
    Ok(())
}

/// The number of the last change to a name; 0 where there was none.
pub(super) async fn last_change(connection: &mut Connection, name: &str) -> Result<i64> {
    let row: Option<(i64,)> = sqlx::query_as("SELECT last_change FROM environment_names WHERE name = $1")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    Ok(row.map_or(0, |(number,)| number))
}

impl Catalogue {
    /// The number of the last change to a name. Whatever is shown of its versions and may change is a change that is counted.
    pub async fn last_change(&self, name: &str) -> Result<i64> {
        last_change(&mut *self.pool.acquire().await?, name).await
    }

    /// Puts on record that a version was copied: from where, or to where.
    pub async fn note_copy(
        &self,
        name: &str,
        version: &str,
        before: Option<&str>,
        after: Option<&str>,
        who: &str,
    ) -> Result<()> {
        let mut transaction = self.begin(&Turn::Environment(name)).await?;
        let (version, change) = (Some(version), change::COPIED);
        let new = NewChange { name, version, change, before, after, who, ..NewChange::default() };
        record(&mut transaction, &new).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The changes to a name, or those that touch one of its versions, the newest first: at most `limit`, before the one with
    /// the number `before`.
    pub async fn history(
        &self,
        name: &str,
        version: Option<&str>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<ChangeRow>> {
        let before = before.unwrap_or(i64::MAX);
        let rows = match version {
            None => {
                sqlx::query("SELECT * FROM history WHERE name = $1 AND number < $2 ORDER BY number DESC LIMIT $3")
                    .bind(name)
                    .bind(before)
                    .bind(i64::from(limit))
                    .fetch_all(&self.pool)
                    .await?
            }
            // A label that moves is about two versions; what befalls a name, about all.
            Some(version) => {
                sqlx::query(
                    "SELECT * FROM history WHERE name = $1 AND number < $2
                     AND (version = $3 OR version IS NULL OR (change = 'label' AND (before = $3 OR after = $3)))
                     ORDER BY number DESC LIMIT $4",
                )
                .bind(name)
                .bind(before)
                .bind(version)
                .bind(i64::from(limit))
                .fetch_all(&self.pool)
                .await?
            }
        };
        rows.iter().map(read).collect()
    }
}

fn read(row: &Row) -> Result<ChangeRow> {
    Ok(ChangeRow {
        number: row.try_get("number")?,
        version: row.try_get("version")?,
        change: row.try_get("change")?,
        subject: row.try_get("subject")?,
        before: row.try_get("before")?,
        after: row.try_get("after")?,
        at: row.try_get::<String, _>("at")?.parse().map_err(corrupt("time"))?,
        who: row.try_get("who")?,
    })
}
