//! Chooses conda packages.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use provenv_definition::{CondaRequirements, Platform, PythonRequest};
use provenv_fetch::{Fetcher, Phase};
use rattler_conda_types::{
    GenericVirtualPackage, MatchSpec, PackageName, ParseMatchSpecOptions, RepoDataRecord, Subdir,
};
use rattler_repodata_gateway::fetch::CacheAction;
use rattler_repodata_gateway::{
    ChannelConfig, ChannelRelationsMode, Gateway, RepoData, RepoDataQueryOutput, SourceConfig,
};
use rattler_solve::{
    ChannelPriority, ChannelRepoData, ExcludeNewer, SolveError, SolverImpl as _, SolverTask, resolvo,
};
use url::Url;

use super::client::{self, Progress, Seen};
use super::request::{Request, match_spec};
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
        let read = self.read(&request, &archives, platform).await?;
        self.check_names(&request, &read, platform).await?;
        let mut specs = request.specs.clone();
        for spec in &request.archives {
            specs.push(match_spec(spec, &self.config)?);
        }
        let favoured = favoured(question, &urls, &read);
        let excluded = excluded(&request, &read);
        let task = Task {
            repodata: read.repodata,
            archives,
            favoured,
            virtual_packages,
            specs,
            excluded,
            exclude_newer: question.as_of.map(exclude_newer),
            names: request.names.clone(),
        };
        let solved = tokio::task::spawn_blocking(move || task.solve()).await;
        let records = solved.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        let mut packages = futures::stream::iter(&records)
            .map(|record| {
                let requested = request.names.contains(record.package_record.name.as_normalized());
                record::locked(&self.fetcher, record, &urls, requested)
            })
            .buffered(AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        packages.sort_by(|one, other| one.name.cmp(&other.name));
        let tools = vec![ToolVersion { name: "rattler_solve".to_owned(), version: SOLVER.to_owned() }];
        Ok(CondaResolution { packages, indexes: self.indexes(&urls), tools })
    }

    /// What the channels say of the packages asked for and of all that they may need.
    async fn read(
        &self,
        request: &Request,
        archives: &[RepoDataRecord],
        platform: Platform,
    ) -> Result<RepoDataQueryOutput> {
        let mut specs = request.specs.clone();
        let depends = archives.iter().flat_map(|archive| &archive.package_record.depends);
        let options = ParseMatchSpecOptions::lenient();
        specs.extend(depends.filter_map(|spec| MatchSpec::from_str(spec, options).ok()));
        let urls = request.channels.urls();
        let query = self
            .gateway(urls)
            .query(request.channels.sources.iter().cloned(), [subdir(platform), Subdir::NoArch], specs)
            .recursive(true)
            // Nothing is looked for but where the user said.
            .channel_relations(ChannelRelationsMode::Disabled)
            .with_reporter(Progress::new(&self.fetcher));
        query.execute().await.map_err(Error::of_gateway)
    }

    fn gateway(&self, channels: Vec<Url>) -> Gateway {
        let options = self.fetcher.options();
        let cache_action =
            if options.offline { CacheAction::ForceCacheOnly } else { CacheAction::CacheOrFetch };
        let default = SourceConfig { cache_action, ..SourceConfig::default() };
        Gateway::builder()
            .with_client(client::client(&self.fetcher, channels, Arc::clone(&self.seen)))
            .with_cache_dir(self.fetcher.store().cache("conda"))
            .with_channel_config(ChannelConfig { default, per_channel: HashMap::new() })
            .with_max_concurrent_requests(options.concurrency)
            .finish()
    }

    /// A package that no channel has is told before the solver says so in more words.
    async fn check_names(
        &self,
        request: &Request,
        read: &RepoDataQueryOutput,
        platform: Platform,
    ) -> Result<()> {
        let known: HashSet<&str> = read
            .iter()
            .flat_map(RepoData::iter)
            .map(|record| record.package_record.name.as_normalized())
            .collect();
        let asked = request.specs.iter().filter_map(|spec| spec.name.as_exact());
        let mut asked = asked.map(PackageName::as_normalized).filter(|name| !name.starts_with("__"));
        let Some(name) = asked.find(|name| !known.contains(name)) else { return Ok(()) };
        let channels = request.channels.all.iter().cloned();
        let names = self.gateway(request.channels.urls()).names(channels, [subdir(platform), Subdir::NoArch]);
        // Without them there is still the error itself.
        let names = names.execute().await.map(|names| names.names).unwrap_or_default();
        let nearest = provenv_definition::nearest(name, names.iter().map(PackageName::as_normalized));
        Err(Error::NoPackage {
            name: name.to_owned(),
            channels: request.channels.all.iter().map(channels::shown).collect(),
            nearest: nearest.map(str::to_owned),
        })
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

/// Everything that the solver is given, so that it can run on a thread of its own.
struct Task {
    repodata: Vec<RepoData>,
    archives: Vec<RepoDataRecord>,
    favoured: Vec<Arc<RepoDataRecord>>,
    virtual_packages: Vec<GenericVirtualPackage>,
    specs: Vec<MatchSpec>,
    excluded: HashMap<Url, Arc<str>>,
    exclude_newer: Option<ExcludeNewer>,
    names: BTreeSet<String>,
}

impl Task {
    fn solve(self) -> Result<Vec<RepoDataRecord>> {
        let archives: Box<dyn Iterator<Item = &RepoDataRecord>> = Box::new(self.archives.iter());
        let archives = ChannelRepoData { records: archives, multi_channel: None };
        let available = self.repodata.iter().map(|data| ChannelRepoData {
            records: Box::new(data.iter()) as Box<dyn Iterator<Item = &RepoDataRecord>>,
            multi_channel: data.multi_channel(),
        });
        let available: SolverTask<'_, Vec<_>> = std::iter::once(archives).chain(available).collect();
        let task = SolverTask {
            locked_packages: self.favoured.iter().map(AsRef::as_ref).collect(),
            virtual_packages: self.virtual_packages,
            specs: self.specs,
            channel_priority: ChannelPriority::Strict,
            exclude_newer: self.exclude_newer,
            excluded_candidates: self.excluded,
            ..available
        };
        match resolvo::Solver.solve(task) {
            Ok(result) => Ok(result.records),
            Err(SolveError::Unsolvable(reasons)) => {
                let explanation = Explanation::new(&reasons.join("\n"), &self.names);
                Err(Error::Unsolvable { explanation })
            }
            Err(error) => Err(Error::Solver { reason: error.to_string() }),
        }
    }
}

fn exclude_newer(as_of: Timestamp) -> ExcludeNewer {
    let as_of = jiff_of_rattler::Timestamp::from_millisecond(as_of.as_millisecond());
    // Both count from the same year to the same year.
    ExcludeNewer::from_datetime(as_of.unwrap_or_default())
}

fn subdir(platform: Platform) -> Subdir {
    match platform {
        Platform::LinuxAmd64 => Subdir::Linux64,
        Platform::LinuxArm64 => Subdir::LinuxAarch64,
    }
}

/// The records that packages stay at where they can: those of the previous lock that may not move.
fn favoured(
    question: Question<'_>,
    channels: &[Url],
    read: &RepoDataQueryOutput,
) -> Vec<Arc<RepoDataRecord>> {
    let Some(previous) = question.previous else { return Vec::new() };
    let stays = |package: &&CondaPackage| match question.upgrade {
        Upgrade::None => true,
        Upgrade::All => false,
        Upgrade::Packages(names) => !names.contains(&package.name),
    };
    let staying: HashMap<Url, &CondaPackage> = previous
        .conda
        .iter()
        .filter(stays)
        .map(|package| (package.artifact.url.as_url().clone(), package))
        .collect();
    // What the index says of them, where it still has them and they are the same bytes: it knows more than a lock.
    let known: HashMap<&Url, &Arc<RepoDataRecord>> = read
        .iter()
        .flat_map(RepoData::iter_arc)
        .filter(|record| {
            let sha256 = record.package_record.sha256.map(hex::encode);
            let stays = staying.get(&record.url);
            stays.is_some_and(|package| sha256.is_none_or(|sha256| sha256 == package.artifact.sha256.hex()))
        })
        .map(|record| (&record.url, record))
        .collect();
    let mut favoured: Vec<Arc<RepoDataRecord>> = staying
        .iter()
        .filter_map(|(url, package)| match known.get(url) {
            Some(record) => Some(Arc::clone(record)),
            None => record::remembered(package, channels).map(Arc::new),
        })
        .collect();
    favoured.sort_by(|one, other| one.url.cmp(&other.url));
    favoured
}

/// Records that a spec rules out by where they lie, which the solver does not look at.
fn excluded(request: &Request, read: &RepoDataQueryOutput) -> HashMap<Url, Arc<str>> {
    let mut excluded = HashMap::new();
    for spec in &request.places {
        let reason: Arc<str> = format!("`{spec}` asks for another").into();
        for record in read.iter().flat_map(RepoData::iter) {
            let package = &record.package_record;
            let fits = spec.subdir.as_ref().is_none_or(|subdir| *subdir == package.subdir)
                && spec.file_name.as_ref().is_none_or(|name| *name == record.identifier.to_file_name());
            if package.name.as_normalized() == spec.name && !fits {
                excluded.insert(record.url.clone(), Arc::clone(&reason));
            }
        }
    }
    excluded
}
