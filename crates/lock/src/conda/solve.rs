//! One run of the solver: what it is given, and what it says.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use provenv_definition::CondaSpec;
use rattler_conda_types::{
    GenericVirtualPackage, MatchSpec, PackageName, ParseStrictness, RepoDataRecord, VersionSpec,
};
use rattler_repodata_gateway::{RepoData, RepoDataQueryOutput};
use rattler_solve::{
    ChannelPriority, ChannelRepoData, ExcludeNewer, SolveError, SolverImpl as _, SolverTask, resolvo,
};
use url::Url;

use super::explain::Known;
use super::resolver::Question;
use super::{Error, Explanation, Result, record};
use crate::{CondaPackage, Upgrade};

/// Everything that the solver is given, so that it can run on a thread of its own.
pub(super) struct Task {
    pub repodata: Vec<RepoData>,
    pub archives: Vec<RepoDataRecord>,
    pub favoured: Vec<Arc<RepoDataRecord>>,
    pub virtual_packages: Vec<GenericVirtualPackage>,
    pub specs: Vec<MatchSpec>,
    pub excluded: HashMap<Url, Arc<str>>,
    pub as_of: Option<Timestamp>,
    pub names: BTreeSet<String>,
}

impl Task {
    pub fn solve(self) -> Result<Vec<RepoDataRecord>> {
        let archives: Box<dyn Iterator<Item = &RepoDataRecord>> = Box::new(self.archives.iter());
        let archives = ChannelRepoData { records: archives, multi_channel: None };
        let exclude_newer = self.as_of.map(exclude_newer);
        let too_new = exclude_newer.as_ref().map(|limit| too_new(&self.repodata, &self.specs, limit));
        let too_new = &too_new.unwrap_or_default();
        let available = self.repodata.iter().map(|data| ChannelRepoData {
            records: Box::new(data.iter().filter(|record| !too_new.contains(&record.url)))
                as Box<dyn Iterator<Item = &RepoDataRecord>>,
            multi_channel: data.multi_channel(),
        });
        let available: SolverTask<'_, Vec<_>> = std::iter::once(archives).chain(available).collect();
        let task = SolverTask {
            locked_packages: self.favoured.iter().map(AsRef::as_ref).collect(),
            virtual_packages: self.virtual_packages.clone(),
            specs: self.specs,
            channel_priority: ChannelPriority::Strict,
            exclude_newer,
            excluded_candidates: self.excluded,
            ..available
        };
        match resolvo::Solver.solve(task) {
            Ok(result) => Ok(result.records),
            Err(SolveError::Unsolvable(reasons)) => {
                let versions = |name: &str| versions(&self.repodata, name);
                let target = |name: &str| {
                    let found =
                        self.virtual_packages.iter().find(|package| package.name.as_normalized() == name);
                    found.map(|package| package.version.to_string())
                };
                let builds = |name: &str, asked: &str| builds(&self.repodata, name, asked);
                let made = |name: &str, version: &str| made(&self.repodata, name, version);
                let known = Known {
                    asked: &self.names,
                    versions: &versions,
                    builds: &builds,
                    made: &made,
                    as_of: self.as_of,
                    target: &target,
                };
                let explanation = Explanation::new(&reasons.join("\n"), &known);
                Err(Error::Unsolvable { explanation })
            }
            Err(error) => Err(Error::Solver { reason: error.to_string() }),
        }
    }
}

/// The versions that channels have of a package, the newest last.
fn versions(repodata: &[RepoData], name: &str) -> Vec<String> {
    let records = repodata.iter().flat_map(RepoData::iter).map(|record| &record.package_record);
    let mut versions: Vec<_> =
        records.filter(|record| record.name.as_normalized() == name).map(|record| &record.version).collect();
    versions.sort_unstable();
    versions.dedup();
    versions.into_iter().map(ToString::to_string).collect()
}

/// Versions and builds of a package whose version is one asked for, the newest last.
fn builds(repodata: &[RepoData], name: &str, asked: &str) -> Vec<(String, String)> {
    let Ok(asked) = VersionSpec::from_str(asked, ParseStrictness::Lenient) else { return Vec::new() };
    let records = repodata.iter().flat_map(RepoData::iter).map(|record| &record.package_record);
    let mut found: Vec<_> = records
        .filter(|record| record.name.as_normalized() == name && asked.matches(&record.version))
        .map(|record| (&record.version, record.build_number, &record.build))
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|(version, _, build)| (version.to_string(), build.to_string())).collect()
}

/// When the first build of this version was made.
fn made(repodata: &[RepoData], name: &str, version: &str) -> Option<Timestamp> {
    let records = repodata.iter().flat_map(RepoData::iter).map(|record| &record.package_record);
    let builds =
        records.filter(|record| record.name.as_normalized() == name && record.version.to_string() == version);
    let times = builds.filter_map(|record| {
        record.timestamp.as_ref().map(rattler_conda_types::utils::TimestampMs::timestamp_millis)
    });
    times.min().and_then(|time| Timestamp::from_millisecond(time).ok())
}

/// How many packages do not say when they were made, and one of them.
pub(super) fn undated(read: &RepoDataQueryOutput) -> Option<(usize, String)> {
    let records = read.iter().flat_map(RepoData::iter).map(|record| &record.package_record);
    let undated: BTreeSet<&str> = records
        .filter(|record| record.timestamp.is_none())
        .map(|record| record.name.as_normalized())
        .collect();
    undated.first().map(|name| (undated.len(), (*name).to_owned()))
}

fn exclude_newer(as_of: Timestamp) -> ExcludeNewer {
    let as_of = jiff_of_rattler::Timestamp::from_millisecond(as_of.as_millisecond());
    // Both count from the same year to the same year.
    ExcludeNewer::from_datetime(as_of.unwrap_or_default())
}

/// Records of channels that had nothing of a package at that time, where a later channel had: the first channel to have a
/// package is its only one, and those were not. Of a package that no channel had, or that is asked of one channel, all records
/// stay, so that the solver can say why none will do.
fn too_new(repodata: &[RepoData], specs: &[MatchSpec], limit: &ExcludeNewer) -> HashSet<Url> {
    let of_channel: HashSet<&str> = specs
        .iter()
        .filter(|spec| spec.channel.is_some())
        .filter_map(|spec| spec.name.as_exact())
        .map(PackageName::as_normalized)
        .collect();
    let all = || {
        repodata.iter().flat_map(|data| {
            let of = |record: &'_ Arc<RepoDataRecord>| {
                data.multi_channel().or(record.channel.as_deref()).map(str::to_owned)
            };
            data.iter_arc().map(move |record| (of(record), record))
        })
    };
    let mut order: Vec<Option<String>> = Vec::new();
    // For each package the place of the first channel that had it.
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (channel, record) in all() {
        let place = order.iter().position(|known| *known == channel).unwrap_or(order.len());
        if place == order.len() {
            order.push(channel);
        }
        if !limit.is_excluded(record) {
            let known = first.entry(record.package_record.name.as_normalized()).or_insert(place);
            *known = place.min(*known);
        }
    }
    let before = all().filter(|(channel, record)| {
        let name = record.package_record.name.as_normalized();
        let place = order.iter().position(|known| known == channel);
        !of_channel.contains(name) && first.get(name).is_some_and(|first| place < Some(*first))
    });
    before.map(|(_, record)| record.url.clone()).collect()
}

/// What is to be read of packages of a previous lock that the indexes do not have any more: themselves, and what they need.
/// Nothing that is read leads there.
pub(super) fn unread(question: Question<'_>, read: &RepoDataQueryOutput) -> BTreeSet<PackageName> {
    let records = read.iter().flat_map(RepoData::iter);
    let known: HashSet<&str> = records.map(|record| record.package_record.name.as_normalized()).collect();
    let names = staying(question).flat_map(|package| {
        let needed = package.depends.iter().map(|spec| PackageName::normalized_name_from_matchspec_str(spec));
        needed.map(std::borrow::Cow::into_owned).chain([package.name.clone()]).collect::<Vec<_>>()
    });
    let names = names.filter(|name| !name.starts_with("__") && !known.contains(name.as_str()));
    names.filter_map(|name| name.parse().ok()).collect()
}

/// The packages of the previous lock that may not move.
fn staying(question: Question<'_>) -> impl Iterator<Item = &CondaPackage> {
    let stays = move |package: &&CondaPackage| match question.upgrade {
        Upgrade::None => true,
        Upgrade::All => false,
        Upgrade::Packages(names) => !names.contains(&package.name),
    };
    question.previous.into_iter().flat_map(|previous| &previous.conda).filter(stays)
}

/// The records that packages stay at where they can: those of the previous lock that may not move.
pub(super) fn favoured(
    question: Question<'_>,
    channels: &[Url],
    read: &RepoDataQueryOutput,
) -> Vec<Arc<RepoDataRecord>> {
    let staying: HashMap<Url, &CondaPackage> =
        staying(question).map(|package| (package.artifact.url.as_url().clone(), package)).collect();
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
pub(super) fn excluded(places: &[CondaSpec], read: &RepoDataQueryOutput) -> HashMap<Url, Arc<str>> {
    let mut excluded = HashMap::new();
    for spec in places {
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
