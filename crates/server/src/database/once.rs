//! Entries about what happens once, however often somebody tells of it.

use super::audit::append;
use super::{Action, Database, Deed, Result};

impl Database {
    /// Writes down what somebody did to something in a workspace, unless that was written down. One that a crash kept from it is
    /// written down when it is told again. Says whether it was now.
    pub async fn record_first(
        &self,
        by: &str,
        (workspace, action, subject): (&str, Action, &str),
        (name, value): (&str, &str),
    ) -> Result<bool> {
        let mut transaction = self.begin("audit").await?;
        let known: Option<(i64,)> = sqlx::query_as(
            "SELECT number FROM audit_entries WHERE workspace = $1 AND action = $2 AND subject = $3 LIMIT 1",
        )
        .bind(workspace)
        .bind(action.as_str())
        .bind(subject)
        .fetch_optional(&mut *transaction)
        .await?;
        if known.is_some() {
            return Ok(false);
        }
        let deed = Deed::new(by, action, subject).within(workspace).with(name, value);
        append(&mut transaction, &deed).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
