//! Description and tags, which may change.

use serde::{Deserialize, Serialize};

use crate::catalogue::{Described, Description};
use crate::{EnvironmentDetails, Error, Result, Workspace};

/// How a version's description and tags are to change.
#[derive(Clone, Debug, Default)]
pub struct VersionUpdate {
    /// The new description; an empty one takes it away.
    pub description: Option<String>,
    /// Tags to set.
    pub tags: Vec<(String, String)>,
    /// Tags to take away.
    pub remove_tags: Vec<String>,
}

/// A version, and how much of it changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Updated {
    /// How many changes there were: none where all was so before.
    pub changes: usize,
    /// The version as it is now.
    #[serde(flatten)]
    pub environment: EnvironmentDetails,
}

impl Workspace {
    /// Changes description and tags of the version that `reference` names, of a name alone those of the newest.
    pub async fn update_environment(
        &self,
        reference: &str,
        update: &VersionUpdate,
        who: &str,
    ) -> Result<Updated> {
        let updated = self.update_if(reference, update, None, who).await?;
        updated.ok_or_else(|| Error::NoEnvironment(reference.to_owned(), None))
    }

    /// The same, if the last change to the name still is the one with this number; `None` where there was another since, and
    /// nothing is done.
    pub async fn update_environment_since(
        &self,
        reference: &str,
        update: &VersionUpdate,
        last_change: i64,
        who: &str,
    ) -> Result<Option<Updated>> {
        self.update_if(reference, update, Some(last_change), who).await
    }

    /// The number of the last change to a name, for those who read something of it and then change it.
    pub async fn last_change(&self, name: &str) -> Result<i64> {
        Ok(self.catalogue.last_change(name).await?)
    }

    async fn update_if(
        &self,
        reference: &str,
        update: &VersionUpdate,
        last_change: Option<i64>,
        who: &str,
    ) -> Result<Option<Updated>> {
        if update.description.is_none() && update.tags.is_empty() && update.remove_tags.is_empty() {
            return Err(Error::Arguments {
                message: "nothing is to be changed".to_owned(),
                hint: "say what: --description TEXT, --tag KEY=VALUE, --remove-tag KEY".to_owned(),
            });
        }
        let row = self.registered(reference).await?;
        let wanted = Description {
            description: update.description.clone(),
            tags: update.tags.iter().cloned().collect(),
            remove_tags: update.remove_tags.clone(),
        };
        let unknown: Vec<&str> = update
            .remove_tags
            .iter()
            .map(String::as_str)
            .filter(|tag| !row.environment.tags.contains_key(*tag))
            .collect();
        if !unknown.is_empty() {
            let tags: Vec<&str> = row.environment.tags.keys().map(String::as_str).collect();
            let there = if tags.is_empty() { "none".to_owned() } else { tags.join(", ") };
            return Err(Error::Arguments {
                message: format!("{}:{} has no tag `{}`", row.name, row.version, unknown.join("`, `")),
                hint: format!("its tags: {there}"),
            });
        }
        let changes =
            match self.catalogue.describe(&row.name, &row.version, &wanted, last_change, who).await? {
                Described::Changed(changes) => changes,
                Described::Missing => {
                    return Err(Error::NoEnvironment(format!("{}:{}", row.name, row.version), None));
                }
                Described::Outdated => return Ok(None),
            };
        let now = self.version(&row.name, &row.version).await?;
        Ok(Some(Updated { changes, environment: self.details(now).await? }))
    }
}
