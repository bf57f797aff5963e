//! Versions that nothing refers to may be deleted.

use provenv_definition::Digest;
use serde::{Deserialize, Serialize};

use super::target::Target;
use crate::catalogue::{Deletion, References};
use crate::{Error, Result, Workspace};

/// How versions are deleted.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeleteOptions {
    /// Only say what would be.
    pub dry_run: bool,
    /// It is meant.
    pub yes: bool,
}

/// What was deleted, or would be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Deleted {
    /// Whether it was only asked for.
    pub dry_run: bool,
    /// Whether every version could go. If not, none did.
    pub possible: bool,
    /// The versions.
    pub versions: Vec<Unneeded>,
}

/// A version, and what refers to it: nothing, if it can go.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unneeded {
    /// The environment.
    pub name: String,
    /// The version.
    pub version: String,
    /// Runs in it.
    pub runs: Vec<String>,
    /// Labels on it.
    pub labels: Vec<String>,
    /// Versions that were made from it.
    pub derived: Vec<String>,
    /// Its images that were signed.
    pub signed: Vec<Digest>,
}

impl Unneeded {
    /// What refers to it, in words.
    pub fn reasons(&self) -> Vec<String> {
        let list = |what: &str, names: &[String]| {
            let shown = names.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = if names.len() > 3 { format!(" and {} more", names.len() - 3) } else { String::new() };
            (!names.is_empty()).then(|| format!("{what} {shown}{more}"))
        };
        let signed: Vec<String> = self.signed.iter().map(Digest::short).collect();
        let plural = |one: &str, names: &[String]| {
            let ending = if names.len() == 1 { "" } else { "s" };
            format!("{one}{ending}")
        };
        [
            list(&plural("run", &self.runs), &self.runs),
            list(&plural("label", &self.labels), &self.labels),
            list("environments made from it:", &self.derived),
            list(&plural("signed image", &signed), &signed),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Workspace {
    /// Deletes a version, or all versions of a name: all of them or none, and only what nothing refers to.
    pub async fn delete_environment(
        &self,
        reference: &str,
        options: DeleteOptions,
        who: &str,
    ) -> Result<Deleted> {
        let DeleteOptions { dry_run, yes } = options;
        let Target { name, version } = self.target(reference).await?;
        let versions = match version {
            Some(version) => vec![version],
            None => self.catalogue.versions(&name, u32::MAX).await?,
        };
        if !dry_run && !yes {
            return Err(must_be_meant(&name, &versions));
        }
        let outcomes = self.catalogue.delete(&name, &versions, dry_run, who).await?;
        let versions: Vec<Unneeded> = outcomes
            .into_iter()
            .map(|(version, outcome)| {
                let References { runs, labels, derived, signed } = match outcome {
                    Deletion::Done => References::default(),
                    Deletion::Needed(references) => references,
                };
                let derived =
                    derived.into_iter().map(|(name, version)| format!("{name}:{version}")).collect();
                Unneeded { name: name.clone(), version, runs, labels, derived, signed }
            })
            .collect();
        let needed = versions.iter().filter(|one| !one.reasons().is_empty());
        let reasons: Vec<String> =
            needed.map(|one| format!("{}:{}: {}", one.name, one.version, one.reasons().join("; "))).collect();
        let possible = reasons.is_empty();
        if !dry_run && !possible {
            return Err(Error::StillNeeded { name, reasons });
        }
        Ok(Deleted { dry_run, possible, versions })
    }
}

/// Said where nobody said that it is meant.
pub(crate) fn must_be_meant(name: &str, versions: &[String]) -> Error {
    Error::Arguments {
        message: format!("{} would be deleted for good", named(name, versions)),
        hint: "--dry-run shows what would go and what refers to it, --yes deletes; `provenv env archive` hides it and can be \
               undone"
            .to_owned(),
    }
}

fn named(name: &str, versions: &[String]) -> String {
    match versions {
        [version] => format!("{name}:{version}"),
        versions => format!("`{name}` with its {} versions", versions.len()),
    }
}
