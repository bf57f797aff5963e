//! Labels: names that move from version to version.

use super::history::{self, NewChange, change};
use super::sharing::must_be_own;
use super::{Catalogue, Result, Turn, corrupt};

/// A label, and where it is.
#[derive(Clone, Debug)]
pub struct LabelRow {
    /// It.
    pub label: String,
    /// The version that it names.
    pub version: String,
    /// Since when.
    pub moved_at: jiff::Timestamp,
    /// Who put it there.
    pub moved_by: String,
}

impl Catalogue {
    /// The version that a label names.
    pub async fn labelled(&self, name: &str, label: &str) -> Result<Option<String>> {
        let row: Option<(String,)> =
            sqlx::query_as("SELECT version FROM labels WHERE name = $1 AND label = $2")
                .bind(name)
                .bind(label)
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(|(version,)| version))
    }

    /// The labels of a name, in their order.
    pub async fn labels(&self, name: &str) -> Result<Vec<LabelRow>> {
        let rows: Vec<(String, String, String, String)> = sqlx::query_as(
            "SELECT label, version, moved_at, moved_by FROM labels WHERE name = $1 ORDER BY label",
        )
        .bind(name)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|(label, version, moved_at, moved_by)| {
                let moved_at = moved_at.parse().map_err(corrupt("time"))?;
                Ok(LabelRow { label, version, moved_at, moved_by })
            })
            .collect()
    }

    /// Puts a label on a version, which must be there. Says where it was.
    pub async fn move_label(
        &self,
        name: &str,
        label: &str,
        version: &str,
        who: &str,
    ) -> Result<Option<String>> {
        let mut transaction = self.begin(&Turn::Environment(name)).await?;
        must_be_own(&mut transaction, name).await?;
        let before: Option<(String,)> =
            sqlx::query_as("SELECT version FROM labels WHERE name = $1 AND label = $2")
                .bind(name)
                .bind(label)
                .fetch_optional(&mut *transaction)
                .await?;
        let before = before.map(|(version,)| version);
        if before.as_deref() == Some(version) {
            return Ok(before);
        }
        sqlx::query(
            "INSERT INTO labels (name, label, version, moved_at, moved_by) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (name, label) DO UPDATE
             SET version = excluded.version, moved_at = excluded.moved_at, moved_by = excluded.moved_by",
        )
        .bind(name)
        .bind(label)
        .bind(version)
        .bind(jiff::Timestamp::now().to_string())
        .bind(who)
        .execute(&mut *transaction)
        .await?;
        let new = NewChange {
            name,
            version: Some(version),
            change: change::LABEL,
            subject: Some(label),
            before: before.as_deref(),
            after: Some(version),
            who,
        };
        history::record(&mut transaction, &new).await?;
        transaction.commit().await?;
        Ok(before)
    }

    /// Takes a label away. Says where it was; `None` where there was none.
    pub async fn remove_label(&self, name: &str, label: &str, who: &str) -> Result<Option<String>> {
        let mut transaction = self.begin(&Turn::Environment(name)).await?;
        must_be_own(&mut transaction, name).await?;
        let there: Option<(String,)> =
            sqlx::query_as("DELETE FROM labels WHERE name = $1 AND label = $2 RETURNING version")
                .bind(name)
                .bind(label)
                .fetch_optional(&mut *transaction)
                .await?;
        let Some((version,)) = there else { return Ok(None) };
        let new = NewChange {
            name,
            version: Some(&version),
            change: change::LABEL,
            subject: Some(label),
            before: Some(&version),
            after: None,
            who,
        };
        history::record(&mut transaction, &new).await?;
        transaction.commit().await?;
        Ok(Some(version))
    }
}
