//! Bases that are images, of a registry or of a Dockerfile: what is asked for becomes a lock, and what a lock names is brought
//! into the store.

use std::sync::Arc;

use provenv_definition::{Base, Definition, Platform, PythonRequest, Suite};
use provenv_image::base_image::{BaseFacts, BaseImage, InstalledDeb};
use provenv_lock::debian::{Additions, Archive, DebianConfig, Installed};
use provenv_lock::{BaseLock, ImageLock, Lock, PlatformLock, PythonLock, Upgrade};
use provenv_registry::{PullOptions, Reference};

use crate::locking::ResolvedBase;
use crate::{Error, Result, Workspace};

/// A base that is in the store, and what it is like.
pub(crate) struct KnownBase {
    pub image: BaseImage,
    pub facts: BaseFacts,
}

impl Workspace {
    /// The lock of a base that is an image, with the Debian packages that are added to it. What `previous` has stays unless
    /// `upgrade` says that all moves.
    pub(crate) async fn resolve_image(
        &self,
        definition: &Definition,
        platform: Platform,
        previous: Option<&PlatformLock>,
        upgrade: &Upgrade,
    ) -> Result<ResolvedBase> {
        let mut tools = Vec::new();
        let base = if let Base::Image { reference } = &definition.base {
            let kept = previous.and_then(|lock| lock.base.image()).filter(|_| *upgrade != Upgrade::All);
            BaseLock::Image(match kept {
                Some(image) => image.clone(),
                None => self.look_up_image(reference, platform).await?,
            })
        } else {
            let (made, tool) = self.resolve_dockerfile(definition, platform, previous, upgrade).await?;
            tools.extend(tool);
            BaseLock::Dockerfile(made)
        };
        let known = self.known_base(&base, platform).await?;
        let layers = known.image.layers.len();
        let fit = |unfit: provenv_image::base_image::Unfit| -> Error {
            Error::Image(provenv_image::base_image::Error::from(unfit).into())
        };
        let has_conda = definition.conda.has_packages_for(platform);
        let installs = !definition.user_managed && (has_conda || !definition.pip.requirements.is_empty());
        if installs {
            known.facts.takes_packages(layers).map_err(fit)?;
        }
        let glibc = known.facts.glibc.clone().unwrap_or_default();
        let mut python = known.facts.python.as_ref().map(|python| PythonLock {
            version: python.version.clone(),
            executable: python.executable.clone(),
            glibc: glibc.clone(),
            as_is: definition.user_managed,
        });
        let (mut debian, mut indexes) = (Vec::new(), Vec::new());
        if !definition.system_packages.is_empty() {
            known.facts.takes_debs(layers).map_err(fit)?;
            let kept = previous.filter(|lock| {
                let moves = match upgrade {
                    Upgrade::None => false,
                    Upgrade::All => true,
                    Upgrade::Packages(names) => {
                        lock.debian.iter().any(|package| names.contains(&package.name))
                    }
                };
                lock.base == base && !moves
            });
            if let Some(lock) = kept {
                debian.clone_from(&lock.debian);
                python = lock.python.clone().filter(|python| !python.is_condas()).or(python);
            } else {
                let added = self.added_debs(definition, &known.facts, platform).await?;
                debian = added.packages;
                indexes = added.indexes;
                if let Some(added) = added.python.filter(|_| python.is_none()) {
                    python =
                        Some(PythonLock { glibc: glibc.clone(), as_is: definition.user_managed, ..added });
                }
            }
        }
        // A C library that is not known fits no Python package, and none is installed then.
        let python = python.filter(|_| !glibc.is_empty());
        if !definition.user_managed && !has_conda {
            has_python(definition, &base, python.as_ref())?;
        }
        let python = python.filter(|_| !has_conda || definition.user_managed);
        let lock =
            PlatformLock { base, debian, python, conda: Vec::new(), pypi: Vec::new(), post_link: None };
        Ok(ResolvedBase { lock, indexes, tools, glibc })
    }

    /// What `system_packages` add to a base that is like this.
    async fn added_debs(
        &self,
        definition: &Definition,
        facts: &BaseFacts,
        platform: Platform,
    ) -> Result<Additions> {
        let suite = Suite(facts.os.codename.clone().unwrap_or_default());
        let archive = self.archive_of(facts, platform).await?;
        Ok(archive.add_to(&suite, platform, &installed(facts), &definition.system_packages).await?)
    }

    /// The archive that the packages of a base are from.
    pub(crate) async fn archive_of(&self, facts: &BaseFacts, platform: Platform) -> Result<Archive> {
        match facts.os.id.as_str() {
            "debian" => self.archive().await,
            "ubuntu" => {
                let settings = &self.config.ubuntu;
                let config = DebianConfig::ubuntu(settings.mirror.clone(), settings.keyring.clone(), platform)?;
                Ok(Archive::new(self.fetcher().await?.clone(), config))
            }
            _ => Err(Error::Base {
                message: format!(
                    "Debian packages cannot be added to a base of {}, which has others than Debian's and Ubuntu's",
                    facts.os.pretty_name.as_deref().unwrap_or("an unknown system")
                ),
                hint: "take an image of Debian or Ubuntu, or leave `system_packages` out: conda has many of them"
                    .to_owned(),
            }),
        }
    }

    /// What a reference names today.
    pub(crate) async fn look_up_image(&self, reference: &str, platform: Platform) -> Result<ImageLock> {
        let reference = to_pull(reference)?;
        if self.offline {
            return Err(provenv_registry::Error::Offline { reference: reference.to_string() }.into());
        }
        let named =
            provenv_registry::look_up(&self.store, &reference, platform, &self.pull_options()).await?;
        Ok(ImageLock {
            reference: reference.to_string(),
            index: named.index,
            manifest: named.manifest,
            size: named.size,
        })
    }

    /// The base of a lock, all of which is in the store afterwards.
    pub(crate) async fn known_base(&self, base: &BaseLock, platform: Platform) -> Result<KnownBase> {
        let manifest = match base {
            BaseLock::Debian { .. } => unreachable!("asked of bases that are images alone"),
            BaseLock::Image(image) => {
                self.bring_base(image).await?;
                image.manifest
            }
            BaseLock::Dockerfile(made) => {
                self.has_dockerfile(made, platform)?;
                made.manifest
            }
        };
        let (store, reporter) = (self.store.clone(), Arc::clone(&self.reporter));
        let known = tokio::task::spawn_blocking(move || {
            let image = BaseImage::open(&store, &manifest, platform)?;
            let facts = image.facts(&store, platform, reporter.as_ref())?;
            Ok::<_, provenv_image::base_image::Error>(KnownBase { image, facts })
        });
        known.await?.map_err(|error| Error::Image(error.into()))
    }

    /// Brings what is missing of a base into the store.
    pub(crate) async fn bring_base(&self, image: &ImageLock) -> Result<()> {
        let reference = to_pull(&image.reference)?;
        if self.offline {
            if provenv_registry::is_here(&self.store, &reference, &image.manifest)? {
                return Ok(());
            }
            return Err(provenv_registry::Error::Offline { reference: image.pinned() }.into());
        }
        let (options, reporter) = (self.pull_options(), self.reporter.as_ref());
        provenv_registry::pull(&self.store, &reference, &image.manifest, &options, reporter).await?;
        Ok(())
    }

    /// The same for the base of a lock, if it is an image.
    pub(crate) async fn bring_base_of(&self, lock: &Lock, platform: Platform) -> Result<()> {
        match lock.platforms.get(&platform).map(|lock| &lock.base) {
            Some(BaseLock::Image(image)) => self.bring_base(image).await,
            Some(BaseLock::Dockerfile(_)) => self.restore_base(lock, platform).await,
            Some(BaseLock::Debian { .. }) | None => Ok(()),
        }
    }

    pub(crate) fn pull_options(&self) -> PullOptions {
        let settings = &self.config.registry;
        PullOptions {
            keychain: self.keychain(),
            insecure: settings.insecure.clone(),
            mirrors: settings.mirrors.clone(),
            certificates: provenv_lock::pypi::Host::default().named_ca_bundle(),
        }
    }
}

/// Refuses a lock that stands on another base than the one that `definition` names.
pub(crate) fn stands_on(definition: &Definition, lock: &PlatformLock) -> Result<()> {
    let of_dockerfile = matches!(definition.base, Base::Dockerfile { .. } | Base::Context(_));
    if of_dockerfile || lock.base.dockerfile().is_some() {
        return if of_dockerfile && lock.base.dockerfile().is_some() {
            Ok(())
        } else {
            Err(Error::Arguments {
                message:
                    "of lock and definition, one stands on what a Dockerfile made, and the other does not"
                        .to_owned(),
                hint: "`provenv lock` writes it anew".to_owned(),
            })
        };
    }
    let Base::Image { reference } = &definition.base else {
        return match lock.base.image() {
            None => Ok(()),
            Some(image) => Err(other_base(&image.reference, "Debian")),
        };
    };
    let asked = to_pull(reference)?;
    match lock.base.image() {
        Some(image) if is_it(&asked, image) => Ok(()),
        image => Err(other_base(image.map_or("Debian", |image| &image.reference), &asked.to_string())),
    }
}

fn other_base(found: &str, asked: &str) -> Error {
    Error::Arguments {
        message: format!("the lock stands on {found}, and the definition on {asked}"),
        hint: "`provenv lock` writes it anew".to_owned(),
    }
}

/// Refuses an image of a lock that is not the one which a Dockerfile calls `name`.
pub(crate) fn is_named(name: &str, image: &ImageLock) -> Result<()> {
    let asked = to_pull(name)?;
    if is_it(&asked, image) { Ok(()) } else { Err(other_base(&image.reference, &asked.to_string())) }
}

/// Whether an image of a lock may be what `asked` names. A digest in a reference says what it names, whatever a lock says of it.
fn is_it(asked: &Reference, image: &ImageLock) -> bool {
    let digest = asked.digest();
    image.reference == asked.to_string()
        && digest.is_none_or(|digest| digest == image.index.unwrap_or(image.manifest))
}

/// The reference of a base.
fn to_pull(reference: &str) -> Result<Reference> {
    Ok(Reference::to_pull(reference).map_err(provenv_registry::Error::from)?)
}

/// What a base's dpkg says is installed.
pub(crate) fn installed(facts: &BaseFacts) -> Vec<Installed> {
    let one = |deb: &InstalledDeb| Installed {
        name: deb.name.clone(),
        version: deb.version.clone(),
        architecture: deb.architecture.clone(),
    };
    facts.debian.iter().map(one).collect()
}

/// Refuses a base without the Python that `definition` asks for, or that its packages need.
fn has_python(definition: &Definition, base: &BaseLock, python: Option<&PythonLock>) -> Result<()> {
    let name = base.image().map_or("Dockerfile", |image| &image.reference);
    let Some(found) = python else {
        let wanted = match &definition.python {
            Some(wanted) => format!("Python {wanted} is asked for"),
            None if !definition.pip.requirements.is_empty() => {
                "packages are to be installed by pip".to_owned()
            }
            None => return Ok(()),
        };
        return Err(Error::Base {
            message: format!("{wanted}, and the base `{name}` has no Python on its PATH"),
            hint: "name an image that has one, add `python3` to `system_packages` on Debian or Ubuntu, or name `python` \
                   among the conda packages"
                .to_owned(),
        });
    };
    match &definition.python {
        Some(wanted) if !answers(&found.version, wanted) => Err(Error::Base {
            message: format!(
                "Python {wanted} is asked for, and that of the base `{name}` is {}",
                found.version
            ),
            hint: "name an image that has it, leave `python` out, or name `python` among the conda packages"
                .to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Whether a Python of this version is one that is asked for.
fn answers(version: &str, wanted: &PythonRequest) -> bool {
    let wanted = wanted.to_string();
    version.strip_prefix(&wanted).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}
