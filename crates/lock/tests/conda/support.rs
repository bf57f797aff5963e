//! A store, channels, and questions in few words.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use provenv_channel::{Channel, Package};
use provenv_definition::{CondaChannel, CondaRequirement, CondaRequirements, Platform};
use provenv_fetch::{CredentialSources, Fetcher, Options, Silent};
use provenv_lock::conda::{CondaConfig, CondaResolution, Error, Question, Resolver, Target};
use provenv_lock::{BaseLock, PlatformLock, Upgrade};
use provenv_store::Store;
use tempfile::TempDir;

/// Where one test works.
pub struct Place {
    folder: TempDir,
    pub options: Options,
    pub config: CondaConfig,
}

/// What is asked, with all that most tests leave as it is.
#[derive(Clone)]
pub struct Asked {
    pub requirements: CondaRequirements,
    pub virtual_packages: Vec<String>,
    pub platform: Platform,
    pub previous: Option<PlatformLock>,
    pub upgrade: Upgrade,
    pub as_of: Option<jiff::Timestamp>,
}

pub fn asked(channels: &[&str], specs: &[&str]) -> Asked {
    let channel = |text: &&str| match text.parse() {
        Ok(url) => CondaChannel::Url(url),
        Err(_) => CondaChannel::Name((*text).to_owned()),
    };
    let package = |spec: &&str| CondaRequirement { spec: (*spec).to_owned(), platforms: Vec::new() };
    Asked {
        requirements: CondaRequirements {
            channels: channels.iter().map(channel).collect(),
            packages: specs.iter().map(package).collect(),
            ..CondaRequirements::default()
        },
        virtual_packages: Vec::new(),
        platform: Platform::LinuxAmd64,
        previous: None,
        upgrade: Upgrade::None,
        as_of: None,
    }
}

impl Place {
    pub fn new() -> Self {
        let options = Options {
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(2),
            retries: 1,
            credentials: CredentialSources::new(|_| None, None, None),
            ..Options::default()
        };
        Self { folder: tempfile::tempdir().unwrap(), options, config: CondaConfig::default() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the channel and gives its `file:` URL.
    pub fn folder(&self, name: &str, channel: &Channel) -> String {
        let folder = self.path().join(name);
        channel.write_to(&folder).unwrap();
        format!("file://{}", folder.display())
    }

    pub fn fetcher(&self) -> Fetcher {
        let store = Store::open(self.path().join("store")).unwrap();
        Fetcher::new(store, Arc::new(Silent), self.options.clone()).unwrap()
    }

    pub fn resolve(&self, asked: &Asked) -> Result<CondaResolution, Error> {
        self.resolve_by(&self.fetcher(), asked)
    }

    pub fn resolve_by(&self, fetcher: &Fetcher, asked: &Asked) -> Result<CondaResolution, Error> {
        let target = Target {
            glibc: "2.36".to_owned(),
            virtual_packages: asked.virtual_packages.iter().map(|text| text.parse().unwrap()).collect(),
        };
        let question = Question {
            asked: &asked.requirements,
            python: None,
            with_python: false,
            target: &target,
            platform: asked.platform,
            previous: asked.previous.as_ref(),
            upgrade: &asked.upgrade,
            as_of: asked.as_of,
        };
        let resolver = Resolver::new(fetcher.clone(), self.config.clone());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.unwrap().block_on(resolver.resolve(question))
    }

    /// What is chosen, as `name version build`.
    pub fn names(&self, asked: &Asked) -> Vec<String> {
        shown(&self.resolve(asked).unwrap())
    }
}

pub fn shown(resolution: &CondaResolution) -> Vec<String> {
    let package = |package: &provenv_lock::CondaPackage| {
        format!("{} {} {}", package.name, package.version, package.build)
    };
    resolution.packages.iter().map(package).collect()
}

/// A lock that holds what was chosen.
pub fn lock(resolution: CondaResolution) -> PlatformLock {
    PlatformLock {
        base: BaseLock::Debian { suite: provenv_definition::Suite("bookworm".to_owned()) },
        debian: Vec::new(),
        python: None,
        conda: resolution.packages,
        pypi: Vec::new(),
        post_link: None,
    }
}

/// Two versions of a library, and a program that needs it.
pub fn small() -> Channel {
    Channel::new("small")
        .add(Package::new("library", "1.0").timestamp(1_600_000_000_000))
        .add(Package::new("library", "2.0").timestamp(1_700_000_000_000))
        .add(Package::new("program", "1.0").depends("library").timestamp(1_600_000_000_000))
        .add(Package::new("data", "3").noarch_generic().timestamp(1_600_000_000_000))
}
