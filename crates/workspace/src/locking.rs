//! A definition becomes a lock, once; moving to newer packages is an act of its own.

use std::collections::BTreeMap;
use std::path::Path;

use provenv_definition::{
    Base, CondaRequirement, CondaRequirements, Definition, Diagnostic, Digest, LockedArtifacts, Platform,
    definition_digest,
};
use provenv_lock::conda::{CondaConfig, Question, Target};
use provenv_lock::debian::Archive;
use provenv_lock::{BaseLock, IndexState, Lock, PlatformLock, Receipt, ToolVersion, Upgrade};

use crate::post_link::{ScriptChoice, Scripts};
use crate::sandbox::BaseSandbox;
use crate::{Error, Phase, Resolving, Result, Workspace, folders};

/// A definition with the lock it resolves to in this workspace.
#[derive(Clone, Debug)]
pub struct Locked {
    /// Digest of the definition.
    pub definition: Digest,
    /// Digest of the receipt.
    pub receipt_digest: Digest,
    /// The receipt.
    pub receipt: Receipt,
    /// The lock.
    pub lock: Lock,
    /// Whether it was resolved just now.
    pub fresh: bool,
}

impl Locked {
    /// How many packages the lock holds, over all platforms.
    pub fn packages(&self) -> usize {
        self.lock.platforms.values().map(PlatformLock::len).sum()
    }
}

impl Workspace {
    /// The lock of a file or a registered environment; `again` resolves a file's definition anew, and so does whatever
    /// `resolving` says. Says what there is to say about the file.
    pub async fn lock_of(
        &self,
        reference: &str,
        folder: &Path,
        again: bool,
        resolving: &Resolving,
        scripts: Option<ScriptChoice>,
    ) -> Result<(Locked, Vec<Diagnostic>)> {
        let given = self.given(reference, folder).await?;
        let again = again || !resolving.is_empty();
        if again && given.row.is_some() {
            return Err(Error::Unsupported(format!(
                "`{reference}` is registered, and its lock never changes: `provenv upgrade` makes the next version"
            )));
        }
        let definition = &given.environment.definition;
        let locked = if again {
            let artifacts = given.artifacts.as_ref();
            let locked = self.lock_as(definition, artifacts, true, resolving, scripts).await;
            locked.map_err(|error| error.of(&given))?
        } else {
            let locked = self.locked(&given).await?;
            if given.row.is_some() {
                self.keeps_scripts(reference, &locked.lock, scripts).await?;
                locked
            } else {
                self.settle_scripts(definition, locked, scripts).await?
            }
        };
        Ok((locked, given.warnings))
    }

    /// The lock of `definition`: the workspace's current one, or resolved now. Where it was read from the lock of another
    /// tool, `artifacts` are what that chose, and are taken over.
    pub async fn lock(
        &self,
        definition: &Definition,
        artifacts: Option<&LockedArtifacts>,
        again: bool,
    ) -> Result<Locked> {
        self.lock_as(definition, artifacts, again, &Resolving::default(), None).await
    }

    /// What the current lock's target was said to have, and what became of scripts, stays unless `resolving` and `scripts` say
    /// something of it. A script that fails leaves the current lock what it is.
    async fn lock_as(
        &self,
        definition: &Definition,
        artifacts: Option<&LockedArtifacts>,
        again: bool,
        resolving: &Resolving,
        scripts: Option<ScriptChoice>,
    ) -> Result<Locked> {
        let digest = definition_digest(definition);
        if !again && let Some(locked) = self.current_lock(&digest).await? {
            return Ok(locked);
        }
        let _lease = self.store.lock_async("definition", &digest.hex()).await?;
        // Somebody may have resolved it while this one waited.
        if !again && let Some(locked) = self.current_lock(&digest).await? {
            return Ok(locked);
        }
        // What another tool chose is not to be chosen again.
        if !again
            && artifacts.is_none()
            && let Some(locked) = self.find_lock(definition, &digest).await?
        {
            return Ok(locked);
        }
        let previous = self.current_lock(&digest).await?;
        let upgrade = if again { Upgrade::All } else { Upgrade::None };
        let folders = folders::states(definition);
        let mut resolving = resolving.clone();
        if resolving.virtual_packages.is_empty()
            && let Some(previous) = &previous
        {
            resolving.virtual_packages.clone_from(&previous.receipt.virtual_packages);
        }
        let scripts = Scripts { choice: scripts, before: previous.as_ref().map(|previous| &previous.lock) };
        let (lock, mut receipt) =
            self.resolve(definition, artifacts, None, &upgrade, &resolving, scripts).await?;
        self.remember_folders(&receipt.lock, &folders)?;
        if let Some(previous) = previous {
            // What this machine has chosen itself is its own to say, though another one chose the same before.
            let taken = self.catalogue.taken_from(&previous.receipt_digest).await?;
            let is_told = taken.is_some_and(|from| from.signed_by.is_none());
            if previous.receipt.lock == receipt.lock
                && previous.receipt.virtual_packages == receipt.virtual_packages
                && (!is_told || receipt.from_file)
            {
                return Ok(Locked { fresh: true, ..previous });
            }
            receipt.previous = Some(previous.receipt_digest);
        }
        let receipt_digest = self.catalogue.record_resolution(definition, &lock, &receipt).await?;
        Ok(Locked { definition: digest, receipt_digest, receipt, lock, fresh: true })
    }

    pub(crate) async fn current_lock(&self, definition: &Digest) -> Result<Option<Locked>> {
        let Some((receipt_digest, receipt)) = self.catalogue.current_receipt(definition).await? else {
            return Ok(None);
        };
        let Some(lock) = self.catalogue.lock(&receipt.lock).await? else { return Ok(None) };
        Ok(Some(Locked { definition: *definition, receipt_digest, receipt, lock, fresh: false }))
    }

    /// Chooses every artifact of `definition`, for each of its platforms.
    #[tracing::instrument(target = "provenv_trace", skip_all, name = "resolve")]
    pub(crate) async fn resolve(
        &self,
        definition: &Definition,
        artifacts: Option<&LockedArtifacts>,
        previous: Option<&Lock>,
        upgrade: &Upgrade,
        resolving: &Resolving,
        scripts: Scripts<'_>,
    ) -> Result<(Lock, Receipt)> {
        let _pin = self.store.pin()?;
        self.fetcher_for(definition).await?;
        self.reporter.begin(Phase::Resolving, "environment");
        let mut platforms: BTreeMap<Platform, PlatformLock> = BTreeMap::new();
        let mut indexes: Vec<IndexState> = Vec::new();
        let mut tools =
            vec![ToolVersion { name: "provenv".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }];
        if resolving.as_of.is_some() && artifacts.is_none() {
            self.reporter
                .note("Debian's archive keeps one version of a package: those of the base are today's");
        }
        if let Some(as_of) = resolving.as_of.filter(|as_of| *as_of > jiff::Timestamp::now()) {
            self.reporter.note(&format!("{as_of} is yet to come: what there is now is chosen from"));
        }
        let wanted = platforms_of(definition);
        let is_told = wanted.iter().any(|platform| *platform != Platform::host());
        for platform in wanted {
            let before = previous.and_then(|lock| lock.platforms.get(&platform));
            let resolved =
                self.resolve_platform(definition, artifacts, platform, before, upgrade, resolving).await;
            let resolution = resolved.map_err(|error| {
                let has = |name: &str| {
                    let has = |lock: &PlatformLock| lock.conda.iter().any(|package| package.name == name);
                    platforms.iter().find(|(_, lock)| has(lock)).map(|(platform, _)| *platform)
                };
                if is_told { error.on(platform, has) } else { error }
            })?;
            // What becomes of packages' scripts is the user's choice, and stays.
            let lock = self.with_scripts(resolution.lock, platform, scripts).await?;
            platforms.insert(platform, lock);
            indexes.extend(resolution.indexes);
            for tool in resolution.tools {
                if !tools.contains(&tool) {
                    tools.push(tool);
                }
            }
        }
        self.reporter.end(Phase::Resolving, "environment");
        let lock = Lock::new(definition_digest(definition), platforms);
        if artifacts.is_some() {
            self.check_taken(definition, &lock)?;
        } else {
            self.check_chosen(definition, &lock)?;
        }
        let receipt = Receipt {
            format: 1,
            definition: lock.definition,
            lock: lock.digest(),
            resolved_at: jiff::Timestamp::now(),
            indexes,
            tools,
            previous: None,
            from_file: artifacts.is_some(),
            as_of: resolving.as_of.filter(|_| artifacts.is_none()),
            virtual_packages: resolving.virtual_packages.clone(),
        };
        Ok((lock, receipt))
    }

    #[tracing::instrument(target = "provenv_trace", skip_all, name = "resolve platform", fields(provenv.platform = %platform))]
    async fn resolve_platform(
        &self,
        definition: &Definition,
        artifacts: Option<&LockedArtifacts>,
        platform: Platform,
        previous: Option<&PlatformLock>,
        upgrade: &Upgrade,
        resolving: &Resolving,
    ) -> Result<PlatformResolution> {
        if let Some((message, hint)) = definition.unlockable() {
            return Err(Error::Unsupported(format!("{message}: {hint}")));
        }
        let resolver = provenv_lock::pypi::Resolver::new(self.fetcher().await?.clone(), self.pypi_config());
        let wants_python_packages = !definition.user_managed && !definition.pip.requirements.is_empty();
        let conda = artifacts.and_then(|artifacts| artifacts.conda.get(&platform));
        let base = async {
            let ResolvedBase { mut lock, mut indexes, mut tools, glibc } =
                self.resolve_base(definition, platform, previous, upgrade).await?;
            if let Some(artifacts) = artifacts {
                if let Some(conda) = conda {
                    self.distrust(definition, artifacts).await?;
                    let (fetcher, asked) = (self.fetcher().await?, &definition.conda);
                    lock.conda = provenv_lock::conda::take_over(fetcher, asked, conda, platform).await?;
                }
            } else if !definition.user_managed && definition.conda.has_packages_for(platform) {
                let declared = definition.conda.virtual_packages.iter().chain(&resolving.virtual_packages);
                let target = Target { glibc: glibc.clone(), virtual_packages: declared.cloned().collect() };
                let question = Question {
                    asked: &definition.conda,
                    python: definition.python.as_ref(),
                    with_python: wants_python_packages,
                    target: &target,
                    platform,
                    previous,
                    upgrade,
                    as_of: resolving.as_of,
                };
                let solved = self.conda_resolver().await?.resolve(question).await?;
                lock.conda = solved.packages;
                indexes.extend(solved.indexes);
                tools.extend(solved.tools);
            }
            lock.python = provenv_lock::conda::python(&lock.conda, &glibc).or(lock.python);
            Ok::<_, Error>((lock, indexes, tools))
        };
        if !wants_python_packages {
            let (lock, indexes, tools) = base.await?;
            return Ok(PlatformResolution { lock, indexes, tools });
        }
        let base = async {
            let base = base.await?;
            takes_pip(&base.0, platform)?;
            Ok::<_, Error>(base)
        };
        // The tool is fetched while the base that it runs on is chosen and made. What is taken over may do without.
        let tool = async {
            if artifacts.is_some() {
                return Ok(());
            }
            match resolver.tool().await {
                // With the base ready there is one more way to it.
                Ok(_) | Err(provenv_lock::pypi::Error::NoUv { .. }) => Ok(()),
                Err(error) => Err(Error::from(error)),
            }
        };
        let base = async {
            let (lock, indexes, tools) = base.await?;
            let tools_base = self.tools_base(definition, &lock, platform).await?;
            let sandbox = BaseSandbox::new(self, tools_base, Platform::host());
            sandbox.prepare().await?;
            Ok((lock, indexes, tools, sandbox))
        };
        let ((mut lock, mut indexes, mut tools, sandbox), ()) = tokio::try_join!(base, tool)?;
        if let Some(python) = lock.python.clone() {
            let pip = &definition.pip;
            let distributions = self.assembler(None).await?.distributions(&lock, platform).await?;
            let installed = provenv_lock::pypi::installed(&distributions, &lock.conda, &definition.conda);
            let as_of = resolving.as_of;
            let target =
                provenv_lock::pypi::Target { python: &python, platform, installed: &installed, as_of };
            let resolve = async {
                match artifacts {
                    Some(artifacts) => {
                        self.distrust(definition, artifacts).await?;
                        let taken = resolver.take_over(pip, artifacts, &target, &sandbox).await;
                        Ok::<_, Error>(taken?)
                    }
                    None => Ok(resolver.resolve(pip, &target, &sandbox, previous, upgrade).await?),
                }
            };
            // While uv waits for the network, the processors compile what every image on this base holds.
            let pypi = tokio::select! {
                biased;
                pypi = resolve => pypi?,
                () = async { sandbox.warm().await; std::future::pending().await } => unreachable!("it never ends"),
            };
            lock.pypi = pypi.packages;
            indexes.extend(pypi.indexes);
            tools.extend(pypi.tools);
        }
        Ok(PlatformResolution { lock, indexes, tools })
    }

    /// What tools run on for `lock`: on this machine, whatever the image is for, with a Python of its minor version.
    async fn tools_base(
        &self,
        definition: &Definition,
        lock: &PlatformLock,
        platform: Platform,
    ) -> Result<PlatformLock> {
        let host = Platform::host();
        if platform == host {
            return Ok(lock.clone());
        }
        let mut like = definition.clone();
        if lock.conda.is_empty() {
            // Conda may have packages for this machine alone: the tools run on a Python from where the image's is.
            like.conda.packages.clear();
        }
        let ResolvedBase { lock: mut base, glibc, .. } =
            self.resolve_base(&like, host, None, &Upgrade::All).await?;
        let Some(python) = lock.python.as_ref().filter(|python| python.is_condas()) else { return Ok(base) };
        if definition.conda.channels.is_empty() {
            // A lock of another tool may name none; whether a tool is needed for it shows later.
            return Ok(base);
        }
        let (major, minor) = python.minor();
        let spec = CondaRequirement { spec: format!("python={major}.{minor}"), platforms: Vec::new() };
        let asked = CondaRequirements { packages: vec![spec], ..definition.conda.clone() };
        let question = Question {
            asked: &asked,
            python: None,
            with_python: true,
            target: &Target { glibc: glibc.clone(), virtual_packages: Vec::new() },
            platform: host,
            previous: None,
            upgrade: &Upgrade::All,
            as_of: None,
        };
        base.conda = self.conda_resolver().await?.resolve(question).await?.packages;
        base.python = provenv_lock::conda::python(&base.conda, &glibc);
        Ok(base)
    }

    /// What the image stands on.
    async fn resolve_base(
        &self,
        definition: &Definition,
        platform: Platform,
        previous: Option<&PlatformLock>,
        upgrade: &Upgrade,
    ) -> Result<ResolvedBase> {
        if !matches!(definition.base, Base::Debian { .. }) {
            return self.resolve_image(definition, platform, previous, upgrade).await;
        }
        if let (Some(previous), Upgrade::Packages(names)) = (previous, upgrade)
            && !previous.debian.iter().any(|package| names.contains(&package.name))
        {
            // An archive keeps one version of a package: what is not to move can only stay as it is in the lock.
            let glibc = provenv_lock::debian::locked_glibc(&previous.debian);
            let lock =
                PlatformLock { conda: Vec::new(), pypi: Vec::new(), post_link: None, ..previous.clone() };
            return Ok(ResolvedBase { lock, indexes: Vec::new(), tools: Vec::new(), glibc });
        }
        let debian = self.archive().await?.resolve(definition, platform).await?;
        let lock = PlatformLock {
            base: BaseLock::Debian { suite: debian.suite },
            debian: debian.packages,
            python: debian.python,
            conda: Vec::new(),
            pypi: Vec::new(),
            post_link: None,
        };
        Ok(ResolvedBase { lock, indexes: debian.indexes, tools: Vec::new(), glibc: debian.glibc })
    }

    pub(crate) async fn archive(&self) -> Result<Archive> {
        Ok(Archive::new(self.fetcher().await?.clone(), self.debian_config()?))
    }

    pub(crate) fn debian_config(&self) -> Result<provenv_lock::debian::DebianConfig> {
        let settings = &self.config.debian;
        let config = provenv_lock::debian::DebianConfig {
            mirror: settings.mirror.clone(),
            security_mirror: settings.security_mirror.clone(),
            keyring: settings.keyring.clone(),
            ..Default::default()
        }
        .with_environment()?;
        Ok(config)
    }

    async fn conda_resolver(&self) -> Result<provenv_lock::conda::Resolver> {
        Ok(provenv_lock::conda::Resolver::new(self.fetcher().await?.clone(), self.conda_config()))
    }

    pub(crate) fn conda_config(&self) -> CondaConfig {
        CondaConfig { channel_alias: self.config.conda.channel_alias.clone() }
    }

    fn pypi_config(&self) -> provenv_lock::pypi::PypiConfig {
        provenv_lock::pypi::PypiConfig {
            index: self.config.pypi.index.clone(),
            build_network: self.config.pypi.build_network,
            logs: Some(self.root.join("builds")),
            ..Default::default()
        }
    }
}

/// What an image stands on.
pub(crate) struct ResolvedBase {
    /// The lock without conda and Python packages.
    pub lock: PlatformLock,
    /// The indexes that were asked.
    pub indexes: Vec<IndexState>,
    /// What made it.
    pub tools: Vec<ToolVersion>,
    /// The version of its C library.
    pub glibc: String,
}

struct PlatformResolution {
    lock: PlatformLock,
    indexes: Vec<IndexState>,
    tools: Vec<ToolVersion>,
}

/// Refuses a base that pip's packages cannot be chosen for.
fn takes_pip(lock: &PlatformLock, platform: Platform) -> Result<()> {
    if lock.python.is_none() {
        return Err(Error::Arguments {
            message: format!("packages are to be installed by pip, and there is no Python for {platform}"),
            hint: "name `python` among the conda packages of that platform".to_owned(),
        });
    }
    let python = lock.conda.iter().find(|package| package.name == "python");
    match python.filter(|python| python.build.ends_with('t') && python.build.contains("_cp")) {
        Some(python) => Err(Error::Arguments {
            message: format!(
                "pip's packages cannot be chosen for the free-threaded Python {} {}",
                python.version, python.build
            ),
            hint:
                "ask conda for `python-gil` too, and not for `python-freethreading`, or for a build such as \
                   `python=3.13.*=*_cp313`; docs/how-to/conda-and-pip.md says why"
                    .to_owned(),
        }),
        None => Ok(()),
    }
}

/// What `definition` is built for.
pub(crate) fn platforms_of(definition: &Definition) -> Vec<Platform> {
    if definition.platforms.is_empty() { vec![Platform::default()] } else { definition.platforms.clone() }
}
