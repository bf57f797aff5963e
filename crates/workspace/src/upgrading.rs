//! Moving a registered environment to newer packages: an act of its own, which shows what changes and registers the next version.

use std::collections::BTreeMap;
use std::path::Path;

use provenv_definition::{Digest, Platform, nearest};
use provenv_lock::diff::LockDiff;
use provenv_lock::{Lock, Upgrade};
use serde::{Deserialize, Serialize};

use crate::catalogue::{CatalogueError, NewEnvironment, Resolution, Same, Telling};
use crate::environments::content_digest;
use crate::post_link::Scripts;
use crate::{Error, Reference, Resolving, Result, Workspace, folders, user_name};

/// How an environment is moved.
#[derive(Clone, Debug, Default)]
pub struct UpgradeOptions {
    /// Only these packages, and what they need; all of them, where none is named.
    pub packages: Vec<String>,
    /// Change nothing.
    pub dry_run: bool,
    /// For which moment and what machines. What the target has is what it had, unless this says something of it.
    pub resolving: Resolving,
    /// Who does it, if that is not the user of this machine.
    pub who: Option<String>,
}

/// What an upgrade would change, or did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Upgraded {
    /// The environment.
    pub name: String,
    /// The version it starts from.
    pub from: String,
    /// The version that was registered; `None` in a dry run, or when nothing changes.
    pub to: Option<String>,
    /// What changes, per platform.
    pub changes: BTreeMap<Platform, LockDiff>,
}

impl Workspace {
    /// Resolves the newest version of an environment again. Registers the next one unless it is a dry run or nothing changes.
    pub async fn upgrade(&self, environment: &str, options: &UpgradeOptions) -> Result<Upgraded> {
        let name = match Reference::parse(environment, Path::new(".")) {
            Reference::File(_) => {
                return Err(Error::Arguments {
                    message: format!(
                        "`{environment}` is a file, and an upgrade moves a registered environment"
                    ),
                    hint: format!(
                        "`provenv lock {environment} --upgrade` locks a file anew; `provenv env list` shows what is registered"
                    ),
                });
            }
            Reference::Curated { name, .. } => return Err(is_shipped(&name)),
            Reference::Registered { name, .. } => name,
        };
        if name != environment {
            return Err(Error::Arguments {
                message: format!("an upgrade starts from the newest version, not from `{environment}`"),
                hint: format!("give the name alone: `provenv upgrade {name}`"),
            });
        }
        match &self.upstream {
            Some(remote) => remote.upgrade(&name, options).await,
            None => self.upgrade_registered(&name, options).await,
        }
    }

    /// The same of a name that is nothing else: never a file.
    pub async fn upgrade_registered(&self, name: &str, options: &UpgradeOptions) -> Result<Upgraded> {
        let UpgradeOptions { packages, dry_run, resolving, who } = options;
        if crate::is_curated(name) {
            return Err(is_shipped(name));
        }
        if resolving.as_of.is_some() && !packages.is_empty() {
            return Err(Error::Arguments {
                message: "the packages that are not named would not stay as they are with --as-of, which rules out what is \
                          newer"
                    .to_owned(),
                hint: format!("`provenv upgrade {name} --as-of …` without package names moves everything"),
            });
        }
        if let Some(place) = self.shared_from(name).await? {
            return Err(CatalogueError::SharedHere { name: name.to_owned(), place }.into());
        }
        // Of two at once, the second starts from what the first registered.
        let _lease = self.store.lock_async("upgrade", &Digest::of(name.as_bytes()).hex()).await?;
        let row = self.newest(name).await?;
        let old = self
            .catalogue
            .lock(&row.lock)
            .await?
            .ok_or_else(|| Error::NoEnvironment(name.to_owned(), None))?;
        let definition = &row.environment.definition;
        let upgrade = if packages.is_empty() {
            Upgrade::All
        } else {
            let unknown =
                packages.iter().find(|package| !old.platforms.values().any(|one| one.holds(package)));
            if let Some(package) = unknown {
                return Err(not_held(&format!("{name}:{}", row.version), name, package, &old));
            }
            Upgrade::Packages(packages.iter().cloned().collect())
        };
        let folders = folders::states(definition);
        let mut resolving = resolving.clone();
        if resolving.virtual_packages.is_empty()
            && let Some(receipt) = self.catalogue.receipt(&row.receipt).await?
        {
            resolving.virtual_packages = receipt.virtual_packages;
        }
        let scripts = Scripts { choice: None, before: Some(&old) };
        let (lock, mut receipt) =
            self.resolve(definition, None, Some(&old), &upgrade, &resolving, scripts).await?;
        let changes: BTreeMap<Platform, LockDiff> = lock
            .platforms
            .iter()
            .filter_map(|(platform, new)| {
                Some((*platform, provenv_lock::diff::diff(old.platforms.get(platform)?, new)))
            })
            .collect();
        let mut upgraded = Upgraded { name: name.to_owned(), from: row.version.clone(), to: None, changes };
        if *dry_run || lock.holds_the_same(&old) {
            return Ok(upgraded);
        }
        self.remember_folders(&receipt.lock, &folders)?;
        receipt.previous = Some(row.receipt);
        let receipt_digest = self.catalogue.record_resolution(definition, &lock, &receipt).await?;
        let mut environment = row.environment.clone();
        environment.version = None;
        let new = self
            .catalogue
            .register(&NewEnvironment {
                name,
                version: None,
                content: content_digest(&environment),
                definition: receipt.definition,
                resolution: Resolution::Given { receipt: receipt_digest, lock: receipt.lock },
                environment: &environment,
                created_by: &who.clone().unwrap_or_else(user_name),
                from: None,
                same: Same::Never,
                telling: if who.is_some() { Telling::Made } else { Telling::Nobody },
            })
            .await?;
        upgraded.to = Some(new.version);
        Ok(upgraded)
    }
}

fn is_shipped(name: &str) -> Error {
    Error::Arguments {
        message: format!("`{name}` is shipped, and its versions never change"),
        hint: format!(
            "register one of your own that can be upgraded: `provenv env register --from {name} --name NAME`"
        ),
    }
}

/// Said of a package that is to move and is not there.
fn not_held(version: &str, name: &str, package: &str, lock: &Lock) -> Error {
    let held = lock.platforms.values().flat_map(|platform| {
        let debian = platform.debian.iter().map(|package| package.name.as_str());
        let conda = platform.conda.iter().map(|package| package.name.as_str());
        debian.chain(conda).chain(platform.pypi.iter().map(|package| package.name.as_str()))
    });
    Error::Arguments {
        message: format!("{version} does not hold `{package}`"),
        hint: match nearest(package, held) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("`provenv lock {name} --file -` shows what it holds"),
        },
    }
}
