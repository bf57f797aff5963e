//! Registered versions page by page, whatever their number.

use super::environments::{COLUMNS, EnvironmentRow, read};
use super::{Catalogue, Result};

impl Catalogue {
    /// The newest version of each name that contains `part`, by name, from after the name `after` on.
    pub async fn newest_page(&self, part: &str, after: &str, limit: u32) -> Result<Vec<EnvironmentRow>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM environments
             WHERE name > $1 AND name NOT LIKE 'curated/%' AND name LIKE $2 ESCAPE '!'
               AND ordinal = (SELECT max(newer.ordinal) FROM environments newer WHERE newer.name = environments.name)
             ORDER BY name LIMIT $3"
        )))
        .bind(after)
        .bind(containing(part))
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read).collect()
    }

    /// The versions of a name, newest first, from after the version `after` on.
    pub async fn versions_page(
        &self,
        name: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<EnvironmentRow>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM environments
             WHERE name = $1
               AND ($2 IS NULL OR ordinal < (SELECT ordinal FROM environments WHERE name = $1 AND version = $2))
             ORDER BY ordinal DESC LIMIT $3"
        )))
        .bind(name)
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read).collect()
    }
}

/// The pattern of what contains `part`.
fn containing(part: &str) -> String {
    let mut pattern = String::from("%");
    for c in part.chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}
