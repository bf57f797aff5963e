//! What a use case on the record is about: a name, or one of its versions.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::catalogue::EnvironmentRow;
use crate::reference::LATEST;
use crate::{Error, Reference, Result, Workspace};

/// What was archived or restored, and whether that was a change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Archived {
    /// The environment.
    pub name: String,
    /// The version; `None`: the name with all its versions.
    pub version: Option<String>,
    /// Whether it is archived now.
    pub archived: bool,
    /// Whether it was otherwise before.
    pub changed: bool,
}

/// A name, or one of its versions.
pub(super) struct Target {
    pub name: String,
    pub version: Option<String>,
}

/// What a text names: a name, and a version or `@LABEL` where it says one.
pub(crate) struct Subject {
    pub name: String,
    pub version: Option<String>,
}

impl Subject {
    /// Reads it. Files are not on record, and what is shipped is not to be changed.
    pub fn parse(text: &str) -> Result<Self> {
        match Reference::parse(text, Path::new("")) {
            Reference::File(_) => Err(Error::Arguments {
                message: format!("`{text}` is a file, and this is about what is registered"),
                hint: "`provenv env list` shows what is registered".to_owned(),
            }),
            Reference::Curated { name, .. } => Err(Error::Arguments {
                message: format!("`{name}` is shipped, and nothing about it changes"),
                hint: format!("register one of your own: `provenv env register --from {name} --name NAME`"),
            }),
            Reference::Registered { name, version: None, label: None } if text.ends_with("@latest") => {
                Ok(Self { name, version: Some(format!("@{LATEST}")) })
            }
            Reference::Registered { name, version, label } => {
                Ok(Self { name, version: version.or_else(|| label.map(|label| format!("@{label}"))) })
            }
        }
    }
}

impl Workspace {
    /// What `text` names in the catalogue: a name with nothing behind it means all its versions. Files are not on record, and
    /// what is shipped is not to be changed.
    pub(super) async fn target(&self, text: &str) -> Result<Target> {
        let Subject { name, version } = Subject::parse(text)?;
        let version = match version.as_deref().map(|version| version.strip_prefix('@').ok_or(version)) {
            Some(Ok(LATEST)) => return Ok(Target { version: Some(self.newest(&name).await?.version), name }),
            Some(Ok(label)) => Some(self.labelled(&name, label).await?),
            Some(Err(version)) => Some(version.to_owned()),
            None => None,
        };
        self.must_be_known(&name).await?;
        if let Some(version) = &version {
            self.version(&name, version).await?;
        }
        Ok(Target { name, version })
    }

    /// The version that `text` names: of a name alone the newest.
    pub(crate) async fn registered(&self, text: &str) -> Result<EnvironmentRow> {
        match self.target(text).await? {
            Target { name, version: Some(version) } => self.version(&name, &version).await,
            Target { name, version: None } => self.newest(&name).await,
        }
    }

    /// Fails unless something is registered under a name.
    async fn must_be_known(&self, name: &str) -> Result<()> {
        match self.catalogue.name(name).await? {
            Some(row) if row.versions > 0 => Ok(()),
            _ => Err(self.no_environment(name, name).await?),
        }
    }

    /// Said where there is nothing of a name: `reference` is as it was asked for.
    pub(crate) async fn no_environment(&self, name: &str, reference: &str) -> Result<Error> {
        let names = self.catalogue.names_near(name).await?;
        let nearest = provenv_definition::nearest(name, names.iter().map(String::as_str));
        Ok(Error::NoEnvironment(reference.to_owned(), nearest.map(str::to_owned)))
    }

    /// The newest version of a name that is not archived.
    pub(crate) async fn newest(&self, name: &str) -> Result<EnvironmentRow> {
        if let Some(row) = self.catalogue.environment(name, None).await? {
            return Ok(row);
        }
        self.must_be_known(name).await?;
        Err(Error::AllArchived(name.to_owned()))
    }

    /// A version of a name.
    pub(crate) async fn version(&self, name: &str, version: &str) -> Result<EnvironmentRow> {
        if let Some(row) = self.catalogue.environment(name, Some(version)).await? {
            return Ok(row);
        }
        let known = self.catalogue.versions(name, KNOWN).await?;
        Err(if known.is_empty() {
            self.no_environment(name, &format!("{name}:{version}")).await?
        } else {
            Error::NoVersion { name: name.to_owned(), version: version.to_owned(), known }
        })
    }

    /// The version that a label names.
    pub(crate) async fn labelled(&self, name: &str, label: &str) -> Result<String> {
        if let Some(version) = self.catalogue.labelled(name, label).await? {
            return Ok(version);
        }
        self.must_be_known(name).await?;
        let mut known: Vec<String> =
            self.catalogue.labels(name).await?.into_iter().map(|row| row.label).collect();
        known.push(LATEST.to_owned());
        Err(Error::NoLabel { name: name.to_owned(), label: label.to_owned(), known })
    }
}

/// How many versions a message lists.
const KNOWN: u32 = 20;
