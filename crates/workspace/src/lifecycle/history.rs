//! The history of an environment, as it is shown.

use serde::{Deserialize, Serialize};

use super::target::Target;
use crate::catalogue::{ChangeRow, history::change};
use crate::{Result, Workspace};

/// Which part of a history is asked for.
#[derive(Clone, Copy, Debug)]
pub struct HistoryOptions {
    /// At most so many changes.
    pub limit: u32,
    /// Those before the change with this number.
    pub before: Option<i64>,
}

/// What a change was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// The version was registered; after it: its definition.
    Registered,
    /// Its description.
    Description,
    /// One of its tags.
    Tag,
    /// A label moved: the versions are in `from` and `to`.
    Label,
    /// It was put away.
    Archived,
    /// It was brought back.
    Restored,
    /// It was copied: from the version in `from`, or to the one in `to`, of another workspace.
    Copied,
    /// It is shared: by the workspace in `to` of what is shared with this one, or with the one in `to` of what is this one's own; or
    /// it is so no more, with the one in `from`.
    Shared,
    /// It was deleted; before it: its definition.
    Deleted,
}

/// A change to an environment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Change {
    /// Its number among the changes to the name.
    pub number: i64,
    /// When.
    pub at: jiff::Timestamp,
    /// By whom.
    pub by: String,
    /// The environment.
    pub name: String,
    /// The version; `None`: the name as a whole.
    pub version: Option<String>,
    /// What it was about.
    pub change: ChangeKind,
    /// Which tag or label.
    pub subject: Option<String>,
    /// What was there before.
    pub from: Option<String>,
    /// What is there since.
    pub to: Option<String>,
}

impl Workspace {
    /// What was changed about a name, or about one of its versions, the newest first.
    pub async fn history(&self, reference: &str, options: HistoryOptions) -> Result<Vec<Change>> {
        let Target { name, version } = match self.target(reference).await {
            Ok(target) => target,
            // What is deleted still has a history.
            Err(error) => self.deleted_target(reference).await?.ok_or(error)?,
        };
        let rows = self.catalogue.history(&name, version.as_deref(), options.before, options.limit).await?;
        Ok(rows.into_iter().map(|row| change(&name, row)).collect())
    }

    async fn deleted_target(&self, reference: &str) -> Result<Option<Target>> {
        let text = reference.strip_prefix("azureml:").unwrap_or(reference);
        let (name, version) = match text.rsplit_once(':') {
            Some((name, version)) => (name, Some(version.to_owned())),
            None => (text, None),
        };
        let there = match &version {
            Some(version) => self.catalogue.is_deleted(name, version).await?,
            None => self.catalogue.name(name).await?.is_some(),
        };
        Ok(there.then(|| Target { name: name.to_owned(), version }))
    }
}

fn change(name: &str, row: ChangeRow) -> Change {
    Change {
        number: row.number,
        at: row.at,
        by: row.who,
        name: name.to_owned(),
        version: row.version,
        change: match row.change.as_str() {
            change::REGISTERED => ChangeKind::Registered,
            change::DESCRIPTION => ChangeKind::Description,
            change::TAG => ChangeKind::Tag,
            change::LABEL => ChangeKind::Label,
            change::ARCHIVED => ChangeKind::Archived,
            change::RESTORED => ChangeKind::Restored,
            change::COPIED => ChangeKind::Copied,
            change::SHARED => ChangeKind::Shared,
            _ => ChangeKind::Deleted,
        },
        subject: row.subject,
        from: row.before,
        to: row.after,
    }
}
