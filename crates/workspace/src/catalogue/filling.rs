//! Columns and tables that are made of what rows say in JSON: filled for the rows that an older version wrote.

use provenv_definition::Environment;

use super::describing::{index_tags, kind_of};
use super::{Connection, Result, corrupt};

/// How many rows are read at once: a catalogue may hold a million.
const BATCH: i64 = 500;

/// Fills the kinds and tags of environments that have no kind.
pub(super) async fn environments(connection: &mut Connection) -> Result<()> {
    loop {
        let rows: Vec<(String, String, String)> =
            sqlx::query_as("SELECT name, version, body FROM environments WHERE kind IS NULL LIMIT $1")
                .bind(BATCH)
                .fetch_all(&mut *connection)
                .await?;
        if rows.is_empty() {
            return Ok(());
        }
        for (name, version, body) in rows {
            let environment: Environment = serde_json::from_str(&body).map_err(corrupt("environment"))?;
            sqlx::query("UPDATE environments SET kind = $1 WHERE name = $2 AND version = $3")
                .bind(kind_of(&name, &environment))
                .bind(&name)
                .bind(&version)
                .execute(&mut *connection)
                .await?;
            index_tags(&mut *connection, &name, &version, &environment.tags).await?;
        }
    }
}
