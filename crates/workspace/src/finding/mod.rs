//! Environments are found: by name, tag, kind, creator and date, and by what is in them.

mod facets;
mod shipped;
mod term;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

pub use crate::catalogue::Include;
use crate::catalogue::{Condition, Criteria, EnvironmentRow, FoundRow, ShownRow, Wanted};
use crate::{EnvironmentDetails, Error, Result, Workspace};
pub use facets::Facets;
use shipped::asks_for_shipped;
pub use term::Term;

/// How the packages of an environment come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// They are chosen and installed.
    SystemManaged,
    /// The base has them already.
    UserManaged,
    /// They are those of an environment that is shipped.
    Curated,
    /// A Dockerfile makes what they stand on.
    Dockerfile,
}

impl Kind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SystemManaged => "system-managed",
            Self::UserManaged => "user-managed",
            Self::Curated => "curated",
            Self::Dockerfile => "dockerfile",
        }
    }
}

/// Which environments are looked for.
#[derive(Clone, Debug, Default)]
pub struct Find {
    /// All versions of this one.
    pub name: Option<String>,
    /// Those whose names fit: `*` stands for anything, letters for themselves in either case.
    pub pattern: Option<String>,
    /// Those that have these tags, with these values where one is given.
    pub tags: Vec<(String, Option<String>)>,
    /// Those of a kind.
    pub kind: Option<Kind>,
    /// Those that somebody registered.
    pub creator: Option<String>,
    /// Those registered at this time or later, to the second.
    pub since: Option<jiff::Timestamp>,
    /// Those registered before this time, to the second.
    pub until: Option<jiff::Timestamp>,
    /// What is in them: all of it.
    pub terms: Vec<Term>,
    /// Whether archived ones count.
    pub include: Include,
    /// Every version, or the newest of each name.
    pub all_versions: bool,
    /// At most so many.
    pub limit: Option<u32>,
    /// Those that come after this one, `NAME:VERSION`: the last one of the page before.
    pub after: Option<String>,
}

/// Some of the environments that were looked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnvironmentPage {
    /// They, by name, and the newest first within a name.
    pub environments: Vec<EnvironmentDetails>,
    /// What to look for after, where there are more.
    pub next: Option<String>,
}

impl Workspace {
    /// Registered versions: the newest of each name, or all of them, archived ones left out.
    pub async fn list(&self, name: Option<&str>, all: bool) -> Result<Vec<EnvironmentDetails>> {
        let find = Find { name: name.map(str::to_owned), all_versions: all, ..Find::default() };
        Ok(self.find(&find).await?.environments)
    }

    /// A page of the environments that are looked for. Those that are shipped are among them only where their kind or one of
    /// their names is asked for.
    pub async fn find(&self, find: &Find) -> Result<EnvironmentPage> {
        if asks_for_shipped(find) {
            return self.find_shipped(find).await;
        }
        if let Some(name) = &find.name {
            let known = self.catalogue.name(name).await?.is_some_and(|row| row.versions > 0);
            if !known {
                return Err(self.no_environment(name, name).await?);
            }
        }
        let wanted = Criteria {
            name: find.name.clone(),
            conditions: self.conditions(find).await?,
            include: find.include,
            all_versions: find.all_versions || find.name.is_some(),
            // One more says whether there is more.
            limit: find.limit.map(|limit| limit.saturating_add(1)),
            after: match &find.after {
                Some(after) => Some(self.cursor(after).await?),
                None => None,
            },
        };
        let mut rows = self.catalogue.find(&wanted).await?;
        let mut next = None;
        if let Some(limit) = find.limit.and_then(|limit| usize::try_from(limit).ok())
            && rows.len() > limit
        {
            rows.truncate(limit);
            next = rows.last().map(|found| format!("{}:{}", found.row.name, found.row.version));
        }
        Ok(EnvironmentPage { environments: self.all_details(rows).await?, next })
    }

    async fn conditions(&self, find: &Find) -> Result<Vec<Condition>> {
        let mut conditions = conditions(find)?;
        for term in &find.terms {
            conditions.push(term.condition(&self.catalogue).await?);
        }
        Ok(conditions)
    }

    async fn cursor(&self, after: &str) -> Result<(String, i64)> {
        let unknown = || Error::Arguments {
            message: format!("`{after}` was never registered, so nothing comes after it"),
            hint: "give NAME:VERSION of the last one of the page before".to_owned(),
        };
        let (name, version) = after.rsplit_once(':').ok_or_else(unknown)?;
        let place = self.catalogue.place(name, version).await?.ok_or_else(unknown)?;
        Ok((name.to_owned(), place))
    }

    async fn all_details(&self, rows: Vec<FoundRow>) -> Result<Vec<EnvironmentDetails>> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(Vec::new()) };
        let mut labels: HashMap<(String, String), Vec<String>> = HashMap::new();
        for (name, version, label) in self.catalogue.labels_between(&first.row.name, &last.row.name).await? {
            labels.entry((name, version)).or_default().push(label);
        }
        let shared: HashMap<String, String> =
            self.catalogue.shared_names().await?.into_iter().map(|one| (one.name, one.place)).collect();
        Ok(rows
            .into_iter()
            .map(|found| {
                let labels = labels.remove(&(found.row.name.clone(), found.row.version.clone()));
                let latest = found.is_latest.then(|| "latest".to_owned());
                let labels = latest.into_iter().chain(labels.into_iter().flatten()).collect();
                let shared_from = shared.get(&found.row.name).cloned();
                EnvironmentDetails { shared_from, ..details(found.row, labels, found.name_archived) }
            })
            .collect())
    }

    /// A version, as it is shown; `None` where there is none.
    pub(crate) async fn shown(&self, name: &str, wanted: Wanted<'_>) -> Result<Option<EnvironmentDetails>> {
        Ok(self.catalogue.shown(name, wanted).await?.map(as_shown))
    }

    /// A version that was read, as it is shown.
    pub(crate) async fn details(&self, row: EnvironmentRow) -> Result<EnvironmentDetails> {
        Ok(match self.catalogue.shown(&row.name, Wanted::Version(&row.version)).await? {
            Some(shown) => as_shown(ShownRow { row, ..shown }),
            // Deleted since, it has no labels.
            None => details(row, Vec::new(), false),
        })
    }
}

fn as_shown(shown: ShownRow) -> EnvironmentDetails {
    let latest = shown.is_latest.then(|| "latest".to_owned());
    let labels = latest.into_iter().chain(shown.labels).collect();
    EnvironmentDetails { shared_from: shown.shared_from, ..details(shown.row, labels, shown.name_archived) }
}

fn details(row: EnvironmentRow, labels: Vec<String>, name_archived: bool) -> EnvironmentDetails {
    EnvironmentDetails {
        name: Some(row.name),
        version: Some(row.version),
        definition_digest: row.definition,
        receipt: Some(row.receipt),
        lock: Some(row.lock),
        created_at: Some(row.created_at),
        created_by: Some(row.created_by),
        from: row.from.map(|(name, version)| format!("{name}:{version}")),
        labels,
        shared_from: None,
        archived: row.archived || name_archived,
        environment: row.environment,
    }
}

fn conditions(find: &Find) -> Result<Vec<Condition>> {
    let mut conditions = Vec::new();
    if let Some(pattern) = &find.pattern {
        if pattern.is_empty() {
            return Err(Error::Arguments {
                message: "the pattern of names is empty".to_owned(),
                hint: "`*` stands for anything: --name 'dig*'".to_owned(),
            });
        }
        conditions.push(Condition::NameLike(like(pattern)));
    }
    for (tag, value) in &find.tags {
        conditions.push(Condition::Tag(tag.clone(), value.clone()));
    }
    if let Some(kind) = find.kind {
        conditions.push(Condition::Kind(kind.as_str().to_owned()));
    }
    if let Some(creator) = &find.creator {
        conditions.push(Condition::Creator(creator.clone()));
    }
    if find.since.is_some() || find.until.is_some() {
        conditions.push(Condition::Created(find.since.map(to_the_second), find.until.map(to_the_second)));
    }
    if find.name.is_none() {
        conditions.push(Condition::NotKind(Kind::Curated.as_str().to_owned()));
    }
    Ok(conditions)
}

/// A pattern of ours in SQL's manner.
fn like(pattern: &str) -> String {
    let mut like = String::new();
    for c in pattern.to_lowercase().chars() {
        match c {
            '*' => like.push('%'),
            '%' | '_' | '\\' => like.extend(['\\', c]),
            c => like.push(c),
        }
    }
    like
}

/// A time as the catalogue has it, without what comes after the second: what is of that second or later sorts behind it.
fn to_the_second(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::{like, to_the_second};

    #[test]
    fn a_pattern_means_letters_and_stars() {
        assert_eq!(like("Dig*_50%"), "dig%\\_50\\%");
    }

    #[test]
    fn times_sort_behind_their_second() {
        let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
        let second = to_the_second(at("2026-01-02T03:04:05.9Z"));
        for later in ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000001Z", "2026-01-02T03:04:06Z"] {
            assert!(at(later).to_string() >= second, "{later}");
        }
        assert!(at("2026-01-02T03:04:04.999999999Z").to_string() < second);
    }
}
