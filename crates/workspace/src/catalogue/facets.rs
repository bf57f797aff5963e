//! How often what is said of versions occurs among those that a list shows.

use sqlx::Row as _;

use super::finding::{Condition, Include};
use super::query::Query;
use super::{Catalogue, Result};

/// Of so many versions, the newest, it is counted.
const COUNTED: i64 = 10_000;
/// So many values are given.
const MOST: i64 = 12;

impl Catalogue {
    /// How many names have each value of `column`, the most first: of what a list with these conditions shows, which is the newest
    /// version of each name.
    pub async fn facet(
        &self,
        column: &str,
        conditions: &[&Condition],
        include: Include,
    ) -> Result<Vec<(String, i64)>> {
        let mut query = Query::default();
        query.push("SELECT e.").push(column).push(" AS value, count(*) AS names FROM ");
        listed(&mut query, conditions, include, "");
        query.push(" AND e.").push(column).push(" IS NOT NULL GROUP BY e.").push(column);
        query.push(" ORDER BY names DESC, value LIMIT ").number(MOST);
        let rows = query.rows(&self.pool).await?;
        rows.iter().map(|row| Ok((row.try_get("value")?, row.try_get("names")?))).collect()
    }

    /// The same of each tag with its value.
    pub async fn tag_facet(
        &self,
        conditions: &[&Condition],
        include: Include,
    ) -> Result<Vec<((String, String), i64)>> {
        let mut query = Query::default();
        query.push("SELECT u.tag AS tag, u.value AS value, count(*) AS names FROM ");
        listed(&mut query, conditions, include, " CROSS JOIN tags u");
        query.push(" AND u.name = e.name AND u.version = e.version GROUP BY u.tag, u.value");
        query.push(" ORDER BY names DESC, u.tag, u.value LIMIT ").number(MOST);
        let rows = query.rows(&self.pool).await?;
        rows.iter()
            .map(|row| Ok(((row.try_get("tag")?, row.try_get("value")?), row.try_get("names")?)))
            .collect()
    }
}

/// What a list shows, as `e`, of the versions that were registered last.
fn listed(query: &mut Query, conditions: &[&Condition], include: Include, joined: &str) {
    query.push(
        "(SELECT name, version, ordinal, kind, created_by, created_at, lock, archived_at FROM environments
          ORDER BY created_at DESC LIMIT ",
    );
    query.number(COUNTED).push(") e CROSS JOIN environment_names n").push(joined);
    query.push(" WHERE n.name = e.name").push(include.test()).push(" AND e.ordinal = ");
    include.newest(query, "e");
    for condition in conditions {
        condition.test(query);
    }
}
