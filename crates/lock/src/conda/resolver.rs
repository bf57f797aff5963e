//! Chooses conda packages.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use provenv_definition::{CondaRequirements, Platform, PythonRequest};
use provenv_fetch::{Fetcher, Phase};
use rattler_conda_types::{
    MatchSpec, PackageName, PackageNameMatcher, ParseMatchSpecOptions, RepoDataRecord, Subdir,
};
use rattler_repodata_gateway::fetch::CacheAction;
use rattler_repodata_gateway::{
    ChannelConfig, ChannelRelationsMode, Gateway, GatewayError, RepoData, RepoDataQueryOutput, Source,
    SourceConfig,
};
use url::Url;

use super::client::{self, Progress, Seen};
use super::request::{Request, match_spec};
use super::solve::{self, Task};
use super::taken::AT_ONCE;
use super::{Error, Explanation, Result, Target, channels, record};
use crate::{CondaPackage, IndexState, PlatformLock, ToolVersion, Upgrade};

/// The version of the solver, of which a new one may choose otherwise.
const SOLVER: &str = "12.0";

/// How conda packages are chosen, apart from what a definition says.
#[derive(Clone, Debug, Default)]
pub struct CondaConfig {
    /// What completes a channel's name; `https://conda.anaconda.org` where it is not set.
    pub channel_alias: Option<Url>,
}

impl CondaConfig {
    pub(super) fn channel_alias(&self) -> Url {
        self.channel_alias.clone().unwrap_or_else(|| Url::parse("https://conda.anaconda.org").expect("a URL"))
    }
}

/// What is to be chosen.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// Channels and packages.
    pub asked: &'a CondaRequirements,
    /// The Python that the definition asks for apart from conda's packages.
    pub python: Option<&'a PythonRequest>,
    /// Whether there must be a Python although no conda package needs one.
    pub with_python: bool,
    /// What it is for.
    pub target: &'a Target,
    /// What it is for.
    pub platform: Platform,
    /// The lock to start from.
    pub previous: Option<&'a PlatformLock>,
    /// How far it may move from there.
    pub upgrade: &'a Upgrade,
    /// Only what was there at that time.
    pub as_of: Option<Timestamp>,
}

/// What was chosen.
#[derive(Clone, Debug, Default)]
pub struct CondaResolution {
    /// All packages, sorted by name.
    pub packages: Vec<CondaPackage>,
    /// The indexes as they were.
    pub indexes: Vec<IndexState>,
    /// Who chose.
    pub tools: Vec<ToolVersion>,
}

/// Chooses conda packages. What indexes say is kept in the fetcher's store, and in memory for as long as this lives.
pub struct Resolver {
    fetcher: Fetcher,
    config: CondaConfig,
    seen: Arc<Seen>,
}

impl Resolver {
    /// A resolver that fetches by `fetcher`.
    pub fn new(fetcher: Fetcher, config: CondaConfig) -> Self {
        Self { fetcher, config, seen: Arc::default() }
    }

    /// Chooses an archive for every package that is asked for, and for all that they need.
    ///
    /// With a previous lock, packages stay what they are there as far as the question allows, also where their channel does
    /// not have them any more.
    pub async fn resolve(&self, question: Question<'_>) -> Result<CondaResolution> {
        let item = "conda packages";
        self.fetcher.reporter().begin(Phase::Resolving, item);
        let resolution = self.choose(question).await;
        self.fetcher.reporter().end(Phase::Resolving, item);
        resolution
    }

    async fn choose(&self, question: Question<'_>) -> Result<CondaResolution> {
        let Question { asked, python, with_python, platform, .. } = question;
        let request = Request::new(asked, python, with_python, platform, &self.config)?;
        if request.names.is_empty() {
            return Ok(CondaResolution::default());
        }
        let virtual_packages = question.target.packages(platform)?;
        let archives = futures::stream::iter(&request.archives)
            .map(|spec| record::of_archive(&self.fetcher, spec))
            .buffered(AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        let urls = request.channels.urls();
        let reading = Reading {
            fetcher: &self.fetcher,
            seen: &self.seen,
            gateway: self.gateway(urls.clone()),
            request: &request,
            platform,
        };
        let mut specs = request.specs.clone();
        for spec in &request.archives {
            specs.push(match_spec(spec, &self.config)?);
        }
        let task = |read: RepoDataQueryOutput| Task {
            favoured: solve::favoured(question, &urls, &read),
            excluded: solve::excluded(&request.places, &read),
            repodata: read.repodata,
            archives: archives.clone(),
            virtual_packages: virtual_packages.clone(),
            specs: specs.clone(),
            as_of: question.as_of,
            names: request.names.clone(),
        };
        // Of a package asked for, only the records that will do are read. That is no more than a short cut: which channel is
        // the first to have a package, and why there is no solution, only all records of its name can tell.
        let solved = match &request.channels.all[..] {
            [_] => {
                let read = reading.read(question, &archives, Extent::Fitting).await?;
                self.note_undated(question, &read);
                blocking(task(read)).await
            }
            _ => Err(Error::Unsolvable { explanation: Explanation::default() }),
        };
        let records = match solved {
            Err(Error::Unsolvable { .. }) => {
                let read = reading.read(question, &archives, Extent::Named).await?;
                if request.channels.all.len() != 1 {
                    self.note_undated(question, &read);
                }
                let task = task(read);
                reading.check_names(&task).await?;
                blocking(task).await?
            }
            solved => solved?,
        };
        let of_specs = request.archives.iter().filter_map(|spec| spec.url.as_ref());
        let named: Vec<Url> = of_specs.map(|url| url.as_url().clone()).collect();
        let mut packages = futures::stream::iter(&records)
            .map(|record| {
                let requested = request.names.contains(record.package_record.name.as_normalized());
                record::locked(&self.fetcher, record, &urls, &named, requested)
            })
            .buffered(AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        packages.sort_by(|one, other| one.name.cmp(&other.name));
        let tools = vec![ToolVersion { name: "rattler_solve".to_owned(), version: SOLVER.to_owned() }];
        Ok(CondaResolution { packages, indexes: self.indexes(&urls), tools })
    }

    /// Says what is left out because nobody knows from when it is.
    fn note_undated(&self, question: Question<'_>, read: &RepoDataQueryOutput) {
        let undated = question.as_of.and_then(|_| solve::undated(read));
        let Some((count, name)) = undated else { return };
        let which = match count {
            1 => format!("builds of `{name}` that do not"),
            _ => format!("builds of {count} packages, such as `{name}`, that do not"),
        };
        self.fetcher.reporter().note(&format!("{which} say when they were made are left out"));
    }

    fn gateway(&self, channels: Vec<Url>) -> Gateway {
        let options = self.fetcher.options();
        let cache_action =
            if options.offline { CacheAction::ForceCacheOnly } else { CacheAction::CacheOrFetch };
        // What unpacks bz2 has no limit, and wherever there is bz2 there is the plain index.
        let default = SourceConfig { cache_action, bz2_enabled: false, ..SourceConfig::default() };
        Gateway::builder()
            .with_client(client::client(&self.fetcher, channels, Arc::clone(&self.seen)))
            .with_cache_dir(self.fetcher.store().cache("conda"))
            .with_channel_config(ChannelConfig { default, per_channel: HashMap::new() })
            .with_max_concurrent_requests(options.concurrency)
            .finish()
    }

    fn indexes(&self, channels: &[Url]) -> Vec<IndexState> {
        let seen = self.seen.indexes().into_iter();
        let mut states: Vec<IndexState> =
            seen.map(|(url, date)| IndexState { url, sha256: None, date }).collect();
        for channel in channels.iter().filter(|channel| channel.scheme() == "file") {
            states.push(IndexState {
                url: provenv_definition::SafeUrl::new(channel.clone()),
                sha256: None,
                date: None,
            });
        }
        states
    }
}

/// How much is read of the packages asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Records that the specs admit.
    Fitting,
    /// All records of their names.
    Named,
}

/// One question's way to the indexes.
struct Reading<'a> {
    fetcher: &'a Fetcher,
    seen: &'a Seen,
    gateway: Gateway,
    request: &'a Request,
    platform: Platform,
}

impl Reading<'_> {
    /// What the channels say of the packages asked for and of all that they may need, also where the way there leads over a
    /// package that only a previous lock still has.
    async fn read(
        &self,
        question: Question<'_>,
        archives: &[RepoDataRecord],
        extent: Extent,
    ) -> Result<RepoDataQueryOutput> {
        let asked = self.request.specs.iter().map(|spec| match extent {
            Extent::Fitting => spec.clone(),
            Extent::Named => MatchSpec { name: spec.name.clone(), ..MatchSpec::default() },
        });
        let depends = archives.iter().flat_map(|archive| &archive.package_record.depends);
        let options = ParseMatchSpecOptions::lenient();
        let depends = depends.filter_map(|spec| MatchSpec::from_str(spec, options).ok());
        let mut asked: Vec<MatchSpec> = asked.chain(depends).collect();
        let read = self.read_all(&asked).await?;
        let unread = solve::unread(question, &read);
        if unread.is_empty() {
            return Ok(read);
        }
        let named = |name| MatchSpec { name: PackageNameMatcher::Exact(name), ..MatchSpec::default() };
        asked.extend(unread.into_iter().map(named));
        self.read_all(&asked).await
    }

    async fn read_all(&self, asked: &[MatchSpec]) -> Result<RepoDataQueryOutput> {
        let sources = self.request.channels.sources.iter().cloned();
        match self.query(sources, asked).await.map_err(Error::of_gateway) {
            Ok(read) => Ok(read),
            Err(error) => Err(match (self.seen.too_long(), error) {
                (Some(error), _) => Error::Fetch(error),
                (None, Error::Broken { reason, .. }) => {
                    Error::Broken { channel: self.broken(asked).await, reason }
                }
                (None, error) => error,
            }),
        }
    }

    async fn query(
        &self,
        sources: impl IntoIterator<Item = Source>,
        asked: &[MatchSpec],
    ) -> Result<RepoDataQueryOutput, GatewayError> {
        let query = self
            .gateway
            .query(sources, [subdir(self.platform), Subdir::NoArch], asked.iter().cloned())
            .recursive(true)
            // Nothing is looked for but where the user said.
            .channel_relations(ChannelRelationsMode::Disabled)
            .with_reporter(Progress::new(self.fetcher));
        query.execute().await
    }

    /// The channel whose index cannot be read: the reader does not say it.
    async fn broken(&self, asked: &[MatchSpec]) -> Option<String> {
        let all = &self.request.channels.all;
        for channel in all {
            let alone = [Source::Channel(channel.clone())];
            if all.len() == 1 || self.query(alone, asked).await.is_err() {
                return Some(channels::shown(channel));
            }
        }
        None
    }

    /// A package that no channel has is told before the solver says so in more words.
    async fn check_names(&self, task: &Task) -> Result<()> {
        let request = self.request;
        let records = task.repodata.iter().flat_map(RepoData::iter);
        // What a lock has stays, also where its channel has it no more.
        let known: HashSet<&str> = records
            .chain(task.favoured.iter().map(AsRef::as_ref))
            .map(|record| record.package_record.name.as_normalized())
            .collect();
        let asked = request.specs.iter().filter_map(|spec| spec.name.as_exact());
        let mut asked = asked.map(PackageName::as_normalized).filter(|name| !name.starts_with("__"));
        let Some(name) = asked.find(|name| !known.contains(name)) else { return Ok(()) };
        let channels = request.channels.all.iter().cloned();
        let names = self.gateway.names(channels, [subdir(self.platform), Subdir::NoArch]);
        // Without them there is still the error itself.
        let names = names.execute().await.map(|names| names.names).unwrap_or_default();
        // An index may list a file of that name whose record has another.
        let names = names.iter().map(PackageName::as_normalized).filter(|listed| *listed != name);
        let nearest = provenv_definition::nearest(name, names);
        Err(Error::NoPackage {
            name: name.to_owned(),
            channels: request.channels.all.iter().map(channels::shown).collect(),
            nearest: nearest.map(str::to_owned),
        })
    }
}

/// Solves on a thread of its own.
async fn blocking(task: Task) -> Result<Vec<RepoDataRecord>> {
    let solved = tokio::task::spawn_blocking(move || task.solve()).await;
    solved.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

fn subdir(platform: Platform) -> Subdir {
    match platform {
        Platform::LinuxAmd64 => Subdir::Linux64,
        Platform::LinuxArm64 => Subdir::LinuxAarch64,
    }
}

#[cfg(test)]
mod tests {
    use super::SOLVER;

    #[test]
    fn receipts_name_the_solver_that_is_built_in() {
        let manifest = include_str!("../../../../Cargo.toml");
        assert!(manifest.contains(&format!("rattler_solve = {{ version = \"{SOLVER}\"")));
    }
}
