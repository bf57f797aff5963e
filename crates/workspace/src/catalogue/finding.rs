//! Which versions there are that fulfil conditions, a page at a time.
//!
//! A page is cut from the versions in the order of their names. Where a condition holds for few of them, these are looked up by
//! its index and sorted; where all conditions hold for many, versions are read in order until the page is full. Both are quick
//! at a million versions, the wrong one of the two is not; so the rows of each condition are counted first, up to [`FEW`].
//! Those of a tag need neither, as its index has them in the order of their names. Only of what is on the page all is read.

use sqlx::Row as _;

use super::environments::{EnvironmentRow, all_columns, read};
use super::query::Query;
use super::{Catalogue, Result};

/// Up to so many rows are looked up and sorted.
const FEW: i64 = 10_000;

/// Which of archived and other versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Include {
    /// Those that are not archived.
    #[default]
    Active,
    /// Those that are, or whose name is.
    Archived,
    /// Both.
    All,
}

impl Include {
    /// The condition that the version `e` of the name `n` is one of them.
    pub(super) fn test(self) -> &'static str {
        match self {
            Self::Active => " AND n.archived_at IS NULL AND e.archived_at IS NULL",
            Self::Archived => " AND (n.archived_at IS NOT NULL OR e.archived_at IS NOT NULL)",
            Self::All => "",
        }
    }

    /// The ordinal of the newest of them of the name in the row `of`.
    pub(super) fn newest(self, query: &mut Query, of: &str) {
        query
            .push("(SELECT x.ordinal FROM environments x WHERE x.name = ")
            .push(of)
            .push(".name")
            .push(match self {
                Self::Active => " AND x.archived_at IS NULL",
                Self::Archived => " AND (n.archived_at IS NOT NULL OR x.archived_at IS NOT NULL)",
                Self::All => "",
            })
            .push(" ORDER BY x.ordinal DESC LIMIT 1)");
    }
}

/// What a version must be.
#[derive(Clone, Debug)]
pub enum Condition {
    /// Its name fits: `%` and `_` as in SQL, `\` before one that is meant itself; in small letters.
    NameLike(String),
    /// It has a tag, with this value if one is given.
    Tag(String, Option<String>),
    /// Its packages come about so.
    Kind(String),
    /// They do not come about so.
    NotKind(String),
    /// Somebody registered it.
    Creator(String),
    /// It was registered not before the first, and before the second: times as they are in the catalogue, cut after the second.
    Created(Option<String>, Option<String>),
    /// Its lock holds one of these artifacts, by their numbers.
    Holds(Vec<i64>),
    /// An audit of its image found this, in capitals.
    Advisory(String),
}

/// Which versions are wanted.
#[derive(Clone, Debug, Default)]
pub struct Criteria {
    /// The name, where it is one.
    pub name: Option<String>,
    /// What must hold, all of it.
    pub conditions: Vec<Condition>,
    /// Whether archived ones count.
    pub include: Include,
    /// Every version, or the newest of each name.
    pub all_versions: bool,
    /// At most so many.
    pub limit: Option<u32>,
    /// Those after this name and place.
    pub after: Option<(String, i64)>,
}

/// A version that was found.
#[derive(Clone, Debug)]
pub struct FoundRow {
    /// It.
    pub row: EnvironmentRow,
    /// Whether its name is archived as a whole.
    pub name_archived: bool,
    /// Whether it is what `@latest` means.
    pub is_latest: bool,
}

impl Condition {
    /// A statement that gives the versions for which it holds, and what it gives of them; `None` where that is never few.
    fn source(&self, query: &mut Query) -> Option<Key> {
        match self {
            Self::NameLike(pattern) => {
                query
                    .push("SELECT name, version FROM environments WHERE name IN (SELECT name FROM environment_names WHERE lower(name) LIKE ")
                    .text(pattern)
                    .push(" ESCAPE '\\')");
            }
            Self::Tag(tag, value) => {
                query.push("SELECT name, version FROM tags WHERE tag = ").text(tag);
                if let Some(value) = value {
                    query.push(" AND value = ").text(value);
                }
            }
            Self::NotKind(_) => return None,
            Self::Kind(kind) => {
                query.push("SELECT name, version FROM environments WHERE kind = ").text(kind);
            }
            Self::Creator(who) => {
                query.push("SELECT name, version FROM environments WHERE created_by = ").text(who);
            }
            Self::Created(since, until) => {
                query.push("SELECT name, version FROM environments WHERE 1 = 1");
                created(query, "created_at", since.as_deref(), until.as_deref());
            }
            Self::Holds(artifacts) => {
                query
                    .push("SELECT l.lock AS lock FROM holdings h JOIN indexed_locks l ON l.id = h.lock WHERE h.artifact IN (")
                    .numbers(artifacts)
                    .push(")");
                return Some(Key::Lock);
            }
            Self::Advisory(name) => {
                query.push("SELECT lock FROM advisories WHERE advisory = ").text(name);
                return Some(Key::Lock);
            }
        }
        Some(Key::Version)
    }

    /// The condition on the version `e`.
    pub(super) fn test(&self, query: &mut Query) {
        match self {
            Self::NameLike(pattern) => {
                query.push(" AND lower(e.name) LIKE ").text(pattern).push(" ESCAPE '\\'");
            }
            Self::Tag(tag, value) => {
                query
                    .push(" AND EXISTS (SELECT 1 FROM tags t WHERE t.name = e.name AND t.version = e.version AND t.tag = ")
                    .text(tag);
                if let Some(value) = value {
                    query.push(" AND t.value = ").text(value);
                }
                query.push(")");
            }
            Self::Kind(kind) => {
                query.push(" AND e.kind = ").text(kind);
            }
            Self::NotKind(kind) => {
                query.push(" AND e.kind <> ").text(kind);
            }
            Self::Creator(who) => {
                query.push(" AND e.created_by = ").text(who);
            }
            Self::Created(since, until) => created(query, "e.created_at", since.as_deref(), until.as_deref()),
            Self::Holds(artifacts) => {
                query
                    .push(
                        " AND EXISTS (SELECT 1 FROM indexed_locks l JOIN holdings h ON h.lock = l.id
                         WHERE l.lock = e.lock AND h.artifact IN (",
                    )
                    .numbers(artifacts)
                    .push("))");
            }
            Self::Advisory(name) => {
                query
                    .push(" AND EXISTS (SELECT 1 FROM advisories a WHERE a.lock = e.lock AND a.advisory = ")
                    .text(name)
                    .push(")");
            }
        }
    }
}

fn created(query: &mut Query, column: &str, since: Option<&str>, until: Option<&str>) {
    if let Some(since) = since {
        query.push(" AND ").push(column).push(" >= ").text(since);
    }
    if let Some(until) = until {
        query.push(" AND ").push(column).push(" < ").text(until);
    }
}

/// What the statement of a condition gives.
#[derive(Clone, Copy, Debug)]
enum Key {
    /// Name and version.
    Version,
    /// The lock.
    Lock,
}

impl Key {
    fn joined(self) -> &'static str {
        match self {
            Self::Version => "e.name = d.name AND e.version = d.version",
            Self::Lock => "e.lock = d.lock",
        }
    }
}

/// How versions are come by.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// By the index of the condition at this place, and sorted.
    Sorted(usize, Key),
    /// By the tag at this place, whose index has them in order.
    Tag(usize),
    /// All of them are read in order.
    InOrder,
}

/// Selects name and ordinal of the newest of each name, with no conditions. By names alone: joined with the versions, PostgreSQL
/// would read all versions of each name, or of all names where these are few.
fn select_newest(query: &mut Query, criteria: &Criteria) {
    query.push("SELECT m.name AS name, m.ordinal AS ordinal FROM (SELECT n.name AS name, ");
    criteria.include.newest(query, "n");
    query.push(" AS ordinal FROM environment_names n WHERE 1 = 1");
    if criteria.include == Include::Active {
        query.push(" AND n.archived_at IS NULL");
    }
    if let Some((name, _)) = &criteria.after {
        query.push(" AND n.name >= ").text(name);
    }
    query.push(") m WHERE m.ordinal IS NOT NULL");
    if let Some((name, ordinal)) = &criteria.after {
        query.push(" AND (m.name > ").text(name).push(" OR m.ordinal < ").number(*ordinal).push(")");
    }
    query.push(" ORDER BY m.name");
    if let Some(limit) = criteria.limit {
        query.push(" LIMIT ").number(i64::from(limit));
    }
}

/// Selects name and ordinal of what is on a page.
fn select(query: &mut Query, criteria: &Criteria, way: Way) {
    let newest_alone = !criteria.all_versions;
    if newest_alone && criteria.conditions.is_empty() && criteria.name.is_none() {
        return select_newest(query, criteria);
    }
    query.push("SELECT e.name AS name, e.ordinal AS ordinal FROM ");
    // By whose name it is ordered.
    let by = match way {
        Way::Sorted(..) => "e",
        Way::Tag(_) => "t",
        Way::InOrder if newest_alone => "n",
        Way::InOrder => "e",
    };
    match way {
        Way::Sorted(place, key) => {
            query.push("(SELECT DISTINCT * FROM (");
            criteria.conditions[place].source(query);
            query.push(
                ") s) d CROSS JOIN environments e CROSS JOIN environment_names n WHERE n.name = e.name AND ",
            );
            query.push(key.joined());
        }
        Way::Tag(place) => {
            query.push(
                "tags t CROSS JOIN environments e CROSS JOIN environment_names n
                 WHERE e.name = t.name AND e.version = t.version AND n.name = t.name",
            );
            if let Condition::Tag(tag, Some(value)) = &criteria.conditions[place] {
                query.push(" AND t.tag = ").text(tag).push(" AND t.value = ").text(value);
            }
        }
        Way::InOrder if newest_alone => {
            query.push("environment_names n CROSS JOIN environments e WHERE e.name = n.name");
        }
        Way::InOrder => {
            query.push("environments e CROSS JOIN environment_names n WHERE n.name = e.name");
        }
    }
    if let Some(name) = &criteria.name {
        query.push(" AND ").push(by).push(".name = ").text(name);
    }
    query.push(criteria.include.test());
    if newest_alone {
        query.push(" AND e.ordinal = ");
        criteria.include.newest(query, if by == "n" { "n" } else { "e" });
    }
    for (place, condition) in criteria.conditions.iter().enumerate() {
        if !matches!(way, Way::Sorted(known, _) | Way::Tag(known) if known == place) {
            condition.test(query);
        }
    }
    if let Some((name, ordinal)) = &criteria.after {
        query.push(" AND ").push(by).push(".name >= ").text(name);
        query.push(" AND (e.name > ").text(name).push(" OR e.ordinal < ").number(*ordinal).push(")");
    }
    query.push(" ORDER BY ").push(by).push(".name, e.ordinal DESC");
    if let Some(limit) = criteria.limit {
        query.push(" LIMIT ").number(i64::from(limit));
    }
}

impl Catalogue {
    /// The versions that are wanted, by name and the newest first within one.
    pub async fn find(&self, criteria: &Criteria) -> Result<Vec<FoundRow>> {
        let rows = self.page(criteria).await?.rows(&self.pool).await?;
        rows.iter()
            .map(|row| {
                let found = read(row)?;
                let name_archived = row.try_get::<Option<String>, _>("name_archived_at")?.is_some();
                let latest: Option<String> = row.try_get("latest")?;
                let is_latest = !name_archived && latest.as_deref() == Some(&found.version);
                Ok(FoundRow { row: found, name_archived, is_latest })
            })
            .collect()
    }

    /// The query that gives all of what is on a page.
    async fn page(&self, criteria: &Criteria) -> Result<Query> {
        let way = if criteria.name.is_some() { Way::InOrder } else { self.way(criteria).await? };
        let mut query = Query::default();
        query.push("SELECT ").push(&all_columns("e")).push(
            ", n.archived_at AS name_archived_at, (
                 SELECT x.version FROM environments x WHERE x.name = e.name AND x.archived_at IS NULL
                 ORDER BY x.ordinal DESC LIMIT 1
             ) AS latest FROM (",
        );
        select(&mut query, criteria, way);
        // A cross join tells SQLite the order; PostgreSQL knows it by its statistics.
        query.push(
            ") k CROSS JOIN environments e CROSS JOIN environment_names n
             WHERE e.name = k.name AND e.ordinal = k.ordinal AND n.name = k.name ORDER BY k.name, k.ordinal DESC",
        );
        Ok(query)
    }

    /// How the versions are best come by.
    async fn way(&self, criteria: &Criteria) -> Result<Way> {
        let mut best: Option<(i64, usize, Key)> = None;
        for (place, condition) in criteria.conditions.iter().enumerate() {
            let mut query = Query::default();
            query.push("SELECT count(*) AS rows FROM (SELECT 1 FROM (");
            let Some(key) = condition.source(&mut query) else { continue };
            query.push(") s");
            if matches!(key, Key::Lock) {
                // Many versions may have one lock.
                query.push(" CROSS JOIN environments e WHERE e.lock = s.lock");
            }
            query.push(" LIMIT ").number(FEW + 1).push(") c");
            let rows = query.rows(&self.pool).await?;
            let count: i64 = rows.first().map(|row| row.try_get("rows")).transpose()?.unwrap_or(0);
            if count <= FEW && best.is_none_or(|(least, ..)| count < least) {
                best = Some((count, place, key));
            }
        }
        let is_in_order = |condition: &Condition| matches!(condition, Condition::Tag(_, Some(_)));
        Ok(match best {
            Some((_, place, _)) if is_in_order(&criteria.conditions[place]) => Way::Tag(place),
            Some((_, place, key)) => Way::Sorted(place, key),
            None => criteria.conditions.iter().position(is_in_order).map_or(Way::InOrder, Way::Tag),
        })
    }

    /// The place of a version among those of its name, though it was deleted since.
    pub async fn place(&self, name: &str, version: &str) -> Result<Option<i64>> {
        let row: Option<(i64,)> = sqlx::query_as(
            "SELECT ordinal FROM environments WHERE name = $1 AND version = $2
             UNION ALL SELECT ordinal FROM deleted_versions WHERE name = $1 AND version = $2",
        )
        .bind(name)
        .bind(version)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|(ordinal,)| ordinal))
    }

    /// The labels of the names from `first` to `last`: name, version, label.
    pub async fn labels_between(&self, first: &str, last: &str) -> Result<Vec<(String, String, String)>> {
        let rows = sqlx::query_as(
            "SELECT name, version, label FROM labels WHERE name >= $1 AND name <= $2 ORDER BY name, label",
        )
        .bind(first)
        .bind(last)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }
}
