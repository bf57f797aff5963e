//! Two environments side by side: what they ask for, and what was chosen for them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use provenv_definition::{
    Diagnostic, Difference, Digest, Environment, Platform, definition_digest, differences,
};
use provenv_image::export::Destination;
use provenv_lock::Lock;
use provenv_lock::diff::{Holdings, LockDiff};
use serde::Serialize;

use crate::catalogue::ImageRow;
use crate::environments::Given;
use crate::locking::platforms_of;
use crate::{Error, Reference, Result, Workspace};

/// How two environments are compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiffOptions {
    /// The packages of this platform only.
    pub platform: Option<Platform>,
    /// Only what they ask for: no lock is looked at, and none is made.
    pub asked: bool,
}

/// How two environments differ.
#[derive(Clone, Debug, Serialize)]
pub struct EnvironmentDiff {
    /// The one that is compared from.
    pub old: Compared,
    /// The one that is compared to.
    pub new: Compared,
    /// What they ask for differently; `None` where it was not compared.
    pub asked: Option<Vec<Difference>>,
    /// Differences of their packages, per platform that both have; `None` where they were not compared.
    pub packages: Option<BTreeMap<Platform, LockDiff>>,
    /// Platforms that only the old one was locked for.
    pub only_old: Vec<Platform>,
    /// Platforms that only the new one was locked for.
    pub only_new: Vec<Platform>,
    /// Why something was not compared.
    pub notes: Vec<String>,
    /// What is to be said about files.
    #[serde(skip)]
    pub warnings: Vec<Diagnostic>,
}

/// One side of a comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// As it was given.
    pub reference: String,
    /// What it is.
    pub kind: ComparedKind,
    /// Digest of its definition; `None` where nothing here says it.
    pub definition: Option<Digest>,
    /// Digest of its lock, if it has one of ours.
    pub lock: Option<Digest>,
    /// Digest of the image, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Digest>,
}

/// What was given for a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ComparedKind {
    /// A registered environment.
    Environment,
    /// A file, or a folder, that asks for something.
    Definition,
    /// A lock.
    Lock,
    /// An image of this workspace.
    Image,
}

impl EnvironmentDiff {
    /// Whether nothing that was compared differs.
    pub fn is_empty(&self) -> bool {
        self.asked.as_ref().is_none_or(Vec::is_empty)
            && self.packages.iter().flat_map(BTreeMap::values).all(LockDiff::is_empty)
            && self.only_old.is_empty()
            && self.only_new.is_empty()
    }
}

/// One side, as far as it is known.
struct Side {
    compared: Compared,
    /// What it asks for.
    environment: Option<Environment>,
    /// Whether that is its definition alone, because a lock and an image say nothing of variables and the like.
    bare: bool,
    /// What was chosen for it.
    holdings: Option<BTreeMap<Platform, Holdings>>,
    /// What can still be locked.
    given: Option<Given>,
    warnings: Vec<Diagnostic>,
}

impl Workspace {
    /// Compares two environments, registered or in files, locks, and images: what they ask for, and the packages that
    /// were chosen. Where one is locked and the other is not, that one is locked for it; where neither is, only what they
    /// ask for is compared.
    pub async fn diff(
        &self,
        old: &str,
        new: &str,
        folder: &Path,
        options: &DiffOptions,
    ) -> Result<EnvironmentDiff> {
        let mut sides = [self.side(old, folder).await?, self.side(new, folder).await?];
        let mut notes = Vec::new();
        if !options.asked {
            self.lock_the_other(&mut sides, &mut notes).await?;
        }
        let [mut old, mut new] = sides;
        let asked = if let (Some(was), Some(is)) = (&mut old.environment, &mut new.environment) {
            if old.bare || new.bare {
                keep_definition(was);
                keep_definition(is);
            }
            Some(differences(was, is))
        } else {
            let unknown = [&old, &new].into_iter().find(|side| side.environment.is_none());
            notes.extend(unknown.map(|side| {
                let reference = &side.compared.reference;
                format!(
                    "what they ask for is not compared: the definition of `{reference}` is not in this workspace"
                )
            }));
            None
        };
        let mut diff = EnvironmentDiff {
            old: old.compared,
            new: new.compared,
            asked,
            packages: None,
            only_old: Vec::new(),
            only_new: Vec::new(),
            notes,
            warnings: old.warnings.into_iter().chain(new.warnings).collect(),
        };
        if let (Some(old), Some(new), false) = (old.holdings, new.holdings, options.asked) {
            diff.compare_packages(&old, &new, options.platform)?;
        }
        Ok(diff)
    }

    /// What `reference` is, and what is known of it without locking anything.
    async fn side(&self, reference: &str, folder: &Path) -> Result<Side> {
        if let Some(row) = self.image_named(reference, folder).await? {
            return self.image_side(reference, row).await;
        }
        if let Reference::File(path) = Reference::parse(reference, folder)
            && let Some(lock) = crate::lock_file::read_if_lock(&path)?
        {
            return self.lock_side(reference, &lock).await;
        }
        if reference.starts_with("sha256:") {
            let lock = match reference.parse() {
                Ok(digest) => self.catalogue.lock(&digest).await?,
                Err(_) => None,
            };
            let lock = lock.ok_or_else(|| Error::NoImage(reference.to_owned()))?;
            return self.lock_side(reference, &lock).await;
        }
        let given = self.given(reference, folder).await?;
        let definition = definition_digest(&given.environment.definition);
        let (kind, lock) = match &given.row {
            Some(row) => (ComparedKind::Environment, self.catalogue.lock(&row.lock).await?),
            None => {
                (ComparedKind::Definition, self.current_lock(&definition).await?.map(|locked| locked.lock))
            }
        };
        let holdings = match (&lock, &given.artifacts) {
            (Some(lock), _) => Some(holdings(lock)),
            (None, Some(artifacts)) => {
                let platforms: BTreeSet<Platform> = if artifacts.conda.is_empty() {
                    platforms_of(&given.environment.definition).into_iter().collect()
                } else {
                    artifacts.conda.keys().copied().collect()
                };
                let of = |platform| (platform, Holdings::of_artifacts(artifacts, platform));
                Some(platforms.into_iter().map(of).collect())
            }
            (None, None) => None,
        };
        Ok(Side {
            compared: Compared {
                reference: reference.to_owned(),
                kind,
                definition: Some(definition),
                lock: lock.map(|lock| lock.digest()),
                image: None,
            },
            environment: Some(given.environment.clone()),
            bare: false,
            holdings,
            warnings: given.warnings.clone(),
            given: Some(given),
        })
    }

    async fn lock_side(&self, reference: &str, lock: &Lock) -> Result<Side> {
        let definition = self.catalogue.definition(&lock.definition).await?;
        Ok(Side {
            compared: Compared {
                reference: reference.to_owned(),
                kind: ComparedKind::Lock,
                definition: Some(lock.definition),
                lock: Some(lock.digest()),
                image: None,
            },
            environment: definition.map(|definition| Environment { definition, ..Environment::default() }),
            bare: true,
            holdings: Some(holdings(lock)),
            given: None,
            warnings: Vec::new(),
        })
    }

    /// An image is for one platform, whatever its lock holds.
    async fn image_side(&self, reference: &str, row: ImageRow) -> Result<Side> {
        let missing = || Error::NoImage(reference.to_owned());
        let lock = self.catalogue.lock(&row.lock).await?.ok_or_else(missing)?;
        let mut side = self.lock_side(reference, &lock).await?;
        side.compared.kind = ComparedKind::Image;
        side.compared.image = Some(row.image.manifest);
        if let Some(holdings) = &mut side.holdings {
            holdings.retain(|platform, _| *platform == row.platform);
        }
        Ok(side)
    }

    /// The image of this workspace that `reference` names by its digest, or as an export of it.
    async fn image_named(&self, reference: &str, folder: &Path) -> Result<Option<ImageRow>> {
        if let Some((transport, _)) = reference.split_once(':')
            && ["oci", "oci-archive", "docker-archive"].contains(&transport)
        {
            let place = Destination::parse(reference)?.at(folder);
            let found = provenv_image::export::identify(&place)?;
            let mut rows = self.catalogue.images().await?;
            rows.retain(|row| found.contains(&row.image.manifest) || found.contains(&row.image.config));
            // Locks that differ only in URLs become the same image, and other compressions have the same configuration.
            let mut seen = BTreeSet::new();
            rows.retain(|row| seen.insert(row.image.config.hex()));
            return match rows.len() {
                0 => Err(Error::NoImage(reference.to_owned())),
                1 => Ok(rows.pop()),
                _ => Err(Error::Arguments {
                    message: format!("`{reference}` holds several images of this workspace"),
                    hint: format!("say which: {transport}:…:TAG, or its digest"),
                }),
            };
        }
        self.image_of_digest(reference).await
    }

    /// Locks the side that has no lock, where the other has one.
    async fn lock_the_other(&self, sides: &mut [Side; 2], notes: &mut Vec<String>) -> Result<()> {
        let locked = sides.iter().filter(|side| side.holdings.is_some()).count();
        if locked == 0 {
            let [old, new] = sides.each_ref().map(|side| &side.compared.reference);
            let which = if old == new { format!("`{old}` was never") } else { "neither was ever".to_owned() };
            notes.push(format!(
                "packages are not compared: {which} locked in this workspace, which `provenv lock` does"
            ));
        }
        if locked != 1 {
            return Ok(());
        }
        for side in sides.iter_mut().filter(|side| side.holdings.is_none()) {
            let Some(given) = &side.given else { continue };
            if let Some((message, _)) = given.environment.definition.unlockable() {
                let reference = &side.compared.reference;
                notes.push(format!("packages are not compared: `{reference}` cannot be locked: {message}"));
                continue;
            }
            let lock = self.locked(given).await?.lock;
            side.compared.lock = Some(lock.digest());
            side.holdings = Some(holdings(&lock));
        }
        Ok(())
    }
}

impl EnvironmentDiff {
    fn compare_packages(
        &mut self,
        old: &BTreeMap<Platform, Holdings>,
        new: &BTreeMap<Platform, Holdings>,
        platform: Option<Platform>,
    ) -> Result<()> {
        if let Some(platform) = platform
            && !(old.contains_key(&platform) && new.contains_key(&platform))
        {
            return Err(Error::NoPlatform(platform));
        }
        let wanted = |one: &&Platform| platform.is_none_or(|platform| **one == platform);
        let only = |these: &BTreeMap<Platform, Holdings>, those: &BTreeMap<Platform, Holdings>| {
            let only = these.keys().filter(wanted).filter(|platform| !those.contains_key(*platform));
            only.copied().collect::<Vec<_>>()
        };
        // An image is for one platform: of the others nothing is said.
        if [&self.old, &self.new].iter().all(|side| side.kind != ComparedKind::Image) {
            (self.only_old, self.only_new) = (only(old, new), only(new, old));
        }
        let both = old.iter().filter(|(platform, _)| wanted(platform));
        let both = both.filter_map(|(platform, old)| Some((*platform, old.changes_to(new.get(platform)?))));
        self.packages = Some(both.collect());
        Ok(())
    }
}

fn holdings(lock: &Lock) -> BTreeMap<Platform, Holdings> {
    lock.platforms.iter().map(|(platform, lock)| (*platform, Holdings::from(lock))).collect()
}

/// Takes all away that is no part of the definition.
fn keep_definition(environment: &mut Environment) {
    *environment =
        Environment { definition: std::mem::take(&mut environment.definition), ..Environment::default() };
}
