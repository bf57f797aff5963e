//! Scripts that conda packages want to be run when they are installed: by default an image with such packages is refused; who
//! locks or builds says what is to become of them, and the lock keeps it.
//!
//! They are run once, on a copy of the prefix, in the sandbox and without network. What they leave there becomes a layer, and
//! the lock names it by its digest: from then on the image is a function of the lock, as any other. Only those for this
//! machine's platform can be run; of a lock for several, the others stay as they are.

use std::path::PathBuf;

use provenv_compute::{Container, Mount};
use provenv_definition::{Definition, Platform};
use provenv_image::LinkScript;
use provenv_image::post_link::Prefix;
use provenv_lock::{Lock, PlatformLock, PostLink, Receipt};
use provenv_store::Store;

use crate::error::IoContext as _;
use crate::locking::Locked;
use crate::sandbox::{apart, captured, shown};
use crate::{Error, Result, Workspace};

/// What is to become of the scripts of conda packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptChoice {
    /// They are run once, in the sandbox, and what they leave is kept.
    Run,
    /// They are left out.
    Skip,
}

impl ScriptChoice {
    /// What was chosen for a lock; `None` where nothing had to be.
    pub(crate) fn of(lock: &PlatformLock) -> Option<Self> {
        Some(match lock.post_link.as_ref()? {
            PostLink::Run { .. } => Self::Run,
            PostLink::Skip => Self::Skip,
        })
    }
}

/// What is to become of the scripts of a new lock.
#[derive(Clone, Copy, Default)]
pub(crate) struct Scripts<'l> {
    /// What the user says of them; else what was said before stays.
    pub choice: Option<ScriptChoice>,
    /// The lock that the new one follows.
    pub before: Option<&'l Lock>,
}

impl Scripts<'_> {
    /// What was chosen for the packages of a platform; for want of that, what was chosen for those of another.
    fn choice(&self, platform: Platform) -> Option<ScriptChoice> {
        let before = || {
            let platforms = &self.before?.platforms;
            let own = platforms.get(&platform).and_then(ScriptChoice::of);
            own.or_else(|| platforms.values().find_map(ScriptChoice::of))
        };
        self.choice.or_else(before)
    }

    /// `lock` with what its scripts left where they were run, if that was for the same packages: run again they may leave
    /// something else, and the environment would change though nothing of it did.
    fn kept(&self, lock: &PlatformLock, platform: Platform) -> Option<PlatformLock> {
        let before = self.before?.platforms.get(&platform)?;
        let kept = PlatformLock { post_link: before.post_link.clone(), ..lock.clone() };
        let is_same = of_archives(&kept) == of_archives(before);
        (ScriptChoice::of(before) == Some(ScriptChoice::Run) && is_same).then_some(kept)
    }
}

/// Where the prefix is in every image.
const PREFIX: &str = "/opt/provenv";

/// How many bytes of what a failed script printed are shown at most.
const SHOWN: usize = 2000;

impl Workspace {
    /// `locked` with the scripts of its conda packages as `choice` says, where it says something. Nothing is chosen anew: only
    /// what becomes of the scripts differs.
    pub(crate) async fn settle_scripts(
        &self,
        definition: &Definition,
        locked: Locked,
        choice: Option<ScriptChoice>,
    ) -> Result<Locked> {
        let Some(choice) = choice else { return Ok(locked) };
        self.distrust_indexes(&locked.lock).await?;
        let _lease = self.store.lock_async("definition", &locked.definition.hex()).await?;
        // Somebody may have moved on to newer packages while this one waited: those are not to be undone.
        let locked = match self.current_lock(&locked.definition).await? {
            Some(current) if current.receipt_digest != locked.receipt_digest => current,
            _ => locked,
        };
        let _pin = self.store.pin()?;
        let mut lock = locked.lock.clone();
        let scripts = Scripts { choice: Some(choice), before: None };
        for (platform, lock) in &mut lock.platforms {
            // What scripts left on another machine is there.
            let is_here = *platform == Platform::host();
            if ScriptChoice::of(lock) != Some(choice) || is_here && is_gone(&self.store, lock) {
                *lock = self.with_scripts(lock.clone(), *platform, scripts).await?;
            }
        }
        if lock == locked.lock {
            return Ok(locked);
        }
        let receipt = Receipt {
            lock: lock.digest(),
            resolved_at: jiff::Timestamp::now(),
            previous: Some(locked.receipt_digest),
            ..locked.receipt
        };
        let receipt_digest = self.catalogue.record_resolution(definition, &lock, &receipt).await?;
        Ok(Locked { receipt_digest, receipt, lock, fresh: true, ..locked })
    }

    /// Refuses to change what becomes of scripts in a lock that never changes. Where there are none, every choice is kept.
    pub(crate) async fn keeps_scripts(
        &self,
        reference: &str,
        lock: &Lock,
        choice: Option<ScriptChoice>,
    ) -> Result<()> {
        if choice.is_none() {
            return Ok(());
        }
        self.distrust_indexes(lock).await?;
        for (platform, lock) in &lock.platforms {
            let is_elsewhere = choice == Some(ScriptChoice::Run) && *platform != Platform::host();
            if lock.conda.is_empty() || ScriptChoice::of(lock) == choice || is_elsewhere {
                continue;
            }
            if !self.assembler(None).await?.link_scripts(lock, *platform).await?.is_empty() {
                return Err(Error::Arguments {
                    message: format!("`{reference}` is registered, and its lock never changes"),
                    hint: "give --post-link when its file is locked, before it is registered".to_owned(),
                });
            }
        }
        Ok(())
    }

    /// `lock`, of this platform, with the scripts of its conda packages as `scripts` says.
    pub(crate) async fn with_scripts(
        &self,
        mut lock: PlatformLock,
        platform: Platform,
        scripts: Scripts<'_>,
    ) -> Result<PlatformLock> {
        lock.post_link = None;
        if lock.conda.is_empty() {
            return Ok(lock);
        }
        let Some(choice) = scripts.choice(platform) else { return Ok(lock) };
        let is_elsewhere = choice == ScriptChoice::Run && platform != Platform::host();
        if choice == ScriptChoice::Run
            && let Some(kept) = scripts.kept(&lock, platform)
            && (is_elsewhere || !is_gone(&self.store, &kept))
        {
            return Ok(kept);
        }
        let found = self.assembler(None).await?.link_scripts(&lock, platform).await?;
        if found.is_empty() {
            return Ok(lock);
        }
        if is_elsewhere {
            let packages: Vec<&str> = found.iter().map(|script| script.what.as_str()).collect();
            self.reporter.note(&format!(
                "scripts of packages for {platform} ({}) cannot be run on {}: images for it are refused until they are run on \
                 such a machine, or left out",
                packages.join(", "),
                Platform::host()
            ));
            return Ok(lock);
        }
        lock.post_link = Some(match choice {
            ScriptChoice::Skip => PostLink::Skip,
            ScriptChoice::Run => self.run_scripts(&lock, platform, found).await?,
        });
        Ok(lock)
    }

    /// Runs `scripts`, those of the conda packages of `lock`, which is for this machine's platform.
    async fn run_scripts(
        &self,
        lock: &PlatformLock,
        platform: Platform,
        scripts: Vec<LinkScript>,
    ) -> Result<PostLink> {
        if !scripts.iter().all(LinkScript::is_post_link) {
            return Err(provenv_image::Error::Scripts(scripts).into());
        }
        let has_bash = match lock.base.manifest() {
            Some(_) => self.known_base(&lock.base, platform).await?.facts.bash,
            None => lock.debian.iter().any(|package| package.name == "bash"),
        };
        let bash = if has_bash { "bash" } else { "sh" };
        let without = PlatformLock { post_link: Some(PostLink::Skip), ..lock.clone() };
        let image = self.assembler(None).await?.image(&without, platform).await?;
        let layers = self.unpack(&image.layers).await?;
        let (store, reporter) = (self.store.clone(), std::sync::Arc::clone(&self.reporter));
        tokio::task::spawn_blocking(move || {
            let scratch = store.scratch()?;
            let folder = scratch.path().join("prefix");
            fs_err::create_dir(&folder).doing(|| "could not copy the prefix".to_owned())?;
            let prefix = Prefix::copy(&layers, folder)?;
            for script in &scripts {
                let running = apart(container(layers.clone(), &prefix, bash, script), &store)?;
                let output = captured(running)?;
                if output.code != 0 {
                    return Err(failed(script, output.code, &[output.stdout, output.stderr].concat()));
                }
            }
            let changes = prefix.changes()?;
            for line in changes.messages.lines().filter(|line| !line.trim().is_empty()) {
                reporter
                    .note(&format!("a script of a conda package says: {}", shown(line).collect::<String>()));
            }
            Ok(PostLink::Run { layer: changes.pin(&store)? })
        })
        .await?
    }
}

/// The script in the image with a copy of the prefix in its place, as conda runs it (`run_script` in conda's `core/link.py`), and
/// without what would make its work depend on chance.
fn container(layers: Vec<PathBuf>, prefix: &Prefix, shell: &str, script: &LinkScript) -> Container {
    let path = format!("{PREFIX}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let env = [
        ("PATH", path),
        ("HOME", "/tmp".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("CONDA_PREFIX", PREFIX.to_owned()),
        ("PREFIX", PREFIX.to_owned()),
        ("ROOT_PREFIX", PREFIX.to_owned()),
        ("PKG_NAME", script.name.clone()),
        ("PKG_VERSION", script.version.clone()),
        ("PKG_BUILDNUM", script.build_number.to_string()),
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ("PYTHONHASHSEED", "0".to_owned()),
        ("SOURCE_DATE_EPOCH", "315532800".to_owned()),
    ];
    Container {
        layers,
        mounts: vec![Mount { host: prefix.folder().to_owned(), guest: PREFIX.into(), read_only: false }],
        command: vec![shell.to_owned(), format!("{PREFIX}/{}", script.path)],
        env: env.map(|(name, value)| (name.to_owned(), value)).into(),
        cwd: PREFIX.into(),
        network: false,
        ..Container::default()
    }
}

/// `lock` without what channels say of archives, which they may change afterwards.
fn of_archives(lock: &PlatformLock) -> PlatformLock {
    let mut lock = lock.clone();
    for package in &mut lock.conda {
        package.depends.clear();
        package.constrains.clear();
    }
    lock
}

/// Whether what scripts left is not in the store any more.
fn is_gone(store: &Store, lock: &PlatformLock) -> bool {
    matches!(&lock.post_link, Some(PostLink::Run { layer: Some(layer) }) if !store.contains(&layer.sha256))
}

fn failed(script: &LinkScript, code: i32, output: &[u8]) -> Error {
    let (cut, last) = output.split_at(output.len().saturating_sub(SHOWN));
    // A line that is cut says nothing, unless it is the only one.
    let begin = match last.iter().position(|&byte| byte == b'\n') {
        Some(end) if !cut.is_empty() && end + 1 < last.len() => end + 1,
        _ => 0,
    };
    let text = String::from_utf8_lossy(&last[begin..]);
    let mut lines: Vec<String> = text.trim().lines().map(|line| shown(line).collect()).collect();
    if !cut.is_empty() {
        lines.insert(0, "[what it printed before is left out]".to_owned());
    }
    let output = lines.join("\n");
    Error::Script { package: script.what.clone(), path: script.path.clone(), code, output }
}
