//! Environments that a workspace shares with others.

use sqlx::Row as _;

use super::audit::{Action, Deed, append};
use super::{Database, Result, Row, now, parse};

/// An environment of a workspace that is in another too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The workspace that shares it.
    pub source: String,
    /// The environment.
    pub name: String,
    /// The workspace that has it too.
    pub target: String,
    /// Its name there.
    pub there: String,
    /// Who shared it.
    pub by: String,
    /// When.
    pub at: jiff::Timestamp,
    /// Who ended it, if somebody did: then it is about to be taken away there.
    pub ended_by: Option<String>,
}

/// What became of what was to be shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// It is, since now.
    New(Share),
    /// It was already.
    Known(Share),
    /// The name there is another's or shared from there, or this one is another's or there under another name.
    Taken(Share),
}

const COLUMNS: &str = "source, name, target, there, shared_by, shared_at, ended_by";

impl Database {
    /// Shares an environment, in the name of `by`.
    pub async fn share(
        &self,
        source: &str,
        name: &str,
        target: &str,
        there: &str,
        by: &str,
    ) -> Result<Sharing> {
        // So that the log has the versions before what is done with them.
        self.settle().await?;
        let mut transaction = self.begin("shares").await?;
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM shares
             WHERE (target = $1 AND there = $2) OR (source = $3 AND name = $4 AND target = $1)
                OR (source = $1 AND name = $2) OR (target = $3 AND there = $4)"
        )))
        .bind(target)
        .bind(there)
        .bind(source)
        .bind(name)
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some(row) = row {
            let known = read(&row)?;
            let is_same = known.source == source
                && known.name == name
                && known.there == there
                && known.ended_by.is_none();
            return Ok(if is_same { Sharing::Known(known) } else { Sharing::Taken(known) });
        }
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "INSERT INTO shares (source, name, target, there, shared_by, shared_at)
             VALUES ($1, $2, $3, $4, $5, $6) RETURNING {COLUMNS}"
        )))
        .bind(source)
        .bind(name)
        .bind(target)
        .bind(there)
        .bind(by)
        .bind(now())
        .fetch_one(&mut *transaction)
        .await?;
        let share = read(&row)?;
        for deed in deeds(&share, Action::Share, by) {
            append(&mut transaction, &deed).await?;
        }
        transaction.commit().await?;
        Ok(Sharing::New(share))
    }

    /// Ends what was shared; `None` where it was not. What is there of it has yet to be taken away.
    pub async fn end_share(&self, source: &str, name: &str, target: &str, by: &str) -> Result<Option<Share>> {
        let mut transaction = self.begin("shares").await?;
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "UPDATE shares SET ended_by = $1 WHERE source = $2 AND name = $3 AND target = $4 AND ended_by IS NULL
             RETURNING {COLUMNS}"
        )))
        .bind(by)
        .bind(source)
        .bind(name)
        .bind(target)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(share) = row.as_ref().map(read).transpose()? else { return Ok(None) };
        for deed in deeds(&share, Action::Unshare, by) {
            append(&mut transaction, &deed).await?;
        }
        transaction.commit().await?;
        Ok(Some(share))
    }

    /// Forgets what was ended, once nothing of it is there any more.
    pub async fn forget_share(&self, share: &Share) -> Result<()> {
        sqlx::query("DELETE FROM shares WHERE target = $1 AND there = $2 AND ended_by IS NOT NULL")
            .bind(&share.target)
            .bind(&share.there)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Everything that is shared, and what is about to be so no more.
    pub async fn shares(&self) -> Result<Vec<Share>> {
        let rows =
            sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM shares ORDER BY target, there")))
                .fetch_all(&self.pool)
                .await?;
        rows.iter().map(read).collect()
    }

    /// What a workspace shares with others, and others with it.
    pub async fn shares_of(&self, workspace: &str) -> Result<Vec<Share>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM shares WHERE source = $1 OR target = $1 ORDER BY target, there"
        )))
        .bind(workspace)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read).collect()
    }

    /// What a name of a workspace is shared from, as it is now.
    pub async fn share_into(&self, target: &str, there: &str) -> Result<Option<Share>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM shares WHERE target = $1 AND there = $2"
        )))
        .bind(target)
        .bind(there)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(read).transpose()
    }
}

/// What is written down in both workspaces.
fn deeds(share: &Share, action: Action, by: &str) -> [Deed; 2] {
    let Share { source, name, target, there, .. } = share;
    [
        Deed::new(by, action, name).within(source).with("to", format!("{target}/{there}")),
        Deed::new(by, action, there).within(target).with("from", format!("{source}/{name}")),
    ]
}

fn read(row: &Row) -> Result<Share> {
    Ok(Share {
        source: row.try_get("source")?,
        name: row.try_get("name")?,
        target: row.try_get("target")?,
        there: row.try_get("there")?,
        by: row.try_get("shared_by")?,
        at: parse("time", row.try_get("shared_at")?)?,
        ended_by: row.try_get("ended_by")?,
    })
}
