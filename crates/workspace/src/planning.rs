//! What would be done for a definition before it is: what is locked, what is there already, how much is to be fetched.

use std::path::Path;

use provenv_definition::{Diagnostic, Digest, Platform};
use provenv_lock::{BaseLock, PlatformLock};
use serde::{Deserialize, Serialize};

use crate::building::packages;
use crate::hosting::refuse_local;
use crate::{Error, Locked, PackageSummary, Remote, Result, SentEnvironment, Workspace};

/// What building a definition would come to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Digest of the definition.
    pub definition: Digest,
    /// Its lock here.
    pub lock: Digest,
    /// Whether it was locked just now.
    pub fresh: bool,
    /// Registered versions that have this lock already, as `name:version`.
    pub environments: Vec<String>,
    /// What there is to do, per platform.
    pub platforms: Vec<PlatformPlan>,
}

/// What there is to do for one platform.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlatformPlan {
    /// The platform.
    pub platform: Platform,
    /// What was chosen for it.
    pub chosen: Chosen,
    /// The image, where it is there already.
    pub image: Option<Digest>,
    /// How many packages are not in the store.
    pub to_fetch: usize,
    /// Their bytes, as far as the indexes said.
    pub bytes_to_fetch: u64,
}

/// What a lock holds for one platform, for people.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Chosen {
    /// What it stands on.
    pub base: String,
    /// The Python inside.
    pub python: Option<String>,
    /// Its packages, by ecosystem and name.
    pub packages: Vec<PackageSummary>,
}

impl Chosen {
    /// Bytes of all packages, as far as the indexes said.
    pub fn size(&self) -> u64 {
        self.packages.iter().map(|package| package.size).sum()
    }

    fn of(lock: &PlatformLock) -> Self {
        Self {
            base: base_text(&lock.base),
            python: lock.python.as_ref().map(|python| python.version.clone()),
            packages: packages(lock),
        }
    }
}

/// A base, for people.
pub(crate) fn base_text(base: &BaseLock) -> String {
    match base {
        BaseLock::Debian { suite } => format!("debian/{suite}"),
        BaseLock::Image(image) => format!("{} ({})", image.reference, image.manifest),
        BaseLock::Dockerfile(made) => format!("Dockerfile ({})", made.manifest),
    }
}

impl Workspace {
    /// What `build` of this would come to; relative paths count from `folder`. It is locked for that where it was not yet, as
    /// `lock` does; nothing is registered, and nothing is built. Also gives what is to be said about its file.
    pub async fn plan(&self, reference: &str, folder: &Path) -> Result<(Plan, Vec<Diagnostic>)> {
        let given = self.given(reference, folder).await?;
        // What is registered on a server is built there; what is in a file, here.
        if let (Some(remote), Some(row)) = (&self.upstream, &given.row) {
            return Ok((remote.plan(&row.name, &row.version).await?, given.warnings));
        }
        let locked = self.locked(&given).await?;
        Ok((self.plan_of(locked).await?, given.warnings))
    }

    /// The same of a version by its name, and its version or `@LABEL`; never of a file.
    pub async fn plan_version(&self, name: &str, wanted: &str) -> Result<Plan> {
        let found = self.version_details(name, wanted).await?;
        let version = found.version.as_deref().unwrap_or(wanted);
        let given = self.given_version(name, version).await?;
        self.plan_of(self.locked(&given).await?).await
    }

    /// The same of a definition that a stranger sent.
    pub async fn plan_sent(&self, sent: &SentEnvironment) -> Result<Plan> {
        let environment = &sent.environment;
        refuse_local(environment)?;
        let mut problems = provenv_definition::check_at(environment, &sent.origins);
        problems.retain(Diagnostic::is_error);
        if !problems.is_empty() {
            return Err(Error::Definition(problems));
        }
        let definition = &environment.definition;
        let locked = self.lock(definition, None, false).await;
        self.plan_of(locked.map_err(|error| error.located(definition, &sent.origins, sent.format))?).await
    }

    async fn plan_of(&self, locked: Locked) -> Result<Plan> {
        let digest = locked.receipt.lock;
        let mut platforms = Vec::with_capacity(locked.lock.platforms.len());
        for (platform, lock) in &locked.lock.platforms {
            let chosen = Chosen::of(lock);
            let missing: Vec<&PackageSummary> =
                chosen.packages.iter().filter(|package| !self.store.contains(&package.sha256)).collect();
            platforms.push(PlatformPlan {
                platform: *platform,
                image: self.built_image(&digest, *platform).await?,
                to_fetch: missing.len(),
                bytes_to_fetch: missing.iter().map(|package| package.size).sum(),
                chosen,
            });
        }
        Ok(Plan {
            definition: locked.definition,
            lock: digest,
            fresh: locked.fresh,
            environments: self.names_of_lock(&digest).await?,
            platforms,
        })
    }

    /// What a lock holds, per platform; `None` where it is not on record.
    pub async fn chosen(&self, lock: &Digest) -> Result<Option<Vec<(Platform, Chosen)>>> {
        let lock = self.catalogue.lock(lock).await?;
        Ok(lock.map(|lock| {
            lock.platforms.iter().map(|(platform, lock)| (*platform, Chosen::of(lock))).collect()
        }))
    }
}

impl Remote {
    /// What building a version there would come to.
    async fn plan(&self, name: &str, version: &str) -> Result<Plan> {
        let body = serde_json::json!({ "version": format!("{name}:{version}") });
        self.json(self.request(reqwest::Method::POST, &["plan"]).json(&body)).await
    }
}
