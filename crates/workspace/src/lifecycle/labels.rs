//! Labels: `NAME@prod` is whatever version the label was put on last; `@latest` is always the newest.

use serde::{Deserialize, Serialize};

use super::target::Target;
use crate::reference::LATEST;
use crate::{Error, Result, Workspace};

/// A label of an environment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Label {
    /// It.
    pub label: String,
    /// The environment.
    pub name: String,
    /// The version that it names; `None` where it was taken away.
    pub version: Option<String>,
    /// The version that it named before it was moved just now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// Since when; `None` of `latest`, which moves by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_at: Option<jiff::Timestamp>,
    /// Who put it there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_by: Option<String>,
}

impl Workspace {
    /// Puts a label on the version that `reference` names.
    pub async fn label(&self, reference: &str, label: &str, who: &str) -> Result<Label> {
        let label = sound_label(label)?;
        let Target { name, version: Some(version) } = self.target(reference).await? else {
            return Err(name_the_version(reference, label));
        };
        let previous = self.catalogue.move_label(&name, label, &version, who).await?;
        let row = self.catalogue.labels(&name).await?.into_iter().find(|row| row.label == label);
        Ok(Label {
            label: label.to_owned(),
            name,
            previous: previous.filter(|previous| *previous != version),
            version: Some(version),
            moved_at: row.as_ref().map(|row| row.moved_at),
            moved_by: row.map(|row| row.moved_by),
        })
    }

    /// Takes a label away from an environment.
    pub async fn unlabel(&self, name: &str, label: &str, who: &str) -> Result<Label> {
        let label = sound_label(label)?;
        let Target { name, .. } = self.target(name).await?;
        // Says which there are, if it is not one of them.
        self.labelled(&name, label).await?;
        let previous = self.catalogue.remove_label(&name, label, who).await?;
        Ok(Label { label: label.to_owned(), name, version: None, previous, moved_at: None, moved_by: None })
    }

    /// The labels of an environment, `latest` first.
    pub async fn labels(&self, name: &str) -> Result<Vec<Label>> {
        let Target { name, .. } = self.target(name).await?;
        let latest = self.catalogue.environment(&name, None).await?.map(|row| Label {
            label: LATEST.to_owned(),
            name: row.name,
            version: Some(row.version),
            previous: None,
            moved_at: None,
            moved_by: None,
        });
        let others = self.catalogue.labels(&name).await?.into_iter().map(|row| Label {
            label: row.label,
            name: name.clone(),
            version: Some(row.version),
            previous: None,
            moved_at: Some(row.moved_at),
            moved_by: Some(row.moved_by),
        });
        Ok(latest.into_iter().chain(others).collect())
    }
}

/// Said where a name alone was given.
pub(crate) fn name_the_version(reference: &str, label: &str) -> Error {
    Error::Arguments {
        message: format!("`{reference}` does not say which version gets the label"),
        hint: format!("name it: `provenv env label {reference}:VERSION {label}`"),
    }
}

/// A label that may be put somewhere. It can be a registry's tag too.
pub(crate) fn sound_label(label: &str) -> Result<&str> {
    if label == LATEST {
        return Err(Error::Arguments {
            message: "`latest` is always the newest version that is not archived, and is not moved by hand"
                .to_owned(),
            hint: "choose another name for the label, e.g. `prod`".to_owned(),
        });
    }
    let good = label.len() <= 128
        && label.starts_with(|c: char| c.is_ascii_alphanumeric())
        && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if good {
        return Ok(label);
    }
    Err(Error::Arguments {
        message: format!("`{label}` cannot be a label"),
        hint: "begin with a letter or digit, and use letters, digits, `-`, `_` and `.`: at most 128"
            .to_owned(),
    })
}
