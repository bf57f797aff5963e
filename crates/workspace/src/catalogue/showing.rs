//! A version with all that is shown of it, by one statement: it is asked for more often than anything else.

use sqlx::Row as _;

use super::environments::{EnvironmentRow, WIDTH, all_columns, read_texts};
use super::moment::Texts;
use super::query::Query;
use super::{Catalogue, Result, Row};

/// Which version of a name.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// The newest that is not archived.
    Newest,
    /// This one.
    Version(&'a str),
    /// The one with this label.
    Label(&'a str),
}

/// A version as it is shown.
#[derive(Clone, Debug)]
pub struct ShownRow {
    /// It.
    pub row: EnvironmentRow,
    /// Whether its name is archived as a whole.
    pub name_archived: bool,
    /// Whether it is what `@latest` means.
    pub is_latest: bool,
    /// The labels on it, in their order.
    pub labels: Vec<String>,
    /// Where its name is shared from, `WORKSPACE/NAME`.
    pub shared_from: Option<String>,
}

impl Catalogue {
    /// A version by name; `None` where there is none.
    pub async fn shown(&self, name: &str, wanted: Wanted<'_>) -> Result<Option<ShownRow>> {
        let mut query = Query::default();
        // No label has a comma in it.
        query.push("SELECT ").push(&all_columns("e")).push(
            ", n.archived_at AS name_archived_at,
             (SELECT x.version FROM environments x WHERE x.name = e.name AND x.archived_at IS NULL
              ORDER BY x.ordinal DESC LIMIT 1) AS latest,
             (SELECT string_agg(l.label, ',') FROM labels l WHERE l.name = e.name AND l.version = e.version) AS labels,
             (SELECT s.place FROM shared_names s WHERE s.name = e.name) AS shared_from
             FROM environments e CROSS JOIN environment_names n WHERE n.name = e.name AND e.name = ",
        );
        query.text(name);
        match wanted {
            Wanted::Newest => query
                .push(" AND n.archived_at IS NULL AND e.archived_at IS NULL ORDER BY e.ordinal DESC LIMIT 1"),
            Wanted::Version(version) => query.push(" AND e.version = ").text(version),
            Wanted::Label(label) => query
                .push(" AND e.version = (SELECT o.version FROM labels o WHERE o.name = ")
                .text(name)
                .push(" AND o.label = ")
                .text(label)
                .push(")"),
        };
        let Some(mut row) = self.texts(query).await?.into_iter().next() else { return Ok(None) };
        // As many as were asked for.
        let behind = <[Option<String>; 4]>::try_from(row.split_off(WIDTH)).unwrap_or_default();
        let [name_archived_at, latest, labels, shared_from] = behind;
        let row = read_texts(row)?;
        let name_archived = name_archived_at.is_some();
        let mut labels: Vec<String> =
            labels.iter().flat_map(|labels| labels.split(',')).map(str::to_owned).collect();
        labels.sort_unstable();
        let is_latest = !name_archived && latest.as_deref() == Some(&row.version);
        Ok(Some(ShownRow { row, name_archived, is_latest, labels, shared_from }))
    }

    /// Rows of texts, by a statement that reads few rows by their keys.
    async fn texts(&self, mut query: Query) -> Result<Vec<Texts>> {
        if let Some(rows) = self.moments.texts(&query) {
            return Ok(rows);
        }
        let rows = query.rows(&self.pool).await?;
        let texts = |row: &Row| (0..row.len()).map(|column| row.try_get(column)).collect::<Result<_, _>>();
        Ok(rows.iter().map(texts).collect::<Result<_, sqlx::Error>>()?)
    }
}
