//! What may change about a version: its description and its tags.

use indexmap::IndexMap;
use provenv_definition::{Base, Environment};

use super::environments::body_of;
use super::history::{self, NewChange, change};
use super::sharing::must_be_own;
use super::{Catalogue, Connection, Result, Turn, corrupt};
use crate::curated::is_curated;

/// How a description and tags are to change.
#[derive(Clone, Debug, Default)]
pub struct Description {
    /// The new description; an empty one takes it away. `None` leaves it.
    pub description: Option<String>,
    /// Tags that are set.
    pub tags: IndexMap<String, String>,
    /// Tags that are taken away.
    pub remove_tags: Vec<String>,
}

/// What became of such a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Described {
    /// It was made; so many things are other than before.
    Changed(usize),
    /// There is no such version.
    Missing,
    /// Something about the name was changed meanwhile, and nothing was done.
    Outdated,
}

impl Catalogue {
    /// Changes what may change about a version. With the number of the last change to the name, only where there was no other
    /// since: whoever compared what they read before is not too late then, on whatever server.
    pub async fn describe(
        &self,
        name: &str,
        version: &str,
        wanted: &Description,
        last_change: Option<i64>,
        who: &str,
    ) -> Result<Described> {
        let mut transaction = self.begin(&Turn::Environment(name)).await?;
        must_be_own(&mut transaction, name).await?;
        if let Some(expected) = last_change
            && history::last_change(&mut transaction, name).await? != expected
        {
            return Ok(Described::Outdated);
        }
        let body: Option<(String,)> =
            sqlx::query_as("SELECT body FROM environments WHERE name = $1 AND version = $2")
                .bind(name)
                .bind(version)
                .fetch_optional(&mut *transaction)
                .await?;
        let Some((body,)) = body else { return Ok(Described::Missing) };
        let old: Environment = serde_json::from_str(&body).map_err(corrupt("environment"))?;
        let mut new = old.clone();
        if let Some(description) = &wanted.description {
            new.description = Some(description.clone()).filter(|text| !text.is_empty());
        }
        for tag in &wanted.remove_tags {
            new.tags.shift_remove(tag);
        }
        new.tags.extend(wanted.tags.clone());
        let changes = differences(&old, &new);
        if changes.is_empty() {
            return Ok(Described::Changed(0));
        }
        let body = body_of(name, &new)?;
        for (word, subject, before, after) in &changes {
            let change = NewChange {
                name,
                version: Some(version),
                change: word,
                subject: *subject,
                before: *before,
                after: *after,
                who,
            };
            history::record(&mut transaction, &change).await?;
        }
        sqlx::query("UPDATE environments SET body = $1 WHERE name = $2 AND version = $3")
            .bind(body)
            .bind(name)
            .bind(version)
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM tags WHERE name = $1 AND version = $2")
            .bind(name)
            .bind(version)
            .execute(&mut *transaction)
            .await?;
        index_tags(&mut transaction, name, version, &new.tags).await?;
        let count = changes.len();
        transaction.commit().await?;
        Ok(Described::Changed(count))
    }
}

type Difference<'a> = (&'static str, Option<&'a str>, Option<&'a str>, Option<&'a str>);

fn differences<'a>(old: &'a Environment, new: &'a Environment) -> Vec<Difference<'a>> {
    let mut differences: Vec<Difference<'_>> = Vec::new();
    if old.description != new.description {
        let (before, after) = (old.description.as_deref(), new.description.as_deref());
        differences.push((change::DESCRIPTION, None, before, after));
    }
    let fresh = new.tags.keys().filter(|tag| !old.tags.contains_key(*tag));
    for tag in old.tags.keys().chain(fresh) {
        let before = old.tags.get(tag).map(String::as_str);
        let after = new.tags.get(tag).map(String::as_str);
        if before != after {
            differences.push((change::TAG, Some(tag), before, after));
        }
    }
    differences
}

/// Enters the tags of a version, none of which is in yet.
pub(super) async fn index_tags(
    connection: &mut Connection,
    name: &str,
    version: &str,
    tags: &IndexMap<String, String>,
) -> Result<()> {
    for (tag, value) in tags {
        sqlx::query("INSERT INTO tags (name, version, tag, value) VALUES ($1, $2, $3, $4)")
            .bind(name)
            .bind(version)
            .bind(tag)
            .bind(value)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// How the packages of an environment come about, as it is searched for.
pub(super) fn kind_of(name: &str, environment: &Environment) -> &'static str {
    match &environment.definition.base {
        _ if is_curated(name) => "curated",
        _ if environment.definition.user_managed => "user-managed",
        Base::Dockerfile { .. } | Base::Context(_) => "dockerfile",
        Base::Debian { .. } | Base::Image { .. } => "system-managed",
    }
}
