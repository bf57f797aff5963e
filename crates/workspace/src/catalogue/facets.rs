//! How often what is said of versions occurs.

use super::{Catalogue, Result};

/// Of so many versions, the newest, it is counted.
const COUNTED: i64 = 10_000;
/// So many values are given.
const MOST: i64 = 12;

impl Catalogue {
    /// How many names have each value of `column`, the most first.
    pub async fn facet(&self, column: &'static str) -> Result<Vec<(String, i64)>> {
        let rows = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT {column}, count(DISTINCT name) AS names FROM (
                 SELECT name, {column} FROM environments
                 WHERE archived_at IS NULL AND kind <> 'curated' ORDER BY created_at DESC LIMIT $1
             ) newest WHERE {column} IS NOT NULL GROUP BY {column} ORDER BY names DESC, {column} LIMIT $2"
        )))
        .bind(COUNTED)
        .bind(MOST)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }

    /// How many names have each tag with its value, the most first.
    pub async fn tag_facet(&self) -> Result<Vec<((String, String), i64)>> {
        let rows: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT t.tag, t.value, count(DISTINCT t.name) AS names FROM (
                 SELECT name, version FROM environments
                 WHERE archived_at IS NULL AND kind <> 'curated' ORDER BY created_at DESC LIMIT $1
             ) newest CROSS JOIN tags t WHERE t.name = newest.name AND t.version = newest.version
             GROUP BY t.tag, t.value ORDER BY names DESC, t.tag, t.value LIMIT $2",
        )
        .bind(COUNTED)
        .bind(MOST)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(tag, value, names)| ((tag, value), names)).collect())
    }
}
